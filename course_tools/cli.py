"""The course's command line: `python3 -m course_lib VERB`.

`lab` and `test` always use the course's own `.venv` and make it first if need be. The
verbs that a module answers (`build`, `check`, …) use the Python that was called if it
has exactly what requirements.txt pins, and `.venv` otherwise.

Standard library only and readable by Python 3.6, like all that it imports.
"""

import argparse
import importlib
import os
import sys

from course_lib import workspace
from course_lib.workspace import CourseError
from course_tools import copies, doctor, environment, jupyterlab, start_page
from course_tools.environment import COMMAND

# verb: what it is for. Those of OWN are functions below; each of the others is answered
# by main() of its module.
VERBS = {
    "lab": "open the course in JupyterLab, at its start or at chapter NN",
    "test": "run every test; the arguments are pytest's",
    "check": "check your exercises",
    "inspect": "read preference data and say what is wrong with it, line by line",
    "diagnose": "read the log of a DPO run, of any library, and say what it shows",
    "train": "train a model on your own pairs: small, SmolLM2 or a Hugging Face folder",
    "torchrun": "start several processes in the course's Python, as torchrun does",
    "review": "ask again, a few a day, what the chapters asked and what you missed",
    "add": "add optional sets of packages, such as production",
    "reset": "start the exercises of chapter NN afresh; a backup is kept",
    "doctor": "say what is wrong with the environment and how to mend it",
    "build": "write exercises/ from solutions/",
    "handout": "make what a class is given: chapters without their solutions",
    "grade": "mark a class's submissions and report on it",
    "gradebook": "write a report's gradebook and feedback anew, with points by hand",
    "bench": "measure what the course claims about speed",
    "remake": "make again what is shipped as a result",
    "site": "build the course as a website that needs no server",
    "colab": "write the pages that Colab opens",
}
FIRST_RUN = "The first run makes .venv and installs the packages."
# What needs the whole course; an installed package has pages and starters alone.
WHOLE = ("test", "build", "handout", "grade", "gradebook", "bench", "remake")
WHOLE += ("site", "colab")
MODULES = {
    "check": "course_tools.check",
    "inspect": "course_lib.inspection.command",
    "diagnose": "course_lib.diagnosis.command",
    "train": "course_lib.finetuning.command",
    "review": "course_lib.spaced_review",
    "build": "course_tools.build",
    "handout": "course_tools.handout",
    "grade": "course_tools.grading.command",
    "gradebook": "course_tools.grading.gradebook",
    "bench": "course_tools.benchmarks",
    "remake": "course_tools.regenerate",
    "site": "course_tools.site",
    "colab": "course_tools.hosted",
}


def parser(verb):
    """An empty parser for the words after a verb."""
    return argparse.ArgumentParser(prog=f"{COMMAND} {verb}", description=VERBS[verb])


def lab(words):
    """Open JupyterLab in `my_work/`, at its start page or at chapter NN."""
    end = words.index("--") if "--" in words else len(words)
    asked = parser("lab")
    asked.usage = "%(prog)s [NN] [-- what is meant for JupyterLab]"
    asked.add_argument("chapter", metavar="NN", nargs="?")
    chapter = asked.parse_args(words[:end]).chapter
    page = workspace.find("notebooks", chapter).name if chapter else start_page.PAGE
    python = environment.ready()
    renew()
    settings = []
    if workspace.packaged():  # a Python of somebody's own is left as it is
        os.environ["COURSE_WORK"] = str(workspace.work_folder())
        folder = workspace.work_folder() / ".lab"
        workspace.write(folder / "overrides.json", jupyterlab.SETTINGS)
        settings = [f"--LabApp.app_settings_dir={folder}"]
    print(f"Opening {page} in JupyterLab; Ctrl-C twice ends it.")
    return environment.hand_over(
        python,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={workspace.work_folder()}",
        *settings,
        f"--LabApp.default_url=/lab/tree/{page}",
        # in a container everybody is root, and JupyterLab would refuse to start
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        *words[end + 1 :],
    )


def test(words):
    """Run the whole test suite; the arguments are pytest's."""
    python = environment.ready()
    root = workspace.repository()
    wall = {"PYTHONPATH": str(root / "tests" / "offline")}  # from the first import on
    return environment.hand_over(python, "-m", "pytest", *words, cwd=root, **wall)


def reset(words):
    """Start exercises or a chapter afresh, keeping a backup; or add what is missing."""
    asked = parser("reset")
    about = "04: its exercises; 04_dpo_loss: the chapter; none: add what is missing"
    asked.add_argument("pages", metavar="NN|NN_NAME", nargs="*", help=about)
    pages = asked.parse_args(words).pages
    for page in pages:
        print(copies.reset(page))
    if not pages and not renew():
        print(f"Nothing is missing in {workspace.work_folder()}.")


def renew():
    """Bring the learner's pages up to date, and say what that changed."""
    said = copies.renew()
    start_page.write_start()
    print(*said, sep="\n", end="\n" if said else "")
    return said


def examine(words):
    """Say what is wrong with the environment."""
    parser("doctor").parse_args(words)
    return doctor.doctor()


def add(words):
    """Add optional sets of packages to the course's Python."""
    asked = parser("add")
    listed = [f"  {name:<11} {what}" for name, what in environment.SETS.items()]
    asked.formatter_class = argparse.RawDescriptionHelpFormatter
    asked.description = "\n".join([VERBS["add"], "", *listed])
    told = {"choices": environment.SETS, "metavar": "SET", "nargs": "+"}
    asked.add_argument("sets", **told)
    names = asked.parse_args(words).sets
    python = environment.add(*names)
    print(f"{', '.join(names)}: there, in {python}.")


def torchrun(words):
    """Become torchrun; the words after the verb are torchrun's own."""
    here = environment.satisfied()
    python = sys.executable if here else environment.ready()
    return environment.hand_over(python, "-m", "torch.distributed.run", *words)


OWN = {
    "lab": lab,
    "test": test,
    "reset": reset,
    "doctor": examine,
    "add": add,
    "torchrun": torchrun,
}


def perform(verb, words):
    """Do what a verb says; return the exit code."""
    if verb in WHOLE and workspace.packaged():
        sentence = f"`{verb}` needs a copy of the whole course, and this is a package."
        raise CourseError(sentence, f"git clone {workspace.address()}", code=2)
    try:
        if verb in OWN:
            return OWN[verb](words)
        if not environment.satisfied():
            python = environment.ready()
            return environment.hand_over(python, "-m", "course_lib", verb, *words)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise environment.diagnosis(error) from None
    return importlib.import_module(MODULES[verb]).main(words)


def console():
    """The command `dpo-course`."""
    return main(sys.argv[1:])


def main(words):
    """Run the command line; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a path that the console cannot show
    known = [v for v in VERBS if not (v in WHOLE and workspace.packaged())]
    verbs = "\n".join(f"  {verb:<9} {VERBS[verb]}" for verb in known)
    front = argparse.ArgumentParser(
        prog=COMMAND,
        usage="%(prog)s VERB ...",
        description=verbs if workspace.packaged() else f"{verbs}\n\n{FIRST_RUN}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    front.add_argument("verb", choices=VERBS, metavar="VERB", help="VERB -h says more")
    try:
        verb = front.parse_args(words[:1] or ["-h"]).verb
        # before the environment stands, a module's verb says only what it is for
        alone = (
            verb not in OWN and environment.trouble() and not environment.satisfied()
        )
        passed_on = verb in ("test", "torchrun")  # to another program
        if words[1:2] in (["-h"], ["--help"]) and (alone or passed_on):
            parser(verb).parse_args(words[1:2])
        return perform(verb, words[1:])
    except SystemExit as told:  # argparse has explained, or refused
        return told.code
    except CourseError as error:
        print("\n".join(filter(None, (str(error), error.mend))), file=sys.stderr)
        return error.code
    except BrokenPipeError:  # who read our words has left: | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130
