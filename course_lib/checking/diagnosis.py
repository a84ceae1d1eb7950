"""Why an answer is wrong: the mistakes that do the same, or what is seen of it."""

import itertools
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from course_lib.checking.errors import cause
from course_lib.checking.exact import exact
from course_lib.checking.notice import at_the_edge, noticed
from course_lib.checking.seen import Seen, Symptom
from course_lib.exercises.recipe import Fault
from course_lib.exercises.spec import Exercise, close, same
from course_lib.submission.observing import Call, Observation, observe

__all__ = ["Diagnosis"]

Faults = tuple[Fault, ...]  # made together
MOST_PAIRS = 1000  # of faults that are tried together


class Diagnosis:
    """An exercise's mistakes, and what each of them does; found once, for all answers.

    What faults do is remembered by their place in the plan: use it with one plan.
    """

    def __init__(self, exercise: Exercise):
        self.exercise = exercise
        self._done: dict[tuple[tuple[int, ...], int], Observation] = {}
        self._made: dict[tuple[tuple[int, ...], int], list[float] | bool] = {}
        self._inner: dict[int, dict[str, tuple[float, ...]]] = {}

    def why(
        self, seen: list[Seen], error: tuple[str, str, str] | None
    ) -> tuple[Symptom, bool]:
        """What to say of a wrong answer, and whether it does just that.

        In turn: a written fault, the cause of an error, what it is exactly, a plain
        slip, two faults, what is noticed.

        error: what was raised where the first property fails
        """
        written = self.exercise.faults
        if not error:  # what is raised on other inputs is a fault of its own
            seen = [s for s in seen if not s.yours.error] or seen
        if why := self._alike(seen, zip(written)):
            return why, True
        if error and (says := cause(*error[:2])):
            return Symptom(error[0], says), False
        if why := exact([replace(s, steps=self._steps(s)) for s in seen]):
            return why, False
        if why := self._alike(seen, zip(self.exercise.slips)):
            return why, True
        together = itertools.chain(
            itertools.combinations(written, 2),
            itertools.product(written, self.exercise.slips),
        )
        apart = (p for p in together if not p[0].steps.keys() & p[1].steps.keys())
        if why := self._alike(seen, itertools.islice(apart, MOST_PAIRS)):
            return why, True
        return noticed(seen) or Symptom("", ""), False

    def _alike(self, seen: list[Seen], tried: Iterable[Faults]) -> Symptom | None:
        """The faults that do the same on every input, or on every ordinary one."""
        ordinary = [s for s in seen if s.ordinary]
        asked = seen if all(s.right for s in ordinary) else ordinary
        telling = sorted(
            asked, key=lambda s: (bool(s.yours.error), s.right, -s.planned.rows)
        )
        if telling[0].yours.error:
            return None
        fitting = (
            faults
            for faults in tried
            if self._may_fit(telling[0], faults) and self._fits(telling, faults)
        )
        found = list(itertools.islice(fitting, 3))
        if not found:
            return None
        whole = [faults for faults in found if self._fits(seen, faults)]
        alike = whole or found
        name = " + ".join(fault.name for fault in alike[0])
        says = dict.fromkeys("; and ".join(f.says for f in faults) for faults in alike)
        written = len(alike[0]) == 1 and alike[0][0] in self.exercise.faults
        says = " — or ".join(list(says)[: 2 if written else 1])
        besides = [] if whole else self._besides(seen, found[0])
        return Symptom(name, "; ".join([says, *besides]))

    def _fits(self, seen: list[Seen], faults: Faults) -> bool:
        return all(
            self._does_the_same(s, self.does(faults, s.place, s.planned.call))
            for s in seen
        )

    @staticmethod
    def _does_the_same(s: Seen, made: Observation) -> bool:
        if not s.tensors and not made.error and made.shape == s.yours.shape:
            return close(s.yours.numbers, made.numbers, s.planned.near)
        return same(s.yours, made, s.planned.near)

    def _may_fit(self, s: Seen, faults: Faults) -> bool:
        """Nearly all end here: are the values on one input what came?"""
        key = tuple(map(id, faults)), s.place
        if key not in self._made:
            self._made[key] = self._numbers(s, faults)
        made = self._made[key]
        if isinstance(made, bool):
            return made
        return close(s.yours.numbers, made, s.planned.near)

    def _numbers(self, s: Seen, faults: Faults) -> list[float] | bool:
        """What comes with these faults; True where values do not tell, False: none."""
        given = self.exercise.arguments(s.planned.call)
        if any(map(callable, given)):
            return True  # a suite may need gradients
        try:
            with torch.no_grad():
                made = self.exercise.recipe.function(*faults)(*given)
        except Exception:
            return False
        return made.double().flatten().tolist() if isinstance(made, Tensor) else True

    def _besides(self, seen: list[Seen], faults: Faults) -> list[str]:
        """What else goes wrong at the extremes, of an answer with these faults."""
        meant = [
            replace(
                s,
                ours=self.does(faults, s.place, s.planned.call),
                planned=replace(s.planned, beside=None),
            )
            for s in seen
        ]
        found = at_the_edge(meant, "besides, at extreme inputs: ", broken_only=True)
        return [symptom.says for symptom in found]

    def does(self, faults: Faults, place: int, call: Call) -> Observation:
        """What an answer with these faults does; place: of the call in the plan."""
        key = tuple(map(id, faults)), place
        if key not in self._done:
            self._done[key] = observe(self.exercise.function(*faults), call)
        return self._done[key]

    def _steps(self, s: Seen) -> dict[str, tuple[float, ...]]:
        """What the recipe's steps, but for the last, make of an input."""
        recipe = self.exercise.recipe
        if s.place not in self._inner and not self.exercise.slow:
            made = recipe.values(self.exercise.arguments(s.planned.call))
            self._inner[s.place] = {
                recipe.called[name]: tuple(value.detach().double().flatten().tolist())
                for name in list(recipe.steps)[:-1]
                if isinstance(value := made[name], Tensor)
            }
        return self._inner.get(s.place, {})
