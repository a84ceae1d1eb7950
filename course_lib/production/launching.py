"""Start programs of several processes from a notebook, as a terminal would.

The programs are in `docs/launch/`: short, and the same here as on a cluster.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from course_lib import validate
from course_lib.workspace import CourseError, repository

__all__ = ["launch_file", "run_with_accelerate", "torchrun"]

LIMIT = 240  # seconds; a program of docs/launch/ takes ten


def launch_file(name: str) -> Path:
    """Where a program or a configuration of `docs/launch/` is.

    raises: FileNotFoundError, which lists what there is

    >>> launch_file("fsdp.py").name
    'fsdp.py'
    """
    folder = repository() / "docs" / "launch"
    if not (folder / name).is_file():
        known = ", ".join(sorted(path.name for path in folder.glob("*.*")))
        raise FileNotFoundError(f"{name} is not in docs/launch; there are {known}")
    return folder / name


def torchrun(program: str | Sequence[str], processes: int = 2) -> str:
    """What a program prints under `torchrun --nproc-per-node PROCESSES`.

    program: a file of `docs/launch/`; or a module with its options, as a list that
        begins with "-m"
    raises: CourseError with the end of what went wrong; ValueError for no process
    """
    validate.number("processes", processes)
    what = [str(launch_file(program))] if isinstance(program, str) else [*program]
    asked = ["--standalone", "--nproc-per-node", str(processes)]
    return _said(["torch.distributed.run", *asked, *what])


def run_with_accelerate(program: str, config: str = "here.yaml") -> str:
    """What a program prints under `accelerate launch --config_file CONFIG`.

    program, config: files of `docs/launch/`
    raises: CourseError with the end of what went wrong
    """
    files = [str(launch_file(name)) for name in (config, program)]
    return _said(["accelerate.commands.launch", "--config_file", *files])


def _said(command: list[str]) -> str:
    # one thread each: torchrun would warn, and the processes would wait for each other
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=repository(),
        env=env,
        start_new_session=True,  # one group, to be ended together
    ) as run:
        try:
            said, errors = run.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            end = getattr(os, "killpg", lambda *_: run.kill())  # Windows has no groups
            end(run.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            raise CourseError(
                f"{command[0]} did not end in {LIMIT} s: one process waits for another"
            ) from None
    if run.returncode:
        raise CourseError(f"{command[0]} failed:\n{(said + errors)[-2000:]}")
    return said
