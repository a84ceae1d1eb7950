"""How well this computer closes a sandbox: tried, not assumed."""

import contextlib
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_lib.submission.observing import Call
from course_lib.workspace import CourseError, repository
from course_tools.grading.sandbox.launching import Plan, exposed
from course_tools.grading.sandbox.sandbox import Sandbox
from course_tools.grading.sandbox.talking import Job

__all__ = ["LEVELS", "MODES", "Isolation", "choose"]

MODES = ("auto", "strict", "landlock", "process")
LEVELS = {
    "strong": "a submission can reach nothing but its own scratch folder",
    "landlock": "as strong, but for what is said not to be enforced",
    "process": "a process of its own with limits, and no more: for classes you trust",
}
# what the trial submission attempts: what holds if it fails, and if it does not
ATTEMPTS = (
    (
        "files outside cannot be read, solutions among them",
        "a submission can read this computer's files: solutions, other submissions",
    ),
    (
        "files outside cannot be written",
        "a submission can write and delete what the account that grades can",
    ),
    ("no network (TCP)", "a submission can use the network"),
    ("no network (UDP)", "a submission can send UDP packets"),
    (
        "other processes cannot be signalled, the grader among them",
        "a submission can stop the grader or other processes of the account",
    ),
    (
        "no way to other programs through sockets on the disk",
        "a submission can talk to other programs through their sockets on the disk",
    ),
    (
        "limits of other processes cannot be changed",
        "a submission can lower the limits of the account's other processes",
    ),
    (
        "no other program and no other process can be started",
        "a submission can start other processes, each with as much memory again",
    ),
)
LANDLOCK = (0, 1, 2, 4)  # of them: what Landlock alone has to hold
WORDS = (  # ways in which the trial submission leaves word for the next
    "keys in the kernel's keyring",
    "message queues",
    "shared memory",
    "files",
    "marks on folders",
    "limits of processes",
    "priorities",
    "what the computer holds of files in its memory",
    "times at which files were read",
)
WAYS = "no keys, queues, shared memory, files, limits, priorities or times"
TRIAL = Path(__file__).with_name("trial.py").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Isolation:
    """How the sandbox is closed.

    holds: for each of ATTEMPTS; words: which of WORDS one submission can leave
    """

    plan: Plan
    holds: tuple[bool, ...]
    words: tuple[str, ...] = ()

    @property
    def level(self) -> str:
        if all(self.holds) and not self.words:
            return "strong"
        return "landlock" if all(self.holds[n] for n in LANDLOCK) else "process"

    @property
    def means(self) -> str:
        """What closes it, in a few words."""
        parts = {"bwrap": "bubblewrap", "unshare": "namespaces"}
        found = [parts[self.plan.wrapper]] if self.plan.wrapper else []
        found += ["Landlock"] * self.plan.landlock
        return " and ".join(found) or "processes and limits"

    @property
    def enforced(self) -> list[str]:
        """What holds, in sentences."""
        each = "a process for each exercise, ended by a clock outside it"
        if not self.plan.fork:
            return [each]
        limits = "limits on processor time, memory, files and processes"
        held = [on for (on, _), holds in self._tried if holds]
        left = [] if self.words else [f"no submission leaves word for the next: {WAYS}"]
        return [each, limits, *held, *left]

    @property
    def missing(self) -> list[str]:
        """What is not enforced here, in sentences."""
        off = [off for (_, off), holds in self._tried if not holds]
        if self.words:
            ways = ", ".join(self.words)
            off.append(f"a submission can leave word for the next one by {ways}")
        if not self.plan.fork:
            off.append("memory and processor time have no limit but the clock")
        elif sys.platform != "linux":
            off.append("memory has no limit, and a process that hides may live on")
        return off

    @property
    def _tried(self):
        return zip(ATTEMPTS, self.holds, strict=True)

    def __str__(self) -> str:
        lines = [f"isolation: {self.level} ({self.means}): {LEVELS[self.level]}"]
        lines += [f"  on   {text}" for text in self.enforced]
        lines += [f"  off  {text}" for text in self.missing]
        return "\n".join(lines)


def choose(
    mode: str, *, timeout: float, memory: int, modules: Sequence[str] = ()
) -> tuple[Isolation, Sandbox]:
    """The best isolation that works here, and a sandbox that has it.

    mode: auto (the best), strict (only strong), landlock, or process; the others are
        the sandbox's
    raises: CourseError, code 3, if what `mode` asks for is not to be had, or the
        course's solutions lie where submissions may read
    """
    if places := exposed():
        raise CourseError(
            f"The course is installed in {places[0]} as well, where a submission could "
            "read its solutions.",
            "Take it out there (python -m pip uninstall dpo-from-first-principles), or "
            "grade in an environment of the course's own: the command lab makes one.",
            code=3,
        )
    found: list[tuple[Isolation, Sandbox]] = []
    why = ""
    for plan in _plans(mode):
        box = Sandbox(plan, timeout=timeout, memory=memory, modules=modules)
        try:
            found.append((Isolation(plan, _tried_in(box), _words_in(box)), box))
        except CourseError as error:
            box.close()
            why = f" ({error})"
        if found and found[-1][0].level == "strong":
            break
    best = max(
        found, key=lambda one: sum(one[0].holds) - len(one[0].words), default=None
    )
    level = best[0].level if best else "none"
    enough = {"strict": ("strong",), "landlock": ("strong", "landlock")}
    fits = level in enough.get(mode, LEVELS)
    for one in found:
        if one is not best or not fits:
            one[1].close()
    if best and fits:
        return best
    raise CourseError(
        f"Isolation «{mode}» is not to be had here; the best is «{level}»{why}.",
        "See what is there with --probe. On Linux, bubblewrap (apt install "
        "bubblewrap) with landlockpy gives the strong level.",
        code=3,
    )


def _plans(mode: str) -> list[Plan]:
    landlock = _has_landlock()
    if mode == "process" or sys.platform != "linux":
        return [] if mode == "landlock" else [Plan()]
    if mode == "landlock":
        return [Plan(landlock=True)] if landlock else []
    wrappers = [w for w in ("bwrap", "unshare") if shutil.which(w)]
    return [Plan(wrapper, landlock) for wrapper in (*wrappers, "")]


def _has_landlock() -> bool:
    try:
        import landlockpy
    except ImportError:
        return False
    return landlockpy.abi_version() > 0


def _tried_in(sandbox: Sandbox) -> tuple[bool, ...]:
    """Let a hostile little submission try what must not work, and see what happens."""
    idle = [sys.executable, "-I", "-S", "-c", "input()"]
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(getattr(socket, "AF_UNIX", socket.AF_INET)) as talk,
        subprocess.Popen(
            idle, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as victim,
    ):
        port = server.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        ears, outside = [server, udp], os.path.join(folder, "outside")
        with contextlib.suppress(OSError, TypeError):  # too long a path; not on Windows
            talk.bind(f"{outside}.talk")
            talk.listen()
            ears.append(talk)
        secret = str(repository() / "requirements.txt")
        call = Call((secret, outside, port, victim.pid))
        seen = sandbox.run(Job([TRIAL], "trial", [call])).seen
        if not seen or len(seen[0].numbers) != len(ATTEMPTS):
            raise CourseError("The trial submission did not come back.")
        forked, was_read = seen[0].numbers[:2]
        limited = _is_limited(victim.pid)  # to be seen before it is gone
        heard = select.select(ears, [], [], 0.05)[0]
        done = (
            was_read > 0,
            os.path.exists(outside),
            server in heard,
            udp in heard,
            victim.poll() is not None,
            talk in heard,
            limited,
            forked > 0,
        )
        victim.kill()
    return tuple(not happened for happened in done)


def _words_in(sandbox: Sandbox) -> tuple[str, ...]:
    """The ways in which one submission has left word for another: two runs."""
    for find in (False, True):
        seen = sandbox.run(Job([TRIAL], "words", [Call((find,))])).seen
    if not seen or len(seen[0].numbers) != len(WORDS):
        raise CourseError("The trial submission did not come back.")
    return tuple(
        way for way, found in zip(WORDS, seen[0].numbers, strict=True) if found
    )


def _is_limited(process: int) -> bool:
    """Has a process another limit than this one, which it was started by?"""
    if sys.platform != "linux":
        return False
    import resource

    ours = resource.getrlimit(resource.RLIMIT_STACK)
    return resource.prlimit(process, resource.RLIMIT_STACK) != ours
