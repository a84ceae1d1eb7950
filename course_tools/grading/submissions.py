"""What learners handed in: files, folders, or the zip that a course platform gives."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from course_lib.submission.loading import cells_of, defined_in
from course_lib.workspace import CourseError
from course_tools.grading.entries import (
    Allowance,
    Enough,
    Entry,
    on_disk,
    pieces,
    walk,
)
from course_tools.grading.exports import handed_in
from course_tools.grading.folder import is_report
from course_tools.grading.learners import CODE, Upload, kind_of, stem_of
from course_tools.grading.slim import slim

__all__ = ["Page", "Submission", "find"]

LARGEST = 4 << 20  # bytes of one file, a notebook's outputs not counted
TOO_LARGE = f"is larger than {LARGEST >> 20} MiB"
SLIM = 1 << 18  # bytes of a notebook that may hold its outputs
DEEPEST = 5  # folders and zips in one another
KEPT = 1 << 18  # characters of code that a submission keeps once it is read


@dataclass(frozen=True)
class Page:
    """One file's code, cell by cell; or what is wrong with the file.

    name: the file's, with the ending of what it was read as
    """

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
    _where: Entry = field(repr=False)
    _kept: list[Page] = field(default_factory=list, repr=False, compare=False)

    def pages(self) -> list[Page]:
        """Its notebooks and Python files: one, if only to say what is wrong.

        Read once and kept, unless there is uncommonly much.
        """
        if self._kept:
            return list(self._kept)
        nothing = "holds no notebook and no Python file"
        found = list(self._read()) or [Page(self.name, trouble=nothing, refused=True)]
        if sum(len(cell) for page in found for cell in page.cells) <= KEPT:
            self._kept[:] = found
        return found

    def _read(self) -> Iterator[Page]:
        allowed = Allowance()
        last = self.name
        try:
            for entry in walk(self._where, DEEPEST, allowed):
                last = entry.name
                allowed.take("files")
                yield _page(entry, allowed)
        except Enough as enough:
            yield Page(_line(last), trouble=str(enough))


def find(path: Path) -> list[Submission]:
    """The submissions in a folder, in a zip, or in one file, by name.

    path: a folder of files, of folders or of zips, one a learner; a zip of the same; a
        folder of several such exports; or a single .ipynb or .py
    raises: CourseError if there is nothing to be graded
    """
    if is_report(path):
        raise CourseError(f"{path} is a report and holds no submissions.", code=2)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise CourseError(f"{path} is neither a file nor a folder.", code=2)
    try:
        parts = handed_in(on_disk(path))
    except Exception as error:  # a zip can be broken in many ways
        raise CourseError(f"{path} cannot be read: {error}", code=2) from None
    if not parts:
        raise CourseError(
            f"There is nothing to grade in {path}.",
            "It may hold notebooks and .py files, a folder for each learner, or zips.",
            code=2,
        )
    found: dict[str, Submission] = {}
    for part in parts:
        name = _line(part.name)
        while name in found:
            name += "~"
        upload = replace(part.upload, learner=_line(part.upload.learner) or "?")
        found[name] = Submission(name, upload, part.where)
    return [found[name] for name in sorted(found)]


def _page(entry: Entry, allowed: Allowance) -> Page:
    kind = kind_of(entry.name)
    if entry.trouble or not entry.open or kind not in CODE:
        what = entry.trouble or "is neither a notebook nor a Python file"
        return Page(_line(entry.name), trouble=what, refused=True)
    name = _line(f"{stem_of(entry.name)}.{kind}")
    try:
        return Page(name, tuple(cells_of(name, _content(entry, name, allowed))))
    except Enough:
        raise
    except ValueError as error:
        return Page(name, trouble=str(error))
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError) as error:
        return Page(name, trouble=f"cannot be read: {error}")
    except Exception as error:  # a zip can be broken in many ways
        return Page(name, trouble=f"cannot be unpacked: {error}")


def _content(entry: Entry, name: str, allowed: Allowance) -> bytes:
    """The file, or of a large notebook what is no output."""
    parts = pieces(entry, allowed)
    if name.endswith(".ipynb") and entry.size > SLIM:
        content = slim(parts, LARGEST, partial(allowed.take, "tokens"))
    elif entry.size > LARGEST:
        raise ValueError(TOO_LARGE)
    else:
        content = b"".join(parts)
    allowed.take("text", len(content))
    return content


def _line(text: str) -> str:
    """One line that any file or screen can hold."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "�", text)[:200]
