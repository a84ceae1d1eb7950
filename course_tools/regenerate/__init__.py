"""`remake`: make again what is shipped because it takes long to make."""

import importlib
from collections.abc import Sequence

from course_lib.workspace import CourseError

__all__ = ["main"]

THINGS = {  # name, which is its module's: what it is
    "references": "the small transformers that the exact worlds begin from",
    "frontier": "runs of every method at every β, scored in an exact world",
    "variants": "runs of every variant on noisy, biased and unpaired data",
    "reviews": "the model that has read film reviews, its judge, and DPO on them",
}


def main(argv: Sequence[str]) -> int:
    """`remake NAME`: make one of THINGS again and write it where it is shipped.

    raises: CourseError for a name that is none
    """
    listed = "\n".join(f"  {name:<12} {what}" for name, what in THINGS.items())
    if argv and argv[0] in ("-h", "--help"):
        print(f"usage: remake NAME\n\n{listed}")
        return 0
    if len(argv) != 1 or argv[0] not in THINGS:
        called = f'Nothing is called "{" ".join(argv)}"' if argv else "Name a thing"
        raise CourseError(f"{called}; there are:\n{listed}", code=2)
    print(importlib.import_module(f"course_tools.regenerate.{argv[0]}").make())
    return 0
