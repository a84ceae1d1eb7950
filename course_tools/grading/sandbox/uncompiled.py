"""A stand-in for torch._dynamo where nothing is compiled.

Optimisers and torch.func ask it for little, and importing it takes a second and 70 MiB.
"""

import contextlib
import importlib.machinery
import sys
import types
from typing import Any

__all__ = ["stand_in"]

NAME = "torch._dynamo"


def stand_in():
    """Put it where torch looks for torch._dynamo."""
    sys.modules.setdefault(NAME, _Uncompiled(NAME))


class _Uncompiled(types.ModuleType):
    """What is more than this is asked of the real one, which then takes its place."""

    __spec__ = importlib.machinery.ModuleSpec(NAME, None)
    compiled_autograd = types.SimpleNamespace(_disable=contextlib.nullcontext)

    @staticmethod
    def disable(function=None, *_, **__):
        return function or (lambda function: function)

    @staticmethod
    def disallow_in_graph(function):
        return function

    @staticmethod
    def graph_break(*_, **__):
        pass

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
        return getattr(importlib.import_module(NAME), name)
