"""What learners handed in: files, folders, or the zip that a course platform gives.

Nothing is unpacked, run or followed: links, pipes and the like are refused, a zip's
members are read where they are, with a limit on how much they may unpack to.
"""

import io
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.submission.loading import cells_of, defined_in
from course_lib.workspace import CourseError

__all__ = ["Page", "Submission", "find"]

ENDINGS = (".ipynb", ".py")
LARGEST = 16 << 20  # bytes of one file: a notebook carries its pictures
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
    learner: str
    _where: "Entry" = field(repr=False)

    def pages(self) -> list[Page]:
        """Its notebooks and Python files: one, if only to say what is wrong."""
        found = []
        for entry in self._where.walk(DEEPEST, iter(range(MOST))):
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
        top = _top(path)
        entries = top.entries() if top.holds_many else [top]
        if len(entries) == 1 and entries[0].holds_many:  # the folder of an export
            inner = entries[0].entries()
            if any(e.holds_many and not SKIPPED.search(e.name) for e in inner):
                entries = inner
    except Exception as error:  # a zip can be broken in many ways
        raise CourseError(f"{path} cannot be read: {error}", code=2) from None
    kept = [entry for entry in entries if not SKIPPED.search(entry.name)]
    kept = [e for e in kept if e.holds_many or not e.name.lower().endswith(EXPORTS)]
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
        found[name] = Submission(name, _learner(entry.name), entry)
    return list(found.values())


# ── files, and files in zips, as one thing ────────────────────────────────────────────


class Entry:
    """A file, a folder or a zip, on the disk or in another zip."""

    name: str
    holds_many = False
    trouble = ""  # why it is refused

    def entries(self) -> list["Entry"]:
        raise NotImplementedError

    def read(self) -> bytes:
        raise NotImplementedError

    def walk(self, depth: int, left: Iterator[int]) -> Iterator["Entry"]:
        """The notebooks and Python files in it, and what has to be refused.

        left: as many folders and zips may still be opened
        """
        if self.trouble or not self.holds_many:
            yield self
            return
        if depth == 0 or next(left, None) is None:
            yield Refused(self.name, "lies in too many folders or zips")
            return
        try:
            inside = sorted(self.entries(), key=lambda entry: entry.name)
        except Exception as error:  # a zip can be broken in many ways
            yield Refused(self.name, f"cannot be opened: {error}")
            return
        for entry in inside:
            if not SKIPPED.search(entry.name) and (
                entry.holds_many or entry.name.lower().endswith(ENDINGS)
            ):
                yield from entry.walk(depth - 1, left)


class Refused(Entry):
    def __init__(self, name: str, trouble: str):
        self.name, self.trouble = name, trouble


class OnDisk(Entry):
    def __init__(self, path: str):
        self.path, self.name = path, os.path.basename(path.rstrip(os.sep))
        mode = os.lstat(path).st_mode
        python = self.name.lower().endswith(ENDINGS)
        if stat.S_ISDIR(mode):
            self.holds_many = not python
            self.trouble = "is a folder, not a file" if python else ""
        elif not stat.S_ISREG(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "no ordinary file"
            self.trouble = f"is {kind}: only the file itself can be graded"
        elif os.lstat(path).st_size > LARGEST and python:
            self.trouble = f"is larger than {LARGEST >> 20} MiB"

    def entries(self) -> list[Entry]:
        return [_top(os.path.join(self.path, name)) for name in os.listdir(self.path)]

    def read(self) -> bytes:
        flags = (
            os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        )
        with open(os.open(self.path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            return file.read(LARGEST + 1)


class InZip(Entry):
    """A file in a zip, or a folder in it: then `_inside` has what is below."""

    def __init__(self, archive: "Zip", name: str, member: zipfile.ZipInfo | None):
        self._archive, self._member, self.name = archive, member, name
        self._inside: dict[str, InZip] = {}
        if member is not None and stat.S_ISLNK(member.external_attr >> 16):
            self.trouble = "is a link: only the file itself can be graded"
        elif member is not None and member.file_size > LARGEST:
            self.trouble = f"unpacks to more than {LARGEST >> 20} MiB"

    @property
    def holds_many(self) -> bool:  # type: ignore[override]
        return self._member is None

    def below(self, name: str, member: zipfile.ZipInfo | None) -> "InZip":
        if name not in self._inside:
            self._inside[name] = InZip(self._archive, name, member)
        return self._inside[name]

    def entries(self) -> list[Entry]:
        return [
            Zip(entry.name, entry.read)
            if entry.name.lower().endswith(".zip") and not entry.trouble
            else entry
            for entry in self._inside.values()
        ]

    def read(self) -> bytes:
        assert self._member is not None
        with self._archive.opened() as archive, archive.open(self._member) as file:
            return file.read(LARGEST + 1)


class Zip(Entry):
    holds_many = True

    def __init__(self, name: str, read):
        self.name, self._read = name, read

    def opened(self) -> zipfile.ZipFile:
        source = self._read()
        return zipfile.ZipFile(io.BytesIO(source) if type(source) is bytes else source)

    def entries(self) -> list[Entry]:
        root = InZip(self, self.name, None)
        with self.opened() as archive:
            members = archive.infolist()
        if len(members) > 100_000:
            raise ValueError("it holds more than 100,000 files")
        for member in members:
            parts = [part for part in re.split(r"[/\\]", member.filename) if part]
            if not parts or ".." in parts:
                continue
            folder = root
            for part in parts[:-1][:20]:
                folder = folder.below(part, None)
            folder.below(parts[-1], None if member.is_dir() else member)
        return root.entries()


def _top(path: str | Path) -> Entry:
    entry = OnDisk(str(path))
    ordinary = not entry.trouble and not entry.holds_many
    if ordinary and entry.name.lower().endswith(".zip"):
        return Zip(entry.name, lambda: entry.path)
    return entry


def _page(entry: Entry) -> Page:
    name = _line(entry.name)
    if entry.trouble:
        return Page(name, trouble=entry.trouble, refused=True)
    if not entry.name.lower().endswith(ENDINGS):
        what = "is neither a notebook nor a Python file"
        return Page(name, trouble=what, refused=True)
    try:
        content = entry.read()
        if len(content) > LARGEST:
            raise ValueError(f"is larger than {LARGEST >> 20} MiB")
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
