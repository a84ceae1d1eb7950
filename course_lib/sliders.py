"""A figure that follows its sliders.

`slider_plot(draw, setup, beta=LogSlider(0.01, 10))` paints every position when the cell
runs and lets the page swap them: the kernel is not in the loop, so the picture follows
the hand, also while a cell trains and on a page without a kernel. With `live=True` the
sliders are ipywidgets and Python draws the newest value: for what cannot be listed
beforehand.
"""

import base64
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from inspect import signature
from pathlib import Path
from typing import Any

from ipywidgets import HTML, Box, Button, Dropdown, SelectionSlider, VBox
from ipywidgets import Widget as Control
from matplotlib.figure import Figure

from course_lib.figures import PAGE_STYLE, bundle, framed
from course_lib.painting import POINTS, Painter, hoisted, told

__all__ = ["Choice", "LinSlider", "LivePlot", "LogSlider", "SliderPlot", "slider_plot"]

POSITIONS = 256  # of all sliders of one figure together
BYTES = 1_000_000  # of one figure in a saved notebook
SCRIPT = Path(__file__).with_name("slider.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Slider:
    """The values of one control, and how the page names them. See the makers below."""

    values: tuple
    texts: tuple[str, ...]
    start: int
    label: str | None = None
    kind: str = "range"

    def text(self, value: Any) -> str:
        """How the page writes this value."""
        return self.texts[self.values.index(value)]


def LogSlider(
    low: float,
    high: float,
    count: int = 31,
    *,
    start: float | None = None,
    label: str | None = None,
    unit: str = "",
) -> Slider:
    """`count` values from `low` to `high`, each the same multiple of the one before.

    low, high: > 0; values are rounded to three digits, so that what is read is drawn
    start: a value to begin with, which then is one of the values; default: the middle
    label, unit: how the page calls the slider, and what its values are measured in
    raises: ValueError for an empty range or a start outside of it

    >>> LogSlider(0.01, 1, count=3).values
    (0.01, 0.1, 1.0)
    """
    if not low > 0:
        raise ValueError(f"low must be above 0 on a logarithmic slider, got {low}")
    _range_is_fine(low, high, count)
    ratio = math.log(high / low) / (count - 1)
    return _slider(
        [low * math.exp(ratio * i) for i in range(count)], start, label, unit
    )


def LinSlider(
    low: float,
    high: float,
    count: int = 31,
    *,
    step: float | None = None,
    start: float | None = None,
    label: str | None = None,
    unit: str = "",
) -> Slider:
    """`count` values from `low` to `high` at equal distances, or one each `step`.

    start, label, unit: as for `LogSlider`
    raises: ValueError for an empty range, a start outside of it, or a step that does
        not reach high

    >>> LinSlider(0, 1, step=0.25).values
    (0.0, 0.25, 0.5, 0.75, 1.0)
    """
    if step is not None:
        if not (math.isfinite(step) and step > 0):
            raise ValueError(f"step must be above 0, got {step}")
        count = round((high - low) / step) + 1
        if abs(low + (count - 1) * step - high) > 1e-9 * max(abs(low), abs(high)):
            raise ValueError(f"steps of {step} from low {low} do not reach high {high}")
    _range_is_fine(low, high, count)
    width = (high - low) / (count - 1)
    return _slider([low + width * i for i in range(count)], start, label, unit)


def Choice(options: Sequence, *, start: Any = None, label: str | None = None) -> Slider:
    """One of some options, in a list that opens.

    options: at least one, none twice; shown as `str` shows them
    start: the option to begin with; default: the first
    raises: ValueError for no options, for twins, or a start that is not among them

    >>> Choice(["SGD", "Adam"], start="Adam").start
    1
    """
    options = list(options)
    texts = tuple(str(option) for option in options)
    if not options or len(set(texts)) < len(texts):
        raise ValueError(f"options must be some and all different, got {options}")
    if start is not None and start not in options:
        raise ValueError(f"start must be one of {options}, got {start!r}")
    first = 0 if start is None else options.index(start)
    return Slider(tuple(options), texts, first, label, "choice")


def slider_plot(
    draw: Callable,
    setup: Callable | None = None,
    *,
    live: bool = False,
    alt: str = "",
    play: str | None = None,
    **sliders: Slider | Control,
) -> "SliderPlot | LivePlot":
    """A figure that follows sliders.

    draw: draw(axes, beta=...) draws what moves for one value, as in matplotlib, and may
        return a sentence that says what is to be seen; it stands below the picture
    setup: setup(figure) draws what stands still (limits, labels, legend) and returns
        the axes; without it there is one axes, with limits that hold every value
    live: ipywidgets whose values Python reads; draw runs for the newest value only
    alt: what the figure is about, for whoever does not see it
    play: the slider that a play button moves, once from its value to its end
    sliders: `LogSlider`, `LinSlider` or `Choice` by the name of draw's argument; with
        live=True also any ipywidget that has a `value`
    returns: a figure that shows itself; `set(beta=...)` moves it from Python
    raises: TypeError if draw does not take the sliders' names, ValueError if it changes
        what must stand still, has more than 256 positions, or would store over 1 MB

    >>> def draw(axes, beta):
    ...     axes.plot([0, 1], [0, beta])
    ...     return f"A line up to {beta}."
    >>> plot = slider_plot(draw, beta=LinSlider(0, 2, count=3))
    >>> plot.set(beta=2.0)
    A line up to 2.0.
    """
    if not sliders:
        raise TypeError("slider_plot needs a slider, such as beta=LogSlider(0.01, 10)")
    _names_agree(draw, sliders)
    for name, slider in sliders.items():
        is_control = live and isinstance(slider, Control) and hasattr(slider, "value")
        if not isinstance(slider, Slider) and not is_control:
            also = (
                "or an ipywidget with a value" if live else "or live=True must be set"
            )
            raise TypeError(
                f"{name} must be a LogSlider, LinSlider or Choice, {also}; "
                f"got {type(slider).__name__}"
            )
    if play is not None and (live or play not in sliders):
        raise ValueError(
            f"play must name a slider of a figure that is not live: {play}"
        )
    return (LivePlot if live else SliderPlot)(draw, setup, alt, play, sliders)


class SliderPlot:
    """A figure with every position painted beforehand; made by `slider_plot`.

    errors: what draw raised, by the number of the position; the page shows it there
    """

    def __init__(self, draw, setup, alt, play, sliders: dict[str, Slider]):
        self.sliders, self.play, self.draw = sliders, play, draw
        self.alt = alt or f"A figure that follows {', '.join(sliders)}"
        self.positions = list(itertools.product(*(s.values for s in sliders.values())))
        if len(self.positions) > POSITIONS:
            raise ValueError(
                f"these sliders have {len(self.positions)} positions, more than "
                f"{POSITIONS}: give them fewer values (count=), or set live=True"
            )
        self.painter = Painter(draw, setup, map(self._named, self.positions))
        self.errors: dict[int, Exception] = {}
        self._words, self._layers = [], []
        for number, position in enumerate(self.positions):
            words, layer = self._painted(number, position)
            self._words.append(words)
            self._layers.append(layer)
        if len(self.errors) == len(self.positions):
            raise self.errors[0]
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
                raise TypeError(
                    f"there is no slider {name!r}: {', '.join(self.sliders)}"
                )
            if value not in self.sliders[name].values:
                near = ", ".join(self.sliders[name].texts)
                raise ValueError(f"{name} = {value} is not on its slider: {near}")
        self.values = {**self.values, **values}
        self.__dict__.pop("_html", None)
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

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return bundle(self._still(), self.words, self._html)

    def _named(self, position: tuple) -> dict[str, Any]:
        return dict(zip(self.sliders, position, strict=True))

    def _at(self) -> int:
        number = 0
        for name, slider in self.sliders.items():
            number = number * len(slider.values) + slider.values.index(
                self.values[name]
            )
        return number

    def _painted(self, number: int, position: tuple) -> tuple[str, str]:
        """The sentence and the layer for a position, or what went wrong there."""
        try:
            words = self.painter.paint(**self._named(position))
            layer = self.painter.layer()
        except Exception as error:
            self.errors[number] = error
            return f"At {self._spoken(position)}: {told(error, self.draw)}", ""
        return words or f"{self.alt}: {self._spoken(position)}", layer

    def _spoken(self, position: tuple) -> str:
        pairs = zip(self.sliders.items(), position, strict=True)
        return ", ".join(f"{s.label or n} = {s.text(value)}" for (n, s), value in pairs)

    def _still(self) -> bytes:
        if self._at() in self.errors:
            return self.painter.frame()
        self.painter.paint(**self.values)
        return self.painter.still()

    @cached_property
    def _html(self) -> str:
        still = self._still()
        width, height = self.painter.figure.get_size_inches() * POINTS
        definitions, layers = hoisted(self._layers)
        data = {
            "width": self.painter.width,
            "height": self.painter.height,
            "viewBox": f"0 0 {width:g} {height:g}",
            "frame": base64.b64encode(self.painter.frame()).decode(),
            "definitions": definitions,
            "layers": layers,
            "words": self._words,
            "errors": list(self.errors),
            "controls": [
                {
                    "label": slider.label or name,
                    "texts": slider.texts,
                    "start": slider.values.index(self.values[name]),
                    "kind": slider.kind,
                }
                for name, slider in self.sliders.items()
            ],
            "play": None if self.play is None else list(self.sliders).index(self.play),
        }
        payload = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
        return (
            f'{PAGE_STYLE}<div class="course-slider" role="group" '
            f'aria-label="{escape(self.alt)}" style="width:{self.painter.width}px">'
            f"{framed(still, self.words)}"
            f'<p class="course-words" role="status">{escape(self.words)}</p>'
            '<script type="application/json">'
            f"{payload}</script>"
            f"<script>{SCRIPT}</script></div>"
        )


class LivePlot(VBox):
    """A figure behind ipywidgets, drawn by Python; made by `slider_plot(live=True)`.

    controls: the ipywidgets by name, to be read, observed, linked and put into boxes
    error: what draw raised for the present values, or None
    """

    def __init__(self, draw, setup, alt, play, sliders: dict[str, Slider | Control]):
        self.draw, self.alt = draw, alt or f"A figure that follows {', '.join(sliders)}"
        self.controls = {name: _control(name, s) for name, s in sliders.items()}
        self._starts = self.values
        self.painter = Painter(draw, setup, self._ends(sliders))
        picture = framed(self.painter.frame(), "")
        self._frame = HTML(PAGE_STYLE + picture)
        self._layer, self._says = HTML(), HTML()
        self._layer.add_class("course-layer")
        stage = Box([self._frame, self._layer])
        stage.add_class("course-picture")
        stage.layout.width = f"{self.painter.width}px"
        reset = Button(description="reset", layout={"width": "auto"})
        reset.on_click(lambda _: self.set(**self._starts))
        super().__init__([*self.controls.values(), reset, stage, self._says])
        self._follow()
        for control in self.controls.values():
            control.observe(self._follow, names="value")

    @property
    def values(self) -> dict[str, Any]:
        """The controls' values, as draw gets them."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **values: Any) -> "LivePlot":
        """Move the controls; what draw raises is raised."""
        for name, value in values.items():
            if name not in self.controls:
                known = ", ".join(self.controls)
                raise TypeError(f"there is no slider {name!r}: {known}")
            self.controls[name].value = value
        if self.error:
            raise self.error
        return self

    @property
    def figure(self) -> Figure:
        """The matplotlib figure, painted for the present values."""
        return self.painter.figure

    def _ends(self, sliders) -> list[dict[str, Any]]:
        """The corners of the sliders: where limits are looked for."""
        ends = [
            {s.values[0], s.values[-1]} if isinstance(s, Slider) else {c.value}
            for s, c in zip(sliders.values(), self.controls.values(), strict=True)
        ]
        return [
            dict(zip(sliders, corner, strict=True))
            for corner in itertools.product(*ends)
        ]

    def _follow(self, _change=None):
        width, height = self.painter.figure.get_size_inches() * POINTS
        try:
            words = self.painter.paint(**self.values)
            layer, self.error = self.painter.layer(), None
        except Exception as error:
            words, layer, self.error = told(error, self.draw), "", error
        here = ", ".join(f"{name} = {value}" for name, value in self.values.items())
        self.words = words or f"{self.alt}: {here}"
        self._layer.value = (
            f'<svg viewBox="0 0 {width:g} {height:g}" role="img" '
            f'aria-label="{escape(self.words)}">{layer}</svg>'
        )
        kind = "course-words course-error" if self.error else "course-words"
        says = f'<p class="{kind}" role="status">{escape(self.words)}</p>'
        self._says.value = says

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **kwargs) -> dict:
        still = self.painter.frame() if self.error else self.painter.still()
        picture = bundle(still, self.words, "")
        picture.pop("text/html", None)
        return {**super()._repr_mimebundle_(**kwargs), **picture}


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


def _names_agree(draw: Callable, sliders: dict):
    """Refuse a draw that cannot be called as draw(axes, **sliders)."""
    if not callable(draw):
        raise TypeError(f"draw must be a function, got {type(draw).__name__}")
    try:
        takes = signature(draw)
    except ValueError:  # written in C: it will say so itself
        return
    try:
        takes.bind(None, **dict.fromkeys(sliders))
    except TypeError as error:
        called = ", ".join(f"{name}=..." for name in sliders)
        raise TypeError(
            f"draw{takes} cannot be called as draw(axes, {called}): {error}"
        ) from None


def _range_is_fine(low: float, high: float, count: int):
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"the range from low {low} to high {high} is empty")
    if not isinstance(count, int) or count < 2:
        raise ValueError(
            f"count must be a whole number of values, at least 2, got {count}"
        )


def _slider(values: list[float], start, label, unit) -> Slider:
    """Round to what can be read, and put `start` among the values."""
    digits = next(
        n for n in range(3, 18) if len({f"{v:.{n}g}" for v in values}) == len(values)
    )
    values = [float(f"{value:.{digits}g}") for value in values]
    first = len(values) // 2
    if start is not None:
        if not values[0] <= start <= values[-1]:
            raise ValueError(
                f"start must be from {values[0]} to {values[-1]}, got {start}"
            )
        first = min(range(len(values)), key=lambda i: abs(values[i] - start))
        values[first] = float(start)
    texts = tuple(f"{value:.{max(digits, 6)}g} {unit}".strip() for value in values)
    return Slider(tuple(values), texts, first, label)
