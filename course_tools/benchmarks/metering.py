"""What a command costs with all that it starts: processor time, wall time, memory.

Run as a program it stands over the command: whoever loses its parent becomes its
child (on Linux), so that not even a process in a sandbox gets away without its time
being counted. Only the standard library: what it needs itself is not counted, but the
computer has to do it all the same.
"""

import ctypes
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Cost", "metered", "processes_of"]

PAUSE = 0.1  # seconds between two looks at the memory
LEFT = 10.0  # seconds in which what a command leaves behind has to end


class Cost(NamedTuple):
    """cpu: seconds, user and system; wall: seconds; peak: MiB, the largest sum of PSS
    (memory that several share is divided among them), 0 where there is no /proc

    parts: (process, MiB) at that moment; code: the exit code; said: the output's end
    """

    cpu: float
    wall: float
    peak: float
    parts: list[tuple[str, float]]
    code: int
    said: str


def metered(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Cost:
    """Run a command to its end and say what it cost; `env` is added to ours."""
    run = subprocess.run(
        [sys.executable, "-I", __file__, *command],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    text = run.stdout.decode(errors="replace").rstrip("\n")
    said, _, last = text.rpartition("\n")
    told = json.loads(last)
    parts = [(name, mib) for name, mib in told.pop("parts")]
    return Cost(**told, parts=parts, said=said[-2000:])


def processes_of(pid: int) -> list[int]:
    """The process and all that came from it, as far as /proc tells."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    words = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(words[1]), []).append(int(entry))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def _memory(pid: int) -> tuple[str, float]:
    """A process's name and MiB: its PSS, or the RSS of one that does not show it."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            name = file.read().strip()
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                line = next(line for line in file if line.startswith("Pss:"))
            return name, int(line.split()[1]) / 1024
        except (PermissionError, StopIteration):
            with open(f"/proc/{pid}/statm") as file:
                pages = int(file.read().split()[1])
            return name, pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:  # it is gone
        return "", 0.0


def _watch(done: threading.Event, most: list[tuple[str, float]]):
    """Keep in `most` what there was when it was most."""
    while not done.wait(PAUSE):
        children = processes_of(os.getpid())[1:]
        now = [part for part in map(_memory, children) if part[1]]
        if sum(mib for _, mib in now) > sum(mib for _, mib in most):
            most[:] = now


def _reap():
    """Wait for what has lost its parent: its time counts as well."""
    end = time.monotonic() + LEFT
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return
    raise SystemExit(f"still there after {LEFT:g} s: {processes_of(os.getpid())[1:]}")


def main(command: Sequence[str]):
    """Run the command; print what it cost as one last line."""
    import resource

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    most: list[tuple[str, float]] = []
    done, began = threading.Event(), time.perf_counter()
    watcher = threading.Thread(target=_watch, args=(done, most), daemon=True)
    process = subprocess.Popen(command)
    if os.path.isdir("/proc"):
        watcher.start()
    code = process.wait()
    wall = time.perf_counter() - began
    done.set()
    _reap()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {"cpu": used.ru_utime + used.ru_stime, "wall": wall, "code": code}
    told |= {"peak": sum(mib for _, mib in most), "parts": most}
    print("\n" + json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
