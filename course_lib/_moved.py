"""Old names, for one release: a copy that imports one works, and is told the new one.

Remove this file, and what calls it, with version 0.3.
"""

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
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
NAMES = {  # within the modules above
    "HEALTHY": "SOUND",
    "Knobs": "LossSettings",
    "PATIENTS": "BUGGY",
    "Scores": "PairLogps",
    "exact_scores": "exact_metrics",
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
        return getattr(import_module(_new(self.__name__)), NAMES.get(name, name))


class _OldModules(MetaPathFinder, Loader):
    def find_spec(self, name, path=None, target=None):
        known = ".".join(name.split(".")[:2]) in MODULES
        return ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec):
        _warn(spec.name, _new(spec.name))
        return _OldModule(spec.name)

    def exec_module(self, module):
        pass


def _new(old: str) -> str:
    """The module that an old one, or a part of it, is now."""
    parts = old.split(".")
    return ".".join([MODULES[".".join(parts[:2])], *parts[2:]])


def _warn(old: str, new: str):
    warnings.warn(f"{old} is now {new}", FutureWarning, stacklevel=3)


sys.meta_path.append(_OldModules())  # after all others: only for what is not there
