"""From observations to a verdict: what holds, and what to say of what fails."""

import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import torch

from course_lib.checking.describe import describe_call, described
from course_lib.checking.diagnosis import Diagnosis
from course_lib.checking.plan import Plan, Planned
from course_lib.checking.seen import Seen, Symptom
from course_lib.exercises import EXERCISES
from course_lib.exercises.spec import Check, Exercise, Inputs
from course_lib.submission.observing import NO_MESSAGE, Call, Observation

__all__ = ["Examination", "Finding", "Verdict", "titles"]

NOT_ATTEMPTED, NOT_YET, PASSED = "not attempted", "not yet", "passed"


@dataclass(frozen=True)
class Finding:
    """The first thing that is wrong: lines of (label, text) for a card.

    name: of the fault, slip or symptom, for reports; why: what to say of it
    likeness: whether the answer does just what `why` says, or it is merely noticed
    """

    input: str
    yours: str
    must: str
    name: str = ""
    why: str = ""
    likeness: bool = False

    @property
    def label(self) -> str:
        return "looks like" if self.likeness else "noticed"

    def lines(self) -> list[tuple[str, str]]:
        return [("input", self.input), ("yours", self.yours), ("must", self.must)]


@dataclass(frozen=True)
class Verdict:
    """What `check` found out. `holding` counts the leading properties that hold."""

    exercise: Exercise
    state: str
    titles: tuple[str, ...]
    holding: int = 0
    finding: Finding | None = None

    @property
    def diagnosis(self) -> str:
        return self.finding.why if self.finding else ""


@cache
def titles(name: str) -> tuple[str, ...]:
    """The properties of an exercise, in their order."""
    return Examination(EXERCISES[name], seed=0).titles


class Examination:
    """One exercise's inputs, and what the course's own functions do with them.

    What is expected is computed once, however many answers are judged by it.

    seed, dtype: of the inputs; a right function passes for all of them
    tell: whether the right answer to a drawn input may be told; a grader that looks at
        many answers with one seed must not
    """

    def __init__(
        self,
        exercise: Exercise,
        *,
        seed: int,
        dtype: torch.dtype = torch.float64,
        tell: bool = True,
    ):
        self.exercise, self.seed, self._tell = exercise, seed, tell
        self._plan = Plan(exercise, Inputs(seed, dtype))
        self.diagnosis = Diagnosis(exercise)

    @property
    def calls(self) -> list[Call]:
        """The inputs: those that decide, in the order of the properties, and probes."""
        self._plan.probe()
        return [planned.call for planned in self._plan.inputs]

    @cached_property
    def gives_functions(self) -> bool:
        """Are there functions among the inputs?"""
        return any(callable(value) for call in self.calls for value in call.args)

    @property
    def decisive(self) -> list[Call]:
        """The inputs that decide."""
        return [planned.call for planned in self._plan.inputs[: self.deciding]]

    @property
    def near(self) -> list[float]:
        """How close to the right one the answer to each call must be."""
        return [planned.near for planned in self._plan.inputs]

    @property
    def deciding(self) -> int:
        return self._plan.deciding

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(check.title for check in self._plan.properties)

    @property
    def order(self) -> list[int]:
        """The places of the calls, in the order in which a stranger is asked.

        Whether a function is sound can be told from its place: there are few answers,
        and the exercise tells them. So functions come in an order of this seed's.
        """
        places = list(range(len(self._plan.inputs)))
        if self.gives_functions:
            random.Random(self.seed).shuffle(places)
        return places

    def worth(self, holding: int) -> float:
        """What part of all points so many leading properties are worth.

        What can be had without knowing how is worth a tenth: inputs that are the same
        for everybody, which a table answers; shapes; where functions are given, all
        that one answer for every function gets. The first property on drawn inputs is
        worth a half (where functions are given, the first that one answer to all of
        them fails: fresh slips), the others share the rest.
        """
        most = len(self.titles)
        earned = self._drawn or self._told_apart
        first, others = earned[0], earned[1:]
        cheap = [number for number in range(most) if number not in earned]
        each = dict.fromkeys(cheap, 0.1 / max(len(cheap), 1))
        half = 0.5 if others else 0.9
        each |= dict.fromkeys(others, (0.9 - half) / max(len(others), 1))
        each[first] = half
        return sum(each[number] for number in range(holding)) / sum(each.values())

    @cached_property
    def _drawn(self) -> list[int]:
        """The properties that say of drawn inputs what is right."""
        own = [number for number, c in enumerate(self.exercise.checks) if c.drawn]
        common = {
            planned.of
            for planned in self._plan.inputs[: self.deciding]
            if planned.of >= len(self.exercise.checks)
            and repr(planned.call) not in self._fixed
        }
        return own and [*own, *sorted(common)]

    @cached_property
    def _told_apart(self) -> list[int]:
        """The properties from the first on that one answer to everything fails."""
        first, *_ = self._plan.expected
        pairs = zip(self._plan.inputs, self._plan.expected, strict=True)
        least = min(p.of for p, ours in pairs if ours.numbers != first.numbers)
        return list(range(least, len(self.titles)))

    def judge(self, run: Callable[[Sequence[Call]], Sequence[Observation]]) -> Verdict:
        """Judge a function by what it did on this exercise's inputs.

        run: makes the observations, one for each call, wherever the function lives. It
            is asked a second time, for the probes, if something is wrong
        """
        seen = list(run(self.decisive))
        if self.first_wrong(seen) is not None and not self.untouched(seen):
            seen += run(self.calls[self.deciding :])
        return self.verdict(seen)

    def untouched(self, seen: Sequence[Observation]) -> bool:
        """Is it the starter still?"""
        starter = NotImplementedError.__name__, NO_MESSAGE
        return seen[0].error is not None and seen[0].error[:2] == starter

    def verdict(self, seen: Sequence[Observation]) -> Verdict:
        """What one observation for each call says, or for those alone that decide.

        The first property that fails keeps the later ones waiting.
        """
        verdict = Verdict(self.exercise, NOT_ATTEMPTED, self.titles)
        if self.untouched(seen):
            return verdict
        place = self.first_wrong(seen)
        if place is None:
            return replace(verdict, state=PASSED, holding=len(self.titles))
        planned, everything = self._plan.inputs[place], self._seen(seen)
        number = planned.of or 0
        must = self._plan.properties[number].must
        tell = self._tell or repr(planned.call) in self._fixed
        yours, wanted = described(everything[place], must, tell)
        with warnings.catch_warnings(action="ignore"):  # mistakes may warn, unasked
            try:
                why, likeness = self.diagnosis.why(everything, seen[place].error)
            except Exception:  # a verdict counts, with or without a reason
                why, likeness = Symptom("", ""), False
        told = describe_call(self.exercise, planned.call)
        finding = Finding(told, yours, wanted, why.name, why.says, likeness)
        return replace(verdict, state=NOT_YET, holding=number, finding=finding)

    def first_wrong(self, seen: Sequence[Observation]) -> int | None:
        """The place of the first observation that its property does not accept."""
        decisive = self._plan.inputs[: self.deciding]
        everything = zip(decisive, seen, self._plan.expected, strict=False)
        for place, (planned, yours, ours) in enumerate(everything):
            check = self._plan.properties[planned.of or 0]
            if yours.error or not _holds(check, planned, yours, ours):
                return place
        return None

    def is_passed(self, seen: Sequence[Observation]) -> bool:
        """Has the last input that decides come, and does every property hold?"""
        return len(seen) == self.deciding and self.first_wrong(seen) is None

    def _seen(self, seen: Sequence[Observation]) -> list[Seen]:
        exercise, plan = self.exercise, self._plan
        everything = zip(plan.inputs, seen, plan.expected, strict=False)
        tensors, dtypes = self._refused
        return [
            Seen(
                place,
                planned,
                exercise.parameters,
                yours,
                ours,
                exercise.learnt or len(exercise.parameters),
                tensors,
                dtypes,
            )
            for place, (planned, yours, ours) in enumerate(everything)
        ]

    @cached_property
    def _fixed(self) -> set[str]:
        """The inputs that are the same with another seed."""
        other = Plan(self.exercise, Inputs(self.seed + 1, torch.float64))
        return {repr(planned.call) for planned in other.inputs}

    @cached_property
    def _refused(self) -> tuple[bool, bool]:
        """Does the first property refuse a Python number, and another dtype?"""
        planned, ours = self._plan.inputs[0], self._plan.expected[0]
        check = self._plan.properties[0]
        other = replace(ours, dtype="float32" if ours.dtype != "float32" else "float64")
        number = replace(ours, kind="number", shape=(), dtype="", differentiable=False)
        return tuple(not _holds(check, planned, it, ours) for it in (number, other))


def _holds(
    check: Check, planned: Planned, yours: Observation, ours: Observation
) -> bool:
    try:
        return bool(check.holds(planned.call, yours, ours, planned.near))
    except (ArithmeticError, IndexError, TypeError, ValueError):
        # not even of the kind to be compared
        return False
