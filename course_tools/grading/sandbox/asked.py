"""The functions that stay with the grader while a submission asks for their values.

Nothing is remembered between two questions: each brings its arguments along, those for
a gradient too. What goes back is numbers and fixed words.
"""

import contextlib
import json
import math
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.fx.experimental.symbolic_shapes  # autograd's; not while it is asked
from torch import Tensor

from course_lib.submission.observing import Call
from course_tools.grading.sandbox.wire import NUMBERS, Nonsense, decode, encode, read

__all__ = ["Elsewhere", "functions_in", "reply"]

INTEGER = (torch.int64, torch.int32)
LARGEST = 1_000_000  # whole number that a learner's code may have us calculate with
SECONDS, GRACE = 2.0, 1.0  # for one question; and to say that it took longer
START = 120.0  # for a Python that imports the course on a busy computer
MEMORY = 512 << 20  # bytes, on top of what Python and torch have mapped
LATE, NONSENSE = b'{"error": "TimeoutError"}', b"nonsense: "
Key = tuple[str, int, int]  # exercise, seed, and the place of the input


def functions_in(
    calls: Sequence[Call], offers: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Callable], list, Any]:
    """The functions in calls' arguments and in what a page may use; both as JSON.

    Their places are the numbers by which they are asked for.
    """
    functions: list[Callable] = []
    told = [encode([list(call.args), call.kwargs], functions) for call in calls]
    things = {k: thing for shelf in offers.values() for k, thing in shelf.items()}
    return functions, told, encode(things, functions)


def reply(functions: Sequence[Callable], question: bytes) -> bytes:
    """A function's value, or the gradient of a value.

    question: {"ask": number, "args": …, "kwargs": …, "wants": [which tensors ask for a
        gradient]}, and for a gradient "slope"
    returns: {"value": …, "differentiable": …} or {"slopes": …}, or an error's kind
    raises: Nonsense for a message that no honest process would send
    """
    try:
        told = _told(functions, read(question))
    except (Nonsense, RecursionError) as error:
        raise Nonsense(str(error)) from None
    except MemoryError:
        told = {"error": "MemoryError"}
    except Exception as error:
        kinds = (TypeError, ValueError, IndexError)
        name = next((k.__name__ for k in kinds if isinstance(error, k)), "RuntimeError")
        told = {"error": name}
    return json.dumps(told).encode()


def _told(functions: Sequence[Callable], message: dict) -> dict:
    number = message["ask"]
    if type(number) is not int or not 0 <= number < len(functions):
        raise Nonsense("a question for no function")
    args, kwargs = decode(message["args"]), decode(message["kwargs"])
    tensors = [value for value in _flat([args, kwargs]) if isinstance(value, Tensor)]
    _bounded(tensors)
    for tensor, wants in zip(tensors, message["wants"], strict=True):
        if tensor.is_floating_point():
            tensor.requires_grad_(bool(wants))
    result = functions[number](*args, **kwargs)
    if "slope" not in message:
        differentiable = isinstance(result, Tensor) and result.requires_grad
        return {"value": encode(result, []), "differentiable": differentiable}
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    slope = decode(message["slope"])
    found = iter(torch.autograd.grad(result, wanted, slope, allow_unused=True))
    slopes = [next(found) if t.requires_grad else None for t in tensors]
    return {"slopes": encode(slopes, [])}


def _flat(value: Any) -> list[Any]:
    """What is in lists and dictionaries, however deep."""
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list | tuple):
        return [inner for part in value for inner in _flat(part)]
    return [value]


def _bounded(tensors: Sequence[Tensor]):
    """Refuse what would take long: an empty dimension counts as one."""
    for whole in tensors:
        if whole.numel() and whole.dtype in INTEGER and whole.abs().max() > LARGEST:
            raise ValueError("whole numbers too large to be tried here")
    sizes = zip_longest(*(t.shape[::-1] for t in tensors), fillvalue=1)
    if math.prod(max(1, *lengths) for lengths in sizes) > NUMBERS:
        raise ValueError("tensors too large to be tried here")


class Elsewhere:
    """A process that holds an exercise's functions and calls them, under a clock.

    It is started when it is first needed, and again after one that had to be ended.
    """

    def __init__(self):
        self._process: multiprocessing.Process | None = None
        self._lock = threading.Lock()

    def reply(self, key: Key, question: bytes) -> bytes:
        """As `reply`, for the functions of an input of an exercise."""
        with self._lock:
            try:
                if self._process is None:
                    self._start()
                self._channel.send(key)
                self._channel.send_bytes(question)
                if self._channel.poll(SECONDS + GRACE):
                    told = self._channel.recv_bytes()
                    if told.startswith(NONSENSE):
                        raise Nonsense(told.removeprefix(NONSENSE).decode())
                    return told
            except (EOFError, OSError):  # it has ended: it took too much memory
                self.close()
                return b'{"error": "MemoryError"}'
            self.close()
            return LATE

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
        if not self._channel.poll(START):
            raise EOFError
        self._channel.recv_bytes()


def _serve(channel: Connection):
    """Answer until the grader is gone."""
    from course_lib.checking.verdict import Examination
    from course_lib.exercises import EXERCISES

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's
    _limit()
    exams: dict[tuple[str, int], Examination] = {}
    channel.send_bytes(b"ready")
    with contextlib.suppress(EOFError, OSError):
        while True:
            name, seed, place = channel.recv()
            question = channel.recv_bytes()
            if (name, seed) not in exams:
                exams = {(name, seed): Examination(EXERCISES[name], seed=seed)}
            call, offers = exams[name, seed].calls[place], EXERCISES[name].offers
            functions, _, _ = functions_in([call], offers)
            try:
                told = _in_time(partial(reply, functions, question))
            except Nonsense as error:
                told = NONSENSE + str(error).encode()
            channel.send_bytes(told)


def _in_time(answer: Callable[[], bytes]) -> bytes:
    """What it answers, unless that takes too long; between two steps of Python."""
    if not hasattr(signal, "setitimer"):
        return answer()

    class Late(BaseException):
        pass

    def late(*_):
        raise Late

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
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
