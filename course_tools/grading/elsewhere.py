"""A process beside the grader that calls an exercise's functions for submissions."""

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import recv_handle, send_handle

import torch

from course_lib.checking.verdict import Examination
from course_lib.exercises import EXERCISES
from course_tools.grading.sandbox.asked import functions_in, reply
from course_tools.grading.sandbox.wire import Nonsense

__all__ = ["Elsewhere", "Key", "start_fork_server"]

GRACE = 0.9  # seconds, to say that it took longer
START = 120.0  # for a Python that imports the course on a busy computer
MEMORY = 160 << 20  # bytes for a question on a million numbers, at most 128 MiB
LATE, FULL = b'{"error": "TimeoutError"}', b'{"error": "MemoryError"}'
NONSENSE = b"nonsense: "
LINUX = sys.platform == "linux"  # where a process with torch in it may be forked
Key = tuple[str, int, int]  # exercise, seed, and the place of the input


class Elsewhere:
    """A process that holds an exercise's functions and calls them, under a clock.

    `ready` starts it when it is first needed, and again after one that had to be ended,
    and not on a learner's time: until then, what ended it is the answer.
    """

    def __init__(self):
        self._channel: Connection | None = None
        self._gone = LATE  # what to say where there is no process
        self._lock = threading.Lock()

    def ready(self, keys: Sequence[Key]) -> "Elsewhere":
        """Start it, if need be, and have the functions of these inputs there."""
        with self._lock:
            try:
                self._channel = self._channel or _started()
                _prepare(self._channel, keys)
            except (EOFError, OSError):  # the system has ended it meanwhile
                self.close()
                self._channel = _started()
                _prepare(self._channel, keys)
        return self

    def reply(self, key: Key, question: bytes, within: float) -> bytes:
        """As `reply`, for the functions of an input of an exercise.

        within: seconds that are left; after no more than GRACE beyond them it is back
        """
        until = time.monotonic() + within
        with self._lock:
            if self._channel is None:
                return self._gone
            for _ in range(2):
                told = self._told(key, question, until - time.monotonic())
                if told != FULL or not LINUX:
                    break
                # it may be full of what came before, or was ended from outside
                self.close()
                self._channel = _started()
            return told

    def _told(self, key: Key, question: bytes, within: float) -> bytes:
        seconds = max(within, 0.01)
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
        """Let the process go: it ends as soon as it listens, or its clock ends it."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def start_fork_server():
    """Have the process there that others are forked from, while there is one thread.

    It shares the grader's memory, and they its; elsewhere than on Linux there is none.
    """
    if LINUX:
        gc.freeze()  # a look through what there is would copy it
        _fork_server()


@cache
def _fork_server() -> Connection:
    alone = threading.active_count() == 1
    context = multiprocessing.get_context("fork" if alone else "spawn")
    ours, theirs = Pipe()
    with theirs:
        context.Process(target=_fork, args=(theirs,), daemon=True).start()
    return ours


def _started() -> Connection:
    """The channel of a new process."""
    ours, theirs = Pipe()
    with theirs:
        if LINUX:
            try:
                send_handle(_fork_server(), theirs.fileno(), None)
            except OSError:  # it was ended from outside
                _fork_server.cache_clear()
                send_handle(_fork_server(), theirs.fileno(), None)
        else:
            context = multiprocessing.get_context("spawn")
            context.Process(target=_serve, args=(theirs,), daemon=True).start()
    _prepare(ours, [])
    return ours


def _prepare(channel: Connection, keys: Sequence[Key]):
    channel.send(list(keys))
    if not channel.poll(START):
        raise EOFError
    channel.recv_bytes()


def _fork(control: Connection):
    """Fork a process for each channel that comes; leave when the grader is gone."""
    _settle()
    os.closerange(3, control.fileno())  # the grader's own
    os.closerange(control.fileno() + 1, 4096)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # or they would stay as zombies
    gc.freeze()
    with contextlib.suppress(EOFError, OSError):
        while True:
            handed = recv_handle(control)
            if os.fork() == 0:
                control.close()
                _answer(Connection(handed))
                os._exit(0)
            os.close(handed)


def _serve(channel: Connection):
    """Answer, in a Python of its own."""
    _settle()
    _answer(channel)


def _settle():
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


def _answer(channel: Connection):
    """Answer until the grader lets go."""
    _limit()
    with contextlib.suppress(EOFError, OSError, MemoryError):
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
    """What it answers, unless that takes too long.

    That is noticed between two steps of Python; one step that takes longer still ends
    the process.
    """
    if not hasattr(signal, "setitimer"):
        return answer()

    class Late(BaseException):
        pass

    def late(*_):
        raise Late

    signal.signal(signal.SIGALRM, late)
    try:  # the alarm may come before the answer is begun, and after it is there
        try:
            # whoever does not heed the second clock is ended by the first
            signal.setitimer(signal.ITIMER_PROF, seconds + 2 * GRACE)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            return answer()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.setitimer(signal.ITIMER_PROF, 0)
    except Late:
        return LATE


def _limit():
    """No more memory than is needed for what may be asked."""
    if not LINUX:
        return
    import resource

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, used + MEMORY))
