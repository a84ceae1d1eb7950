"""The house stands: floors, pins, tidy code, and no word of where it was built."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import course_lib
from course_lib.exercises import EXERCISES
from course_lib.workspace import notebooks, repository

ROOT = repository()
OURS = [
    "course_lib",
    "course_tools",
    "tests",
    "notebooks",
    "solutions",
    "conftest.py",
]  # not a learner's own files


def test_imports_go_down_only():
    """The rules stand in pyproject.toml, under [tool.importlinter]."""
    run = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    answer = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("folder", ["notebooks", "exercises", "solutions"])
def test_pages_import_the_library_and_never_the_tools(folder):
    for path in notebooks(folder):
        text = path.read_text(encoding="utf-8")
        assert "from course_lib" in text
        assert "course_tools" not in text, path.name


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh Python has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    run = [sys.executable, "-c", code]
    answer = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


def test_the_package_and_its_command_line_need_the_standard_library_alone():
    loaded = loaded_by("import course_lib.__main__")
    ours = {name for name in loaded if name.startswith("course_")}
    assert {name.split(".")[0] for name in loaded - ours} <= {
        *sys.stdlib_module_names,
        *loaded_by("pass"),  # what an environment loads by itself
    }


@pytest.mark.slow
def test_check_loads_no_figure():
    loaded = loaded_by("from course_lib import check")
    assert not {"matplotlib", "ipywidgets", "course_lib.plots"} & loaded


def test_every_public_name_has_one_home_and_tab_finds_it():
    for module, names in course_lib._NAMES.items():
        home = importlib.import_module(f"course_lib.{module}")
        assert sorted(home.__all__) == sorted(names.split()), module
    assert len(course_lib.__all__) == len(set(course_lib.__all__))
    assert set(course_lib.__all__) <= set(dir(course_lib))
    assert course_lib.check is importlib.import_module("course_lib.checking").check
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = course_lib.no_such_name


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("course_lib.figures", "slope_against_beta", "course_lib.plots"),
        ("course_lib.figures.shapes", "loss_shapes", "course_lib.plots.shapes"),
        ("course_lib.clinic", "PATIENTS", "course_lib.bugs"),
        ("course_lib.evaluation", "exact_scores", "course_lib.metrics"),
        ("course_lib.batches", "score", "course_lib.batches"),
    ],
)
def test_an_old_name_works_and_is_told_the_new_one(old, name, new):
    sys.modules.pop(old, None)
    with pytest.warns(FutureWarning, match=f"{old}.* is now {new}"):
        found = getattr(importlib.import_module(old), name)
    there = importlib.import_module(new)
    assert any(found is thing for thing in vars(there).values())


def pins(file: str = "requirements.txt") -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    pinned = (line.partition(";")[0] for line in lines)  # without its platform
    return dict(line.split("==") for line in pinned if "==" in line)


def test_requirements_are_pinned_exactly_and_installed():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-e"))]
    assert len(wanted) == len(pins())
    assert pins()["torch"] == "2.13.0"
    for name, pin in pins().items():
        assert version(name).split("+")[0] == pin


@pytest.mark.slow
def test_everything_imported_is_a_declared_dependency():
    files = ("requirements.txt", "requirements/browser.txt", "requirements/trl.txt")
    files += ("requirements/production.txt", "requirements/site.txt")
    packages = {package for file in files for package in pins(file)}
    declared = {package.replace("-", "_") for package in packages}
    declared |= {"course_lib", "course_tools"}
    declared |= {"IPython", "jupyter_client", "nbclient", "PIL", "docutils"}
    helpers = {path.stem for path in (ROOT / "tests").rglob("*")}
    for path in [p for f in OURS[:3] for p in (ROOT / f).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in {n.split(".")[0] for n in names}:
                known = name in sys.stdlib_module_names or name in declared | helpers
                assert known, f"{path.name} imports {name}"


@pytest.mark.parametrize("words", [["check"], ["format", "--check"]])
def test_ruff_is_content(words):
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *words, *OURS],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:]


def tracked_texts():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png", ".gif", ".otf", ".pt"):
            yield name, path.read_text(encoding="utf-8")


def test_no_path_of_a_machine_and_no_host_of_a_registry():
    # built from pieces, so that this file does not find itself
    words = [
        "/ro" + "ot/",
        "/wo" + "rk/",
        "/ho" + "me/",
        "C:" + "\\Users",
        "py" + "pi.org",
    ]
    words += ["files.python" + "hosted", "../sha" + "red"]
    found = [(n, w) for n, text in tracked_texts() for w in words if w in text]
    assert not found


def test_the_readme_names_the_two_commands_and_the_version_is_one():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python3 -m course_lib lab" in readme
    assert "python3 -m course_lib test" in readme
    known = sum(len(exercise.faults) for exercise in EXERCISES.values())
    assert f"{len(EXERCISES)} exercises know more than 900 mistakes" in readme
    assert known > 900
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(project['version'])}$", citation, re.M)
    assert project["version"] in changelog


def test_continuous_integration_calls_the_readme_s_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    assert "python3 -m course_lib test" in script
