"""Files, folders and zips, on the disk or in a zip, as one thing; and how much is read.

Nothing is unpacked, run or followed: links, pipes and the like are refused, a zip's
members are read where they are, and each submission has an allowance for all of it.
(`zipfile.Path` would be such a thing, but some Pythons never come back from "//x".)
"""

import io
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from course_lib.workspace import notebooks
from course_tools.grading.folder import is_report
from course_tools.grading.learners import CODE, kind_of

__all__ = ["Allowance", "Enough", "Entry", "on_disk", "pieces", "walk"]

PIECE = 1 << 18  # bytes that are held of a file at a time
DENSE = 200  # times; honest files of some size come to a tenth of that
ONLY_FILES = "only the file itself can be graded"
SKIPPED = re.compile(
    r"^[.]|^__MACOSX$|^__pycache__$|^venv$|^site-packages$|^node_modules$"
    r"|[.]backup-\d+[.]ipynb$"
)
EXERCISES = re.compile(r"(\d\d_)exercises.*[.]ipynb")


class Enough(ValueError):
    """A submission's allowance is used up: nothing more of it is read."""


@dataclass
class Allowance:
    """How much of one submission is read, whatever it is packed in.

    size: bytes of files, as they are when unpacked; text: bytes of them that are
    looked at as code; tokens: strings and brackets of large notebooks; files; opened:
    folders and zips; members: of its zips; table: bytes of one zip's table of contents
    """

    size: int = 256 << 20
    text: int = 8 << 20
    tokens: int = 1_000_000
    files: int = 100
    opened: int = 100
    members: int = 50_000
    table: int = 4 << 20

    def take(self, what: str, amount: int = 1):
        """Use some of it up.

        raises: Enough, with a sentence, if that is not left
        """
        left = getattr(self, what) - amount
        if left < 0:
            raise Enough(MOST[what])
        setattr(self, what, left)


MOST = {
    "size": f"is one too many: {Allowance.size >> 20} MiB are read of a submission",
    "text": f"is one too many: {Allowance.text >> 20} MiB of code are read",
    "tokens": "holds far too much for a notebook, or does with those before it",
    "files": f"is one file too many: {Allowance.files} are read",
    "opened": f"lies in too many folders or zips: {Allowance.opened} are opened",
    "members": f"holds too many files: {Allowance.members:,} are looked at",
}


@dataclass(frozen=True)
class Entry:
    """A file that can be read, or a folder or zip that has entries, or neither.

    trouble: why it is refused; size: bytes of a file, at most, by what is said of it
    """

    name: str
    trouble: str = ""
    size: int = 0
    open: Callable[[], BinaryIO] | None = None
    entries: Callable[[Allowance], list["Entry"]] | None = None

    @property
    def skipped(self) -> bool:
        return bool(SKIPPED.search(self.name))


def walk(entry: Entry, depth: int, allowed: Allowance) -> Iterator[Entry]:
    """The notebooks and Python files in it, and what has to be refused.

    A folder's own files come before what lies deeper. Of somebody who hands in the
    whole course, only what they worked on counts: the exercises in my_work.
    raises: Enough
    """
    if not entry.entries:
        yield entry
        return
    if depth == 0:
        yield Entry(entry.name, "lies in too many folders or zips")
        return
    allowed.take("opened")
    try:
        inside = sorted(
            entry.entries(allowed), key=lambda one: (bool(one.entries), one.name)
        )
    except Enough:
        raise
    except Exception as error:  # a zip can be broken in many ways
        yield Entry(entry.name, f"cannot be opened: {error}")
        return
    for one in _worked_on(inside):
        if not one.skipped and (one.entries or kind_of(one.name)):
            yield from walk(one, depth - 1, allowed)


def _worked_on(inside: list[Entry]) -> list[Entry]:
    """Of the course, `my_work`; of that, what is neither a chapter nor the start.

    Before chapters had copies, a page called like a chapter was one of exercises.
    """
    if {"course_lib", "my_work"} <= {one.name for one in inside}:
        return [one for one in inside if one.name == "my_work"]
    numbers = {it[1] for one in inside if (it := EXERCISES.match(one.name))}
    stems = [path.stem for path in notebooks("notebooks") if path.name[:3] in numbers]
    read = (*stems, "Start.ipynb", "Glossary.ipynb") if numbers else ()
    return [one for one in inside if not one.name.startswith(read)]


def pieces(entry: Entry, allowed: Allowance) -> Iterator[bytes]:
    """A file's content, as much at a time as may be held.

    raises: Enough, and whatever reading it can raise
    """
    assert entry.open is not None
    with entry.open() as file:
        while piece := file.read(PIECE):
            allowed.take("size", len(piece))
            yield piece


def on_disk(path: Path) -> Entry:
    """What is there; OSError if nothing is."""
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode):
        if kind_of(path.name) in CODE:
            return Entry(path.name, "is a folder, not a file")
        return Entry(path.name, entries=lambda _: _inside(path))
    if not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no ordinary file"
        return Entry(path.name, f"is {kind}: {ONLY_FILES}")
    if kind_of(path.name) == "zip":
        return Entry(path.name, entries=lambda allowed: _unzipped(_File(path), allowed))
    return Entry(path.name, size=found.st_size, open=lambda: _File(path))


def _inside(folder: Path) -> list[Entry]:
    return [_there(path) for path in folder.iterdir() if not is_report(path)]


def _there(path: Path) -> Entry:
    try:
        return on_disk(path)
    except OSError as error:
        return Entry(path.name, f"cannot be read: {error.strerror}")


class _File(io.FileIO):
    """A file of the disk that was an ordinary one when it was looked at."""

    def __init__(self, path: Path):
        careful = ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")  # it may be another by now
        flags = sum(getattr(os, name, 0) for name in careful)
        super().__init__(
            path, opener=lambda name, _: os.open(name, os.O_RDONLY | flags)
        )

    def __del__(self):
        self.close()  # a zip's members may be read as long as anybody wants them


class _Short:
    """A zip in which nothing is read at one go that is longer than it should be."""

    def __init__(self, file: BinaryIO, table: int):
        self.file, self.table = file, table
        self.seek, self.tell = file.seek, file.tell

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size > self.table:
            raise ValueError("its table of contents is too long")
        return self.file.read(size)


def _unzipped(file: BinaryIO, allowed: Allowance) -> list[Entry]:
    """What is in a zip, which is open as long as one of its entries is there."""
    archive = zipfile.ZipFile(_Short(file, allowed.table))
    members = archive.infolist()
    allowed.take("members", len(members))
    split = [([p for p in re.split(r"[/\\]", m.filename) if p], m) for m in members]
    return _in_folder(archive, [(p, m) for p, m in split if p and ".." not in p])


def _in_folder(archive: zipfile.ZipFile, members: list) -> list[Entry]:
    """A folder of a zip; members: what is below, with its path from here."""
    below: dict[str, list] = {}
    for (name, *rest), member in members:
        below.setdefault(name, []).append((rest, member))
    return [_in_zip(archive, name, members) for name, members in below.items()]


def _in_zip(archive: zipfile.ZipFile, name: str, members: list) -> Entry:
    rest, member = members[0]
    if rest or member.is_dir():
        inner = [one for one in members if one[0]]
        return Entry(name, entries=lambda _: _in_folder(archive, inner))
    if stat.S_ISLNK(member.external_attr >> 16):
        return Entry(name, f"is a link: {ONLY_FILES}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Entry(name, "is packed in an unusual way: zip it again")
    if member.file_size > max(DENSE * member.compress_size, 4 << 20):
        return Entry(name, f"unpacks to more than {DENSE} times its size")
    entry = Entry(name, size=member.file_size, open=lambda: archive.open(member))
    if kind_of(name) == "zip":

        def unzipped(allowed: Allowance) -> list[Entry]:
            return _unzipped(io.BytesIO(b"".join(pieces(entry, allowed))), allowed)

        return Entry(name, entries=unzipped)
    return entry
