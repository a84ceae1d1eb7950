"""How many rows a second `inspect` reads, beside Python's own JSON reader."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from course_lib.inspection import inspect
from course_tools.benchmarks import columns

__all__ = ["OPTIONS", "measure", "table"]

OPTIONS = {
    "--rows": {"type": int, "default": 50_000, "metavar": "N", "help": "rows to read"}
}
LETTERS = "abcdefghilmnoprstuvy"


def measure(rows: int) -> dict[str, float]:
    """Rows a CPU second on pairs of about 480 bytes, as JSONL."""
    with TemporaryDirectory() as folder:
        path = _written(Path(folder, "pairs.jsonl"), rows)
        seconds = {
            "all checks": _seconds(lambda: inspect(path)),
            "quick": _seconds(lambda: inspect(path, quick=True)),
            "json.loads alone": _seconds(lambda: _parsed(path)),
        }
        size = path.stat().st_size
    told = {f"{name}, rows/s": rows / taken for name, taken in seconds.items()}
    return {"rows": rows, "bytes_per_row": size / rows, **told}


def table(figures: dict[str, float]) -> str:
    """The figures as text."""
    return columns([(name, f"{value:,.0f}") for name, value in figures.items()])


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _parsed(path: Path) -> int:
    with path.open("rb") as file:
        return sum(len(json.loads(line)) for line in file)


def _written(path: Path, rows: int) -> Path:
    chance = random.Random(0)
    words = [
        "".join(chance.choices(LETTERS, k=chance.randint(2, 9))) for _ in "x" * 3000
    ]
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            texts = [" ".join(chance.choices(words, k=k)) + "." for k in (10, 26, 26)]
            row = dict(zip(("prompt", "chosen", "rejected"), texts, strict=True))
            file.write(json.dumps(row) + "\n")
    return path
