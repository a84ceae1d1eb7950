"""`Start.ipynb`, the page at which `lab` opens: what to do next, the map, the tracks.

And `Glossary.ipynb`, to which it leads.

Written anew at each start from what is there; never the learner's own work.

Standard library only and readable by Python 3.6: it runs before the environment stands.
"""

import re

from course_lib.workspace import ever_passed, notebooks, read, work_folder, write
from course_tools.copies import (
    copy_name,
    deeper_exercises,
    exercises,
    linked,
    source_of,
)

PAGE, GLOSSARY = "Start.ipynb", "Glossary.ipynb"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
INTRO = """# DPO from first principles

Open a chapter in the map below and run it cell by cell with **Shift + Enter**. At an
exercise, follow the link, write the function, run `check`, and return by the link under
the exercise's heading. A word or a letter that you have forgotten is in the
[glossary](Glossary.ipynb).

{next}"""
MAP = """## The map

| chapter | exercises | reading, as the chapter says | passed | on the short way |
|:--|:--|:--|--:|--:|
{rows}

Everything in this folder is yours to change, except this page: it is written anew each
time `lab` starts. In a terminal, `python3 -m course_lib reset 04` starts the exercises
of chapter 04 afresh, and `reset 04_dpo_loss` the chapter; both keep a backup."""
TRACKS = """## Three ways through

- **The short way**, from one preference to the DPO loss and what β does in it: the main
  sections of {short}. {hours}
- **The full way**: every chapter from beginning to end, in the order of the map.
- **The practitioner's way**, to a loss, a run and their faults: {practitioner}."""
PROGRESS = """## Your progress

The map counts what you had passed when `lab` started. Run the cell below to count
again; what you have passed once stays passed."""
COUNT = "from course_lib import progress\n\nprogress()"
SHORT = ("00", "01", "02", "03", "04", "05")
PRACTITIONER = ("00", "04", "05", "08", "09")


def write_start() -> None:
    """Write the start page into `my_work/`."""
    notes = read(work_folder() / "progress.json") or {}
    passed = {name for name, note in notes.items() if ever_passed(note)}
    rows, following, sooner = [], "", ""
    pages = {path.name[:2]: path for path in notebooks("exercises")}
    for chapter in notebooks("notebooks"):
        lesson, page = read(chapter), pages.get(chapter.name[:2])
        link = done = short = ""
        if page:
            name, found = copy_name(page), exercises(read(page))
            link = f"[exercises]({name})"
            done, first = _done(found, passed, name)
            following = following or first
            if chapter.name[:2] in SHORT:
                beyond = deeper_exercises(lesson)
                found = [each for each in found if each[1].split()[1] not in beyond]
                short, first = _done(found, passed, name)
                sooner = sooner or first
        title = f"[{title_of(lesson)}]({chapter.name})"
        rows.append(f"| {title} | {link} | {reading_time(lesson)} | {done} | {short} |")
    going = f"**Your next exercise:** {following}" if following else "All is passed."
    if sooner and sooner != following:
        going += f" (on the short way: {sooner})"
    texts = [INTRO.format(next=going), MAP.format(rows="\n".join(rows))]
    texts += [*_tracks(), PROGRESS]
    write(work_folder() / PAGE, _notebook(texts, COUNT))
    words = [path.parent.parent / "docs/glossary.md" for path in notebooks("notebooks")]
    if words and words[0].exists():
        text = linked(words[0].read_text(encoding="utf-8"), words[0].parent)
        write(work_folder() / GLOSSARY, _notebook([text]))


def _done(found: list, passed: "set[str]", page: str) -> "tuple[str, str]":
    """How many of these exercises are passed, and a link to the first that is not."""
    still = [exercise for exercise in found if exercise[0] not in passed]
    links = [f"[{heading}]({page}{at})" for _, heading, at in still]
    return f"{len(found) - len(still)} of {len(found)}", "".join(links[:1])


def _tracks() -> "list[str]":
    """The three ways, if the chapters of the short one are here."""
    here = {path.name[:2]: path.name for path in notebooks("notebooks")}
    if not set(SHORT) <= set(here):
        return []
    short, practitioner = (chapters(way, here) for way in (SHORT, PRACTITIONER))
    told = TRACKS.format(short=short, hours=short_hours(), practitioner=practitioner)
    return [told]


def short_hours() -> str:
    """How long the short way takes: the sum of what its chapters say."""
    lessons = [read(at) for at in notebooks("notebooks") if at.name[:2] in SHORT]
    heads = " ".join(source_of(lesson["cells"][0]) for lesson in lessons)
    said = re.findall(r"Short way: (\d+) minutes to read and (\d+)\s+for", heads)
    reading = sum(int(minutes) for minutes, _ in said) / 60
    solving = sum(int(minutes) for _, minutes in said) / 60
    return f"It takes {reading:.1f} hours of reading, and {solving:.1f} of exercises."


def chapters(way: "tuple[str, ...]", links: "dict[str, str]") -> str:
    """Links to the chapters of one way through the course, those that are here."""
    return " · ".join(
        f"[{number}]({links[number]})" for number in way if number in links
    )


def title_of(page: dict) -> str:
    """The heading that a page begins with."""
    return source_of(page["cells"][0]).partition("\n")[0].lstrip("# ")


def reading_time(lesson: dict) -> str:
    """How long a chapter takes to read, in its own words."""
    head = source_of(lesson["cells"][0])
    said = re.search(r"[^*.]*?\bminutes to read\b.*?(?=, \d+ s to run|\.)", head, re.S)
    return " ".join(said.group().split()) if said else ""


def _notebook(texts: "list[str]", code: str = "") -> dict:
    """A page of these texts, and of a cell with this code at its end."""
    cells = [{"cell_type": "markdown", "source": text} for text in texts]
    if code:
        last = {"cell_type": "code", "source": code, "outputs": []}
        cells.append(dict(last, execution_count=None))
    for number, cell in enumerate(cells):
        cell.update(id=f"start-{number}", metadata={})
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    page = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata}
    return dict(page, cells=cells)
