"""Inside the process that holds a learner's code: load it, call it, send numbers.

It knows inputs and no answers: the course's own functions are not in this process, and
`course_lib` is a row of empty shelves on which only what the page may use is found.
"""

import builtins
import contextlib
import importlib.abc
import importlib.machinery
import random
import signal
import socket
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy.random  # which numpy itself imports late, in each child
import torch
from torch import Tensor

from course_lib._moved import NAMES
from course_lib.submission import observing
from course_lib.submission.loading import Loaded, load
from course_lib.submission.observing import Call, Observation, TimeUp, observe
from course_tools.grading.sandbox.wire import (
    NUMBERS,
    decode,
    encode,
    plain,
    receive,
    send,
)

__all__ = ["answer", "clear_shelves"]

COURSE = ("course_lib", "course_tools")
OURS = 1 << 26  # bytes: a frame from the grader may be long


class NotAvailable(Exception):
    """What the course has, and a learner's function is to do without."""


def answer(channel: socket.socket):
    """Take a job from the channel; send what loading it gave, then one frame a call."""
    # kept by their names here: a learner's code may replace anything that it can reach
    observed, told, write, read = observe, plain, send, receive
    job = receive(channel, OURS)
    ask = _asking(channel)
    _offered.update(decode(job["offers"], ask))
    observing.SECONDS = job["seconds"]
    for seed in (random.seed, numpy.random.seed, torch.default_generator.manual_seed):
        seed(0)  # a function that draws at random draws the same in every run
    try:
        loaded = load(job["cells"], job["name"], whole=job["whole"])
    except BaseException as error:
        loaded = Loaded(None, f"{type(error).__name__}: {error}")
    found = loaded.function is not None
    head = {"found": found, "missing": loaded.missing, "more": loaded.more}
    head |= {"trouble": loaded.trouble[:600], "cells": list(loaded.cells)}
    write(channel, head)
    seen = None
    for place, gradient in enumerate(job["gradients"] if found else ()):
        call = job["calls"][place] if job["calls"] else read(channel, OURS)
        args, kwargs = decode(call, ask)
        if seen is None or not _in_vain(seen):
            call = Call(tuple(args), kwargs, gradient)
            seen = _certainly(observed, loaded.function, call)
        write(channel, told(seen))


def _certainly(observed: Callable, function: Callable, call: Call) -> Observation:
    """Here nobody presses Ctrl-C: a KeyboardInterrupt is an error like any other."""
    try:
        return observed(function, call)
    except BaseException as error:
        told = (type(error).__name__[:60], "no message", "")
        return Observation("error", error=told)


def _in_vain(seen: Observation) -> bool:
    """It did not end, or took too much: the rest need not be tried."""
    kind, message, _ = seen.error or ("", "", "")
    return kind in (TimeUp.__name__, "MemoryError") or "allocate memory" in message


# ── what is there of the course ───────────────────────────────────────────────────────

_offered: dict[str, Any] = {
    **dict.fromkeys(("check", "hint", "progress"), lambda *_, **__: None),
    "yours": lambda function: function,
}


def clear_shelves():
    """Put empty shelves where `course_lib` was; no file of it is found any more."""
    sys.modules.pop("__main__", None)  # a page will be it
    for name in [n for n in sys.modules if n.split(".")[0] in COURSE]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Shelves())


class _Shelves(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in COURSE:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Shelf(spec.name)

    def exec_module(self, module):
        pass


class _Shelf(types.ModuleType):
    """What is offered is found on every shelf, whichever release named it."""

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return list(_offered)
        if name.startswith("__"):
            raise AttributeError(name)
        absent = _Absent(f"{self.__name__}.{name}")
        return _offered.get(name, _offered.get(NAMES.get(name, name), absent))


class _Absent:
    """Stands for what is not there; whoever tries to use it is told so."""

    def __init__(self, name: str):
        self.__name__ = name

    def _refuse(self, *_, **__):
        raise NotAvailable(
            f"{self.__name__} is not there while grading: write what you need yourself"
        )

    __call__ = __getitem__ = __iter__ = __len__ = __float__ = __bool__ = _refuse


# ── functions that stayed with the grader ─────────────────────────────────────────────


def _asking(channel: socket.socket) -> Callable[[int], Callable]:
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
            tensors = [*_tensors(whole)]
            wants = [tensor.requires_grad for tensor in tensors]
            if sum(tensor.numel() for tensor in tensors) > NUMBERS:
                raise ValueError(f"a given function takes up to {NUMBERS:,} numbers")

            def question(values: Sequence[Tensor]) -> dict:
                args, kwargs = _filled(whole, iter(values))
                told = {"args": encode(args, []), "kwargs": encode(kwargs, [])}
                return {"ask": number, **told, "wants": wants}

            question.wants, question.said, question.again = wants, [], False
            result = _There.apply(exchange, question, *tensors)
            reached = question.said[0]["reached"]
            cut = [want and not to for want, to in zip(wants, reached, strict=True)]
            if not any(cut) or len(question.said) > 1:
                return result
            # with the same answer once more, apart from what no gradient comes to
            question.again = True
            apart = zip(tensors, cut, strict=True)
            tensors = [tensor.detach() if off else tensor for tensor, off in apart]
            return _There.apply(exchange, question, *tensors)

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


def _tensors(value: Any) -> Iterator[Tensor]:
    """Those in lists and dictionaries, however deep, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif type(value) in (list, tuple, dict):
        for part in value.values() if type(value) is dict else value:
            yield from _tensors(part)


def _filled(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same with other tensors, in the order of `_tensors`."""
    if isinstance(value, Tensor):
        return next(tensors)
    if type(value) is dict:
        return {name: _filled(part, tensors) for name, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_filled(part, tensors) for part in value)
    return value


def _row_by_row(function: type, info, dims, exchange, question, *tensors):
    """What `torch.func.vmap` asks for: one question for each row."""
    rows = [
        [
            tensor if at is None else tensor.select(at, row)
            for tensor, at in zip(tensors, dims[2:], strict=True)
        ]
        for row in range(info.batch_size)
    ]
    each = [function.apply(exchange, question, *row) for row in rows]
    if isinstance(each[0], Tensor):
        return torch.stack(each), 0
    columns = [*zip(*each, strict=True)]
    stacked = tuple(None if c[0] is None else torch.stack(c) for c in columns)
    return stacked, tuple(None if c is None else 0 for c in stacked)


class _There(torch.autograd.Function):
    """The result of a function that the grader calls."""

    @staticmethod
    def forward(exchange, question, *tensors):
        if not question.again:
            question.said.append(exchange(question(tensors)))
        return decode(question.said[-1]["value"])

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.exchange, ctx.question, *tensors = inputs
        # as they are now: they may be worked on before the gradient is asked for
        ctx.save_for_backward(*(tensor.detach().clone() for tensor in tensors))
        if isinstance(output, Tensor) and not ctx.question.said[-1]["differentiable"]:
            ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx, slope):
        given = slope, *ctx.saved_tensors
        slopes = iter(_Slopes.apply(ctx.exchange, ctx.question, *given))
        wants = ctx.question.wants
        return (None, None, *(next(slopes) if want else None for want in wants))

    @staticmethod
    def vmap(*given):
        return _row_by_row(_There, *given)


class _Slopes(torch.autograd.Function):
    """Its gradient, asked with the arguments: the grader remembers nothing."""

    @staticmethod
    def forward(exchange, question, slope, *tensors):
        said = exchange({**question(tensors), "slope": encode(slope, [])})
        found = zip(decode(said["slopes"]), question.wants, strict=True)
        return tuple(slope for slope, want in found if want)  # None: cut off

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError("second derivatives of a given function are not to be had")

    @staticmethod
    def vmap(*given):
        return _row_by_row(_Slopes, *given)
