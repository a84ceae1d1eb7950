"""One style for every figure, and the two kinds of figure: still, and moving.

Colours survive colour-blindness (Okabe and Ito); series differ in line style or marker
too. Every figure says in words what a person sees in it.
"""

import base64
import io
import os
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["Picture", "Scene"]

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5F6368"
STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.alpha": 0.25,
    "lines.linewidth": 2,
}
RULES = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
PAGE_STYLE = f"<style>{RULES}</style>"


class Scene(NamedTuple):
    """A figure that moves: `slider_plot(*scene, beta=LogSlider(0.01, 10))`.

    draw: draw(axes, **values) draws what moves and says in words what is seen
    setup: setup(figure) draws what stands still and returns the axes
    """

    draw: Callable[..., str]
    setup: Callable[[Figure], Axes]


class Picture:
    """A matplotlib figure, and in words what a person sees in it.

    In a notebook it shows itself with the words as alternative text. With the
    environment variable COURSE_PLAIN_FIGURES set, it leaves out the HTML around the
    picture, which is how notebooks are stored.
    """

    def __init__(self, figure: Figure, alt: str):
        self.figure, self.alt = figure, alt

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


def still_figure(height: float = 3.2, panels: int = 1) -> tuple[Figure, Any]:
    """A figure in the course's style: with its axes, or a row of them that share y."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.5, height))
        return figure, figure.subplots(1, panels, sharey=True)


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
