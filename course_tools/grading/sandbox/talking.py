"""The conversation about one function, from the grader's side.

What comes back is believed as far as numbers go, and no further.
"""

import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from course_lib.submission.observing import MOST, Call, Observation, TimeUp
from course_tools.grading.sandbox.asked import functions_in, reply
from course_tools.grading.sandbox.wire import (
    ASKED,
    ROOM,
    Nonsense,
    frame,
    observation,
    read,
    send,
)

__all__ = ["Job", "Outcome", "Talk", "slowly"]

QUESTION = b'{"ask":'  # how a frame begins that asks a function
HEAD = {"found": bool, "missing": bool, "trouble": str, "more": bool, "cells": list}


@dataclass(frozen=True)
class Outcome:
    """What came of one function: whether it was found, and what it did on each input.

    missing: there is none, and nothing that explains it; trouble: what went wrong
    ended: if its process ended before it had answered everything, that as an error's
        type: TimeUp, MemoryError or Stopped
    more: whether the page has statements that work on what the function needs and
        were not run
    cells: the places of the cells that the function was made from
    """

    missing: bool
    trouble: str
    seen: tuple[Observation, ...]
    ended: str
    seconds: float
    more: bool = False
    cells: Sequence[int] = ()


@dataclass(frozen=True)
class Job:
    """One function, and what it is to be observed on.

    cells, name: where it is, and what it is called; whole: see `loading.load`
    calls: its inputs; offers: what of the course its page may use, by module and name
    ask: for each call what answers questions to its functions, given a question and the
        seconds that are left; calls are then sent one by one, each when the last is
        answered. Without it functions are called here
    settled: whether the answers so far make the others needless
    told: `functions_in(calls, offers)`, made once for many submissions
    """

    cells: Sequence[str]
    name: str
    calls: Sequence[Call]
    offers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    whole: bool = False
    ask: Sequence[Callable[[bytes, float], bytes]] = ()
    settled: Callable[[Sequence[Observation]], bool] = lambda _: False
    told: tuple[list[Callable], list, Any] | None = None


class Talk:
    """One job's conversation, from our side."""

    def __init__(self, job: Job, timeout: float):
        self._timeout = timeout
        self._counts = [len(call.args) for call in job.calls]  # of their arguments
        self._head = {key: kind() for key, kind in HEAD.items()}
        self._begun = False
        self._seen: list[Observation] = []
        self._nonsense, self._late = "", False
        self._settled, self._is_settled = False, job.settled
        functions, calls, offers = job.told or functions_in(job.calls, job.offers)
        self._room = ASKED if functions else ROOM
        here = [lambda question, _: reply(functions, question)]
        self._ask = job.ask or here * len(calls)
        if job.ask:  # whose functions have the same numbers in every call
            _, _, offers = functions_in(job.calls[:1], job.offers)
            self._later = [functions_in([call], {})[1][0] for call in job.calls]
        else:
            self._later = []
        self._job = {
            "cells": list(job.cells),
            "name": job.name,
            "whole": job.whole,
            "calls": [] if job.ask else calls,
            "gradients": [call.gradient for call in job.calls],
            "offers": offers,
            "seconds": 0.8 * timeout,
        }

    def hold(self, channel: socket.socket, until: float):
        """Say what is asked, and listen until all is answered or the time is up."""
        try:
            channel.settimeout(max(until - time.monotonic(), 1e-3))
            send(channel, self._job)
            while not self._complete:
                body = frame(channel, self._room, until)
                if body.startswith(QUESTION):
                    left = until - time.monotonic()
                    if left <= 0:  # it was sent in time, with others before it
                        raise TimeoutError
                    place = min(len(self._seen), len(self._ask) - 1)
                    send(channel, self._ask[place](body, left))
                    continue
                message = read(body) if len(body) <= ROOM else None
                if type(message) is not dict:
                    raise Nonsense("an answer that is no answer")
                if not self._begun:
                    self._head, self._begun = _head(message), True
                else:
                    count = self._counts[len(self._seen)]
                    self._seen.append(observation(message, count))
                    self._settled = self._is_settled(self._seen)
                if self._later and not self._complete:
                    send(channel, self._later[len(self._seen)])
        except TimeoutError:
            self._late = True
        except (EOFError, OSError):
            pass  # it is gone; the keeper knows why
        except Nonsense as error:
            self._nonsense = str(error)

    @property
    def _complete(self) -> bool:
        answered = self._settled or len(self._seen) == len(self._counts)
        return self._begun and (answered or not self._head["found"])

    def outcome(self, ended: str, seconds: float) -> Outcome:
        """What came of it; ended: the keeper's word on how its process ended."""
        kind, trouble, seen = "", self._head["trouble"], self._seen
        if self._nonsense or not self._complete:
            ended = ended or ("timeout" if self._late else "exit 0")
            ended = "nonsense" if self._nonsense else ended
            kind, says = _in_words(ended, self._timeout, self._nonsense)
            if kind == TimeUp.__name__ and seen and not seen[-1].error:
                says = slowly(len(seen), len(self._counts), self._timeout)
            if self._head["found"]:
                missing = Observation("error", error=(kind, says, ""))
                seen = seen + [missing] * (len(self._counts) - len(seen))
            else:
                trouble = f"while it was loaded, {says}"
        return Outcome(
            self._head["missing"],
            trouble,
            tuple(seen),
            kind,
            seconds,
            more=self._head["more"],
            cells=self._head["cells"],
        )


def _head(message: dict) -> dict:
    if {name: type(value) for name, value in message.items()} != HEAD:
        raise Nonsense("an answer that is no answer")
    if len(message["cells"]) > MOST or set(map(type, message["cells"])) - {int}:
        raise Nonsense("an answer that is no answer")
    return {**message, "trouble": message["trouble"][:600]}


def slowly(answered: int, asked: int, timeout: float) -> str:
    """What to say of a function that had too little time for all."""
    return (
        f"{answered} of {asked} inputs were answered within {timeout:g} seconds, the "
        "next was not: slow, or a loop that does not always end? Where it is slow, "
        "grading with a larger --timeout tells"
    )


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
