"""Files that appear whole or not at all, under names that every system can hold."""

import contextlib
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from course_lib.workspace import CourseError

__all__ = ["slugs", "write"]


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


def slugs(names: Sequence[str]) -> dict[str, str]:
    """A file's name for each of these, safe on every system, and no two alike."""
    found, taken = {}, set()
    for name in names:
        slug = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._")[:80]
        if slug.lower() in taken or slug != name or not slug:
            slug += "_" + hashlib.sha256(name.encode()).hexdigest()[:8]
        found[name] = slug
        taken.add(slug.lower())
    return found
