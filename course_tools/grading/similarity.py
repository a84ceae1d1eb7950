"""Who wrote the same: equal answers, equal mistakes, copies of the course's own.

The longer an answer is and the fewer have it, the more it says; what the starter gave
counts for nothing. Likeness is a reason to ask, and no verdict.
"""

import ast
import inspect
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from course_lib.exercises import EXERCISES
from course_lib.submission.loading import cells_of
from course_lib.workspace import notebooks
from course_tools.grading import folder
from course_tools.grading.learners import Upload
from course_tools.grading.marking import Marked
from course_tools.grading.normal import Form, forms, statements
from course_tools.grading.submissions import Page
from course_tools.grading.tables import table

__all__ = ["CAUTION", "Group", "alike", "section", "write"]

CAUTION = (
    "Likeness is a reason to ask, not a verdict: people learn together and from the "
    "same hints, and a short right answer has few forms."
)
LONG, LONG_WRONG = 40, 20  # parts of a program, beyond the starter's; see `normal`
PARTS_FOR_ALL = 160  # so long that it says something though the whole class has it
ROOM = 100_000  # characters of one upload: a chapter's page has about ten thousand
RARE = 0.1  # of those who tried, at most, for a mistake to be unusual
COLUMNS = ("group", "exercise", "learner", "id", "why", "have it", "tried", "share")
COLUMNS += ("note",)
IMPORT = ast.Import | ast.ImportFrom
Who = tuple[str, str]  # a learner's name and id


@dataclass(frozen=True)
class Group:
    """Learners who are alike in an exercise, and why that may mean something.

    kind: "copy" of the course's own answer, "answer", "mistake" (the same wrong answer)
        or "numbers" (other words, the same wrong numbers)
    tried: how many learners of the class wrote something for this exercise
    weight: the length of what is equal × how rare it is, in bits; a wrong one twice
    """

    exercise: str
    kind: str
    learners: tuple[Who, ...]
    why: str
    tried: int
    weight: float

    @property
    def share(self) -> float:
        """How much of those who tried."""
        return len(self.learners) / self.tried


def alike(
    work: Sequence[tuple[Upload, Sequence[Page]]], marked: Sequence[Marked]
) -> list[Group]:
    """The groups that may mean something, those that mean most first.

    work: what was handed in; several uploads of one learner are never compared
    marked: the marks of the same uploads, which say what is wrong
    """
    wrong = {  # the marks of answers that ran and are wrong
        (one.upload, mark.exercise): mark
        for one in marked
        for mark in one.marks
        if mark.status in ("failed", "error")
    }
    has, tried = _answers(work)
    groups = []
    for exercise, answers in has.items():
        number = len(tried[exercise])
        seen: set[Who] = set()
        for form, uploads in answers.items():
            mistaken = all((one, exercise) in wrong for one in uploads)
            group = _group(exercise, form, uploads, mistaken, number)
            if group:
                groups.append(group)
                seen.update(group.learners)
        groups += _same_numbers(exercise, wrong, seen, number)
    return sorted(groups, key=lambda g: (-g.weight, g.exercise, g.learners))


def section(groups: Sequence[Group]) -> dict:
    """What a page shows: the groups in words, and pairs who are alike twice or more."""
    together = defaultdict(list)
    for group in groups:
        for pair in combinations(group.learners, 2) if len(group.learners) < 10 else ():
            together[pair].append(EXERCISES[group.exercise].number)
    return {
        "caution": CAUTION,
        "groups": [
            {
                "number": EXERCISES[group.exercise].number,
                "title": EXERCISES[group.exercise].title,
                "learners": [*map(_named, group.learners)],
                "why": group.why,
                "share": f"{len(group.learners)} of the {group.tried} who tried",
            }
            for group in groups
        ],
        "pairs": [
            {"learners": [*map(_named, pair)], "exercises": numbers}
            for pair, numbers in sorted(together.items(), key=lambda it: -len(it[1]))
            if len(numbers) > 1
        ],
    }


def write(path: Path, groups: Sequence[Group]) -> None:
    """Write the groups for a spreadsheet, a row for each learner of each group."""
    rows = [
        {
            "group": number,
            "exercise": group.exercise,
            "learner": name,
            "id": id,
            "why": group.why,
            "have it": len(group.learners),
            "tried": group.tried,
            "share": f"{group.share:.3f}",
            "note": CAUTION,
        }
        for number, group in enumerate(groups, 1)
        for name, id in group.learners
    ]
    folder.write(path, table(COLUMNS, rows))


# ── who has which form ────────────────────────────────────────────────────────────────


def _answers(work: Sequence[tuple[Upload, Sequence[Page]]]):
    """{exercise: {form: uploads}}, and who tried each exercise."""
    has: dict[str, dict[Form, list[Upload]]] = defaultdict(lambda: defaultdict(list))
    tried: dict[str, set[Who]] = defaultdict(set)
    for upload, pages in work:
        if sum(len(cell) for page in pages for cell in page.cells) > ROOM:
            continue
        for page in pages:
            for exercise, form in _forms(page.cells).items():
                has[exercise][form].append(upload)
                tried[exercise].add(upload.who)
    return has, tried


def _forms(cells: Sequence[str]) -> dict[str, Form]:
    """The forms in a page; of the starter's own cells only the imports are read."""
    given = _starters()
    own = [given.imports.get(cell.strip(), cell) for cell in cells]
    return forms(own, EXERCISES, given.statements)


class Starters(NamedTuple):
    """What everybody is given: statements; the imports of each cell; lengths."""

    statements: frozenset[str]
    imports: Mapping[str, str]
    lengths: Mapping[str, int]


@cache
def _starters() -> Starters:
    texts, imports, lengths = set(), {}, {}
    for path in notebooks("exercises"):
        for cell in cells_of(path.name, path.read_bytes()):
            inside = [*statements([cell])]
            texts.update(text for text, _ in inside)
            imports[cell.strip()] = "\n".join(
                text for text, node in inside if isinstance(node, IMPORT)
            )
            for text, node in inside:
                name = getattr(node, "name", "")
                if name in EXERCISES:  # its body as good as nothing, so it has a form
                    empty = text.replace("raise NotImplementedError", "return")
                    lengths[name] = forms([empty], [name])[name].length
    return Starters(frozenset(texts), imports, lengths)


@cache
def _own_answers() -> Mapping[tuple[str, str], str]:
    """Where the course itself has an answer of this form: {(name, digest): place}."""
    found = {}
    modules = {e.reference.__module__ for e in EXERCISES.values()}
    for module in sorted(modules):
        cells = [inspect.getsource(sys.modules[module])]
        place = module.replace(".", "/") + ".py"
        for name, form in forms(cells, EXERCISES).items():
            found[name, form.digest] = place
    for path in notebooks("solutions"):
        for name, form in _forms(cells_of(path.name, path.read_bytes())).items():
            found[name, form.digest] = f"solutions/{path.name}"
    return found


# ── what it may mean ──────────────────────────────────────────────────────────────────


def _group(
    exercise: str, form: Form, uploads: Sequence[Upload], mistaken: bool, tried: int
) -> Group | None:
    """The learners of one form, if it is long and rare enough to say something."""
    learners = tuple(sorted({one.who for one in uploads}))
    length = form.length - _starters().lengths.get(exercise, 0)
    share = len(learners) / tried
    place = _own_answers().get((exercise, form.digest))
    if place and length >= LONG:
        kind, why = "copy", f"equal to the course's own answer in {place}"
        if place.startswith("solutions"):
            why += ", which check shows after a pass or the last hint"
    elif len(learners) < 2:
        return None
    elif mistaken and length >= LONG_WRONG and (share <= RARE or len(learners) == 2):
        kind, why = "mistake", "the same wrong answer, up to names and formatting"
    elif length >= LONG and (share <= length / PARTS_FOR_ALL or len(learners) <= 3):
        kind, why = "answer", "the same answer, up to names and formatting"
    else:
        return None
    why += f"; {length} parts of a program"
    weight = _weight(length * (1 + mistaken), len(learners), tried)
    return Group(exercise, kind, learners, why, tried, weight)


def _same_numbers(
    exercise: str, wrong: Mapping, seen: set[Who], tried: int
) -> Iterator[Group]:
    """Who made an unusual mistake with the same numbers, in other words."""
    whose: dict[tuple, set[Who]] = defaultdict(set)
    makers: dict[str, set[Who]] = defaultdict(set)
    for (upload, name), mark in wrong.items():
        if name == exercise:
            rows = dict(mark.finding)
            yours = rows.get("yours", "")
            makers[mark.misconception].add(upload.who)
            if sum(character.isdigit() for character in yours) >= 4:
                key = (mark.misconception, rows.get("input"), yours)
                whose[key].add(upload.who)
    for (misconception, _, yours), found in whose.items():
        learners = tuple(sorted(found))
        usual = misconception and len(makers[misconception]) > RARE * tried
        if len(learners) < 2 or len(learners) > RARE * tried or usual or found <= seen:
            continue
        named = f" ({misconception})" if misconception else ""
        why = f"the same unusual mistake{named} with the same numbers: {yours[:80]}"
        weight = _weight(LONG_WRONG, len(learners), tried)
        yield Group(exercise, "numbers", learners, why, tried, weight)


def _weight(length: int, learners: int, tried: int) -> float:
    return length * math.log2((tried + 1) / learners)


def _named(who: Who) -> str:
    return f"{who[0]} ({who[1]})" if who[1] else who[0]
