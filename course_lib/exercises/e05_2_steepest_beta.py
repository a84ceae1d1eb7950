"""Exercise 5.2: The β that pushes hardest."""

import math

import torch

from course_lib.beta import steepest_beta
from course_lib.exercises.spec import Exercise, builder, given, kind, rule

_fresh = builder(lambda inputs, count: (0.1 + 2 * inputs.uniform(count),))


def _top(gap):
    return steepest_beta(torch.ones_like(gap))  # u, at a gap of one


EXERCISE = Exercise(
    number="5.2",
    title="The β that pushes hardest",
    reference=steepest_beta,
    within=1e-4,  # a search that ends there has understood
    checks=(
        kind("one β for each gap", [given([1.0]), given([0.5, 1.0, 2.0])]),
        rule(
            "where β σ(−β) is largest, for a gap of one nat",
            "be the β with the largest β σ(−β h) at h = 1, to four decimals",
            [given([1.0])],
        ),
        rule(
            "half as large for twice the gap: only βh matters",
            "be the answer for one nat, divided by the gap",
            [given([2.0]), given([0.25])],
        ),
        rule(
            "each gap its own β",
            "be what each gap would get alone",
            [given([0.5, 1.0, 2.0])],
        ),
        rule(
            "right on fresh random gaps",
            "be the β at which β σ(−βh) is largest",
            map(_fresh, (1, 3, 6)),
        ),
    ),
    misconceptions={
        "margin of one": (
            lambda gap: 1 / gap,
            "1/h, where the margin is one: a guess near the top, not the top. Set the "
            "derivative with respect to β to zero",
        ),
        "the margin itself": (
            _top,
            "the best margin βh, the same for every gap: divide by the gap",
        ),
        "times the gap": (
            lambda gap: _top(gap) * gap,
            "larger for larger gaps: from βh = u follows β = u/h",
        ),
        "the slope at the top": (
            lambda gap: (_top(gap) - 1) / gap,
            "how steep it is at the top, (u − 1)/h: asked is where the top lies",
        ),
        "one turn too few": (
            lambda gap: (1 + math.exp(-1)) / gap,
            "one turn of u ← 1 + e^{−u} from u = 1: it takes a dozen to settle",
        ),
        "mean gap": (
            lambda gap: torch.full_like(gap, float((_top(gap) / gap.mean())[0])),
            "one β for the mean gap of the batch: each gap has its own",
        ),
    },
    hints=(
        "Differentiate β σ(−βh) with respect to β. The result is 0 where σ(−βh) = βh "
        "σ(βh) σ(−βh); one factor cancels.",
        "With u = βh the condition is u σ(u) = 1, that is u = 1 + e^{−u}: one number "
        "for all gaps. Find it by repeating, by bisection or by Newton.",
        "Start at u = 1, repeat `u = 1 + torch.exp(-u)` thirty times, then divide by "
        "the gap.",
    ),
)
