"""Points and comments by hand: `manual.csv`, the one file of a report that is yours.

It is written once, with its columns' names alone, and never again; every gradebook and
every grading into the same folder reads it, and a grading from scratch a copy of it.
Its columns:

learner, id: as in gradebook.csv; one of the two is enough if only one learner has it
due: the date or time by which this learner may hand in, in place of everybody's
exercise: a name or a number such as 4.1; empty: the whole
points: instead of those that were found, at most what the exercise is worth; for the
    whole, points on top of the total, or taken off it; empty: only a comment
comment: for the learner's page
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from course_tools.grading.folder import write
from course_tools.grading.merging import Learner
from course_tools.grading.rules import amount, is_date, meant
from course_tools.grading.tables import cell, number, read, table

__all__ = ["MANUAL", "ByHand", "by_hand", "prepare"]

MANUAL = "manual.csv"
COLUMNS = ("learner", "id", "exercise", "points", "comment", "due")

Who = tuple[str, str]


@dataclass
class ByHand:
    """What the teacher wrote, by learner and then by exercise, "" for the whole.

    points: of two lines for one exercise the later holds; those for the whole add up
    due: dates of one's own
    unclear: a sentence for each line that is left out
    """

    points: dict[Who, dict[str, float]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    comments: dict[Who, dict[str, list[str]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    due: dict[Who, str] = field(default_factory=dict)
    unclear: list[str] = field(default_factory=list)


def prepare(report: Path):
    """Put an empty one into the report if there is none."""
    if not (report / MANUAL).exists():
        write(report / MANUAL, table(COLUMNS, []))


def by_hand(
    report: Path, learners: Sequence[Learner], worth: Mapping[str, float]
) -> ByHand:
    """Read the report's `manual.csv`; what cannot be understood stops nothing.

    worth: the most that each exercise of the report can earn
    """
    found = ByHand()
    try:
        rows = read(report / MANUAL)
    except OSError as error:
        found.unclear.append(f"{MANUAL} cannot be read: {error}.")
        return found
    for line, row in rows:
        try:
            _note(found, row, learners, worth)
        except ValueError as trouble:
            found.unclear.append(f"{MANUAL}, line {line}: {trouble}.")
    return found


def _note(
    found: ByHand,
    row: Mapping[str, str],
    learners: Sequence[Learner],
    worth: Mapping[str, float],
):
    """Take one line in, or raise ValueError with what is wrong about it."""
    who = _who(row.get("learner", ""), row.get("id", ""), learners)
    exercise = _exercise(row.get("exercise", ""), worth)
    points, comment, due = (row.get(c, "") for c in ("points", "comment", "due"))
    if not (points or comment or due):
        raise ValueError("it has neither points nor a comment nor a date")
    if due and not is_date(due):
        raise ValueError(f'"{due}" is no date such as 2026-11-01 or 2026-11-01T18:00')
    if points:
        value = amount(points)
        if value is None:
            raise ValueError(f'"{points}" is no number of points')
        if exercise and not 0 <= value <= worth[exercise]:
            most = number(worth[exercise])
            raise ValueError(
                f"{points} points for {exercise}, which is worth 0 to {most}; points "
                "on top of the total go into a line without an exercise"
            )
        before = 0.0 if exercise else found.points[who].get("", 0.0)
        found.points[who][exercise] = before + value
    if comment:
        found.comments[who].setdefault(exercise, []).append(comment)
    if due:
        found.due[who] = due


def _who(name: str, number: str, learners: Sequence[Learner]) -> Who:
    if not name and not number:
        raise ValueError("it names no learner")
    fits = [
        one.who
        for one in learners
        if (not name or _plain(name) in (_plain(one.name), _plain(cell(one.name))))
        and (not number or number in (one.id, cell(one.id)))
    ]
    given = " ".join(filter(None, (name, number)))
    if not fits:
        raise ValueError(f'no learner is "{given}"')
    if len(fits) > 1:
        raise ValueError(f'{len(fits)} learners are "{given}"; give the id too')
    return fits[0]


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _exercise(word: str, worth: Mapping[str, float]) -> str:
    if not word:
        return ""
    fits = [name for name in meant(word) if name in worth]
    if len(fits) != 1 or word.isdigit():
        raise ValueError(f'"{word}" is no exercise of this report')
    return fits[0]
