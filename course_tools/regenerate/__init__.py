"""`remake`: make again what is shipped because it takes long to make.

Every public module here is a thing that can be made: `make` writes it where it is
shipped and says what it wrote.
"""

from collections.abc import Sequence

from course_tools import plugins

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """`remake NAME`: make one of the things again."""
    thing, parser = plugins.choose("remake", __name__, argv)
    parser.parse_args(argv[1:])
    print(thing.make())
    return 0
