"""The course's figures: a module for each subject, and a few that all of them share.

A `Picture` is a still figure. A `Scene` moves: what stands still and what is drawn for
a value, to be given to `slider_plot(*scene, ...)`. Every figure is a pure function:
numbers, or the function that is to be drawn, in; a Picture or a Scene out. It is found
by its return annotation: a public function in this folder needs no other entry.
"""

from importlib import import_module
from inspect import getmembers, isfunction
from pkgutil import iter_modules

from course_lib.plots.style import Picture, Scene

FIGURES = {
    name: function
    for module in iter_modules(__path__, "course_lib.plots.")
    for name, function in getmembers(import_module(module.name), isfunction)
    if function.__module__ == module.name
    and function.__annotations__.get("return") in (Picture, Scene)
    and not name.startswith("_")
}
globals().update(FIGURES)
__all__ = ["Picture", "Scene", *FIGURES]
