"""What training asks of the machine: processes, precision, device, threads, memory."""

import contextlib
import functools
import importlib
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

LET_GO = 0.5  # seconds


def rank() -> int:
    """Which of the processes this is, from 0; 0 without torchrun."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """How many processes train together; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextlib.contextmanager
def one_of_many() -> Iterator[None]:
    """Join the other processes, if torchrun started this one, and leave them after.

    Inside another `one_of_many` nothing happens: a group made a second time would read
    the addresses of the first, and wait without end.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        yield
    finally:
        # Gloo's threads need the GIL to let go of what they averaged last. Torch 2.13
        # destroys the group without giving it to them, and could hang
        time.sleep(LET_GO)
        dist.destroy_process_group()


def mean_of_all(value: Tensor) -> Tensor:
    """The mean over processes of a tensor without gradient."""
    return sum_of_all(value) / processes()


def sum_of_all(value: Tensor) -> Tensor:
    """The sum over processes of a tensor without gradient, on the device it came on."""
    if processes() == 1:
        return value
    gpu = dist.get_backend() == "nccl"
    together = value.to("cuda" if gpu else "cpu", copy=True)
    dist.all_reduce(together)
    return together.to(value.device)


def average_gradients(model: nn.Module):
    """Replace every gradient by its mean over processes, in one message.

    Each process has the mean over its share of the batch, and shares are equal: the
    mean of the means is the gradient of the whole batch.
    """
    if processes() == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    together = mean_of_all(torch.cat([g.flatten() for g in gradients]))
    parts = together.split([g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def precision(
    model: nn.Module, bf16: bool = False
) -> contextlib.AbstractContextManager:
    """bfloat16 for the matrix products of a GPU, and of a CPU if asked for."""
    kind = next(model.parameters()).device.type
    return torch.autocast(kind, torch.bfloat16, enabled=bf16 or kind == "cuda")


@functools.cache
def sixteen_bits_pay() -> bool:
    """Is a product of bfloat16 quicker here than one of float32, by a quarter at least?

    It is where the processor has instructions for it, and a GPU has; elsewhere it is
    many times slower
    """
    if torch.cuda.is_available():
        return True
    spent = []
    for dtype in (torch.bfloat16, torch.float32):
        x, weight = (torch.ones(rows, 576, dtype=dtype) for rows in (128, 3072))
        times = []
        for _ in range(4):
            begun = time.perf_counter()
            torch.nn.functional.linear(x, weight)
            times.append(time.perf_counter() - begun)
        spent.append(min(times))
    return spent[0] < 0.8 * spent[1]


def toy(model: nn.Module) -> bool:
    """Has it fewer than a million parameters?"""
    return sum(p.numel() for p in model.parameters()) < 1_000_000


def place(model: nn.Module) -> torch.device:
    """Where to train it: on the GPU, if there is one and the model is no toy.

    A GPU would wait for the next small product longer than it takes.
    """
    gpu = torch.cuda.is_available() and not toy(model)
    return torch.device("cuda" if gpu else "cpu")


@contextlib.contextmanager
def threads(model: nn.Module, many: int = 0) -> Iterator[None]:
    """One CPU thread for a toy, else so many if any are asked for; then as before.

    Several threads wait for each other longer than such small products take.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if toy(model) else many or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def peak_memory() -> float:
    """The most bytes that this process has had; nan where nobody counts them.

    Linux is asked for VmHWM: `ru_maxrss` also counts what the process had been before
    it became this program, which may be a far larger one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("utf-8"))
        if found:
            return 1024.0 * int(found[1])
    try:
        resource = importlib.import_module("resource")
    except ModuleNotFoundError:  # Windows
        return math.nan
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
