"""In a page's kernel: note the slider figures it makes, and try them at its end."""

import os
from collections.abc import Iterator
from pathlib import Path

made = []  # figures, in the order in which the page made them
ROOM = Path()


def begin(folder: str):
    """Before the first cell: work in this empty folder, and note what is made."""
    global ROOM
    ROOM = Path(folder)
    (ROOM / "page").mkdir()
    os.chdir(ROOM / "page")
    os.environ["COURSE_WORK"] = str(ROOM / "work")
    from course_lib.sliders import LivePlot, SliderPlot

    for kind in (SliderPlot, LivePlot):

        def noted(self, *args, make=kind.__init__):
            make(self, *args)
            made.append(self)

        kind.__init__ = noted


def left() -> list[str]:
    """The files and folders that the page has left behind."""
    found = (path.relative_to(ROOM).as_posix() for path in ROOM.rglob("*"))
    return sorted(set(found) - {"page"})


def kinds() -> list[str]:
    """The kinds of the figures that the page made."""
    return sorted({type(plot).__name__ for plot in made})


def faults() -> list[str]:
    """What is wrong with any figure at any corner of its sliders."""
    return [fault for n, plot in enumerate(made, 1) for fault in _faults(n, plot)]


def _faults(number: int, plot) -> Iterator[str]:
    raised = plot.errors if hasattr(plot, "errors") else plot.error
    if raised:
        yield f"figure {number} ({plot.alt}) raised {raised!r}"
    for corner in _corners(plot):
        try:
            words = plot.set(**corner).words
        except Exception as error:
            yield f"figure {number} at {corner} raises {error!r}"
            continue
        if not 40 < len(words) < 400 or "nan" in words:
            yield f"figure {number} at {corner} says {words!r}"


def _corners(plot) -> list[dict]:
    """Every combination of sliders' ends and starts, each one step from the last."""
    if hasattr(plot, "sliders"):
        ends = {n: {s.values[0], s.values[-1]} for n, s in plot.sliders.items()}
    else:
        ends = {name: _ends(control) for name, control in plot.controls.items()}
    paths = [()]
    for name in ends:
        stops = list(ends[name] | {plot.values[name]})
        paths = [  # there and back again: a live figure draws once a slider that moves
            (*path, stop)
            for turn, path in enumerate(paths)
            for stop in (stops[::-1] if turn % 2 else stops)
        ]
    return [dict(zip(ends, path, strict=True)) for path in paths]


def _ends(control) -> set:
    if hasattr(control, "options"):
        return {control.options[0][1], control.options[-1][1]}
    return {control.min, control.max}
