"""Python in a process of its own, as a terminal starts it."""

import os
import subprocess
import sys


def run_python(*words, cwd, path=()) -> subprocess.CompletedProcess:
    """What `python WORDS` says in a folder; no `my_work/` is named to it.

    path: folders to be imported from, before those of the tests
    """
    env = {name: it for name, it in os.environ.items() if name != "COURSE_WORK"}
    env["PYTHONPATH"] = os.pathsep.join([*map(str, path), env["PYTHONPATH"]])
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=env,
        capture_output=True,
        encoding="utf-8",
    )
