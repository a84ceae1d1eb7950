"""Running the course's pages for the website, two at a time."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from tqdm import tqdm

__all__ = ["run", "run_all"]

FIRST = "from course_tools.site import painted\n\npainted.install()"
QUIET = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def run(path: Path) -> NotebookNode:
    """A page with its outputs, as a website can show them.

    raises: nbclient.exceptions.CellExecutionError if a cell fails
    """
    page = nbformat.read(path, as_version=4)
    hidden = nbformat.v4.new_code_cell(FIRST)
    page.cells.insert(0, hidden)
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(page, timeout=600, resources=where).execute()
    page.cells.remove(hidden)
    return page


def run_all(paths: list[Path], together: int = 2) -> dict[Path, NotebookNode]:
    """All pages, the largest first, some together; a bar says how far it is."""
    os.environ.update(QUIET)
    largest = sorted(paths, key=lambda path: -path.stat().st_size)
    with ThreadPoolExecutor(together) as pool:
        pages = pool.map(run, largest)
        done = dict(zip(largest, tqdm(pages, "pages", len(paths)), strict=True))
    return {path: done[path] for path in paths}
