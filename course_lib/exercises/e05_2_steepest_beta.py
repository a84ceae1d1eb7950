"""Exercise 5.2: The β that pushes hardest."""

from course_lib.beta import steepest_beta
from .spec import Exercise, Recipe, builder, fresh, given, kind, rule

_fresh = builder(lambda inputs, count: (0.1 + 2 * inputs.uniform(count),))


STEPS = """
h:
m = top(torch.ones_like(h))  # the best margin m
beta = m / h  # the best β
"""
FAULTS = """
margin of one: beta = 1 / h
    1/h, where the margin is one: a guess near the top, not the top. Set the derivative
    with respect to β to zero
the margin itself: beta = m
    the best margin βh, the same for every gap: divide by the gap
times the gap: beta = m * h
    larger for larger gaps: from βh = m follows β = m/h
the slope at the top: beta = (m - 1) / h
    how steep it is at the top, (m − 1)/h: asked is where the top lies
one turn too few: m = 1 + exp(-torch.ones_like(h))
    one turn of m ← 1 + e^{−m} from m = 1: it takes a dozen to settle
the 1 left out: m = torch.full_like(h, 0.5671432904)
    the margin at which m = e^{−m}: the condition m σ(m) = 1 is m = 1 + e^{−m}
the top of another slope: m = torch.full_like(h, 1.5434046384)
    the β at which β σ(βh) σ(−βh) is largest, with the derivative of σ: the loss is −log
    σ, whose slope is β σ(−βh)
sought up to 1 only: beta = (m / h).clamp(max=1)
    a search that ends at β = 1: a small gap needs a larger β, m/h
mean gap: beta = m / h.mean()
    one β for the mean gap of the batch: each gap has its own
mean of the answers: beta = (m / h).mean() + 0 * h
    one β for the whole batch, the mean of all: each gap has its own
"""
CHECKS = (
    kind("one β for each gap", [given([1.0]), given([0.5, 1.0, 2.0])]),
    rule(
        "where β σ(−β) is largest, for a gap of one nat",
        "be the β with the largest β σ(−β h) at h = 1, to five decimals",
        [given([1.0])],
    ),
    rule(
        "the β for gaps of 2 nats and of ¼: only βh matters",
        "be the answer for one nat, divided by the gap",
        [given([2.0]), given([0.25])],
    ),
    rule(
        "each gap its own β",
        "be what each gap would get alone; is the search safe for all of them?",
        [given([0.5, 1.0, 2.0]), given([100.0, 13.0, 0.02])],
    ),
    fresh("be the β at which β σ(−βh) is largest", map(_fresh, (1, 3, 6))),
)
HINTS = """
Differentiate β σ(−βh) with respect to β. The result is 0 where σ(−βh) = βh σ(βh)
    σ(−βh); one factor cancels.
With m = βh the condition is m σ(m) = 1, that is m = 1 + e^{−m}: one number for all
    gaps. Find it by repeating, by bisection or by Newton.
Start at m = 1, repeat `m = 1 + torch.exp(-m)` thirty times, then divide by the gap.
"""
RECIPE = Recipe(STEPS, top=steepest_beta)
TERMS = {"slow": True, "within": 1e-5}  # a search that ends there has understood
EXERCISE = Exercise(__doc__, steepest_beta, RECIPE, FAULTS, CHECKS, HINTS, **TERMS)
