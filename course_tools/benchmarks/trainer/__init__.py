"""How fast the trainer is, beside TRL's, and what its tricks bring; memory; on a GPU.

All of it in one run. On the CPU all have one torch thread, take a step in turn, and
pay in CPU seconds of the process; a rate is the median over steps of real tokens,
those of both rows of each pair, a second. `ratio_to_trl` is the rate of the course's
`train` divided by that of TRL's `train()` while these two alone take turns, the median
of three runs; ours has asked the reference before its first step, and
`ratio_in_one_epoch` counts that too. TRL can do so as well. In the table nine trainers
take turns, on colder caches. Compiling is ours alone there; TRL can compile too, and
that was not measured.
"""

import os
import sys
from datetime import date
from pathlib import Path
from statistics import median

import torch

from course_lib.datasets import trainer_speed
from course_lib.workspace import CourseError
from course_tools.benchmarks._processes import call, posix_only, side_environment
from course_tools.benchmarks.trainer import gpu, memory
from course_tools.benchmarks.trainer.steps import LADDER, Sizes
from course_tools.benchmarks.trainer.trl import ASKED, COMPILED, PLAIN, SAME, TOP

__all__ = ["COMPARE", "beside_trl", "home", "measure", "result", "table"]

ABSENT = (
    "TRL is not there. Make an environment for it with python3 -m venv .trl && "
    ".trl/bin/python -m pip install -r requirements/trl.txt, or let COURSE_TRL name "
    "the folder of one."
)
COMPARE = f"{__name__}.trl.compare"
ALONE = {  # how TRL runs: on the CPU, offline
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
table = trainer_speed


def measure() -> dict:
    """All of the figures; takes some minutes.

    raises: CourseError if TRL is not there, or if a process that measures fails
    """
    posix_only()
    if home() is None:
        raise CourseError(ABSENT)
    sizes = Sizes()
    print(f"Taking turns with TRL, {sizes.steps} steps each …", flush=True)
    beside = beside_trl(COMPARE, sizes._asdict())
    print("Memory, a new process for each number …", flush=True)
    grown = memory.measure()
    there = torch.cuda.is_available()
    print("The GPU …" if there else "The GPU: not measured", flush=True)
    return result(beside, grown, gpu.measure() if there else "not measured")


def home() -> Path | None:
    """Python of TRL's environment, COURSE_TRL's or `.trl`'s; None if there is none."""
    package = "lib/python3*/site-packages/trl/__init__.py"
    folder = side_environment("COURSE_TRL", ".trl", package)
    return folder and folder / "bin" / "python"


def beside_trl(function: str, *arguments) -> dict:
    """What a function answers where TRL is; arguments and answer go by JSON.

    raises: CourseError if the function fails
    """
    return call(home(), function, *arguments, env=ALONE)


def result(
    beside: dict, grown: dict[str, dict[str, float]], on_gpu: dict | str
) -> dict:
    """The figures for programs, from those of `compare`, of the memory, of the GPU."""
    rates = beside["tokens_per_second"]
    ratio = {name: rate / rates[PLAIN] for name, rate in rates.items()}
    alone = [one["tokens_per_second"] for one in beside["alone"]]
    epochs = [(one["total"], one["before"]) for one in beside["alone"]]
    return {
        "ratio_to_trl": median(one[TOP] / one[PLAIN] for one in alone),
        "ratio_to_trl_compiled": ratio[COMPILED],
        "ratio_to_trl_precomputed": ratio[TOP] / ratio[ASKED],
        "ratio_on_same_batches": ratio[SAME],
        "ratio_in_one_epoch": median(
            total[PLAIN] / (before[TOP] + total[TOP]) for total, before in epochs
        ),
        "ladder": {name: ratio[name] for name in LADDER},
        "trl_precomputed": ratio[ASKED],
        **{name: told for name, told in beside.items() if name != "total"},
        "memory_mib": grown,
        "gpu": on_gpu,
        "load_average": os.getloadavg(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "date": str(date.today()),
    }
