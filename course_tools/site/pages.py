"""From the course's notebooks to the website's pages."""

import copy
import re
from collections.abc import Mapping
from html import escape

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from course_tools.start_page import title_of

__all__ = ["exercise_page", "first_figure", "lesson_page", "place", "solution_page"]

PLACE = re.compile(r"(?<=\.ipynb#)[^)\s]+(?=\))")  # in a link to a heading
MARK = re.compile(r"^ *### (?:BEGIN|END) SOLUTION\n?", re.M)
RUN = """```{{admonition}} Run it yourself
:class: tip course-run

Every figure on this page moves here. To change its code, open the page in JupyterLab:
`python3 -m course_lib lab {chapter}`, as the [start page](../index.md#run-it) says.
```"""


def lesson_page(page: NotebookNode) -> NotebookNode:
    """A chapter that was run, with a word on how to run it below its opening."""
    page = _shown(page)
    run = RUN.format(chapter=title_of(page)[:2])
    page.cells.insert(1, new_markdown_cell(run, id="run"))
    return page


def exercise_page(page: NotebookNode, hints: Mapping[str, tuple]) -> NotebookNode:
    """The starters of a chapter; where a learner would call `hint`, the hints folded.

    hints: of every exercise, by the name of its function
    """
    page = lesson_page(page)
    page.cells = [cell for cell in page.cells if not cell.source.startswith("Stuck?")]
    for at, cell in enumerate(page.cells):
        asked = re.match(r"# hint\((\w+)\)", cell.source)
        if asked:
            folded = _folded(hints[asked[1]])
            page.cells[at] = new_markdown_cell(folded, id=cell.id)
    return page


def solution_page(page: NotebookNode) -> NotebookNode:
    """The model answers, run, without the cells and lines that only tools read."""
    page = _shown(page)
    asks = ("Stuck?", "# hint(")
    page.cells = [cell for cell in page.cells if not cell.source.startswith(asks)]
    for cell in page.cells:
        if cell.cell_type == "code":
            cell.source = MARK.sub("", cell.source)
    return page


def first_figure(page: NotebookNode) -> str:
    """The HTML of the first figure of a page; "" if none has any."""
    outputs = [o for c in _shown(page).cells for o in c.get("outputs", [])]
    htmls = [output.get("data", {}).get("text/html", "") for output in outputs]
    return next((html for html in htmls if "<img" in html), "")


def place(heading: str) -> str:
    """A heading's place in a link, as in JupyterLab but for the sign that URLs escape.

    >>> place("Exercise 4.1 · The DPO loss")
    'Exercise-4.1-·-The-DPO-loss'
    """
    return heading.replace(" ", "-").replace("%25", "%").replace("%", "percent")


def _folded(hints: tuple[str, ...]) -> str:
    """Hints, each below a line that opens it."""
    return "\n\n".join(
        f"<details><summary>Hint {number} of {len(hints)}</summary>\n\n{hint}\n\n"
        "</details>"
        for number, hint in enumerate(hints, 1)
    )


def _shown(page: NotebookNode) -> NotebookNode:
    """A copy whose outputs are what a browser can show by itself."""
    page = copy.deepcopy(page)
    page.metadata.pop("widgets", None)
    for cell in page.cells:
        cell.metadata = NotebookNode()
        cell.source = PLACE.sub(lambda at: place(at[0]), cell.source)
        if cell.cell_type == "code":
            shown = [_output(output) for output in cell.outputs]
            cell.outputs = [output for output in shown if output]
    return page


def _output(output: NotebookNode) -> NotebookNode | None:
    """HTML alone where there is HTML; text as it was printed; nothing of a widget."""
    data = output.get("data")
    if data is None:
        return output
    data.pop("application/vnd.jupyter.widget-view+json", None)
    if "text/html" in data:
        # decoded when it comes into view: a page is to be read at once
        lazy = data["text/html"].replace("<img alt=", '<img decoding="async" alt=')
        output.data = NotebookNode({"text/html": lazy})
    elif "image/png" in data:
        alt = escape(data.get("text/plain", ""), quote=True)
        source = f"data:image/png;base64,{data['image/png']}"
        output.data = NotebookNode({"text/html": f'<img alt="{alt}" src="{source}">'})
    elif not any(data.values()):
        return None
    return output
