"""Chapter 10: one stage and two, in a class that may not hold the best policy."""

import math
from functools import cache

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.limits.comparisons import drawn_wins
from course_lib.limits.stages import best_in_class, one_stage
from course_lib.plots.simplex import outline, places, trail, triangle
from course_lib.plots.style import POLICY, QUIET, REFERENCE, Scene, dot, name, panel
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


def stages_in_class(world: World, beta: float) -> Scene:
    """Where one stage and two end, in a class of policies with a single feature.

    world: three answers; both stages see endless pairs of the reference
    slider: angle between the feature and the reward, degrees, from −60 to 75
    """
    ref, rewards = world.ref, world.rewards
    chances = torch.sigmoid(rewards[:, None] - rewards)
    wins, best = drawn_wins(chances, ref), optimal_policy(ref, rewards, beta)
    angles = torch.arange(ENDS[0], ENDS[1] + 1, 5).tolist()

    @cache
    def ends(angle: float) -> tuple[Tensor, Tensor]:
        along = feature(rewards, angle)
        return (
            one_stage(ref, along, wins, beta),
            best_in_class(ref, along, rewards, beta),
        )

    def short(policy: Tensor) -> float:
        top = rlhf_objective(best, ref, rewards, beta)
        return max(0.0, float(top - rlhf_objective(policy, ref, rewards, beta)))

    lost = torch.tensor([[short(policy) for policy in ends(angle)] for angle in angles])

    def still(axes: tuple[Axes, Axes]):
        simplex, panel_ = axes
        outline(simplex, world.names)
        at = dict(zip(("x", "y"), places(ref).tolist(), strict=True))
        dot(simplex, *at.values(), "reference", ms=8)
        name(simplex, *at.values(), "reference", QUIET, at=(8, -8))
        dot(simplex, *places(best).tolist(), "exact", ms=8)
        name(simplex, *places(best).tolist(), "π*", at=(0, 13), ha="center")
        for column, words, x, y in (
            (0, "one stage", 60, 0.55),
            (1, "two stages", 74, 0.1),
        ):
            panel_.plot(angles, lost[:, column], color=POLICY, lw=2.2 - column)
            name(panel_, x, y, words, POLICY, at=(0, 0), ha="right")
        panel_.axhline(short(ref), color=REFERENCE, lw=1)
        name(panel_, -58, short(ref), "the reference", QUIET, at=(0, 7))

    def draw(axes: tuple[Axes, Axes], angle: float) -> str:
        simplex, panel_ = axes
        tilts = torch.linspace(-12, 12, 241, dtype=torch.float64)[:, None]
        along = feature(rewards, angle)[:, 0]
        trail(simplex, (ref.log() + tilts * along).softmax(-1), color=POLICY, lw=0.9)
        one, two = ends(angle)
        for policy, look in ((two, {"mfc": "white", "mec": POLICY}), (one, {})):
            dot(simplex, *places(policy).tolist(), "policy", **look)
            dot(panel_, angle, short(policy), "policy", gid="angle", **look)
        return (
            f"At {angle:.0f}° one stage ends {short(one):.3f} below the best J, and "
            f"two stages {short(two):.3f}. The reference is {short(ref):.3f} below."
        ).replace("-", "−")

    return Scene.of(
        draw,
        triangle("Policies over three answers"),
        panel(
            "Shortfall J(π*) − J(π)",
            ("angle of the class to the reward, degrees", ENDS[0] - 3, ENDS[1] + 3),
            ("", -0.04, 0.95),
            grid="y",
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
