"""What the guide for teachers tells one to do, done."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from course_lib.workspace import repository
from course_tools.grading.marking import STATUSES

GUIDE = (repository() / "docs" / "teaching.md").read_text(encoding="utf-8")
FILES = repository() / "docs" / "autograders"
BLOCK = re.compile(r"<!-- (file|append|cell): (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def copy(tmp_path):
    """The course in another place, without its environment."""
    leave = shutil.ignore_patterns(".*", "my_work*", "__pycache__")
    return shutil.copytree(repository(), tmp_path / "course", ignore=leave)


def run(*words, cwd, **variables):
    env = {**os.environ, **variables}
    env["PYTHONPATH"] = str(cwd) + os.pathsep + env["PYTHONPATH"]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, env=env)


@pytest.mark.slow
def test_the_new_exercise_works_as_the_guide_says(copy):
    for where, name, source in BLOCK.findall(GUIDE):
        path = copy / name
        if where == "file":
            path.write_text(source)
        elif where == "append":
            path.write_text(f"{path.read_text()}\n\n{source}")
        else:
            page = nbformat.read(path, as_version=4)
            cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["exercise"]})
            page.cells.append(cell)
            nbformat.write(page, path)
    built = run(sys.executable, "-m", "course_lib", "build", cwd=copy)
    assert "wrote exercises/00_start_here.ipynb" in built.stdout, built.stderr
    words = "-m pytest tests/test_exercises.py -k elo_probability"
    tested = run(sys.executable, *words.split(), cwd=copy)
    assert tested.returncode == 0, tested.stdout[-3000:]
    assert " passed" in tested.stdout
    if os.name != "nt":  # which Gradescope does not run
        page = copy / "solutions" / "00_start_here.ipynb"
        results = gradescope(copy, "00", page)
        assert results[-1]["name"] == "Ratings of chess players"
        assert [test["status"] for test in results] == ["passed"] * 2


def gradescope(course, exercise, page) -> list[dict]:
    """What Gradescope is told of a page by this copy of the course."""
    home = course.parent
    for name in ("submission", "results"):
        (home / name).mkdir()
    (home / "source").symlink_to(course)
    shutil.copy(FILES / "gradescope" / "run_autograder", course)
    (course / "exercise.txt").write_text(f"{exercise}\n")
    shutil.copy(page, home / "submission" / "mine.ipynb")
    done = run(
        "bash",
        str(course / "run_autograder"),
        cwd=course,
        AUTOGRADER=str(home),
        COURSE_PYTHON=sys.executable,
        COURSE_ISOLATION="auto",  # what this computer has
    )
    assert done.returncode == 0, done.stderr
    return json.loads((home / "results" / "results.json").read_text())["tests"]


def test_the_guide_names_every_status_and_every_option():
    from course_tools.grading import gradebook, options

    for status in STATUSES:
        assert status in GUIDE
    for parser in (options.parser(), gradebook.parser()):
        for option in parser._option_string_actions:
            assert option in GUIDE or option in ("-h", "--help")
