"""The course as a package: built, installed, and used in an empty folder."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from commands import run_python
from jupyter_client.provisioning import KernelProvisionerFactory
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from course_lib.workspace import address, notebooks, repository
from course_tools import hosted

ROOT = repository()
LAB = (
    "from course_tools import cli, environment; import os; "
    "environment.hand_over = lambda *words, **_: print('BECOMES', *words, "
    "os.environ['COURSE_WORK'], sep='\\n'); "
    "raise SystemExit(cli.main(['lab', '1']))"
)
WHERE = "import course_lib, os; print(os.path.dirname(course_lib.__file__))"


def call(folder: Path, site: Path, *words, fails=False) -> str:
    """What Python says that runs in a folder, with the package in `site`."""
    done = run_python(*words, cwd=folder, path=[site])
    assert bool(done.returncode) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("hatchling", reason="python3 -m course_lib add package")
    out = tmp_path_factory.mktemp("wheel")
    words = ["-m", "hatchling", "build", "-t", "wheel", "-d"]
    run = [sys.executable, *words, str(out)]
    subprocess.run(run, cwd=ROOT, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """A folder into which pip has installed the wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    words = ["-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target"]
    subprocess.run([sys.executable, *words, folder, wheel], check=True)
    return folder


def test_the_oldest_packages_that_were_tried_are_those_of_a_learner_and_older():
    lists = []
    for name in ("requirements.txt", "requirements/lowest.txt"):
        text = (ROOT / name).read_text(encoding="utf-8").partition("# the tests")[0]
        lists.append(dict(re.findall(r"^([\w-]+)==([\d.]+)", text, re.M)))
    pins, lowest = lists
    assert list(pins) == list(lowest)
    for name, pin in pins.items():
        versions = [[*map(int, version.split("."))] for version in (lowest[name], pin)]
        assert versions == sorted(versions), name


@pytest.mark.slow
def test_the_package_has_the_pages_and_asks_for_the_same_pins(wheel):
    with zipfile.ZipFile(wheel) as held:
        names = set(held.namelist())
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        asked = re.findall(r"^Requires-Dist: (\S+)", held.read(metadata).decode(), re.M)
    for folder in ("notebooks", "exercises", "solutions"):
        for path in notebooks(folder):
            assert f"course_lib/course/{folder}/{path.name}" in names
    assert not [name for name in names if name.startswith(("tests/", "my_work/"))]
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if "==" in line]
    wanted = pins[: next(n for n, pin in enumerate(pins) if pin.startswith("pytest"))]
    assert sorted(asked) == sorted(pin.partition(" ")[0] for pin in wanted)


@pytest.mark.slow
def test_an_installed_course_makes_my_work_where_one_is(site, tmp_path):
    assert call(tmp_path, site, "-c", WHERE).strip() == str(site / "course_lib")
    said = call(tmp_path, site, "-c", LAB).partition("BECOMES\n")[2].split()
    work = tmp_path / "my_work"
    assert said[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={work}" in said
    assert f"--LabApp.app_settings_dir={work / '.lab'}" in said
    assert said[-1] == str(work)  # for the kernels, which are in there
    assert "fetchNews" in (work / ".lab" / "overrides.json").read_text("utf-8")
    made = {path.name for path in work.glob("*.ipynb")}
    chapters = {path.name for path in notebooks("notebooks")}
    exercises = {f"{path.name[:2]}_exercises.ipynb" for path in notebooks("exercises")}
    assert made == {"Start.ipynb", "Glossary.ipynb"} | chapters | exercises
    command = site / "bin" / "dpo-course"
    assert "Nothing is missing" in call(tmp_path, site, command, "reset")
    assert "is as fresh" in call(work, site, command, "reset", "04")
    assert list(tmp_path.iterdir()) == [work]  # no `.venv`, and no second `my_work/`


@pytest.mark.slow
def test_an_installed_course_checks_and_says_what_it_is_not(site, tmp_path):
    text = "from torch import sigmoid\n\n"
    text += "def preference_probability(w, l):\n    return sigmoid(w - l)"
    nbformat.write(new_notebook(cells=[new_code_cell(text)]), tmp_path / "mine.ipynb")
    course = "-m", "course_lib"
    said = call(tmp_path, site, *course, "check", "mine.ipynb")
    assert "preference_probability · passed" in said
    told = call(tmp_path, site, *course, "grade", "x", fails=True)
    assert "needs a copy of the whole course" in told
    assert "grade" not in call(tmp_path, site, *course, "-h")


@pytest.mark.slow
def test_a_page_alone_in_colab_installs_the_course_and_works(
    wheel, tmp_path, monkeypatch
):
    """Colab's layout: one notebook in a folder, and packages without the course."""
    # a forked kernel would know the path of this process
    makers = KernelProvisionerFactory.instance()
    monkeypatch.setattr(makers, "default_provisioner_name", "local-provisioner")
    installed, folder = tmp_path / "installed", tmp_path / "content"
    installed.mkdir()
    folder.mkdir()
    source = next(p for p in notebooks("exercises") if p.name.startswith("00"))
    page = nbformat.reads(json.dumps(hosted.colab_page(source)), as_version=4)
    first = page.cells[1]
    first.source = first.source.replace(f"git+{address()}", wheel.as_uri())
    away = f"import sys; sys.path[:] = [p for p in sys.path if p != {str(ROOT)!r}]"
    page.cells.insert(0, new_code_cell(away))
    right = "def preference_probability(w, l):\n    return (w - l).sigmoid()"
    told = "import course_lib; print(course_lib.__file__)"
    for code in (f"{right}\ncheck(preference_probability)", told):
        page.cells.append(new_code_cell(code))
    env = {name: it for name, it in os.environ.items() if name != "COURSE_WORK"}
    env["PYTHONPATH"] = os.pathsep.join([str(installed), env["PYTHONPATH"]])
    env.update(PIP_TARGET=str(installed), PIP_NO_INDEX="1")
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(page, timeout=120, resources=resources).execute(env=env)
    said = str(page.cells[-1].outputs)
    assert str(installed) in said
    assert "passed" in str(page.cells[-2].outputs)
    noted = json.loads((folder / "my_work" / "progress.json").read_text("utf-8"))
    assert noted["preference_probability"]["passed"]
