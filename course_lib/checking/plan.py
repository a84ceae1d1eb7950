"""The inputs on which an answer is observed, all of them planned before it runs.

First those of the exercise's checks, then what every exercise gets without a line: each
row alone, extremes with their gradients, extreme rows among ordinary ones, float32.
These decide. Probes follow, for a wrong answer only, to tell why it is wrong: one
argument changed, one made neutral.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from course_lib.exercises.spec import (
    Exercise,
    Inputs,
    close,
    rule,
    tolerance,
    value_of,
)
from course_lib.submission.observing import Call, Observation, observe, observe_all

__all__ = ["Plan", "Planned"]

HUGE, TINY = 500.0, 1e-9  # what is extreme in a tensor
SMALL = 0.005  # and in a number, such as β
MOST_ROWS = 4


@dataclass(frozen=True)
class Planned:
    """One input, and what is to be learnt from it.

    of: the place of the property that it decides; None: it is a probe
    near: how close an answer must be; rows: how many it has
    edge: "size" or "zero", where something in it is extreme
    base: the place of the ordinary input of which it is one `row`, or in which the
        argument at place `varied` is another
    beside: the place of the extreme input that stands among ordinary rows here
    batch: whether the rows are a batch, of which each is its own case
    again: it is the input at place `base` once more
    float32: it is in float32 where the others are in float64
    """

    call: Call
    of: int | None
    near: float
    rows: int = 1
    batch: bool = False
    edge: str = ""
    base: int | None = None
    row: int | None = None
    varied: int | None = None
    beside: int | None = None
    again: bool = False
    float32: bool = False


class Plan:
    """An exercise's properties and inputs, and what is right on each.

    properties: those of the exercise, then the common ones that apply to it
    inputs, expected: in one order; the first `deciding` of them decide. The probes
        follow when they are asked for
    """

    def __init__(self, exercise: Exercise, inputs: Inputs):
        self.exercise = exercise
        self.near = max(tolerance(inputs.dtype), exercise.within)
        self.properties = list(exercise.checks)
        self.inputs: list[Planned] = []
        self.expected: list[Observation] = []
        self._gradient = any(check.gradient for check in exercise.checks)
        asked = [check.calls(inputs) for check in exercise.checks]
        pairs = zip(asked, exercise.checks, strict=True)
        drawn = [call for calls, check in pairs if check.drawn for call in calls]
        base = None if exercise.slow else max(drawn, key=_size, default=None)
        probed = base is not None and inputs.dtype == torch.float64
        self._batch = probed and self._by_rows(base)
        for number, calls in enumerate(asked):
            for call in calls:
                self._add(call, number)
        self._extremes([build(inputs) for build in exercise.extremes], base)
        if probed:  # float32 has no digits to spare
            if self._batch:
                self._rows(base)
            self._in_float32(base)
        self._drop_empty()
        self.deciding = len(self.inputs)
        self._base = base

    def _add(self, call: Call, of: int | None, **more: Any):
        """Plan a call, unless it is a common one on which nothing is right."""
        ours = observe(self.exercise.reference, call)
        common = of is None or of >= len(self.exercise.checks)
        if common and (ours.error or not _finite(ours)):
            return
        known = {"near": self.near, "rows": _rows(call) or 1, "batch": self._batch}
        known["edge"] = _edge(call, ours)
        self.inputs.append(Planned(call, of, **(known | more)))
        self.expected.append(ours)

    def _property(self, title: str) -> int:
        """A property of every exercise: what is right, and its gradients."""
        asked = {"gradient": self._gradient, "learnt": self.exercise.learnt}
        self.properties.append(rule(title, value_of, (), **asked))
        return len(self.properties) - 1

    def _extremes(self, extremes: list[Call], base: Call | None):
        """Those of the exercise, those of its checks with gradients, and zeros."""
        learns = self._gradient and self.exercise.extreme_gradients
        asked = [] if self.exercise.slow or not learns else self._without_gradients()
        asked += [_asking(call, learns) for call in extremes]
        if base and self.exercise.zero_probabilities:
            asked += _with_zeros(replace(base, gradient=False))
        of = self._property("extreme inputs" + ", gradients too" * learns)
        for call in asked:
            self._add(call, of)

    def _without_gradients(self) -> list[Call]:
        """The extreme inputs of checks that do not ask for gradients, asking."""
        calls = [self.inputs[place].call for place in self._edges()]
        return [
            replace(call, gradient=True)
            for call in calls
            if not call.gradient and not _has_zeros(call)
        ]

    def _rows(self, batch: Call):
        """Each row alone, and extreme rows between ordinary ones."""
        of, place = self._property("each row by itself"), self._place_of(batch)
        for row, call in enumerate(_each_row(batch)[:MOST_ROWS]):
            self._add(call, of, base=place, row=row)
        of = self._property("extreme rows among ordinary ones")
        learns = self._gradient and self.exercise.extreme_gradients
        for place in self._edges():
            if call := _among(self.inputs[place].call, batch):
                edge = self.inputs[place].edge
                self._add(_asking(call, learns), of, beside=place, edge=edge)

    def _in_float32(self, base: Call):
        call = replace(base, args=tuple(map(_single, base.args)))
        if observe(self.exercise.reference, call).dtype == "float32":
            near = max(tolerance(torch.float32), self.exercise.within)
            of = self._property("the same in float32")
            self._add(call, of, near=near, float32=True)

    def _drop_empty(self):
        """Forget common properties for which no input was left."""
        used = sorted({planned.of for planned in self.inputs})
        self.properties = [self.properties[number] for number in used]
        moved = {old: new for new, old in enumerate(used)}
        self.inputs = [replace(p, of=moved[p.of]) for p in self.inputs]

    def _edges(self) -> list[int]:
        return [place for place, planned in enumerate(self.inputs) if planned.edge]

    def _place_of(self, call: Call) -> int:
        return next(i for i, planned in enumerate(self.inputs) if planned.call is call)

    def _by_rows(self, call: Call) -> bool:
        """Is what the reference gives for a batch what it gives row by row?"""
        if _rows(call) < 2:
            return False
        whole, *alone = observe_all(self.exercise.reference, [call, *_each_row(call)])
        if whole.error or any(seen.error for seen in alone):
            return False
        joined = [number for seen in alone for number in seen.numbers]
        mean = [sum(joined) / len(joined)]
        return any(close(n, whole.numbers, self.near) for n in (joined, mean))

    def probe(self):
        """Plan the probes: an input once more; one argument changed, in its first row
        or in all; one made neutral.
        """
        base, self._base = self._base, None
        if base is None:
            return
        place = self._place_of(base)
        self._add(replace(base), None, base=place, again=True)
        for rows in (slice(1), slice(None)):
            for argument, call in _varied(base, rows):
                self._add(call, None, base=place, varied=argument)
        for call in _neutral(base):  # where there may be a kink
            self._add(replace(call, gradient=False), None)


def _values(call: Call) -> list[Any]:
    return [*call.args, *call.kwargs.values()]


def _with(call: Call, values: list[Any]) -> Call:
    count = len(call.args)
    named = dict(zip(call.kwargs, values[count:], strict=True))
    return Call(tuple(values[:count]), named, call.gradient)


def _rows(call: Call) -> int:
    first = call.args[0] if call.args else None
    return len(first) if isinstance(first, Tensor) and first.ndim else 0


def _size(call: Call) -> tuple[int, int]:
    first = call.args[0]
    return (first.ndim, _rows(call)) if isinstance(first, Tensor) else (0, 0)


def _batched(value: Any, rows: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == rows


def _finite(seen: Observation) -> bool:
    return bool(torch.tensor(seen.numbers).isfinite().all())


def _is_policy(value: Any) -> bool:
    """Probabilities, the rows of which sum to 1."""
    if not (isinstance(value, Tensor) and value.is_floating_point() and value.ndim):
        return False
    sums = value.double().sum(-1)
    return bool((value >= 0).all() and (sums - 1).abs().max() < 1e-6)


def _asking(call: Call, gradient: bool) -> Call:
    return replace(call, gradient=gradient and not _has_zeros(call))


def _has_zeros(call: Call) -> bool:
    """Probabilities of 0, at which logarithms have no gradient."""
    return any(_is_policy(v) and bool((v == 0).any()) for v in _values(call))


def _edge(call: Call, ours: Observation) -> str:
    for value in _values(call):
        if isinstance(value, float) and not SMALL < abs(value) < HUGE and value:
            return "size"
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
            size = value.detach().abs()
            if (size >= HUGE).any() or ((size > 0) & (size < TINY)).any():
                return "size"
    if _has_zeros(call):
        return "zero"
    return "" if _finite(ours) or ours.error else "size"


def _single(value: Any) -> Any:
    floats = isinstance(value, Tensor) and value.is_floating_point()
    return value.float() if floats else value


def _each_row(call: Call) -> list[Call]:
    rows, values = _rows(call), _values(call)
    return [
        _with(call, [v[i : i + 1] if _batched(v, rows) else v for v in values])
        for i in range(rows)
    ]


def _with_zeros(call: Call) -> Iterator[Call]:
    """A probability of 0 in the first row: of each policy in turn."""
    values = _values(call)
    for place, value in enumerate(values):
        if _is_policy(value) and value.shape[-1] > 1:
            new = value.clone().view(-1, value.shape[-1])
            new[0, 0] = 0
            new = (new / new.sum(-1, keepdim=True)).view(value.shape)
            yield _with(call, [*values[:place], new, *values[place + 1 :]])


def _among(edge: Call, base: Call) -> Call | None:
    """The extreme rows between two ordinary ones; its numbers stay as they are."""
    if edge.kwargs.keys() != base.kwargs.keys() or len(edge.args) != len(base.args):
        return None
    rows, made = _rows(base), []
    for extreme, plain in zip(_values(edge), _values(base), strict=True):
        if not _batched(plain, rows):
            made.append(extreme)
            continue
        if not isinstance(extreme, Tensor):
            return None
        extreme = extreme if extreme.ndim == plain.ndim else extreme[None]
        if plain.ndim == 2 and plain.is_floating_point():  # as long as the extreme one
            cut = plain[:, : extreme.shape[-1]]
            policy = _is_policy(plain)
            plain = cut / cut.sum(-1, keepdim=True) if policy else cut
        if extreme.shape[1:] != plain.shape[1:]:
            return None
        made.append(torch.cat([plain[:1], extreme.to(plain), plain[1:2]]))
    return _with(edge, made)


def _varied(call: Call, rows: slice) -> Iterator[tuple[int, Call]]:
    """Each argument changed a little in these of its rows."""
    values = _values(call)
    for place, value in enumerate(values):
        if isinstance(value, float):
            new = 1.5 * value
        elif isinstance(value, Tensor) and value.ndim and not _is_whole(value):
            new = value.clone()
            new[rows] = _moved(value)[rows]
            if _is_policy(value):
                new = new / new.sum(-1, keepdim=True)
        else:
            continue
        yield place, _with(call, [*values[:place], new, *values[place + 1 :]])


def _is_whole(value: Tensor) -> bool:
    return not (value.is_floating_point() or value.dtype == torch.bool)


def _moved(value: Tensor) -> Tensor:
    if value.dtype == torch.bool:
        return ~value
    slope = torch.linspace(0.5, 0.1, value.shape[-1]).to(value)
    if _is_policy(value):
        return (value.log() + slope).softmax(-1)
    below = (value < 0).all()  # log-probabilities stay such
    return 0.9 * value - 0.01 * slope if below else value + slope


def _neutral(call: Call) -> Iterator[Call]:
    """A number made 1, a tensor 0 or equal to its neighbour, all rows alike."""
    values, rows = _values(call), _rows(call)
    for place, value in enumerate(values):
        made: list[Any] = []
        if isinstance(value, float) and value != 1.0:
            made = [1.0]
        elif isinstance(value, Tensor) and value.dtype == torch.bool:
            made = [torch.ones_like(value), torch.zeros_like(value)]
        elif isinstance(value, Tensor) and value.is_floating_point() and value.ndim:
            mates = [m for m in values[place + 1 :] if isinstance(m, Tensor)]
            made = [m.clone() for m in mates if _like(m, value)][:1]
            if not _is_policy(value) and value.abs().max() <= 5:
                made.append(torch.zeros_like(value))
        elif isinstance(value, Tensor) and value.ndim and _is_order(value):
            made = [torch.arange(value.shape[-1]).expand(value.shape).clone()]
        for new in made:
            yield _with(call, [*values[:place], new, *values[place + 1 :]])
    if rows > 1:
        yield _with(
            call,
            [v[:1].expand(v.shape).clone() if _batched(v, rows) else v for v in values],
        )


def _like(one: Tensor, other: Tensor) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype)


def _is_order(value: Tensor) -> bool:
    return bool((value.sort(-1).values == torch.arange(value.shape[-1])).all())
