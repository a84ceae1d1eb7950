"""One style for every figure, and the two kinds of figure: moving, and still.

Colours survive colour-blindness (Okabe and Ito); series differ in line style or marker
too. Every figure says in words what a person sees in it.
"""

import base64
import io
import os
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5F6368"
GREEN, PURPLE, OCHRE = "#00795B", "#A8548A", "#8A6D00"  # with the two, for more series
SIX = (  # series of one figure, apart without their colours too
    (ORANGE, "-"),
    (PURPLE, (0, (6, 1))),
    (GREEN, "-."),
    (OCHRE, "--"),
    (GREY, (0, (3, 1, 1, 1, 1, 1))),
    (BLUE, ":"),
)
STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 2,
}
STILL = {**STYLE, "axes.titlesize": 12, "lines.linewidth": 1.5}
RULES = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
PAGE_STYLE = f"<style>{RULES}</style>"


class Scene(NamedTuple):
    """A figure that moves: `slider_plot(*scene, beta=LogSlider(0.01, 10))`.

    draw: draw(axes, **values) draws what moves and says in words what is seen
    setup: setup(figure) draws what stands still and returns the axes
    """

    draw: Callable[..., str]
    setup: Callable[[Figure], Any]

    @classmethod
    def of(
        cls,
        draw: Callable[..., str],
        *panels: dict[str, Any],
        still: Callable[[Any], None] | None = None,
        height: float = 3.2,
        **layout: Any,
    ) -> "Scene":
        """Of panels in a row, as `panel` makes them.

        draw: gets their axes: one, or a tuple
        still: still(axes) draws what stands still in them
        height: in inches; layout: as for matplotlib's `Figure.subplots`
        """

        def setup(figure: Figure) -> Any:
            axes = _lay_out(figure, panels, height, layout)
            if still:
                still(axes)
            return axes

        return cls(draw, setup)


class Picture:
    """A matplotlib figure, and in words what a person sees in it.

    In a notebook it shows itself with the words as alternative text. With the
    environment variable COURSE_PLAIN_FIGURES set, it leaves out the HTML around the
    picture, which is how notebooks are stored.
    """

    def __init__(self, figure: Figure, alt: str):
        self.figure, self.alt = figure, alt

    @classmethod
    def of(
        cls,
        draw: Callable[[Any], str],
        *panels: dict[str, Any],
        height: float = 3.2,
    ) -> "Picture":
        """Of panels in a row that share y; draw(axes) draws, and says what is seen."""
        with matplotlib.rc_context(STILL):
            figure = Figure()
            words = draw(_lay_out(figure, panels, height, {"sharey": True}))
        return cls(figure, words)

    def __repr__(self) -> str:
        return self.alt

    def png(self) -> bytes:
        return png(self.figure, 100)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        picture = self.png()
        style = f"width:{100 * self.figure.get_figwidth():.0f}px"
        html = (
            f'{PAGE_STYLE}<div class="course-picture" style="{style}">'
            f"{image(picture, self.alt)}</div>"
        )
        return bundle(picture, self.alt, html)


def png(figure: Figure, dpi: float) -> bytes:
    """The figure as the bytes of a PNG with `dpi` pixels an inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def image(picture: bytes, alt: str) -> str:
    """An image with its words, as HTML."""
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return f'<img alt="{escape(alt)}" src="{source}">'


def bundle(picture: bytes, alt: str, html: str) -> dict[str, str]:
    """What a notebook shows: HTML, or the picture, or the words."""
    data = {"text/plain": alt, "image/png": base64.b64encode(picture).decode()}
    if not os.environ.get("COURSE_PLAIN_FIGURES"):
        data["text/html"] = html
    return data


def panel(
    title: str,
    x: tuple,
    y: tuple,
    *,
    xnames: Sequence[str] = (),
    ynames: Sequence[str] = (),
    grid: str = "xy",
    **more: Any,
) -> dict[str, Any]:
    """What stands still around the curves of one pair of axes.

    x, y: what lies along the axis; then, unless the curves decide, its two ends
    xnames, ynames: what is at 0, 1, 2 …
    grid: the axes across which there are lines
    more: as for matplotlib's `Axes.set`, such as xscale="log"
    """
    given = {"title": title, "grid": grid, **more}
    for name, (words, *ends), names in (("x", x, xnames), ("y", y, ynames)):
        given[f"{name}label"] = words
        if names:
            given |= {f"{name}ticks": range(len(names)), f"{name}ticklabels": names}
        if ends:
            given[f"{name}lim"] = ends
    return given


def _lay_out(figure: Figure, panels: tuple, height: float, layout: dict) -> Any:
    """One axes, or a tuple of them, as their panels say."""
    figure.set_size_inches(6.5, height)
    axes = tuple(figure.subplots(1, len(panels), squeeze=False, **layout)[0])
    for axis, given in zip(axes, panels, strict=True):
        across = given["grid"]
        axis.set(**{name: value for name, value in given.items() if name != "grid"})
        for name in {"x", "y"} - set(across):
            axis.grid(visible=False, axis=name)
    return axes if len(axes) > 1 else axes[0]


def label(axis: Axes, x: float, y: float, text: str):
    """Words beside a point, on the side of it where there is room."""
    left = x > 0
    axis.annotate(
        text,
        (x, y),
        xytext=(-9 if left else 9, 6 if y < 0.9 else -6),
        textcoords="offset points",
        ha="right" if left else "left",
        va="bottom" if y < 0.9 else "top",
    )
