"""Chapter 10: where training goes when everything is beaten by something."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.limits.games import nash_gap
from course_lib.plots.marks import dot, name, names
from course_lib.plots.palette import POLICY
from course_lib.plots.simplex import outline, places, trail, triangle
from course_lib.plots.style import Scene, panel

TITLE = "Nash gap: its best opponent’s wins − ½"


def paths_in_game(
    preferences: Tensor,
    nash: Tensor,
    paths: Mapping[str, Tensor],
    answers: Sequence[str],
) -> Scene:
    """Policies on their way through the triangle, and what their best opponent wins.

    preferences: of three answers, (3, 3); nash: the policy that nothing beats, (3,)
    paths: by name, policies from one start, (steps + 1, 3), all of one length
    answers: the names of the three
    slider: step, from 0 to the last
    """
    gaps = {words: nash_gap(path, preferences) for words, path in paths.items()}
    last = len(next(iter(paths.values()))) - 1
    start = next(iter(paths.values()))[0]
    ticks = {"xticks": [0, last // 2, last], "yticks": [0, 0.1, 0.2, 0.3]}

    def still(axes: tuple[Axes, Axes]):
        outline(axes[0], answers)
        dot(axes[0], *places(start).tolist(), "reference", ms=8)
        dot(axes[0], *places(nash).tolist(), "exact", ms=8)
        name(axes[0], *places(nash).tolist(), "Nash", at=(8, 0))
        ends = [(last, float(gap[-1]), key, POLICY) for key, gap in gaps.items()]
        names(axes[1], ends, 0.022)

    def draw(axes: tuple[Axes, Axes], step: float) -> str:
        step, told = round(step), []
        for words, path in paths.items():
            trail(axes[0], path[: step + 1], color=POLICY, lw=0.9)
            x, y = places(path[step]).tolist()
            dot(axes[0], x, y, "policy", ms=8)
            others = [p[step] for key, p in paths.items() if key != words] + [start]
            if _apart(path[step], others):
                name(axes[0], x, y, words, POLICY, at=_beside(x, y), halo=True)
            gap = gaps[words]
            axes[1].plot(range(step + 1), gap[: step + 1], color=POLICY, lw=1.2)
            dot(axes[1], step, float(gap[step]), "policy", ms=8)
            told.append(f"{words} {float(gap[step]):.3f}")
        return (
            f"After {step} steps the best opponent wins more than half of the games by "
            f"{', '.join(told)}."
        )

    return Scene.of(
        draw,
        triangle("Mixtures of three answers"),
        panel(TITLE, ("step", 0, last * 1.75), (0, 0.31), **ticks),
        says="In a circle fixed pairs crown a winner, and the winner can be beaten",
        shows="Four ways to train from one start (□), on exact expected losses.\nRock "
        "beats scissors, scissors beat paper and paper beats rock, each 8 times of 10.",
        still=still,
        height=3.9,
        width_ratios=(5, 5),
    )


def _apart(policy: Tensor, others: Sequence[Tensor]) -> bool:
    """Is there room for a name, far enough from all the others?"""
    far = (places(torch.stack(list(others))) - places(policy)).norm(dim=-1)
    return bool(far.min() > 0.13)


def _beside(x: float, y: float) -> tuple[int, int]:
    """Where a name stands, in points from its dot: outside of the middle."""
    if y < 0.12:
        return (8, 5) if x > 0.75 else (0, -11)
    if 0.4 < x < 0.6 and y < 0.35:
        return 9, -9
    return (9, 5) if x >= 0.5 else (-9, 5)
