"""Inside the process that holds a learner's code: load it, call it, send numbers.

It knows inputs and no answers: the course's own functions are not in this process, and
`course_lib` is a row of stub modules that offer only what the page may use.
"""

import importlib.abc
import importlib.machinery
import random
import socket
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy.random  # which numpy itself imports late, in each child
import torch

from course_lib._moved import NAMES
from course_lib.submission import observing
from course_lib.submission.loading import Loaded, load
from course_lib.submission.observing import Call, Observation, TimeUp, observe
from course_tools.grading.sandbox.given import OURS, asking
from course_tools.grading.sandbox.wire import decode, receive, send

__all__ = ["answer", "clear_shelves"]

COURSE = ("course_lib", "course_tools")


class NotAvailable(Exception):
    """What the course has, and a learner's function is to do without."""


def answer(channel: socket.socket):
    """Take a job from the channel; send what loading it gave, then one frame a call."""
    # kept by their names here: a learner's code may replace anything that it can reach
    observed, told, write, read = observe, vars, send, receive
    job = receive(channel, OURS)
    ask = asking(channel)
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
