"""Each page is run once, in one kernel, and all that is promised of it is asked there.

nbval runs the cells and compares each stored output with the fresh one. Then, in the
kernel that has run them, come its `Afterwards`.
"""

import ast
import shutil
import tempfile
from pathlib import Path

import pytest
import warm_kernels
from nbval.plugin import IPyNbCell, IPyNbFile


class Page(IPyNbFile):
    """A notebook whose kernel works in an empty folder and is asked more at the end."""

    def setup(self):
        warm_kernels.use()
        self.folder = Path(tempfile.mkdtemp(prefix="course-page-"))
        (self.folder / "page").mkdir()
        shutil.copy(self.path, self.folder / "page")
        super().setup()
        self.ask(f"begin({str(self.folder)!r})")

    def teardown(self):
        super().teardown()
        shutil.rmtree(self.folder)

    def collect(self):
        self.cells: list[IPyNbCell] = []
        for cell in super().collect():
            cell.output_timeout *= self.config.option.patience
            self.cells.append(cell)
            yield cell
        starter = self.path.parent.name == "exercises"
        for check in STARTERS if starter else CHECKS:
            name = check.__name__.replace("_", " ")
            yield Afterwards.from_parent(self, name=name, check=check)

    def ask(self, what: str):
        """What a function of `watching` answers in the page's kernel."""
        reply = self.kernel.kc.execute_interactive(
            "",
            silent=True,
            user_expressions={"answer": f"__import__('watching').{what}"},
            timeout=self.config.option.nbval_cell_timeout,
            output_hook=lambda message: None,
        )
        answer = reply["content"]["user_expressions"]["answer"]
        if answer["status"] != "ok":
            raise Broken("\n".join(answer["traceback"]))
        return ast.literal_eval(answer["data"]["text/plain"])


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
    faults = page.ask("faults()")
    if faults:
        raise Broken("\n".join(faults))
    kinds = page.ask("kinds()")
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
    found = {str(p.relative_to(page.folder)) for p in page.folder.rglob("*")}
    left = found - {"page", f"page/{page.path.name}"}
    if left:
        raise Broken(f"running it leaves {sorted(left)}")


CHECKS = [every_slider_draws_at_every_corner, no_file_is_left]
STARTERS = [every_check_answers_not_attempted, no_file_is_left]


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(parent):
    """Where nbval would collect a notebook, let it be one of ours."""
    found = yield
    return [
        Page.from_parent(parent, path=node.path) if type(node) is IPyNbFile else node
        for node in found
    ]
