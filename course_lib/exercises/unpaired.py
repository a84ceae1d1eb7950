"""Chapter 06: no pairs. KTO's reference point and its loss."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import agrees_where_learnt
from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.losses import kto_loss, kto_reference_point
from course_lib.submission.observing import Call


def _mismatched(draw: Draw, logratios: list[float], **kwargs) -> Call:
    ref = [-9.0, -5.0, -7.0, -6.0][: len(logratios)]
    policy = [r + logratio for r, logratio in zip(ref, logratios, strict=True)]
    return Call((draw.tensor(policy), draw.tensor(ref)), **kwargs)


def _drawn_mismatched(draw: Draw, count: int, shift: float) -> Call:
    ref = draw.normal(count, scale=3) - 20
    return Call((ref + draw.normal(count) + shift, ref), gradient=True)


def _detached(point):
    """A reference point from log-ratios, cut off from the gradient."""
    return lambda policy, ref: point(policy - ref).detach()


_POINT = Exercise(
    number="6.4",
    title="KTO's reference point",
    reference=kto_reference_point,
    checks=(
        Check(
            "one number without a gradient",
            lambda draw: [
                _mismatched(draw, [1.0, 2.0], gradient=True),
                _mismatched(draw, [-1.0, -2.0, 0.5], gradient=True),
            ],
            lambda call, ours: f"{kind_of(call, ours)}, that carries no gradient",
            returns_like,
        ),
        Check(
            "the mean log-ratio",
            lambda draw: [
                _mismatched(draw, [1.0, 2.0]),
                _mismatched(draw, [0.5, 0.0, 4.0, 1.5]),
            ],
            value_of,
        ),
        Check(
            "never below 0",
            lambda draw: [
                _mismatched(draw, [-1.0, -2.0]),
                _mismatched(draw, [-4.0, 0.0, -0.5]),
            ],
            value_of,
        ),
        Check(
            "held at 0 after the mean, not before",
            lambda draw: [
                _mismatched(draw, [3.0, -1.0]),
                _mismatched(draw, [-3.0, 1.0]),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities",
            lambda draw: [
                _drawn_mismatched(draw, n, shift)
                for n, shift in ((2, 1.0), (4, 3.0), (7, -4.0))
            ],
            "be the mean of log π/π_ref over the batch, or 0 where that is negative",
        ),
    ),
    misconceptions=(
        Misconception(
            "not held at 0",
            _detached(torch.mean),
            "a mean that may be negative: a KL never is, and the estimate is held at 0",
        ),
        Misconception(
            "held at 0 before the mean",
            _detached(lambda ratios: F.relu(ratios).mean()),
            "each log-ratio held at 0, then the mean: that is above the mean, and is "
            "no estimate of a KL",
        ),
        Misconception(
            "gradient carried",
            lambda policy, ref: F.relu((policy - ref).mean()),
            "the right number with a gradient: the loss could then be lowered by "
            "moving the point. Detach it",
        ),
        Misconception(
            "sum",
            _detached(lambda ratios: F.relu(ratios.sum())),
            "the sum over the batch: the point would move with the batch's size",
        ),
        Misconception(
            "ref − policy",
            _detached(lambda ratios: F.relu(-ratios.mean())),
            "reference minus policy: it is the policy whose distance is measured",
        ),
        Misconception(
            "size of the mean",
            _detached(lambda ratios: ratios.mean().abs()),
            "the mean without its sign: a negative one becomes 0, not positive",
        ),
        Misconception(
            "no reference",
            lambda policy, ref: F.relu(policy.mean()).detach(),
            "the policy's log-probabilities alone: the point is a mean log-ratio",
        ),
        Misconception(
            "mean of the ratios",
            _detached(lambda ratios: F.relu(ratios.exp().mean().log())),
            "the logarithm of the mean ratio: take the mean of the logarithms",
        ),
        Misconception(
            "one for each",
            _detached(lambda ratios: F.relu(ratios)),
            "a point for each example: the whole batch shares one",
        ),
    ),
    hints=(
        "It stands for KL(π‖π_ref), which is a mean log-ratio and never negative. "
        "Nothing is to be learnt through it.",
        "First the mean of policy − reference over the batch, then the larger of that "
        "and 0, then detach.",
        "`(policy_kl_logps - ref_kl_logps).mean().clamp(min=0).detach()`",
    ),
)


def _answers(draw: Draw, *answers: tuple[float, bool], kl=1.0, beta=1.0, **kwargs):
    """One call from answers: log-ratio and verdict."""
    logratios, desirable = zip(*answers, strict=True)
    ref = draw.tensor([-5.0, -9.0, -6.0, -7.0][: len(answers)])
    args = ref + draw.tensor(list(logratios)), ref, torch.tensor(desirable)
    return Call((*args, kl, beta), **kwargs)


def _drawn_answers(draw: Draw, count: int, kl: float, beta: float) -> Call:
    policy, ref = (draw.normal(count, scale=4) - 20 for _ in range(2))
    desirable = torch.arange(count) % 3 > 0
    return Call((policy, ref, desirable, kl, beta), gradient=True)


def _kto(
    margin=lambda ratio, kl, beta: beta * (ratio - kl),
    worse=torch.neg,
    loss=lambda margin: torch.sigmoid(-margin),
    together=lambda losses, good: losses.mean(),
):
    """KTO with one thing wrong; `worse` turns a margin into an undesirable answer's."""

    def kto(policy, ref, desirable, kl, beta):
        found = margin(policy - ref, kl, beta)
        found = torch.where(desirable, found, worse(found))
        return together(loss(found), desirable)

    return kto


def _fraction(margin):
    return torch.exp(-margin) / (1 + torch.exp(-margin))


def _mirrored(policy, ref, desirable, kl, beta):
    ratio = torch.where(desirable, policy - ref, ref - policy)
    return torch.sigmoid(-beta * (ratio - kl)).mean()


def _without_reference(policy, ref, desirable, kl, beta):
    return _kto()(policy, policy.new_zeros(policy.shape), desirable, kl, beta)


_LOSS = Exercise(
    number="6.5",
    title="KTO: thumbs up or down",
    reference=kto_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                _answers(draw, (2.0, True), gradient=True),
                _answers(draw, (2.0, True), (0.5, False), gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "½ at the reference point, whatever the answer was called",
            lambda draw: [
                _answers(draw, (1.0, True)),
                _answers(draw, (1.0, False)),
                _answers(draw, (0.0, False), kl=0.0, beta=0.1),
            ],
            value_of,
        ),
        Check(
            "small for a desirable answer above the point, or another below",
            lambda draw: [
                _answers(draw, (3.0, True)),
                _answers(draw, (-1.0, False)),
                _answers(draw, (3.0, False)),
            ],
            value_of,
        ),
        Check(
            "β multiplies the distance from the point",
            lambda draw: [
                _answers(draw, (3.0, True), beta=0.1),
                _answers(draw, (3.0, False), kl=0.5, beta=0.5),
            ],
            value_of,
        ),
        Check(
            "the mean over all answers of the batch",
            lambda draw: [
                _answers(draw, (3.0, True), (1.0, True), (2.0, True), (0.0, False)),
                _answers(draw, (3.0, False), (-1.0, False)),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities, values and gradients",
            lambda draw: [
                _drawn_answers(draw, n, kl, beta)
                for n, kl, beta in ((1, 0.0, 0.1), (4, 0.5, 0.5), (7, 2.0, 1.0))
            ],
            "equal the mean of 1 − σ(β(u − z)) for desirable answers and of "
            "1 − σ(β(z − u)) for the others, and so must its gradient",
            agrees_where_learnt(1),
        ),
        Check(
            "0 or 1, without a push, at log-ratios of ±5,000 nats",
            lambda draw: [
                _answers(draw, (5000.0, True), gradient=True),
                _answers(draw, (-5000.0, True), gradient=True),
                _answers(draw, (5000.0, False), gradient=True),
            ],
            lambda call, ours: f"be {ours.numbers[0]:g}, with a gradient of 0",
            agrees_where_learnt(1),
        ),
    ),
    misconceptions=(
        Misconception(
            "−log σ",
            _kto(loss=lambda margin: -F.logsigmoid(margin)),
            "−log σ in place of 1 − σ: DPO's shape, which goes on pushing a hopeless "
            "answer. KTO's loss saturates on both sides",
        ),
        Misconception(
            "value in place of loss",
            _kto(loss=torch.sigmoid),
            "the value σ, which is to be made large, or the two kinds exchanged: the "
            "loss of a desirable answer falls as its log-ratio rises",
        ),
        Misconception(
            "all desirable",
            _kto(worse=lambda margin: margin),
            "one formula for both kinds: an undesirable answer should fall below the "
            "point, z − u in place of u − z",
        ),
        Misconception(
            "undesirable ones left out",
            _kto(worse=lambda margin: margin * 0 + torch.inf),
            "no loss for undesirable answers: they are to fall below the point",
        ),
        Misconception(
            "no reference point",
            _kto(margin=lambda ratio, kl, beta: beta * ratio),
            "the log-ratio itself: it is compared with the reference point, u − z",
        ),
        Misconception(
            "point on the other side",
            _mirrored,
            "−u − z for an undesirable answer: the distance u − z turns its sign as a "
            "whole, to z − u",
        ),
        Misconception(
            "point without β",
            _kto(margin=lambda ratio, kl, beta: beta * ratio - kl),
            "βu − z: z is in nats as u is, and β multiplies both",
        ),
        Misconception(
            "β forgotten",
            _kto(margin=lambda ratio, kl, beta: ratio - kl),
            "β = 1 whatever is asked for: it multiplies u − z",
        ),
        Misconception(
            "no reference",
            _without_reference,
            "the policy's log-probabilities alone: u is a log-ratio",
        ),
        Misconception(
            "mean of each kind, added",
            _kto(
                together=lambda losses, good: losses[good].mean() + losses[~good].mean()
            ),
            "the mean of the desirable ones plus that of the others, which is NaN "
            "where a batch has one kind only: take one mean over all",
        ),
        Misconception(
            "sum in place of mean",
            _kto(together=lambda losses, good: losses.sum()),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "sigmoid from exponentials",
            _kto(loss=_fraction),
            "e^(−m) / (1 + e^(−m)), which is ∞/∞ for a log-ratio far below the point: "
            "use torch.sigmoid",
        ),
    ),
    hints=(
        "First the distance from the reference point, β(u − z). Desirable answers "
        "should be above it, the others below.",
        "The loss is 1 − σ(distance) for a desirable answer, that is σ(−distance); for "
        "an undesirable one the sign of the distance turns.",
        "torch.where(desirable, …, …) chooses answer by answer; then one mean.",
    ),
)

EXERCISES = (_POINT, _LOSS)
