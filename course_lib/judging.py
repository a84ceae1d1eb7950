"""From observations to a verdict: what holds, what does not, and what it looks like."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.exercises.specification import Draw, Exercise, same, tolerance
from course_lib.observing import Call, Observation, TimeUp, observe, observe_all

__all__ = ["Finding", "Verdict", "judge"]

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
    draw = Draw(seed, dtype)
    calls = [list(check.calls(draw)) for check in exercise.checks]
    flat = [call for group in calls for call in group]
    seen = list(run(flat))
    if seen[0].error and seen[0].error[0] == "NotImplementedError":
        return Verdict(exercise, NOT_ATTEMPTED)
    expected = observe_all(exercise.reference, flat)
    near = max(tolerance(dtype), exercise.within)
    position = 0
    for number, (check, group) in enumerate(zip(exercise.checks, calls, strict=True)):
        for call in group:
            yours, ours = seen[position], expected[position]
            position += 1
            if yours.error or not check.holds(call, yours, ours, near):
                must = (
                    check.must
                    if isinstance(check.must, str)
                    else check.must(call, ours)
                )
                name, says = _diagnose(exercise, flat, seen, near)
                finding = Finding(
                    input=_describe_call(exercise, call),
                    yours=_describe_result(exercise, call, yours, ours),
                    must=must,
                    misconception=name,
                    looks_like=says,
                )
                return Verdict(exercise, NOT_YET, number, finding)
    return Verdict(exercise, PASSED, len(exercise.checks))


def _diagnose(
    exercise: Exercise, calls: Sequence[Call], seen: Sequence[Observation], near: float
) -> tuple[str, str]:
    """The misconception that does the very same on every input, if there is one."""
    for wrong in exercise.misconceptions:
        if all(
            same(yours, observe(wrong.function, call), near)
            for call, yours in zip(calls, seen, strict=True)
        ):
            return wrong.name, wrong.says
    return "", ""


def _describe_call(exercise: Exercise, call: Call) -> str:
    names = list(inspect.signature(exercise.reference).parameters)
    given = [*zip(names, call.args, strict=False), *call.kwargs.items()]
    return ", ".join(f"{name} = {show(value)}" for name, value in given)


def _describe_result(
    exercise: Exercise, call: Call, yours: Observation, ours: Observation
) -> str:
    if yours.error:
        kind, message, line = yours.error
        told = message if kind == TimeUp.__name__ else f"{kind}: {message}"
        return told + (f"  ({line})" if line else "")
    if yours.changed:
        names = list(inspect.signature(exercise.reference).parameters)
        return f"changed its input {names[yours.changed[0]]} in place"
    if yours.kind == "bool":
        return repr(bool(yours.numbers[0]))
    if yours.kind not in ("tensor", "number"):
        return f"returned {yours.kind}" + " (no return?)" * (yours.kind == "NoneType")
    values = torch.tensor(yours.numbers, dtype=torch.float64)
    text = show(values.reshape(yours.shape) if yours.kind == "tensor" else values[0])
    if (yours.kind, yours.shape) != (ours.kind, ours.shape):
        shape = f", shape {yours.shape}" if yours.kind == "tensor" else ""
        return f"{text}  (a {yours.kind}{shape})"
    if yours.dtype != ours.dtype:
        return f"{text}  (dtype {yours.dtype})"
    if ours.differentiable and not yours.differentiable:
        return f"{text}  (no gradient flows back to the input)"
    if call.gradient and ours.gradients:
        return f"{text}  (gradients {'; '.join(_gradient(g) for g in yours.gradients)})"
    return text


def _gradient(numbers: tuple[float, ...] | None) -> str:
    return "none" if numbers is None else show(torch.tensor(numbers).double())


def show(value: object) -> str:
    """A value as a person would write it down: few digits, few entries.

    >>> show(torch.tensor([1.0, -2 / 3]))
    '[1, −0.6667]'
    """
    if isinstance(value, Tensor) and value.ndim:
        entries = [show(entry) for entry in value[:6]]
        return "[" + ", ".join(entries + ["…"] * (len(value) > 6)) + "]"
    if isinstance(value, Tensor):
        value = value.item()
    if callable(value):
        return getattr(value, "__name__", repr(value))
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    return repr(value)
