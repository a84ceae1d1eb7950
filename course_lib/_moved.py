"""Old names, for one release: a copy that imports one works, and is told the new one.

Remove this file, and what calls it, with version 0.3.
"""

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from inspect import signature
from types import ModuleType

MODULES = {
    "course_lib.arguments": "course_lib.validate",
    "course_lib.clinic": "course_lib.bugs",
    "course_lib.evaluation": "course_lib.metrics",
    "course_lib.figures": "course_lib.plots",
    "course_lib.machinery": "course_lib.distributed",
    "course_lib.models": "course_lib.transformer",
    "course_lib.objectives": "course_lib.variants",
    "course_lib.optima": "course_lib.variants",
}
NAMES = {  # within the modules above, or with the module that has them now
    "Checkpoint": "course_lib.checkpoint.Checkpoint",
    "HEALTHY": "SOUND",
    "Knobs": "LossSettings",
    "PATIENTS": "BUGGY",
    "Scores": "PairLogps",
    "exact_scores": "exact_metrics",
    "fingerprint": "course_lib.checkpoint.fingerprint",
}


def renamed(module: str, **names: str):
    """A module's `__getattr__` that knows its old names: {old: new}."""

    def __getattr__(name: str):
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(f"{module}.{name}", f"{module}.{names[name]}")
        return getattr(sys.modules[module], names[name])

    return __getattr__


class _OldModule(ModuleType):
    def __getattr__(self, name: str):
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        home, _, name = NAMES.get(name, name).rpartition(".")
        return getattr(import_module(home or _new(self.__name__)), name)


class _OldModules(MetaPathFinder, Loader):
    def find_spec(self, name, path=None, target=None):
        known = ".".join(name.split(".")[:2]) in MODULES
        return ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec):
        _warn(spec.name, _new(spec.name))
        return _OldModule(spec.name)

    def exec_module(self, module):
        pass


def texts(world, *numbers):
    """`SentenceWorld.texts`, when worlds knew what a trainer reads."""
    _warn("SentenceWorld.texts", "course_lib.batches.sentence_texts")
    return import_module("course_lib.batches").sentence_texts(world, *numbers)


def yielding(advance):
    """What `training.fit` reads, of the callback with one update that it called."""
    if len(signature(advance).parameters) == 1:
        return advance
    _warn("fit's advance(step, update)", "a function of the step that yields its loss")

    def losses(step):
        loss = []
        measured = advance(step, lambda given: loss.append(given) or given.detach())
        kept = {k: v for k, v in measured.items() if k not in ("loss", "gradient_norm")}
        yield *loss, kept

    return losses


def _new(old: str) -> str:
    """The module that an old one, or a part of it, is now."""
    parts = old.split(".")
    return ".".join([MODULES[".".join(parts[:2])], *parts[2:]])


def _warn(old: str, new: str):
    warnings.warn(f"{old} is now {new}", FutureWarning, stacklevel=3)


sys.meta_path.append(_OldModules())  # after all others: only for what is not there
