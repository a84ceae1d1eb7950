"""Each page is run once, in one kernel, and all that is promised of it is asked there.

nbval runs the cells and compares each stored output with the fresh one. Then, in the
kernel that has run them, come the checks of `LESSONS` or `STARTERS`. Where there is a
browser, its tests run the lessons; what they have noted in `RUNS` is not run again.
"""

import ast
import copy
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
import warm_kernels
from nbformat import NotebookNode
from nbval.plugin import IPyNbCell, IPyNbFile, coalesce_streams

from course_tools.build import clean

QUESTIONS = ["faults()", "kinds()", "left()"]  # to `watching`, when all cells have run


def asked(question: str) -> dict[str, str]:
    """A question to `watching`, as the kernel's `user_expressions`."""
    return {"answer": f"__import__('watching').{question}"}


def answer(reply: dict[str, Any]) -> Any:
    """What the kernel replies to it."""
    found = reply["user_expressions"]["answer"]
    if found["status"] != "ok":
        raise Broken("\n".join(found["traceback"]))
    return ast.literal_eval(found["data"]["text/plain"])


@dataclass
class Run:
    """What a page printed and answered when it ran elsewhere than under nbval.

    outputs: those of each code cell
    """

    outputs: list[list[dict[str, Any]]]
    answers: dict[str, Any]

    def outputs_for(self, notebook: NotebookNode) -> list[list[NotebookNode]]:
        """The outputs, without what a browser gets beside what is stored."""
        result = copy.deepcopy(notebook)
        cells = [cell for cell in result.cells if cell.cell_type == "code"]
        for cell, outputs in zip(cells, self.outputs, strict=True):
            cell.outputs = [nbformat.from_dict(output) for output in outputs]
        return [
            [o for o in cell.outputs if o.get("data", {}).get("text/plain") != ""]
            for cell in clean(result).cells
            if cell.cell_type == "code"
        ]


RUNS: dict[Path, Run] = {}


class Page(IPyNbFile):
    """A notebook whose kernel works in an empty folder and is asked more at the end."""

    def setup(self):
        self.run = RUNS.get(self.path)
        if self.run:
            self.setup_sanitize_files()
            self.outputs = self.run.outputs_for(self.nb)
            return
        warm_kernels.use()
        self.room = tempfile.mkdtemp(prefix="course-page-")
        super().setup()
        self.ask(f"begin({self.room!r})")

    def teardown(self):
        super().teardown()
        if not self.run:
            shutil.rmtree(self.room)

    def collect(self):
        self.cells: list[Cell] = []
        for item in super().collect():
            named = {"name": item.name, "cell_num": item.cell_num}
            cell = Cell.from_parent(self, cell=item.cell, options=item.options, **named)
            cell.output_timeout *= self.config.option.patience
            self.cells.append(cell)
            yield cell
        starter = self.path.parent.name == "exercises"
        for check in STARTERS if starter else LESSONS:
            name = check.__name__.replace("_", " ")
            yield Afterwards.from_parent(self, name=name, check=check)

    def ask(self, question: str) -> Any:
        """What a function of `watching` answers in the page's kernel."""
        if self.run:
            return self.run.answers[question]
        reply = self.kernel.kc.execute_interactive(
            "",
            silent=True,
            user_expressions=asked(question),
            timeout=self.config.option.nbval_cell_timeout,
            output_hook=lambda message: None,
        )
        return answer(reply["content"])


class Cell(IPyNbCell):
    """A cell that nbval runs and compares, or only compares if it has been run."""

    def runtest(self):
        if not self.parent.run:
            return super().runtest()
        fresh = coalesce_streams(self.parent.outputs[self.cell_num])
        if not self.compare_outputs(fresh, coalesce_streams(self.cell.outputs)):
            difference = "\n".join(self.comparison_traceback)
            self.raise_cell_error("Cell outputs differ", difference)


class Broken(Exception):
    """A promise that a page does not keep, in words for whoever wrote the page."""


class Afterwards(pytest.Item):
    """One check of a page that has been run."""

    def __init__(self, name, parent, check):
        super().__init__(name, parent)
        self.check = check

    def runtest(self):
        self.check(self.parent)

    def repr_failure(self, excinfo):
        if isinstance(excinfo.value, Broken):
            return f"{self.parent.name}: {excinfo.value}"
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, 0, f"{self.parent.name}: {self.name}"


def every_slider_draws_at_every_corner(page: Page):
    faults, kinds = page.ask("faults()"), page.ask("kinds()")
    if faults:
        raise Broken("\n".join(faults))
    if not kinds:
        raise Broken("no figure has a slider")
    if page.path.parent.name == "notebooks" and len(kinds) < 2:
        raise Broken(f"a lesson has a figure of either kind, this one only {kinds[0]}")


def every_check_answers_not_attempted(page: Page):
    said = {cell.cell_num: str(cell.test_outputs) for cell in page.cells}
    checks = [c.cell_num for c in page.cells if c.cell.source.startswith("check(")]
    if not checks:
        raise Broken("no cell calls check")
    wrong = [n for n in checks if "not attempted" not in said[n]]
    if wrong:
        raise Broken(f"cells {wrong} do not answer «not attempted»")
    if not page.cells[-1].test_outputs:
        raise Broken("the last cell shows nothing: Run All has not reached it")


def no_file_is_left(page: Page):
    left = page.ask("left()")
    if left:
        raise Broken(f"running it leaves {left}")


LESSONS = [every_slider_draws_at_every_corner, no_file_is_left]
STARTERS = [every_check_answers_not_attempted, no_file_is_left]


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(parent):
    """Where nbval would collect a notebook, let it be one of ours."""
    found = yield
    return [
        Page.from_parent(parent, path=node.path) if type(node) is IPyNbFile else node
        for node in found
    ]
