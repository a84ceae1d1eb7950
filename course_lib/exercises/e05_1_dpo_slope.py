"""Exercise 5.1: How hard a pair is pushed."""

import torch
import torch.nn.functional as F

from course_lib.beta import dpo_slope
from course_lib.exercises.spec import Exercise, given, kind, normal, rule, value, words

EXERCISE = Exercise(
    number="5.1",
    title="How hard a pair is pushed",
    reference=dpo_slope,
    checks=(
        kind(
            "one slope for each gap", [given([0.0], 0.1), given([1.0, -2.0, 5.0], 0.5)]
        ),
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
        rule(
            "right on fresh random gaps",
            "equal the size of dL/dh for L = −log σ(βh)",
            [given(normal(n, scale=4), b) for n, b in ((1, 0.1), (3, 0.5), (6, 2.0))],
        ),
        rule(
            "finite for gaps as large as 5000 nats",
            words("be {0:.4g}: neither infinite nor NaN"),
            [given([-5000.0], 1.0), given([5000.0], 1.0)],
        ),
    ),
    misconceptions={
        "β forgotten in front": (
            lambda gap, beta: torch.sigmoid(-beta * gap),
            "the weight σ(−βh) alone: the chain rule puts another β in front of it",
        ),
        "β forgotten inside": (
            lambda gap, beta: beta * torch.sigmoid(-gap),
            "σ of the gap without β: the sigmoid sees the margin βh",
        ),
        "β twice in front": (
            lambda gap, beta: beta**2 * torch.sigmoid(-beta * gap),
            "β² in front: one factor β comes from the inner derivative, and no second",
        ),
        "signed": (
            lambda gap, beta: -beta * torch.sigmoid(-beta * gap),
            "the derivative with its sign: asked is how steep the loss is, a size",
        ),
        "pushes what is right": (
            lambda gap, beta: beta * torch.sigmoid(beta * gap),
            "σ(βh) for σ(−βh): it pushes most where the order is right already",
        ),
        "size of the gap": (
            lambda gap, beta: beta * torch.sigmoid(beta * gap.abs()),
            "the size of the gap for the gap: a pair that is right by 20 nats and one "
            "that is wrong by 20 are pushed alike",
        ),
        "loss in place of its slope": (
            lambda gap, beta: -F.logsigmoid(beta * gap),
            "the loss itself: asked is how fast it falls with the gap",
        ),
        "slope of the start everywhere": (
            lambda gap, beta: torch.full_like(gap, beta / 2),
            "β/2 at every gap: that is the slope at h = 0 only",
        ),
        "overflowing exponentials": (
            lambda gap, beta: beta * (-beta * gap).exp() / (1 + (-beta * gap).exp()),
            "a fraction of exponentials, infinite over infinite at −5000 nats: "
            "torch.sigmoid never forms it",
        ),
    },
    hints=(
        "L(h) = −log σ(βh) is a function of a function: differentiate −log σ at the "
        "margin, then multiply by what the margin's own derivative is.",
        "The derivative of −log σ(m) is −σ(−m), and dm/dh = β. Drop the sign.",
        "`beta * torch.sigmoid(-beta * gap)`",
    ),
)
