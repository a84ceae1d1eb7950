"""All policies over three answers: a triangle, with an answer at each corner."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.plots.marks import name
from course_lib.plots.palette import FAINT, QUIET
from course_lib.plots.style import BARE, panel

CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)
SIDES = ((-4, -9), (4, -9), (0, 9))  # where a corner's name stands, from it in points


def places(policies: Tensor) -> Tensor:
    """Where policies stand in the triangle: (…, 3) in, (…, 2) out."""
    return policies.double() @ CORNERS


def triangle(title: str) -> dict[str, Any]:
    """A panel for it."""
    ends = ("", -0.16, 1.16), (-0.17, 1.03)
    return panel(title, *ends, aspect="equal", **BARE)


def outline(axis: Axes, names: Sequence[str]):
    """Its sides, and at each corner the answer that is always given there."""
    around = CORNERS[[0, 1, 2, 0]]
    axis.plot(around[:, 0], around[:, 1], color=FAINT, lw=1.6, zorder=0)
    for corner, words, at in zip(CORNERS.tolist(), names, SIDES, strict=True):
        name(axis, *corner, words, QUIET, at=at, ha="center")


def trail(axis: Axes, policies: Tensor, **look: Any):
    """A line through policies, (steps, 3)."""
    x, y = places(policies).T
    axis.plot(x, y, **look)
