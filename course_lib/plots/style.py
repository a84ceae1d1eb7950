"""One visual language for every figure, and the two kinds of figure: moving, and still.

A colour means the same on every page, and no meaning hangs on a colour alone: each has
a line and a marker too (`MARK`), and each β a violet of its own that is always named.
A figure says what it shows in a headline, and in words what a person sees in it.
"""

import base64
import io
import math
import os
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib import cycler, font_manager
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import ScaledTranslation
from PIL import Image

# What a colour means. The page's filter turns each into its partner for dark pages.
INK = "#16181D"  # what is exact: π*, the frontier, a floor; and all other words
CHOSEN, REJECTED = "#174FB3", "#C94C00"
POLICY = "#0B8457"  # and every trained method
FAULTY = "#A80E7C"  # and what is foreign to the reference
REFERENCE = "#8B919B"  # and starts and bounds: marks, never words
QUIET = "#5B616B"  # words of second rank: never a line
FAINT = "#E6E9ED"  # grid and context: decoration
DASHES, DOTS, DASH_DOT = (0, (4, 1.6)), (0, (1, 1.4)), (0, (6, 1.2, 1, 1.2))
MARK = {  # how each meaning is drawn as a line or a point
    "chosen": {"color": CHOSEN, "ls": "-", "marker": "o"},
    "rejected": {"color": REJECTED, "ls": DASHES, "marker": "o", "mfc": "white"},
    "policy": {"color": POLICY, "ls": "-", "marker": "o"},
    "faulty": {"color": FAULTY, "ls": DASH_DOT, "marker": "X"},
    "reference": {"color": REFERENCE, "ls": DOTS, "marker": "s", "mfc": "white"},
    "exact": {"color": INK, "ls": "-", "lw": 1.2, "marker": "D"},
}
BETAS = 0.02, 1.0  # the ends of the ramp, on a logarithmic scale
RAMP = LinearSegmentedColormap.from_list(
    "beta", ("#CC70C6", "#9C50D2", "#6240C6", "#35309A", "#12123C")
)
HALO = {"path_effects": [withStroke(linewidth=3, foreground="white")]}  # of words
THIN = "\u202f"  # the narrow no-break space of "12\u202f%" and "1\u202f000"
WIDTH, SHARP = 100, 200  # pixels an inch: on the page, and in the file of a still

for face in sorted(Path(__file__).with_name("fonts").glob("*.otf")):
    font_manager.fontManager.addfont(face)
LANGUAGE = {
    "axes.axisbelow": True,
    "axes.edgecolor": REFERENCE,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": QUIET,
    "axes.prop_cycle": cycler(color=(CHOSEN, REJECTED, POLICY, FAULTY, INK)),
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "font.family": ["Course Sans", "DejaVu Sans"],  # the second for ∇ ≻ ∈ ∥
    "font.size": 9.5,
    "grid.color": FAINT,
    "grid.linewidth": 0.9,
    "hatch.linewidth": 1.2,
    "legend.frameon": False,
    "lines.linewidth": 2.2,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "xaxis.labellocation": "left",
    "xtick.color": REFERENCE,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}
in_language = matplotlib.rc_context(LANGUAGE)  # decorates what draws a figure

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
        says: str = "",
        shows: str = "",
        still: Callable[[Any], None] | None = None,
        height: float = 3.6,
        **layout: Any,
    ) -> "Scene":
        """Of panels in a row, as `panel` makes them.

        draw: gets their axes: one, or a tuple
        says, shows: the headline and the line below it, as for `headline`
        still: still(axes) draws what stands still in them
        height: in inches; layout: as for matplotlib's `Figure.subplots`
        """

        def setup(figure: Figure) -> Any:
            axes = _lay_out(figure, panels, height, layout)
            if says:
                headline(figure, says, shows)
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
        says: str = "",
        shows: str = "",
        height: float = 3.6,
        **layout: Any,
    ) -> "Picture":
        """Of panels in a row; draw(axes) draws, and says in words what is seen.

        The rest is as for `Scene.of`.
        """
        with matplotlib.rc_context(LANGUAGE):
            figure = Figure()
            axes = _lay_out(figure, panels, height, layout)
            if says:
                headline(figure, says, shows)
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
    figure.savefig(full, format="png", dpi=dpi)
    drawn = Image.open(full).convert("RGB")
    few = drawn.quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(small, format="png", optimize=True, bits=8)
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
    if not os.environ.get("COURSE_PLAIN_FIGURES"):
        data["text/html"] = html
    look = {"width": width} | ({"moves": True} if moves else {})
    return data, {"image/png": look}


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


def beta_color(beta: float) -> str:
    """The violet of this β, the same on every page: pale at 0.02, nearly ink at 1.

    beta: > 0; beyond the ends of the ramp it has the colour of the nearer end
    raises: ValueError for a β of 0 or less

    >>> beta_color(0.02), beta_color(1.0) == beta_color(5.0)
    ('#cc70c6', True)
    """
    if not beta > 0:
        raise ValueError(f"beta must be above 0, got {beta}")
    low, high = BETAS
    share = math.log(beta / low) / math.log(high / low)
    return to_hex(RAMP(min(1.0, max(0.0, share))))


def number(value: float, form: str = ".2f") -> str:
    """A number with a true minus, and narrow spaces between thousands.

    form: as for `format`

    >>> number(-1234.5, ",.1f") == f"−1{THIN}234.5"
    True
    """
    return format(value, form).replace("-", "−").replace(",", THIN)


def percent(share: float, digits: int = 0) -> str:
    """A share as a percentage; one that rounds to nothing and is not 0 says so.

    >>> [percent(share).replace(THIN, " ") for share in (0.573, 0.002, 0.0)]
    ['57 %', '< 1 %', '0 %']
    """
    told = number(100 * share, f".{digits}f")
    least = number(10.0**-digits, f".{digits}f")
    small = share > 0 and float(told) == 0
    return f"< {least}{THIN}%" if small else f"{told}{THIN}%"


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


def name(axis: Axes, x: float, y: float, text: str, color: str = INK, **more: Any):
    """Words beside a line or a point, in its colour, in place of a legend.

    more: `at`, the way from the point in points, (6, 0) if left out; and what
        matplotlib's `Axes.annotate` takes
    """
    at = more.pop("at", (6, 0))
    look = {"va": "center", "ha": "left" if at[0] >= 0 else "right"} | more
    axis.annotate(
        text,
        (x, y),
        at,
        textcoords="offset points",
        color=color,
        annotation_clip=False,
        **look,
    )


def names(axis: Axes, ends: Sequence[tuple[float, float, str, str]], gap: float):
    """Words at the right ends of lines, moved up or down as little as they must be.

    ends: x, y, text and colour of each
    gap: how far apart they must be at least, in y; on a logarithmic axis, in decades
    """
    scale = axis.yaxis.get_transform()
    ends = sorted(ends, key=lambda end: end[1])
    heights = scale.transform([y for _, y, *_ in ends])
    places = scale.inverted().transform(spread([float(y) for y in heights], gap))
    for (x, _, text, color), y in zip(ends, places, strict=True):
        name(axis, x, float(y), text, color)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """The places nearest to `heights`, by least squares, that are `gap` apart.

    heights: in ascending order

    >>> spread([0.0, 0.0, 5.0], gap=1.0)
    [-0.5, 0.5, 5.0]
    """
    groups: list[list[float]] = []  # of heights less their gaps; a group moves as one
    for number, height in enumerate(heights):
        groups.append([height - number * gap])
        while len(groups) > 1 and _mean(groups[-2]) > _mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    places = [_mean(group) for group in groups for _ in group]
    return [place + number * gap for number, place in enumerate(places)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def arrow(
    axis: Axes, start: tuple, end: tuple, text: str = "", color: str = INK, **more: Any
):
    """A push, or a way gone, in the colour of what moves, with its number at the tip.

    Shorter than its head it could not be read: then there are only the words. Call it
    where the axes have their limits.

    start, end: points, (x, y); more: as for `name`
    """
    head = 6.3  # points
    ends = axis.transData.transform([start, end]) * 72 / axis.figure.dpi
    if math.dist(*ends) >= head:
        look = {"arrowstyle": f"-|>,head_width={head / 28},head_length={head / 14}"}
        look |= {"color": color, "lw": 2.2, "shrinkA": 0, "shrinkB": 0}
        look["mutation_scale"] = 14
        axis.annotate("", end, start, arrowprops=look, annotation_clip=False)
    if text:
        name(axis, *end, text, color, **more)


def dot(axis: Axes, x: float, y: float, meaning: str = "exact", **more: Any):
    """The point that moves, above all lines, with a white ring.

    meaning: of `MARK`; more: as for matplotlib's `Axes.plot`
    """
    mark = {key: MARK[meaning][key] for key in ("color", "marker")}
    look = {"ms": 10, "mec": "white", "mew": 1.6, "zorder": 6, "clip_on": False}
    if "mfc" in MARK[meaning]:  # hollow: its ring is the mark
        look |= {"mfc": "white", "mec": mark["color"]}
    axis.plot([x], [y], ls="none", **(mark | look | more))
