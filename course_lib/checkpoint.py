"""The file that a run can be continued from, and how it knows its own run."""

import dataclasses
import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_lib.distributed import rank
from course_lib.workspace import write_whole


def fingerprint(*of: Any) -> str:
    """A key for models and tuples of tensors: equal only if they give equal numbers.

    Of a model it holds each part's class, its settings (the public attributes), and the
    weights and buffers; not whether it is in training mode.
    """
    digest = hashlib.sha256()
    for thing in of:
        tensors = [thing] if torch.is_tensor(thing) else thing or ()
        if isinstance(thing, nn.Module):
            tensors = [*thing.state_dict().values(), *thing.buffers()]
            for name, part in thing.named_modules():
                digest.update(f"{name} {_settings(part)}".encode())
                tensors += filter(torch.is_tensor, vars(part).values())
        for tensor in filter(torch.is_tensor, tensors):
            digest.update(f"{tensor.shape} {tensor.dtype}".encode())
            raw = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
            digest.update(raw.numpy().data)
    return digest.hexdigest()


def _settings(part: nn.Module) -> str:
    kind, own = type(part), vars(part).items()
    said = {k: v for k, v in own if not k.startswith("_") and k != "training"}
    text = f"{kind.__module__}.{kind.__qualname__} {sorted(said.items())!r}"
    return re.sub(r" at 0x[0-9a-f]+", "", text)  # the same in another process


class Checkpoint:
    """A file with the state of a run: whole, or not there.

    What is frozen is not in it: under an adapter it is as large as the adapter.

    config: a dataclass whose `checkpoint` names the file, "" for none
    data, ref: what the run reads; a file of other data or another reference is refused
    raises: FileNotFoundError if there is no such folder
    """

    FREE = ("checkpoint", "every", "quiet")  # what may differ when a run is continued

    def __init__(self, config, model: nn.Module, optimiser, data, ref):
        self.path = Path(config.checkpoint) if config.checkpoint else None
        self.model, self.optimiser = model, optimiser
        if self.path:
            if not self.path.parent.is_dir():
                raise FileNotFoundError(
                    f"checkpoint {self.path}: there is no folder {self.path.parent}"
                )
            settings = dataclasses.asdict(config)
            self.settings = {k: v for k, v in settings.items() if k not in self.FREE}
            self.reads = {"data": fingerprint(data), "reference": fingerprint(ref)}

    def _frozen(self) -> set[str]:
        every = self.model.named_parameters(remove_duplicate=False)
        return {name for name, value in every if not value.requires_grad}

    def save(self, done: int, log: tuple):
        """Write the state after `done` steps; a crash leaves the file before it."""
        if not self.path or rank() > 0:
            return
        frozen, weights = self._frozen(), self.model.state_dict()
        state = {
            "settings": self.settings,
            "reads": self.reads,
            "model": {n: value for n, value in weights.items() if n not in frozen},
            "optimiser": self.optimiser.state_dict(),
            "done": done,
            "log": log,
        }
        write_whole(self.path, lambda part: torch.save(state, part))

    def resume(self) -> tuple[int, tuple]:
        """Continue from the file: how many steps are done, and the log so far.

        raises: ValueError if the file is of another run, or cannot be read: it is left
            as it is
        """
        if not self.path or not self.path.exists():
            return 0, ({}, [])
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            settings = state["settings"]
        except (RuntimeError, KeyError, EOFError, TypeError, pickle.UnpicklingError):
            raise self._refusal("is no checkpoint, or half of one") from None
        for name, value in self.settings.items():
            before = settings.get(name)
            if before != value:
                raise self._refusal(f"has {name} = {before}, not {value}")
        for name, mine in self.reads.items():
            if state.get("reads", {}).get(name) != mine:
                raise self._refusal(f"was made with another {name}")
        told = self.model.load_state_dict(state["model"], strict=False)
        if told.unexpected_keys or {*told.missing_keys} - self._frozen():
            raise self._refusal("is of a model with other weights")
        self.optimiser.load_state_dict(state["optimiser"])
        return state["done"], state["log"]

    def _refusal(self, why: str) -> ValueError:
        return ValueError(
            f"checkpoint {self.path} {why}: name another file, or delete it"
        )
