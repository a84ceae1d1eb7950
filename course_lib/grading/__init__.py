"""`grade`: a class's submissions, fast, fair and unfoolable.

`main` is the command. What a learner's code can reach is decided in `sandbox` and
`zygote`, what it is worth in `marking`; the two never share a process.
"""

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """`python3 -m course_lib grade SUBMISSIONS`: see `course_lib.grading.command`."""
    from course_lib.grading.command import main as grade

    return grade(argv)
