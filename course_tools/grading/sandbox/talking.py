"""The conversation about one function, from the grader's side.

What comes back is believed as far as numbers go, and no further.
"""

import math
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
import torch.fx.experimental.symbolic_shapes  # autograd's; not on a learner's time

from course_lib.submission import observing
from course_lib.submission.observing import Call, Observation, TimeUp
from course_tools.grading.sandbox.wire import (
    NUMBERS,
    Nonsense,
    decode,
    encode,
    observation,
    receive,
    send,
)

__all__ = ["Outcome", "Talk"]

INTEGERS = 10_000  # the largest that a learner's code may have us calculate with


@dataclass(frozen=True)
class Outcome:
    """What came of one function: whether it was found, and what it did on each input.

    missing: there is none, and nothing that explains it; trouble: what went wrong
    ended: if its process ended before it had answered everything, that as an error's
        type: TimeUp, MemoryError or Stopped
    """

    missing: bool
    trouble: str
    seen: tuple[Observation, ...]
    ended: str
    seconds: float


class Talk:
    """One job's conversation, from our side.

    cells, name: where the function is; calls: its inputs; offers: what of the course
    its page may use, by module and name
    """

    def __init__(
        self,
        cells: Sequence[str],
        name: str,
        calls: Sequence[Call],
        offers: Mapping[str, Mapping[str, Any]],
        timeout: float,
    ):
        self._timeout = timeout
        self._functions: list[Callable] = []  # that stay here, and are asked for
        self._results: list[tuple[torch.Tensor, list[torch.Tensor]]] = []
        self._counts = [len(call.args) for call in calls]  # of their arguments
        self._head: dict = {"found": False, "missing": False, "trouble": ""}
        self._begun = False
        self._seen: list[Observation] = []
        self._nonsense = ""
        things = {k: thing for shelf in offers.values() for k, thing in shelf.items()}
        self._job = {
            "cells": list(cells),
            "name": name,
            "calls": [self._encoded([list(c.args), c.kwargs]) for c in calls],
            "gradients": [call.gradient for call in calls],
            "offers": self._encoded(things),
            "seconds": min(observing.SECONDS, 0.8 * timeout),
        }

    def hold(self, channel: socket.socket, until: float | None = None):
        """Say what is asked, and listen until all is answered or the time is up."""
        try:
            if until is not None:
                channel.settimeout(max(until - time.monotonic(), 1e-3))
            send(channel, self._job)
            while not self._complete:
                message = receive(channel, until=until)
                if type(message) is not dict:
                    raise Nonsense("an answer that is no answer")
                if "ask" in message or "back" in message:
                    send(channel, self._reply(message))
                elif not self._begun:
                    self._head, self._begun = _head(message), True
                else:
                    count = self._counts[len(self._seen)]
                    self._seen.append(observation(message, count))
        except (EOFError, OSError):
            pass  # it is gone or late; the keeper knows why
        except Nonsense as error:
            self._nonsense = str(error)

    @property
    def _complete(self) -> bool:
        answered = not self._head["found"] or len(self._seen) == len(self._counts)
        return self._begun and answered

    def outcome(self, ended: str, seconds: float) -> Outcome:
        """What came of it; ended: the keeper's word on how its process ended."""
        kind, trouble, seen = "", self._head["trouble"], self._seen
        if self._nonsense or not self._complete:
            ended = "nonsense" if self._nonsense else ended or "exit 0"
            kind, says = _in_words(ended, self._timeout, self._nonsense)
            if self._head["found"]:
                missing = Observation("error", error=(kind, says, ""))
                seen = seen + [missing] * (len(self._counts) - len(seen))
            else:
                trouble = f"while it was loaded, {says}"
        return Outcome(self._head["missing"], trouble, tuple(seen), kind, seconds)

    def _encoded(self, value: Any) -> Any:
        return encode(value, self._functions)

    def _reply(self, message: dict) -> dict:
        """Call a function for the other side, or give the gradient of such a call."""
        try:
            return self._call(message) if "ask" in message else self._slopes(message)
        except (Nonsense, RecursionError) as error:
            raise Nonsense(str(error)) from None
        except Exception as error:
            return {"error": [type(error).__name__, str(error)[:300]]}

    def _call(self, message: dict) -> dict:
        function = self._functions[message["ask"]]
        args, kwargs = decode(message["args"]), decode(message["kwargs"])
        given = (*args, *kwargs.values())
        tensors = [value for value in given if isinstance(value, torch.Tensor)]
        for tensor, wants in zip(tensors, message["wants"], strict=True):
            if tensor.is_floating_point():
                tensor.requires_grad_(bool(wants))
            elif tensor.numel() and tensor.abs().max() > INTEGERS:
                raise ValueError("whole numbers too large to be tried here")
        sizes = zip_longest(*(t.shape[::-1] for t in tensors), fillvalue=1)
        if math.prod(map(max, sizes)) > NUMBERS:  # of anything broadcast from them
            raise ValueError("tensors too large to be tried here")
        result = function(*args, **kwargs)
        different = isinstance(result, torch.Tensor) and result.requires_grad
        if different:
            self._results = [*self._results[-99:], (result, tensors)]
        value = encode(result, [])
        place = len(self._results)
        return {"value": value, "differentiable": different, "handle": place}

    def _slopes(self, message: dict) -> dict:
        result, tensors = self._results[message["back"] - 1]
        wanted = [tensor for tensor in tensors if tensor.requires_grad]
        slope = decode(message["slope"])
        found = torch.autograd.grad(
            result, wanted, slope, retain_graph=True, allow_unused=True
        )
        each = iter(found)
        slopes = [next(each) if t.requires_grad else None for t in tensors]
        return {"slopes": encode(slopes, [])}


def _head(message: dict) -> dict:
    kinds = {"found": bool, "missing": bool, "trouble": str}
    if {name: type(value) for name, value in message.items()} != kinds:
        raise Nonsense("an answer that is no answer")
    return {**message, "trouble": message["trouble"][:600]}


def _in_words(ended: str, timeout: float, nonsense: str) -> tuple[str, str]:
    """An ending as an error's type and message."""
    what, _, number = ended.partition(" ")
    if ended == "timeout":
        return TimeUp.__name__, (
            f"no answer within {timeout:g} seconds: a loop that never ends?"
        )
    if ended in (f"signal {int(signal.SIGKILL)}", "exit 71"):
        return "MemoryError", "it took more memory than there is for it"
    if ended == "exit 70":  # of the code around it, not of the learner's
        return "Stopped", "it broke what it runs in (exit code 70): built-ins replaced?"
    says = {
        "processes": "it started other processes, which is not allowed here",
        "files": "it filled its scratch folder with files, or closed a part of it",
        "segments": "it took memory that outlives it, which is not allowed here",
        "nonsense": f"it sent {nonsense} in place of a result",
        "broken": "it ended or stopped the process that it ran in",
        "exit": f"it ended its own process (exit code {number}): sys.exit or os._exit?",
        "signal": f"its process crashed (signal {number})",
    }
    return "Stopped", says.get(what, f"its process ended: {ended}")
