"""A handout: it works by itself, holds no solution, and says what it shows."""

import json
import re
import zipfile

import nbformat
import pytest
from commands import run_python

from course_lib.workspace import CourseError, notebooks, repository
from course_tools import handout

STUB = "raise NotImplementedError"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*words) -> None:
    assert handout.main([str(word) for word in words]) == 0


def files(folder) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def call(folder, *words):
    """A command as a learner gives it in the handout, in its own work folder."""
    return run_python("-m", "course_lib", *words, cwd=folder)


def solution_lines() -> set[str]:
    """The lines between the marks in solutions/, those that say something."""
    found = set()
    for path in notebooks("solutions"):
        inside = False
        for cell in nbformat.read(path, as_version=4).cells:
            for line in map(str.strip, cell.source.splitlines()):
                inside = (inside or "BEGIN SOLUTION" in line) and "END SOL" not in line
                if inside and len(line) > 30 and not line.startswith("#"):
                    found.add(line)
    return found


def test_it_holds_two_chapters_and_nothing_that_answers_them(here, capsys):
    make("4", "00", "--out", "class")
    held = files(here / "class")
    assert {name for name in held if name.endswith(".ipynb")} == {
        f"{folder}/{page}.ipynb"
        for folder in ("notebooks", "exercises")
        for page in ("00_start_here", "04_dpo_loss")
    }
    tops = {name.split("/")[0] for name in held}
    assert tops == {"notebooks", "exercises", "course_lib", "course_tools"} | {
        *("README.md", "LICENSE", "CITATION.cff", "pyproject.toml", "requirements.txt"),
        *("docs", "requirements", "hatch_build.py"),
    }
    assert not [name for name in held if "grading" in name or name.endswith(".pyc")]
    exercises = {name[22:24] for name in held if name.startswith("course_lib/exer")}
    assert not {"01", "02", "03", "05", "06", "07"} & exercises
    starters = [it.decode() for name, it in held.items() if name.startswith("exer")]
    text, lines = "".join(starters), solution_lines()
    assert STUB in text
    assert len(lines) > 50
    assert not [n for n in lines if json.dumps(n, ensure_ascii=False)[1:-1] in text]
    told = capsys.readouterr().out
    assert (here / "class_HANDOUT.md").read_text("utf-8") in told


def test_every_command_and_file_that_a_page_names_is_in_it():
    names = handout.contents([path.name[:2] for path in notebooks("notebooks")])
    line = names["course_tools/cli.py"].decode()
    ours = {"bench", "remake"}  # of the whole course; a page says so where it names one
    for name in [name for name in names if name.endswith(".ipynb")]:
        text = names[name].decode()
        for verb in set(re.findall(r"-m course_lib ([a-z]+)", text)) - ours:
            assert f'"{verb}": ' in line, (name, verb)
    for module in re.findall(r'"course_lib[.](\S+)",', line):
        path = f"course_lib/{module.replace('.', '/')}"
        assert {f"{path}.py", f"{path}/__init__.py"} & {*names}, module
    for name in re.findall(r'^    "(\w+)": "', sets_of(names), re.MULTILINE):
        assert f"requirements/{name}.txt" in names
    assert "docs/launch/fsdp.py" in names
    assert "docs/glossary.md" in names


def sets_of(names: dict[str, bytes]) -> str:
    """The optional sets of packages, as a handout's own environment lists them."""
    return names["course_tools/environment.py"].decode().partition("NO_DEPS")[0]


def test_what_it_says_a_learner_can_find_is_there(here):
    make("04", "--out", "class")
    told = (here / "class_HANDOUT.md").read_text("utf-8")
    rows = [line.split("|")[1:4] for line in told.splitlines() if line[:4] == "| 4."]
    assert [row[0].split()[0] for row in rows] == [f"4.{n}" for n in range(1, 8)]
    for _, name, home in rows:
        source = (here / "class" / home.strip(" `")).read_text("utf-8")
        assert f"def {name.strip(' `')}(" in source
    assert "`ipo_loss` (6.1)" in told


@pytest.mark.slow
def test_it_works_by_itself(here):
    make("0", "--out", here / "class.zip")
    with zipfile.ZipFile("class.zip") as archive:
        archive.extractall()
    folder = here / "class"
    helped = call(folder, "-h")
    verbs = {line.split()[0] for line in helped.stdout.splitlines()[2:12]}
    assert verbs == set(handout.VERBS)
    assert call(folder, "grade").returncode == 2
    reset = call(folder, "reset")
    assert "00_start_here.ipynb" in reset.stdout, reset.stderr
    assert (folder / "my_work" / "Start.ipynb").exists()
    assert (folder / "my_work" / "Glossary.ipynb").exists()
    shown = call(folder, "diagnose", "-h")
    assert "log" in shown.stdout, shown.stderr
    mine = folder / "my_work" / "00_exercises.ipynb"
    checked = call(folder, "check", "00")
    assert "preference_probability · not attempted" in checked.stdout, checked.stderr
    page = nbformat.read(mine, as_version=4)
    for cell in page.cells:
        line = "return torch.sigmoid(reward_w - reward_l)"
        cell.source = cell.source.replace(STUB, line)
    nbformat.write(page, mine)
    checked = call(folder, "check", "00")
    assert "preference_probability · passed" in checked.stdout, checked.stdout
    assert checked.returncode == 0


EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

page = nbformat.read(sys.argv[1], as_version=4)
whose = "import course_lib; print(course_lib.__file__)"
page.cells.append(nbformat.v4.new_code_cell(whose))
NotebookClient(page, timeout=120).execute()
print(page.cells[-1].outputs[0].text)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", [pytest.param("notebooks", marks=pytest.mark.thorough), "exercises"]
)
def test_its_pages_run_on_its_own_library(here, part):
    make("00", "--out", "class")
    folder = here / "class"
    # in a process, for the kernels of these tests have a library already
    words = ["-c", EXECUTE, "00_start_here.ipynb"]
    done = run_python(*words, cwd=folder / part, path=[folder])
    assert str(folder) in done.stdout, done.stderr[-2000:]


def test_the_same_course_makes_the_same_zip(here):
    make("0", "4", "--out", "one/class.zip")
    make("04", "00", "4", "--out", "two/class.zip")
    assert files(here / "one")["class.zip"] == files(here / "two")["class.zip"]


def test_by_default_it_is_a_zip_named_after_its_chapters(here):
    make("04", "0")
    assert sorted(files(here)) == ["handout_00_04.zip", "handout_00_04_HANDOUT.md"]


@pytest.mark.parametrize("there", ["class", "class_HANDOUT.md"])
def test_nothing_is_overwritten(here, there):
    (here / there).mkdir()
    with pytest.raises(CourseError, match=f"{there} is there already") as told:
        make("0", "--out", "class")
    assert told.value.code == 2
    assert [path.name for path in here.iterdir()] == [there]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["99"], "No notebook begins with"),
        (["0", "x"], "No notebook begins with"),
        (["0", "--out", "note/class"], "cannot be written"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(here, words, says):
    (here / "note").write_text("a file")
    with pytest.raises(CourseError, match=says):
        make(*words)
    assert files(here) == {"note": b"a file"}


def test_a_learners_own_work_is_not_in_it():
    names = handout.contents(["0"])
    assert not [n for n in names if "my_work" in n or "__pycache__" in n]
    assert (repository() / "solutions").is_dir()
    assert not [n for n in names if "solution" in n]
