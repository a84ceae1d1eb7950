"""The course's notebooks as tests read them: each comes from the disk once."""

from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.workspace import notebooks


@cache
def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


@cache
def prose(path: Path) -> str:
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    return "\n\n".join(cells)


def lesson(number: str) -> Path:
    """The notebook of a chapter."""
    (path,) = (p for p in notebooks("notebooks") if p.name.startswith(number))
    return path
