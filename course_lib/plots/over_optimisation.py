"""Chapter 10: what a mistaken judge promises, and what its policy is worth."""

import numpy as np
import torch
from matplotlib.axes import Axes

from course_lib.limits.over_optimisation import (
    Optimised,
    best_by_judges,
    mistaken_judges,
    tilted_by_judges,
)
from course_lib.plots.marks import name, names, number
from course_lib.plots.palette import (
    DASH_DOT,
    DASHES,
    DOTTED,
    FAINT,
    FAULTY,
    INK,
    POLICY,
    QUIET,
)
from course_lib.plots.style import Scene, panel
from course_lib.worlds import World

JUDGES = 10
COUNTS = (1, 2, 4, 8, 16, 64, 256, 1024, 8192, 65_536)  # of best-of-n
END = 2.6  # √KL
TOP = 3.2  # where the promise leaves the panel
TAILS = ("normal", "heavy-tailed")


def mistaken_judge(world: World) -> Scene:
    """Promised and true reward against √KL, for ten judges with errors of their own.

    world: World S with its reference, (prompts, responses)
    sliders: errors, "normal" or "heavy-tailed"; size, in units of reward
    """
    grid = np.linspace(0, END, 53)
    betas = torch.logspace(2.8, -1.6, 34, dtype=torch.float64).tolist()
    exact = tilted_by_judges(world, mistaken_judges(world, 0.0, seeds=[0]), betas)
    limit = _at(exact, exact.reward, grid)[0]
    start = float((world.ref * world.rewards).sum(-1).mean())

    def still(axis: Axes):
        axis.plot(grid, limit, color=INK)
        axis.axhline(start, lw=1, **DOTTED)
        name(axis, 0.02 * END, start, "reference", QUIET, at=(4, -9))

    def draw(axis: Axes, errors: str, size: float) -> str:
        heavy = errors == TAILS[1]
        scores = mistaken_judges(world, size, heavy=heavy, seeds=range(JUDGES))
        tilted = tilted_by_judges(world, scores, betas)
        best = best_by_judges(world, scores, COUNTS)
        true = _at(tilted, tilted.reward, grid)
        low, high = true.min(0), true.max(0)
        axis.fill_between(grid, low, high, color=FAINT, lw=0)
        told = _at(tilted, tilted.score, grid).mean(0)
        true, drawn = true.mean(0), _at(best, best.reward, grid).mean(0)
        axis.plot(grid, np.where(told < TOP, told, np.nan), color=FAULTY, ls=DASH_DOT)
        axis.plot(grid, true, color=POLICY)
        axis.plot(grid, drawn, color=POLICY, ls=DASHES)
        _named(axis, grid, told, limit, true, drawn)
        at = int(np.argmin(abs(grid - 2)))
        return (
            f"Errors: {errors}, of size {size:.2f}. At 4 nats ten judges promise "
            f"{number(told[at])} on average and the tilt earns {number(true[at])} "
            f"({number(low[at])} to {number(high[at])}), best-of-n "
            f"{number(drawn[at])}; the limit is {number(limit[at])}."
        )

    return Scene.of(
        draw,
        panel(
            "Reward, mean over four prompts",
            ("√KL from the reference, √nats", 0, 1.34 * END),
            (-1.35, 3.3),
            xticks=[0, 1, 2],
        ),
        says="The judge’s score keeps rising, and the true reward falls behind",
        shows="Policies optimised by a mistaken judge’s score: what it promises, and "
        "what they earn, means of ten\njudges. Shaded: the tilts’ lowest to highest. "
        "Limit: what the KL buys with the true reward.",
        still=still,
        height=4.3,
    )


def _at(found: Optimised, values: torch.Tensor, grid: np.ndarray) -> np.ndarray:
    """Each judge's curve at the same √KL, by lines between its points; NaN beyond."""
    spent = found.kl.clamp(min=0).sqrt().numpy()
    rows = zip(spent, values.numpy(), strict=True)
    return np.stack([np.interp(grid, x, y, right=np.nan) for x, y in rows])


def _named(axis: Axes, grid: np.ndarray, told, limit, true, drawn):
    high = np.flatnonzero(told < TOP)[-1]
    name(axis, grid[high], told[high], "promised", FAULTY, at=(-6, 6), ha="right")
    ends = []
    for curve, text, color in (
        (limit, "limit", INK),
        (true, "tilt by the score", POLICY),
        (drawn, "best-of-n", POLICY),
    ):
        last = np.flatnonzero(np.isfinite(curve))[-1]
        ends.append((END, float(curve[last]), text, color))
    names(axis, ends, gap=0.3)
