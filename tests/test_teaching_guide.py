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
    folder = copy / "class"
    folder.mkdir()
    shutil.copy(copy / "exercises" / "00_start_here.ipynb", folder / "ada.ipynb")
    graded = run(sys.executable, "-m", "course_lib", "grade", "class", cwd=copy)
    assert graded.returncode == 0, graded.stderr
    assert "elo_probability,not_attempted" in (
        (copy / "class_report" / "grades.csv").read_text()
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Gradescope runs Linux")
def test_gradescope_gets_its_results(tmp_path):
    source, home = tmp_path / "source", tmp_path
    for folder in (source, home / "submission", home / "results"):
        folder.mkdir()
    for name in ("course_lib", "requirements.txt", "solutions", "exercises"):
        (source / name).symlink_to(repository() / name)
    shutil.copy(FILES / "gradescope" / "run_autograder", source)
    (source / "exercise.txt").write_text("05\n")
    page = repository() / "solutions" / "05_beta.ipynb"
    shutil.copy(page, home / "submission" / "mine.ipynb")
    done = run(
        "bash",
        str(source / "run_autograder"),
        cwd=source,
        AUTOGRADER=str(home),
        COURSE_PYTHON=sys.executable,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((home / "results" / "results.json").read_text())
    assert [test["status"] for test in told["tests"]] == ["passed"] * 4


def test_the_recipes_are_whole():
    subprocess.run(["bash", "-n", FILES / "gradescope" / "setup.sh"], check=True)
    job = (FILES / "github" / "grade.yml").read_text(encoding="utf-8")
    assert "course_lib grade" in job


def test_the_guide_names_every_status_and_every_option():
    from course_tools.grading.options import parser

    for status in STATUSES:
        assert status in GUIDE
    for option in parser()._option_string_actions:
        assert option in GUIDE or option in ("-h", "--help")
