"""A figure behind ipywidgets: Python reads their values and draws the newest."""

import itertools
import os
from html import escape
from pathlib import Path
from typing import Any

from IPython.display import display
from ipywidgets import HTML, Box, Button, Dropdown, SelectionSlider, VBox
from ipywidgets import Widget as Control
from matplotlib.figure import Figure

from course_lib.plots.style import PAGE_STYLE, bundle, image
from course_lib.sliders.controls import Slider
from course_lib.sliders.painting import Painter, told

__all__ = ["LivePlot"]

SCRIPT = Path(__file__).with_name("live.js").read_text(encoding="utf-8")
RULES = Path(__file__).with_name("live.css").read_text(encoding="utf-8")
LIVE_STYLE = f"{PAGE_STYLE}<style>{RULES}</style>"


class LivePlot(VBox):
    """A figure behind ipywidgets, drawn by Python; made by `slider_plot(live=True)`.

    controls: the ipywidgets by name, to be read, observed, linked and put into boxes
    """

    def __init__(self, draw, setup, alt, play, sliders: dict[str, Slider | Control]):
        self.draw, self.alt = draw, alt or f"A figure that follows {', '.join(sliders)}"
        self.controls = {name: _control(name, s) for name, s in sliders.items()}
        longest = max(len(control.description) for control in self.controls.values())
        for control in self.controls.values():  # ipywidgets would cut a long name off
            control.style.description_width = f"{max(10, longest + 1)}ch"
        self._starts = self.values
        self.painter = Painter(draw, setup, self._ends(sliders))
        self._frame = HTML(LIVE_STYLE + image(self.painter.frame(), ""))
        self._layer, self._says = HTML(), HTML()
        self._layer.add_class("course-layer")
        self._behind, self._moving = True, False  # is the picture? are the controls?
        stage = Box([self._frame, self._layer])
        stage.add_class("course-picture")
        stage.layout.width = f"{self.painter.width}px"
        reset = Button(
            description="reset", layout={"width": "auto", "align_self": "flex-start"}
        )
        reset.on_click(self._reset)
        super().__init__([*self.controls.values(), reset, stage, self._says])
        self._catch_up()
        for control in self.controls.values():
            control.observe(self._follow, names="value")

    @property
    def values(self) -> dict[str, Any]:
        """The controls' values, as draw gets them."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **values: Any) -> "LivePlot":
        """Move the controls, then draw once; what draw raises is raised."""
        for name in values:
            if name not in self.controls:
                known = ", ".join(self.controls)
                raise TypeError(f"there is no slider {name!r}: {known}")
        self._move(values)
        if self.error:
            raise self.error
        return self

    @property
    def words(self) -> str:
        """What is to be seen at the present values."""
        self._catch_up()
        return self._words

    @property
    def error(self) -> Exception | None:
        """What draw raised for the present values."""
        self._catch_up()
        return self._error

    @property
    def figure(self) -> Figure:
        """The matplotlib figure, painted for the present values."""
        self._catch_up()
        return self.painter.figure

    def _reset(self, _button):
        self._move(self._starts)

    def _move(self, values: dict[str, Any]):
        """Move all controls before anything is drawn; values between are not shown."""
        self._moving = True
        try:
            for name, value in values.items():
                self.controls[name].value = value
        finally:
            self._moving = False
            self._catch_up()

    def _follow(self, _change=None):
        self._behind = True
        if not self._moving:
            self._catch_up()

    def _ends(self, sliders) -> list[dict[str, Any]]:
        """The corners of the sliders: where limits are looked for."""
        ends = [
            (s.values[0], s.values[-1]) if isinstance(s, Slider) else (c.value,)
            for s, c in zip(sliders.values(), self.controls.values(), strict=True)
        ]
        return [
            dict(zip(sliders, corner, strict=True))
            for corner in itertools.product(*ends)
        ]

    def _catch_up(self):
        """Draw, unless this was done since a control moved."""
        if not self._behind:
            return
        self._behind, svg = False, self.painter.layers()
        try:
            words = self.painter.paint(**self.values)
            layer, self._error = self.painter.layer(svg), None
        except Exception as error:
            words, layer, self._error = told(error, self.draw), "", error
        here = ", ".join(f"{name} = {value}" for name, value in self.values.items())
        self._words = words or f"{self.alt}: {here}"
        said = escape(self._words)
        self._layer.value = (
            f'<svg viewBox="{self.painter.view_box}" role="img" aria-label="{said}">'
            f"<defs>{svg.definitions()}</defs><g>{layer}</g></svg>"
        )
        kind = "course-words course-error" if self._error else "course-words"
        self._says.value = f'<p class="{kind}" role="status">{said}</p>'

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **kwargs) -> dict:
        data = bundle(self._still(), self.words, "")
        data.pop("text/html", None)
        return {**super()._repr_mimebundle_(**kwargs), **data}

    def _ipython_display_(self):
        """Two outputs: the widget, and before it what a saved page shows without it."""
        html = (
            f'{LIVE_STYLE}<div class="course-still"><div class="course-picture" '
            f'style="width:{self.painter.width}px">{image(self._still(), self.words)}'
            f"</div><p>Run this cell, and its sliders move.</p></div>"
            f"<script>{SCRIPT}</script>"
        )
        if not os.environ.get("COURSE_PLAIN_FIGURES"):
            display({"text/html": html, "text/plain": ""}, raw=True)
        display(self._repr_mimebundle_(), raw=True)

    def _still(self) -> bytes:
        return self.painter.frame() if self.error else self.painter.still()


def _control(name: str, slider: Slider | Control) -> Control:
    """The ipywidget for a slider; one that is given is taken as it is."""
    if isinstance(slider, Slider):
        kind = Dropdown if slider.kind == "choice" else SelectionSlider
        options = list(zip(slider.texts, slider.values, strict=True))
        slider = kind(
            options=options, index=slider.start, description=slider.label or name
        )
    slider.description = slider.description or name
    slider.layout.width = slider.layout.width or "26em"
    return slider
