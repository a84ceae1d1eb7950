"""`python3 -m course_lib diagnose LOG`: say what the log of a run shows."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from course_lib.diagnosis.card import as_page
from course_lib.diagnosis.reading import read
from course_lib.diagnosis.verdict import diagnose

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Print the card of a log; 0 if it can be read, whatever it says, and 2 if not."""
    words = _parser().parse_args(argv)
    try:
        log = read(sys.stdin.read() if words.log == "-" else Path(words.log))
        verdict = diagnose(
            log,
            beta=words.beta,
            lr=words.lr,
            loss=words.loss,
            label_smoothing=words.label_smoothing,
        )
    except (ValueError, OSError) as error:
        print(f"{words.log}: {error}", file=sys.stderr)
        return 2
    if words.out:
        Path(words.out).write_text(as_page(verdict), encoding="utf-8")
    print(verdict)
    if words.json:
        print(verdict.json())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m course_lib diagnose",
        description="read the log of a DPO run, of any library, and say what it shows",
    )
    parser.add_argument("log", metavar="LOG", help="a file, or - for standard input")
    parser.add_argument("--beta", type=float, help="reward per nat")
    parser.add_argument("--lr", type=float, help="the highest learning rate")
    parser.add_argument("--loss", help="such as sigmoid, ipo, kto, orpo")
    parser.add_argument("--label-smoothing", type=float, help="ε of the loss")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object as the last line"
    )
    parser.add_argument("--out", metavar="CARD.html", help="write the run card")
    return parser
