"""Chapter 10: which pairs push their own chosen answer down."""

from collections.abc import Mapping

import torch
from matplotlib.axes import Axes

from course_lib.limits.displacement import PairGeometry
from course_lib.plots.marks import name, percent
from course_lib.plots.palette import CHOSEN, DOTTED, FAINT, INK, QUIET, REJECTED
from course_lib.plots.style import Scene, panel

LOW, HIGH = 0.2, 5.0  # of the ratio of two lengths


def phase_map(models: Mapping[str, PairGeometry]) -> Scene:
    """Pairs by the angle and the lengths of their two gradients, and who falls.

    models: by name, the geometry of the same pairs, each (pairs,)
    slider: model, one of the names
    """
    cosines = torch.linspace(LOW, 1, 100, dtype=torch.float64)

    def still(axis: Axes):
        axis.fill_between(cosines, 1 / cosines, HIGH, color=FAINT, lw=0)
        axis.plot(cosines, 1 / cosines, color=INK, lw=1.2)
        axis.axhline(1, lw=1, **DOTTED)
        words = {"at": (0, 0), "ha": "center", "bold": True}
        name(axis, 0.72, 3.6, "chosen falls", REJECTED, **words)
        name(axis, -0.55, 3.6, "chosen rises", CHOSEN, **words)
        name(axis, -1, 1, "equal lengths", QUIET, at=(4, 7))

    def draw(axis: Axes, model: str) -> str:
        cosine, ratio, push = models[model]
        for falls, look in (
            (False, {"color": CHOSEN, "ms": 2.6}),
            (True, {"color": REJECTED, "ms": 4.5, "mfc": "white", "mew": 1.3}),
        ):
            kind = (push < 0) == falls
            axis.plot(cosine[kind], ratio[kind], "o", **look)
        count, low = len(push), int((push < 0).sum())
        most = float((ratio * cosine).max())
        return (
            f"{model[0].upper()}{model[1:]}: a small step on a pair lowers its own "
            f"chosen answer in {low} of {count:,} pairs, {percent(low / count, 1)}. "
            f"The largest ratio times cosine is {most:.2f}."
        )

    return Scene.of(
        draw,
        panel(
            "Length of the rejected answer’s gradient over the chosen one’s",
            ("cosine of the angle between the two gradients", -1, 1),
            (LOW, HIGH),
            yscale="log",
            yticks=(0.2, 0.5, 1, 2, 5),
            grid=False,
        ),
        says="A pair lowers its chosen answer where ratio times cosine is above 1",
        shows="Each point is a pair: the gradients of log π of its two answers. Line: "
        "ratio × cosine = 1.\n○ the chosen answer falls; ● it rises, to first order "
        "in the step.",
        still=still,
        height=4.2,
    )
