"""What the calculators of chapter 09 are checked with: peaks and seconds, measured.

Each job runs alone in a new process: a few steps of DPO with AdamW, in float32 on one
thread. Its peak is how far the process's memory grows; glibc is told to give large
pieces back at once, as for the benchmark of the trainer's memory. Seconds are CPU time,
beside the rate of the same processor on a plain product of matrices.
"""

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.batches import Batch, collate, pairs, response_logps
from course_lib.distributed import peak_memory
from course_lib.losses import dpo_loss
from course_lib.production.lora import adapter_off, add_lora
from course_lib.production.sizing import MEASURED, Job
from course_lib.training import recomputed
from course_lib.transformer import SHIPPED, Shape, Transformer
from course_tools.benchmarks._processes import call
from course_tools.regenerate._runs import write_table

__all__ = ["JobRun", "batch_of", "make", "model_of"]

STEPS, TIMES = 3, 5
FIELDS = ("name", "run", "peak_mib", "seconds", "rate")


def make(folder: Path = SHIPPED, names: Sequence[str] = tuple(MEASURED)) -> str:
    """Run every job in five processes, one after another; about ten minutes."""
    env = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    rows = [
        (name, run, *call(sys.executable, f"{__name__}.measure", name, env=env))
        for run in range(TIMES)
        for name in names
    ]
    return write_table(FIELDS, rows, folder / "sizing.csv")


def measure(name: str) -> tuple[float, float, float]:
    """MiB of growth, CPU seconds of a step (their median), and operations a second.

    name: of MEASURED
    """
    torch.set_num_threads(1)
    JobRun(Job(MEASURED[name].size._replace(vocab=64, layers=1), 1, 2, 2)).steps()
    before = psutil.Process().memory_info().rss
    seconds = JobRun(MEASURED[name]).steps()
    grown = (peak_memory() - before) / 2**20
    return round(grown, 1), round(seconds, 3), round(_rate() / 1e9, 2)


def _rate(size: int = 512) -> float:
    """Operations a second, of products of square matrices, the best of ten."""
    one, other = torch.randn(2, size, size)
    spent = []
    for _ in range(10):
        begun = time.process_time()
        for _ in range(10):
            one @ other
        spent.append(time.process_time() - begun)
    return 20 * size**3 / min(spent)


class JobRun:
    """A job's models and batch, with random weights and random tokens."""

    def __init__(self, job: Job):
        torch.manual_seed(0)
        self.job = job
        self.model = model_of(job)
        self.ref = model_of(job) if job.reference == "resident" else None
        if job.rank:
            add_lora(self.model, rank=job.rank, alpha=job.rank)
        self.batch = batch_of(job)
        self.known = torch.randn(2 * job.pairs) - 9.0 * job.response

    def steps(self, count: int = STEPS) -> float:
        """Train; CPU seconds of the median step."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, 1e-4, fused=True)
        again = recomputed(self.model) if self.job.checkpointing else None
        spent = []
        with again or contextlib.nullcontext():
            for _ in range(count):
                begun = time.process_time()
                optimiser.zero_grad(set_to_none=not self.job.accumulated)
                self.loss().backward()
                optimiser.step()
                spent.append(time.process_time() - begun)
        return sorted(spent)[count // 2]

    def loss(self) -> Tensor:
        """DPO's loss of the batch, with the reference that the job has."""
        ref = self.known
        if self.ref is not None:
            with torch.no_grad():
                ref = self.score(self.ref)
        elif self.job.reference == "adapter off":
            with torch.no_grad(), adapter_off(self.model):
                ref = self.score(self.model)
        return dpo_loss(*self.score(self.model).chunk(2), *ref.chunk(2), beta=0.1)

    def score(self, model: nn.Module) -> Tensor:
        if self.job.logits != "all":
            chunk = self.job.chunk if self.job.logits == "chunked" else None
            return response_logps(model, self.batch, chunk=chunk)
        logits = model(self.batch.ids).flatten(0, 1)  # at the prompt's places as well
        targets = self.batch.ids.flatten().index_copy(
            0, self.batch.predictors, self.batch.targets
        )
        nats = -F.cross_entropy(logits, targets, reduction="none")
        kept = torch.zeros_like(nats).index_fill(0, self.batch.predictors, 1.0)
        return (nats * kept).view(len(self.batch.ids), -1).sum(1)


def model_of(job: Job) -> Transformer:
    """A model of the job's size, its weights drawn at random."""
    vocab, *sizes, _ = job.size
    return Transformer(Shape(vocab, vocab, *sizes))


def batch_of(job: Job) -> Batch:
    """Random pairs in rows of their own; a response's last token is not read."""
    row = job.prompt + 1 + 2 * job.response
    ids = torch.randint(job.size.vocab, (job.pairs, row)).tolist()
    cut = job.prompt + 1, job.prompt + 1 + job.response
    parts = [[r[: cut[0]], r[cut[0] : cut[1]], r[cut[1] :]] for r in ids]
    return collate(pairs(*map(list, zip(*parts, strict=True))), "padded")
