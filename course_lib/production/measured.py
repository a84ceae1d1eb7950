"""What `remake sizing` measured, beside what the calculators say."""

import statistics
from typing import NamedTuple

from course_lib.datasets import table_rows
from course_lib.production.flops import training_flops
from course_lib.production.sizing import MEASURED, training_memory
from course_lib.table import Table

__all__ = ["Trial", "measured_trials", "memory_check", "time_check"]


class Trial(NamedTuple):
    """One job in a process of its own."""

    name: str  # of sizing.MEASURED
    run: int
    peak: float  # MiB by which the process grew
    seconds: float  # CPU time of a step
    rate: float  # 10⁹ operations a second of a plain product, at that moment


def measured_trials() -> list[Trial]:
    """All runs of all jobs, as they are shipped.

    >>> len({trial.name for trial in measured_trials()}) == len(MEASURED)
    True
    """
    rows = (tuple(row.values()) for row in table_rows("sizing"))
    return [Trial(name, int(run), *map(float, rest)) for name, run, *rest in rows]


def memory_check() -> Table:
    """Peaks as predicted and as measured, MiB, and by how much they differ."""
    rows, trials = [], measured_trials()
    for name, job in MEASURED.items():
        found = [trial.peak for trial in trials if trial.name == name]
        predicted, mean = training_memory(job).peak / 2**20, statistics.mean(found)
        off = 100 * (predicted / mean - 1)
        rows.append((name, predicted, mean, min(found), max(found), off))
    head = ["job", "predicted", "measured", "least", "most", "off by, %"]
    forms = [".0f", ".0f", ".0f", ".0f", "+.1f"]
    return Table(
        "Peak of a step in float32 on a CPU, MiB; five runs", head, rows, forms
    )


def time_check() -> Table:
    """Operations and seconds of a step, and the share of the processor's rate.

    The rate is that of a product of two 512 × 512 matrices in the same process: other
    programs slow both down.
    """
    rows, trials = [], measured_trials()
    for name, job in MEASURED.items():
        found = [trial for trial in trials if trial.name == name]
        gflop = training_flops(job) / 1e9
        seconds = statistics.median(trial.seconds for trial in found)
        shares = [gflop / (trial.seconds * trial.rate) for trial in found]
        rows.append(
            (name, gflop, seconds, statistics.median(shares), min(shares), max(shares))
        )
    head = ["job", "10⁹ operations", "CPU seconds", "MFU", "least", "most"]
    forms = [".0f", ".2f", ".2f", ".2f", ".2f"]
    return Table("A step on one thread; medians of five runs", head, rows, forms)
