"""Runs that fail on purpose, healthy runs beside them, and cures, with their logs."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from course_lib.datasets import LoggedRun
from course_lib.failures import BESIDE, CURES, FAILURES, HEALTHY, broken_run
from course_lib.transformer import SHIPPED
from course_lib.workspace import write_whole
from course_tools.regenerate._runs import in_parallel

__all__ = ["jobs", "lines", "make"]

SEEDS = (0, 1, 2, 3, 4)
DIGITS, DECIMALS = 4, 5  # no more of either
LEFT_OUT = {"margin", "eval_margin"}  # chosen minus rejected


def jobs() -> Iterator[tuple[str, int]]:
    """Every run: its name and its seed."""
    return itertools.product([*HEALTHY, *BESIDE, *FAILURES, *CURES], SEEDS)


def make(folder: Path = SHIPPED) -> str:
    """Train every failure and log it; some ten minutes on two cores."""
    runs = in_parallel(broken_run, [*jobs()])
    path = folder / "failures.jsonl"
    text = "\n".join(lines(runs)) + "\n"
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    return f"{path.name}: {len(runs)} runs"


def lines(runs: Sequence[LoggedRun]) -> Iterator[str]:
    """The file's lines: what all runs share, then name, seed and columns of each."""
    first = runs[0]
    tables = {
        "rows": (first.rows, ("step",)),
        "looks": (first.looks, ("steps", "ceiling")),
    }
    shared = {
        part: {
            "same": {name: [row[name] for row in rows] for name in same},
            "names": [name for name in rows[0] if name not in (*same, *LEFT_OUT)],
        }
        for part, (rows, same) in tables.items()
    }
    yield _json(shared)
    for run in runs:
        columns = [
            [[_short(row[name]) for row in rows] for name in shared[part]["names"]]
            for part, rows in (("rows", run.rows), ("looks", run.looks))
        ]
        yield _json([run.name, run.seed, *columns])


def _json(value: dict | list) -> str:
    return json.dumps(value, separators=(",", ":"))


def _short(value: float) -> float:
    """Few digits; a whole number without its point."""
    value = round(float(f"{value:.{DIGITS}g}"), DECIMALS)
    return int(value) if value == int(value) else value
