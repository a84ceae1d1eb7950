"""Exercise 7.4: PPO's loss on whole responses."""

import torch

from course_lib.baselines import clipped_policy_loss
from course_lib.exercises.pairs import Says, logps
from course_lib.exercises.spec import Exercise, builder, learns, rule, value


@builder
def _steps(inputs, ratios: list, advantages: list, clip=0.2):
    """Responses by the ratio of their chances, new to old."""
    old = inputs.tensor([-3.0 - place for place in range(len(ratios))])
    return old + inputs.tensor(ratios).log(), old, inputs.tensor(advantages), clip


@builder
def _fresh(inputs, count: int, clip: float):
    old = logps(count)(inputs)
    return old + inputs.normal(count, scale=0.4), old, inputs.normal(count), clip


def _clipped(
    ratio=lambda new, old: (new - old).exp(),
    keep=lambda ratio, clip: ratio.clamp(1 - clip, 1 + clip),
    choose=torch.minimum,
    reduce=lambda gains: -gains.mean(),
):
    """PPO's loss with one thing wrong."""

    def loss(logps, old_logps, advantages, clip=0.2):
        rho = ratio(logps, old_logps)
        return reduce(choose(rho * advantages, keep(rho, clip) * advantages))

    return loss


def _gain_clamped(logps, old_logps, advantages, clip=0.2):
    gain = (logps - old_logps).exp() * advantages
    return -torch.minimum(gain, gain.clamp(1 - clip, 1 + clip)).mean()


EXERCISE = Exercise(
    number="7.4",
    title="PPO's loss on whole responses",
    reference=clipped_policy_loss,
    checks=(
        learns(
            "one number that carries a gradient",
            [_steps([1.1], [1]), _steps([1.1, 0.9], [1, -0.5])],
        ),
        value(
            "minus the mean advantage before the policy has moved",
            [_steps([1], [3]), _steps([1, 1], [3, -0.5])],
        ),
        value(
            "minus the ratio times the advantage for a small step",
            [_steps([1.1], [2]), _steps([0.9], [-2])],
        ),
        value(
            "no more gain for going further than the clip",
            [_steps([2], [1]), _steps([0.25], [-1]), _steps([2], [1], clip=0.1)],
        ),
        value(
            "the whole price of a step the wrong way, however far",
            [_steps([2], [-1]), _steps([0.25], [1])],
        ),
        value(
            "the mean over responses, each clipped on its own",
            [_steps([2, 2], [1, -1])],
        ),
        rule(
            "right on fresh random responses, values and gradients",
            "equal minus the mean of the smaller of ρA and clip(ρ)A, and so must its "
            "gradient for the policy",
            map(_fresh, (1, 5, 30), (0.2, 0.1, 0.3)),
            learnt=1,
        ),
    ),
    misconceptions={
        "no minus sign": (
            _clipped(reduce=lambda gains: gains.mean()),
            "the gain itself: it is to be made large, a loss is made small",
        ),
        "sum in place of mean": (_clipped(reduce=lambda gains: -gains.sum()), Says.SUM),
        "log-probability times advantage": (
            lambda logps, old, advantages, clip=0.2: -(logps * advantages).mean(),
            "REINFORCE: the same gradient before the first step, and after it no "
            "notion of how far the policy has gone",
        ),
        "difference in place of ratio": (
            _clipped(ratio=lambda new, old: new - old),
            "the difference of log-probabilities: it is the logarithm of the ratio, "
            "and wants an exp",
        ),
        "ratio of log-probabilities": (
            _clipped(ratio=lambda new, old: new / old),
            "one log-probability divided by the other: divide probabilities, which is "
            "to subtract their logarithms and then exp",
        ),
        "ratio upside down": (
            _clipped(ratio=lambda new, old: (old - new).exp()),
            "old over new: the ratio grows with what the trained policy likes better",
        ),
        "never clipped": (
            _clipped(keep=lambda ratio, clip: ratio),
            "no clip: one batch of samples could be followed to any distance",
        ),
        "clipped without a minimum": (
            _clipped(choose=lambda gain, kept: kept),
            "the clipped ratio alone: a response that went the wrong way far enough "
            "gets no gradient and never comes back",
        ),
        "maximum in place of minimum": (
            _clipped(choose=torch.maximum),
            "the larger of the two: the clip must take gains away and leave losses",
        ),
        "0.2 whatever is asked for": (
            _clipped(keep=lambda ratio, clip: ratio.clamp(0.8, 1.2)),
            "a clip of 0.2 whatever is asked for: it is an argument",
        ),
        "log-ratio clipped": (
            _clipped(keep=lambda ratio, clip: ratio.log().clamp(-clip, clip).exp()),
            "the log-ratio held within ± clip: close for small clips, but it is the "
            "ratio that stays within 1 ± clip",
        ),
        "gain clipped": (
            _gain_clamped,
            "ratio times advantage held within 1 ± clip: only the ratio is, before it "
            "meets the advantage",
        ),
        "minimum of the means": (
            _clipped(choose=lambda *gains: torch.minimum(*(g.mean() for g in gains))),
            "one minimum for the batch: each response is to be clipped on its own, "
            "then the mean taken",
        ),
    },
    hints=(
        "Three lines: the ratio of probabilities from two log-probabilities, the same "
        "ratio held within 1 ± clip, and the smaller of the two gains.",
        "ratio = exp(logps − old_logps); clamp holds it; torch.minimum compares both "
        "times the advantage, response by response.",
        "`-torch.minimum(ratio * advantages, kept * advantages).mean()`",
    ),
)
