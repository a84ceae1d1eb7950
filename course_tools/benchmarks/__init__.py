"""`bench`: what the course claims about speed, measured on the computer at hand.

Every public module here is a bench. It has `measure`, which returns the figures for
programs, and `table`, which makes text of them; OPTIONS, if it has any, are arguments
of `measure` as argparse wants them.
"""

import json
from collections.abc import Sequence

from course_tools import plugins

__all__ = ["columns", "main"]


def main(argv: Sequence[str]) -> int:
    """`bench NAME [--json ...]`: measure; with --json the last line is for programs.

    raises: CourseError if something needed is missing, or if what measures fails
    """
    bench, parser = plugins.choose("bench", __name__, argv)
    parser.add_argument(
        "--json", action="store_true", help="the figures as a last line"
    )
    for flag, told in getattr(bench, "OPTIONS", {}).items():
        parser.add_argument(flag, **told)
    options = vars(parser.parse_args(argv[1:]))
    as_json = options.pop("json")
    figures = bench.measure(**options)
    print(bench.table(figures))
    if as_json:
        print(json.dumps(figures))
    return 0


def columns(rows: Sequence[Sequence[str]]) -> str:
    """A table as text: names on the left, numbers to the right; rows may be short.

    >>> print(columns([("", "ms", "ratio"), ("ours", "8", "1.0"), ("theirs", "360")]))
              ms  ratio
    ours       8    1.0
    theirs   360
    """
    widths = [
        max(len(row[at]) for row in rows if at < len(row)) + 2
        for at in range(max(map(len, rows)))
    ]
    return "\n".join(
        f"{row[0]:<{widths[0]}}"
        + "".join(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=False))
        for row in rows
    )
