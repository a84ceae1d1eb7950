"""One planned input, what an answer did on it, and what is right."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from course_lib.checking.plan import Planned
from course_lib.exercises.spec import close, gradients_agree, tolerance
from course_lib.submission.observing import Observation

__all__ = ["SAME", "Seen", "Symptom", "number_pairs"]

SAME = 1e-7  # how close numbers of one kind are when a formula gives them


class Symptom(NamedTuple):
    """A name for reports, and what to say."""

    name: str
    says: str


@dataclass(frozen=True)
class Seen:
    """One planned input with what the answer did on it, and what is right.

    place: of the input in the plan
    learnt: of how many arguments gradients count; tensors, dtypes: whether it matters
        that a result is a tensor, and of which dtype
    steps: what the recipe's inner steps make of it, by what they are called
    """

    place: int
    planned: Planned
    names: Sequence[str]
    yours: Observation
    ours: Observation
    learnt: int
    tensors: bool
    dtypes: bool
    steps: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        given = zip(self.names, self.planned.call.args, strict=False)
        return {**dict(given), **self.planned.call.kwargs}

    @property
    def ordinary(self) -> bool:
        return not self.planned.edge and not self.planned.float32

    @property
    def sought(self) -> bool:
        """Is the answer found by a search, and so to a tolerance of its own?"""
        near = self.planned.near
        return near > 1e-6 and near != tolerance(torch.float32)

    @property
    def comparable(self) -> bool:
        yours, ours = self.yours, self.ours
        kinds = yours.kind == ours.kind or not self.tensors
        fits = yours.shape == ours.shape and len(yours.numbers) == len(ours.numbers)
        return kinds and fits and not yours.error

    @property
    def values_right(self) -> bool:
        numbers = self.yours.numbers, self.ours.numbers
        return self.comparable and close(*numbers, self.planned.near)

    @property
    def slopes(self) -> list[tuple[str, Any, Any]]:
        """(argument, yours, ours) for each gradient that counts."""
        floats = [
            name
            for name, value in zip(self.names, self.planned.call.args, strict=False)
            if isinstance(value, Tensor) and value.is_floating_point()
        ]
        yours = self.yours.gradients or (None,) * len(self.ours.gradients)
        found = list(zip(floats, yours, self.ours.gradients, strict=False))
        return found[: self.learnt] if self.planned.call.gradient else []

    @property
    def right(self) -> bool:
        dtype = self.yours.dtype == self.ours.dtype or not self.dtypes
        learnt = self.yours.differentiable == self.ours.differentiable
        kind = dtype and (learnt or not self.planned.call.gradient)
        return self.values_right and kind and not self.yours.changed and self.learns

    @property
    def learns(self) -> bool:
        near = self.planned.near
        return all(gradients_agree(y, o, near) for _, y, o in self.slopes)

    @property
    def finite(self) -> bool:
        return all(map(math.isfinite, self.ours.numbers))


def number_pairs(seen: Iterable[Seen]) -> list[tuple[float, float]]:
    """Each number of an answer with the right one, of inputs that are comparable."""
    return [
        pair for s in seen for pair in zip(s.yours.numbers, s.ours.numbers, strict=True)
    ]
