"""Inside the process that holds a learner's code: load it, call it, send numbers.

It knows inputs and no answers: the course's own functions are not in this process, and
`course_lib` is a row of empty shelves in which only what the page may use is there.
"""

import importlib.abc
import importlib.machinery
import random
import socket
import sys
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.submission import observing
from course_lib.submission.loading import load
from course_lib.submission.observing import Call, Observation, TimeUp, observe
from course_tools.grading.sandbox.wire import decode, encode, plain, receive, send

__all__ = ["answer", "clear_shelves"]

COURSE = ("course_lib", "course_tools")
OURS = 1 << 26  # bytes: a frame from the grader may be long


class NotAvailable(Exception):
    """What the course has, and a learner's function is to do without."""


def answer(channel: socket.socket):
    """Take a job from the channel; send what loading it gave, then one frame a call."""
    # kept by their names here: a learner's code may replace anything that it can reach
    observed, told, write = observe, plain, send
    job = receive(channel, OURS)
    ask = _asking(channel)
    calls = [_call(given, ask) for given in job["calls"]]
    _fill_shelves(decode(job["offers"], ask))
    observing.SECONDS = job["seconds"]
    _same_every_time()
    try:
        loaded = load(job["cells"], job["name"])
    except BaseException as error:
        trouble = f"{type(error).__name__}: {error}"[:600]
        write(channel, {"found": False, "missing": False, "trouble": trouble})
        return
    found = loaded.function is not None
    head = {"found": found, "missing": loaded.missing, "trouble": loaded.trouble[:600]}
    write(channel, head)
    seen = None
    for call in calls if found else ():
        if seen is None or not _in_vain(seen):
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


def clear_shelves():
    """Put empty shelves where `course_lib` was; no file of it is found any more."""
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
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")


class _Absent:
    """Stands for what is not there; whoever tries to use it is told so."""

    def __init__(self, name: str):
        self.__name__ = name

    def _refuse(self, *_, **__):
        raise NotAvailable(
            f"{self.__name__} is not there while grading: write what you need yourself"
        )

    __call__ = __getitem__ = __iter__ = __len__ = __float__ = __bool__ = _refuse


def _fill_shelves(offers: dict[str, dict[str, Any]]):
    import course_lib

    nothing = {name: lambda *_, **__: None for name in ("check", "hint", "progress")}
    for name, value in {**nothing, "yours": lambda function: function}.items():
        setattr(course_lib, name, value)
    for shelf, things in offers.items():
        module = importlib.import_module(f"course_lib.{shelf}")
        for name, thing in things.items():
            setattr(module, name, thing)
            setattr(course_lib, name, thing)


def _same_every_time():
    """A function that draws at random draws the same in every run of the grader."""
    import numpy

    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)


def _call(given: dict, ask: Callable) -> Call:
    args, kwargs = decode(given["args"], ask), decode(given["kwargs"], ask)
    return Call(tuple(args), kwargs, given["gradient"])


# ── functions that stayed with the grader ─────────────────────────────────────────────


def _asking(channel: socket.socket) -> Callable[[int], Callable]:
    """Makes a stand-in for function `number`, which the grader calls for us."""

    def exchange(message: dict) -> dict:
        send(channel, message)
        reply = receive(channel, OURS)
        if "error" in reply:
            kind, text = reply["error"]
            raise {"TypeError": TypeError, "ValueError": ValueError}.get(
                kind, RuntimeError
            )(text)
        return reply

    def stand_in(number: int) -> Callable:
        def given(*args, **kwargs):
            values = [*args, *kwargs.values()]
            tensors = [value for value in values if isinstance(value, Tensor)]
            reply = exchange(
                {
                    "ask": number,
                    "args": encode(list(args), []),
                    "kwargs": encode(kwargs, []),
                    "wants": [tensor.requires_grad for tensor in tensors],
                }
            )
            value = decode(reply["value"])
            if not reply["differentiable"]:
                return value

            def back(slope: Tensor) -> list[Tensor | None]:
                said = exchange({"back": reply["handle"], "slope": encode(slope, [])})
                return decode(said["slopes"])

            return _There.apply(value, back, *tensors)

        return given

    return stand_in


class _There(torch.autograd.Function):
    """The result of a function that the grader called; so is its gradient."""

    @staticmethod
    def forward(ctx, value, back, *tensors):
        ctx.back = back
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        return (None, None, *ctx.back(slope))
