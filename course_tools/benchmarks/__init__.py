"""`bench`: what the course claims about speed, measured on the computer at hand."""

import importlib
from collections.abc import Sequence

from course_lib.workspace import CourseError

__all__ = ["main"]

BENCHES = {  # name, which is its module's: what for
    "grading": "what it costs to grade a submission, beside other graders",
    "sliders": "how soon a figure follows its slider, beside other ways to draw it",
    "trainer": "how fast the trainer is, beside TRL's, and what its tricks bring",
}


def main(argv: Sequence[str]) -> int:
    """`bench NAME [--json ...]`: measure; with --json the last line is for programs.

    raises: CourseError for a name that is none, or if something needed is missing
    """
    name, *words = argv or [""]
    listed = "\n".join(f"  {known:<10} {what}" for known, what in BENCHES.items())
    if name in ("-h", "--help"):
        print(f"usage: bench NAME [--json]\n\n{listed}")
        return 0
    plain = name != "grading"  # which has more options, and reads them itself
    if name not in BENCHES or (plain and set(words) - {"--json"}):
        called = f'There is no bench "{" ".join(argv)}"' if argv else "Name a bench"
        raise CourseError(f"{called}; there are:\n{listed}", code=2)
    return importlib.import_module(f"course_tools.benchmarks.{name}").main(words)
