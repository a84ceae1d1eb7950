"""Exercise 6.5: KTO: thumbs up or down."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import Says, logps
from course_lib.exercises.spec import (
    Exercise,
    builder,
    given,
    learns,
    rule,
    value,
    words,
)
from course_lib.losses import kto_loss


@builder
def _answers(inputs, *answers: tuple[float, bool], kl=1.0, beta=1.0):
    """Answers by their log-ratio, and whether they were desirable."""
    logratios, desirable = zip(*answers, strict=True)
    ref = inputs.tensor([-5.0, -9.0, -6.0, -7.0][: len(answers)])
    return ref + inputs.tensor(logratios), ref, torch.tensor(desirable), kl, beta


def _fresh(count: int, kl: float, beta: float):
    return given(logps(count), logps(count), torch.arange(count) % 3 > 0, kl, beta)


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


def _mirrored(policy, ref, desirable, kl, beta):
    ratio = torch.where(desirable, policy - ref, ref - policy)
    return torch.sigmoid(-beta * (ratio - kl)).mean()


EXERCISE = Exercise(
    number="6.5",
    title="KTO: thumbs up or down",
    reference=kto_loss,
    checks=(
        learns(
            "one number that carries a gradient",
            [_answers((2.0, True)), _answers((2.0, True), (0.5, False))],
        ),
        value(
            "½ at the reference point, whatever the answer was called",
            [
                _answers((1.0, True)),
                _answers((1.0, False)),
                _answers((0.0, False), kl=0.0, beta=0.1),
            ],
        ),
        value(
            "small for a desirable answer above the point, or another below",
            [_answers((3.0, True)), _answers((-1.0, False)), _answers((3.0, False))],
        ),
        value(
            "β multiplies the distance from the point",
            [_answers((3.0, True), beta=0.1), _answers((3.0, False), kl=0.5, beta=0.5)],
        ),
        value(
            "the mean over all answers of the batch",
            [
                _answers((3.0, True), (1.0, True), (2.0, True), (0.0, False)),
                _answers((3.0, False), (-1.0, False)),
            ],
        ),
        rule(
            "right on fresh random log-probabilities, values and gradients",
            "equal the mean of 1 − σ(β(u − z)) for desirable answers and of 1 − σ(β(z "
            "− u)) for the others, and so must its gradient",
            map(_fresh, (1, 4, 7), (0.0, 0.5, 2.0), (0.1, 0.5, 1.0)),
            learnt=1,
        ),
        rule(
            "0 or 1, without a push, at log-ratios of ±5,000 nats",
            words("be {0:g}, with a gradient of 0"),
            [
                _answers((5000.0, True)),
                _answers((-5000.0, True)),
                _answers((5000.0, False)),
            ],
            learnt=1,
        ),
    ),
    misconceptions={
        "−log σ": (
            _kto(loss=lambda margin: -F.logsigmoid(margin)),
            "−log σ in place of 1 − σ: DPO's shape, which goes on pushing a hopeless "
            "answer. KTO's loss saturates on both sides",
        ),
        "value in place of loss": (
            _kto(loss=torch.sigmoid),
            "the value σ, which is to be made large, or the two kinds exchanged: the "
            "loss of a desirable answer falls as its log-ratio rises",
        ),
        "all desirable": (
            _kto(worse=lambda margin: margin),
            "one formula for both kinds: an undesirable answer should fall below the "
            "point, z − u in place of u − z",
        ),
        "undesirable ones left out": (
            _kto(worse=lambda margin: margin * 0 + torch.inf),
            "no loss for undesirable answers: they are to fall below the point",
        ),
        "no reference point": (
            _kto(margin=lambda ratio, kl, beta: beta * ratio),
            "the log-ratio itself: it is compared with the reference point, u − z",
        ),
        "point on the other side": (
            _mirrored,
            "−u − z for an undesirable answer: the distance u − z turns its sign as a "
            "whole, to z − u",
        ),
        "point without β": (
            _kto(margin=lambda ratio, kl, beta: beta * ratio - kl),
            "βu − z: z is in nats as u is, and β multiplies both",
        ),
        "β forgotten": (
            _kto(margin=lambda ratio, kl, beta: ratio - kl),
            "β = 1 whatever is asked for: it multiplies u − z",
        ),
        "no reference": (
            lambda policy, ref, *rest: kto_loss(policy, torch.zeros_like(ref), *rest),
            "the policy's log-probabilities alone: u is a log-ratio",
        ),
        "mean of each kind, added": (
            _kto(
                together=lambda losses, good: losses[good].mean() + losses[~good].mean()
            ),
            "the mean of the desirable ones plus that of the others, which is NaN "
            "where a batch has one kind only: take one mean over all",
        ),
        "sum in place of mean": (
            _kto(together=lambda losses, good: losses.sum()),
            Says.SUM,
        ),
        "sigmoid from exponentials": (
            _kto(loss=lambda margin: torch.exp(-margin) / (1 + torch.exp(-margin))),
            "e^(−m) / (1 + e^(−m)), which is ∞/∞ for a log-ratio far below the point: "
            "use torch.sigmoid",
        ),
    },
    hints=(
        "First the distance from the reference point, β(u − z). Desirable answers "
        "should be above it, the others below.",
        "The loss is 1 − σ(distance) for a desirable answer, that is σ(−distance); for "
        "an undesirable one the sign of the distance turns.",
        "torch.where(desirable, …, …) chooses answer by answer; then one mean.",
    ),
)
