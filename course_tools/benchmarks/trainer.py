"""The trainer beside TRL's DPOTrainer; what its tricks bring; its memory; on a GPU.

All of it in one run. On the CPU everybody has one torch thread, takes a step in turn,
and pays in CPU seconds of the process; a rate is the median over steps of real tokens,
those of both rows of each pair, a second. `ratio_to_trl` is the rate of the course's
`train` divided by that of TRL's `train()` while these two alone take turns, the median
of three runs; ours has asked the reference before its first step, and
`ratio_in_one_epoch` counts that too. TRL can do so as well. In the table nine trainers
take turns, on colder caches. Compiling is ours alone there; TRL can compile too, and
that was not measured.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median

import torch

from course_lib.workspace import CourseError, repository
from course_tools.benchmarks import trainer_gpu, trainer_memory
from course_tools.benchmarks.trainer_steps import LADDER, Sizes
from course_tools.benchmarks.trainer_trl import ASKED, COMPILED, PLAIN, SAME, TOP

__all__ = ["beside_trl", "home", "main", "result", "table", "told_by_trl"]

UNMEASURED = "not measured"
ABSENT = (
    "TRL is not there. Make an environment for it with python3 -m venv .trl && "
    ".trl/bin/python -m pip install -r requirements/trl.txt, or let COURSE_TRL name "
    "the folder of one."
)


def main(argv: Sequence[str]) -> int:
    """Measure and print tables; with --json, the numbers as one last line.

    raises: CourseError if TRL is not there, or if a process that measures fails
    """
    if os.name == "nt":
        raise CourseError("This bench reads times and memory as Linux and macOS do.")
    python = home()
    if python is None:
        raise CourseError(ABSENT)
    sizes = Sizes()
    print(f"Taking turns with TRL, {sizes.steps} steps each …", flush=True)
    beside = beside_trl(python, sizes)
    print("Memory, a new process for each number …", flush=True)
    memory = {
        vocab: [trainer_memory.measure(vocab, c) for c in (None, trainer_memory.CHUNK)]
        for vocab in trainer_memory.VOCABULARIES
    }
    there = torch.cuda.is_available()
    print("The GPU …" if there else f"The GPU: {UNMEASURED}", flush=True)
    told = result(beside, memory, trainer_gpu.measure() if there else UNMEASURED)
    print(table(told))
    if "--json" in argv:
        print(json.dumps(told))
    return 0


def home() -> Path | None:
    """Python of TRL's environment, COURSE_TRL's or `.trl`'s; None if there is none."""
    folder = Path(os.environ.get("COURSE_TRL") or repository() / ".trl").absolute()
    there = any(folder.glob("lib/python3*/site-packages/trl/__init__.py"))
    return folder / "bin" / "python" if there else None


def beside_trl(python: Path, sizes: Sizes) -> dict:
    """What `trainer_trl.compare` returns; raises CourseError if it fails."""
    told = json.dumps(sizes._asdict())
    return told_by_trl(python, "-m", "course_tools.benchmarks.trainer_trl", told)


def told_by_trl(python: Path, *words: str | Path) -> dict:
    """The last line of a program, as JSON, run where TRL is, offline, on one thread.

    python: of `home`; words: what it is called with
    raises: CourseError if the program fails
    """
    told = {
        "PYTHONPATH": str(repository()),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    run = subprocess.run(
        [python, *words], capture_output=True, text=True, env={**os.environ, **told}
    )
    if run.returncode:
        raise CourseError(f"What runs beside TRL failed:\n{run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def result(beside: dict, memory: dict[int, list[float]], gpu: dict | str) -> dict:
    """The figures for programs."""
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
        "trajectory_max_diff": beside["trajectory_max_diff"],
        "weights_max_diff": beside["weights_max_diff"],
        "ladder": {name: ratio[name] for name in LADDER},
        "trl_precomputed": ratio[ASKED],
        **{name: beside[name] for name in ("tokens_per_second", "milliseconds")},
        **{name: beside[name] for name in ("before", "alone", "losses")},
        **{name: beside[name] for name in ("sizes", "tokens_a_step", "versions")},
        "memory_mib": {
            str(vocab): dict(zip(("whole", "chunked"), both, strict=True))
            for vocab, both in memory.items()
        },
        "gpu": gpu,
        "torch_threads": beside["torch_threads"],
        "load_average": os.getloadavg(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "date": str(date.today()),
    }


def table(told: dict) -> str:
    """The figures for people."""
    rates, spent = told["tokens_per_second"], told["milliseconds"]
    first, *tricks = LADDER
    rows = {PLAIN: PLAIN, ASKED: ASKED, first: "ours, no trick"}
    rows |= {name: f"  + {name}" for name in (*tricks, COMPILED)} | {SAME: SAME}
    lines = [f"{'':28}{'ms a step':>10}{'tokens/s':>10}{'x TRL':>7}"]
    for name, called in rows.items():
        ratio = rates[name] / rates[PLAIN]
        lines.append(f"{called:28}{spent[name]:10.0f}{rates[name]:10.0f}{ratio:7.2f}")
    lines.append(f"{'the two of them alone':28}{told['ratio_to_trl']:27.2f}")
    loss, weight = told["trajectory_max_diff"], told["weights_max_diff"]
    lines.append(f"same batches: losses differ by {loss:.0e}, weights by {weight:.0e}")
    lines.append(f"{'memory of scoring, MiB':28}{'whole':>10}{'chunked':>10}")
    for vocab, both in told["memory_mib"].items():
        label = f"  vocabulary of {int(vocab):,}"
        lines.append(f"{label:28}{both['whole']:10.0f}{both['chunked']:10.0f}")
    if told["gpu"] == UNMEASURED:
        lines.append(f"{'GPU':28}{UNMEASURED:>20}")
    else:
        lines += _gpu(told["gpu"])
    load = told["load_average"][0]
    lines.append(
        f"{told['date']}, {told['cores']} cores, load {load:.1f}, "
        f"torch {told['versions']['torch']}, trl {told['versions']['trl']}"
    )
    return "\n".join(lines)


def _gpu(told: dict) -> list[str]:
    heads = ("ms a step", "p10", "p90", "tokens/s", "MFU", "MiB")
    lines = [told["device"], " " * 10 + "".join(f"{head:>12}" for head in heads)]
    for layout, row in told.items():
        if layout != "device":
            names = ("milliseconds", "p10", "p90", "tokens_per_second")
            numbers = "".join(f"{row[name]:12,.1f}" for name in names)
            share, most = row["mfu"], row["peak_mib"]
            numbers += f"{share:12.1%}" if isinstance(share, float) else f"{share:>16}"
            numbers += f"{most:12,.0f}" if isinstance(most, float) else f"{most:>14}"
            lines.append(f"{layout:10}{numbers}")
    return lines
