"""`python3 -m course_lib inspect FILE`: say what is wrong with preference data."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from course_lib.inspection.findings import Finding
from course_lib.inspection.inspecting import inspect
from course_lib.inspection.report import Report

__all__ = ["main"]

CODES = """exit codes: 0 nothing above a note, 1 warnings, 2 errors, or a file that
cannot be read"""


def main(argv: Sequence[str]) -> int:
    """Print the report on a file; the exit code says how bad it is."""
    words = _parser().parse_args(argv)
    try:
        report = inspect(
            words.file,
            train=words.train,
            tokenizer=words.tokenizer,
            max_length=words.max_length,
            limit=words.limit,
            quick=words.quick,
        )
        if words.out:
            _write(Path(words.out), report.page())
    except (OSError, EOFError, ValueError) as error:
        return _refused(words, error)
    print(report)
    if words.json:
        print(report.json())
    return report.exit_code


def _refused(words: argparse.Namespace, error: Exception) -> int:
    """Say what cannot be read, or written, and why."""
    where, why = words.file, str(error)
    if isinstance(error, OSError) and error.strerror:
        where, why = error.filename or where, error.strerror
    print(f"{where}: {why}", file=sys.stderr)
    if words.json:
        fault = Finding(None, "unreadable_file", "error", f"{where}: {why}")
        print(Report(words.file, "unreadable", 0, (fault,), {fault.kind: 1}).json())
    return 2


def _write(path: Path, text: str) -> None:
    """The whole file or none of it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8", errors="replace")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m course_lib inspect",
        description="read preference data, of any format, and say what is wrong with "
        "it, line by line",
        epilog=CODES,
    )
    parser.add_argument("file", metavar="FILE", help="JSONL, JSON, CSV or Parquet")
    parser.add_argument(
        "--train", metavar="FILE", help="the training file: find prompts in both"
    )
    parser.add_argument(
        "--tokenizer",
        metavar="PATH",
        help="a tokenizer.json, or a folder with one: check tokens at the boundary",
    )
    parser.add_argument(
        "--max-length", type=int, metavar="N", help="find what is cut at N tokens"
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=1000,
        metavar="N",
        help="findings kept of each kind; all are counted (default: 1000)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fields, empty and equal answers, repeated rows and length alone",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object as the last line"
    )
    parser.add_argument("--out", metavar="REPORT.html", help="write the report")
    return parser
