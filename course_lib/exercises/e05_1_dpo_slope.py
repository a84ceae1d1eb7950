"""Exercise 5.1: How hard a pair is pushed."""

from course_lib.beta import dpo_slope
from . import pairs
from .spec import Exercise, Recipe, fresh, given, kind, normal, rule, value, words

STEPS = """
m beta:
weight = sigmoid(-m)  # the weight σ(−βh)
slope = beta * weight  # the slope
"""
FAULTS = """
β forgotten in front: slope = weight
    the weight σ(−βh) alone: the chain rule puts another β in front of it
β forgotten inside: m = h
    σ of the gap without β: the sigmoid sees the margin βh
a whole nat on: slope = logsigmoid(m + beta) - logsigmoid(m)
    the fall over the next whole nat: a slope is taken at a point, as the step goes to 0
β twice in front: slope = beta**2 * weight
    β² in front: one factor β comes from the inner derivative, and no second
signed: slope = -beta * weight
    the derivative with its sign: asked is how steep the loss is, a size
pushes what is right: weight = sigmoid(m)
    σ(βh) for σ(−βh): it pushes most where the order is right already
derivative of the sigmoid: weight = sigmoid(m) * (1 - sigmoid(m))
    σ(1 − σ), the derivative of σ itself: of −log σ(m) it is −σ(−m)
with respect to β: slope = h * weight
    h σ(−βh), the derivative with respect to β: with respect to h the factor is β
size of the gap: weight = sigmoid(m.abs())
    σ(β|h|), the size of the gap for the gap: a pair that is right by 20 nats and one
    that is wrong by 20 are pushed alike
minus the size of the gap: weight = sigmoid(-m.abs())
    σ(−β|h|), the size of the gap for the gap: a pair wrong by 20 nats is pushed hard
loss in place of its slope: slope = -logsigmoid(m)
    the loss itself: asked is how fast it falls with the gap
slope of the start everywhere: slope = 0 * h + beta / 2
    β/2 at every gap: that is the slope at h = 0 only
averaged: slope = (beta * weight).mean()
    one average for all gaps: each has a slope of its own
overflowing exponentials: weight = exp(-m) / (1 + exp(-m))
    a fraction of exponentials, ∞/∞ at −5000 nats: torch.sigmoid never forms it
derivative for β: slope = (h * weight).abs()
    the derivative with respect to β: the gap moves, and the slope of βh is β
"""
CHECKS = (
    kind("one slope for each gap", [given([0.0], 0.1), given([1.0, -2.0, 5.0], 0.5)]),
    value(
        "β/2 where policy and reference agree",
        [given([0.0], 0.1), given([0.0, 0.0], 3.0)],
    ),
    value(
        "nearly β where the pair is in the wrong order",
        [given([-3.0], 2.0), given([-10.0], 0.5)],
    ),
    rule(
        "nearly 0, and still above it, where the order is right by far",
        "be above 0 and below 0.0001: a pair that is settled is left in peace",
        [given([20.0], 0.5)],
        holds=lambda call, yours, ours, near: 0 < yours.numbers[0] < 1e-4,
    ),
    fresh(
        "equal the size of dL/dh for L = −log σ(βh)",
        [given(normal(n, scale=4), b) for n, b in ((1, 0.1), (3, 0.5), (6, 2.0))],
    ),
    rule(
        "gaps of 5000 nats, of either sign",
        words("be {0:.4g}: neither infinite nor NaN"),
        [given([-5000.0], 1.0), given([5000.0], 1.0)],
    ),
)
HINTS = """
L(h) = −log σ(βh) is a function of a function: differentiate −log σ at the margin, then
    multiply by what the margin's own derivative is.
The derivative of −log σ(m) is −σ(−m), and dm/dh = β. Drop the sign.
`beta * torch.sigmoid(-beta * gap)`
"""
EXERCISE = Exercise(
    __doc__, dpo_slope, pairs.MARGIN | Recipe(STEPS), FAULTS, CHECKS, HINTS
)
