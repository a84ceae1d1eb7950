"""The course where nothing is installed: pages for Colab, and the badges of the README.

    python3 -m course_lib colab --out DIR

writes the pages that Colab opens: those of `my_work/`, with links that lead to each
other there, and with a first cell that installs the course where it is not. The
workflow `site` keeps them on the branch `colab`. The address of the course has one
place, pyproject.toml; `build` renews the badges.
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

from course_lib.workspace import CourseError, address, notebooks
from course_tools import copies
from course_tools.environment import COMMAND

__all__ = ["badges", "colab_page", "main", "renew_badges"]

COLAB, BINDER = "https://colab.research.google.com", "https://mybinder.org"
CODESPACES = "https://github.com/codespaces/badge.svg"
BRANCH = "colab"
# Colab has PyTorch and all that a page imports: its versions stay, and 00 names them.
# `check` notes what is passed where there is a folder for it.
FIRST = """\
# In Colab this installs the course; where the course is, it does nothing.
from importlib.util import find_spec

if find_spec("course_lib") is None:
    %pip install --quiet --no-deps git+{address}
    !mkdir -p my_work"""
LINK = re.compile(r"\]\((\d\d\w*\.ipynb)(?:#cell-id=([\w-]+))?\)")
PART = re.compile(r"(?<=<!-- badges -->\n).*?(?=<!-- /badges -->)", re.DOTALL)
START = "00_start_here.ipynb"


def colab_page(source: Path) -> dict:
    """The page that Colab opens, from one of the course's notebooks."""
    page = copies.made_from(source)
    for cell in page["cells"]:
        cell["metadata"]["id"] = cell["id"]  # by which Colab finds a cell
        if cell["cell_type"] == "markdown":
            text = LINK.sub(_led, copies.source_of(cell))
            cell["source"] = text.splitlines(True)
    lines = FIRST.format(address=address()).splitlines(True)
    first = {"cell_type": "code", "id": "colab", "metadata": {"id": "colab"}}
    first.update(execution_count=None, outputs=[], source=lines)
    page["cells"].insert(1, first)
    return page


def _led(link: re.Match) -> str:
    """A link to another page, as it works in Colab."""
    place = f"#scrollTo={link[2]}" if link[2] else ""
    return f"]({_colab(link[1])}{place})"


def _colab(page: str) -> str:
    return f"{COLAB}/github/{_name()}/blob/{BRANCH}/{page}"


def _name() -> str:
    """Owner and name of the repository: the end of its address."""
    return "/".join(address().rsplit("/", 2)[1:])


def badges() -> str:
    """The line of badges, each a link that opens the course."""
    in_binder = f"v2/gh/{_name()}/main?urlpath=lab/tree/my_work/Start.ipynb"
    return f"""\
[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({_colab(START)})
[![Launch Binder]({BINDER}/badge_logo.svg)]({BINDER}/{in_binder})
[![Open in GitHub Codespaces]({CODESPACES})](https://codespaces.new/{_name()})"""


def renew_badges(readme: Path) -> bool:
    """Write the badges between their marks; whether that changed the file."""
    before = readme.read_text(encoding="utf-8")
    after = PART.sub(f"{badges()}\n", before)
    if after != before:
        readme.write_text(after, encoding="utf-8", newline="\n")
    return after != before


def main(argv: Sequence[str]) -> int:
    """`colab --out DIR`."""
    asked = argparse.ArgumentParser(
        prog=f"{COMMAND} colab",
        description="Write the pages that Colab opens, each with a first cell that "
        "installs the course where it is not.",
    )
    asked.add_argument("--out", type=Path, required=True, help="a folder of its own")
    out = asked.parse_args(argv).out
    if out.exists() and any(path.suffix != ".ipynb" for path in out.iterdir()):
        raise CourseError(f"--out {out} holds more than pages, and is left as it is.")
    out.mkdir(parents=True, exist_ok=True)
    for source in [*notebooks("notebooks"), *notebooks("exercises")]:
        text = json.dumps(colab_page(source), indent=1, ensure_ascii=False) + "\n"
        path = out / copies.copy_name(source)
        path.write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: {len(list(out.glob('*.ipynb')))} pages for Colab")
    return 0
