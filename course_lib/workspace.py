"""Where things lie, the learner's own folder `my_work/` among them, and JSON files.

Standard library only and readable by Python 3.6: it runs before the environment stands.
"""

import json
import os
from pathlib import Path


class CourseError(Exception):
    """What went wrong, in one sentence, and how to mend it."""

    def __init__(self, sentence: str, mend: str = "", code: int = 1):
        super().__init__(sentence)
        self.mend = mend
        self.code = code


def repository() -> Path:
    """The folder that holds the course."""
    return Path(__file__).resolve().parent.parent


def work_folder() -> Path:
    """Where the learner's copies lie: `my_work/`, or what COURSE_WORK says."""
    chosen = os.environ.get("COURSE_WORK")
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    return repository() / "my_work"


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
    text = (repository() / "requirements.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
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
    draft = path.with_name(path.name + ".new")
    with open(str(draft), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(str(draft), str(path))
