"""In a page's kernel: note the slider figures it makes, and try them at its end."""

import os
from collections.abc import Iterator
from pathlib import Path

# Corners of one figure: all with --thorough, else evenly spread ones
MOST = 1000 if "COURSE_THOROUGH" in os.environ else 50
made = []  # the page's figures in their order, with the values they began with
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
            made.append((self, self.values))

        kind.__init__ = noted


def left() -> Iterator[str]:
    """The files and folders that the page has left behind."""
    for path in ROOM.rglob("*"):
        if path != ROOM / "page":
            yield f"{path.relative_to(ROOM).as_posix()} is left behind"


def faults(kinds: int) -> Iterator[str]:
    """What is wrong with any figure at any corner of its sliders.

    kinds: of figures with sliders there must be so many: live ones and others
    """
    found = {type(plot).__name__ for plot, _ in made}
    if len(found) < kinds:
        yield f"figures with sliders: {found or 'none'}; needed: {kinds} kinds"
    for number, (plot, start) in enumerate(made, 1):
        yield from _faults(number, plot, start)


def _faults(number: int, plot, start: dict) -> Iterator[str]:
    raised = plot.errors if hasattr(plot, "errors") else plot.error
    if raised:
        yield f"figure {number} ({plot.alt}) raised {raised!r}"
    for corner in _corners(plot, start):
        try:
            words = plot.set(**corner).words
        except Exception as error:
            yield f"figure {number} at {corner} raises {error!r}"
            continue
        if not 40 < len(words) < 400 or "nan" in words:
            yield f"figure {number} at {corner} says {words!r}"


def _corners(plot, start: dict) -> list[dict]:
    """Combinations of sliders' ends and starts, each one step from the last."""
    if hasattr(plot, "sliders"):
        ends = {n: {s.values[0], s.values[-1]} for n, s in plot.sliders.items()}
    else:
        ends = {name: _ends(control) for name, control in plot.controls.items()}
    paths = [()]
    for name in ends:
        stops = list(ends[name] | {start[name]})
        paths = [  # there and back again: a live figure draws once a slider that moves
            (*path, stop)
            for turn, path in enumerate(paths)
            for stop in (stops[::-1] if turn % 2 else stops)
        ]
    every = len(paths) // MOST + 1
    every += every % 3 == 0  # or one slider would always stand at the same place
    return [dict(zip(ends, path, strict=True)) for path in paths[::every]]


def _ends(control) -> set:
    if hasattr(control, "options"):
        return {control.options[0][1], control.options[-1][1]}
    return {control.min, control.max}
