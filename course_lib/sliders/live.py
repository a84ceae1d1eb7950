"""A figure behind ipywidgets: Python reads their values and draws the newest."""

import itertools
import json
import os
import time
from html import escape
from pathlib import Path
from typing import Any

from IPython.display import display
from ipywidgets import (
    HTML,
    Box,
    Button,
    Dropdown,
    IntText,
    SelectionSlider,
    VBox,
    jslink,
)
from ipywidgets import Widget as Control
from matplotlib.figure import Figure

from course_lib.plots.style import bundle, image
from course_lib.sliders.ahead import Ahead, Shown, State, running_loop
from course_lib.sliders.controls import Slider, combinations
from course_lib.sliders.filmstrip import CONTROL_STYLE, HAND, nothing_to_drag
from course_lib.sliders.painting import Painter, told

__all__ = ["LivePlot"]

SCRIPT = Path(__file__).with_name("live.js").read_text(encoding="utf-8")
RULES = Path(__file__).with_name("live.css").read_text(encoding="utf-8")
LIVE_STYLE = f"{CONTROL_STYLE}<style>{RULES}</style>"
CONFIRM = 0.06  # seconds: at most so seldom is said again what the page should know


class LivePlot(VBox):
    """A figure behind ipywidgets, drawn by Python; made by `slider_plot(live=True)`.

    controls: the ipywidgets by name, to be read, observed, linked and put into boxes
    """

    def __init__(self, draw, setup, alt, play, drag, sliders):
        self.draw, self.alt = draw, alt or f"A figure that follows {', '.join(sliders)}"
        self.drag = drag
        self.controls = {name: _control(name, s) for name, s in sliders.items()}
        self._ours = [name for name, s in sliders.items() if isinstance(s, Slider)]
        longest = max(len(control.description) for control in self.controls.values())
        for name, control in self.controls.items():
            # ipywidgets would cut a long name off
            control.style.description_width = f"{max(10, longest + 1)}ch"
            control.add_class("course-control")
            if name in self._ours:
                control.add_class("course-ours")
        self._starts = self.values
        self.painter = Painter(draw, setup, self._ends(sliders))
        self._layer, self._says, self._strip = HTML(), HTML(), HTML()
        self._layer.add_class("course-layer")
        self._strip.add_class("course-strip")
        self._behind, self._moving = True, False  # is the picture? are the controls?
        self._ahead = Ahead(self._picture, self._store)
        self._turns, self._confirmed, self._timer = itertools.count(), 0.0, None
        self._last = self._state()
        stage = self._stage(play)
        super().__init__([*self.controls.values(), self._back(), stage, self._says])
        self.add_class("course-live")
        self._catch_up()
        for name, control in self.controls.items():
            control.observe(lambda _, name=name: self._follow(name), names="value")

    def _stage(self, play: str | None) -> Box:
        """The picture; beside it, unseen, what the page's script needs."""
        hands = {}
        for use, name in (("play", play), ("drag", self.drag)):
            if name is not None:
                hands[use] = IntText(self.controls[name].index)
                jslink((hands[use], "value"), (self.controls[name], "index"))
                hands[use].add_class(f"course-{use}")
        data = json.dumps(self._data(play)).replace("</", "<\\/")
        frame = HTML(
            f"{LIVE_STYLE}{image(self.painter.frame(), '')}"
            f'<script type="application/json">{data}</script>'
        )
        stage = Box([frame, self._layer, self._strip, *hands.values()])
        stage.add_class("course-picture")
        stage.layout.width = f"{self.painter.width}px"
        return stage

    def _data(self, play: str | None) -> dict[str, Any]:
        """What the page's script is told: of the drag, where its point can be."""
        data = {"controls": len(self.controls), "viewBox": self.painter.view_box}
        data |= {"play": None, "drag": None}
        if play is not None:
            last = len(self.controls[play].options) - 1
            data["play"] = {"slider": self._ours.index(play), "last": last}
        if self.drag is None:
            return data
        control, path = self.controls[self.drag], {}
        texts = [text for text, _ in control.options]
        for at in (0, len(texts) - 1, control.index):  # the start last, for its ghost
            values = {**self._starts, self.drag: control.options[at][1]}
            try:
                self.painter.paint(**values)
                path[at] = self.painter.middles(self.drag)
            except Exception:
                continue  # told when this value is shown
        if path and not any(path.values()):
            raise nothing_to_drag(self.drag)
        svg = self.painter.layers()
        layer = self.painter.layer(svg, self.drag)
        ghost = f"<defs>{svg.definitions()}</defs><g>{layer}</g>"
        at = self._ours.index(self.drag)
        drag = {"slider": at, "count": len(texts), "path": path, "ghost": ghost}
        return {**data, "drag": drag}

    def _back(self) -> Button:
        """The button that takes everything back."""
        reset = Button(description="↺", tooltip="reset")
        reset.add_class("course-reset")
        reset.on_click(lambda _: self._move(self._starts))
        return reset

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

    def close(self):
        """Take the figure from the page, and paint it no more."""
        self._ahead.close()
        super().close()

    def _move(self, values: dict[str, Any]):
        """Move all controls before anything is drawn; values between are not shown."""
        self._moving = True
        try:
            for name, value in values.items():
                self.controls[name].value = value
        finally:
            self._moving = False
            self._catch_up()

    def _follow(self, name: str):
        """Show the newest value, and paint ahead along the control that has moved."""
        self._behind = True
        if name not in self._ours:  # of its values the page knows nothing
            self._ahead.forget()
        if self._moving:
            return
        state = self._state()
        if running_loop() and self._ahead.get(state):
            self._confirm()  # the page shows it already
        else:
            self._catch_up()
        if name in self._ours:
            self._ahead.plan(self._beside(self._ours.index(name), state))

    def _state(self) -> State:
        """The positions of those controls that are ours."""
        return tuple(self.controls[name].index for name in self._ours)

    def _beside(self, moved: int, state: State) -> list[State]:
        """Where one control can go from here, first where it is going."""
        count = len(self.controls[self._ours[moved]].options)
        ways = [range(state[moved] + 1, count), range(state[moved] - 1, -1, -1)]
        if state[moved] < self._last[moved]:
            ways.reverse()
        self._last = state
        line = itertools.chain(*ways)
        return [(*state[:moved], at, *state[moved + 1 :]) for at in line]

    def _ends(self, sliders) -> list[dict[str, Any]]:
        """The corners of the sliders: where limits are looked for."""
        ends = {name: (control.value,) for name, control in self.controls.items()}
        ends |= {n: (sliders[n].values[0], sliders[n].values[-1]) for n in self._ours}
        return combinations(ends)

    def _catch_up(self):
        """Draw, unless this was done since a control moved."""
        if self._behind:
            self._push(self._ahead.paint(self._state()))
            self._behind = False

    def _picture(self, state: State) -> Shown:
        """What is to be seen at a state, drawn now."""
        at = dict(zip(self._ours, state, strict=True))
        values = self.values
        for name, index in at.items():
            values[name] = self.controls[name].options[index][1]
        self._behind = True  # until this is known to be the state to be shown
        svg, points = self.painter.layers(), []
        try:
            with self.painter.styled():
                words = self.painter.paint(**values)
                layer, self._error = self.painter.layer(svg), None
                points = self.painter.middles(self.drag) if self.drag else []
        except Exception as error:
            words, layer, self._error = told(error, self.draw), "", error
        here = ", ".join(f"{name} = {value}" for name, value in values.items())
        self._words = words or f"{self.alt}: {here}"
        said = escape(self._words)
        wrong, kind = (' data-error=""', " course-error") if self._error else ("", "")
        told_to_page = (
            f'data-state="{_named(state)}" data-age="{self._ahead.age}" '
            f'data-points="{json.dumps(points)}"{wrong}'
        )
        picture = (
            f'<svg viewBox="{self.painter.view_box}" role="img" aria-label="{said}" '
            f"{told_to_page}><defs>{svg.definitions()}</defs><g>{layer}</g></svg>"
        )
        says = f'<p class="course-words{kind}" role="status">{said}</p>'
        return Shown(picture, says)

    def _push(self, shown: Shown):
        """Let the page show this; also if it is what it was shown last."""
        turn = f'<svg data-turn="{next(self._turns)}"'
        self._layer.value = shown.svg.replace("<svg", turn, 1)
        self._says.value = shown.says

    def _store(self, made: dict[State, Shown], age: int):
        """Let the page keep these, and drop what is older."""
        texts = [f'<i data-age="{age}"></i>']
        for state, shown in made.items():
            what = f'data-state="{_named(state)}" data-age="{age}"'
            texts.append(f'<script type="text/plain" {what}>{shown.svg}</script>')
        self._strip.value = "".join(texts)

    def _confirm(self):
        """Say again what the page should know, not too often: the page may be new."""
        if self._timer is None:
            due = self._confirmed + CONFIRM - time.monotonic()
            self._timer = running_loop().call_later(max(0, due), self._say_again)

    def _say_again(self):
        self._timer, self._confirmed = None, time.monotonic()
        known = self._ahead.get(self._state())
        self._push(known) if known else self._catch_up()

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        return self._with(self._still(), **kwargs)

    def _with(self, still: bytes, **kwargs) -> tuple[dict, dict]:
        """The widget, and the picture that stands for it where there is no kernel."""
        data, look = bundle(still, self.words, "", self.painter.width, moves=True)
        return {**super()._repr_mimebundle_(**kwargs), **data}, look

    def _ipython_display_(self):
        """Two outputs: the widget, and before it what a saved page shows without it."""
        still = self._still()
        data, look = self._with(still)
        if not os.environ.get("COURSE_PLAIN_FIGURES"):
            data.pop("image/png")  # it is in the other output
            html = (
                f'{LIVE_STYLE}<div class="course-still"><div class="course-picture" '
                f'style="width:{self.painter.width}px">{image(still, self.words)}'
                f"</div><p>Run this cell to move it.</p></div>"
                f"<script>{HAND if self.drag else ''}{SCRIPT}</script>"
            )
            display({"text/html": html, "text/plain": ""}, raw=True)
        display(data, metadata=look, raw=True)

    def _still(self) -> bytes:
        self._catch_up()
        return self.painter.frame() if self.error else self.painter.still()


def _named(state: State) -> str:
    """How the page calls a state."""
    return ",".join(map(str, state))


def _control(name: str, slider: Slider | Control) -> Control:
    """The ipywidget for a slider; one that is given is taken as it is."""
    if isinstance(slider, Slider):
        kind = Dropdown if slider.kind == "choice" else SelectionSlider
        options = list(zip(slider.texts, slider.values, strict=True))
        called = slider.called(name)
        slider = kind(options=options, index=slider.start, description=called)
    slider.description = slider.description or name
    slider.layout.width = slider.layout.width or "26em"
    return slider
