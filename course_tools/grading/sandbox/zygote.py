"""The process that learners' processes are forked from, so that torch is imported once.

Where it can fork, it never sees a submission: the grader hands it a socket, it forks,
and the child reads its job from there. It keeps the clock, counts processes and files,
and when the child has ended it ends all that the child has left behind.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator

import torch

from course_tools.grading.sandbox import harness
from course_tools.grading.sandbox.confine import confine
from course_tools.grading.sandbox.scratch import too_much, unlinked, wipe
from course_tools.grading.sandbox.uncompiled import stand_in
from course_tools.grading.sandbox.wire import send

with contextlib.suppress(ImportError):
    import IPython.core.inputtransformer2  # noqa: F401  (for `load`, and once)
with contextlib.suppress(ImportError):
    import landlockpy  # noqa: F401  (for `_lock`, and once)

READY = b"\n"
PROCESSES, FILE_BYTES = 8, 1 << 22
TICK, GLANCE = 0.002, 0.02  # seconds between two looks at the child, and around it


def begin(
    control: int,
    scratch: str,
    readable: list[str],
    repository: str,
    modules: list[str],
    terms: dict | None,
):
    """Where a process for submissions starts; it never returns.

    control: the grader's channel; scratch: an empty folder, where a child may write;
    readable: what it may read; modules: more to be imported before it is ready; terms:
    of the one job to be answered, where nothing can be forked and each job has a
    process and a torch of its own
    """
    shared = b"" if os.name != "nt" else sys.stdin.buffer.read()
    channel = socket.fromshare(shared) if shared else socket.socket(fileno=control)
    stand_in()
    for module in modules:
        importlib.import_module(module)
    torch.set_num_threads(1)  # before any fork: threads and forks do not mix
    torch.ones(1).half()  # which looks at the processor, as no child may
    harness.clear_shelves()
    sys.path[:] = [path for path in sys.path if path and path != repository]
    if terms is None:
        _serve(channel, scratch, readable)
    else:
        channel.sendall(READY)  # from now on it is the learner's time
        _limit(terms)
        confine()
        harness.answer(channel)
    os._exit(0)


def _serve(control: socket.socket, scratch: str, readable: list[str]):
    """Fork a child for each socket that comes; leave when the grader is gone."""
    _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: who is left behind becomes ours
    _prctl(4, 0)  # PR_SET_DUMPABLE: no child may look into this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's
    gc.freeze()  # no child looks through what torch has made, nor copies it
    control.sendall(READY)
    usual = None
    while True:
        message, handed, _, _ = socket.recv_fds(control, 4096, 1)
        if not message:
            return
        terms, before = json.loads(message), _circumstances()
        folder = tempfile.mkdtemp(dir=scratch)  # new, for a folder has a memory too
        usual = _at_rest(folder, readable, terms) if usual is None else usual
        _prctl(4, 1)  # the child's files may be looked at
        child = os.fork()
        if child == 0:
            _become_child(control, handed[0], terms, folder, readable)
        _prctl(4, 0)
        os.close(handed[0])
        why, status = _watch(child, terms["timeout"], control, scratch)
        clean = _sweep(child) and _circumstances() == before
        clean = clean and _spent(child) == usual
        wipe(scratch)
        last = not clean or why == "grader gone"
        told = {"why": why, "status": status, "last": last}
        with contextlib.suppress(OSError):
            send(control, told)
        if last:
            return  # in a PID namespace everything ends with us


def _become_child(control, handed: int, terms: dict, folder: str, readable: list[str]):
    """Give up all that is not needed, answer the job, and end; never returns."""
    code = 70
    try:
        os.setpgid(0, 0)
        channel = socket.socket(fileno=os.dup2(handed, 3 if handed != 3 else 4))
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        control.detach()
        kept = channel.fileno()
        os.closerange(3, kept)
        os.closerange(kept + 1, 256)
        os.chdir(folder)
        os.environ.update(dict.fromkeys(("HOME", "TMPDIR"), folder))
        tempfile.tempdir = folder  # where the keeper's own was
        os.nice(5)
        _limit(terms)
        _close(folder, readable, terms)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        harness.answer(channel)
        code = 0
    except MemoryError:
        code = 71
    finally:
        os._exit(code)


def _close(folder: str, readable: list[str], terms: dict):
    if terms["landlock"]:
        _lock(folder, readable)
    confine()


def _at_rest(folder: str, readable: list[str], terms: dict) -> int:
    """What a child that does nothing spends of the numbers of processes."""
    child = os.fork()
    if child == 0:
        try:
            _close(folder, readable, terms)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return _spent(child)


def _limit(terms: dict):
    try:
        import resource
    except ImportError:  # Windows
        return

    limits = {
        "RLIMIT_CPU": int(time.process_time() + terms["timeout"]) + 1,  # with its start
        "RLIMIT_FSIZE": FILE_BYTES,
        "RLIMIT_NOFILE": 128,
        "RLIMIT_CORE": 0,
    }
    if sys.platform == "linux":  # on top of what Python and torch have mapped already
        with open("/proc/self/statm") as file:
            pages = [int(word) for word in file.read().split()]
        unit, room = os.sysconf("SC_PAGE_SIZE"), terms["memory"] << 20
        limits["RLIMIT_DATA"] = pages[5] * unit + room
        limits["RLIMIT_AS"] = pages[0] * unit + 2 * room
    for name, value in limits.items():
        with contextlib.suppress(AttributeError, OSError, ValueError):
            which = getattr(resource, name)
            hard = resource.getrlimit(which)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(which, (value, value))


def _lock(folder: str, readable: list[str]):
    from landlockpy import AccessFS, Ruleset, Scope

    read = AccessFS.READ_FILE | AccessFS.READ_DIR | AccessFS.EXECUTE
    write = AccessFS.WRITE_FILE | AccessFS.TRUNCATE
    own = AccessFS.MAKE_REG | AccessFS.REMOVE_FILE
    own |= AccessFS.MAKE_DIR | AccessFS.REMOVE_DIR
    with Ruleset(scoped=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET) as rules:
        for path in readable:
            rules.allow_path(path, read if os.path.isdir(path) else AccessFS.READ_FILE)
        rules.allow_path(os.devnull, AccessFS.READ_FILE | AccessFS.WRITE_FILE)
        rules.allow_path(folder, read | write | own)
        rules.restrict()


def _watch(child: int, seconds: float, control, scratch: str) -> tuple[str, int | None]:
    """Wait for the child; say why it had to be stopped, or "", and its exit status."""
    now = time.monotonic()
    end, glance = now + seconds, now + GLANCE
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return "", status
        now = time.monotonic()
        if now >= end:
            return "timeout", None
        if now >= glance:
            glance = now + GLANCE
            others = list(_descendants(os.getpid()))
            if len(others) > PROCESSES:
                return "processes", None
            if too_much(scratch, sum(map(unlinked, others))):
                return "files", None
            if _outside_of_processes():
                return "segments", None
            spoken = select.select([control], [], [], 0)[0]
            if spoken and not control.recv(1, socket.MSG_PEEK):
                return "grader gone", None
        time.sleep(TICK)


def _circumstances() -> tuple:
    """What a child may change of this process, and so of those that come after it."""
    if sys.platform != "linux":
        return ()
    import resource

    kinds = [kind for name, kind in vars(resource).items() if name[:7] == "RLIMIT_"]
    limits = [resource.getrlimit(kind) for kind in kinds]
    pace = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)
    return limits, pace, os.sched_getaffinity(0), _outside_of_processes()


def _spent(child: int) -> int:
    """How many numbers of processes and threads it has used up, seen from a namespace
    of our own: the next process could read from its number how many they were.
    """
    if os.getpid() != 1:
        return 0
    with open("/proc/loadavg") as file:
        return int(file.read().split()[-1]) - child


def _outside_of_processes() -> bool:
    """Is there memory that outlives its process? Seen in a namespace of our own."""
    if os.getpid() != 1:
        return False
    lists = [f"/proc/sysvipc/{kind}" for kind in ("shm", "msg", "sem")]
    return any(sum(1 for _ in open(path)) > 1 for path in lists)


def _descendants(pid: int) -> Iterator[int]:
    """Processes that came from this one; none where the system does not say."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children += [int(word) for word in file.read().split()]
    for child in children:
        yield child
        yield from _descendants(child)


def _sweep(child: int) -> bool:
    """End everything that the child has left; say whether that worked."""
    end = time.monotonic() + 1
    while True:
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)
        for pid in list(_descendants(os.getpid())):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(TICK / 2)


def _prctl(option: int, value: int):
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
