"""Each page is run once, in one kernel, and all that is promised of it is asked there.

nbval runs the cells and compares each stored output with the fresh one. Then, in the
kernel that has run them, come `QUESTIONS`. Where there is a browser, its tests run some
of the lessons; what they have noted in `RUNS` is not run again.
"""

import ast
import copy
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
import warm_kernels
from nbformat import NotebookNode
from nbval.plugin import IPyNbCell, IPyNbFile, coalesce_streams

from course_tools.build import clean

# What is asked of `watching` when all cells have run, by the name of the test. Each
# answer is a list of faults. A lesson has figures with sliders of both kinds.
LESSON = {
    "every slider draws at every corner": "faults(kinds=2)",
    "no file is left": "left()",
}
SOLUTION = {**LESSON, "every slider draws at every corner": "faults(kinds=1)"}
STARTER = {
    "every check answers not attempted": None,
    "no file is left": "left()",
}
QUESTIONS = {"notebooks": LESSON, "solutions": SOLUTION, "exercises": STARTER}


def asked(what: str) -> dict[str, str]:
    """A call of a function of `watching`, as the kernel's `user_expressions`."""
    return {"answer": f"[*(__import__('watching').{what} or [])]"}


def answer(reply: dict[str, Any]) -> Any:
    """What the kernel replies."""
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
    answers: dict[str, list[str]]

    def outputs_for(self, notebook: NotebookNode) -> list[list[NotebookNode]]:
        """The outputs, as a page would store them."""
        result = copy.deepcopy(notebook)
        cells = [cell for cell in result.cells if cell.cell_type == "code"]
        for cell, outputs in zip(cells, self.outputs, strict=True):
            cell.outputs = [nbformat.from_dict(output) for output in outputs]
        stored = clean(result).cells
        return [cell.outputs for cell in stored if cell.cell_type == "code"]


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
        try:
            super().setup()
        except RuntimeError:  # another program took a port between choice and use
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
        for name, question in QUESTIONS.get(self.path.parent.name, {}).items():
            yield Afterwards.from_parent(self, name=name, question=question)

    def ask(self, question: str) -> list[str]:
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
        if not self.options["check"]:
            return
        fresh = coalesce_streams(self.parent.outputs[self.cell_num])
        if not self.compare_outputs(fresh, coalesce_streams(self.cell.outputs)):
            difference = "\n".join(self.comparison_traceback)
            self.raise_cell_error("Cell outputs differ", difference)

    def compare_outputs(self, test, ref, skip_compare=None) -> bool:
        """Without the captions below stored pictures: a kernel does not make them."""
        told = ([o for o in some if not is_caption(o)] for some in (test, ref))
        return super().compare_outputs(*told, skip_compare)


def is_caption(output: NotebookNode) -> bool:
    return output.get("data", {}).get("text/plain") == ""


class Broken(Exception):
    """A promise that a page does not keep, in words for whoever wrote the page."""


class Afterwards(pytest.Item):
    """One question to a page that has been run; it must find no fault."""

    def __init__(self, name, parent, question):
        super().__init__(name, parent)
        self.question = question

    def runtest(self):
        page = self.parent
        faults = page.ask(self.question) if self.question else unlike_a_starter(page)
        if faults := list(faults):
            raise Broken("\n".join(faults))

    def repr_failure(self, excinfo):
        if isinstance(excinfo.value, Broken):
            return f"{self.parent.name}: {excinfo.value}"
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, 0, f"{self.parent.name}: {self.name}"


def unlike_a_starter(page: Page) -> Iterator[str]:
    """What a starter's cells have not shown: each check's answer, and the last cell."""
    checks = [c for c in page.cells if c.cell.source.startswith("check(")]
    if not checks:
        yield "no cell calls check"
    for cell in checks:
        if "not attempted" not in str(cell.test_outputs):
            yield f"cell {cell.cell_num} does not answer «not attempted»"
    if not page.cells[-1].test_outputs:
        yield "the last cell shows nothing: Run All has not reached it"


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(parent):
    """Where nbval would collect a notebook, let it be one of ours."""
    found = yield
    return [
        Page.from_parent(parent, path=node.path) if type(node) is IPyNbFile else node
        for node in found
    ]
