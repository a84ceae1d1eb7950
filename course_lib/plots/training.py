"""Chapter 07: what a trainer's parts do."""

import itertools
from collections.abc import Callable, Sequence

import torch
from matplotlib.axes import Axes

from course_lib.baselines import clipped_policy_loss
from course_lib.batches import part_mask
from course_lib.plots.marks import arrow, dot, name, number
from course_lib.plots.palette import (
    CHOSEN,
    DOTTED,
    FAINT,
    HATCHED,
    INK,
    POLICY,
    QUIET,
    REFERENCE,
    REJECTED,
)
from course_lib.plots.style import Picture, Scene, panel

PARTS_OF_ROW = (("prompt", QUIET), ("chosen", CHOSEN), ("rejected", REJECTED))
CELLS = (  # what is read: a token of the prompt, of the chosen, of the rejected answer
    {"facecolor": FAINT, "edgecolor": REFERENCE, "lw": 1.2},
    {"facecolor": CHOSEN, "edgecolor": CHOSEN, "lw": 1.2},
    {"facecolor": "white", "edgecolor": REJECTED, "lw": 2.2},
)
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
        axis.tick_params(length=0)
        crossed = 0
        for query, key in seen.nonzero().tolist():
            wrong = (parts[query], parts[key]) == (2, 1)
            cell = HATCHED if wrong else CELLS[parts[key]]
            axis.bar(key, 0.8, 0.8, query - 0.4, **cell)
            crossed += wrong
        for place in cuts:
            axis.axhline(place - 0.5, color=REFERENCE, lw=0.8)
            axis.axvline(place - 0.5, color=REFERENCE, lw=0.8)
        for first, words in zip([0, *cuts], PARTS_OF_ROW, strict=False):
            name(axis, size - 0.5, first, *words, bold=True)
        ticks = [*axis.get_xticklabels(), *axis.get_yticklabels()]
        for tick, part in zip(ticks, [*parts, *parts], strict=True):
            tick.set_color(PARTS_OF_ROW[part][1])
        told = "; ".join(
            f"{query} sees {', '.join(itertools.compress(tokens, row))}"
            for query, row in zip(tokens, seen.tolist(), strict=True)
        )
        return (
            f"A grid of {size} queries by {size} keys: {told}. Cells in which the "
            f"rejected answer sees the chosen one: {crossed}."
        )

    x, y = ("read: the token as a key", -0.5, size - 0.5), (size - 0.5, -0.5)
    look = {"grid": False, "xnames": tokens, "ynames": tokens}
    return Picture.of(
        draw,
        panel("Reader: the token as a query", x, y, **look),
        says="An answer reads its prompt and itself, never the other answer",
        shows="One row holds prompt, chosen and rejected answer. A cell: the token at "
        "the left\nreads the token below. Grey: of the prompt; full: chosen; hollow: "
        "rejected.",
        height=4.6,
    )


def clipped_steps(loss: Callable = clipped_policy_loss) -> Scene:
    """PPO's loss of one response against the ratio of its chances, for either sign.

    loss: loss(logps, old_logps, advantages, clip), the function to draw
    sliders: ratio, new chance over old, within 0.2 to 2, which can be dragged; clip,
        within 0.1 to 0.4
    """
    grid = torch.linspace(0.2, 2, 37, dtype=torch.float64)  # with every clip in it
    zero = grid.new_zeros(1)

    def value(ratio, advantage, clip):
        return loss(ratio.log()[None], zero, zero + advantage, clip)

    def draw(axes: tuple[Axes, Axes], ratio: float, clip: float) -> str:
        told = []
        for axis, advantage in zip(axes, (1, -1), strict=True):
            axis.axvspan(1 - clip, 1 + clip, color=FAINT, lw=0, zorder=0)
            curve = [float(value(each, advantage, clip)) for each in grid]
            axis.plot(grid, -advantage * grid, **DOTTED)
            axis.plot(grid, curve, color=INK)
            here = grid.new_tensor(ratio).requires_grad_()
            now = value(here, advantage, clip)
            (slope,) = torch.autograd.grad(now, here)
            slope, now = ratio * slope.item(), now.item()  # for the log-probability
            _push(axis, ratio, now, slope)
            word = "flat" if abs(slope) < 1e-6 else "sloped"
            told.append(
                f"{number(now, '.3f')} and {word} for A = {number(advantage, 'd')}"
            )
        return (
            f"At a ratio of {ratio:.2f}, with the ratio clipped to {1 - clip:.1f} to "
            f"{1 + clip:.1f}, the loss is {', '.join(told)}. Where it is flat the "
            "response pushes no more."
        )

    x, look = ("ratio ρ", 0.1, 2.1), {"xticks": [0.5, 1, 1.5, 2]}
    good, bad = (-2.1, 0.1), (-0.1, 2.1)
    return Scene.of(
        draw,
        panel("Loss of a good response, A = 1", x, good, yticks=[-2, -1, 0], **look),
        panel("Loss of a bad response, A = −1", x, bad, yticks=[0, 1, 2], **look),
        says="The clip ends the push on the side that has gained enough",
        shows="PPO’s loss of one response, in the unit of the reward, against its new "
        "probability over its old one.\nDotted: without the clip; shaded: within it. "
        "The arrow is the push on the log-probability.",
    )


def _push(axis: Axes, ratio: float, value: float, slope: float):
    """The point, and which way it is pushed, with the slope in the log-probability."""
    if abs(slope) < 1e-6:
        side = "left" if ratio < 0.5 else "right" if ratio > 1.7 else "center"
        name(axis, ratio, value, "no push", QUIET, at=(0, 14), ha=side)
    else:
        way = -0.3 if slope > 0 else 0.3
        words = {"at": (4 if way > 0 else -4, 0)}
        end = ratio + way, value
        arrow(axis, (ratio, value), end, number(abs(slope)), POLICY, **words)
    dot(axis, ratio, value, "policy", gid="ratio")
