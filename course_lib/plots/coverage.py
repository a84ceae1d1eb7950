"""Chapter 10: how far pairs take a policy, and which answers they never mention."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from torch import Tensor

from course_lib.plots.marks import name, number
from course_lib.plots.palette import POLICY
from course_lib.plots.style import Scene, panel

LOOKS = (  # who draws the pairs: how the line is drawn
    {"lw": 2.2, "marker": "o", "ms": 5},
    {"lw": 1.1, "marker": "o", "ms": 5, "mfc": "white"},
)
WRITERS = "the reference’s pairs", "pairs of its own"


class Reached(NamedTuple):
    """Distances from π* of one class of rewards, (betas, seeds, counts), nats."""

    reference: Tensor  # by pairs that the reference draws
    own: Tensor  # by pairs that the policy draws itself


def reach_of_pairs(
    counts: Sequence[int], betas: Sequence[float], table: Reached, shared: Reached
) -> Scene:
    """How near pairs of the reference and pairs of its own take a policy to π*.

    counts: numbers of pairs; betas: which of them are measured
    table: with a reward of its own for every answer; shared: with rewards that answers
        share, such as one for each word
    slider: beta, one of betas
    """

    def draw(axes: tuple[Axes, Axes], beta: float) -> str:
        place, told = list(betas).index(beta), []
        for axis, reached in zip(axes, (table, shared), strict=True):
            for found, look in zip(reached, LOOKS, strict=True):
                seeds = found[place]  # (seeds, counts)
                low, high = seeds.amin(0), seeds.amax(0)
                axis.fill_between(counts, low, high, color=POLICY, alpha=0.18, lw=0)
                axis.plot(counts, seeds.mean(0), color=POLICY, **look)
                ends = f"{low[-1]:.2g} to {high[-1]:.2g}"
                told.append(f"{number(float(seeds[:, -1].mean()), '.2g')} ({ends})")
            first, last = (found[place].mean(0)[-1] for found in reached)
            apart = max(first, last) / min(first, last) > 1.6
            labels = zip(WRITERS, (first, last), (9, -10), strict=True)
            for words, y, side in labels if apart else [("both", last, -12)]:
                at = (0, side)
                name(axis, counts[-1], float(y), words, POLICY, at=at, ha="right")
        return (
            f"At β = {beta:g}, {counts[-1]:,} pairs of the reference leave {told[0]} "
            f"nats, and pairs of its own {told[1]}, with a reward for each answer. "
            f"With one for each word it is {told[2]} and {told[3]}."
        )

    ends = ("pairs", counts[0] * 0.8, counts[-1] * 1.25), (0.007, 40)
    look = {"xscale": "log", "xticks": {n: f"{n:,}" for n in (100, 1000, 10_000)}}
    look |= {"yscale": "log", "yticks": (0.01, 0.1, 1, 10)}
    return Scene.of(
        draw,
        panel("A reward for each answer", *ends, **look),
        panel("A reward for each word", *ends, **look),
        says="Pairs of its own pay where answers share what is learned",
        shows="KL(π‖π*), nats, against the number of labelled pairs: mean, lowest and "
        "highest of the seeds.\n● the reference draws the pairs    ○ the policy draws "
        "them, anew at every point",
        sharey=True,
    )
