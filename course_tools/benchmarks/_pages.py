"""Notebooks as a bench wants them."""

from collections.abc import Sequence
from itertools import zip_longest

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from course_tools.start_page import KERNEL

__all__ = ["page"]


def page(cells: Sequence[str], metadata: Sequence[dict] = ()) -> str:
    """A notebook's file, from the code of its cells and perhaps their metadata."""
    made = []
    for code, more in zip_longest(cells, metadata, fillvalue={}):
        made.append(new_code_cell(code, metadata=more, id=f"cell-{len(made)}"))
    return nbformat.writes(new_notebook(cells=made, metadata={"kernelspec": KERNEL}))
