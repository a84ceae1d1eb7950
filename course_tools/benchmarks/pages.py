"""What a chapter costs to run in a fresh kernel: seconds, CPU seconds and memory."""

import csv
import datetime
import os
import sys
import tempfile
from pathlib import Path

from course_lib.workspace import notebooks, repository
from course_tools.benchmarks import _processes, columns
from course_tools.regenerate._runs import write_table

__all__ = ["FILE", "OPTIONS", "measure", "stored", "table"]

FILE = repository() / "docs" / "costs.csv"
OPTIONS: dict[str, dict] = {
    "--only": {"nargs": "*", "metavar": "NN", "help": "of these chapters alone"},
    "--write": {"action": "store_true", "help": "keep the figures in docs/costs.csv"},
}
RUN = (
    "import sys, nbformat; from nbclient import NotebookClient; "
    "page = nbformat.read(sys.argv[1], as_version=4); "
    "NotebookClient(page, timeout=900).execute()"
)


def measure(only: list[str] | None = None, write: bool = False) -> dict[str, list]:
    """Run the chapters one after the other, as a learner does: slider figures move.

    A chapter whose optional packages are missing is left as it was measured last.
    raises: CourseError on Windows
    """
    rows = {row["chapter"]: row for row in stored()}
    for path in notebooks("notebooks"):
        if not only or path.name[:2] in only:
            rows[path.name[:2]] = _row(path) or rows.get(path.name[:2], {})
    kept = [row for _, row in sorted(rows.items()) if row]
    if write:
        write_table([*kept[0]], [[*row.values()] for row in kept], FILE)
    return {"pages": kept}


def _row(path: Path) -> dict[str, str]:
    """What one chapter cost; {} if it does not run here."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work:
        env = {"OMP_NUM_THREADS": "1", "COURSE_WORK": work, "COURSE_PLAIN_FIGURES": ""}
        command = [sys.executable, "-c", RUN, str(path)]
        cost = _processes.metered(command, cwd=path.parent, env=env)
    if cost.code:
        print(f"{path.name} does not run here:\n{cost.said[-300:]}", file=sys.stderr)
        return {}
    return {
        "chapter": path.name[:2],
        "cpu_seconds": f"{cost.cpu:.0f}",
        "seconds": f"{cost.wall:.0f}",
        "peak_mib": f"{cost.peak:.0f}",
        "load_before": f"{load:.1f}",
        "date": datetime.date.today().isoformat(),
    }


def stored() -> list[dict[str, str]]:
    """What was measured last; [] if nothing was."""
    if not FILE.exists():
        return []
    with open(FILE, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(figures: dict) -> str:
    """The figures as text."""
    rows = [("chapter", "CPU s", "s", "MiB", "load", "date")]
    rows += [tuple(row.values()) for row in figures["pages"]]
    return columns(rows)
