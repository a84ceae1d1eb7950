"""Nothing that a page does wrong when it runs escapes `pages.py`."""

import re
import subprocess
import sys

import nbformat
import pages
import pytest
import warm_kernels
from nbformat.v4 import new_code_cell, new_notebook, new_output
from pages import Page

ONLINE = """import socket
for attempt in (lambda: socket.create_connection(('192.0.2.1', 80), 1),
                lambda: socket.getaddrinfo('example.org', 80)):
    try:
        attempt()
    except OSError as error:
        print(error)"""
ASKED = "the course needs no network, but something asked for"
REFUSED = f"{ASKED} '192.0.2.1'\n{ASKED} 'example.org'\n"
FIGURES = """from course_lib.sliders import LinSlider, slider_plot
slider = LinSlider(0, 2, count=3, start=1)
short = slider_plot(lambda axes, x: f"x = {x}", x=slider)
fails = slider_plot(lambda axes, x: 50 * f"{1 / x}", live=True, x=slider)"""

ENDLESS = ["1 / 0", "import time; time.sleep(999)"]

# cells with what is stored as their output; then what each test of the page must say
LESSON = {
    "print(0.25)": "0.25\n",
    ONLINE: REFUSED,
    "print(0.26)": "0.25\n",
    "1 / 0": "",
    "import time; time.sleep(999)": "",
    "open('kept', 'w').close()": "",
    FIGURES: "",
}
LESSON_SAYS = {
    "Cell 0": "fine",
    "Cell 1": "fine",
    "Cell 2": r"Cell outputs differ.*'0\.25.n' == '0\.26.n'",
    "Cell 3": "Cell execution caused an exception.*1 / 0.*ZeroDivisionError",
    "Cell 4": "Timeout of .* seconds exceeded executing cell",
    "Cell 5": "fine",
    "Cell 6": "fine",
    "every slider draws at every corner": (
        "figure 1 at {'x': 1.0} says 'x = 1.0'.*figure 2 at {'x': 0.0} raises ZeroDiv"
    ),
    "no file is left": "broken.ipynb: page/kept is left behind",
}
STARTER = {"def f(x): ...": "", "check(f)": "", "check(g)": ""}
STARTER_SAYS = {
    "Cell 0": "fine",
    "Cell 1": "NameError: name 'check' is not defined",
    "Cell 2": "NameError: name 'check' is not defined",
    "every check answers not attempted": "cell 1 does not answer.*cell 2 does not",
    "no file is left": "fine",
}


def said(item: pytest.Item) -> str:
    """What an item says when it fails; else "fine"."""
    try:
        item.runtest()
    except Exception:
        words = item.repr_failure(pytest.ExceptionInfo.from_current())
        return re.sub(r"\x1b\[[\d;]*m", "", str(words))
    return "fine"


@pytest.fixture
def judged(request, tmp_path, monkeypatch, patience):
    """A function: a page with these cells, all that is said of it, and its run."""
    monkeypatch.setattr(request.config.option, "nbval_cell_timeout", 4 * patience)

    def judge(folder: str, cells: dict[str, str]):
        file = tmp_path / folder / "broken.ipynb"
        file.parent.mkdir(exist_ok=True)
        made = [new_code_cell(code, execution_count=1) for code in cells]
        for cell, out in zip(made, cells.values(), strict=True):
            cell.outputs = [new_output("stream", text=out)] if out else []
        nbformat.write(new_notebook(cells=made), file)
        page = Page.from_parent(request.session, path=file)
        items = list(page.collect())
        page.setup()
        try:
            found = {item.name: said(item) for item in items}
            answers = {q: page.ask(q) for q in pages.QUESTIONS[folder].values() if q}
            outputs = [cell.test_outputs for cell in page.cells]
            return file, found, pages.Run(outputs, answers)
        finally:
            page.teardown()

    return judge


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "cells", "expected"),
    [("notebooks", LESSON, LESSON_SAYS), ("exercises", STARTER, STARTER_SAYS)],
)
def test_what_goes_wrong_in_a_page_is_named(folder, cells, expected, judged):
    _, found, _ = judged(folder, cells)
    assert found.keys() == expected.keys()
    for name, words in expected.items():
        assert re.search(words, found[name], re.S), f"{name}: {found[name]}"


@pytest.mark.slow
def test_it_is_named_just_so_if_a_browser_has_run_the_page(judged, monkeypatch):
    cells = {code: out for code, out in LESSON.items() if code not in ENDLESS}
    file, found, run = judged("notebooks", cells)
    monkeypatch.setitem(pages.RUNS, file, run)
    monkeypatch.setattr(warm_kernels, "use", lambda: pytest.fail("a second run"))
    assert judged("notebooks", cells)[1] == found
    assert list(found.values()).count("fine") == 4


def test_the_wall_stands_in_processes_that_tests_start():
    run = [sys.executable, "-c", ONLINE]
    answer = subprocess.run(run, capture_output=True, text=True, check=True)
    assert answer.stdout == REFUSED
