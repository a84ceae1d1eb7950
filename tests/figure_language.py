"""What every figure keeps to: a headline, known colours, and words that can be read."""

import io
import itertools
import re
from collections.abc import Iterator

import matplotlib
from matplotlib.figure import Figure
from matplotlib.text import Text

from course_lib.plots import palette

PALETTE = {
    "chosen": palette.CHOSEN,
    "rejected": palette.REJECTED,
    "policy": palette.POLICY,
    "faulty": palette.FAULTY,
    "reference": palette.REFERENCE,
    "exact": palette.INK,
}
SHOWN = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)  # β with lines of their own
KNOWN = {color.lower() for color in PALETTE.values()}
KNOWN |= {palette.QUIET.lower(), palette.FAINT.lower(), "#ffffff"}


def faults_of(figure: Figure, beta: float | None = None) -> Iterator[str]:
    """Where a figure leaves the language of all others.

    beta: if it is given, colours are looked at too: all of its files' are known ones,
        and that of this β may be among them
    """
    with matplotlib.rc_context(palette.LANGUAGE):
        says, shows = figure.texts[:2]
        if (says.get_fontsize(), says.get_weight()) != (12.5, "bold"):
            yield "no headline"
        if says.get_text()[-1] in ".:":
            yield "a full stop after the headline"
        if shows.get_fontsize() != 9.5:
            yield "no line below the headline"
        if figure.legends or any(axis.get_legend() for axis in figure.axes):
            yield "a legend"
        yield from badly_set(figure)
        if beta is None:
            return
        svg = io.StringIO()
        figure.savefig(svg, format="svg")
    yield from foreign_colours(svg.getvalue(), beta)


def foreign_colours(svg: str, beta: float) -> Iterator[str]:
    used = set(re.findall(r"#[0-9a-f]{6}\b", svg.lower()))
    ramp = {palette.beta_color(shown) for shown in (*SHOWN, beta)}
    yield from (f"a foreign colour: {color}" for color in used - ramp - KNOWN)


def badly_set(figure: Figure) -> Iterator[str]:
    """Words that are small, cut off, or over another."""
    was = figure.dpi
    figure.set_dpi(200)  # as it is looked at: on whole pixels letters are wider
    figure.draw_without_rendering()
    boxes = []
    for text in shown_words(figure):
        if not text.get_text().strip() or not text.get_visible():
            continue
        if text.get_fontsize() < 8.5:
            yield f"small: {text.get_text()}"
        boxes.append((text.get_text(), text.get_window_extent()))
    page = figure.bbox
    for words, box in boxes:
        across = page.x0 <= box.x0 and box.x1 <= page.x1
        if not (across and page.y0 <= box.y0 and box.y1 <= page.y1):
            yield f"cut off: {words}"
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        if not (a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0):
            yield f"over each other: {one!r} and {other!r}"
    figure.set_dpi(was)


def shown_words(figure: Figure) -> Iterator[Text]:
    """Every text that is seen: words, and ticks within their axis."""
    beyond = set()
    for side in (side for axis in figure.axes for side in (axis.xaxis, axis.yaxis)):
        low, high = sorted(side.get_view_interval())
        reach = 1e-9 * (high - low)
        for tick in (*side.get_major_ticks(), *side.get_minor_ticks()):
            inside = low - reach <= tick.get_loc() <= high + reach
            if not (inside and tick.get_visible()):
                beyond |= {tick.label1, tick.label2}
    yield from (text for text in figure.findobj(Text) if text not in beyond)
