"""What a training loop needs of the machine: processes, precision, checkpoints."""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = [
    "Checkpoint",
    "average_gradients",
    "fingerprint",
    "mean_of_all",
    "one_of_many",
    "place",
    "precision",
    "processes",
    "rank",
    "threads",
    "toy",
]


def rank() -> int:
    """Which of the processes this is, from 0; 0 without torchrun."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """How many processes train together; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def mean_of_all(value: Tensor) -> Tensor:
    """The mean over processes of a tensor without gradient."""
    if processes() > 1:
        value = value.clone()
        dist.all_reduce(value)
        value /= processes()
    return value


def average_gradients(model: nn.Module):
    """Replace every gradient by its mean over processes, in one message.

    Each process has the mean over its share of the batch, and shares are equal: the
    mean of the means is the gradient of the whole batch.
    """
    if processes() == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    together = mean_of_all(torch.cat([g.flatten() for g in gradients]))
    for gradient, part in zip(
        gradients, together.split([g.numel() for g in gradients]), strict=True
    ):
        gradient.copy_(part.view_as(gradient))


@contextlib.contextmanager
def one_of_many() -> Iterator[None]:
    """Join the other processes, if torchrun started this one, and leave them after."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def precision(device: torch.device) -> contextlib.AbstractContextManager:
    """bfloat16 for the matrix products of a GPU; full precision on a CPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


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
def threads(model: nn.Module) -> Iterator[None]:
    """One CPU thread for a toy, then as before.

    Several threads wait for each other longer than such small products take.
    """
    before = torch.get_num_threads()
    if toy(model):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fingerprint(*of: Any) -> str:
    """A key for models' weights and tuples of tensors: equal only for equal numbers."""
    digest = hashlib.sha256()
    for thing in of:
        tensors = thing.state_dict().values() if isinstance(thing, nn.Module) else thing
        for tensor in tensors or ():
            digest.update(f"{tensor.shape} {tensor.dtype}".encode())
            raw = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
            digest.update(raw.numpy().data)
    return digest.hexdigest()


class Checkpoint:
    """The file that a run can be continued from: whole, or not there.

    config: a dataclass whose `checkpoint` names the file, "" for none
    """

    FREE = ("checkpoint", "every", "quiet")  # what may differ when a run is continued

    def __init__(self, config, model: nn.Module, optimiser, data):
        self.path = Path(config.checkpoint) if config.checkpoint else None
        self.model, self.optimiser = model, optimiser
        if self.path:
            settings = dataclasses.asdict(config)
            self.settings = {k: v for k, v in settings.items() if k not in self.FREE}
            self.data = fingerprint(data)

    def save(self, done: int, log: dict):
        """Write the state after `done` steps; a crash leaves the file before it."""
        if not self.path or rank() > 0:
            return
        state = {
            "settings": self.settings,
            "data": self.data,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "done": done,
            "log": log,
        }
        beside = self.path.with_name(self.path.name + ".part")
        torch.save(state, beside)
        os.replace(beside, self.path)

    def resume(self) -> tuple[int, dict | None]:
        """Continue from the file: how many steps are done, and the log so far.

        raises: ValueError if the file is of another run: it is left as it is
        """
        if not self.path or not self.path.exists():
            return 0, None
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, value in self.settings.items():
            before = state["settings"].get(name)
            if before != value:
                raise ValueError(
                    f"checkpoint {self.path} has {name} = {before}, not {value}: "
                    "name another file, or delete it"
                )
        if state["data"] != self.data:
            raise ValueError(f"checkpoint {self.path} was made with other data")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        return state["done"], state["log"]
