"""The instruction model on a CPU: tokens a second, and what the whole story costs."""

import os
import re
import sys
import time

import torch

from course_lib.distributed import sixteen_bits_pay
from course_lib.instruct import TASKS, Speaker, load, missing
from course_lib.instruct.story import TEMPERATURE
from course_lib.workspace import CourseError, repository
from course_tools.benchmarks import _processes, columns

__all__ = ["OPTIONS", "measure", "rate", "table"]

OPTIONS: dict[str, dict] = {
    "--task": {"choices": tuple(TASKS), "default": "films", "help": "what is learned"},
    "--threads": {"type": int, "default": 2, "help": "of torch"},
}
EACH = 16  # answers to each of the 16 prompts whose writing is timed


def measure(task: str = "films", threads: int = 2) -> dict[str, object]:
    """Writing alone, and all of `python3 -m course_lib.instruct`: a process for each.

    raises: CourseError if the model is not installed, or if the command fails
    """
    if missing():
        raise CourseError(missing())
    env = {"OMP_NUM_THREADS": str(threads)}
    load_before = os.getloadavg()[0]
    told = _processes.call(sys.executable, f"{__name__}.rate", task, threads, env=env)
    command = [sys.executable, "-m", "course_lib.instruct", "--task", task]
    cost = _processes.metered(command, cwd=repository(), env=env)
    if cost.code:
        raise CourseError(f"{' '.join(command)} failed:\n{cost.said}")
    rows = re.findall(r"^(before|best of \d|DPO, \d+ pairs)  +(\S+)", cost.said, re.M)
    return {
        "task": task,
        "threads": threads,
        "load_average": [load_before, os.getloadavg()[0]],
        **told,
        "story_seconds": cost.wall,
        "story_cpu_seconds": cost.cpu,
        "story_peak_gb": cost.peak * 2**20 / 1e9,
        "rewards": {name: float(value.replace("−", "-")) for name, value in rows},
    }


def rate(task: str, threads: int) -> dict[str, object]:
    """How fast the model writes: the second of two batches, the first warms up."""
    torch.set_num_threads(threads)
    speaker = Speaker(*load(temperature=TEMPERATURE), TASKS[task]())
    speaker.write("choosing", 1, seed=0)
    begun = time.perf_counter(), time.process_time()
    answers = speaker.write("practice", EACH, seed=1)
    wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
    tokens = sum(map(len, answers.responses))
    return {
        "precision": "bfloat16" if sixteen_bits_pay() else "float32",
        "tokens": tokens,
        "tokens_per_second": tokens / wall,
        "tokens_per_cpu_second": tokens / cpu,
    }


def table(figures: dict) -> str:
    """The figures as text."""
    before, after = figures["load_average"]
    rows = [
        ("tokens/s", f"{figures['tokens_per_second']:.0f}"),
        ("tokens a CPU second", f"{figures['tokens_per_cpu_second']:.0f}"),
        ("the whole story, s", f"{figures['story_seconds']:.0f}"),
        ("the same, CPU s", f"{figures['story_cpu_seconds']:.0f}"),
        ("its memory at most, GB", f"{figures['story_peak_gb']:.2f}"),
        *((name, f"{reward:.2f}") for name, reward in figures["rewards"].items()),
    ]
    return columns(rows) + (
        f"\n{figures['task']}, {figures['precision']}, {figures['threads']} threads, "
        f"load {before:.1f} to {after:.1f}"
    )
