"""The file that a run can be continued from, and how it knows its own run."""

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_lib.distributed import rank

__all__ = ["Checkpoint", "fingerprint"]


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
    """A file with the state of a run: whole, or not there.

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

    def save(self, done: int, log: tuple):
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

    def resume(self) -> tuple[int, tuple]:
        """Continue from the file: how many steps are done, and the log so far.

        raises: ValueError if the file is of another run: it is left as it is
        """
        if not self.path or not self.path.exists():
            return 0, ({}, [])
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
