"""An input, what came of it and what should have come of it, in words and numbers."""

import math
from collections.abc import Sequence

import torch

from course_lib.checking.seen import Seen
from course_lib.checking.show import show
from course_lib.exercises.spec import Exercise, Must, close, gradients_agree
from course_lib.submission.observing import Call, Observation, TimeUp

__all__ = ["describe_call", "described"]


def describe_call(exercise: Exercise, call: Call) -> str:
    """The arguments of one call, by name."""
    given = [*zip(exercise.parameters, call.args, strict=False), *call.kwargs.items()]
    return _short(", ".join(f"{name} = {show(value)}" for name, value in given))


def described(s: Seen, must: Must, tell: bool = True) -> tuple[str, str]:
    """What came, and after "must" what has to: with digits enough to tell them apart.

    must: of the property that does not hold, a relation or a function that tells it
    tell: whether numbers that are wanted may be told
    """
    yours, wanted = _told(s)
    if not tell:
        relation = "be what is right on this input, which was drawn"
        return _short(yours), _short(must if isinstance(must, str) else relation)
    relation = must if isinstance(must, str) else must(s.planned.call, s.ours)
    if not isinstance(must, str) and wanted:
        relation = wanted
    elif wanted and s.finite and not any(map(str.isdigit, relation)):
        relation = f"{relation}; here {wanted.removeprefix('be ')}"
    return _short(yours), _short(relation)


def _told(s: Seen) -> tuple[str, str]:
    """What came, and what is wanted: "" where the relation alone says it."""
    yours, ours = s.yours, s.ours
    if yours.error:
        kind, message, line = yours.error
        what = message if kind == TimeUp.__name__ else f"{kind}: {message}"
        return what + (f"  ({line})" if line else ""), ""
    if yours.changed:
        name = s.names[yours.changed[0]]
        return f"changed its input {name} in place", "leave its inputs as they are"
    if yours.kind == "bool":
        return repr(bool(yours.numbers[0])), ""
    if yours.kind not in ("tensor", "number"):
        missing = " (no return?)" if yours.kind == "NoneType" else ""
        return f"returned {yours.kind}{missing}", ""
    if (yours.kind, yours.shape) != (ours.kind, ours.shape):
        shape = f", shape {yours.shape}" if yours.kind == "tensor" else ""
        return f"{_numbers(yours)}  (a {yours.kind}{shape})", ""
    if s.dtypes and yours.dtype != ours.dtype:
        return f"{_numbers(yours)}  (dtype {yours.dtype})", ""
    if not close(yours.numbers, ours.numbers, s.planned.near):
        digits = _digits_apart(yours.numbers, ours.numbers)
        return _numbers(yours, digits), f"be {_numbers(ours, digits)}"
    right = f"{_numbers(yours)} is right"
    if ours.differentiable and not yours.differentiable:
        return f"{right}, but no gradient flows back to the input", ""
    for name, mine, due in s.slopes:
        if not gradients_agree(mine, due, s.planned.near):
            mine, due = mine or (0.0,) * len(due), due or (0.0,) * len(mine or ())
            digits = _digits_apart(mine, due)
            told = f"{right}, its gradient for {name} is {show([*mine], digits)}"
            return told, f"have the gradient {show([*due], digits)} for {name}"
    return _numbers(yours), ""


def _numbers(seen: Observation, digits: int = 4) -> str:
    if seen.kind == "tensor" and not seen.numbers:
        return f"a tensor of shape {seen.shape}"
    values = torch.tensor(seen.numbers, dtype=torch.float64)
    table = seen.kind == "tensor"
    return show(values.reshape(seen.shape) if table else values[0], digits)


def _digits_apart(one: Sequence[float], other: Sequence[float]) -> int:
    """So many digits that the first numbers which differ look different."""
    for digits in range(4, 17):
        for a, b in zip(one[:6], other[:6], strict=False):
            if show(a, digits) != show(b, digits) and not math.isclose(
                a, b, rel_tol=1e-13
            ):
                return digits
    return 4


def _short(text: str) -> str:
    return text if len(text) <= 400 else text[:399] + "…"
