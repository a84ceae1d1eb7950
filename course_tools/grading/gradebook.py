"""The command `python3 -m course_lib gradebook REPORT…`: what follows the grading."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from course_lib.workspace import CourseError
from course_tools.grading.merging import TAKE
from course_tools.grading.points import Book
from course_tools.grading.progress import write_progress
from course_tools.grading.report import renew, stored
from course_tools.grading.rules import Rules, is_date, weights

__all__ = ["main", "parser"]


def main(argv: Sequence[str]) -> int:
    """Write the gradebooks of reports anew; see `gradebook --help`.

    raises: CourseError, code 2, before anything is written, for what is asked wrongly
    """
    options = parser().parse_intermixed_args(argv)
    reports = [Path(os.path.abspath(report)) for report in options.reports]
    if options.out and len(set(reports)) < 2:
        raise CourseError(
            "--out is for the progress over two or more reports.",
            "The gradebook of one report is written into its folder.",
            code=2,
        )
    asked = [(report, *stored(report), _rules(report, options)) for report in reports]
    books = []
    for report, marked, made, rules in asked:
        rules.keep(report)
        books.append(renew(report, marked, made, rules))
        _tell(report, books[-1])
    if options.out:
        out = Path(os.path.abspath(options.out))
        write_progress(out, _names(reports), books)
        print(f"The progress is in {out}: progress.csv and progress.html.")
    return 0


def parser() -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(
        prog="python3 -m course_lib gradebook",
        description="Write a report's gradebook anew: one line a learner, with what "
        "manual.csv says, in the forms that Canvas and Moodle import; and the pages "
        "and zips of feedback. Options stay with the report until they are changed.",
    )
    add = asked.add_argument
    add("reports", nargs="+", metavar="REPORT", help="a folder that grade has written")
    add(
        "--take",
        choices=TAKE,
        help="which attempt counts, exercise by exercise (default: best)",
    )
    add(
        "--weights",
        metavar="FILE",
        help="a CSV with the columns exercise and weight: what an exercise (dpo_loss, "
        "4.1), or each of a chapter (04), is worth; 0 leaves it out (default: a point "
        "for each property)",
    )
    add(
        "--all-or-nothing",
        action="store_true",
        default=None,
        help="an exercise counts in full or not at all",
    )
    add(
        "--due",
        metavar="DATE",
        type=_date,
        help="2026-11-01, the end of that day, or 2026-11-01T18:00: what came later is "
        "late (default: what the platform says)",
    )
    add(
        "--assignment",
        metavar="TITLE",
        help='the total\'s title in Canvas, such as "Week 4 (123456)"',
    )
    add("--plain", action="store_true", help="forget the options of earlier calls")
    add(
        "--out",
        metavar="DIR",
        help="with two or more reports, the earliest first: also write the progress "
        "from each to the next, there",
    )
    return asked


def _rules(report: Path, options: argparse.Namespace) -> Rules:
    """Those that the report had, but for what is asked now."""
    now = {
        "take": options.take,
        "worth": weights(Path(options.weights)) if options.weights else None,
        "all_or_nothing": options.all_or_nothing,
        "due": options.due,
        "assignment": options.assignment,
    }
    before = Rules() if options.plain else Rules.kept(report)
    return replace(
        before, **{k: value for k, value in now.items() if value is not None}
    )


def _date(word: str) -> str:
    if not is_date(word):
        raise argparse.ArgumentTypeError(
            f'must be a date such as 2026-11-01 or 2026-11-01T18:00, got "{word}"'
        )
    return word


def _tell(report: Path, book: Book):
    """What was written, and what the teacher should know of it."""
    count = len(book.lines)
    print(f"{report.name}: {count} learner{'s' * (count != 1)}, {book.rules}.")
    if book.extra:
        print(
            f"  Not in the total: {', '.join(book.extra)}; fewer than half of the "
            "learners were asked. --weights can give them points."
        )
    owed = sum(one.open for one in book.lines)
    if owed:
        print(f"  {owed} have a mark that the grader owes them; grade with --resume.")
    for sentence in book.unclear:
        print(f"  {sentence}", file=sys.stderr)
    print(f"  gradebook.csv and the other forms are in {report}.")


def _names(reports: Sequence[Path]) -> list[str]:
    """The folders' names; if two are alike, with those of the folders around them."""
    names = [report.name for report in reports]
    if len(set(names)) == len(names):
        return names
    return [f"{report.parent.name}/{report.name}" for report in reports]
