"""Where things lie, the learner's own folder `my_work/` among them, and JSON files.

Standard library only and readable by Python 3.6: it runs before the environment stands.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path


class CourseError(Exception):
    """What went wrong, in one sentence, and how to mend it."""

    def __init__(self, sentence: str, mend: str = "", code: int = 1):
        super().__init__(sentence)
        self.mend = mend
        self.code = code


# What an installed package holds of the course; the course itself has no such folder.
CARRIED = Path(__file__).resolve().parent / "course"
WORK, TESTS = "my_work", "# the tests"


def packaged() -> bool:
    """Whether this is the installed package, without tests and without a `.venv`."""
    return CARRIED.is_dir()


def repository() -> Path:
    """The folder that holds the course, or what the installed package has of it."""
    return CARRIED if packaged() else CARRIED.parent.parent


def work_folder() -> Path:
    """Where the learner's copies lie: `my_work/`, or what COURSE_WORK says.

    It is in the course's folder; for an installed package, in the current one.
    """
    chosen = os.environ.get("COURSE_WORK")
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    if not packaged():
        return repository() / WORK
    here = Path.cwd()  # a kernel is in `my_work/` itself
    return here if here.name == WORK else here / WORK


def requirements() -> "list[str]":
    """The lines of requirements.txt that ask for something.

    An installed package asks for no tests, and does not ask for itself.
    """
    text = (repository() / "requirements.txt").read_text(encoding="utf-8")
    needed = text.partition(TESTS)[0] if packaged() else text
    lines = [line.partition("#")[0].strip() for line in needed.splitlines()]
    return [line for line in lines if line]


def address() -> str:
    """Where the course is published, as pyproject.toml says."""
    text = (repository() / "pyproject.toml").read_text(encoding="utf-8")
    return re.search('^Repository = "(.*)"$', text, re.M).group(1)


def notebooks(folder: str) -> "list[Path]":
    """The notebooks in one of the course's folders, in order."""
    return sorted((repository() / folder).glob("[0-9][0-9]*.ipynb"))


def find(folder: str, wanted: str) -> Path:
    """The notebook in `folder` that `wanted` means: 4, 04, 04_dpo or its file's name.

    raises: CourseError, listing what there is, if that is not exactly one notebook
    """
    key = wanted.zfill(2) if wanted.isdigit() else Path(wanted).stem
    there = notebooks(folder)
    exact = [path for path in there if key == path.stem]
    found = exact or [path for path in there if key and path.name.startswith(key)]
    if len(found) != 1:
        names = ", ".join(path.stem for path in there) or "no notebook yet"
        how_many = "Several notebooks begin" if found else "No notebook begins"
        sentence = f'{how_many} with "{wanted}"; {folder}/ has {names}.'
        raise CourseError(sentence, code=2)
    return found[0]


def ever_passed(note: dict) -> bool:
    """Whether an exercise was passed at any time, by its note in progress.json."""
    return bool(note.get("passed", note.get("state") == "passed"))


def check_environment() -> None:
    """Say which packages are not as `requirements.txt` pins them; or that all is well.

    It looks at the Python that runs, in a second; `python3 -m course_lib doctor` looks
    at everything else.
    """
    from importlib.metadata import PackageNotFoundError, version

    wrong = 0
    for line in requirements():
        name, _, pin = line.partition(";")[0].strip().partition("==")
        if not pin:
            continue
        try:
            found = version(name).partition("+")[0]
        except PackageNotFoundError:
            found = "missing"
        if found != pin and not (found == "missing" and ";" in line):
            wrong += 1
            print(f"✗ {name} is {found}, and {pin} is needed")
    mend = "`python3 -m course_lib doctor` in a terminal says how to put that right."
    print(mend if wrong else "All is well.")


def read(path: Path) -> "dict | None":
    """What a JSON file holds: None if it holds nothing, {} if it makes no sense."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None
    except ValueError:
        return {}
    return content if content is None or isinstance(content, dict) else {}


def write(path: Path, content: "dict | None") -> None:
    """Write JSON in one step: nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def fill(draft: Path) -> None:
        with open(str(draft), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())

    write_whole(path, fill)


def write_whole(path: Path, fill: "Callable[[Path], object]") -> None:
    """Let `fill` write a file beside this one, which then takes its name."""
    beside = path.with_name(path.name + ".part")
    fill(beside)
    os.replace(str(beside), str(path))


def write_whole_folder(folder: Path, fill: "Callable[[Path], object]") -> None:
    """Let `fill` write into a folder beside this one, which then takes its name.

    raises: FileExistsError if the folder is there already
    """
    if folder.exists():
        raise FileExistsError(f"{folder} is there already")
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(str(beside), ignore_errors=True)
    beside.mkdir(parents=True)
    fill(beside)
    os.replace(str(beside), str(folder))
