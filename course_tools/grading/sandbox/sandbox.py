"""Runs a learner's function where nothing that it does can reach outside.

The verdict is not made in there: a `Sandbox` sends inputs and gets plain numbers back.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence

from course_lib.workspace import CourseError
from course_tools.grading.sandbox.launching import Plan, bare_env, command
from course_tools.grading.sandbox.scratch import wipe
from course_tools.grading.sandbox.talking import Job, Outcome, Talk
from course_tools.grading.sandbox.wire import ROOM, Nonsense, receive

__all__ = ["Sandbox"]

GRACE = 0.9  # seconds that the keeper of the clock has, after the time is up
START = 120.0  # seconds for a Python that imports torch on a busy computer


class Sandbox:
    """Runs one function at a time, each in a process of its own.

    timeout: seconds for a submission's exercise; memory: MiB on top of PyTorch's own;
    modules: imported before any of them runs
    """

    def __init__(
        self,
        plan: Plan,
        *,
        timeout: float = 10.0,
        memory: int = 1024,
        modules: Sequence[str] = (),
    ):
        self.plan, self.timeout, self.memory = plan, timeout, memory
        self.modules = modules
        self._process: subprocess.Popen | None = None
        self._closed = False
        self._home = tempfile.mkdtemp(prefix=f"course-grading-{os.getpid()}-")
        self._scratch = os.path.join(self._home, "scratch")

    def another(self) -> "Sandbox":
        """One more like this."""
        how = {"timeout": self.timeout, "memory": self.memory, "modules": self.modules}
        return Sandbox(self.plan, **how)

    def run(self, job: Job, within: float | None = None) -> Outcome:
        """Load a function out of its cells and observe it on every call; never raises
        for anything that the submission does.

        within: seconds, if they are to be fewer
        raises: CourseError if no sandbox can be started here
        """
        seconds = min(self.timeout, within or self.timeout)
        terms = {"timeout": seconds, "memory": self.memory}
        terms["landlock"] = self.plan.landlock
        talk = Talk(job, seconds)
        alone = None
        channel, theirs = socket.socketpair()
        with channel, theirs:
            if self.plan.fork:
                self._hand_over(theirs, terms)
            else:
                alone = self._open(channel, theirs, terms)
            theirs.close()
            began = time.monotonic()
            until = began + seconds + GRACE * self.plan.fork
            talk.hold(channel, until)
        if alone:
            ended = _end_of(alone)
            wipe(self._scratch)  # the next is not to find what this one wrote
        else:
            ended = self._ended(until)
        return talk.outcome(ended, time.monotonic() - began)

    def close(self):
        """End the keeper and whatever is left of its children; remove the scratch."""
        self._closed = True
        self._kill()
        wipe(self._scratch)
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_):
        self.close()

    def _open(
        self, ours: socket.socket, theirs: socket.socket, terms: dict | None = None
    ) -> subprocess.Popen:
        """A Python at the other end of a channel, as soon as it has imported torch.

        terms: of its one job; without them it is a keeper, that others are forked from
        raises: CourseError with its last words
        """
        if self._closed:
            raise CourseError("This sandbox is closed.")
        os.makedirs(self._scratch, exist_ok=True)
        windows = os.name == "nt"
        with tempfile.TemporaryFile() as words:
            process = subprocess.Popen(
                command(self.plan, self._scratch, theirs.fileno(), self.modules, terms),
                pass_fds=() if windows else [theirs.fileno()],
                env=bare_env(self._scratch),
                cwd=self._scratch,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
            )
            assert process.stdin
            with process.stdin as given:
                if windows:
                    given.write(theirs.share(process.pid))
            theirs.close()
            with contextlib.suppress(OSError):
                ours.settimeout(START)
                if ours.recv(1):
                    return process
            _end(process)
            ours.close()
            words.seek(0)
            said = words.read().decode(errors="replace").strip()[-500:]
            raise CourseError(f"No process for submissions could be started: {said}")

    def _hand_over(self, theirs: socket.socket, terms: dict):
        for _ in range(2):  # the first may have ended after its last job
            if self._process is None:
                self._control, other = socket.socketpair()
                with other:
                    self._process = self._open(self._control, other)
            with contextlib.suppress(OSError):
                self._control.settimeout(GRACE)
                message = json.dumps(terms).encode()
                socket.send_fds(self._control, [message], [theirs.fileno()])
                return
            self._kill()
        raise CourseError("No process for submissions takes a job.")

    def _ended(self, until: float) -> str:
        """The keeper's word on how the process ended; without one, it goes."""
        word = None
        with contextlib.suppress(EOFError, OSError, Nonsense):
            word = receive(self._control, ROOM, until + GRACE)
        word = word if type(word) is dict else {}
        if word.get("last", True):  # none, or it is not fit for another submission
            self._kill()
        if "why" not in word:
            return "broken"
        status = word.get("status")
        if word["why"] or type(status) is not int:
            return word["why"] or "broken"
        return _by_code(os.waitstatus_to_exitcode(status))

    def _kill(self):
        if self._process is not None:
            _end(self._process)
            self._control.close()
            self._process = None
            wipe(self._scratch)


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
        _end(process)


def _end(process: subprocess.Popen):
    """End it, and what has not left its group."""
    if os.name != "nt":
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
