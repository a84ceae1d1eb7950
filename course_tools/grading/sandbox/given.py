"""Functions that stayed with the grader, as a learner's code sees them.

Each call asks the grader, and so does each derivative: the grader remembers nothing.
"""

import builtins
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from course_tools.grading.sandbox.wire import (
    NUMBERS,
    decode,
    encode,
    receive,
    send,
    tensors_in,
)

__all__ = ["OURS", "asking"]

OURS = 1 << 26  # bytes: a frame from the grader may be long


def asking(channel: socket.socket) -> Callable[[int], Callable]:
    """Makes a stand-in for function `number`, which the grader calls for us."""
    one_at_a_time = threading.Lock()

    def exchange(message: dict) -> dict:
        with one_at_a_time, _whole():
            send(channel, message)
            reply = receive(channel, OURS)
        if "error" in reply:
            kind = getattr(builtins, reply["error"])
            raise kind(f"the function that you were given raised a {kind.__name__}")
        return reply

    def stand_in(number: int) -> Callable:
        def given(*args, **kwargs):
            whole = [list(args), kwargs]
            tensors = [*tensors_in(whole)]
            if sum(tensor.numel() for tensor in tensors) > 2 * NUMBERS:
                raise ValueError(f"a given function takes up to {NUMBERS:,} numbers")
            # as they are now: they may be worked on before a gradient is asked for
            tensors = [tensor.clone() for tensor in tensors]
            wants = [tensor.requires_grad for tensor in tensors]
            if torch._C._functorch.peek_interpreter_stack() is not None:
                wants = [tensor.is_floating_point() for tensor in tensors]
            asked = _Asked(exchange, number, whole, wants)
            result = _There.apply(asked, *tensors)
            reached = asked.said[0]["reached"]
            cut = [want and not to for want, to in zip(wants, reached, strict=True)]
            if not any(cut) or len(asked.said) > 1:
                return result
            # with the same answer once more, apart from what no gradient comes to
            apart = zip(tensors, cut, strict=True)
            tensors = [tensor.detach() if off else tensor for tensor, off in apart]
            return _There.apply(replace(asked, again=True), *tensors)

        return given

    return stand_in


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    """Let no alarm cut a frame in two; it comes afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])


def _filled(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same with other tensors, in the order of `tensors_in`."""
    if isinstance(value, Tensor):
        return next(tensors)
    if type(value) is dict:
        return {name: _filled(part, tensors) for name, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_filled(part, tensors) for part in value)
    return value


@dataclass(frozen=True)
class _Asked:
    """A call of a given function, or a derivative of it.

    A derivative of order k + 1 takes what that of order k takes, and a slope for each
    tensor that this gives; it gives the gradient of their product with respect to some
    of what that of order k takes.

    wants: which of the call's tensors may want a gradient; orders: of each order how
        many slopes it has, and which of what it takes it gives the gradient of
    said: the values that were told; again: the last of them is the answer
    """

    exchange: Callable[[dict], dict]
    number: int
    whole: list
    wants: Sequence[bool]
    orders: tuple[tuple[int, tuple[bool, ...]], ...] = ()
    said: list[dict] = field(default_factory=list)
    again: bool = False

    def values(self, tensors: Sequence[Tensor]) -> Any:
        """What the grader tells of these tensors and slopes."""
        if self.again:
            return decode(self.said[-1]["value"])
        rest = iter(tensors)
        args, kwargs = _filled(self.whole, rest)
        slopes = [[next(rest) for _ in range(count)] for count, _ in self.orders]
        told = {"args": args, "kwargs": kwargs, "slopes": slopes}
        told = {name: encode(value, []) for name, value in told.items()}
        chosen = [which for _, which in self.orders]
        told |= {"chosen": chosen, "wants": self.wants}
        said = self.exchange({"ask": self.number, **told})
        if self.orders:
            return tuple(decode(said["slopes"]))
        self.said.append(said)
        return decode(said["value"])

    @property
    def is_differentiable(self) -> bool:
        return bool(self.orders) or self.said[-1]["differentiable"]

    def then(self, slopes: int, chosen: Sequence[bool]) -> "_Asked":
        """Of one order more: so many slopes, and the gradient of these."""
        own = zip(self.wants, chosen, strict=False)
        wants = [want or which for want, which in own]
        orders = (*self.orders, (slopes, tuple(chosen)))
        return replace(self, wants=wants, orders=orders, said=[], again=False)

    def product(
        self, tensors: Sequence[Tensor], slopes: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        """Of slopes, its last; the tensors are all that it takes before them."""

        def of(*slopes: Tensor) -> Sequence[Tensor]:
            return _There.apply(self, *tensors, *slopes)

        if any(map(torch._C._functorch.is_legacy_batchedtensor, slopes)):
            return _by_units(of, slopes)
        return of(*slopes)


def _by_units(product: Callable, slopes: Sequence[Tensor]) -> list[Tensor]:
    """What `is_grads_batched` asks for, whose slopes nobody can read.

    A product with slopes is linear in them: a sum of those with a single one.
    """
    parts = []
    for which, slope in enumerate(slopes):
        for place in range(slope.numel()):
            units = [torch.zeros(s.shape, dtype=s.dtype) for s in slopes]
            units[which].view(-1)[place] = 1
            weight = slope.reshape(-1)[place]
            parts.append([weight * part for part in product(*units)])
    return [sum(column) for column in zip(*parts, strict=True)]


class _There(torch.autograd.Function):
    """What the grader tells of a call; PyTorch differentiates it as often as asked."""

    @staticmethod
    def forward(asked, *tensors):
        return asked.values(tensors)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.asked, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        made = output if isinstance(output, tuple) else (output,)
        made = [one for one in made if isinstance(one, Tensor)]
        ctx.made = [(one.shape, one.dtype) for one in made]
        if any(ctx.asked.wants) and not ctx.asked.is_differentiable:
            ctx.mark_non_differentiable(*made)

    @staticmethod
    def backward(ctx, *slopes):
        needed = ctx.needs_input_grad[1:]
        gradient = ctx.asked.then(len(slopes), needed)
        found = iter(gradient.product(ctx.saved_tensors, slopes))
        return None, *(next(found) if need else None for need in needed)

    @staticmethod
    def jvp(ctx, _, *tangents):
        """The tangents of what it gave: how the gradient changes with its slopes."""
        tensors, moved = ctx.saved_tensors, [one is not None for one in tangents]
        slopes = [torch.zeros(shape, dtype=dtype) for shape, dtype in ctx.made]
        gradient = ctx.asked.then(len(slopes), moved)
        own = [False] * len(tensors) + [True] * len(slopes)
        along = [tangent for tangent in tangents if tangent is not None]
        found = gradient.then(len(along), own).product((*tensors, *slopes), along)
        return tuple(found) if ctx.asked.orders else found[0]

    @staticmethod
    def vmap(info, dims, asked, *tensors):
        """What `torch.func.vmap` asks for: one question for each row."""
        rows = [
            [
                tensor if at is None else tensor.select(at, row)
                for tensor, at in zip(tensors, dims[1:], strict=True)
            ]
            for row in range(info.batch_size)
        ]
        each = [_There.apply(asked, *row) for row in rows]
        if isinstance(each[0], Tensor):
            return torch.stack(each), 0
        stacked = tuple(torch.stack(column) for column in zip(*each, strict=True))
        return stacked, (0,) * len(stacked)
