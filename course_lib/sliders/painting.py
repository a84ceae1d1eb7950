"""A matplotlib figure in two layers: a frame that stands still, and what moves in it.

The frame (axes, labels, grid) is a picture made once. What `draw` adds for one value is
written as SVG, a few kilobytes that a browser lays over the frame: sharp at any zoom,
and there at once, because nothing has to be decoded.
"""

import itertools
import math
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.spines import Spine

from course_lib.plots.palette import LANGUAGE
from course_lib.plots.style import SHARP, WIDTH, png
from course_lib.sliders.svg import Layers

__all__ = ["Painter", "told"]

POINTS = 72  # the unit of SVG as matplotlib writes it
FROZEN = ("xlim", "ylim", "xscale", "yscale", "xlabel", "ylabel", "legend")
SIDES = ("left", "center", "right")  # of a title

NUMBERS = itertools.count()
LOCK = threading.RLock()  # matplotlib's style is global, callbacks may have a thread


class Painter:
    """What `setup` and `draw` paint, as a frame and a layer for each value.

    draw: draw(axes, **values) adds artists, and may return a sentence on what they show
    setup: setup(figure) draws what stands still and returns the axes; None: one axes
    probes: the values at which limits are looked for that setup did not set
    raises: ValueError if draw changes what must stand still
    """

    def __init__(
        self,
        draw: Callable,
        setup: Callable | None,
        probes: Iterable[dict[str, Any]],
    ):
        self._draw, self._has_setup, self._inside = draw, setup is not None, False
        self._salt = f"figure {next(NUMBERS)}"  # no two figures of a page share names
        with self.styled():
            self.figure = Figure(figsize=(6.5, 3.2), dpi=POINTS)
            self.axes = setup(self.figure) if setup else self.figure.subplots()
        self._still = [(box, box.get_children()) for box in self.figure.axes]
        self._fix_limits(probes)
        self._settle()
        self._state = self._frozen()
        self.width, self.height = (
            round(WIDTH * inches) for inches in self.figure.get_size_inches()
        )

    @contextmanager
    def styled(self):
        """The course's style, from here to the end of several steps; it takes 1 ms."""
        with LOCK:
            if self._inside:
                yield
                return
            with matplotlib.rc_context({**LANGUAGE, "svg.hashsalt": self._salt}):
                self._inside = True
                try:
                    yield
                finally:
                    self._inside = False

    @property
    def view_box(self) -> str:
        """Where a layer's coordinates lie, as SVG wants to be told."""
        width, height = POINTS * self.figure.get_size_inches()
        return f"0 0 {width:g} {height:g}"

    def frame(self) -> bytes:
        """The picture of what stands still, sharp enough for two pixels in one."""
        self._clear()
        return png(self.figure, SHARP)

    def still(self) -> bytes:
        """The whole picture for the values that were painted last."""
        return png(self.figure, SHARP)

    def layers(self) -> Layers:
        """Where `layer` draws one value after another."""
        return Layers(*(POINTS * self.figure.get_size_inches()), dpi=SHARP)

    def layer(self, layers: Layers, mark: str | None = None) -> str:
        """What moves, for the values that were painted last, as elements of SVG.

        mark: only the artists that draw gave this gid
        """
        with self.styled():
            return layers.layer(self._moving() if mark is None else self._marked(mark))

    def middles(self, mark: str) -> list[list[float] | None]:
        """Where in the layer's coordinates the artists with the gid `mark` are.

        None stands for one that is nowhere, as a point with a NaN is.
        """
        with self.styled():
            boxes = [a.get_window_extent().extents for a in self._marked(mark)]
        high, found = float(self.figure.bbox.height), []
        for box in boxes:
            left, low, right, top = box.tolist()
            x, y = (left + right) / 2, (low + top) / 2
            fine = math.isfinite(x) and math.isfinite(y)
            found.append([round(x, 1), round(high - y, 1)] if fine else None)
        return found

    def paint(self, **values: Any) -> str | None:
        """Draw for these values in place of the last ones; return draw's sentence."""
        self._clear()
        for _, still in self._still:
            for artist in still:
                artist.stale = False
        words = self._call_draw(values)
        self._refuse_changes()
        return words if isinstance(words, str) else None

    def _call_draw(self, values: dict[str, Any]):
        with self.styled():
            for box in self.figure.axes:
                box.set_prop_cycle(None)
            return self._draw(self.axes, **values)

    def _fix_limits(self, probes: Iterable[dict[str, Any]]):
        """Let limits that setup left open hold all that will be drawn."""
        boxes = [box for box, _ in self._still]
        if any(b.get_autoscalex_on() or b.get_autoscaley_on() for b in boxes):
            for values in probes:
                try:
                    self._call_draw(values)
                except Exception:
                    continue  # told when this value is painted
        for box in boxes:
            box.set(xlim=box.get_xlim(), ylim=box.get_ylim())
        self._clear()

    def _settle(self):
        """Lay the axes out once, as drawing the figure would."""
        layout = self.figure.get_layout_engine()
        if layout:
            layout.execute(self.figure)
        for box in self.figure.axes:
            box.apply_aspect()
        self.figure.set_layout_engine("none")

    def _moving(self) -> list[Artist]:
        return [
            artist
            for box, still in self._still
            for artist in box.get_children()
            if artist not in still
        ]

    def _marked(self, mark: str) -> list[Artist]:
        return [artist for artist in self._moving() if artist.get_gid() == mark]

    def _clear(self):
        for box, still in self._still:
            for container in list(box.containers):
                if not set(container.get_children()) & set(still):
                    container.remove()
        for artist in self._moving():
            artist.remove()

    def _frozen(self) -> list[dict[str, Any]]:
        boxes = [box for box, _ in self._still]
        return [
            {name: getattr(box, f"get_{name}")() for name in FROZEN}
            | {"title": [box.get_title(side) for side in SIDES]}
            for box in boxes
        ]

    def _refuse_changes(self):
        """Take back what draw changed of what must stand still, and say so."""
        added = self.figure.axes[len(self._still) :]
        for box in added:
            box.remove()
        wrong = ["added axes"] if added else []
        boxes = self.figure.axes
        for box, before, after in zip(boxes, self._state, self._frozen(), strict=True):
            changed = [name for name in before if before[name] != after[name]]
            if changed:
                self._clear()  # the legend too
                with self.styled():
                    put = set(changed) - {"legend", "title"}
                    box.set(**{name: before[name] for name in put})
                    for side, title in zip(SIDES, before["title"], strict=True):
                        box.set_title(title, loc=side)
                wrong.append(f"changed the {', '.join(changed)}")
        if wrong:
            cure = "set it in setup" if self._has_setup else "give slider_plot a setup"
            raise ValueError(
                f"draw {' and '.join(wrong)}, which must stand still so that two "
                f"values can be compared: {cure}"
            )
        for _, still in self._still:
            for artist in still:
                if artist.stale and not isinstance(artist, Axis | Spine):
                    raise ValueError(
                        f"draw changed a {type(artist).__name__} that setup made; "
                        "what moves must be drawn anew by draw"
                    )


def told(error: Exception, draw: Callable) -> str:
    """An error in one line, with the line of `draw` in which it came up."""
    where = ""
    file = getattr(getattr(draw, "__code__", None), "co_filename", None)
    for entry in traceback.extract_tb(error.__traceback__):
        if entry.filename == file and entry.line:
            where = f", in the line {entry.line.strip()!r}"
    return f"{type(error).__name__}: {error}{where}"
