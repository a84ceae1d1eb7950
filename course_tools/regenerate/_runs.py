"""Runs on all cores, and the tables in which they are shipped."""

import csv
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from tqdm.auto import tqdm

from course_lib.workspace import write_whole

__all__ = ["in_parallel", "write_table"]


def in_parallel(run_one: Callable, jobs: Sequence) -> list:
    """The runs of all jobs, in their order: a process for each core, of one thread.

    jobs: the arguments of each run
    """
    # spawn: a fork of a process in which torch has begun may hang
    told = {"mp_context": multiprocessing.get_context("spawn")}
    told |= {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(**told) as pool:
        runs = pool.map(run_one, *zip(*jobs, strict=True))
        return list(tqdm(runs, "runs", total=len(jobs)))


def write_table(fields: Sequence[str], rows: Iterable[Sequence], path: Path) -> str:
    """The rows as a CSV file; whole, or as it was before."""
    rows = list(rows)

    def fill(part: Path):
        with part.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([fields, *rows])

    write_whole(path, fill)
    return f"{path.name}: {len(rows)} rows"
