"""From observations to a verdict: what holds, what does not, and what it looks like."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from course_lib.checking.describe import describe_call, describe_result
from course_lib.exercises.spec import (
    Check,
    Exercise,
    Inputs,
    Misconception,
    same,
    tolerance,
)
from course_lib.submission.observing import Call, Observation, observe, observe_all

__all__ = ["Examination", "Finding", "Verdict", "judge"]

NOT_ATTEMPTED, NOT_YET, PASSED = "not attempted", "not yet", "passed"


@dataclass(frozen=True)
class Finding:
    """The first thing that is wrong: lines of (label, text) for a card."""

    input: str
    yours: str
    must: str
    misconception: str = ""  # its name
    looks_like: str = ""  # what to say about it

    def lines(self) -> list[tuple[str, str]]:
        rows = [("input", self.input), ("yours", self.yours), ("must", self.must)]
        return rows + [("looks like", self.looks_like)] * bool(self.looks_like)


@dataclass(frozen=True)
class Verdict:
    """What `check` found out. `holding` counts the leading checks that hold."""

    exercise: Exercise
    state: str
    holding: int = 0
    finding: Finding | None = None

    @property
    def titles(self) -> list[str]:
        return [check.title for check in self.exercise.checks]


def judge(
    exercise: Exercise,
    run: Callable[[Sequence[Call]], Sequence[Observation]],
    *,
    seed: int,
    dtype: torch.dtype = torch.float64,
) -> Verdict:
    """Judge a function by what it did on this exercise's inputs.

    run: makes the observations, one for each call, wherever the function lives
    seed, dtype: of the inputs; a right function passes for all of them
    returns: a `Verdict`; the first check that fails keeps the later ones waiting
    """
    examination = Examination(exercise, seed=seed, dtype=dtype)
    return examination.verdict(list(run(examination.calls)))


class Examination:
    """One exercise's inputs, and what the course's own functions do with them.

    What is expected is computed once, however many answers are judged by it.
    """

    def __init__(
        self, exercise: Exercise, *, seed: int, dtype: torch.dtype = torch.float64
    ):
        self.exercise = exercise
        self._seed = seed
        self._near = max(tolerance(dtype), exercise.within)
        self._misconceived: dict[tuple[str, int], Observation] = {}
        inputs = Inputs(seed, dtype)
        self._asked = [
            (number, call)
            for number, check in enumerate(exercise.checks)
            for call in check.calls(inputs)
        ]

    @property
    def calls(self) -> list[Call]:
        """The inputs, in the order of the checks."""
        return [call for _, call in self._asked]

    @property
    def order(self) -> list[int]:
        """The places of the calls, in the order in which a stranger is asked.

        Whether a function is sound can be told from its place: there are few answers,
        and the exercise tells them. So functions come in an order of this seed's.
        """
        places = list(range(len(self._asked)))
        if any(callable(value) for call in self.calls for value in call.args):
            random.Random(self._seed).shuffle(places)
        return places

    @cached_property
    def _expected(self) -> list[Observation]:
        return observe_all(self.exercise.reference, self.calls)

    def verdict(self, seen: Sequence[Observation]) -> Verdict:
        """Judge by one observation for each call."""
        exercise = self.exercise
        if seen[0].error and seen[0].error[:2] == ("NotImplementedError", "no message"):
            return Verdict(exercise, NOT_ATTEMPTED)
        place = self.first_wrong(seen)
        if place is None:
            return Verdict(exercise, PASSED, len(exercise.checks))
        number, call = self._asked[place]
        must, ours = exercise.checks[number].must, self._expected[place]
        name, says = self._diagnose(seen)
        finding = Finding(
            input=describe_call(exercise, call),
            yours=describe_result(exercise, call, seen[place], ours),
            must=must if isinstance(must, str) else must(call, ours),
            misconception=name,
            looks_like=says,
        )
        return Verdict(exercise, NOT_YET, number, finding)

    def first_wrong(self, seen: Sequence[Observation]) -> int | None:
        """The place of the first observation that a check does not accept."""
        outcomes = zip(self._asked, seen, self._expected, strict=True)
        for place, ((number, call), yours, ours) in enumerate(outcomes):
            check = self.exercise.checks[number]
            if yours.error or not _holds(check, call, yours, ours, self._near):
                return place
        return None

    def _diagnose(self, seen: Sequence[Observation]) -> tuple[str, str]:
        """The misconception that does the very same on every input, if there is one."""
        for wrong in self.exercise.misconceptions:
            does = (self._does(wrong, place) for place in range(len(seen)))
            if all(same(*both, self._near) for both in zip(seen, does, strict=True)):
                return wrong.name, wrong.says
        return "", ""

    def _does(self, wrong: Misconception, place: int) -> Observation:
        key = wrong.name, place
        if key not in self._misconceived:
            self._misconceived[key] = observe(wrong.function, self._asked[place][1])
        return self._misconceived[key]


def _holds(
    check: Check, call: Call, yours: Observation, ours: Observation, near: float
) -> bool:
    try:
        return bool(check.holds(call, yours, ours, near))
    except (IndexError, TypeError, ValueError):  # not even of the kind to be compared
        return False
