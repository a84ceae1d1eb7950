"""What CONTRIBUTING.md tells a newcomer to do, done in a copy of the course."""

import re
import shlex
import shutil

import nbformat
import pytest
from commands import run_python
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_lib.workspace import repository

PAGE = (repository() / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (An? .*?)\n(.*?)(?=^## An? |\Z)", PAGE, re.S | re.M))
BLOCK = re.compile(
    r"<!-- (?:(run)|(new|append to|code in|prose in|exercise in|replace in) "
    r"([\w./]+)(?:: (.*?))?) -->\n```\w*\n(.*?)```",
    re.S,
)
COMMANDS = {
    "python3 -m course_lib test": "-m pytest",
    "python3 -m course_lib": "-m course_lib",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The course in another place, without its environment."""
    leave = shutil.ignore_patterns(".*", "my_work*", "__pycache__")
    place = tmp_path_factory.mktemp("contributing") / "course"
    return shutil.copytree(repository(), place, ignore=leave)


def notebook(text: str):
    """Cells from text: prose and code take turns between lines of three dashes."""
    page = new_notebook()
    for number, part in enumerate(text.split("\n---\n")):
        make = new_code_cell if number % 2 else new_markdown_cell
        page.cells.append(make(part.strip(), id=f"small-{number}"))
    return page


def apply(copy, what: str, name: str, anchor: str, text: str):
    """Do to the copy what one block says."""
    path = copy / name
    if what == "new" and path.suffix == ".ipynb":
        nbformat.write(notebook(text), path)
    elif what == "new":
        path.write_text(text, encoding="utf-8")
    elif what == "append to":
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n\n{text}")
    elif what == "replace in":
        before = path.read_text(encoding="utf-8")
        assert before.count(anchor) == 1, (name, anchor)
        path.write_text(before.replace(anchor, text.rstrip("\n")), encoding="utf-8")
    else:
        page = nbformat.read(path, as_version=4)
        tags = {"tags": ["exercise"]} if what == "exercise in" else {}
        make = new_markdown_cell if what == "prose in" else new_code_cell
        page.cells.append(make(text.strip(), metadata=tags))
        nbformat.write(page, path)


def run(copy, line: str):
    """A command of the page, by the Python of this environment."""
    words = next(line.replace(a, b) for a, b in COMMANDS.items() if line.startswith(a))
    done = run_python(*shlex.split(words), cwd=copy, path=[copy])
    assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
    assert "pytest" not in words or " passed" in done.stdout


QUICK = ("A loss", "A claim")


@pytest.mark.slow
@pytest.mark.parametrize(
    "section",
    [
        pytest.param(name, marks=[pytest.mark.thorough] * (name not in QUICK))
        for name in SECTIONS
    ],
)
def test_a_change_works_as_the_page_says(copy, section):
    commands, blocks = [], BLOCK.findall(SECTIONS[section])
    for runs, what, name, anchor, text in blocks:
        if runs:
            commands += text.strip().splitlines()
        else:
            apply(copy, what, name, anchor, text)
    assert blocks
    for line in commands:
        run(copy, line)
