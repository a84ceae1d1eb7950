"""What an exercise is: checks that must hold, and named ways of getting it wrong.

Each file of this folder writes down one exercise in these words. Nothing here runs a
learner's code; a check sees only what was observed.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from inspect import Signature, signature
from typing import Any

import torch
from torch import Tensor

from course_lib.submission.observing import Call, Observation
from .recipe import Fault, Recipe, blocks, slips


def tolerance(dtype: torch.dtype) -> float:
    """Half of the digits that a dtype has: the one place where closeness is decided.

    >>> tolerance(torch.float64) < 2e-8 < tolerance(torch.float32) < 4e-4
    True
    """
    return math.sqrt(torch.finfo(dtype).eps)


class Inputs:
    """Inputs of one dtype; the random ones are the same again for the same seed."""

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


Build = Callable[[Inputs], Call | list[Call]]


def builder(make: Callable[..., Call | list[Call] | tuple]) -> Callable[..., Build]:
    """Let `make(inputs, …)` wait for its inputs: it gives calls, or one's arguments.

    >>> pair = builder(lambda inputs, n: (inputs.normal(n), inputs.normal(n)))
    >>> [len(arg) for arg in pair(3)(Inputs(0, torch.float64)).args]
    [3, 3]
    """

    @wraps(make)
    def waiting(*args, **kwargs) -> Build:
        def build(inputs: Inputs) -> Call:
            made = make(inputs, *args, **kwargs)
            return Call(made) if isinstance(made, tuple) else made

        return build

    return waiting


@builder
def given(inputs: Inputs, *args: Any) -> tuple:
    """A call whose lists become tensors of the inputs' dtype, its tuples of integers.

    Of what `normal(…)`, `uniform(…)` and their like stand for, each call gets its own.

    >>> given([1, 2], (1, 0), 0.5)(Inputs(0, torch.float64)).args
    (tensor([1., 2.], dtype=torch.float64), tensor([1, 0]), 0.5)
    """

    def argument(value: Any) -> Any:
        if isinstance(value, list):
            return inputs.tensor(value)
        if isinstance(value, tuple):
            return torch.tensor(value)
        return value(inputs) if callable(value) else value

    return tuple(map(argument, args))


def _random(kind: str) -> Callable[..., Callable[[Inputs], Tensor]]:
    return lambda *shape, **how: lambda inputs: getattr(inputs, kind)(*shape, **how)


normal, uniform, integers, permutations = map(
    _random, ("normal", "uniform", "integers", "permutations")
)


Slope = tuple[float, ...] | None  # a gradient
Holds = Callable[[Call, Observation, Observation, float], bool]
Must = str | Callable[[Call, Observation], str]


def agrees(call: Call, yours: Observation, ours: Observation, near: float) -> bool:
    """Numbers, and gradients where asked for, agree to the tolerance."""
    return _alike(yours, ours, near)


def agrees_where_learnt(count: int) -> Holds:
    """As `agrees`, with the gradients of the first `count` arguments alone.

    A reference that is cut off from the gradient is as good as one that is not.
    """

    def holds(call: Call, yours, ours, near: float) -> bool:
        cut = (
            replace(seen, gradients=seen.gradients[:count]) for seen in (yours, ours)
        )
        return _alike(*cut, near)

    return holds


def returns_like(
    call: Call, yours: Observation, ours: Observation, _near: float
) -> bool:
    """The right kind of result: type, shape, dtype, a gradient; inputs left alone.

    Where no gradient is asked for, one does no harm.
    """
    return (
        (yours.kind, yours.shape, yours.dtype) == (ours.kind, ours.shape, ours.dtype)
        and (yours.differentiable == ours.differentiable or not call.gradient)
        and not yours.changed
    )


def returns_float32_or_like(
    call: Call, yours: Observation, ours: Observation, near: float
) -> bool:
    """As `returns_like`, and float32 will do where the inputs are float64.

    An answer that upcasts 16-bit logits with .float() casts float64 down as well.
    """
    seen = replace(yours, dtype=ours.dtype) if yours.dtype == "float32" else yours
    return returns_like(call, seen, ours, near)


def kind_of(call: Call, ours: Observation) -> str:
    """The relation of `returns_like`, in words."""
    gradient = ", with a gradient" if ours.differentiable else ""
    return f"be a tensor of shape {ours.shape}, {ours.dtype}{gradient}"


def value_of(call: Call, ours: Observation) -> str:
    """For fixed inputs whose answer may be told: the number itself."""
    listed = ", ".join(f"{number:.4f}" for number in ours.numbers)
    return f"be {listed}".replace("-", "−")


def words(text: str) -> Callable[[Call, Observation], str]:
    """A relation with the expected numbers in it, as "be {0:.1f} and {1:.1f}"."""
    return lambda call, ours: text.format(*ours.numbers).replace("-", "−")


finite = words("be {0:.4g}, with a gradient that is finite")


@dataclass(frozen=True)
class Check:
    """One property, shown to the learner by its title.

    builds: the inputs, smallest first, waiting for their `Inputs`
    must: the relation, after the word "must"; or a function of (call, expected)
    holds: (call, observed, expected, tolerance) -> bool, `expected` being what the
        course's own function did
    gradient: whether gradients are asked for
    learnt: of how many arguments, from the first on, gradients count; 0: of all
    drawn: whether every input is random: what is said of its kind is then tried on it
    """

    title: str
    builds: tuple[Build, ...]
    must: Must
    holds: Holds = agrees
    gradient: bool = False
    learnt: int = 0
    drawn: bool = False

    def calls(self, inputs: Inputs) -> list[Call]:
        made = [build(inputs) for build in self.builds]
        flat = [one if isinstance(one, list) else [one] for one in made]
        return [replace(call, gradient=self.gradient) for part in flat for call in part]


def kind(title: str, builds: Iterable[Build]) -> Check:
    """The result is of the right type, shape and dtype."""
    return Check(title, tuple(builds), kind_of, returns_like)


def learns(
    title: str, builds: Iterable[Build], *, holds: Holds = returns_like
) -> Check:
    """As `kind`, and the result carries a gradient."""
    return Check(title, tuple(builds), kind_of, holds, gradient=True)


def value(title: str, builds: Iterable[Build], *, gradient: bool = False) -> Check:
    """The result is right; on these inputs it may be told."""
    return Check(title, tuple(builds), value_of, agrees, gradient)


def rule(
    title: str,
    must: Must,
    builds: Iterable[Build],
    *,
    holds: Holds = agrees,
    gradient: bool = False,
    learnt: int = 0,
) -> Check:
    """A relation holds, given in words.

    learnt: as `gradient`, where those of the first so many arguments alone count
    """
    if learnt:
        holds, gradient = agrees_where_learnt(learnt), True
    return Check(title, tuple(builds), must, holds, gradient, learnt)


def fresh(
    must: Must,
    builds: Iterable[Build],
    *,
    title: str = "right on fresh random inputs",
    **how: Any,
) -> Check:
    """As `rule`, on inputs that are drawn anew each time."""
    return replace(rule(title, must, builds, **how), drawn=True)


@dataclass(frozen=True)
class Exercise:
    """One function to write.

    heading: "Exercise 1.2: Title." for the second of chapter 01, as its file begins
    reference: the course's own function, whose name the exercise has
    recipe: the same in named steps, from which mistakes are made; or these as text
    faults: mistakes worth a sentence of their own, as `Recipe.faults` reads them;
        plain slips need no line
    checks: in order; the first that fails keeps the rest waiting
    hints: from a nudge to the line itself; a text, in which indented lines go on
    extremes: inputs on which it must be right beside those among its checks
    within: a tolerance wider than the dtype's, where an answer is found by iteration
    zero_probabilities: whether it must be right where a probability is 0 as well
    extreme_gradients: whether gradients must be right at the extremes as well
    slow: whether an answer may take long: it is then asked its checks alone
    offers: what of the course a right answer may use, by module and name; a grader
        gives it that and nothing else
    """

    heading: str
    reference: Callable
    recipe: Recipe
    faults: tuple[Fault, ...]
    checks: tuple[Check, ...]
    hints: tuple[str, ...]
    extremes: tuple[Build, ...] = ()
    within: float = 0.0
    zero_probabilities: bool = True
    extreme_gradients: bool = True
    slow: bool = False
    offers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self):
        """Read what is written as text."""
        recipe = self.recipe if isinstance(self.recipe, Recipe) else Recipe(self.recipe)
        hints = tuple(" ".join(map(str.strip, block)) for block in blocks(self.hints))
        read = {"recipe": recipe, "faults": tuple(recipe.faults(self.faults))}
        for name, value in (read | {"hints": hints}).items():
            object.__setattr__(self, name, value)

    @property
    def number(self) -> str:
        return self.heading.split()[1].rstrip(":")

    @property
    def title(self) -> str:
        return self.heading.split(": ", 1)[1].removesuffix(".")

    @property
    def name(self) -> str:
        return self.reference.__name__

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        return tuple(self._signature.parameters)

    @property
    def learnt(self) -> int:
        """Of how many arguments, from the first on, gradients count; 0: of all."""
        return max(check.learnt for check in self.checks)

    @cached_property
    def slips(self) -> tuple[Fault, ...]:
        """The plain slips that its recipe allows; none of an answer that takes long."""
        names = dict(zip(self.recipe.arguments, self.parameters, strict=False))
        return () if self.slow else tuple(slips(self.recipe, names))

    @cached_property
    def _signature(self) -> Signature:
        return signature(self.reference)

    def arguments(self, call: Call) -> list[Any]:
        """The values of all parameters, defaults among them."""
        if not call.kwargs and len(call.args) == len(self.parameters):
            return [*call.args]
        bound = self._signature.bind(*call.args, **call.kwargs)
        bound.apply_defaults()
        return list(bound.arguments.values())

    def function(self, *faults: Fault) -> Callable:
        """The recipe as the function that is asked for, with these faults in it."""
        made = self.recipe.function(*faults)
        return lambda *args, **kwargs: made(*self.arguments(Call(args, kwargs)))


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


def _alike(yours: Observation, ours: Observation, near: float) -> bool:
    if len(yours.gradients) != len(ours.gradients) or yours.error or ours.error:
        return False
    pairs = zip(yours.gradients, ours.gradients, strict=True)
    return close(yours.numbers, ours.numbers, near) and all(
        gradients_agree(a, b, near) for a, b in pairs
    )


def gradients_agree(yours: Slope, ours: Slope, near: float) -> bool:
    """None is as good as zeros, and anything where the right one is not finite."""
    yours = (0.0,) * len(ours or ()) if yours is None else yours
    ours = (0.0,) * len(yours) if ours is None else ours
    if len(yours) != len(ours):
        return False
    kept = [(a, b) for a, b in zip(yours, ours, strict=True) if math.isfinite(b)]
    return close([a for a, _ in kept], [b for _, b in kept], near)


def close(one: Sequence[float], other: Sequence[float], near: float) -> bool:
    """Number by number within `near`, absolute below 1 and relative above."""
    return len(one) == len(other) and all(
        a == b
        or (math.isnan(a) and math.isnan(b))
        or (math.isfinite(b) and abs(a - b) <= near * max(1.0, abs(b)))
        for a, b in zip(one, other, strict=True)
    )
