"""How a process for learners' code is started: by what command, with what in sight."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from course_lib.workspace import repository

__all__ = ["Plan", "child_env", "command_alone", "command_of_keeper"]


@dataclass(frozen=True)
class Plan:
    """How a sandbox is closed: `wrapper` is bwrap, unshare or nothing.

    fork: from one process that has imported torch; macOS's libraries do not survive it
    """

    wrapper: str = ""
    landlock: bool = False
    fork: bool = hasattr(os, "fork") and sys.platform != "darwin"


_PAGES = "/sys/kernel/mm/transparent_hugepage"  # where malloc looks for large pages

_BEGIN = (
    "import json, socket, sys; told = json.loads(sys.argv[1]); "
    "sys.path[:] = told.pop('path'); "
    "from course_tools.grading.sandbox.zygote import serve; "
    "serve(socket.socket(fileno=told.pop('control')), **told)"
)

_ALONE = (
    "import json, socket, sys; told = json.loads(sys.argv[1]); "
    "sys.path[:] = told.pop('path'); given = sys.stdin.buffer.read(); "
    "fd = told.pop('control'); "
    "channel = socket.fromshare(given) if given else socket.socket(fileno=fd); "
    "from course_tools.grading.sandbox.zygote import answer_once; "
    "answer_once(channel, **told)"
)


def command_of_keeper(plan: Plan, scratch: str, control: int) -> list[str]:
    """The command of the process that learners' processes are forked from."""
    told = {
        "path": _path(),
        "control": control,
        "scratch": scratch,
        "readable": _readable(),
        "repository": str(repository()),
    }
    python = [sys.executable, "-s", "-P", "-c", _BEGIN, json.dumps(told)]
    return [*_WRAPPERS[plan.wrapper](scratch), *python]


def command_alone(control: int, terms: dict) -> list[str]:
    """The command of a process for one job; `control` is its end of the channel."""
    told = {"path": _path(), "control": control, "terms": terms}
    told["repository"] = str(repository())
    return [sys.executable, "-s", "-P", "-c", _ALONE, json.dumps(told)]


def _unshare(_: str) -> list[str]:
    apart = "--user --map-root-user --pid --net --ipc --fork --kill-child --mount-proc"
    weak = "--no-new-privs --bounding-set=-all"
    return ["unshare", *apart.split(), "setpriv", *weak.split()]


def _bubblewrap(scratch: str) -> list[str]:
    apart = "--unshare-all --die-with-parent --as-pid-1 --new-session --cap-drop ALL"
    words = ["bwrap", *apart.split(), "--proc", "/proc", "--dev", "/dev"]
    words += ["--ro-bind-try", _PAGES, _PAGES]
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
    """Where Python looks for modules: as here, and the course itself.

    Not the folder that somebody happens to stand in, nor another copy of the course.
    """
    there = [path for path in sys.path if os.path.isdir(path) or path.endswith(".zip")]
    kept = [
        path
        for path in map(os.path.abspath, there)
        if os.path.realpath(path) != os.path.realpath(os.curdir)
        and not os.path.isdir(os.path.join(path, "course_lib"))
    ]
    return [*dict.fromkeys([*kept, str(repository())])]


def _readable() -> list[str]:
    """What a submission may read: Python, its packages, the system's libraries.

    Of the course's folder only the environment, should that lie in it.
    """
    packages = ("site-packages", "dist-packages")
    paths = [sys.prefix, sys.base_prefix]
    paths += [path for path in _path() if os.path.basename(path) in packages]
    paths += ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64"]
    paths += ["/etc/ld.so.cache", "/dev/urandom"]
    above = {repository(), *repository().parents}
    kept = [path for path in paths if os.path.exists(path)]
    return [*dict.fromkeys(p for p in kept if Path(p).resolve() not in above)]


def _own_files() -> list[str]:
    """The few files of the course that the keeper itself is made of."""
    library = ("__init__", "_moved", "submission/__init__", "submission/loading")
    library += ("submission/observing",)
    names = [f"course_lib/{name}.py" for name in library]
    packages = ("course_tools", "course_tools/grading", "course_tools/grading/sandbox")
    names += [f"{package}/__init__.py" for package in packages]
    own = ("wire", "scratch", "harness", "zygote")
    names += [f"course_tools/grading/sandbox/{name}.py" for name in own]
    return [str(repository() / name) for name in names]


def child_env(scratch: str) -> dict[str, str]:
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
        "PYTHONMALLOC": "malloc",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }
