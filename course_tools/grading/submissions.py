"""What learners handed in: files, folders, or the zip that a course platform gives.

Nothing is unpacked, run or followed: links, pipes and the like are refused, a zip's
members are read where they are, with a limit on how much they may unpack to.
"""

import contextlib
import io
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.submission.loading import cells_of, defined_in
from course_lib.workspace import CourseError
from course_tools.grading.learners import Upload

__all__ = ["Page", "Submission", "find"]

ENDINGS = (".ipynb", ".py")
LARGEST = 16 << 20  # bytes of one file: a notebook carries its pictures
TOO_LARGE = f"is larger than {LARGEST >> 20} MiB"
ONLY_FILES = "only the file itself can be graded"
DEEPEST = 4  # folders and zips in one another
MOST = 100  # files, or folders and zips, of one submission
SKIPPED = re.compile(r"^[.]|^__MACOSX$|^__pycache__$|[.]backup-\d+[.]ipynb$")
EXPORTS = (".yml", ".yaml", ".csv", ".json", ".html")  # a platform's own, beside them
MOODLE = re.compile(r"^(?P<learner>.+?)_(?P<number>\d+)_assignsubmission_")
CANVAS = re.compile(r"^(?P<learner>[^_]+)(?:_LATE)?_(?P<number>\d+)_\d+_")


@dataclass(frozen=True)
class Page:
    """One file's code, cell by cell; or what is wrong with the file."""

    name: str
    cells: tuple[str, ...] = ()
    trouble: str = ""
    refused: bool = False  # for what it is; nobody looked into it

    @property
    def defines(self) -> set[str]:
        return defined_in(self.cells)


@dataclass(frozen=True)
class Submission:
    """All that one learner handed in at once, to be read when it is wanted."""

    name: str
    upload: Upload
    _where: "Entry" = field(repr=False)

    @property
    def learner(self) -> str:
        return self.upload.learner

    def pages(self) -> list[Page]:
        """Its notebooks and Python files: one, if only to say what is wrong."""
        found = []
        for entry in _walk(self._where, DEEPEST, iter(range(MOST))):
            if len(found) == MOST:
                found.append(Page(entry.name, trouble="is one file too many"))
                break
            found.append(_page(entry))
        nothing = "holds no notebook and no Python file"
        return found or [Page(self.name, trouble=nothing, refused=True)]


def find(path: Path) -> list[Submission]:
    """The submissions in a folder, in a zip, or in one file, by name.

    path: a folder of files, of folders or of zips, one a learner; a zip of the same; or
        a single .ipynb or .py
    raises: CourseError if there is nothing to be graded
    """
    try:
        top = _on_disk(path)
        entries = top.entries() if top.entries else [top]
        if len(entries) == 1 and entries[0].entries:  # the folder of an export
            inner = entries[0].entries()
            if any(e.entries and not SKIPPED.search(e.name) for e in inner):
                entries = inner
    except Exception as error:  # a zip can be broken in many ways
        raise CourseError(f"{path} cannot be read: {error}", code=2) from None
    kept = [e for e in entries if not SKIPPED.search(e.name)]
    kept = [e for e in kept if e.entries or not e.name.lower().endswith(EXPORTS)]
    if not kept:
        raise CourseError(
            f"There is nothing to grade in {path}.",
            "It may hold notebooks and .py files, a folder for each learner, or zips.",
            code=2,
        )
    found: dict[str, Submission] = {}
    for entry in sorted(kept, key=lambda entry: entry.name):
        name = _line(entry.name)
        while name in found:
            name += "~"
        found[name] = Submission(name, Upload(_learner(entry.name)), entry)
    return list(found.values())


# ── files, folders and zips, on the disk or in a zip, as one thing ────────────────────
# (`zipfile.Path` would be one, but some Pythons never come back from the names "//x")


@dataclass(frozen=True)
class Entry:
    """A file that can be read, or a folder or zip that has entries, or neither."""

    name: str
    trouble: str = ""  # why it is refused
    read: Callable[[], bytes] | None = None
    entries: Callable[[], list["Entry"]] | None = None


def _walk(entry: Entry, depth: int, left: Iterator[int]) -> Iterator[Entry]:
    """The notebooks and Python files in it, and what has to be refused.

    left: as many folders and zips may still be opened
    """
    if not entry.entries:
        yield entry
        return
    if depth == 0 or next(left, None) is None:
        yield Entry(entry.name, "lies in too many folders or zips")
        return
    try:
        inside = sorted(entry.entries(), key=lambda one: one.name)
    except Exception as error:  # a zip can be broken in many ways
        yield Entry(entry.name, f"cannot be opened: {error}")
        return
    for one in inside:
        if not SKIPPED.search(one.name) and (one.entries or _is_code(one.name)):
            yield from _walk(one, depth - 1, left)


def _on_disk(path: Path) -> Entry:
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode):
        if _is_code(path.name):
            return Entry(path.name, "is a folder, not a file")
        return Entry(path.name, entries=lambda: [*map(_on_disk, path.iterdir())])
    if not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no ordinary file"
        return Entry(path.name, f"is {kind}: {ONLY_FILES}")
    large = found.st_size > LARGEST
    if _is_zip(path.name):
        return Entry(
            path.name,
            entries=lambda: _unzipped(path if large else io.BytesIO(_read(path))),
        )
    trouble = TOO_LARGE if large and _is_code(path.name) else ""
    return Entry(path.name, trouble, lambda: _read(path))


def _read(path: Path) -> bytes:
    careful = ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")  # it may be another by now
    flags = sum(getattr(os, name, 0) for name in careful)
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        return file.read(LARGEST + 1)


def _unzipped(file: Path | io.BytesIO) -> list[Entry]:
    """What is in a zip: small ones are kept open, in memory."""
    archive = zipfile.ZipFile(file)
    members = archive.infolist()
    if isinstance(file, Path):
        archive.close()
    if len(members) > 100_000:
        raise ValueError("it holds more than 100,000 files")

    def opened():
        in_memory = isinstance(file, io.BytesIO)
        return contextlib.nullcontext(archive) if in_memory else zipfile.ZipFile(file)

    split = [([p for p in re.split(r"[/\\]", m.filename) if p], m) for m in members]
    return _in_folder(opened, [(p, m) for p, m in split if p and ".." not in p])


def _in_folder(opened: Callable, members: list) -> list[Entry]:
    """A folder of a zip; members: what is below, with its path from here."""
    below: dict[str, list] = {}
    for (name, *rest), member in members:
        below.setdefault(name, []).append((rest, member))
    return [_in_zip(opened, name, members) for name, members in below.items()]


def _in_zip(opened: Callable, name: str, members: list) -> Entry:
    rest, member = members[0]
    if rest or member.is_dir():
        inner = [one for one in members if one[0]]
        return Entry(name, entries=lambda: _in_folder(opened, inner))
    if stat.S_ISLNK(member.external_attr >> 16):
        return Entry(name, f"is a link: {ONLY_FILES}")
    if member.file_size > LARGEST:
        return Entry(name, f"unpacks to more than {LARGEST >> 20} MiB")

    def read() -> bytes:
        with opened() as archive, archive.open(member) as file:
            return file.read(LARGEST + 1)

    if _is_zip(name):
        return Entry(name, entries=lambda: _unzipped(io.BytesIO(read())))
    return Entry(name, read=read)


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def _is_code(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def _page(entry: Entry) -> Page:
    name = _line(entry.name)
    if entry.trouble or not entry.read or not _is_code(entry.name):
        what = entry.trouble or "is neither a notebook nor a Python file"
        return Page(name, trouble=what, refused=True)
    try:
        content = entry.read()
        if len(content) > LARGEST:
            raise ValueError(TOO_LARGE)
        return Page(name, tuple(cells_of(entry.name, content)))
    except ValueError as error:
        return Page(name, trouble=str(error))
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError) as error:
        return Page(name, trouble=f"cannot be read: {error}")
    except Exception as error:  # a zip can be broken in many ways
        return Page(name, trouble=f"cannot be unpacked: {error}")


def _learner(name: str) -> str:
    """Whose it is, from the way platforms name what they hand out."""
    for pattern in (MOODLE, CANVAS):
        found = pattern.match(name)
        if found:
            return _line(found["learner"])
    stem = re.sub(r"[.](ipynb|py|zip)$", "", name, flags=re.IGNORECASE)
    return _line(stem) or "?"


def _line(text: str) -> str:
    """One line that any file or screen can hold."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "�", text)[:200]
