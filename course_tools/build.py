"""From solutions to exercises: the only way in which `exercises/` is written.

A code cell of `solutions/NN_*.ipynb` with the tag `exercise` holds one solution region,
in nbgrader's words: `### BEGIN SOLUTION` … `### END SOLUTION`. The starter has a stub
in its place. Cells with the tag `solution` (why the answer is right) are left out. All
else is copied, without outputs. Whatever is not exactly so is an error, not a guess.
"""

import argparse
import copy
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.workspace import notebooks, repository
from course_tools.hosted import renew_badges
from course_tools.start_page import KERNEL

__all__ = ["AuthoringError", "build", "clean", "main", "starter"]

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = ("# YOUR CODE HERE", "raise NotImplementedError")


class AuthoringError(ValueError):
    """A solution notebook that cannot be turned into an exercise safely."""


def starter(solution: NotebookNode, name: str) -> NotebookNode:
    """The notebook that a learner gets.

    solution: a notebook as nbformat reads it; name: how errors call it
    returns: a new notebook, the same for the same input, byte for byte
    raises: AuthoringError unless each exercise cell has exactly one region, no other
        cell has a marker, and nothing of a region is left over anywhere
    """
    result = clean(solution)
    result.cells = [cell for cell in result.cells if "solution" not in _tags(cell)]
    secrets: list[str] = []
    exercises = 0
    for number, cell in enumerate(result.cells):
        where = f"{name}, cell {number}"
        if "attachments" in cell:
            raise AuthoringError(
                f"{where} has an attachment, which could show anything"
            )
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if "exercise" in _tags(cell):
            cell.source, taken = _without_solution(cell.source, where)
            secrets += taken
            exercises += 1
        elif BEGIN in cell.source or END in cell.source:
            raise AuthoringError(f"{where} has a solution but no tag «exercise»")
    if not exercises:
        raise AuthoringError(f"{name} has no cell with the tag «exercise»")
    text = nbformat.writes(result)
    for line in secrets:
        if line in text:
            raise AuthoringError(f"{name} still shows the solution's line {line!r}")
    return result


def clean(notebook: NotebookNode) -> NotebookNode:
    """A copy without what changes from run to run or cannot be shown elsewhere.

    Widget state, execution times and the metadata of editors go; where a picture
    stands beside HTML or a widget, the picture stays, with its width on the page and
    its words: as alternative text, and below it for everybody.
    """
    result = copy.deepcopy(notebook)
    result.metadata = NotebookNode(
        kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python")
    )
    for cell in result.cells:
        tags = _tags(cell)
        cell.metadata = NotebookNode(tags=tags) if tags else NotebookNode()
        if cell.cell_type == "code":
            outputs = _merged(cell.outputs)
            cell.outputs = [new for output in outputs for new in _stored(output)]
    return result


def _stored(output: NotebookNode) -> list[NotebookNode]:
    """An output as a page keeps it; a picture is followed by its caption."""
    data, look = output.get("data", {}), output.get("metadata", {})
    if data.get("text/plain") == "":  # a caption, or what a browser gets besides
        return []
    if "data" in output:
        output.metadata = NotebookNode()
    if len(data) > 1:
        data.pop("application/vnd.jupyter.widget-view+json", None)
    if "image/png" not in data:
        return [output]
    data.pop("text/html", None)
    words = data.get("text/plain")
    if not words:
        return [output]
    look = NotebookNode(look.get("image/png", {}), alt=words)
    output.metadata["image/png"] = look
    told = re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", words)
    if look.get("moves"):
        told += " *Run this cell to move it.*"
    below = {"text/markdown": told, "text/plain": ""}
    return [output, nbformat.v4.new_output("display_data", data=below)]


def build(root: Path | None = None) -> list[Path]:
    """Write `exercises/` from `solutions/`: all of them, or none if one is wrong.

    returns: the files that changed
    raises: AuthoringError; nothing is written then
    """
    root = root or repository()
    texts = {}
    for path in sorted((root / "solutions").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        result = starter(notebook, path.name)
        texts[root / "exercises" / path.name] = nbformat.writes(result) + "\n"
    for path in sorted(set((root / "exercises").glob("*.ipynb")) - set(texts)):
        raise AuthoringError(f"exercises/{path.name} has no solution to come from")
    changed = []
    (root / "exercises").mkdir(exist_ok=True)
    for path, text in texts.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            changed.append(path)
    return changed


def execute(path: Path):
    """Run a notebook in a fresh kernel and store what it printed, cleaned."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": path.parent}}
    )
    client.execute()
    path.write_text(
        nbformat.writes(clean(notebook)) + "\n", encoding="utf-8", newline="\n"
    )


def main(argv: Sequence[str]) -> int:
    """`build` writes the exercises; `build --run [NN …]` runs notebooks first."""
    parser = argparse.ArgumentParser(
        "python3 -m course_lib build", description="Write exercises/ from solutions/."
    )
    words = "run these chapters' pages first, or all, and store what they print"
    parser.add_argument("--run", nargs="*", metavar="NN", help=words)
    run = parser.parse_args(argv).run
    pages = [*notebooks("notebooks"), *notebooks("solutions")]
    for word in run or ():
        if not any(path.name.startswith(word) for path in pages):
            parser.error(f"no chapter begins with {word!r}")
    try:
        if run is not None:
            # as the tests compare them: one thread, pictures without their HTML
            os.environ.setdefault("OMP_NUM_THREADS", "1")
            os.environ["COURSE_PLAIN_FIGURES"] = "1"
            for path in pages:
                if not run or path.name.startswith(tuple(run)):
                    print("running", path.relative_to(repository()), flush=True)
                    execute(path)
        changed = build()
    except AuthoringError as error:
        print(error, file=sys.stderr)
        return 1
    readme = repository() / "README.md"
    changed += [readme] if renew_badges(readme) else []
    print(*(f"wrote {path.relative_to(repository())}" for path in changed), sep="\n")
    print("exercises/ is up to date")
    return 0


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """What was printed as one text, however the kernel happened to cut it."""
    result: list[NotebookNode] = []
    for output in outputs:
        last = result[-1] if result else None
        if last and output.output_type == "stream" and last.get("name") == output.name:
            last.text += output.text
        else:
            result.append(output)
    return result


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _without_solution(source: str, where: str) -> tuple[str, list[str]]:
    """The source with a stub for its region, and the region's telling lines."""
    lines = source.splitlines()
    begins = [i for i, line in enumerate(lines) if line.strip() == BEGIN]
    ends = [i for i, line in enumerate(lines) if line.strip() == END]
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise AuthoringError(f"{where} needs exactly one {BEGIN} … {END}")
    begin, end = begins[0], ends[0]
    region = [line.strip() for line in lines[begin + 1 : end]]
    if not any(region):
        raise AuthoringError(f"{where} has an empty solution")
    indent = re.match(r"\s*", lines[begin])[0]
    lines[begin : end + 1] = [indent + line for line in STUB]
    return "\n".join(lines), [line for line in region if len(line) > 8]
