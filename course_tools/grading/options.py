"""The options of `grade`."""

import argparse
import os
from collections.abc import Callable

from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError
from course_tools.grading.rules import meant
from course_tools.grading.sandbox.isolation import MODES

__all__ = ["MEMORY", "TIMEOUT", "parser"]

TIMEOUT, MEMORY = 10.0, 1024  # seconds and MiB, if nothing else is asked


def parser() -> argparse.ArgumentParser:
    """The options, with a sentence on each."""
    asked = argparse.ArgumentParser(
        prog="python3 -m course_lib grade",
        description="Grade a class: notebooks (.ipynb) and Python files (.py) in a "
        "folder, in folders or zips of learners, or in a course platform's zip.",
        epilog="exit code: 0 every submission has its marks; 1 some could not be "
        "graded through the grader's fault (they lose no points), or the report could "
        "not be written; 2 usage; 3 the isolation that was asked for is not to be had",
    )
    add = asked.add_argument
    add("submissions", nargs="?", metavar="SUBMISSIONS", help="folder, zip or file")
    add(
        "--out",
        metavar="DIR",
        help="where the report goes (default: SUBMISSIONS_report beside them); an "
        "earlier report there is kept under another name",
    )
    add(
        "--exercise",
        type=_exercises,
        action="extend",
        default=[],
        metavar="NAME",
        help="mark this one: dpo_loss, 4.1, or a whole chapter: 04; may be repeated "
        "(default: what the class has handed in)",
    )
    _limits(add)
    add("--probe", action="store_true", help="try the isolation here, say it, and end")
    add(
        "--seed-file",
        dest="seed",
        type=_secret,
        metavar="FILE",
        help="a secret that the inputs are drawn from; with the same one, the same "
        "submissions get the same marks, byte for byte (default: drawn, and noted in "
        "report.json)",
    )
    _going_on(add)
    return asked


def _going_on(add: Callable):
    add(
        "--resume",
        action="store_true",
        help="go on with the report in DIR, on the terms that it was begun on",
    )
    add(
        "--again",
        action="append",
        default=[],
        metavar="WHAT",
        help="in the report in DIR, mark this anew and keep all else: an exercise as "
        "in --exercise, a learner's name or number, or a submission; may be repeated",
    )


def _limits(add: Callable):
    """How much at a time, how much for each, and how well shut in."""
    add(
        "--jobs",
        type=_whole(1),
        default=os.cpu_count() or 1,
        metavar="N",
        help="submissions at a time (default: one for each core)",
    )
    add(
        "--timeout",
        type=_positive,
        metavar="SECONDS",
        help="for one exercise of one submission (default 10)",
    )
    add(
        "--memory",
        type=_whole(64),
        metavar="MIB",
        help="for one exercise of one submission, beside PyTorch's own (default 1024)",
    )
    add(
        "--isolation",
        choices=MODES,
        default="auto",
        help="auto takes the best that works here and says what it is; strict refuses "
        "to grade with less than the best there is",
    )


def _whole(least: int, most: int = 1 << 20) -> Callable[[str], int]:
    def number(word: str) -> int:
        value = int(word)
        if not least <= value <= most:
            told = f"must be from {least} to {most}, got {value}"
            raise argparse.ArgumentTypeError(told)
        return value

    number.__name__ = "whole number"
    return number


def _positive(word: str) -> float:
    value = float(word)
    if not 0.05 <= value < 86400:
        told = f"must be from 0.05 to 86,399 seconds, got {word}"
        raise argparse.ArgumentTypeError(told)
    return value


def _exercises(word: str) -> list[str]:
    """A name, a number such as 4.1, or a chapter such as 04, as names."""
    found = meant(word)
    if not found:
        raise CourseError(
            f'There is no exercise "{word}".',
            "There are " + ", ".join(EXERCISES) + "; numbers such as 4.1 and chapters "
            "such as 04 will do too.",
            code=2,
        )
    return found


def _secret(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            seed = file.read().strip()
    except (OSError, ValueError) as error:
        raise CourseError(f"--seed-file cannot be read: {error}", code=2) from None
    if not seed:
        raise CourseError(f"--seed-file {path} is empty.", code=2)
    return seed
