"""Chapter 10: log Z as a cumulant function, beside the frontier that it draws."""

import math
from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.limits.exponential import cumulants
from course_lib.plots.marks import dot, name, number
from course_lib.plots.palette import DASHES, DOTTED, INK, QUIET, REFERENCE, beta_color
from course_lib.plots.style import Scene, panel

LEAST = 0.2  # β, where both panels end


def log_partition_curve(
    ref: Tensor, rewards: Tensor, function: Callable = cumulants
) -> Scene:
    """log Z against 1/β, and reward against KL, with the tangents of one β.

    ref, rewards: of one prompt, (answers,)
    function: function(ref, rewards, beta) gives log Z, its slope and its curvature
    slider: beta, reward per nat, ≥ 0.2; its point can be dragged
    """
    omegas = torch.linspace(0.002, 1.12 / LEAST, 120, dtype=torch.float64)
    points = [function(ref, rewards, float(1 / omega)) for omega in omegas]
    log_z, mean, _ = (torch.stack(column) for column in zip(*points, strict=True))
    kl = omegas * mean - log_z
    start, spread = function(ref, rewards, 1e6)[1:]
    last, top = 1.05 * float(omegas[-1]), 1.1 * float(log_z[-1])

    def still(axes: tuple[Axes, Axes]):
        left, right = axes
        left.axhline(0, color=REFERENCE, lw=1)
        left.plot(omegas, log_z, color=INK)
        name(left, omegas[-1], log_z[-1], "log Z", at=(-8, 4), bold=True)
        _law(right, float(start), float(spread))
        right.plot([0, *kl], [start, *mean], color=INK)
        name(right, kl[-1], mean[-1], "frontier", at=(0, 11), ha="right")

    def draw(axes: tuple[Axes, Axes], beta: float) -> str:
        left, right = axes
        at, slope, bend = map(float, function(ref, rewards, beta))
        omega, violet = 1 / beta, beta_color(beta)
        spent = omega * slope - at
        _tangent(left, violet, (omega, at), slope, -spent, last, gid="beta")
        name(left, 0, -spent, f"−KL = {number(-spent)}", violet, at=(8, -7))
        _tangent(right, violet, (spent, slope), beta, beta * at, 1.2 * float(kl[-1]))
        return (
            f"At β = {beta:.3g}, 1/β = {omega:.2f}: log Z = {number(at)}, its slope is "
            f"the reward {number(slope)}, its tangent starts at −KL = "
            f"{number(-spent)}; the curvature, the reward’s variance, is "
            f"{bend:.2f}."
        )

    reach = 1.15 * float(kl[-1])
    rewarded = float(start) - 0.25, float(mean[-1]) + 0.35
    return Scene.of(
        draw,
        panel("log Z, nats", ("1/β", -0.2, last), (-reach, top)),
        panel("Reward", ("KL, nats", -0.12, reach), rewarded),
        says="The slope of log Z is the reward, and its tangent starts at −KL",
        shows="Left: ◆ where 1/β is, and the tangent there, which meets 1/β = 0 at "
        "−KL. Right: the same β on the\nfrontier, whose tangent has slope β. Dotted: "
        "what the variance of the reward promises near 0.",
        still=still,
        height=3.9,
    )


def _tangent(
    axis: Axes, color: str, point: tuple, slope: float, foot: float, end: float, **more
):
    """A line from x = 0, where it is at `foot`, that touches a curve at a point."""
    axis.plot([0, end], [foot, foot + slope * end], color=color, ls=DASHES)
    dot(axis, *point, **more)
    dot(axis, 0, foot, color=color, ms=7)


def _law(axis: Axes, start: float, spread: float):
    """What the variance of the reward promises near 0."""
    kl = torch.linspace(0, 1, 60, dtype=torch.float64)
    axis.plot(kl, start + (2 * spread * kl).sqrt(), **DOTTED)
    name(axis, 1.0, start + math.sqrt(2 * spread), "√(2 Var KL)", QUIET, at=(5, 4))
