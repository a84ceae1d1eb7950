"""Chapter 08: what a sample of comparisons says, and what it leaves open."""

from collections.abc import Callable

import torch
from matplotlib.axes import Axes

from course_lib.metrics import wilson_interval
from course_lib.plots.marks import name
from course_lib.plots.palette import DOTTED, FAINT, INK, QUIET
from course_lib.plots.style import Scene, panel

Z = 1.96  # 95 %


def rates_left_open(interval: Callable = wilson_interval) -> Scene:
    """The win rates that a share of wins does not refute, against the comparisons.

    interval: interval(share, count, z) of shape (batch, 2), the function to draw
    slider: share, of the comparisons won, within 0 to 1
    """
    counts = torch.logspace(0.6021, 3.3011, 60, dtype=torch.float64)  # 4 to 2,000

    def draw(axis: Axes, share: float) -> str:
        low, high = interval(torch.full_like(counts, share), counts, Z).T
        axis.fill_between(counts, low, high, color=FAINT, lw=0)
        axis.plot(counts, low, color=INK, lw=1.2)
        axis.plot(counts, high, color=INK, lw=1.2)
        error = Z * (share * (1 - share) / counts).sqrt()
        for side in (-1, 1):
            axis.plot(counts, share + side * error, **DOTTED)
        told = []
        for count in (10, 100, 1000):
            ends = interval(counts.new_tensor([share]), counts.new_tensor([count]), Z)
            told.append(" to ".join(f"{100 * end:.1f} %" for end in ends[0].abs()))
        return (
            f"With {100 * share:.0f} % won, 10 comparisons leave {told[0]} open, 100 "
            f"leave {told[1]}, 1,000 leave {told[2]}."
        )

    def still(axis: Axes):
        axis.axhline(0.5, lw=1, **DOTTED)
        name(axis, 2000, 0.5, "even", QUIET, at=(-2, -8), ha="right")

    return Scene.of(
        draw,
        panel(
            "Win rates that the sample does not refute, at 95 %",
            ("comparisons", 4, 2000),
            (-0.15, 1.15),
            xscale="log",
            xticks={10: "10", 100: "100", 1000: "1,000"},
            yticks={0: "0", 0.25: "25 %", 0.5: "50 %", 0.75: "75 %", 1: "100 %"},
        ),
        says="More comparisons leave fewer win rates open",
        shows="Shaded: the rates within 1.96 of their own standard errors. Dotted: "
        "with the sample’s error,\nwhich can leave no room, or room beyond 0 and 1.",
        still=still,
    )
