"""Programs in processes of their own: what they cost, and what they answer."""

import ctypes
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import psutil

from course_lib.workspace import CourseError, repository

__all__ = ["Cost", "aside", "call", "metered", "posix_only", "side_environment"]

PAUSE = 0.1  # seconds between two looks at the memory
LEFT = 10.0  # seconds in which what a command leaves behind has to end
CALL = """import json, sys
from {module} import {name}
print("\\n" + json.dumps({name}(*json.loads(sys.argv[1]))))"""


def posix_only():
    """Raise CourseError on Windows."""
    if os.name == "nt":
        raise CourseError("This bench reads times and memory as Linux and macOS do.")


def side_environment(variable: str, folder: str, *holds: str) -> Path | None:
    """The environment that a variable names, or a folder of the course; None if it does
    not hold files by all these patterns."""
    place = Path(os.environ.get(variable) or repository() / folder).absolute()
    return place if all(any(place.glob(pattern)) for pattern in holds) else None


def aside(command: Sequence[str | Path], *, cwd: Path | None = None, env=None) -> str:
    """What a command prints; `env` is added to ours. Raises CourseError if it fails."""
    told = {"cwd": cwd, "env": {**os.environ, **(env or {})}}
    run = subprocess.run(command, capture_output=True, text=True, **told)
    if run.returncode:
        said = (run.stdout + run.stderr)[-2000:]
        raise CourseError(f"{' '.join(map(str, command))} failed:\n{said}")
    return run.stdout


def call(python: str | Path, function: str, *arguments, env: Mapping[str, str]) -> Any:
    """What a function answers in a new process, on one thread; all in JSON.

    function: with its module, as in "json.dumps"
    raises: CourseError if it fails
    """
    module, _, name = function.rpartition(".")
    code = CALL.format(module=module, name=name)
    env = {"PYTHONPATH": str(repository()), "OMP_NUM_THREADS": "1", **env}
    said = aside([python, "-c", code, json.dumps(arguments)], env=env)
    return json.loads(said.splitlines()[-1])


class Cost(NamedTuple):
    """cpu: seconds, user and system; wall: seconds; peak: MiB, the largest sum of PSS
    (memory that several share is divided among them), of RSS where there is no PSS

    parts: (process, MiB) at that moment; code: the exit code; said: the output's end
    """

    cpu: float
    wall: float
    peak: float
    parts: list[tuple[str, float]]
    code: int
    said: str


def metered(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Cost:
    """Run a command to its end: what it cost with all that it starts.

    env: added to ours
    raises: CourseError on Windows, or if it leaves something that does not end
    """
    posix_only()
    # below a process that has no other children; what that needs itself is not counted
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_metered, command, cwd, {**os.environ, **env}).result()


def _metered(command: Sequence[str], cwd: Path, env: dict[str, str]) -> Cost:
    import resource

    if sys.platform == "linux":
        # whatever loses its parent becomes our child: not even a process in a sandbox
        # gets away without its time being counted
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    most: list[tuple[str, float]] = []
    done, begun = threading.Event(), time.perf_counter()
    with TemporaryFile() as said:
        told = {"cwd": cwd, "env": env, "stdin": subprocess.DEVNULL}
        process = subprocess.Popen(command, stdout=said, stderr=said, **told)
        threading.Thread(target=_watch, args=(done, most), daemon=True).start()
        code = process.wait()
        wall = time.perf_counter() - begun
        done.set()
        _reap()
        said.seek(0)
        text = said.read().decode(errors="replace")[-2000:]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = sum(mib for _, mib in most)
    return Cost(used.ru_utime + used.ru_stime, wall, peak, most, code, text)


def _watch(done: threading.Event, most: list[tuple[str, float]]):
    """Keep in `most` what there was when it was most."""
    while not done.wait(PAUSE):
        now = [*map(_memory, psutil.Process().children(recursive=True))]
        if sum(mib for _, mib in now) > sum(mib for _, mib in most):
            most[:] = [part for part in now if part[1]]


def _memory(process: psutil.Process) -> tuple[str, float]:
    """A process's name and MiB: its PSS, or the RSS of one that does not show it."""
    try:
        name, size = process.name(), process.memory_info().rss
        with suppress(psutil.AccessDenied, AttributeError):
            size = process.memory_full_info().pss
        return name, size / 2**20
    except psutil.Error:  # it is gone
        return "", 0.0


def _reap():
    """Wait for what has lost its parent: its time counts as well."""
    end = time.monotonic() + LEFT
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return
    raise CourseError(f"Something that was started still runs {LEFT:g} s later.")
