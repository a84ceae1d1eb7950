"""From observations to a verdict: what holds, what does not, and why."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import torch
from torch import Tensor

from course_lib.checking.describe import describe_call, described
from course_lib.checking.errors import cause
from course_lib.checking.exact import exact
from course_lib.checking.notice import at_the_edge, weak
from course_lib.checking.plan import Plan, Planned
from course_lib.checking.seen import Seen, Symptom
from course_lib.exercises import EXERCISES
from course_lib.exercises.recipe import Fault, slips
from course_lib.exercises.spec import (
    Check,
    Exercise,
    Inputs,
    close,
    same,
)
from course_lib.submission.observing import Call, Observation, observe

__all__ = ["Examination", "Finding", "Verdict", "judge", "titles"]

NOT_ATTEMPTED, NOT_YET, PASSED = "not attempted", "not yet", "passed"
Error = tuple[str, str, str]
MOST_PAIRS = 1000  # of faults that are tried together


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


def judge(
    exercise: Exercise,
    run: Callable[[Sequence[Call]], Sequence[Observation]],
    *,
    seed: int,
    dtype: torch.dtype = torch.float64,
) -> Verdict:
    """Judge a function by what it did on this exercise's inputs.

    run: makes the observations, one for each call, wherever the function lives. It is
        asked a second time, for the probes, if something is wrong
    seed, dtype: of the inputs; a right function passes for all of them
    returns: a `Verdict`; the first property that fails keeps the later ones waiting
    """
    exam = Examination(exercise, seed=seed, dtype=dtype)
    seen = list(run(exam.calls[: exam.deciding]))
    if exam.first_wrong(seen) is not None and not exam.untouched(seen):
        seen += run(exam.calls[exam.deciding :])
    return exam.verdict(seen)


@cache
def titles(name: str) -> tuple[str, ...]:
    """The properties of an exercise, in their order."""
    return Examination(EXERCISES[name], seed=0).titles


class Examination:
    """One exercise's inputs, and what the course's own functions do with them.

    What is expected is computed once, however many answers are judged by it.

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
        self.exercise, self._seed, self._tell = exercise, seed, tell
        self._plan = Plan(exercise, Inputs(seed, dtype))
        self._done: dict[tuple[tuple[int, ...], int], Observation] = {}

    @property
    def calls(self) -> list[Call]:
        """The inputs: those that decide, in the order of the properties, and probes."""
        return [planned.call for planned in self._plan.inputs]

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
        if any(callable(value) for call in self.calls for value in call.args):
            random.Random(self._seed).shuffle(places)
        return places

    def untouched(self, seen: Sequence[Observation]) -> bool:
        """Is it the starter still?"""
        error = seen[0].error
        return error is not None and error[:2] == ("NotImplementedError", "no message")

    def verdict(self, seen: Sequence[Observation]) -> Verdict:
        """Judge by one observation for each call, or for those alone that decide."""
        verdict = Verdict(self.exercise, NOT_ATTEMPTED, self.titles)
        if self.untouched(seen):
            return verdict
        place = self.first_wrong(seen)
        if place is None:
            return replace(verdict, state=PASSED, holding=len(self.titles))
        planned, everything = self._plan.inputs[place], self._seen(seen)
        number = planned.of or 0
        must = self._plan.properties[number].must
        yours, wanted = described(
            everything[place], must, self._tell or repr(planned.call) in self._fixed
        )
        why, likeness = self._why(everything, seen[place].error)
        finding = Finding(
            input=describe_call(self.exercise, planned.call),
            yours=yours,
            must=wanted,
            name=why.name,
            why=why.says,
            likeness=likeness,
        )
        return replace(verdict, state=NOT_YET, holding=number, finding=finding)

    def first_wrong(self, seen: Sequence[Observation]) -> int | None:
        """The place of the first observation that its property does not accept."""
        everything = zip(self._plan.inputs, seen, self._plan.expected, strict=False)
        for place, (planned, yours, ours) in enumerate(everything):
            if place == self.deciding:
                break
            check = self._plan.properties[planned.of or 0]
            if yours.error or not _holds(check, planned, yours, ours):
                return place
        return None

    # ── why ───────────────────────────────────────────────────────────────────────────

    def _seen(self, seen: Sequence[Observation]) -> list[Seen]:
        counts = [check.learnt for check in self.exercise.checks if check.learnt]
        tensors, dtypes = self._refused
        everything = zip(self._plan.inputs, seen, self._plan.expected, strict=False)
        return [
            Seen(
                place,
                planned,
                self.exercise.parameters,
                yours,
                ours,
                counts[0] if counts else len(self.exercise.parameters),
                tensors,
                dtypes,
                self._inner[place],
            )
            for place, (planned, yours, ours) in enumerate(everything)
        ]

    @cached_property
    def _fixed(self) -> set[str]:
        """The inputs that are the same with another seed."""
        other = Plan(self.exercise, Inputs(self._seed + 1, torch.float64))
        return {repr(planned.call) for planned in other.inputs}

    @cached_property
    def _refused(self) -> tuple[bool, bool]:
        """Does the first property refuse a Python number, and another dtype?"""
        planned, ours = self._plan.inputs[0], self._plan.expected[0]
        check = self._plan.properties[0]
        other = replace(ours, dtype="float32" if ours.dtype != "float32" else "float64")
        number = replace(ours, kind="number", shape=(), dtype="", differentiable=False)
        return tuple(not _holds(check, planned, it, ours) for it in (number, other))

    def _why(self, seen: list[Seen], error: Error | None) -> tuple[Symptom, bool]:
        """A written fault, what it is exactly, a plain slip, two faults, or a hint.

        error: what was raised where the first property fails
        """
        written, made = list(self.exercise.faults), self._slips
        if why := self._alike(seen, [(fault,) for fault in written]):
            return why, True
        if error and (says := cause(*error[:2])):
            return Symptom(error[0], says), False
        if why := exact(seen):
            return why, False
        if why := self._alike(seen, [(slip,) for slip in made]):
            return why, True
        together = itertools.chain(
            itertools.combinations(written, 2), itertools.product(written, made)
        )
        apart = (p for p in together if not p[0].steps.keys() & p[1].steps.keys())
        if why := self._alike(seen, itertools.islice(apart, MOST_PAIRS)):
            return why, True
        found = weak(seen)
        says = "; and ".join(symptom.says for symptom in found)
        return Symptom(found[0].name if found else "", says), False

    def _alike(self, seen: list[Seen], faults) -> Symptom | None:
        """The faults that do the same on every input, or on every ordinary one."""
        ordinary = [s for s in seen if s.ordinary]
        told = seen if all(s.right for s in ordinary) else ordinary
        telling = sorted(
            told, key=lambda s: (bool(s.yours.error), s.right, -s.planned.rows)
        )
        if telling[0].yours.error:
            return None
        fitting = (
            some
            for some in faults
            if self._may_fit(telling[0], some) and self._fits(telling, some)
        )
        found = list(itertools.islice(fitting, 3))
        if not found:
            return None
        whole = [some for some in found if self._fits(seen, some)]
        says, names = (
            list(dict.fromkeys(read(some) for some in whole or found))
            for read in (_says, lambda some: " + ".join(f.name for f in some))
        )
        besides = [] if whole else self._besides(seen, found[0])
        written = found[0][0] in self.exercise.faults and len(found[0]) == 1
        says = " — or ".join(says[: 2 if written else 1])
        return Symptom(names[0], "; ".join([says, *besides]))

    def _fits(self, seen: list[Seen], faults: tuple[Fault, ...]) -> bool:
        return all(same(s.yours, self._does(faults, s), s.planned.near) for s in seen)

    def _may_fit(self, s: Seen, faults: tuple[Fault, ...]) -> bool:
        """Nearly all end here: are the values on one input what came?"""
        given = self._given[s.place]
        if any(map(callable, given)):
            return True  # a suite may need gradients
        try:
            with torch.no_grad():
                made = self.exercise.recipe.function(*faults)(*given)
        except Exception:
            return False
        if not isinstance(made, Tensor):
            return True
        numbers = made.double().flatten().tolist()
        return close(s.yours.numbers, numbers, s.planned.near)

    def _besides(self, seen: list[Seen], faults: tuple[Fault, ...]) -> list[str]:
        """What else goes wrong at the extremes, of an answer with these faults."""
        meant = [
            replace(
                s, ours=self._does(faults, s), planned=replace(s.planned, beside=None)
            )
            for s in seen
        ]
        found = at_the_edge(meant, "besides, at extreme inputs: ", broken_only=True)
        return [symptom.says for symptom in found]

    def _does(self, faults: tuple[Fault, ...], s: Seen) -> Observation:
        key = tuple(map(id, faults)), s.place
        if key not in self._done:
            function = self.exercise.function(*faults)
            self._done[key] = observe(function, s.planned.call)
        return self._done[key]

    @cached_property
    def _given(self) -> list[list]:
        return [self.exercise.arguments(call) for call in self.calls]

    @cached_property
    def _slips(self) -> list[Fault]:
        recipe = self.exercise.recipe
        if recipe is None or self.exercise.slow:
            return []
        names = zip(recipe.arguments, self.exercise.parameters, strict=False)
        return list(slips(recipe, dict(names)))

    @cached_property
    def _inner(self) -> list[dict[str, tuple[float, ...]]]:
        """What the recipe's steps, but for the last, make of every input."""
        recipe = self.exercise.recipe
        if recipe is None or self.exercise.slow:
            return [{} for _ in self._plan.inputs]
        return [self._steps(planned.call) for planned in self._plan.inputs]

    def _steps(self, call: Call) -> dict[str, tuple[float, ...]]:
        recipe = self.exercise.recipe
        made = recipe.values(self.exercise.arguments(call))
        inner = {recipe.called[name]: made[name] for name in list(recipe.steps)[:-1]}
        return {
            words: tuple(value.detach().double().flatten().tolist())
            for words, value in inner.items()
            if isinstance(value, Tensor)
        }


def _says(faults: tuple[Fault, ...]) -> str:
    return "; and ".join(fault.says for fault in faults)


def _holds(
    check: Check, planned: Planned, yours: Observation, ours: Observation
) -> bool:
    try:
        return bool(check.holds(planned.call, yours, ours, planned.near))
    except (IndexError, TypeError, ValueError):  # not even of the kind to be compared
        return False
