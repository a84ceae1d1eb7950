"""What an exercise is: checks that must hold, and named ways of getting it wrong.

A chapter's module lists its exercises with these parts. Nothing here runs a learner's
code; a check sees only what was observed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from course_lib.submission.observing import Call, Observation

__all__ = [
    "Check",
    "Draw",
    "Exercise",
    "Holds",
    "Misconception",
    "agrees",
    "kind_of",
    "returns_like",
    "same",
    "tolerance",
    "value_of",
]


def tolerance(dtype: torch.dtype) -> float:
    """Half of the digits that a dtype has: the one place where closeness is decided.

    >>> tolerance(torch.float64) < 2e-8 < tolerance(torch.float32) < 4e-4
    True
    """
    return math.sqrt(torch.finfo(dtype).eps)


class Draw:
    """Random inputs of one dtype, the same again for the same seed."""

    def __init__(self, seed: int, dtype: torch.dtype):
        self.dtype = dtype
        self._generator = torch.Generator().manual_seed(seed)

    def tensor(self, values: Sequence) -> Tensor:
        return torch.tensor(values, dtype=self.dtype)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        values = torch.randn(*shape, generator=self._generator, dtype=torch.float64)
        return (scale * values).to(self.dtype)

    def uniform(self, *shape: int) -> Tensor:
        values = torch.rand(*shape, generator=self._generator, dtype=torch.float64)
        return values.to(self.dtype)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        values = torch.randint(low, high, shape, generator=self._generator)
        return values.to(self.dtype)

    def permutations(self, rows: int, items: int) -> Tensor:
        orders = [torch.randperm(items, generator=self._generator) for _ in range(rows)]
        return torch.stack(orders)


Holds = Callable[[Call, Observation, Observation, float], bool]


@dataclass(frozen=True)
class Check:
    """One property, shown to the learner by its title.

    calls: the inputs, smallest first, given a `Draw`
    must: the relation, after the word "must"; or a function of (call, expected)
    holds: (call, observed, expected, tolerance) -> bool, `expected` being what the
        course's own function did; by default the two agree
    """

    title: str
    calls: Callable[[Draw], Sequence[Call]]
    must: str | Callable[[Call, Observation], str]
    holds: Holds = None  # type: ignore[assignment]

    def __post_init__(self):
        if self.holds is None:
            object.__setattr__(self, "holds", agrees)


@dataclass(frozen=True)
class Misconception:
    """A named way of getting it wrong: a function that does it, and what to say."""

    name: str
    function: Callable
    says: str


@dataclass(frozen=True)
class Exercise:
    """One function to write.

    number, title: "1.2" is the second of chapter 01
    reference: the course's own function, whose name the exercise has
    checks: in order; the first that fails keeps the rest waiting
    misconceptions: named wrong functions; hints: from a nudge to the line itself
    within: a tolerance wider than the dtype's, where an answer is found by iteration
    offers: what of the course a right answer may use, by module and name; a grader
        gives it that and nothing else
    """

    number: str
    title: str
    reference: Callable
    checks: tuple[Check, ...]
    misconceptions: tuple[Misconception, ...]
    hints: tuple[str, ...]
    within: float = 0.0
    offers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.reference.__name__


def agrees(call: Call, yours: Observation, ours: Observation, near: float) -> bool:
    """Numbers, and gradients where asked for, agree to the tolerance."""
    return _alike(yours, ours, near)


def returns_like(
    call: Call, yours: Observation, ours: Observation, _near: float
) -> bool:
    """The right kind of result: type, shape, dtype, a gradient; inputs left alone."""
    return (
        (yours.kind, yours.shape, yours.dtype) == (ours.kind, ours.shape, ours.dtype)
        and yours.differentiable == ours.differentiable
        and not yours.changed
    )


def kind_of(call: Call, ours: Observation) -> str:
    """The relation of `returns_like`, in words."""
    gradient = ", with a gradient" if ours.differentiable else ""
    return f"be a tensor of shape {ours.shape}, {ours.dtype}{gradient}"


def value_of(call: Call, ours: Observation) -> str:
    """For fixed inputs whose answer may be told: the number itself."""
    listed = ", ".join(f"{number:.4f}" for number in ours.numbers)
    return f"be {listed}".replace("-", "−")


def same(one: Observation, other: Observation, near: float) -> bool:
    """Did two functions do the same, errors of one type included?"""
    if one.error or other.error:
        types = [seen.error and seen.error[0] for seen in (one, other)]
        return types[0] == types[1]
    return (
        (one.kind, one.shape) == (other.kind, other.shape)
        and one.differentiable == other.differentiable
        and one.changed == other.changed
        and _alike(one, other, near)
    )


def _alike(one: Observation, other: Observation, near: float) -> bool:
    if len(one.gradients) != len(other.gradients) or one.error or other.error:
        return False
    pairs = zip(one.gradients, other.gradients, strict=True)
    return _close(one.numbers, other.numbers, near) and all(
        (a is None) == (b is None) and _close(a or (), b or (), near) for a, b in pairs
    )


def _close(one: Sequence[float], other: Sequence[float], near: float) -> bool:
    return len(one) == len(other) and all(
        a == b
        or (math.isnan(a) and math.isnan(b))
        or (math.isfinite(b) and abs(a - b) <= near * max(1.0, abs(b)))
        for a, b in zip(one, other, strict=True)
    )
