"""Chapter 06: which variant, on the evidence of which runs."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from course_lib.datasets import Run
from course_lib.guide import NAMES, QUESTIONS, Advice, Evidence, advise
from course_lib.plots.style import BLUE, GREY, ORANGE, Scene, panel

ANSWERS = [answer for answers in QUESTIONS.values() for answer in answers]
LABELS = {"distance": "KL(π‖π*) (nats)", "shortfall": "shortfall (reward)"}
UNIT = {"distance": "nats from π*", "shortfall": "of reward left"}
BEST = {"color": ORANGE, "marker": "*", "ms": 12, "ls": "none"}
TIED = {"color": BLUE, "marker": "s", "ms": 6, "ls": "none"}
WORSE = {"color": GREY, "marker": "o", "ms": 5, "ls": "none"}


def decision_guide(runs: Sequence[Run], field: str = "distance") -> Scene:
    """The variants that can be used, by their runs, and what another answer changes.

    On the left a variant without a mark cannot be used, or was not measured. On the
    right the answers given have a star, and the others a mark and a name where they
    would change the advice.

    runs: of `datasets.shipped_runs("variants")`; field: as for `guide.advise`
    sliders: data, noise, reference, length, ask: answers of `guide.QUESTIONS`; the
        first of them where there is no slider
    """
    x = LABELS[field], *((0.1, 6) if field == "distance" else (0.02, 3))
    left = _rows("Usable ones, on their worst data", x, [*NAMES.values()])
    right = _rows("One answer changed", x, ANSWERS)

    def still(axes: tuple[Axes, Axes]):
        left, right = axes
        left.plot([], [], **BEST, label="advised")
        left.plot([], [], **TIED, label="a tie: seeds overlap")
        left.plot([], [], **WORSE, label="others")
        left.figure.legend(loc="outside lower center", ncols=3)
        for axis in axes:
            axis.minorticks_off()
            axis.tick_params("y", labelsize=9)
        edge = -0.5
        for answers in QUESTIONS.values():
            right.axhline(edge, color=GREY, lw=0.8)
            edge += len(answers)

    def draw(axes: tuple[Axes, Axes], **given: str) -> str:
        advice = advise(runs, field=field, **given)
        _usable(axes[0], advice)
        _changes(axes[1], advice)
        return _said(advice, field)

    return Scene.of(draw, left, right, still=still, height=4.2)


def _rows(title: str, x: tuple, names: list[str]) -> dict:
    ticks = {"xticks": (0.1, 0.3, 1, 3), "xticklabels": ("0.1", "0.3", "1", "3")}
    return panel(title, x, ("", 13.6, -0.6), ynames=names, xscale="log", **ticks)


def _usable(axis: Axes, advice: Advice):
    """The variants that can be used, each on its worst data."""
    rows = {name: row for row, name in enumerate(NAMES)}
    best = advice.ranking[:1]
    tied = [cell for cell in advice.ranking if cell.variant in advice.tied]
    worse = [cell for cell in advice.ranking[1:] if cell not in tied]
    for cells, style in ((worse, WORSE), (tied, TIED), (best, BEST)):
        at = [rows[cell.variant] for cell in cells]
        ends = [x for c in cells for x in (c.low, c.high, math.nan)]
        axis.plot(ends, np.repeat(at, 3), color=style["color"], lw=1.5)
        axis.plot([c.mean for c in cells], at, **style)
    if not best:
        middle = {"transform": axis.transAxes, "ha": "center"}
        axis.text(0.5, 0.5, "none can be used", **middle)


def _changes(axis: Axes, advice: Advice):
    """The answers that were given, and those that would change the advice."""
    given, changes = [], {}
    for row, answer in enumerate(ANSWERS):
        other = advice.instead.get(answer)
        if answer not in advice.instead:
            given.append(row)
        elif (other and other.variant) != advice.variant:
            changes[row] = other
    for cell in advice.ranking[:1]:
        axis.plot([cell.mean] * len(given), given, **BEST)
    can = {row: cell.mean for row, cell in changes.items() if cell}
    axis.plot([*can.values()], [*can], **WORSE)
    for row, cell in changes.items():
        _beside(axis, row, cell)


def _beside(axis: Axes, row: int, best: Evidence | None):
    """The name of what would be advised, where there is room for it."""
    if best is None:
        axis.text(0.5, row, "none", transform=axis.get_yaxis_transform(), va="center")
        return
    low, high = axis.get_xlim()
    left = best.mean**2 > low * high  # on a logarithmic scale
    axis.annotate(
        NAMES[best.variant],
        (best.mean, row),
        xytext=(-6 if left else 6, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontsize=9,
    )


def _said(advice: Advice, field: str) -> str:
    """The variant, its cells, who ties with it, and what would change the answer."""
    changes = {
        answer: NAMES[best.variant] if best else "none"
        for answer, best in advice.instead.items()
        if (best and best.variant) != advice.variant
    }
    if not advice.ranking:
        usable = [f"“{answer}”" for answer, name in changes.items() if name != "none"]
        return (
            "None of the variants that ran can be used with these answers. One other "
            f"answer is enough: {' or '.join(usable) or 'but no single one'}."
        )
    name, best = NAMES[advice.variant], advice.ranking[0]
    cells = ", ".join(f"{c.data} {c.mean:.2f}" for c in advice.because)
    said = f"{name}: {cells} {UNIT[field]}, seeds {best.low:.2f} to {best.high:.2f}"
    if advice.tied:
        others = [NAMES[v] for v in advice.tied]
        more = f" and {len(others) - 2} more" if len(others) > 2 else ""
        said += f". A tie in these runs with {', '.join(others[:2])}{more}"
    elif advice.ranking[1:]:
        second = advice.ranking[1]
        said += f"; next {NAMES[second.variant]}, {second.mean:.2f}, in no seed as good"
    if not advice.together:
        said += ". No run has all of this at once: the worst single cell decides"
    if advice.missing:
        said += f". No run has: {', '.join(advice.missing)}"
    if changes:
        answer, other = next(iter(changes.items()))
        more = f"; {len(changes) - 1} other answers change it too"
        more = "" if len(changes) == 1 else more
        said += f". With “{answer}” it would be {other}{more}"
    return said + "."
