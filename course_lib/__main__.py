"""The course's command line: `python3 -m course_lib VERB`.

`lab` and `test` always use the course's own `.venv` and make it first if need be. The
verbs that a module of the course answers (`build`, `check`) use the Python that was
called if it has exactly what requirements.txt pins, and `.venv` otherwise.

Standard library only and readable by Python 3.6, like all that it imports.
"""

import importlib
import os
import sys
from pathlib import Path

if not __package__:  # called as a folder: python3 somewhere/course_lib lab
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from course_lib import doctor, environment, workspace
from course_lib.environment import COMMAND
from course_lib.workspace import CourseError


def lab(args):
    """Open JupyterLab at the start of the course or at notebook NN."""
    end = args.index("--") if "--" in args else len(args)
    own, extra = args[:end], args[end + 1 :]
    if len(own) > 1 or "".join(own).startswith("-"):
        raise CourseError(
            "lab takes one notebook's number.",
            f"What is meant for JupyterLab goes after two dashes: {COMMAND} lab -- ...",
            code=2,
        )
    notebook = workspace.find("notebooks", own[0] if own else "00")
    python = environment.ready()
    print_new_copies()
    print(f"Opening {notebook.name} in JupyterLab; Ctrl-C twice ends it.")
    return environment.hand_over(
        python,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={workspace.repository()}",
        f"--LabApp.default_url=/lab/tree/notebooks/{notebook.name}",
        # in a container everybody is root, and JupyterLab would refuse to start
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        *extra,
    )


def test(args):
    """Run the whole test suite; the arguments are pytest's."""
    python = environment.ready()
    return environment.hand_over(
        python, "-m", "pytest", *args, cwd=workspace.repository()
    )


def reset(args):
    """Start exercise NN afresh, keeping a backup; without NN, add missing copies."""
    for chapter in args:
        print(workspace.reset(chapter))
    if not args and not print_new_copies():
        print(f"No copy is missing in {workspace.work_folder()}.")


def print_new_copies():
    """Copy the starters that the learner does not have yet, and say which."""
    made = workspace.copy_missing()
    if made:
        print(f"New in {made[0].parent}:", ", ".join(copy.name for copy in made))
    return made


# ── the table of verbs ────────────────────────────────────────────────────────────────

VERBS = {  # verb: (a function, or the module whose main() answers; arguments; what for)
    "lab": (lab, "[NN] [-- ...]", "open the course in JupyterLab, at notebook NN"),
    "test": (test, "[...]", "run every test; the arguments are pytest's"),
    "check": ("checking", "[NN|FILE ...]", "check your exercises"),
    "reset": (reset, "[NN]", "start exercise NN afresh; a backup is kept"),
    "doctor": (
        lambda args: doctor.doctor(),
        "",
        "say what is wrong with the environment and how to mend it",
    ),
    "build": ("authoring", "", "write exercises/ from solutions/"),
    "grade": (
        "grading",
        "DIR [--help]",
        "mark a class's submissions and report on it",
    ),
    "bench": (
        "bench",
        "NAME [--json]",
        "measure what the course claims about speed",
    ),
    "remake": ("remaking", "NAME", "make again what is shipped as a result"),
}


def usage():
    """The verbs, one line each."""
    rows = ((f"{verb} {row[1]}", row[2]) for verb, row in VERBS.items())
    return "\n".join(f"  {called:<24} {purpose}" for called, purpose in rows)


def perform(verb, args):
    """Do what a verb says; return the exit code."""
    action = VERBS[verb][0]
    try:
        if callable(action):
            return action(args)
        if not environment.satisfied():
            python = environment.ready()
            return environment.hand_over(python, "-m", "course_lib", verb, *args)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise environment.diagnosis(error) from None
    return importlib.import_module("course_lib." + action).main(args)


def main(args):
    """Run the command line; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a path that the console cannot show
    verb = args[0] if args else "--help"
    if verb in ("-h", "--help", "help"):
        print(f"usage: {COMMAND} VERB\n\n{usage()}\n")
        print("The first run makes .venv and installs requirements.txt into it.")
        return 0
    if verb not in VERBS:
        print(f'There is no verb "{verb}"; there are:\n{usage()}', file=sys.stderr)
        return 2
    try:
        ours = callable(VERBS[verb][0]) and verb != "test"
        if args[1:2] in (["-h"], ["--help"]) and (
            ours or (environment.trouble() and not environment.satisfied())
        ):
            print(f"usage: {COMMAND} {verb} {VERBS[verb][1]}\n\n  {VERBS[verb][2]}")
            return 0
        return perform(verb, args[1:])
    except CourseError as error:
        print("\n".join(filter(None, (str(error), error.mend))), file=sys.stderr)
        return error.code
    except BrokenPipeError:  # who read our words has left: | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
