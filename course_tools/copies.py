"""The learner's pages in `my_work/`: made from the course, renewed, never lost.

`04_dpo_loss.ipynb` is a working copy of the chapter, without outputs, and
`04_exercises.ipynb` one of its exercises; their links lead to each other. What a page
held when it was written is noted in `copies.json`. A page that still holds it is
replaced when the course changes, whether it has been run or not; one that has been
edited is kept. If the note is lost, a page that differs counts as edited.

Standard library only and readable by Python 3.6: it runs before the environment stands.
"""

import hashlib
import json
import os
import re
from pathlib import Path

from course_lib.workspace import (
    CourseError,
    find,
    notebooks,
    read,
    work_folder,
    write,
    write_whole,
)

NOTES = "copies.json"
FOLDED = {"jp-MarkdownHeadingCollapsed": True}
LINK = re.compile(
    r"\[(?P<words>[^\[\]]*)\]"
    r"\((?:\.\./(?P<folder>notebooks|exercises)/)?(?P<page>\d\d\w*\.ipynb)(?P<at>#\S*)?\)"
)
BEFORE_HEADING = re.compile(r"\n+(?=##+ )")
WITHIN = re.compile(r"(?<=\]\()#[^()\s]+(?=\))")  # a link to a heading of its own page


def renew() -> "list[str]":
    """Bring `my_work/` up to date; return what is to be said about it, in lines."""
    folder = work_folder()
    folder.mkdir(parents=True, exist_ok=True)
    said = _rename_old(folder)
    notes = read(folder / NOTES) or {}
    before = dict(notes)
    new, replaced, kept = [], [], []
    for name, source in _sources():
        page, copy = made_from(source), folder / name
        wanted, known = digest(page), notes.get(name)
        holds = digest(read(copy) or {}) if copy.exists() else None
        if holds is None:
            _create(copy, _text(page))
            new.append(name)
        elif holds == known != wanted:
            _replace(copy, _text(page))
            replaced.append(name)
        elif holds != wanted and known not in (None, wanted):
            kept.append(name)
        notes[name] = wanted
    if notes != before:
        write(folder / NOTES, notes)
    return said + _lines(folder, new, replaced, kept)


def reset(wanted: str) -> str:
    """Put a fresh page into `my_work/`, keep a backup of what was there, say so.

    wanted: 4, 04 or 04_exercises for the exercises, 04_dpo_loss for the chapter
    raises: CourseError, listing what there is, if that is not exactly one page
    """
    stem = Path(wanted).stem
    if wanted.isdigit() or re.match(r"\d+_exercises$", stem):
        source = find("exercises", stem.partition("_")[0])
    else:
        source = find("notebooks", wanted)
    page, copy = made_from(source), work_folder() / copy_name(source)
    copy.parent.mkdir(parents=True, exist_ok=True)
    _rename_old(copy.parent)
    notes = read(copy.parent / NOTES) or {}
    write(copy.parent / NOTES, {**notes, copy.name: digest(page)})
    fresh = _text(page)
    if not copy.exists():
        _create(copy, fresh)
        return f"{copy} is new."
    if copy.read_bytes() == fresh:
        return f"{copy} is as fresh as the course's page: nothing to do."
    backup = _keep(copy)
    _replace(copy, fresh)
    return (
        f"{copy} is fresh; what was in it is kept in {backup.name}.\n"
        "If it is open in JupyterLab, choose File > Reload Notebook from Disk."
    )


# ── pages ─────────────────────────────────────────────────────────────────────────────


def copy_name(source: Path) -> str:
    """What the copy of one of the course's notebooks is called."""
    exercises = source.parent.name == "exercises"
    return f"{source.name[:2]}_exercises.ipynb" if exercises else source.name


def made_from(source: Path) -> dict:
    """The copy of one of the course's notebooks: no outputs, and links to copies.

    What begins with "Deeper" is folded: JupyterLab folds what follows a cell that is a
    heading, so that each heading gets a cell of its own.

    raises: CourseError if the file is no notebook
    """
    page = _parted(source)
    if "cells" not in page:
        where = f"{source.parent.name}/{source.name}"
        raise CourseError(f"{where} is no notebook.", f"git checkout -- {where}")
    for cell in page["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        else:
            text = linked(source_of(cell), source.parent)
            text = WITHIN.sub(lambda at: _name_at(source, at.group()), text)
            cell["source"] = text.splitlines(True)
    return page


def _parted(source: Path) -> dict:
    """A page of the course, a cell for each heading if some are to be folded."""
    page = read(source) or {}
    cells = page.get("cells", [])
    titles = [title for cell in cells for title in headings(cell)]
    if not any(title.startswith("Deeper") for title in titles):
        return page
    return {**page, "cells": [part for cell in cells for part in _parts(cell)]}


def _parts(cell: dict) -> "list[dict]":
    """Its text, parted before each heading, and after those that are folded."""
    if cell["cell_type"] != "markdown":
        return [cell]
    parts = []
    for text in BEFORE_HEADING.split(source_of(cell)):
        heading, _, rest = text.partition("\n\n")
        deeper = bool(re.match(r"##+ Deeper", heading))
        for piece in filter(None, [heading, rest] if deeper else [text]):
            folds = FOLDED if deeper and piece == heading else {}
            part = dict(cell, source=piece.splitlines(True))
            part["metadata"] = dict(cell["metadata"], **folds)
            part["id"] += f"-{len(parts)}" * bool(parts)
            parts.append(part)
    return parts


def linked(text: str, folder: Path) -> str:
    """A text from a folder of the course, with links that lead to the copies."""
    return LINK.sub(lambda link: _led(link, folder), text)


def source_of(cell: dict) -> str:
    """The text of a cell, which a notebook may keep in lines."""
    return "".join(cell.get("source", ""))


def digest(page: dict) -> str:
    """What a learner can edit of a page, in one word; empty cells count for nothing."""
    cells = [(cell.get("cell_type"), source_of(cell)) for cell in page.get("cells", [])]
    text = json.dumps([cell for cell in cells if cell[1].strip()])
    return hashlib.sha256(text.encode()).hexdigest()


def has_exercises(page: "dict | None") -> bool:
    """Whether a notebook is one of exercises, whatever it is called."""
    cells = (page or {}).get("cells", [])
    return any("exercise" in cell["metadata"].get("tags", []) for cell in cells)


def headings(cell: dict) -> "list[str]":
    """The headings in a cell of text."""
    text = source_of(cell) if cell["cell_type"] == "markdown" else ""
    return re.findall(r"^#+ (.+)$", text, re.M)


def exercises(page: dict) -> "list[tuple[str, str, str]]":
    """The exercises of a page: each one's function, its heading, and a link's end."""
    found, place = [], ("", "")
    for cell in page["cells"]:
        for title in headings(cell):
            place = title, f"#cell-id={cell['id']}"
        if "exercise" in cell["metadata"].get("tags", []):
            name = re.search(r"^def (\w+)", source_of(cell), re.M).group(1)
            found.append((name, *place))
    return found


def deeper_exercises(lesson: dict) -> "set[str]":
    """The numbers of the exercises that stand in a chapter's Deeper sections."""
    found, level = set(), 9  # of the heading "Deeper" that we are under
    for cell in lesson["cells"]:
        text = source_of(cell) if cell["cell_type"] == "markdown" else ""
        for line in text.splitlines():
            heading = re.match(r"(##+) (Deeper)?", line)
            if heading and len(heading.group(1)) <= level:
                level = len(heading.group(1)) if heading.group(2) else 9
            if level < 9:
                found.update(re.findall(r"\[\*\*Exercise ([\d.]+)\*\*\]", line))
    return found


def _sources() -> "list[tuple[str, Path]]":
    """The name of each copy, and what it is made from."""
    paths = [*notebooks("notebooks"), *notebooks("exercises")]
    return sorted((copy_name(path), path) for path in paths)


def _led(link, folder: Path) -> str:
    """A link as the copies have it; its words alone if the course lacks the page."""
    target = folder.parent / (link["folder"] or folder.name) / link["page"]
    if not target.exists():
        return link["words"]
    return f"[{link['words']}]({_name_at(target, link['at'] or '')})"


def _name_at(page: Path, at: str) -> str:
    """Where a link to a place of one of the course's notebooks leads, in the copies.

    It leads to the heading's cell: of headings JupyterLab 4.6 finds neither one with
    "·", which a browser makes %C2%B7, nor any in a page that is not open yet.
    """
    for cell in _parted(page).get("cells", []):
        if at[1:] in [title.replace(" ", "-") for title in headings(cell)]:
            at = f"#cell-id={cell['id']}"
            break
    return copy_name(page) + at


def _lines(folder: Path, new: list, replaced: list, kept: list) -> "list[str]":
    """What has been done, a line each."""
    some = ", ".join(new) if len(new) < 5 else f"{len(new)} pages"
    said = [f"New in {folder}: {some}"] if new else []
    if replaced:
        said.append(f"Brought up to date: {', '.join(replaced)}")
    if kept:
        words = [name[:2] if "_exercises" in name else name[:-6] for name in kept]
        said.append(
            f"The course has a newer page, and yours is kept: {', '.join(kept)}. "
            f"To change over, with a backup: reset {' '.join(words)}"
        )
    return said


def _rename_old(folder: Path) -> "list[str]":
    """Exercises that are where their chapter belongs get their own name; say so."""
    said = []
    for source in notebooks("exercises"):
        old = folder / source.name
        if not has_exercises(read(old)):
            continue
        new = folder / copy_name(source)
        if new.exists():
            new = _keep(old)
            old.unlink()
        else:
            os.rename(str(old), str(new))
        said.append(f"{old.name} is now called {new.name}, with your work in it.")
    return said


# ── files, whole or not at all ────────────────────────────────────────────────────────


def _text(page: dict) -> bytes:
    return (json.dumps(page, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def _create(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet."""
    with open(str(path), "xb") as file:  # x: never over somebody's work
        try:
            file.write(content)
            file.flush()
        except OSError:  # a full disk: half a notebook would pass for the learner's
            path.unlink()
            raise


def _replace(path: Path, content: bytes) -> None:
    """Write a file anew; at every moment one whole file has its name."""
    write_whole(path, lambda draft: draft.write_bytes(content))


def _keep(copy: Path) -> Path:
    """Put a backup of `copy` beside it, under the first number that is free."""
    number = 1
    while True:
        backup = copy.with_name(f"{copy.stem}.backup-{number}.ipynb")
        try:
            _create(backup, copy.read_bytes())
            return backup
        except FileExistsError:
            number += 1
