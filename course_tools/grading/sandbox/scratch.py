"""The scratch folder of a sandbox: how full it may be, and how it is emptied."""

import contextlib
import os
import secrets
import stat

__all__ = ["too_much", "unlinked", "wipe"]

FILES, BYTES = 200, 1 << 24


def too_much(scratch: str, size: int = 0) -> bool:
    """Is there more than may be, or something that cannot be looked at?

    size: bytes that are taken elsewhere
    """
    count = 0
    closed: list[OSError] = []
    for folder, _, files in os.walk(scratch, onerror=closed.append):
        count += 1 + len(files)
        for name in files:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_blocks * 512
        if count > FILES or size > BYTES:
            return True
    return any(not isinstance(error, FileNotFoundError) for error in closed)


def unlinked(process: int) -> int:
    """Bytes of files that a process holds open and that no folder names any more.

    A process that does not let itself be looked at has too many.
    """
    found: dict[int, int] = {}
    try:
        for name in os.listdir(f"/proc/{process}/fd"):
            with contextlib.suppress(FileNotFoundError):
                held = os.stat(f"/proc/{process}/fd/{name}")
                if stat.S_ISREG(held.st_mode) and not held.st_nlink:
                    found[held.st_ino] = held.st_blocks * 512
    except FileNotFoundError:
        pass
    except PermissionError:
        return 2 * BYTES
    return sum(found.values())


def wipe(folder: str):
    """Empty it, however deep it is and whatever its permissions have become.

    What lies in a folder is moved up before the folder goes: no path ever gets long.
    """
    with contextlib.suppress(OSError):
        os.chmod(folder, stat.S_IRWXU)
        while found := _opened(folder):
            for entry in found:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                for inner in _opened(entry.path):
                    os.replace(inner.path, os.path.join(folder, secrets.token_hex(16)))
                os.rmdir(entry.path)


def _opened(folder: str) -> list[os.DirEntry]:
    """What is in a folder; the folders among it can be entered from now on."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.path, stat.S_IRWXU)
    return found
