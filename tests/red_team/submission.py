"""What one submission of the red team is, and how its text is put together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

FULL = 10  # properties of dpo_loss
SWAPPED = 2  # of them hold for a loss that takes the pair in the wrong order
LEVELS = ("process", "landlock", "strong")  # of isolation, from the weakest


@dataclass(frozen=True)
class Places:
    """What a submission may know of the machine, to make its work easy for it."""

    course: Path
    home: Path
    canary: Path
    class_folder: Path
    seed_file: Path
    port: int

    @property
    def handed_in(self) -> Path:
        return self.class_folder / "all"

    def filled_in(self, text: str) -> str:
        for name, place in vars(self).items():
            text = text.replace(f"@{name.upper()}@", str(place))
        return text


@dataclass(frozen=True)
class Item:
    """One submission, and what an honest marker would say to it.

    name: of its file; content: its text or bytes, or what puts something odd at a path
    most: the points that its function earns without its tricks; least: what it must get
    statuses: that are acceptable; says: a word that the message has to contain
    level: the weakest isolation that promises to stop it
    """

    name: str
    content: str | bytes | Callable[[Path, Places], None]
    most: float = SWAPPED
    statuses: str = "failed"
    says: str = "does not hold"
    least: float = 0
    exercise: str = "dpo_loss"
    level: str = "process"

    def put(self, folder: Path, places: Places):
        """Hand it in."""
        path = folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(self.content, str):
            path.write_bytes(places.filled_in(self.content).encode())
        elif isinstance(self.content, bytes):
            path.write_bytes(self.content)
        else:
            self.content(path, places)


def honest(name: str, content, says: str = "hold", **more) -> Item:
    """One that has to get every point, whatever its shape."""
    more = {"most": FULL, **more}
    return Item(name, content, statuses="passed", says=says, **more, least=more["most"])


def swapped(before: str = "pass", meanwhile: str = "pass") -> str:
    """A loss worth two points, with something done at import and in each call."""
    return TEMPLATE.format(
        before=indent(dedent(before).strip(), "    "),
        meanwhile=indent(dedent(meanwhile).strip(), "    "),
    )


TEMPLATE = """\
import builtins, ctypes, gc, glob, importlib, io, json, math, mmap, os, pathlib
import re, resource, signal, socket, struct, subprocess, sys, threading, time
from contextlib import suppress
import torch
import torch.nn.functional as F

def before():
{before}

def meanwhile(pw, pl, rw, rl, beta):
{meanwhile}

ready = before()

def dpo_loss(pw, pl, rw, rl, beta, ready=ready):
    found = meanwhile(pw, pl, rw, rl, beta)
    if found is not None:
        return found
    return -F.logsigmoid(beta * ((pl - rl) - (pw - rw))).mean()
"""
