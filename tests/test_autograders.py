"""The recipes of docs/autograders: a zero first, isolation demanded, nothing guessed.

A small program takes the grader's place; `test_teaching_guide.py` runs the real one.
"""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest
from submitted import put

from course_lib.workspace import repository
from course_tools.grading.tables import BOM

FILES = repository() / "docs" / "autograders"
MARKS = {"score": 3, "tests": [{"name": "The DPO loss", "score": 3, "max_score": 5}]}
# What the grader's stand-in does: notes its words and what it was given, then ends.
STAND_IN = """
import json, os, pathlib, signal, sys
words = sys.argv[1:]
pages = {p.name: p.read_text() for p in pathlib.Path(words[3]).glob("*/*")}
results = pathlib.Path(HOME, "results/results.json")
shown = results.read_text() if results.exists() else ""
pathlib.Path(HOME, "told.json").write_text(json.dumps([words, pages, shown]))
"""
REPORT = """
out = pathlib.Path(words[words.index("--out") + 1])
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these scripts are for Linux")


def stand_in(place, does: str, home):
    """A program that is called like Python, and does this as the grader."""
    program = place / "python3"
    body = STAND_IN.replace("HOME", repr(str(home))) + does
    (place / "grader.py").write_text(body)
    program.write_text(
        f'#!/bin/sh\n[ "$1" = - ] && exec "{sys.executable}" "$@"\n'
        f'exec "{sys.executable}" "{place / "grader.py"}" "$@"\n'
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def gradescope(tmp_path):
    """Gradescope's folders, with an earlier result in them."""
    names = ("04.ipynb", "part/more of it.py", "notes.txt", ".hidden/x.py")
    put(tmp_path / "submission", {name: name for name in names})
    old = {"source/exercise.txt": "04\n", "results/results.json": '{"score": 99}'}
    return put(tmp_path, old)


def bash(*words, **how):
    how = {"capture_output": True, "text": True, **how}
    return subprocess.run(["bash", *map(str, words)], **how)


def run_autograder(home, does: str, **variables):
    """What Gradescope is told, and what the grader was told and saw."""
    kept = {name: it for name, it in os.environ.items() if name != "COURSE_ISOLATION"}
    program = stand_in(home, does, home)
    env = {**kept, "AUTOGRADER": str(home), "COURSE_PYTHON": str(program), **variables}
    done = bash(FILES / "gradescope" / "run_autograder", env=env)
    assert done.returncode == 0, done.stderr
    told = json.loads((home / "told.json").read_text())
    return json.loads((home / "results" / "results.json").read_text()), *told


WRITES = f"""{REPORT}
for name in ["learner"]:
    folder = out / "gradescope" / name
    folder.mkdir(parents=True)
    (folder / "results.json").write_text({json.dumps(json.dumps(MARKS))})
"""


@pytest.mark.parametrize("code", [0, 1])
def test_gradescope_is_given_the_marks(gradescope, code):
    end = f"sys.exit({code})"
    result, words, pages, before = run_autograder(gradescope, WRITES + end)
    assert result == MARKS
    assert words[:3] == ["-m", "course_lib", "grade"]
    assert words[words.index("--exercise") + 1] == "04"
    assert words[words.index("--isolation") + 1] == "strict"
    assert pages == {"04.ipynb": "04.ipynb", "part_more of it.py": "part/more of it.py"}
    assert json.loads(before)["score"] == 0
    assert [path.name for path in (gradescope / "results").iterdir()] == [
        "results.json"
    ]


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("sys.exit(2)", "did not come to its end"),
        ("sys.exit(3)", "cannot close the sandbox"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "did not come to its end"),
        ("raise RuntimeError", "did not come to its end"),
        ("sys.exit(0)", "did not come to its end"),  # and wrote nothing
        (WRITES + "sys.exit(2)", "did not come to its end"),
        (WRITES.replace('["learner"]', '["a", "b"]'), "did not come to its end"),
    ],
)
def test_whatever_goes_wrong_there_is_a_zero_and_a_sentence(gradescope, does, says):
    result, *_ = run_autograder(gradescope, does)
    assert result["score"] == 0
    assert says in result["output"]
    assert "not the fault of your work" in result["output"]


def test_another_isolation_is_taken_only_if_it_is_asked_for(gradescope):
    (gradescope / "source" / "isolation.txt").write_text("landlock\n")
    _, words, *_ = run_autograder(gradescope, WRITES)
    assert words[words.index("--isolation") + 1] == "landlock"
    _, words, *_ = run_autograder(gradescope, WRITES, COURSE_ISOLATION="auto")
    assert words[words.index("--isolation") + 1] == "auto"


# ── GitHub ────────────────────────────────────────────────────────────────────────────


def step(name: str) -> str:
    """The commands of a step of the workflow."""
    job = (FILES / "github" / "grade.yml").read_text(encoding="utf-8")
    found = re.search(rf"- name: {name}\n +run: \|\n((?: {{10}}.*\n|\n)+)", job)
    return textwrap.dedent(found[1])


def run_job(home, does: str):
    """The job's exit code, what it says, and what is in the artifact."""
    (home / "course").mkdir()
    put(home / "learner", {"04.ipynb": "the page", "part/b.py": "more"})
    place = home / "programs"
    place.mkdir()
    stand_in(place, does, home)
    env = {**os.environ, "CHAPTER": "04", "ISOLATION": "strict"}
    env["PATH"] = f"{place}{os.pathsep}{env['PATH']}"
    grades = home / "result" / "grades.csv"
    before = bash("-e", "-c", step("a zero first"), cwd=home, env=env)
    assert before.returncode == 0, before.stderr
    assert "not graded" in grades.read_text()
    done = bash("-e", "-c", step("grade"), cwd=home, env=env)
    return done.returncode, done.stdout, grades.read_text()


def table(status: str) -> str:
    rows = '"submission","exercise","status","score","max_score"\n'
    rows += f'"learner","dpo_loss","{status}","3","5"\n'
    return f"""{REPORT}
(out / "feedback").mkdir(parents=True)
(out / "feedback" / "learner.html").write_text("a page")
(out / "grades.csv").write_text({(BOM + rows)!r}, "utf-8")
"""


@pytest.mark.parametrize(("status", "code"), [("passed", 0), ("failed", 1)])
def test_a_push_is_green_when_all_is_passed(tmp_path, status, code):
    ended, said, shown = run_job(tmp_path, table(status))
    assert ended == code
    assert f"dpo_loss {status} 3 5" in said
    assert status in shown
    assert (tmp_path / "result" / "feedback" / "learner.html").exists()
    words, pages, _ = json.loads((tmp_path / "told.json").read_text())
    assert words[:3] == ["-m", "course_lib", "grade"]
    assert words[words.index("--isolation") + 1] == "strict"
    assert pages == {"04.ipynb": "the page", "part_b.py": "more"}


@pytest.mark.parametrize(
    ("does", "code", "says"),
    [
        ("sys.exit(3)", 3, "cannot close the sandbox"),
        ("sys.exit(2)", 2, "ended with 2"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "ended with 137"),
    ],
)
def test_a_grader_that_fails_leaves_a_zero_and_a_red_job(tmp_path, does, code, says):
    ended, said, shown = run_job(tmp_path, does)
    assert (ended, "::error::" in said) == (code, True)
    assert says in said.replace("\n", " ")
    assert '"not graded","0","0"' in shown


def test_marks_that_the_grader_owes_are_no_success(tmp_path):
    ended, said, _ = run_job(tmp_path, table("grader_error") + "sys.exit(1)")
    assert ended == 1
    assert "::error::Some marks are missing" in said


# ── the container ─────────────────────────────────────────────────────────────────────


def test_the_container_is_pinned_and_made_of_what_is_there():
    text = (FILES / "Containerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM python:3\.1[123]\.\d+-slim-\w+$", text, re.M)
    lines = [line.split() for line in text.splitlines()]
    copied = {name for line in lines if line[:1] == ["COPY"] for name in line[1:-1]}
    assert {"course_lib", "course_tools", "solutions", "exercises"} <= copied
    for name in copied:
        assert (repository() / name).exists(), name
    assert 'ENTRYPOINT ["python", "-m", "course_lib", "grade"]' in text
    assert re.search(r"^USER (?!root)\w+$", text, re.M)


@pytest.mark.parametrize("name", ["setup.sh", "run_autograder"])
def test_the_scripts_are_whole_and_can_be_run(name):
    script = FILES / "gradescope" / name
    bash("-n", script, check=True)
    assert os.access(script, os.X_OK)
