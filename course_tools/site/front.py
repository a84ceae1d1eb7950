"""The website's pages around the chapters: its front, and the course's own papers."""

import re
from pathlib import Path

import nbformat

from course_lib.workspace import notebooks, repository
from course_tools.start_page import (
    PRACTITIONER,
    SHORT,
    chapters,
    reading_time,
    short_hours,
    title_of,
)

__all__ = ["preview", "texts"]

INDEX = """# DPO from first principles

One preference between two answers, and from it, step by step, a trained language model:
a course on Direct Preference Optimization on worlds small enough to be exact. Drag the
points; every figure here moves.

{hero}

{map}

## Three ways through

- **The short way**: the main sections of {short}. {hours}
- **The full way**: every chapter, with the sections that begin with "Deeper".
- **The practitioner's way**: {practitioner}.

## Run it

The course is meant to be worked through in JupyterLab, where every cell can be changed
and every exercise is checked. With Python 3.11 to 3.13 and a copy of the course:

```
python3 -m course_lib lab      # makes an environment, then opens the course
python3 -m course_lib test     # everything that these pages claim, tested
```

[What this course proves](proof.md) says what is tested, and how.

{toc}
"""
CARD = (
    "The title beside a figure: as β falls, the share of praise in a model's answers "
    "rises to 100 %, and then the share of babble follows"
)
TREE = """```{{toctree}}
:hidden:
:caption: {caption}

{pages}
```"""


def texts(hero: str = "") -> dict[str, str]:
    """The front page, and the papers of `docs/` that a reader wants, by file name.

    hero: HTML of the figure that the front shows
    """
    found = {"index.md": ""}
    for name in ("glossary.md", "bibliography.md", "teaching.md"):
        path = repository() / "docs" / name
        if path.exists():
            found[name] = _inside(path.read_text(encoding="utf-8"))
    lessons = {path.name[:2]: path for path in notebooks("notebooks")}
    rows = [_row(path) for path in lessons.values()]
    head = "| chapter | reading, as the chapter says | exercises |\n|:--|:--|:--|"
    trees = {
        "Chapters": [f"notebooks/{path.stem}" for path in lessons.values()],
        "Exercises": [f"exercises/{path.stem}" for path in notebooks("exercises")],
        "Solutions": [f"solutions/{path.stem}" for path in notebooks("solutions")],
        "About": [*(name[:-3] for name in found if name != "index.md"), "proof"],
    }
    toc = [TREE.format(caption=c, pages="\n".join(p)) for c, p in trees.items()]
    links = {number: f"notebooks/{path.name}" for number, path in lessons.items()}
    short, practitioner = (chapters(way, links) for way in (SHORT, PRACTITIONER))
    found["index.md"] = INDEX.format(
        hero=f"```{{raw}} html\n{hero}\n```" if hero else "",
        map="\n".join([head, *rows]),
        short=short,
        hours=short_hours(),
        practitioner=practitioner,
        toc="\n\n".join(toc),
    )
    return found


def preview(url: str) -> dict[str, str]:
    """What a link to a page shows elsewhere, as MyST writes it into every page's head.

    url: where the site will be; a picture needs a whole address
    """
    said = {
        "property=og:site_name": "DPO from first principles",
        "property=og:type": "website",
        "property=og:description": "A course on Direct Preference Optimization, "
        "on worlds small enough to be exact. Every figure moves.",
        "name=twitter:card": "summary_large_image" if url else "summary",
    }
    if url:
        said["property=og:image"] = f"{url.rstrip('/')}/_static/card.png"
        said["property=og:image:alt"] = CARD
    return said


def _row(path: Path) -> str:
    """A chapter's line in the map."""
    page = nbformat.read(path, as_version=4)
    time = reading_time(page)
    link = f"[{title_of(page)}](notebooks/{path.name})"
    asked = repository() / "exercises" / path.name
    exercises = f"[exercises](exercises/{path.name})" if asked.exists() else ""
    return f"| {link} | {time} | {exercises} |"


def _inside(text: str) -> str:
    """A paper of `docs/` with links as the site has them, and none that leave it."""
    text = re.sub(r"\]\(\.\./((?:notebooks|exercises|solutions)/)", r"](\1", text)
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)(?!notebooks|exercises)[^)]*\)", r"\1", text)
