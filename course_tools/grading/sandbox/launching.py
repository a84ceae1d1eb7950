"""How a process for learners' code is started: by what command, with what in sight."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from course_lib.workspace import repository

__all__ = ["OWN", "Plan", "bare_env", "command", "exposed"]


@dataclass(frozen=True)
class Plan:
    """How a sandbox is closed: `wrapper` is bwrap, unshare or nothing.

    fork: from one process that has imported torch; macOS's libraries do not survive it
    """

    wrapper: str = ""
    landlock: bool = False
    fork: bool = hasattr(os, "fork") and sys.platform != "darwin"


# what of the course the process itself is made of: no exercise, and no answer
OWN = (
    "course_lib",
    "course_lib._moved",
    "course_lib.submission",
    "course_lib.submission.loading",
    "course_lib.submission.observing",
    "course_tools",
    "course_tools.grading",
    "course_tools.grading.sandbox",
    "course_tools.grading.sandbox.confine",
    "course_tools.grading.sandbox.given",
    "course_tools.grading.sandbox.harness",
    "course_tools.grading.sandbox.scratch",
    "course_tools.grading.sandbox.uncompiled",
    "course_tools.grading.sandbox.wire",
    "course_tools.grading.sandbox.zygote",
)
_BEGIN = (
    "import json, sys; told = json.loads(sys.argv[1]); "
    "sys.path[:] = told.pop('path'); "
    "from course_tools.grading.sandbox.zygote import begin; begin(**told)"
)
_SYSTEM = (
    "/sys/kernel/mm/transparent_hugepage",  # where malloc looks for large pages
    "/sys/devices/system/cpu",  # and PyTorch for what the processor can do
)


def command(
    plan: Plan,
    scratch: str,
    control: int,
    modules: Sequence[str],
    terms: dict | None,
) -> list[str]:
    """The command of a process for one job, or of one that others are forked from.

    control: its end of the channel; modules: imported first; terms: of the one job
    """
    told = {
        "path": _path(),
        "repository": str(repository()),
        "control": control,
        "scratch": scratch,
        "readable": _readable(),
        "modules": list(modules),
        "terms": terms,
    }
    python = [sys.executable, "-s", "-P", "-c", _BEGIN, json.dumps(told)]
    return [*_WRAPPERS[plan.wrapper](scratch), *python]


def _unshare(_: str) -> list[str]:
    apart = "--user --map-root-user --pid --net --ipc --fork --kill-child --mount-proc"
    weak = "--no-new-privs --bounding-set=-all"
    return ["unshare", *apart.split(), "setpriv", *weak.split()]


def _bubblewrap(scratch: str) -> list[str]:
    apart = "--unshare-all --die-with-parent --as-pid-1 --new-session --cap-drop ALL"
    words = ["bwrap", *apart.split(), "--proc", "/proc", "--dev", "/dev"]
    for path in _SYSTEM:
        words += ["--ro-bind-try", path, path]
    own = [str(spec.origin) for spec in map(find_spec, OWN) if spec]
    for path in (*_readable(), *own):
        if os.path.islink(path) and os.path.dirname(path) == "/":  # /lib in /usr
            words += ["--symlink", os.readlink(path), path]
        elif not path.startswith("/dev/"):
            words += ["--ro-bind", path, path]
    words += ["--bind", scratch, scratch, "--chdir", scratch]
    for place in ("/dev", "/"):  # with /dev/shm and /tmp, which outlive a process
        words += ["--remount-ro", place]
    return words


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


def exposed() -> list[str]:
    """Folders of packages that hold the course, solutions and all, and may be read."""
    folders = [Path(path) for path in sys.path]
    for prefix in (sys.prefix, sys.base_prefix):
        folders += Path(prefix).glob("lib*/python3*/*-packages")
    read = [Path(path).resolve() for path in _readable()]
    return sorted(
        str(folder)
        for folder in {folder.resolve() for folder in folders}
        if (folder / "course_lib").is_dir()
        and folder != repository().resolve()
        and any(folder.is_relative_to(path) for path in read)
    )


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


def bare_env(scratch: str) -> dict[str, str]:
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
