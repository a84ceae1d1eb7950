"""What a page's kernel does otherwise when the page is made for the website.

There is no kernel behind a website. So a live figure is painted at a few positions of
each of its controls, and a prediction becomes a form that the reader's browser keeps.
`install` makes it so, for the process that calls it.
"""

import os
from dataclasses import replace
from html import escape
from math import prod
from typing import Any

from IPython.display import HTML, display
from ipywidgets import FloatLogSlider, Widget

from course_lib import predictions, sliders
from course_lib.sliders import filmstrip
from course_lib.sliders.controls import Choice, LinSlider, LogSlider, Slider
from course_lib.sliders.filmstrip import SliderPlot
from course_lib.sliders.live import LivePlot

__all__ = ["Painted", "ask", "few", "install", "slider_of", "tell", "thinned"]

POSITIONS = 64  # of one live figure
LEAST = 5  # of one scale, as long as it moves at all
STEPS = 9  # of a control that is no slider of ours
BYTES = 4_000_000  # of one figure: a website is not stored in a repository


class Painted(LivePlot):
    """A live figure that shows itself as a painted one, with fewer positions."""

    def __init__(self, draw, setup, alt, play, drag, sliders):
        super().__init__(draw, setup, alt, play, drag, sliders)
        self._asked = draw, setup, alt, play, drag
        self._sliders = {name: slider_of(control) for name, control in sliders.items()}

    def _ipython_display_(self):
        data, look = few(*self._asked, self._sliders)._repr_mimebundle_()
        display(data, metadata=look, raw=True)


def few(draw, setup, alt, play, drag, sliders: dict[str, Slider]) -> SliderPlot:
    """The painted figure, with as many positions as a page can hold."""
    moving, fixed = thinned(sliders)

    def drawn(axes, **values):
        return draw(axes, **fixed, **values)

    play, drag = (name if name in moving else None for name in (play, drag))
    return SliderPlot(drawn, setup, alt, play, drag, moving)


def thinned(
    sliders: dict[str, Slider], most: int = POSITIONS
) -> tuple[dict[str, Slider], dict[str, Any]]:
    """Sliders of fewer values, `most` positions at most; and what no longer moves.

    The longest scale loses every second value, but its ends and its start, down to
    five; then the last scale stays where it starts, and after the scales the last
    choice.

    >>> moving, fixed = thinned({"n": LinSlider(0, 1, 9), "m": LinSlider(0, 1, 3)}, 15)
    >>> [len(slider.values) for slider in moving.values()], fixed
    ([5, 3], {})
    """
    sliders, fixed = dict(sliders), {}
    while prod(len(slider.values) for slider in sliders.values()) > most:
        scales = [name for name, slider in sliders.items() if slider.kind == "range"]
        longest = max(scales, key=lambda name: len(sliders[name].values), default="")
        if longest and len(sliders[longest].values) > LEAST:
            sliders[longest] = _halved(sliders[longest])
        else:
            last = [*(scales or sliders)][-1]
            still = sliders.pop(last)
            fixed[last] = still.values[still.start]
    return sliders, fixed


def _halved(slider: Slider) -> Slider:
    last = len(slider.values) - 1
    keep = sorted({*range(slider.start % 2, last, 2), 0, slider.start, last})
    values = tuple(slider.values[i] for i in keep)
    texts = tuple(slider.texts[i] for i in keep)
    return replace(slider, values=values, texts=texts, start=keep.index(slider.start))


def slider_of(control: Slider | Widget) -> Slider:
    """A slider of ours with the values of an ipywidget, a few of them.

    raises: TypeError for a widget that has neither options nor a range
    """
    if isinstance(control, Slider):
        return control
    label = control.description or None
    if hasattr(control, "options"):
        pairs = [o if isinstance(o, tuple) else (str(o), o) for o in control.options]
        texts, values = zip(*pairs, strict=True)
        return Slider(values, texts, values.index(control.value), label, "choice")
    if isinstance(control, FloatLogSlider):
        ends = control.base**control.min, control.base**control.max
        return LogSlider(*ends, STEPS, start=control.value, label=label)
    if not hasattr(control, "min"):
        raise TypeError(f"{type(control).__name__} cannot be painted: it has no range")
    if isinstance(control.value, int):
        each = max(1, (control.max - control.min) // (STEPS - 1))
        values = {*range(control.min, control.max + 1, each), control.value}
        values = sorted({*values, control.max})
        made = Choice(values, start=control.value, label=label)
        return replace(made, kind="range")
    ends = control.min, control.max
    return LinSlider(*ends, STEPS, start=control.value, label=label)


def ask(name, question, choices=None, noted=predictions.NOTED) -> HTML:
    """The question as a form; what is answered stays in the reader's browser."""
    answers = "".join(
        f'<button type="button" class="course-button">{escape(choice)}</button> '
        for choice in choices or ()
    )
    field = '<input inputmode="decimal" size="8" aria-label="your answer"> '
    lock = '<button type="button" class="course-button">Lock it</button>'
    return HTML(
        f'<div class="course-predict" data-name="{escape(name)}" '
        f'data-noted="{escape(noted)}"><p>{escape(question)}</p>'
        f"<p>{answers or field + lock}</p></div>"
    )


def tell(name, truth, near=0.1) -> HTML:
    """What is true, beside what was predicted."""
    wanted = truth if isinstance(truth, str) else f"{truth:g}"
    return HTML(
        f'<p class="course-told" data-name="{escape(name)}" data-near="{near}" '
        f'data-truth="{escape(wanted)}">It is {escape(wanted)}.</p>'
    )


def install() -> None:
    """Make it so, for this process: a page's kernel, and none that tests run in."""
    os.environ.pop("COURSE_PLAIN_FIGURES", None)
    sliders.LivePlot, filmstrip.BYTES = Painted, BYTES
    predictions.predict, predictions.predicted = ask, tell
