"""The set-up of `.venv`, with a real venv and a pretended pip: no network, no waiting.

The pretended pip does what the variable FAKE_PIP says and notes that it was called.
"""

import ast
import atexit
import functools
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import types
from pathlib import Path

import pytest
from commands import run_python

from course_lib import workspace
from course_lib.workspace import CourseError
from course_tools import environment, jupyterlab

ROOT = Path(workspace.__file__).parent.parent
FIRST_FILES = ["course_lib/__init__", "course_lib/__main__", "course_lib/_moved"]
FIRST_FILES += ["course_lib/workspace", "course_tools/__init__", "course_tools/cli"]
FIRST_FILES += ["course_tools/doctor", "course_tools/environment"]
FIRST_FILES += ["course_tools/copies", "course_tools/start_page"]

FAKE_PIP = """
import os, pathlib, signal, sys, sysconfig, time
what = os.environ.get("FAKE_PIP", "")
packages = pathlib.Path(sysconfig.get_path("purelib"))
if "--version" in sys.argv:
    sys.exit(what == "broken")
with open(pathlib.Path(sys.prefix).parent / "calls.txt", "a") as calls:
    calls.write("install\\n")
if what == "kill":
    os.kill(os.getppid(), signal.SIGKILL)
    until, end = pathlib.Path(sys.prefix).parent / "go-on", time.time() + 60
    while not until.exists() and time.time() < end:
        time.sleep(0.05)
if what.startswith("say "):
    sys.exit(what[4:])
for old in packages.glob("tiny-*/METADATA"):
    old.unlink()
for line in open(sys.argv[-1]):
    info = packages / (line.strip().replace("==", "-") + ".dist-info")
    info.mkdir(exist_ok=True)
    (info / "METADATA").touch()
"""


@functools.cache
def blank() -> Path:
    """A new `.venv` with the pretended pip, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="course-venv-"))
    atexit.register(shutil.rmtree, folder)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}), "pip")
    pip.mkdir()
    (pip / "__init__.py").touch()
    (pip / "__main__.py").write_text(FAKE_PIP)
    return folder


def quick_ask(*command, ask=environment.ask, **options):
    """Make a `.venv` without ensurepip's seconds."""
    if command[1:3] != ("-m", "venv"):
        return ask(*command, **options)
    shutil.copytree(blank(), command[3], symlinks=True, dirs_exist_ok=True)
    return False, ""


def use(root, patch):
    """Let the course be in `root` and its set-up be quick."""
    patch(workspace, "repository", lambda: root)
    patch(environment, "repository", lambda: root)
    patch(environment, "ask", quick_ask)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course without `.venv` that requires one small package; its folder."""
    for name in ("FAKE_PIP", "COURSE_WORK"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "requirements.txt").write_text("tiny==1.0\n")
    use(tmp_path, monkeypatch.setattr)
    return tmp_path


def pretend(folder, *packages):
    """Let a folder of packages hold these, each with its version."""
    for name in packages:
        (folder / f"{name}.dist-info").mkdir(parents=True)
        (folder / f"{name}.dist-info" / "METADATA").touch()


def calls(course):
    """How often pip was asked to install."""
    log = course / "calls.txt"
    return len(log.read_text().split()) if log.exists() else 0


# ── before anything stands ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FIRST_FILES)
def test_an_old_python_can_read_what_answers_it(name):
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 6))
    asked = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            asked |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            asked.add(node.module.split(".")[0])
            assert node.module != "__future__", "annotations came with 3.7"
    assert asked <= sys.stdlib_module_names | {"course_lib", "course_tools"}
    for node in ast.walk(tree):  # `Path | None` would be evaluated, and fail
        for hint in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            assert not isinstance(hint, (ast.BinOp, ast.Subscript))


def test_a_python_that_is_too_old_is_told_and_nothing_is_made(course, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    with pytest.raises(
        CourseError, match=r"needs Python 3\.11, 3\.12 or 3\.13"
    ) as told:
        environment.ready()
    assert "Install Python 3.12" in told.value.mend
    assert not (course / ".venv").exists()


def test_a_suitable_python_on_the_path_is_named_if_it_runs(course, monkeypatch):
    there = {"python3.12": "/no/such/shim", "python3.13": sys.executable}
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    monkeypatch.setattr(environment.shutil, "which", there.get)
    with pytest.raises(CourseError) as told:
        environment.demand_python("lab")
    assert told.value.mend == "Run: python3.13 -m course_lib lab"


def test_a_finished_environment_may_be_started_and_updated_by_any_python(
    course, monkeypatch
):
    python = environment.ready()
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    assert environment.ready() == python
    (course / "requirements.txt").write_text("tiny==1.1\n")
    environment.ready()
    assert environment.trouble() == ""


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_missing_module_is_named_with_its_package(course, monkeypatch, module):
    find = importlib.util.find_spec
    hide = lambda name: None if name == module else find(name)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hide)
    with pytest.raises(CourseError, match=f"no module {module}") as told:
        environment.ready()
    package = "apt install python{}.{}-venv".format(*sys.version_info)
    assert package in told.value.mend


# ── the set-up ────────────────────────────────────────────────────────────────────────


def test_a_first_run_sets_up_and_a_second_asks_pip_nothing(course, capsys):
    assert environment.trouble() == "there is none"
    python = environment.ready()
    assert environment.trouble() == ""
    assert "large download" in capsys.readouterr().out
    environment.ready()
    assert calls(course) == 1
    assert capsys.readouterr().out == ""
    code = "import sys; print(sys.prefix, sys.path[-1])"
    said = subprocess.check_output([python, "-I", "-c", code], text=True).split()
    assert [os.path.realpath(path) for path in said] == [
        os.path.realpath(course / ".venv"),
        os.path.realpath(course),  # so that notebooks find course_lib
    ]


def test_jupyterlab_asks_nothing_and_keeps_widgets_in_the_main_thread(course):
    environment.ready()
    path = course / ".venv/share/jupyter/lab/settings/overrides.json"
    there = json.loads(path.read_text())
    news = there["@jupyterlab/apputils-extension:notification"]
    assert news == {"fetchNews": "false", "checkForUpdates": False}
    kernels = there["@jupyterlab/apputils-extension:kernels-settings"]
    assert kernels == {"commsOverSubshells": "disabled"}
    path.write_text('{"of": {"somebody": "else"}}')
    environment.ready()
    assert json.loads(path.read_text()) == {"of": {"somebody": "else"}, **there}
    share = environment.venv_folder() / "share" / "jupyter"
    named = share / "labextensions" / "course-alt-text" / "static" / "remoteEntry.js"
    assert "image.alt = words" in named.read_text(encoding="utf-8")
    before = [file.stat().st_mtime_ns for file in (path, named)]
    environment.ready()
    assert [file.stat().st_mtime_ns for file in (path, named)] == before


def test_the_settings_are_names_that_jupyterlab_knows():
    schemas = Path(sys.prefix, "share/jupyter/lab/schemas")
    for plugin, values in jupyterlab.SETTINGS.items():
        package, name = plugin.split(":")
        text = (schemas / package / f"{name}.json").read_text(encoding="utf-8")
        known = json.loads(text)["properties"]
        for key, value in values.items():
            allowed = [choice["const"] for choice in known[key].get("oneOf", [])]
            assert value in allowed or known[key]["type"] == "boolean"


def test_a_comment_is_no_change_and_what_is_not_pinned_is(course):
    environment.ready()
    (course / "requirements.txt").write_text("# only a comment\ntiny==1.0  # more\n")
    environment.ready()
    assert calls(course) == 1
    (course / "requirements.txt").write_text("tiny==1.0\nunpinned\n")
    assert environment.trouble() == "requirements.txt has changed"


def packages() -> Path:
    return environment.probe()[1]


def interrupt(venv):
    def interrupted():
        raise KeyboardInterrupt

    environment.venv_python().unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            environment.ready()


STAMP = environment.STAMP
WRONG, CUT = "missing or of another version: tiny", "a set-up was cut short"
UNKNOWN, DEAD = "not made by this course", "its Python does not start"
SPOILT = [  # what is done to `.venv`, its trouble then, whether pip can put it right
    (lambda v: (v.parent / "requirements.txt").write_text("tiny==1.1"), WRONG, True),
    (lambda v: (packages() / "tiny-1.0.dist-info/METADATA").unlink(), WRONG, True),
    (lambda v: os.remove(v / STAMP), UNKNOWN, True),
    (lambda v: [shutil.rmtree(packages()), os.remove(v / STAMP)], UNKNOWN, False),
    (lambda v: (v / STAMP).write_bytes(b"\xff{"), CUT, False),
    (lambda v: environment.venv_python().unlink(), DEAD, False),
    (interrupt, CUT, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "trouble", "kept"), SPOILT)
def test_what_pip_can_finish_is_kept_and_the_rest_is_made_anew(
    course, spoil, trouble, kept
):
    venv = course / ".venv"
    environment.ready()
    spoil(venv)
    (venv / "mine").touch()
    (venv / "folder").mkdir()
    assert environment.trouble() == trouble
    environment.ready()
    assert environment.trouble() == ""
    assert calls(course) == 2
    (pin,) = environment.requirements()
    version = pin.partition("==")[2]
    assert environment.compare([packages()]) == [("tiny", version, version)]
    assert (venv / "mine").exists() == (venv / "folder").exists() == kept


DRIVER = """
import pathlib, sys
sys.path[:0] = {paths!r}
import test_environment
test_environment.use(pathlib.Path({root!r}), setattr)
test_environment.environment.ready()
"""


def run_set_up(course, **variables):
    """The set-up in a process of its own."""
    paths = [str(ROOT), str(Path(__file__).parent)]
    code = DRIVER.format(paths=paths, root=str(course))
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(course), **variables},  # it may be killed
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_set_up_killed_in_the_middle_of_pip_is_made_anew(course):
    with run_set_up(course, FAKE_PIP="kill") as process:
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert environment.trouble() == "a set-up was cut short"
    with run_set_up(course) as process:  # while the pip of the killed one still works
        assert process.stdout.readline() == "Waiting for another set-up to finish.\n"
        (course / "go-on").touch()
        process.communicate()
    assert environment.trouble() == ""


@pytest.mark.slow
def test_a_second_set_up_waits_for_the_first(course):
    with environment.alone():
        process = run_set_up(course)
        assert process.stdout.readline() == "Waiting for another set-up to finish.\n"
        assert calls(course) == 0
    with process:
        process.communicate()
    assert process.returncode == 0
    assert calls(course) == 1


@pytest.mark.slow
def test_who_waited_finds_the_work_done(course, monkeypatch):
    waiting = threading.Thread(target=environment.ready)
    with environment.alone():
        waiting.start()
        environment.set_up()
    waiting.join()
    assert calls(course) == 1


# ── optional sets ─────────────────────────────────────────────────────────────────────


def pins(name):
    return os.path.join("requirements", f"{name}.txt")


@pytest.fixture
def asked(course, monkeypatch):
    """Of which Python pip is asked what, once `.venv` is ready."""
    asked = []
    monkeypatch.setattr(environment, "satisfied", lambda: False)
    (course / "requirements").mkdir()
    environment.ready()
    monkeypatch.setattr(environment, "install", lambda *words: asked.append(words))
    return asked


@pytest.mark.parametrize("name", environment.SETS)
def test_a_set_is_added_to_the_environment_and_changes_nothing_else(asked, name):
    python = environment.venv_python()
    assert environment.add(name) == python
    ((where, words),) = asked
    assert where == python
    assert words[-2:] == ["-r", pins(name)]
    if name in environment.NO_DEPS:
        assert words[:-2] == ["--no-deps"]
    else:  # pip is held to what the course pins
        assert words[0] == "-c"
        assert Path(words[1]).read_text() == "tiny==1.0\n"
    assert environment.trouble() == ""


def test_several_sets_are_one_question_to_pip_but_for_what_comes_alone(asked):
    environment.add("site", "instruct", "browser")
    (_, held), (_, alone) = asked
    assert held[2:] == ["-r", pins("site"), "-r", pins("browser")]
    assert alone == ["--no-deps", "-r", pins("instruct")]


def test_every_set_is_a_file_of_exact_pins():
    for name in environment.SETS:
        lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
        wanted = [line for line in lines if line and not line.startswith("#")]
        assert wanted
        assert all("==" in line for line in wanted)


def test_pip_reads_the_set_from_the_courses_folder(course, monkeypatch):
    monkeypatch.setattr(environment, "satisfied", lambda: False)
    (course / "requirements").mkdir()
    (course / "requirements" / "browser.txt").write_text("small==2.0\n")
    environment.add("browser")
    assert (packages() / "small-2.0.dist-info" / "METADATA").exists()


# ── failures, each in one sentence ────────────────────────────────────────────────────

NO_ANSWER = """WARNING: Retrying (Retry(total=0)) after connection broken by \
'NewConnectionError('<conn>: [Errno -3] Temporary failure in name resolution')'
ERROR: Could not find a version that satisfies tiny==1.0 (from versions: none)
ERROR: No matching distribution found for tiny==1.0"""

SAYINGS = [
    ("ERROR: Could not install: [Errno 28] No space left on device", "disk is full"),
    ("OSError: [WinError 112] There is not enough space on the disk", "disk is full"),
    ("ERROR: [Errno 30] Read-only file system: 'x'", "cannot be written"),
    ("ERROR: [WinError 5] Access is denied: 'x'", "cannot be written"),
    (NO_ANSWER, "package index does not answer"),
    ("ReadTimeoutError: Read timed out.", "package index does not answer"),
    ("ERROR: No matching distribution found for tiny==1.0", "finds no build"),
    ("ERROR: something quite new", "something quite new"),
]


@pytest.mark.parametrize(("saying", "sentence"), SAYINGS)
def test_what_pip_says_is_understood(course, monkeypatch, saying, sentence):
    monkeypatch.setenv("FAKE_PIP", "say " + saying)
    with pytest.raises(CourseError, match=sentence) as told:
        environment.ready()
    assert told.value.mend
    assert environment.trouble() == "a set-up was cut short"
    monkeypatch.delenv("FAKE_PIP")
    environment.ready()
    assert environment.trouble() == ""


def test_a_traceback_of_pip_is_not_shown(course, monkeypatch, capfd):
    saying = "ERROR: Exception:\nTraceback (most recent call last):\n  File x\nOops"
    monkeypatch.setenv("FAKE_PIP", "say WARNING: Retrying (Retry(…\n" + saying)
    with pytest.raises(CourseError, match="Oops"):
        environment.ready()
    shown = capfd.readouterr().err
    assert "pip tries again" in shown
    assert "Retry(" not in shown
    assert "Traceback" not in shown


def test_an_update_without_network_leaves_the_environment_as_it_was(
    course, monkeypatch
):
    environment.ready()
    (course / ".venv" / "mine").touch()
    (course / "requirements.txt").write_text("tiny==1.1\n")
    monkeypatch.setenv("FAKE_PIP", "say " + NO_ANSWER)
    with pytest.raises(CourseError, match="does not answer"):
        environment.ready()
    (course / "requirements.txt").write_text("tiny==1.0\n")
    assert environment.trouble() == ""  # the environment of before still serves
    assert (course / ".venv" / "mine").exists()


def test_a_disk_without_room_is_named_even_if_pip_does_not(course, monkeypatch):
    usage = types.SimpleNamespace(free=10)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda place: usage)
    assert "disk is full" in str(environment.diagnosis("exit status 1"))


def test_an_error_of_the_system_is_a_sentence_with_its_file(course):
    error = environment.diagnosis(PermissionError(13, "Permission denied", "x/y"))
    assert "cannot be written" in str(error)
    assert "x/y" in str(error)
    assert "Is a directory" in str(environment.diagnosis(OSError(21, "Is a directory")))


# ── what a child process inherits ─────────────────────────────────────────────────────


def test_an_inherited_environment_does_not_reach_the_course(course, monkeypatch):
    for name in environment.FOREIGN:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("JUPYTER_PATH", "kept")
    monkeypatch.setenv("COURSE_WORK", "here")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    kept = environment.child_env()
    assert not environment.FOREIGN & set(kept)
    assert (kept["PIP_USER"], kept["JUPYTER_PATH"]) == ("0", "kept")
    assert kept["OMP_NUM_THREADS"] == "1"
    assert kept["COURSE_WORK"] == os.path.abspath("here")
    assert "VIRTUAL_ENV" not in kept or not kept["VIRTUAL_ENV"].startswith(str(course))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    (course / ".venv").mkdir()
    kept = environment.child_env()
    assert kept["OMP_NUM_THREADS"] == "3"
    assert kept["VIRTUAL_ENV"] == str(course / ".venv")
    assert kept["PATH"].startswith(str(course / ".venv"))


@pytest.mark.parametrize(
    ("pin", "version", "fit"),
    [
        ("2.13.0", "2.13.0", True),
        ("2.13.0", "2.13.0+cpu", True),
        ("2.13.0+cpu", "2.13.0", False),
        ("2.13.0", "2.13.01", False),
        ("2.13.0", None, False),
    ],
)
def test_a_local_version_fits_its_pin(pin, version, fit):
    assert environment.fits(pin, version) is fit


def test_the_running_python_is_known_by_its_packages(course, monkeypatch):
    pretend(course, "nbval-9.0", "PyYAML-1.2", "a_b.c-3")
    (course / "half_removed-1.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", ["", str(course), str(course / "none")])
    found = environment.installed(sys.path[1:])
    assert found == {"nbval": "9.0", "pyyaml": "1.2", "a-b-c": "3"}
    (course / "requirements.txt").write_text("nbval==9.0  # tests\nPyYAML==1.2\n")
    assert environment.satisfied()
    (course / "requirements.txt").write_text("nbval==9.0\nPyYAML==1.3\n")
    assert not environment.satisfied()


def test_an_installed_package_makes_no_environment_and_names_what_is_missing(
    course, monkeypatch
):
    monkeypatch.setattr(environment, "packaged", lambda: True)
    monkeypatch.setattr(workspace, "packaged", lambda: True)
    wanted = "tiny==1.0\nother==2\n# the tests\npytest==9\n"
    (course / "requirements.txt").write_text(wanted)
    # one of another version than its pin, and that is well
    pretend(course, "tiny-0.9", "other-2")
    monkeypatch.setattr(sys, "path", [str(course)])
    assert environment.ready() == Path(sys.executable)
    (course / "other-2.dist-info" / "METADATA").unlink()
    assert not environment.satisfied()
    with pytest.raises(CourseError, match=r"This Python lacks other==2\.") as told:
        environment.ready()
    assert told.value.mend == f"Run: {sys.executable} -m pip install other==2"
    assert not (course / ".venv").exists()


def test_hand_over_gives_back_the_exit_code(tmp_path):
    code = (
        "import sys; from course_tools import environment as e;"
        "sys.exit(e.hand_over(sys.executable, '-c', 'raise SystemExit(7)'))"
    )
    assert run_python("-c", code, cwd=ROOT).returncode == 7
