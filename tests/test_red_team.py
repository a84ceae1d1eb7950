"""The grader against a class of cheats, accidents and honest learners, all at once."""

import contextlib
import csv
import functools
import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from red_team import ITEMS, LEVELS, Item, Places

from course_lib.workspace import repository

TIMEOUT, MEMORY = 4, 256  # seconds, MiB
SECRET = "planted secret"
EXERCISES = tuple(dict.fromkeys(item.exercise for item in ITEMS))
GRADE = [sys.executable, "-m", "course_lib", "grade"]
PLANTED = ("red_team_planted.pth", "red_team_planted.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux", reason="the hostile submissions were written for Linux"
    ),
]


@dataclass
class Graded:
    """What one grading of the whole red team left behind."""

    code: dict[str, int]  # by exercise
    said: str
    marks: dict[tuple[str, str], list[dict]]  # by exercise and submission
    rows: dict[str, dict[str, list[str]]]  # of grades.csv, by exercise and submission
    text: str  # of every report, in every format
    pages: str  # of those that a browser shows
    before: dict[str, str]  # digests of what must not change
    after: dict[str, str]
    alive: list[str]
    left: list[str]
    heard: list[str]
    peak: dict[str, int]  # KiB of the largest process, by exercise


def isolation_of(mode: str) -> str:
    """The level that a mode comes to here, or "" if it is not to be had."""
    run = subprocess.run(
        [*GRADE, "--probe", "--isolation", mode],
        cwd=repository(),
        capture_output=True,
        text=True,
    )
    first = run.stdout.partition("\n")[0]
    return first.split()[1] if first.startswith("isolation:") else ""


def promised(level: str) -> list[Item]:
    """The items that isolation of this level promises to stop."""
    return [i for i in ITEMS if LEVELS.index(i.level) <= LEVELS.index(level)]


def grade(folder: Path, items: list[Item], mode: str) -> Graded:
    """Hand in everything, have it graded, and look at what has become of the rest."""
    home, temporary = folder / "home", folder / "temporary"
    for place in (home, temporary):
        place.mkdir()
    with contextlib.ExitStack() as stack:
        ears = [stack.enter_context(ear) for ear in listeners(home)]
        port = ears[0].getsockname()[1]
        places = Places(
            repository(), home, home / "notes.txt", home / "class", home / "seed", port
        )
        places.canary.write_text(f"{SECRET} of the canary\n", encoding="utf-8")
        places.seed_file.write_text(f"{SECRET} of the seed\n", encoding="utf-8")
        for item in items:
            item.put(places.class_folder / item.exercise, places)
        victim = places.class_folder / "victim.txt"
        victim.write_text("unharmed\n", encoding="utf-8")
        graded = Graded({}, "", {}, {}, "", "", digests(places), {}, [], [], [], {})
        for exercise in EXERCISES:
            if any(item.exercise == exercise for item in items):
                _grade(graded, exercise, places, folder, mode)
        time.sleep(1)
        graded.after = digests(places)
        graded.alive = alive(str(temporary))
        graded.left = sorted(os.listdir(temporary))
        graded.heard = heard(ears)
    return graded


def _grade(graded: Graded, exercise: str, places: Places, folder: Path, mode: str):
    """Grade one exercise's class, from the home folder of the one who teaches."""
    out = folder / f"report of {exercise}"
    words = f"--exercise {exercise} --jobs 2 --isolation {mode}".split()
    words += ["--timeout", str(TIMEOUT), "--memory", str(MEMORY)]
    words += ["--seed-file", str(places.seed_file), "--out", str(out)]
    words += [str(places.class_folder / exercise)]
    env = {
        **os.environ,
        "HOME": str(places.home),
        "TMPDIR": str(folder / "temporary"),
        "PYTHONPATH": os.pathsep.join([str(repository()), os.environ["PYTHONPATH"]]),
        "COURSE_SECRET": f"{SECRET} of the environment",
    }
    said = folder / f"{exercise}.log"
    with open(said, "w") as log:
        process = subprocess.Popen(
            [*GRADE, *words],
            cwd=places.home,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    graded.code[exercise] = process.returncode
    graded.said += said.read_text(encoding="utf-8", errors="replace")
    graded.peak[exercise] = used.ru_maxrss
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((out / "report.json").read_text(encoding="utf-8"))
        for one in told["submissions"]:
            graded.marks[exercise, one["submission"]] = one["marks"]
        with open(out / "grades.csv", encoding="utf-8", newline="") as file:
            rows = {row[0].removeprefix("'"): row for row in csv.reader(file)}
        graded.rows[exercise] = rows
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name != "report.jsonl":
            graded.text += path.read_text(encoding="utf-8")
    graded.pages += "".join(p.read_text(encoding="utf-8") for p in out.rglob("*.html"))


def listeners(home: Path) -> list[socket.socket]:
    """TCP and UDP on one port, a socket with a path and one with an abstract name."""
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))
    path, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(home)  # a socket's path has little room
    path.bind("talk")
    os.chdir(here)
    abstract.bind(f"\0course-red-team-{port}")
    for ear in (path, abstract):
        ear.listen()
    return [tcp, udp, path, abstract]


def heard(ears: list[socket.socket]) -> list[str]:
    names = dict(zip(ears, ("TCP", "UDP", "a path", "an abstract name"), strict=True))
    return [names[ear] for ear in select.select(ears, [], [], 0)[0]]


def digests(places: Places) -> dict[str, str]:
    """What the class, the one who teaches and the course have on the disk."""
    course = [places.course / name for name in ("solutions", "course_lib")]
    found = {}
    for top in (places.home, *course):
        for path in sorted(top.rglob("*")):
            if "__pycache__" in path.parts:
                continue
            found[str(path)] = str(path.lstat().st_mode)
            if path.is_file() and not path.is_symlink():
                found[str(path)] += hashlib.sha256(path.read_bytes()).hexdigest()
    for folder in (sysconfig.get_path("purelib"), *sys.path, "/tmp", "/dev/shm"):
        for name in PLANTED:
            path = Path(folder, name)
            if path.is_file():
                found[str(path)] = "planted"
                path.unlink()
    with contextlib.suppress(OSError):
        lines = Path("/proc/sysvipc/shm").read_text().splitlines()
        found["shared memory"] = str([line for line in lines if "1937" in line])
    return found


def alive(mark: str) -> list[str]:
    """Processes that were started for this grading: they carry its folder's name."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                told = (folder / "cmdline").read_bytes()
                told += (folder / "environ").read_bytes()
                if mark.encode() in told:
                    found.append(f"{folder.name}: {told[:200]!r}")
    return found


@pytest.fixture(scope="module")
def gradings(tmp_path_factory):
    """One grading for each mode of isolation, made when it is asked for."""

    @functools.cache
    def grading(mode: str) -> tuple[str, Graded]:
        level = isolation_of(mode)
        if not level:
            return "", Graded({}, "", {}, {}, "", "", {}, {}, [], [], [], {})
        folder = tmp_path_factory.mktemp("red team")
        return level, grade(folder, promised(level), mode)

    return grading


def graded(gradings, mode: str, item: Item | None = None) -> Graded:
    level, found = gradings(mode)
    assert level or mode == "landlock", f"isolation «{mode}» must always be to be had"
    if not level:
        pytest.skip(f"isolation «{mode}» is not to be had on this computer")
    if item and item not in promised(level):
        pytest.skip(f"«{level}», the best isolation here, does not promise to stop it")
    return found


def mark_of(found: Graded, item: Item) -> dict:
    """Its one mark; names are shown on one line."""
    name = item.name.encode("utf-8", "replace").decode()
    name = "".join(c if c.isprintable() else "�" for c in name)[:200]
    (mark,) = found.marks[item.exercise, name]
    return mark


MODES = ["auto", *(pytest.param(m, marks=pytest.mark.slow) for m in LEVELS[1::-1])]
EACH = [("auto", item) for item in ITEMS]
EACH += [
    pytest.param(mode, item, marks=pytest.mark.slow)
    for mode in LEVELS[1::-1]
    for item in promised(mode)
]
NAMES = [f"{(e if type(e) is tuple else e.values)[1].name}" for e in EACH]
each = pytest.mark.parametrize(("mode", "item"), EACH, ids=map(ascii, NAMES))
every_mode = pytest.mark.parametrize("mode", MODES)


@each
def test_one_gets_the_points_that_its_function_earns(gradings, mode, item):
    mark = mark_of(graded(gradings, mode, item), item)
    assert item.least <= mark["score"] <= item.most, mark
    assert mark["status"] in item.statuses, mark


@each
def test_one_is_told_why(gradings, mode, item):
    message = mark_of(graded(gradings, mode, item), item)["message"]
    assert item.says.lower() in message.lower()
    assert 0 < len(message.encode()) <= 2048
    assert message.isprintable()
    for word in ("Traceback", 'File "', "holds(", "site-packages/", "course-grading"):
        assert word not in message
    for path in (repository(), sys.prefix, sys.base_prefix, Path.home(), "/usr/"):
        assert len(Path(path).parts) < 3 or str(path) not in message


@each
def test_one_takes_no_longer_than_it_may(gradings, mode, item):
    mark = mark_of(graded(gradings, mode, item), item)
    assert mark["seconds"] <= TIMEOUT + 2


@every_mode
def test_the_grading_ends_with_one_row_for_each(gradings, mode):
    found = graded(gradings, mode)
    items = promised(gradings(mode)[0])
    assert found.code == dict.fromkeys(EXERCISES, 0), found.said[-3000:]
    assert len(found.marks) == len(items)
    assert sum(map(len, found.rows.values())) == len(items) + len(EXERCISES)
    assert "Traceback" not in found.said


@every_mode
def test_nothing_of_it_lives_on(gradings, mode):
    assert not graded(gradings, mode).alive


@every_mode
def test_no_scratch_folder_is_left(gradings, mode):
    assert not graded(gradings, mode).left


@every_mode
def test_nothing_else_was_changed_or_planted(gradings, mode):
    found = graded(gradings, mode)
    names = found.before.keys() | found.after.keys()
    changed = {n for n in names if found.before.get(n) != found.after.get(n)}
    assert not changed


@every_mode
def test_no_word_got_out(gradings, mode):
    level = gradings(mode)[0]
    heard = graded(gradings, mode).heard
    assert not heard, level


@every_mode
def test_no_secret_got_into_a_report(gradings, mode):
    text = graded(gradings, mode).text
    assert f"{SECRET} of the canary" not in text
    assert f"{SECRET} of the environment" not in text
    assert f"ValueError: {SECRET}" not in text
    assert "LookupError" not in text


@every_mode
def test_markup_in_a_submission_stays_text(gradings, mode):
    pages = graded(gradings, mode).pages
    assert "&lt;script&gt;" in pages
    assert "<script>" not in pages


@every_mode
def test_the_grader_itself_needs_little_memory(gradings, mode):
    assert graded(gradings, mode).peak["dpo_loss_is_sound"] < 1 << 20


@pytest.fixture(scope="module")
def peace(tmp_path_factory) -> Graded:
    """The honest of the largest class, graded among themselves."""
    honest = [i for i in ITEMS if i.exercise == EXERCISES[0] and "passed" in i.statuses]
    return grade(tmp_path_factory.mktemp("peace"), honest, "auto")


@every_mode
def test_the_honest_get_the_same_rows_as_among_themselves(gradings, peace, mode):
    found = graded(gradings, mode)
    for exercise, rows in peace.rows.items():
        for name, row in rows.items():
            assert found.rows[exercise][name] == row
