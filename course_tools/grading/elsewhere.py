"""A process beside the grader that calls an exercise's functions for submissions."""

import contextlib
import importlib
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from multiprocessing.connection import Connection

import torch

from course_lib.checking.verdict import Examination
from course_lib.exercises import EXERCISES
from course_tools.grading.sandbox.asked import functions_in, reply
from course_tools.grading.sandbox.wire import Nonsense

__all__ = ["Elsewhere", "Key"]

SECONDS, GRACE = 2.0, 0.9  # for one question; and to say that it took longer
START = 120.0  # for a Python that imports the course on a busy computer
MEMORY = 512 << 20  # bytes, on top of what Python and torch have mapped
LATE, FULL = b'{"error": "TimeoutError"}', b'{"error": "MemoryError"}'
NONSENSE = b"nonsense: "
Key = tuple[str, int, int]  # exercise, seed, and the place of the input


class Elsewhere:
    """A process that holds an exercise's functions and calls them, under a clock.

    `ready` starts it when it is first needed, and again after one that had to be ended,
    and not on a learner's time: until then, what ended it is the answer.
    """

    def __init__(self):
        self._process: multiprocessing.Process | None = None
        self._gone = LATE  # what to say where there is no process
        self._lock = threading.Lock()

    def ready(self, keys: Sequence[Key]) -> "Elsewhere":
        """Start it, if need be, and have the functions of these inputs there."""
        with self._lock:
            try:
                if self._process is None:
                    self._start()
                self._prepare(keys)
            except (EOFError, OSError):  # the system has ended it meanwhile
                self.close()
                self._start()
                self._prepare(keys)
        return self

    def reply(self, key: Key, question: bytes, within: float) -> bytes:
        """As `reply`, for the functions of an input of an exercise.

        within: seconds that are left; after no more than GRACE beyond them it is back
        """
        seconds = max(min(SECONDS, within), 0.01)
        with self._lock:
            if self._process is None:
                return self._gone
            try:
                self._channel.send((key, seconds))
                self._channel.send_bytes(question)
                if self._channel.poll(seconds + GRACE):
                    told = self._channel.recv_bytes()
                    if told.startswith(NONSENSE):
                        raise Nonsense(told.removeprefix(NONSENSE).decode())
                    return told
                self._gone = LATE
            except (EOFError, OSError):  # it has ended: it took too much memory
                self._gone = FULL
            self.close()
            return self._gone

    def close(self):
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._channel.close()
            self._process = None

    def _start(self):
        context = multiprocessing.get_context("spawn")
        self._channel, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._process = process
        self._prepare([])

    def _prepare(self, keys: Sequence[Key]):
        self._channel.send(list(keys))
        if not self._channel.poll(START):
            raise EOFError
        self._channel.recv_bytes()


def _serve(channel: Connection):
    """Answer until the grader is gone."""
    importlib.import_module("torch.fx.experimental.symbolic_shapes")  # for slopes, once
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's
    _limit()
    with contextlib.suppress(EOFError, OSError):
        while True:
            asked = channel.recv()
            if isinstance(asked, list):
                for key in asked:
                    _functions(*key)
                channel.send_bytes(b"ready")
                continue
            key, seconds = asked
            question = channel.recv_bytes()
            try:
                answer = partial(reply, _functions(*key), question)
                told = _in_time(answer, seconds)
            except Nonsense as error:
                told = NONSENSE + str(error).encode()
            channel.send_bytes(told)


@cache
def _functions(name: str, seed: int, place: int) -> list[Callable]:
    exercise, exam = EXERCISES[name], _examination(name, seed)
    return functions_in([exam.calls[place]], exercise.offers)[0]


@cache
def _examination(name: str, seed: int) -> Examination:
    return Examination(EXERCISES[name], seed=seed)


def _in_time(answer: Callable[[], bytes], seconds: float) -> bytes:
    """What it answers, unless that takes too long; between two steps of Python."""
    if not hasattr(signal, "setitimer"):
        return answer()

    class Late(BaseException):
        pass

    def late(*_):
        raise Late

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return answer()
    except Late:
        return LATE
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit():
    """No more memory than is needed for what may be asked."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, used + MEMORY))
