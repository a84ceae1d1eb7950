"""One visual language for every figure, and the two kinds of figure: moving, and still.

A figure says what it shows in a headline, and in words what a person sees in it. What
its colours mean is in `palette`; what stands in its panels is in `marks`.
"""

import base64
import io
import os
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from PIL import Image

from course_lib.plots.palette import LANGUAGE, QUIET

WIDTH, SHARP = 100, 200  # pixels an inch: on the page, and in the file of a still

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
        says: str,
        shows: str,
        still: Callable[[Any], None] | None = None,
        height: float = 3.6,
        mosaic: str = "",
        **layout: Any,
    ) -> "Scene":
        """Of panels, as `panel` makes them, in a row.

        draw: gets their axes: one, or a tuple
        says, shows: the headline and the line below it, as for `headline`
        still: still(axes) draws what stands still in them
        height: in inches
        mosaic, layout: as for matplotlib's `Figure.subplot_mosaic`, if there are rows
        """

        def setup(figure: Figure) -> Any:
            figure.set_size_inches(6.5, height)
            headline(figure, says, shows)
            rows = mosaic or [range(len(panels))]
            axes = tuple(figure.subplot_mosaic(rows, **layout).values())
            for axis, given in zip(axes, panels, strict=True):
                _furnish(axis, given)
            axes = axes if len(axes) > 1 else axes[0]
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
        cls, draw: Callable[[Any], str], *panels: dict[str, Any], **given: Any
    ) -> "Picture":
        """Of panels; draw(axes) draws, and says in words what is seen.

        given: as for `Scene.of`
        """
        with matplotlib.rc_context(LANGUAGE):
            figure = Figure()
            axes = Scene.of(draw, *panels, **given).setup(figure)
            return cls(figure, draw(axes))

    def __repr__(self) -> str:
        return self.alt

    def png(self) -> bytes:
        return png(self.figure, SHARP)

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        picture, width = self.png(), round(WIDTH * self.figure.get_figwidth())
        html = (
            f'{PAGE_STYLE}<div class="course-picture" style="width:{width}px">'
            f"{image(picture, self.alt)}</div>"
        )
        return bundle(picture, self.alt, html, width)


def png(figure: Figure, dpi: float) -> bytes:
    """The figure as the bytes of a PNG with `dpi` pixels an inch, in 128 colours.

    They are chosen to cover all that occur, so that a word in a rare colour keeps it.
    """
    full, small = io.BytesIO(), io.BytesIO()
    # read again at once, so not worth packing
    figure.savefig(full, format="png", dpi=dpi, pil_kwargs={"compress_level": 0})
    drawn = Image.open(full).convert("RGB")
    few = drawn.quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(small, format="png", bits=8, compress_level=8)  # 9 takes 3 times as long
    return small.getvalue()


def image(picture: bytes, alt: str) -> str:
    """An image with its words, as HTML."""
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return f'<img alt="{escape(alt)}" src="{source}">'


def bundle(
    picture: bytes, alt: str, html: str, width: int, *, moves: bool = False
) -> tuple[dict, dict]:
    """What a notebook shows: HTML, or the picture, or the words; and how wide.

    width: of the picture on the page, in pixels; moves: it does when its cell is run
    """
    data = {"text/plain": alt, "image/png": base64.b64encode(picture).decode()}
    if html and not os.environ.get("COURSE_PLAIN_FIGURES"):
        data["text/html"] = html
    look = {"width": width} | ({"moves": True} if moves else {})
    return data, {"image/png": look}


def panel(
    title: str,
    x: tuple,
    y: tuple = (),
    *,
    xnames: Iterable[str] = (),
    ynames: Iterable[str] = (),
    grid: bool = True,
    foot: bool = True,
    **more: Any,
) -> dict[str, Any]:
    """What stands still around the curves of one pair of axes.

    x: what lies along the axis; then, unless the curves decide, its two ends
    y: its two ends, unless the curves decide; what lies along it is in the title
    xnames, ynames: what is at 0, 1, 2 …
    grid, foot: are there lines across, and one below?
    more: as for matplotlib's `Axes.set`, such as xscale="log"; xticks and yticks may be
        a dict of places with their words, and on a logarithmic scale are written out

    >>> panel("Loss", ("step",), xscale="log", xticks=(1, 100))["xticklabels"]
    ['1', '100']
    """
    given = {"title": title, "grid": grid, "foot": foot}
    for side, (words, *ends), names in (("x", x, xnames), ("y", ("", *y), ynames)):
        scale, ticks = (more.pop(f"{side}{what}", None) for what in ("scale", "ticks"))
        ticks = dict(enumerate(names)) or ticks
        if scale:  # before the ticks, which it would take back
            given[f"{side}scale"] = scale
        if scale == "log" and ticks and not isinstance(ticks, dict):
            ticks = {tick: f"{tick:g}" for tick in ticks}
        if ticks is not None:
            given[f"{side}ticks"] = [*ticks]
        if isinstance(ticks, dict):
            given[f"{side}ticklabels"] = [*ticks.values()]
        given[f"{side}label"] = words
        if ends:
            given[f"{side}lim"] = ends
    return given | more


BARE = {"grid": False, "foot": False, "xticks": (), "yticks": ()}  # of a panel


def _furnish(axis: Axes, given: dict[str, Any]):
    """Set what a panel says; between ticks of its own there are no minor ones."""
    lines = {"grid", "foot"}
    axis.set(**{name: value for name, value in given.items() if name not in lines})
    axis.grid(visible=given["grid"], axis="y")
    axis.spines["bottom"].set_visible(given["foot"])
    for side in (axis.xaxis, axis.yaxis):
        if {f"{side.axis_name}{what}" for what in ("scale", "ticks")} <= given.keys():
            side.minorticks_off()


def headline(figure: Figure, says: str, shows: str):
    """What the figure says, in a sentence; under it, in grey, what is drawn in what.

    Both begin at the left edge. Call it when the figure has its size: the layout
    leaves room for the lines.

    says: a finding that is true at every position of the figure's sliders
    shows: what is drawn, in which units, and how to read it; lines end with a newline
    """
    lines = shows.count("\n") + 1
    top = 1 - (28 + 13.5 * lines) / 72 / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, 0, 1, top))
    for text, down, look in (
        (says, 4, {"fontsize": 12.5, "fontweight": "bold"}),
        (shows, 23, {"color": QUIET, "linespacing": 1.3}),
    ):
        lower = ScaledTranslation(2 / 72, -down / 72, figure.dpi_scale_trans)
        place = figure.transFigure + lower
        figure.text(0, 1, text, transform=place, ha="left", va="top", **look)
