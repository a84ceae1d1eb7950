"""Chapter 07: what a trainer's parts do."""

import itertools
from collections.abc import Callable, Sequence

import torch
from matplotlib.axes import Axes

from course_lib.baselines import clipped_policy_loss
from course_lib.batches import part_mask
from course_lib.plots.style import BLUE, GREY, ORANGE, Picture, Scene, panel

NAMES = ("prompt", "chosen", "rejected")
ROW = ("film", "very", "good", "!", "bad", "(end)")  # a pair of World S
PARTS = (0, 1, 1, 1, 2, 2)


def who_sees_whom(
    mask: Callable = part_mask,
    tokens: Sequence[str] = ROW,
    parts: Sequence[int] = PARTS,
) -> Picture:
    """The mask of one row [prompt, chosen, rejected], as a grid of queries and keys.

    mask: mask(parts), the function to draw
    tokens: of the row; parts: to which part each belongs: 0, 1 or 2, in that order
    """
    seen = mask(torch.tensor([parts]))[0]
    size = len(parts)
    cuts = [place for place in range(1, size) if parts[place] != parts[place - 1]]

    def draw(axis: Axes) -> str:
        axis.set_aspect("equal")
        for query, key in seen.nonzero().tolist():
            prompt = parts[key] == 0
            color, hatch = (ORANGE, "///") if prompt else (BLUE, None)
            style = {"color": color, "hatch": hatch, "edgecolor": "white"}
            axis.bar(key, 0.86, 0.86, query - 0.43, **style)
        for place in cuts:
            axis.axhline(place - 0.5, color=GREY, lw=0.8)
            axis.axvline(place - 0.5, color=GREY, lw=0.8)
        for part, first in enumerate([0, *cuts]):
            axis.text(size - 0.35, first, NAMES[part], va="center", color=GREY)
        crossed = [
            (query, key)
            for query, key in seen.nonzero().tolist()
            if (parts[query], parts[key]) == (2, 1)
        ]
        told = "; ".join(
            f"{query} sees {', '.join(itertools.compress(tokens, row))}"
            for query, row in zip(tokens, seen.tolist(), strict=True)
        )
        return (
            f"A grid of {size} queries by {size} keys: {told}. Cells in which the "
            f"rejected answer sees the chosen one: {len(crossed)}."
        )

    x = "key: the token that is read\n(hatched: of the prompt)", -0.5, size - 0.5
    y = "query: the token that reads", size - 0.5, -0.5
    names = {"xnames": tokens, "ynames": tokens}
    title = "An answer reads its prompt and itself"
    around = panel(title, x, y, grid="", axisbelow=True, **names)
    return Picture.of(draw, around, height=4.2)


def clipped_steps(loss: Callable = clipped_policy_loss) -> Scene:
    """PPO's loss of one response against the ratio of its chances, for either sign.

    loss: loss(logps, old_logps, advantages, clip), the function to draw
    sliders: ratio, new chance over old, within 0.2 to 2; clip, within 0.1 to 0.4
    """
    grid = torch.linspace(0.2, 2, 91, dtype=torch.float64)
    zero = grid.new_zeros(1)

    def curve(ratios, advantage, clip):
        return [
            float(loss(ratio.log()[None], zero, zero + advantage, clip))
            for ratio in ratios
        ]

    x, y = ("ratio ρ (new chance / old chance)", 0.1, 2.1), "loss (unit of the reward)"
    left = panel("A = 1: no gain beyond the clip", x, (y, -2.1, 0.1))
    right = panel("A = −1: no gain below it", x, (y, -0.1, 2.1))

    def still(axes: tuple[Axes, Axes]):
        for axis in axes:
            axis.axvline(1, color=GREY, lw=0.8)

    def draw(axes: tuple[Axes, Axes], ratio: float, clip: float) -> str:
        told = []
        for axis, advantage, color in zip(axes, (1, -1), (BLUE, ORANGE), strict=True):
            axis.axvspan(1 - clip, 1 + clip, color=GREY, alpha=0.15, lw=0)
            axis.plot(grid, [-advantage * x for x in grid], ":", color=GREY, lw=1.2)
            axis.plot(grid, curve(grid, advantage, clip), color=color)
            here = grid.new_tensor([ratio]).log().requires_grad_()
            value = loss(here, zero, zero + advantage, clip)
            (slope,) = torch.autograd.grad(value, here)
            axis.plot(ratio, value.item(), "o", color=color)
            word = "flat" if abs(slope.item()) < 1e-6 else "sloped"
            told.append(f"{value.item():.3f} and {word} for A = {advantage:g}")
        sentence = (
            f"At a ratio of {ratio:.2f}, with the ratio clipped to {1 - clip:.1f} to "
            f"{1 + clip:.1f}, the loss is {', '.join(told)}. Where it is flat the "
            "response pushes no more."
        )
        return sentence.replace("-", "−")

    return Scene.of(draw, left, right, still=still)
