"""Inputs and results as a person would write them down: few digits, few entries."""

import inspect

import torch
from torch import Tensor

from course_lib.exercises.spec import Exercise
from course_lib.submission.observing import Call, Observation, TimeUp

__all__ = ["describe_call", "describe_result", "show"]


def show(value: object) -> str:
    """One value.

    >>> show(torch.tensor([1.0, -2 / 3]))
    '[1, −0.6667]'
    """
    if type(value) in (list, tuple) or (isinstance(value, Tensor) and value.ndim):
        entries = [show(entry) for entry in value[:6]]
        return "[" + ", ".join(entries + ["…"] * (len(value) > 6)) + "]"
    if isinstance(value, Tensor):
        value = value.item()
    if callable(value):
        return getattr(value, "__name__", repr(value))
    return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else repr(value)


def describe_call(exercise: Exercise, call: Call) -> str:
    """The arguments of one call, by name."""
    given = [*zip(_names(exercise), call.args, strict=False), *call.kwargs.items()]
    return _short(", ".join(f"{name} = {show(value)}" for name, value in given))


def describe_result(
    exercise: Exercise, call: Call, yours: Observation, ours: Observation
) -> str:
    """What a function did, with what sets it apart from what it should have done."""
    if yours.error:
        kind, message, line = yours.error
        what = message if kind == TimeUp.__name__ else f"{kind}: {message}"
        return _short(what + (f"  ({line})" if line else ""))
    if yours.changed:
        return f"changed its input {_names(exercise)[yours.changed[0]]} in place"
    if yours.kind == "bool":
        return repr(bool(yours.numbers[0]))
    if yours.kind not in ("tensor", "number"):
        return f"returned {yours.kind}" + " (no return?)" * (yours.kind == "NoneType")
    if yours.kind == "tensor" and yours.shape != ours.shape and not yours.numbers:
        return f"a tensor of shape {yours.shape}"
    values = torch.tensor(yours.numbers, dtype=torch.float64)
    text = show(values.reshape(yours.shape) if yours.kind == "tensor" else values[0])
    remark = _remark(call, yours, ours)
    return _short(f"{text}  ({remark})" if remark else text)


def _remark(call: Call, yours: Observation, ours: Observation) -> str:
    if (yours.kind, yours.shape) != (ours.kind, ours.shape):
        shape = f", shape {yours.shape}" if yours.kind == "tensor" else ""
        return f"a {yours.kind}{shape}"
    if yours.dtype != ours.dtype:
        return f"dtype {yours.dtype}"
    if ours.differentiable and not yours.differentiable:
        return "no gradient flows back to the input"
    if call.gradient and ours.gradients:
        return f"gradients {'; '.join(map(_gradient, yours.gradients))}"
    return ""


def _gradient(numbers: tuple[float, ...] | None) -> str:
    return "none" if numbers is None else show(torch.tensor(numbers).double())


def _names(exercise: Exercise) -> list[str]:
    return list(inspect.signature(exercise.reference).parameters)


def _short(text: str) -> str:
    return text if len(text) <= 400 else text[:399] + "…"
