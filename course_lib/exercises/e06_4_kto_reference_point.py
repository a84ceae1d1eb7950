"""Exercise 6.4: KTO's reference point."""

import torch
import torch.nn.functional as F

from course_lib.exercises.spec import (
    Exercise,
    builder,
    kind_of,
    returns_like,
    rule,
    value,
)
from course_lib.losses import kto_reference_point


@builder
def _logratios(inputs, *logratios: float):
    ref = [-9.0, -5.0, -7.0, -6.0][: len(logratios)]
    policy = [r + logratio for r, logratio in zip(ref, logratios, strict=True)]
    return inputs.tensor(policy), inputs.tensor(ref)


@builder
def _fresh(inputs, count: int, shift: float):
    ref = inputs.normal(count, scale=3) - 20
    return ref + inputs.normal(count) + shift, ref


def _detached(point):
    """A reference point from log-ratios, cut off from the gradient."""
    return lambda policy, ref: point(policy - ref).detach()


EXERCISE = Exercise(
    number="6.4",
    title="KTO's reference point",
    reference=kto_reference_point,
    checks=(
        rule(
            "one number without a gradient",
            lambda call, ours: f"{kind_of(call, ours)}, that carries no gradient",
            [_logratios(*[1.0, 2.0]), _logratios(*[-1.0, -2.0, 0.5])],
            holds=returns_like,
            gradient=True,
        ),
        value(
            "the mean log-ratio",
            [_logratios(*[1.0, 2.0]), _logratios(*[0.5, 0.0, 4.0, 1.5])],
        ),
        value(
            "never below 0", [_logratios(*[-1.0, -2.0]), _logratios(*[-4.0, 0.0, -0.5])]
        ),
        value(
            "held at 0 after the mean, not before",
            [_logratios(*[3.0, -1.0]), _logratios(*[-3.0, 1.0])],
        ),
        rule(
            "right on fresh random log-probabilities",
            "be the mean of log π/π_ref over the batch, or 0 where that is negative",
            map(_fresh, (2, 4, 7), (1.0, 3.0, -4.0)),
            gradient=True,
        ),
    ),
    misconceptions={
        "not held at 0": (
            _detached(torch.mean),
            "a mean that may be negative: a KL never is, and the estimate is held at 0",
        ),
        "held at 0 before the mean": (
            _detached(lambda ratios: F.relu(ratios).mean()),
            "each log-ratio held at 0, then the mean: that is above the mean, and is "
            "no estimate of a KL",
        ),
        "gradient carried": (
            lambda policy, ref: F.relu((policy - ref).mean()),
            "the right number with a gradient: the loss could then be lowered by "
            "moving the point. Detach it",
        ),
        "sum": (
            _detached(lambda ratios: F.relu(ratios.sum())),
            "the sum over the batch: the point would move with the batch's size",
        ),
        "ref − policy": (
            _detached(lambda ratios: F.relu(-ratios.mean())),
            "reference minus policy: it is the policy whose distance is measured",
        ),
        "size of the mean": (
            _detached(lambda ratios: ratios.mean().abs()),
            "the mean without its sign: a negative one becomes 0, not positive",
        ),
        "no reference": (
            lambda policy, ref: F.relu(policy.mean()).detach(),
            "the policy's log-probabilities alone: the point is a mean log-ratio",
        ),
        "mean of the ratios": (
            _detached(lambda ratios: F.relu(ratios.exp().mean().log())),
            "the logarithm of the mean ratio: take the mean of the logarithms",
        ),
        "one for each": (
            _detached(F.relu),
            "a point for each example: the whole batch shares one",
        ),
    },
    hints=(
        "It stands for KL(π‖π_ref), which is a mean log-ratio and never negative. "
        "Nothing is to be learnt through it.",
        "First the mean of policy − reference over the batch, then the larger of that "
        "and 0, then detach.",
        "`(policy_kl_logps - ref_kl_logps).mean().clamp(min=0).detach()`",
    ),
)
