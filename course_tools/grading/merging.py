"""From submissions to learners: chapters and attempts together, and what counts.

An exercise that was not tried in one file never lowers what was tried in another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from course_lib.exercises import EXERCISES
from course_tools.grading.marking import Mark, Marked
from course_tools.grading.statistics import UNTOUCHED

__all__ = ["TAKE", "Learner", "Taken", "by_learner"]

TAKE = ("best", "latest")


@dataclass(frozen=True)
class Taken:
    """The mark that counts for an exercise, and the submission that it comes from.

    place: which of the learner's `tries` at the exercise it is, from 1
    """

    mark: Mark
    source: Marked
    place: int
    tries: int

    @property
    def tried(self) -> bool:
        return self.mark.status not in UNTOUCHED


@dataclass(frozen=True)
class Learner:
    """One person with all that they handed in, the earliest first.

    taken: what counts, by exercise, in the course's order
    """

    submissions: tuple[Marked, ...]
    taken: dict[str, Taken]

    @property
    def name(self) -> str:
        return self.submissions[0].upload.learner

    @property
    def id(self) -> str:
        return self.submissions[0].upload.id

    @property
    def who(self) -> tuple[str, str]:
        return self.name, self.id

    @property
    def platform(self) -> str:
        return self.submissions[-1].upload.platform

    @cached_property
    def marks(self) -> tuple[Mark, ...]:
        """One for each exercise; if there is none, what was said instead."""
        marks = tuple(taken.mark for taken in self.taken.values())
        return marks or self.submissions[-1].marks

    @property
    def counting(self) -> list[Marked]:
        """The submissions that something counts of; all if nothing was tried."""
        names = {t.source.submission for t in self.taken.values() if t.tried}
        found = [one for one in self.submissions if one.submission in names]
        return found or list(self.submissions)

    @property
    def attempts(self) -> int:
        """How often they tried, by the platform's count or by ours."""
        tries = [taken.tries for taken in self.taken.values()]
        return max([*tries, *(one.upload.attempt for one in self.submissions)])


def by_learner(marked: Sequence[Marked], take: str = "best") -> list[Learner]:
    """Everybody once, in the order in which they first appear.

    take: "best", the earliest of equals; or "latest", by the time of handing in, then
        the attempt's number, then the order of `marked`
    """
    groups: dict[tuple[str, str], list[Marked]] = {}
    for one in marked:
        groups.setdefault(one.upload.who, []).append(one)
    return [_learner(group, take) for group in groups.values()]


def _learner(group: Sequence[Marked], take: str) -> Learner:
    group = sorted(group, key=lambda one: (one.upload.handed_in, one.upload.attempt))
    names = {mark.exercise for one in group for mark in one.marks}
    taken = {name: _taken(name, group, take) for name in EXERCISES if name in names}
    return Learner(tuple(group), taken)


def _taken(name: str, group: Sequence[Marked], take: str) -> Taken:
    found = [(m, one) for one in group for m in one.marks if m.exercise == name]
    tried = [(m, one) for m, one in found if m.status not in UNTOUCHED]
    if not tried:
        mark, one = max(found, key=lambda pair: UNTOUCHED.index(pair[0].status))
        return Taken(mark, one, 0, 0)
    best = max(tried, key=lambda pair: pair[0].score)
    chosen = tried[-1] if take == "latest" else best
    return Taken(*chosen, tried.index(chosen) + 1, len(tried))
