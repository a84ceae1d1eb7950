"""The gradebook's lines: what each learner has, out of how much, and how late."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_lib.exercises import EXERCISES
from course_tools.grading.comments import ByHand, by_hand
from course_tools.grading.marking import Marked
from course_tools.grading.merging import Learner, Taken, by_learner
from course_tools.grading.rules import Rules, days_late

__all__ = ["Book", "Standing", "book"]


@dataclass(frozen=True)
class Standing:
    """One learner's line.

    points: by exercise, as far as it was asked of them; None where the grader failed
    late, days: whether what counts came late, and how many days if that is known
    bonus: points by hand on top of the total
    comments: the teacher's, by exercise, "" for the whole
    by_hand: the exercises whose points are the teacher's
    """

    learner: Learner
    points: dict[str, float | None]
    late: bool
    days: int | None
    bonus: float
    comments: dict[str, list[str]]
    by_hand: frozenset[str]
    total: float
    most: float

    @property
    def open(self) -> bool:
        """Whether the grader still owes this learner a mark that counts."""
        return None in self.points.values()


@dataclass(frozen=True)
class Book:
    """A class's lines, with what each exercise is worth.

    worth: by exercise, in the course's order
    extra: exercises that fewer than half of the learners were asked; they have their
        columns but no part in the total, unless the rules give them a weight
    unclear: what could not be understood in manual.csv
    """

    rules: Rules
    worth: dict[str, float]
    extra: tuple[str, ...]
    lines: tuple[Standing, ...]
    unclear: tuple[str, ...]

    @property
    def chapters(self) -> dict[str, list[str]]:
        """The exercises by chapter: "04" and so on."""
        found: dict[str, list[str]] = {}
        for name in self.worth:
            chapter = EXERCISES[name].number.split(".")[0].zfill(2)
            found.setdefault(chapter, []).append(name)
        return found


def book(report: Path, marked: Sequence[Marked], rules: Rules) -> Book:
    """The gradebook of a report's marks, with what its manual.csv says."""
    learners = by_learner(marked, rules.take)
    learners.sort(key=lambda one: (one.name.casefold(), one.who))
    most = {n: t.mark.max_score for one in learners for n, t in one.taken.items()}
    worth = {n: float(rules.worth.get(n, most[n])) for n in EXERCISES if n in most}
    hand = by_hand(report, learners, worth)
    asked = [name for one in learners for name in one.taken]
    extra = tuple(
        name
        for name in worth
        if 2 * asked.count(name) < len(learners) and name not in rules.worth
    )
    counted = {n: w for n, w in worth.items() if n not in extra}
    lines = tuple(_line(one, rules, worth, counted, hand) for one in learners)
    return Book(rules, worth, extra, lines, tuple(hand.unclear))


def _line(
    one: Learner,
    rules: Rules,
    worth: dict[str, float],
    counted: dict[str, float],
    hand: ByHand,
) -> Standing:
    given = dict(hand.points[one.who])
    bonus = given.pop("", 0.0)
    points = {n: _points(t, worth[n], rules) for n, t in one.taken.items()} | given
    sure = [name for name in counted if points.get(name, 0.0) is not None]
    late, days = _late(one, hand.due.get(one.who) or rules.due)
    return Standing(
        learner=one,
        points=points,
        late=late,
        days=days,
        bonus=bonus,
        comments=hand.comments[one.who],
        by_hand=frozenset(given),
        total=sum(points.get(name) or 0.0 for name in sure) + bonus,
        most=sum(worth[name] for name in sure),
    )


def _points(taken: Taken, worth: float, rules: Rules) -> float | None:
    mark = taken.mark
    if mark.status == "grader_error":
        return None
    if rules.all_or_nothing:
        return worth * (mark.status == "passed")
    return worth * mark.score / mark.max_score if mark.max_score else 0.0


def _late(one: Learner, due: str) -> tuple[bool, int | None]:
    """By the date that is due where it and the time are known, else by the platform."""
    uploads = [marked.upload for marked in one.counting]
    days = [days_late(upload.handed_in, due) for upload in uploads]
    late = any(
        u.late if d is None else d > 0 for u, d in zip(uploads, days, strict=True)
    )
    return late, max((d for d in days if d is not None), default=None)
