"""What a class is given: pages, starters and the library, without the answers.

No `solutions/`, no tests, no grader, and of the exercises only those of the chapters
that are handed out. The library itself has to be there, because pages and `check` run
on it; `statement` says which of its functions are answers.
"""

import argparse
import inspect
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from course_lib import workspace
from course_lib.exercises import EXERCISES
from course_lib.exercises.spec import Exercise
from course_lib.workspace import CourseError
from course_tools.environment import COMMAND, SETS

__all__ = ["contents", "main", "statement"]

AS_THEY_ARE = ("LICENSE", "CITATION.cff", "pyproject.toml", "requirements.txt")
AS_THEY_ARE += ("hatch_build.py",)  # which makes `-e .` a package
AS_THEY_ARE += ("docs/glossary.md",)  # which the start page leads to
TOOLS = ("__init__", "check", "cli", "copies", "doctor", "environment", "jupyterlab")
TOOLS += ("start_page",)
FOLDERS = ("notebooks", "exercises")
LAUNCHED = "docs/launch"  # short programs that chapter 09 prints and starts
VERBS = ("lab", "check", "inspect", "diagnose", "train", "torchrun", "review", "add")
VERBS += ("reset", "doctor")
SKIPPED = re.compile(r"^[.]|^__pycache__$|[.]pyc$|[.]new$|~$")
README = """\
# DPO from first principles: {title}

{pages}

## Begin

You need Python 3.11, 3.12 or 3.13, and a network once. In a terminal, in this folder
(on Windows, `python` in place of `python3`):

```
python3 -m course_lib lab
```

The first run makes the folder `.venv` and installs what `requirements.txt` pins; on
Linux that is about 3 GB. Interrupt it whenever you like, the next run finishes it. Then
JupyterLab opens at a start page with links to all that is here. If something is wrong,
`python3 -m course_lib doctor` says what it is and how to mend it.

## Work

You work in the folder `my_work/`: it has a copy of each page and of its exercises, and
nothing overwrites what you have edited. Write a function, run `check(function)`, read
the card, ask for a `hint(function)`; `progress()` shows how far you are. In a terminal,
`python3 -m course_lib check {first}` checks your exercises, and
`python3 -m course_lib reset {first}` starts them afresh, keeping what you had;
`python3 -m course_lib review` asks again, a few questions a day. Where a page tells you
to type another command, such as `diagnose` or `add`, it is here too; `remake` and
`bench`, which made and measured what is shipped, are in the whole course only.

## Hand in

Hand in your exercises from `my_work/`: {hand_in}.

Keep the names of the functions: each counts under the name that its exercise gives it.
The course's own functions are not there when your work is marked: importing one from
`course_lib` in place of writing it earns nothing.
"""
STATEMENT = """\
# What is in {name}, for the one who teaches

Chapters: {title}. {count}

Left out: `solutions/` (with them the answer that `check` folds below a passed card),
the tests, the grader, the teacher's guide, and the exercises of all other chapters.

## What a learner can still find in it

The pages and `check` run on the course's own functions, so the library has to contain
them, and whoever opens its files can read them. They are in plain text, because
compiling or scrambling them would keep nobody out for long. Of these chapters:

| exercise | its answer is | in |
|---|---|---|
{answers}

Each exercise's file in `course_lib/exercises/` also shows what is demanded, the steps
of a right answer, and the hints, the last of which is nearly the line itself.

The library is one, so it answers exercises of other chapters as well: {others}.

## What that means for marks

Importing an answer earns nothing: where submissions run, `course_lib` is empty. Copying
its text into a page earns what the text is worth, as from any other place, and the
course with its solutions may be public too. Likeness to the course's own answers can be
found (`similarity.csv`), but it proves nothing for a short one. For a mark that has to
stand alone, talk with the learner, or set an exercise of your own.
"""


def contents(chapters: Sequence[str]) -> dict[str, bytes]:
    """The files of a handout, each by its path in there, in order.

    chapters: as `workspace.find` understands them: 4, 04 or 04_dpo
    raises: CourseError if one of them is no chapter
    """
    root = workspace.repository()
    pages = _pages(chapters)
    paths = [root / name for name in AS_THEY_ARE]
    paths += [root / "course_tools" / f"{name}.py" for name in TOOLS]
    paths.append(root / "course_tools" / "alt_text.js")
    paths += [root / folder / page for folder in FOLDERS for page in pages]
    paths += [root / "requirements" / f"{name}.txt" for name in SETS]
    paths += [p for p in (root / LAUNCHED).iterdir() if not SKIPPED.search(p.name)]
    paths += _library(root / "course_lib", {page[:2] for page in pages})
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    found["README.md"] = _readme(pages).encode()
    line = _command_line(found["course_tools/cli.py"].decode())
    found["course_tools/cli.py"] = line.encode()
    return dict(sorted(found.items()))


def statement(chapters: Sequence[str], name: str) -> str:
    """For the one who teaches: what answers a handout holds all the same.

    name: what the handout is called
    """
    pages = _pages(chapters)
    inside = {page[:2] for page in pages}
    mine = [e for e in EXERCISES.values() if _chapter(e) in inside]
    rest = [e for e in EXERCISES.values() if _chapter(e) not in inside]
    return STATEMENT.format(
        name=name,
        title=", ".join(page[:2] for page in pages),
        count=f"{len(mine)} exercise{'' if len(mine) == 1 else 's'}.",
        answers="\n".join(
            f"| {e.number} {e.title} | `{e.reference.__name__}` | `{_home(e)}` |"
            for e in mine
        ),
        others=", ".join(f"`{e.name}` ({e.number})" for e in rest) or "there is none",
    )


def main(argv: Sequence[str]) -> int:
    """Make a handout, and say what it still shows; see `handout --help`."""
    asked = argparse.ArgumentParser(
        prog=f"{COMMAND} handout",
        description="Make what a class is given: pages, starters and the library of "
        "some chapters, without solutions. What a learner can still find in it is "
        "printed, and written beside it for you to keep.",
    )
    asked.add_argument("chapters", metavar="CHAPTER", nargs="+", help="such as 04")
    asked.add_argument(
        "--out",
        metavar="FOLDER|FILE.zip",
        help="where it goes (default: handout_04.zip, here); never over what is there",
    )
    options = asked.parse_args(argv)
    numbers = [page[:2] for page in _pages(options.chapters)]
    out = Path(os.path.abspath(options.out or f"handout_{'_'.join(numbers)}.zip"))
    beside = out.with_name(f"{_name(out)}_HANDOUT.md")
    for path in (out, beside):
        if os.path.lexists(path):
            raise CourseError(
                f"{path} is there already, and is left as it is.",
                "Choose another name with --out, or move it away.",
                code=2,
            )
    told = statement(options.chapters, out.name)
    try:
        _write(out, contents(options.chapters), beside, told)
    except OSError as error:
        why = error.strerror or error
        raise CourseError(f"{out} cannot be written: {why}.", code=2) from None
    print(told)
    print(f"The handout is {out}; the words above are in {beside.name}, for you.")
    return 0


def _pages(chapters: Iterable[str]) -> list[str]:
    """File names of the chapters' pages, in order and each once."""
    found = {workspace.find("notebooks", chapter).name for chapter in chapters}
    for page in found:
        workspace.find("exercises", page)
    return sorted(found)


def _library(folder: Path, inside: set[str]) -> list[Path]:
    """The files of course_lib, without the exercises of other chapters."""
    found = []
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        chapter = re.match(r"exercises/e(\d\d)_", below.as_posix())
        skip = any(SKIPPED.search(part) for part in below.parts)
        if path.is_file() and not skip and (not chapter or chapter[1] in inside):
            found.append(path)
    return found


def _command_line(source: str) -> str:
    """The command line without the verbs that only the whole course has."""
    kept = [
        line
        for line in source.splitlines(keepends=True)
        if not (verb := re.match(r' {4}"(\w+)": ', line)) or verb[1] in VERBS
    ]
    return "".join(kept)


def _readme(pages: Sequence[str]) -> str:
    rows = []
    for page in pages:
        notebook = workspace.read(workspace.find("notebooks", page))
        heading = "".join(notebook["cells"][0]["source"]).partition("\n")[0]
        rows.append(
            f"- [{heading.lstrip('# ')}](notebooks/{page}), with its "
            f"[exercises](exercises/{page})"
        )
    numbers = [page[:2] for page in pages]
    title = f"chapter{'s' * (len(numbers) > 1)} {', '.join(numbers)}"
    names = " and ".join(f"`{number}_exercises.ipynb`" for number in numbers)
    return README.format(
        title=title, pages="\n".join(rows), first=numbers[0], hand_in=names
    )


def _chapter(exercise: Exercise) -> str:
    return exercise.number.split(".")[0].zfill(2)


def _home(exercise: Exercise) -> str:
    """The file that an exercise's reference is in."""
    source = Path(inspect.getsourcefile(exercise.reference) or "")
    return source.resolve().relative_to(workspace.repository()).as_posix()


# ── on the disk, whole or not at all ──────────────────────────────────────────────────


def _name(out: Path) -> str:
    return out.stem if out.suffix.lower() == ".zip" else out.name


def _write(out: Path, files: Mapping[str, bytes], beside: Path, told: str):
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".handout-", dir=out.parent))
    try:
        made, note = draft / "made", draft / "note"
        if out.suffix.lower() == ".zip":
            _zipped(made, _name(out), files)
        else:
            for name, content in files.items():
                path = made / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        note.write_text(told, encoding="utf-8", newline="\n")
        os.rename(note, beside)
        os.rename(made, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _zipped(path: Path, name: str, files: Mapping[str, bytes]):
    """One folder in a zip; the same bytes from the same course, whenever it is made."""
    with zipfile.ZipFile(path, "w") as archive:
        for below, content in files.items():
            member = zipfile.ZipInfo(f"{name}/{below}")  # of 1980
            member.external_attr = 0o100644 << 16
            member.create_system = 3
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
