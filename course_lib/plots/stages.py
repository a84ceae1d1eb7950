"""Chapter 10: one stage and two, in a class that may not hold the best policy."""

import math
from functools import cache

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.limits.comparisons import drawn_wins
from course_lib.limits.stages import best_in_class, one_stage
from course_lib.plots.marks import dot, name
from course_lib.plots.palette import POLICY, QUIET, REFERENCE
from course_lib.plots.simplex import outline, places, trail, triangle
from course_lib.plots.style import Scene, panel
from course_lib.policies import optimal_policy, rlhf_objective
from course_lib.worlds import World

ENDS = -60, 75  # degrees


def feature(rewards: Tensor, angle: float) -> Tensor:
    """The one feature of a class of policies over three answers, (3, 1).

    At 0° it is the reward itself; from there it turns, at constant length
    """
    own = rewards - rewards.mean()
    own = own / own.norm()
    across = torch.linalg.cross(own, torch.full_like(own, 1 / math.sqrt(3)))
    turn = math.radians(angle)
    return (math.cos(turn) * own + math.sin(turn) * across)[:, None]


class Stages:
    """Where one stage and two end, in a world of three answers at some β.

    Both see endless pairs of the reference.
    """

    def __init__(self, world: World, beta: float):
        self.ref, self.rewards, self.beta = world.ref, world.rewards, beta
        chances = torch.sigmoid(world.rewards[:, None] - world.rewards)
        self.wins = drawn_wins(chances, world.ref)
        self.best = optimal_policy(world.ref, world.rewards, beta)
        self.ends = cache(self._ends)

    def _ends(self, angle: float) -> tuple[Tensor, Tensor]:
        along = feature(self.rewards, angle)
        one = one_stage(self.ref, along, self.wins, self.beta)
        return one, best_in_class(self.ref, along, self.rewards, self.beta)

    def short(self, policy: Tensor) -> float:
        """How far its J is below the best."""
        told = self.ref, self.rewards, self.beta
        top = rlhf_objective(self.best, *told)
        return max(0.0, float(top - rlhf_objective(policy, *told)))


def stages_in_class(world: World, beta: float) -> Scene:
    """Where one stage and two end, in a class of policies with a single feature.

    world: three answers; both stages see endless pairs of the reference
    slider: angle between the feature and the reward, degrees, from −60 to 75
    """
    stages, ref = Stages(world, beta), world.ref

    def still(axes: tuple[Axes, Axes]):
        outline(axes[0], world.names)
        for policy, mark in ((ref, "reference"), (stages.best, "exact")):
            dot(axes[0], *places(policy).tolist(), mark, ms=8)
        name(axes[0], *places(ref).tolist(), "reference", QUIET, at=(8, -8))
        name(axes[0], *places(stages.best).tolist(), "π*", at=(0, 13), ha="center")
        _shortfalls(axes[1], stages)

    def draw(axes: tuple[Axes, Axes], angle: float) -> str:
        simplex, panel_ = axes
        tilts = torch.linspace(-12, 12, 241, dtype=torch.float64)[:, None]
        along = feature(world.rewards, angle)[:, 0]
        trail(simplex, (ref.log() + tilts * along).softmax(-1), color=POLICY, lw=0.9)
        one, two = stages.ends(angle)
        for policy, look in ((two, {"mfc": "white", "mec": POLICY}), (one, {})):
            dot(simplex, *places(policy).tolist(), "policy", **look)
            dot(panel_, angle, stages.short(policy), "policy", gid="angle", **look)
        lost = [stages.short(policy) for policy in (one, two, ref)]
        return (
            f"At {angle:.0f}° one stage ends {lost[0]:.3f} below the best J, and "
            f"two stages {lost[1]:.3f}. The reference is {lost[2]:.3f} below."
        ).replace("-", "−")

    return Scene.of(
        draw,
        triangle("Policies over three answers"),
        panel(
            "Shortfall J(π*) − J(π)",
            ("angle of the class to the reward, degrees", ENDS[0] - 3, ENDS[1] + 3),
            (-0.04, 0.95),
            xticks=[-60, -30, 0, 30, 60],
            yticks=[0, 0.2, 0.4, 0.6, 0.8],
        ),
        says="One stage finds the best policy of a class if π* is in it",
        shows="Green line: the class, policies that can move along one feature only. "
        "● one stage (DPO).\n○ two stages: the true reward, then the policy of the "
        "class with the greatest J.",
        still=still,
        height=3.9,
        width_ratios=(5, 4),
    )


def _shortfalls(axis: Axes, stages: Stages):
    """Both curves, and the reference's line."""
    angles = torch.arange(ENDS[0], ENDS[1] + 1, 5).tolist()
    lost = [[stages.short(policy) for policy in stages.ends(a)] for a in angles]
    ways = ("one stage", 60, 0.55), ("two stages", 74, 0.1)
    for column, (words, x, y) in enumerate(ways):
        heights = [both[column] for both in lost]
        axis.plot(angles, heights, color=POLICY, lw=2.2 - column)
        name(axis, x, y, words, POLICY, at=(0, 0), ha="right")
    level = stages.short(stages.ref)
    axis.axhline(level, color=REFERENCE, lw=1)
    name(axis, -58, level, "the reference", QUIET, at=(0, 7))
