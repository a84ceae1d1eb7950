"""A place where a learner's function runs and what it does cannot reach further.

The verdict is not made in there: a `Sandbox` sends inputs and gets plain numbers back.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from course_lib import observing
from course_lib.grading.wire import (
    Nonsense,
    decode,
    encode,
    observation,
    receive,
    send,
)
from course_lib.observing import Call, Observation, TimeUp
from course_lib.workspace import CourseError, repository

__all__ = ["Outcome", "Plan", "Sandbox"]

GRACE = 1.0  # seconds that the keeper of the clock has, after the time is up
START = 120.0  # seconds for a Python that imports torch on a busy computer
INTEGERS = 10_000  # the largest that a learner's code may have us calculate with


@dataclass(frozen=True)
class Plan:
    """How a sandbox is closed: `wrapper` is bwrap, unshare or nothing.

    fork: from one process that has imported torch; macOS's libraries do not survive it
    """

    wrapper: str = ""
    landlock: bool = False
    fork: bool = hasattr(os, "fork") and sys.platform != "darwin"


@dataclass(frozen=True)
class Outcome:
    """What came of one function: whether it was found, and what it did on each input.

    missing: there is none, and nothing that explains it; trouble: what went wrong
    ended: why its process ended before it had answered everything, or ""
    """

    missing: bool
    trouble: str
    seen: tuple[Observation, ...]
    ended: str
    seconds: float


class Sandbox:
    """Runs one function at a time, each in a process of its own.

    timeout: seconds for a submission's exercise; memory: MiB on top of PyTorch's own
    """

    def __init__(self, plan: Plan, *, timeout: float = 10.0, memory: int = 1024):
        self.plan, self.timeout, self.memory = plan, timeout, memory
        self._process: subprocess.Popen | None = None
        self._closed = False
        self._home = tempfile.mkdtemp(prefix="course-grading-")
        self._scratch = os.path.join(self._home, "scratch")

    def run(
        self,
        cells: Sequence[str],
        name: str,
        calls: Sequence[Call],
        offers: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Outcome:
        """Load `name` out of the cells and observe it on every call; never raises for
        anything that the submission does.

        offers: what of the course the page may use, by module and name
        raises: CourseError if no sandbox can be started here
        """
        functions: list[Callable] = []
        told = job(cells, name, calls, offers or {}, functions, self.timeout)
        channel, theirs = socket.socketpair()
        with channel:
            alone = None if self.plan.fork else self._alone(channel, theirs)
            handed = alone is not None or self._hand_over(theirs)
            theirs.close()
            began = time.monotonic()
            until = began + self.timeout + GRACE * self.plan.fork
            talk = Talk(channel, until, functions, len(calls))
            if handed:
                talk.hold(told)
        ended = "broken"
        if alone is not None:
            ended = _end_of(alone)
        elif handed:
            ended = self._ended(until)
        return talk.outcome(ended, self.timeout, time.monotonic() - began)

    def close(self):
        """End the keeper and whatever is left of its children; remove the scratch."""
        self._closed = True
        self._kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_):
        self.close()

    def _start(self):
        if self._closed:
            raise CourseError("This sandbox is closed.")
        os.makedirs(self._scratch, exist_ok=True)
        self._control, theirs = socket.socketpair()
        with tempfile.TemporaryFile() as words, theirs:
            self._process = subprocess.Popen(
                _command(self.plan, self._scratch, theirs.fileno()),
                pass_fds=[theirs.fileno()],
                env=_surroundings(self._scratch),
                cwd=self._scratch,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
            )
            theirs.close()
            if not self._word(time.monotonic() + START).get("ready"):
                self._kill()
                words.seek(0)
                said = words.read().decode(errors="replace").strip()[-500:]
                raise CourseError(
                    f"No process for submissions could be started: {said}"
                )

    def _alone(self, ours: socket.socket, theirs: socket.socket) -> subprocess.Popen:
        """A process for this job only; it is ready when torch is there."""
        os.makedirs(self._scratch, exist_ok=True)
        windows = os.name == "nt"
        told = {"path": _path(), "control": theirs.fileno(), "terms": self._terms}
        told["repository"] = str(repository())
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _ALONE, json.dumps(told)],
            pass_fds=() if windows else [theirs.fileno()],
            env=_surroundings(self._scratch),
            cwd=self._scratch,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin
        with process.stdin as socket_of_windows:
            if windows:
                socket_of_windows.write(theirs.share(process.pid))
        theirs.close()
        ours.settimeout(START)
        if ours.recv(1) != b"\n":
            raise CourseError("No process for submissions could be started.")
        return process

    @property
    def _terms(self) -> dict:
        return {
            "timeout": self.timeout,
            "memory": self.memory,
            "landlock": self.plan.landlock,
        }

    def _hand_over(self, theirs: socket.socket) -> bool:
        if self._process is None:
            self._start()
        with contextlib.suppress(OSError):
            self._control.settimeout(GRACE)
            message = json.dumps(self._terms).encode()
            socket.send_fds(self._control, [message], [theirs.fileno()])
            return True
        self._kill()
        return False

    def _ended(self, until: float) -> str:
        """The keeper's word on how the process ended; without one, it goes."""
        word = self._word(until + GRACE)
        if "why" not in word:
            self._kill()
            return "broken"
        status = word.get("status")
        if word["why"] or type(status) is not int:
            return word["why"] or "broken"
        return _by_code(os.waitstatus_to_exitcode(status))

    def _word(self, until: float) -> dict:
        line = b""
        with contextlib.suppress(OSError, ValueError):
            while not line.endswith(b"\n"):
                self._control.settimeout(max(until - time.monotonic(), 1e-3))
                part = self._control.recv(4096)
                if not part or len(line) > 10_000:
                    return {}
                line += part
            word = json.loads(line)
            return word if isinstance(word, dict) else {}
        return {}

    def _kill(self):
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._control.close()
        self._process = None
        shutil.rmtree(self._scratch, ignore_errors=True)


def job(
    cells: Sequence[str],
    name: str,
    calls: Sequence[Call],
    offers: Mapping[str, Mapping[str, Any]],
    functions: list[Callable],
    timeout: float,
) -> dict:
    """What the other side is told; functions among the inputs are put into a list."""
    return {
        "cells": list(cells),
        "name": name,
        "calls": [
            {
                "args": encode(list(call.args), functions),
                "kwargs": encode(dict(call.kwargs), functions),
                "gradient": call.gradient,
            }
            for call in calls
        ],
        "offers": encode({k: dict(v) for k, v in offers.items()}, functions),
        "seconds": min(observing.SECONDS, 0.8 * timeout),
    }


class Talk:
    """One job's conversation, from our side."""

    def __init__(
        self, channel, until: float | None, functions: list[Callable], count: int
    ):
        self._channel, self._until, self._count = channel, until, count
        self._functions = functions
        self._results: list[tuple[torch.Tensor, list[torch.Tensor]]] = []
        self._head: dict | None = None
        self._seen: list[Observation] = []
        self._nonsense = ""

    def hold(self, job: dict):
        try:
            if self._until is not None:
                self._channel.settimeout(max(self._until - time.monotonic(), 1e-3))
            send(self._channel, job)
            while not self._complete():
                message = receive(self._channel, until=self._until)
                if type(message) is not dict:
                    raise Nonsense("an answer that is no answer")
                if "ask" in message or "back" in message:
                    send(self._channel, self._reply(message))
                elif self._head is None:
                    self._head = _head(message)
                else:
                    self._seen.append(observation(message))
        except (EOFError, OSError):
            pass  # it is gone or late; the keeper knows why
        except Nonsense as error:
            self._nonsense = str(error)

    def _complete(self) -> bool:
        if self._head is None:
            return False
        return not self._head["found"] or len(self._seen) == self._count

    def outcome(self, ended: str, timeout: float, seconds: float) -> Outcome:
        if self._complete() and not self._nonsense:
            ended = ""
        else:
            ended = "nonsense" if self._nonsense else ended or "exit 0"
        head = self._head or {"found": False, "missing": False, "trouble": ""}
        trouble, seen = head["trouble"], self._seen
        if ended:
            kind, says = _in_words(ended, timeout, self._nonsense)
            if head["found"]:
                missing = Observation("error", error=(kind, says, ""))
                seen = seen + [missing] * (self._count - len(seen))
            else:
                trouble = f"while it was loaded, {says}"
        return Outcome(head["missing"], trouble, tuple(seen), ended, seconds)

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
        tensors = [
            value
            for value in (*args, *kwargs.values())
            if isinstance(value, torch.Tensor)
        ]
        for tensor, wants in zip(tensors, message["wants"], strict=True):
            if tensor.is_floating_point():
                tensor.requires_grad_(bool(wants))
            elif tensor.numel() and tensor.abs().max() > INTEGERS:
                raise ValueError("whole numbers too large to be tried here")
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
        found = iter(
            torch.autograd.grad(
                result, wanted, slope, retain_graph=True, allow_unused=True
            )
        )
        slopes = [next(found) if t.requires_grad else None for t in tensors]
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
    says = {
        "processes": "it started other processes, which is not allowed here",
        "files": "it filled its scratch folder with files",
        "nonsense": f"it sent {nonsense} in place of a result",
        "broken": "it ended or stopped the process that it ran in",
        "exit": f"it ended its own process (exit code {number}): sys.exit or os._exit?",
        "signal": f"its process crashed (signal {number})",
    }
    return "Stopped", says.get(what, f"its process ended: {ended}")


def _by_code(code: int) -> str:
    if code < 0:
        return "timeout" if -code == signal.SIGXCPU else f"signal {-code}"
    return f"exit {code}" if code else ""


def _end_of(process: subprocess.Popen) -> str:
    """How a process for one job ended; it is ended if it has not yet."""
    try:
        return _by_code(process.wait(0.2))
    except subprocess.TimeoutExpired:
        return "timeout"
    finally:
        if os.name != "nt":
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


# ── how the process is started ────────────────────────────────────────────────────────

_BEGIN = (
    "import json, socket, sys; told = json.loads(sys.argv[1]); "
    "sys.path[:] = told.pop('path'); "
    "from course_lib.grading.zygote import serve; "
    "serve(socket.socket(fileno=told.pop('control')), **told)"
)

_ALONE = (
    "import json, socket, sys; told = json.loads(sys.argv[1]); "
    "sys.path[:] = told.pop('path'); given = sys.stdin.buffer.read(); "
    "fd = told.pop('control'); "
    "channel = socket.fromshare(given) if given else socket.socket(fileno=fd); "
    "from course_lib.grading.zygote import answer_once; answer_once(channel, **told)"
)


def _command(plan: Plan, scratch: str, control: int) -> list[str]:
    told = {
        "path": _path(),
        "control": control,
        "scratch": scratch,
        "readable": _readable(),
        "repository": str(repository()),
    }
    python = [sys.executable, "-I", "-c", _BEGIN, json.dumps(told)]
    return [*_WRAPPERS[plan.wrapper](scratch), *python]


def _unshare(_: str) -> list[str]:
    apart = "--user --map-root-user --pid --net --ipc --fork --kill-child --mount-proc"
    weak = "--no-new-privs --bounding-set=-all"
    return ["unshare", *apart.split(), "setpriv", *weak.split()]


def _bubblewrap(scratch: str) -> list[str]:
    apart = "--unshare-all --die-with-parent --as-pid-1 --new-session --cap-drop ALL"
    words = ["bwrap", *apart.split(), "--proc", "/proc", "--dev", "/dev"]
    for path in (*_readable(), *_own_files()):
        if os.path.islink(path) and os.path.dirname(path) == "/":  # /lib in /usr
            words += ["--symlink", os.readlink(path), path]
        elif not path.startswith("/dev/"):
            words += ["--ro-bind", path, path]
    return [*words, "--bind", scratch, scratch, "--chdir", scratch]


_WRAPPERS: dict[str, Callable[[str], list[str]]] = {
    "": lambda scratch: [],
    "unshare": _unshare,
    "bwrap": _bubblewrap,
}


def _path() -> list[str]:
    """Where Python looks for modules: as here, and the course itself."""
    there = [path for path in sys.path if os.path.isdir(path) or path.endswith(".zip")]
    return [*dict.fromkeys(map(os.path.abspath, [*there, str(repository())]))]


def _readable() -> list[str]:
    """What a submission may read: Python, its packages, the system's libraries.

    Of the course's folder only the environment, should that lie in it.
    """
    packages = ("site-packages", "dist-packages")
    paths = [sys.prefix, sys.base_prefix]
    paths += [path for path in _path() if os.path.basename(path) in packages]
    paths += "/usr/lib /usr/lib64 /usr/local/lib /lib /lib64".split()
    paths += ["/etc/ld.so.cache", "/dev/urandom"]
    above = {repository(), *repository().parents}
    kept = [path for path in paths if os.path.exists(path)]
    return [*dict.fromkeys(p for p in kept if Path(p).resolve() not in above)]


def _own_files() -> list[str]:
    """The few files of the course that the keeper itself is made of."""
    home = repository() / "course_lib"
    names = ["__init__", "observing", "loading", "grading/__init__"]
    names += ["grading/wire", "grading/harness", "grading/zygote"]
    return [str(home / f"{name}.py") for name in names]


def _surroundings(scratch: str) -> dict[str, str]:
    """The variables in there: none of ours."""
    kept = {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if os.name == "nt" else {}
    return {
        **kept,
        "PATH": os.defpath,
        "HOME": scratch,
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
