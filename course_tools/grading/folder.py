"""The folder of a report, for one grading at a time; and what interrupted ones left.

What is written there appears whole or not at all.
"""

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from course_lib.workspace import CourseError

__all__ = ["JOURNAL", "alone", "is_report", "make_room", "out_folder", "sweep", "write"]

JOURNAL, LOCK = "report.jsonl", "report.lock"


def is_report(path: Path) -> bool:
    """Is it a folder that a grading has written? By its journal."""
    return (path / JOURNAL).is_file()


def out_folder(chosen: str | None, path: Path) -> Path:
    """Where the report on the submissions in `path` goes: not among them."""
    out = Path(os.path.abspath(chosen or path.with_name(f"{path.stem}_report")))
    if path.is_dir() and out.is_relative_to(path):
        raise CourseError(
            f"The report cannot lie among the submissions: {out}.",
            "Choose another folder with --out.",
            code=2,
        )
    return out


def make_room(out: Path, stay: Sequence[str] = ()):
    """An empty folder for the report; an earlier report there gets another name.

    stay: files of the earlier report that the new one begins with: a teacher's own
    """
    if out.exists() and (not out.is_dir() or {*os.listdir(out)} - {LOCK}):
        if not is_report(out):
            raise CourseError(
                f"{out} holds something that is no report.",
                "Choose another folder with --out.",
                code=2,
            )
        with alone(out):  # nobody writes to it
            pass
        names = (out.with_name(f"{out.name}.backup-{n}") for n in count(1))
        kept = next(name for name in names if not name.exists())
        os.replace(out, kept)
        print(f"The earlier report is kept in {kept.name}.")
        out.mkdir(parents=True)
        for name in stay:
            if (kept / name).is_file():
                shutil.copy2(kept / name, out / name)
    out.mkdir(parents=True, exist_ok=True)


def write(path: Path, content: str | bytes):
    """Write a file in one step; whoever reads meanwhile sees the earlier one whole.

    raises: CourseError if it cannot be written, and the earlier one stays
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "replace")
    draft = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise CourseError(
            f"{path} cannot be written: {error.strerror or error}.",
            "If another program has it open, close it there; then try again.",
        ) from None


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other gradings out of a folder; the lock ends with whoever holds it.

    raises: CourseError if another grading holds it
    """
    path, mine = out / LOCK, False
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with contextlib.suppress(OSError):  # locked, or gone with who held it
            _lock(held)
            mine = os.path.samestat(os.stat(path), os.fstat(held))
        if not mine:
            raise CourseError(
                f"Another grading writes to {out} at this moment.",
                "Wait for it to end, or choose another folder with --out.",
                code=2,
            )
        yield
    finally:
        with contextlib.ExitStack() as last:
            if sys.platform == "win32":  # which removes no file that is open
                os.close(held)
            else:
                last.callback(os.close, held)
            if mine:
                with contextlib.suppress(OSError):
                    path.unlink()


def _lock(held: int):
    """Lock it; some file systems know no locks, and then there is none."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(held, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise
    except OSError:
        pass


def sweep():
    """Remove the scratch folders of our own graders that are gone: killed ones.

    Their names begin with course-grading-, then the process, which is not there now.
    """
    if sys.platform == "win32":  # where asking whether a process is there may end it
        return
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            found = re.match(r"course-grading-(\d+)-", entry.name)
            with contextlib.suppress(OSError):
                ours = entry.stat(follow_symlinks=False).st_uid == os.getuid()
                folder = entry.is_dir(follow_symlinks=False)
                if found and ours and folder and _gone(int(found[1])):
                    shutil.rmtree(entry.path, ignore_errors=True)


def _gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (OSError, OverflowError) as error:
        return isinstance(error, ProcessLookupError)
    return False
