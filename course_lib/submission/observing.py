"""Run somebody's function on an input and write down what it did, in plain numbers.

This is all that ever touches a learner's code. It holds no expected value and no
judgement, so that the same observation can be made in another process.
"""

import contextlib
import linecache
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["Call", "Observation", "observe", "observe_all"]

SECONDS = 5.0  # for one call; the course's own functions take milliseconds
KINDS = ("tensor", "number", "bool", "error")
_equal = torch.equal  # whatever a learner's code makes of torch's own
NO_MESSAGE = "no message"
MOST = 10_000  # numbers of one answer that are written down; no exercise wants more


@dataclass(frozen=True)
class Call:
    """One input. With `gradient`, tensors that hold floats ask for their gradients."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    gradient: bool = False


@dataclass(frozen=True)
class Observation:
    """What one call did.

    kind: "tensor", "number", "bool", "error", or the name of another returned type
    numbers: the returned values, flattened (none if there are more than `MOST`)
    gradients: one such tuple for each argument that is a floating tensor, None where
        the result does not depend on it (tensors in a list are left out): of the sum of
        the values, the first once, the second twice, … so that none hides another
    error: the exception's type, message and the line of the learner's code
    """

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    numbers: tuple[float, ...] = ()
    differentiable: bool = False
    gradients: tuple[tuple[float, ...] | None, ...] = ()
    changed: tuple[int, ...] = ()
    error: tuple[str, str, str] | None = None


class TimeUp(BaseException):
    """Not an Exception, so that `except Exception` in a loop does not swallow it."""


def observe(function: Callable, call: Call) -> Observation:
    """Call the function on copies of the input and describe the outcome; never raises.

    >>> observe(lambda x: 2 * x, Call((torch.tensor([1.0, 2.0]),))).numbers
    (2.0, 4.0)
    """
    args = tuple(_copy(value, call.gradient) for value in call.args)
    kwargs = {name: _copy(value, call.gradient) for name, value in call.kwargs.items()}
    try:
        with _time_limit():
            result = function(*args, **kwargs)
            return _describe(result, call, args)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        line = _line_of(function, error)
        message = _message_of(error)
        if isinstance(error, TimeUp):
            message = f"no answer within {SECONDS:g} seconds: a loop that never ends?"
        return Observation("error", error=(type(error).__name__[:60], message, line))


def observe_all(function: Callable, calls: Sequence[Call]) -> list[Observation]:
    """Observe every call in turn; after one that does not end, the rest is not tried.

    >>> [seen.numbers for seen in observe_all(torch.sum, [Call((torch.ones(3),))])]
    [(3.0,)]
    """
    seen: list[Observation] = []
    for call in calls:
        if seen and seen[-1].error and seen[-1].error[0] == TimeUp.__name__:
            seen.append(seen[-1])
        else:
            seen.append(observe(function, call))
    return seen


def _describe(result: Any, call: Call, args: tuple) -> Observation:
    plain = type(result) in (Tensor, torch.nn.Parameter)  # a subclass can pretend
    if not plain and (
        isinstance(result, Tensor) or not isinstance(result, int | float)
    ):
        name = type(result).__name__[:60]
        return Observation(f"another {name}" if name in KINDS else name)
    changed = tuple(
        position
        for position, (now, before) in enumerate(zip(args, call.args, strict=True))
        if _differs(now, before)
    )
    if not isinstance(result, Tensor):
        kind = "bool" if isinstance(result, bool) else "number"
        return Observation(kind, numbers=(float(result),), changed=changed)
    inputs = [value for value in args if isinstance(value, Tensor)]
    inputs = [value for value in inputs if value.requires_grad]
    gradients: tuple = ()
    if inputs and result.requires_grad and result.numel() <= MOST:
        place = torch.arange(1, result.numel() + 1, device=result.device)
        whole = (result * place.view(result.shape)).sum()
        found = torch.autograd.grad(whole, inputs, allow_unused=True)
        gradients = tuple(None if g is None else _numbers(g) for g in found)
    return Observation(
        "tensor",
        shape=tuple(result.shape),
        dtype=str(result.dtype).removeprefix("torch."),
        numbers=_numbers(result),
        differentiable=result.requires_grad,
        gradients=gradients,
        changed=changed,
    )


def _numbers(tensor: Tensor) -> tuple[float, ...]:
    if tensor.numel() > MOST:
        return ()
    return tuple(tensor.detach().double().flatten().tolist())


def _differs(now: Any, before: Any) -> bool:
    """Has an argument been changed in place? Only tensors can be, and lists of them."""
    if type(before) in (list, tuple):
        return len(now) != len(before) or any(map(_differs, now, before))
    if not isinstance(before, Tensor):
        return False
    return not (isinstance(now, Tensor) and _equal(now.detach(), before))


def _copy(value: Any, gradient: bool) -> Any:
    if type(value) in (list, tuple):
        return type(value)(_copy(part, gradient) for part in value)
    if not isinstance(value, Tensor):
        return value
    return value.detach().clone().requires_grad_(gradient and value.is_floating_point())


def _message_of(error: BaseException) -> str:
    try:
        return str(error)[:300] or NO_MESSAGE
    except Exception as another:  # an error that cannot even say what it is
        return f"its message raised {type(another).__name__}"[:300]


def _line_of(function: Callable, error: BaseException) -> str:
    """The last line of the learner's own code on the way to the error."""
    code = getattr(function, "__code__", None)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if code is not None and frame.filename == code.co_filename:
            number = frame.lineno or 0
            source = frame.line or linecache.getline(frame.filename, number)
            place = number - code.co_firstlineno + 1  # below 1: in a helper above it
            told = f"line {place}: " if place > 0 else ""
            return f"{told}{source.strip()}"[:300]
    return ""


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """Interrupt a call that does not end (on POSIX, in the main thread)."""
    can = hasattr(signal, "setitimer")
    if not can or threading.current_thread() is not threading.main_thread():
        yield
        return

    def time_up(*_):
        raise TimeUp

    before = signal.signal(signal.SIGALRM, time_up)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
