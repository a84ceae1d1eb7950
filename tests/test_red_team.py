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
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from red_team import FILES, ITEMS, LEVELS, Item, Places
from sandboxes import best, patience

from course_lib.workspace import repository
from course_tools.grading import command

TIMEOUT, MEMORY = 3 * patience(), 256  # seconds, MiB
SECRET = "planted secret"
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

    items: list[Item]
    code: int
    said: str
    peak: int  # KiB of the largest process
    marks: dict[tuple[str, str], dict]  # by submission and exercise
    rows: dict[tuple[str, str], list[str]]  # of grades.csv, in the same way
    text: str  # of every report, in every format
    pages: str  # of those that a browser shows
    before: dict[str, str]  # digests of what must not change
    after: dict[str, str]
    alive: list[str]
    left: list[str]
    heard: list[str]


def promised(level: str) -> list[Item]:
    """The items that isolation of this level promises to stop."""
    return [i for i in ITEMS if LEVELS.index(i.level) <= LEVELS.index(level)]


def handed_in(mode: str) -> list[Item]:
    """The class: broken files are the same in every mode, and come in the first."""
    if mode == "auto":
        return promised(best()[0].level)
    return [item for item in promised(mode) if item not in FILES]


def grade(folder: Path, items: list[Item], mode: str) -> Graded:
    """Hand in everything, have it graded, and look at what has become of the rest."""
    home, temporary, out = (folder / name for name in ("home", "temporary", "report"))
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
            item.put(places.handed_in, places)
        victim = places.class_folder / "victim.txt"
        victim.write_text("unharmed\n", encoding="utf-8")
        before = digests(places)
        ended = run(options(places, out, mode), folder, places)
        time.sleep(1)
        return Graded(
            items,
            *ended,
            *reported(out),
            before,
            after=digests(places),
            alive=alive(str(temporary)),
            left=sorted(os.listdir(temporary)),
            heard=heard(ears),
        )


def options(places: Places, out: Path, mode: str) -> list[str]:
    # three at a time on two cores: some do nothing but wait for the limit
    words = ["--jobs", "3", "--isolation", mode, "--timeout", str(TIMEOUT)]
    words += ["--memory", str(MEMORY), "--seed-file", str(places.seed_file)]
    return [*words, "--out", str(out), str(places.handed_in)]


def run(words: list[str], folder: Path, places: Places) -> tuple[int, str, int]:
    """Grade from the home folder of the one who teaches: exit code, words, peak."""
    env = {
        **os.environ,
        "HOME": str(places.home),
        "TMPDIR": str(folder / "temporary"),
        "PYTHONPATH": os.pathsep.join([str(repository()), os.environ["PYTHONPATH"]]),
        "COURSE_SECRET": f"{SECRET} of the environment",
    }
    said = folder / "said.log"
    with open(said, "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "course_lib", "grade", *words],
            cwd=places.home,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    told = said.read_text(encoding="utf-8", errors="replace")
    return process.returncode, told, used.ru_maxrss


def reported(out: Path) -> tuple[dict, dict, str, str]:
    """The marks, the rows of the gradebook, all texts, and those of pages."""
    marks, rows = {}, {}
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((out / "report.json").read_text(encoding="utf-8"))
        for one in told["submissions"]:
            for mark in one["marks"]:
                marks[one["submission"], mark["exercise"]] = mark
        with open(out / "grades.csv", encoding="utf-8", newline="") as file:
            for row in list(csv.reader(file))[1:]:
                rows[row[0].removeprefix("'"), row[2]] = row
    texts = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.suffix == ".zip":
            with zipfile.ZipFile(path) as parcel:
                for name in parcel.namelist():
                    texts[path / name] = parcel.read(name).decode()
        elif path.is_file() and path.name != "report.jsonl":
            texts[path] = path.read_text(encoding="utf-8")
    pages = "".join(text for path, text in texts.items() if path.suffix == ".html")
    return marks, rows, "".join(texts.values()), pages


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
    def grading(mode: str) -> Graded:
        return grade(tmp_path_factory.mktemp("red team"), handed_in(mode), mode)

    return grading


def graded(gradings, mode: str, item: Item | None = None) -> Graded:
    found = gradings(mode)
    if found.code == 3 and mode == "landlock":
        pytest.skip(f"isolation «{mode}» is not to be had on this computer")
    if item and item not in found.items:
        pytest.skip("the best isolation here does not promise to stop it")
    return found


def shown(name: str) -> str:
    """A name as it is shown, on one line."""
    name = name.encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() else "�" for c in name)[:200]


EACH = [("auto", item) for item in ITEMS]
EACH += [(mode, item) for mode in LEVELS[1::-1] for item in handed_in(mode)]
MARKS = dict.fromkeys(LEVELS[1::-1], pytest.mark.thorough)  # less than the best
each = pytest.mark.parametrize(
    ("mode", "item"),
    [
        pytest.param(mode, item, id=ascii(item.name), marks=MARKS.get(mode, ()))
        for mode, item in EACH
    ],
)
every_mode = pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, marks=MARKS.get(mode, ()))
        for mode in ["auto", *LEVELS[1::-1]]
    ],
)


@each
def test_one_gets_what_its_function_earns_and_is_told_why(gradings, mode, item):
    mark = graded(gradings, mode, item).marks[shown(item.name), item.exercise]
    assert item.least <= mark["score"] <= item.most, mark
    assert mark["status"] in item.statuses.split(), mark
    assert mark["seconds"] <= TIMEOUT + 2 * patience()
    message = mark["message"]
    assert item.says.lower() in message.lower()
    assert 0 < len(message.encode()) <= 2048
    assert message.isprintable()
    for word in ("Traceback", 'File "', "holds(", "site-packages/", "course-grading"):
        assert word not in message
    for path in (repository(), sys.prefix, sys.base_prefix, Path.home(), "/usr/"):
        assert len(Path(path).parts) < 3 or str(path) not in message


@every_mode
def test_the_grading_ends_with_one_row_for_each(gradings, mode):
    found = graded(gradings, mode)
    assert found.code == 0, found.said[-3000:]
    assert {name for name, _ in found.marks} == {shown(i.name) for i in found.items}
    assert len(found.items) == len({name for name, _ in found.rows})
    assert len(found.rows) == len(found.marks)
    assert "Traceback" not in found.said
    assert found.peak < 1 << 20  # its own need is small; its parent's is in it


@every_mode
def test_what_is_not_enforced_is_said(gradings, mode):
    said = graded(gradings, mode).said
    assert ("off  a submission can read this computer's files" in said) == (
        "isolation: process" in said
    )


@every_mode
def test_nothing_lives_on_or_is_left_or_has_changed(gradings, mode):
    found = graded(gradings, mode)
    assert not found.alive
    assert not found.left  # of scratch folders
    names = found.before.keys() | found.after.keys()
    changed = {n for n in names if found.before.get(n) != found.after.get(n)}
    assert not changed


@every_mode
def test_no_word_and_no_secret_got_out(gradings, mode):
    found = graded(gradings, mode)
    assert not found.heard
    assert f"{SECRET} of the canary" not in found.text
    assert f"{SECRET} of the environment" not in found.text
    assert f"ValueError: {SECRET}" not in found.text
    assert "LookupError" not in found.text


@every_mode
def test_markup_in_a_submission_stays_text(gradings, mode):
    pages = graded(gradings, mode).pages
    assert "&lt;script&gt;alert(1)" in pages
    assert "<script>" not in pages


@pytest.fixture(scope="module")
def peace(tmp_path_factory) -> dict[tuple[str, str], list[str]]:
    """The rows of the honest of the largest class, graded among themselves."""
    folder = tmp_path_factory.mktemp("peace")
    places = Places(repository(), folder, folder, folder, folder / "seed", 0)
    places.seed_file.write_text(f"{SECRET} of the seed\n", encoding="utf-8")
    for item in ITEMS:
        if item.exercise == "dpo_loss" and item.statuses == "passed":
            item.put(places.handed_in, places)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "choose", lambda *_, **__: best())
        assert command.main(options(places, folder / "report", "auto")) == 0
    return reported(folder / "report")[1]


@every_mode
def test_the_honest_get_the_same_rows_as_among_themselves(gradings, peace, mode):
    found = graded(gradings, mode)
    names = {shown(item.name) for item in found.items}
    rows = {place: row for place, row in peace.items() if place[0] in names}
    assert len(rows) > 20
    assert {place: found.rows[place] for place in rows} == rows
