"""Verbs that take a name, as in `bench sliders`: every module of a folder is one.

To add one is to add a file or a folder. Its docstring's first line is what the verb's
help says of it; a name with an underscore in front is a part, not a choice.
"""

import argparse
import ast
import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

from course_tools.environment import COMMAND

__all__ = ["choose", "found"]


def found(package: str) -> dict[str, str]:
    """The modules of a package, none of them imported, and what each is for."""
    choices = {}
    for finder, name, _ in pkgutil.iter_modules(
        importlib.import_module(package).__path__
    ):
        if not name.startswith("_"):
            source = finder.find_spec(name).loader.get_source(name)
            choices[name] = ast.get_docstring(ast.parse(source)).partition("\n")[0]
    return choices


def choose(
    verb: str, package: str, argv: Sequence[str]
) -> tuple[ModuleType, argparse.ArgumentParser]:
    """The module that the first word names, and a parser for the words after it.

    raises: SystemExit, after saying what there is, for a name that is none
    """
    choices = found(package)
    front = argparse.ArgumentParser(
        prog=f"{COMMAND} {verb}",
        description="\n".join(f"  {name:<12} {what}" for name, what in choices.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    front.add_argument("name", choices=choices)
    name = front.parse_args(argv[:1]).name
    parser = argparse.ArgumentParser(
        prog=f"{front.prog} {name}", description=choices[name]
    )
    return importlib.import_module(f"{package}.{name}"), parser
