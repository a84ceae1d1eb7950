"""What stands in the panels of a figure: numbers, words at a line, arrows and dots."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from course_lib.plots.palette import INK, MARK

THIN = "\u202f"  # the narrow no-break space of "12\u202f%" and "1\u202f000"
BOLD = {"fontweight": "bold"}
HALO = {"path_effects": [withStroke(linewidth=3, foreground="white")]}


def number(value: float, form: str = ".2f") -> str:
    """A number with a true minus, and narrow spaces between thousands.

    form: as for `format`

    >>> number(-1234.5, ",.1f") == f"−1{THIN}234.5"
    True
    """
    return format(value, form).replace("-", "−").replace(",", THIN)


def percent(share: float, digits: int = 0) -> str:
    """A share ≥ 0 as a percentage; one that rounds to nothing and is not 0 says so.

    >>> [percent(share).replace(THIN, " ") for share in (0.573, 0.002, 0.0)]
    ['57 %', '< 1 %', '0 %']
    """
    told = number(100 * share, f".{digits}f")
    least = number(10.0**-digits, f".{digits}f")
    small = share > 0 and float(told) == 0
    return f"< {least}{THIN}%" if small else f"{told}{THIN}%"


def percents(*shares: float) -> dict[float, str]:
    """Ticks of a `panel`: each share with its words."""
    return {share: percent(share) for share in shares}


def name(
    axis: Axes,
    x: float,
    y: float,
    text: str,
    color: str = INK,
    *,
    at: tuple[float, float] = (6, 0),
    bold: bool = False,
    halo: bool = False,
    **more: Any,
):
    """Words beside a line or a point, in its colour, in place of a legend.

    at: the way from the point, in points
    halo: white, where the words lie on lines
    more: as for matplotlib's `Axes.annotate`
    """
    look = {"va": "center", "ha": "left" if at[0] >= 0 else "right"}
    look |= (BOLD if bold else {}) | (HALO if halo else {}) | more
    look |= {"textcoords": "offset points", "annotation_clip": False}
    axis.annotate(text, (x, y), at, color=color, **look)


def names(
    axis: Axes, ends: Sequence[tuple[float, float, str, str]], gap: float, **more: Any
):
    """Words at the ends of lines, moved up or down as little as they must be.

    ends: x, y, text and colour of each
    gap: how far apart they must be at least, in y; on a logarithmic axis, in decades
    more: as for `name`
    """
    scale = axis.yaxis.get_transform()
    ends = sorted(ends, key=lambda end: end[1])
    heights = scale.transform([y for _, y, *_ in ends])
    places = scale.inverted().transform(spread([float(y) for y in heights], gap))
    for (x, _, text, color), y in zip(ends, places, strict=True):
        name(axis, x, float(y), text, color, **more)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """The places nearest to `heights`, by least squares, that are `gap` apart.

    heights: in ascending order

    >>> spread([0.0, 0.0, 5.0], gap=1.0)
    [-0.5, 0.5, 5.0]
    """
    groups: list[list[float]] = []  # of heights less their gaps; a group moves as one
    for above, height in enumerate(heights):
        groups.append([height - above * gap])
        while len(groups) > 1 and fmean(groups[-2]) > fmean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    places = [fmean(group) for group in groups for _ in group]
    return [place + above * gap for above, place in enumerate(places)]


def beside_bars(count: int, width: float) -> tuple[float, float]:
    """The ends of an axis of bars at 0, 1, 2 …, with matplotlib's margin.

    Left to matplotlib, they would be known only after a draw for every slider value.
    """
    room = width / 2 + 0.05 * (count - 1 + width)
    return -room, count - 1 + room


def arrow(
    axis: Axes, start: tuple, end: tuple, text: str = "", color: str = INK, **more: Any
):
    """A push, or a way gone, in the colour of what moves, with its number at the tip.

    An arrow shorter than its head is left out, and only the words are drawn. Call it
    once the axes have their limits.

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
