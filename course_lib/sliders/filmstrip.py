"""A figure whose every position is painted when the cell runs; the page swaps them."""

import base64
import json
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from course_lib.plots.style import PAGE_STYLE, bundle, image
from course_lib.sliders.controls import Slider, combinations
from course_lib.sliders.painting import Painter, told

__all__ = ["SliderPlot"]

POSITIONS = 256  # of all sliders of one figure together
BYTES = 1_000_000  # of one figure in a saved notebook
SCRIPT = Path(__file__).with_name("filmstrip.js").read_text(encoding="utf-8")
HAND = Path(__file__).with_name("hand.js").read_text(encoding="utf-8")
RULES = Path(__file__).with_name("controls.css").read_text(encoding="utf-8")
CONTROL_STYLE = f"{PAGE_STYLE}<style>{RULES}</style>"


class SliderPlot:
    """A figure with every position painted beforehand; made by `slider_plot`.

    errors: what draw raised, by the number of the position; the page shows it there
    """

    def __init__(self, draw, setup, alt, play, drag, sliders: dict[str, Slider]):
        self.sliders, self.play, self.drag, self.draw = sliders, play, drag, draw
        self.alt = alt or f"A figure that follows {', '.join(sliders)}"
        positions = combinations({name: s.values for name, s in sliders.items()})
        self._positions = positions
        if len(positions) > POSITIONS:
            raise ValueError(
                f"these sliders have {len(positions)} positions, more than "
                f"{POSITIONS}: give them fewer values (count=), or set live=True"
            )
        self.painter = Painter(draw, setup, positions)
        self.errors: dict[int, Exception] = {}
        self._words, self._layers, self._svg = [], [], self.painter.layers()
        self._points: list[list] = []  # at each position, what can be dragged
        for position in positions:
            self._paint(position)
        if len(self.errors) == len(positions):
            raise self.errors[0]
        if drag is not None and not any(self._points):
            raise nothing_to_drag(drag)
        self.values = {name: s.values[s.start] for name, s in sliders.items()}
        if len(self._html) > BYTES:
            raise ValueError(
                f"this figure would store {len(self._html):,} bytes, more than "
                f"{BYTES:,}: give its sliders fewer values (count=), or set live=True"
            )

    def set(self, **values: Any) -> "SliderPlot":
        """Move the sliders, and the place they start from; what draw raises is raised.

        values: by name; each must be one of its slider's values
        """
        for name, value in values.items():
            if name not in self.sliders:
                known = ", ".join(self.sliders)
                raise TypeError(f"there is no slider {name!r}: {known}")
            if value not in self.sliders[name].values:
                near = ", ".join(self.sliders[name].texts)
                raise ValueError(f"{name} = {value} is not on its slider: {near}")
        self.values = {**self.values, **values}
        for made in ("_html", "_still"):
            self.__dict__.pop(made, None)
        self.painter.paint(**self.values)
        return self

    @property
    def words(self) -> str:
        """What is to be seen at the present values."""
        return self._words[self._at()]

    @property
    def figure(self) -> Figure:
        """The matplotlib figure, painted for the present values."""
        self.painter.paint(**self.values)
        return self.painter.figure

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        still, width = self._still, self.painter.width
        return bundle(still, self.words, self._html, width, moves=True)

    def _at(self) -> int:
        """The number of the position that the present values are."""
        return self._positions.index(self.values)

    def _paint(self, position: dict[str, Any]):
        """Keep the sentence and the layer for a position, or what went wrong there."""
        pairs = zip(self.sliders.items(), position.values(), strict=True)
        here = ", ".join(f"{s.called(n)} = {s.text(value)}" for (n, s), value in pairs)
        try:
            words = self.painter.paint(**position) or f"{self.alt}: {here}"
            layer = self.painter.layer(self._svg)
            points = self.painter.middles(self.drag) if self.drag else []
        except Exception as error:
            self.errors[len(self._words)] = error
            words, layer, points = f"At {here}: {told(error, self.draw)}", "", []
        self._words.append(words)
        self._layers.append(layer)
        self._points.append(points)

    @cached_property
    def _still(self) -> bytes:
        if self._at() in self.errors:
            return self.painter.frame()
        self.painter.paint(**self.values)
        return self.painter.still()

    def _taken(self) -> dict[str, Any] | None:
        """What the page needs to let a point be dragged; the ghost marks the start."""
        if self.drag is None:
            return None
        ghost = ""
        if self._at() not in self.errors:
            self.painter.paint(**self.values)
            ghost = self.painter.layer(self._svg, self.drag)
        at = list(self.sliders).index(self.drag)
        return {"slider": at, "points": self._points, "ghost": ghost}

    @cached_property
    def _html(self) -> str:
        still, painter, drag = self._still, self.painter, self._taken()
        data = {
            "width": painter.width,
            "height": painter.height,
            "viewBox": painter.view_box,
            "frame": base64.b64encode(painter.frame()).decode(),
            "definitions": self._svg.definitions(),
            "layers": self._layers,
            "words": self._words,
            "errors": list(self.errors),
            "controls": [
                {
                    "label": slider.called(name),
                    "texts": slider.texts,
                    "start": slider.values.index(self.values[name]),
                    "kind": slider.kind,
                }
                for name, slider in self.sliders.items()
            ],
            "play": None if self.play is None else list(self.sliders).index(self.play),
            "drag": drag,
        }
        payload = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
        return (
            f'{CONTROL_STYLE}<div class="course-slider" role="group" '
            f'aria-label="{escape(self.alt)}" style="width:{painter.width}px">'
            f'<div class="course-picture">{image(still, self.words)}</div>'
            f'<p class="course-words" role="status">{escape(self.words)}</p>'
            f'<script type="application/json">{payload}</script>'
            f"<script>{HAND if drag else ''}{SCRIPT}</script></div>"
        )


def nothing_to_drag(drag: str) -> ValueError:
    """The error of a draw that marks no artist for the hand."""
    return ValueError(
        f"drag={drag!r} finds nothing to take: draw must give what is dragged the "
        f'gid {drag!r}, as in axes.plot(x, y, "o", gid={drag!r})'
    )
