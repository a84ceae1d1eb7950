"""Chapter 07: PPO's loss, which gains nothing from going too far."""

import torch

from course_lib.baselines import clipped_policy_loss
from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    agrees,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.submission.observing import Call


def _steps(draw: Draw, ratios: list, advantages: list, clip=0.2, **kwargs) -> Call:
    """Responses by the ratio of their chances, new to old."""
    old = draw.tensor([-3.0 - place for place in range(len(ratios))])
    logps = old + draw.tensor(ratios).log()
    return Call((logps, old, draw.tensor(advantages), clip), **kwargs)


def _drawn_steps(draw: Draw, count: int, clip: float) -> Call:
    old = draw.normal(count, scale=4) - 20
    logps = old + draw.normal(count, scale=0.4)
    return Call((logps, old, draw.normal(count), clip), gradient=True)


def _learns_alike(call: Call, yours, ours, near: float) -> bool:
    """The policy's gradient counts; whatever reaches the other two is not used."""
    yours, ours = (
        type(seen)(**{**vars(seen), "gradients": seen.gradients[:1]})
        for seen in (yours, ours)
    )
    return agrees(call, yours, ours, near)


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


def _log_ratio_clamped(logps, old_logps, advantages, clip=0.2):
    step = logps - old_logps
    held = step.clamp(-clip, clip).exp()
    return -torch.minimum(step.exp() * advantages, held * advantages).mean()


def _gain_clamped(logps, old_logps, advantages, clip=0.2):
    gain = (logps - old_logps).exp() * advantages
    return -torch.minimum(gain, gain.clamp(1 - clip, 1 + clip)).mean()


def _min_of_means(logps, old_logps, advantages, clip=0.2):
    ratio = (logps - old_logps).exp()
    kept = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum((ratio * advantages).mean(), (kept * advantages).mean())


_CLIPPED = Exercise(
    number="7.4",
    title="PPO's loss on whole responses",
    reference=clipped_policy_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                _steps(draw, [1.1], [1], gradient=True),
                _steps(draw, [1.1, 0.9], [1, -0.5], gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "minus the mean advantage before the policy has moved",
            lambda draw: [_steps(draw, [1], [3]), _steps(draw, [1, 1], [3, -0.5])],
            value_of,
        ),
        Check(
            "minus the ratio times the advantage for a small step",
            lambda draw: [_steps(draw, [1.1], [2]), _steps(draw, [0.9], [-2])],
            value_of,
        ),
        Check(
            "no more gain for going further than the clip",
            lambda draw: [
                _steps(draw, [2], [1]),
                _steps(draw, [0.25], [-1]),
                _steps(draw, [2], [1], clip=0.1),
            ],
            value_of,
        ),
        Check(
            "the whole price of a step the wrong way, however far",
            lambda draw: [_steps(draw, [2], [-1]), _steps(draw, [0.25], [1])],
            value_of,
        ),
        Check(
            "the mean over responses, each clipped on its own",
            lambda draw: [_steps(draw, [2, 2], [1, -1])],
            value_of,
        ),
        Check(
            "right on fresh random responses, values and gradients",
            lambda draw: [
                _drawn_steps(draw, 1, 0.2),
                _drawn_steps(draw, 5, 0.1),
                _drawn_steps(draw, 30, 0.3),
            ],
            "equal minus the mean of the smaller of ρA and clip(ρ)A, and so must its "
            "gradient for the policy",
            _learns_alike,
        ),
    ),
    misconceptions=(
        Misconception(
            "no minus sign",
            _clipped(reduce=lambda gains: gains.mean()),
            "the gain itself: it is to be made large, a loss is made small",
        ),
        Misconception(
            "sum in place of mean",
            _clipped(reduce=lambda gains: -gains.sum()),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "log-probability times advantage",
            lambda logps, old_logps, advantages, clip=0.2: -(logps * advantages).mean(),
            "REINFORCE: the same gradient before the first step, and after it no "
            "notion of how far the policy has gone",
        ),
        Misconception(
            "difference in place of ratio",
            _clipped(ratio=lambda new, old: new - old),
            "the difference of log-probabilities: it is the logarithm of the ratio, "
            "and wants an exp",
        ),
        Misconception(
            "ratio of log-probabilities",
            _clipped(ratio=lambda new, old: new / old),
            "one log-probability divided by the other: divide probabilities, which is "
            "to subtract their logarithms and then exp",
        ),
        Misconception(
            "ratio upside down",
            _clipped(ratio=lambda new, old: (old - new).exp()),
            "old over new: the ratio grows with what the trained policy likes better",
        ),
        Misconception(
            "never clipped",
            _clipped(keep=lambda ratio, clip: ratio),
            "no clip: one batch of samples could be followed to any distance",
        ),
        Misconception(
            "clipped without a minimum",
            _clipped(choose=lambda gain, kept: kept),
            "the clipped ratio alone: a response that went the wrong way far enough "
            "gets no gradient and never comes back",
        ),
        Misconception(
            "maximum in place of minimum",
            _clipped(choose=torch.maximum),
            "the larger of the two: the clip must take gains away and leave losses",
        ),
        Misconception(
            "0.2 whatever is asked for",
            _clipped(keep=lambda ratio, clip: ratio.clamp(0.8, 1.2)),
            "a clip of 0.2 whatever is asked for: it is an argument",
        ),
        Misconception(
            "log-ratio clipped",
            _log_ratio_clamped,
            "the log-ratio held within ± clip: close for small clips, but it is the "
            "ratio that stays within 1 ± clip",
        ),
        Misconception(
            "gain clipped",
            _gain_clamped,
            "ratio times advantage held within 1 ± clip: only the ratio is, before it "
            "meets the advantage",
        ),
        Misconception(
            "minimum of the means",
            _min_of_means,
            "one minimum for the batch: each response is to be clipped on its own, "
            "then the mean taken",
        ),
    ),
    hints=(
        "Three lines: the ratio of probabilities from two log-probabilities, the same "
        "ratio held within 1 ± clip, and the smaller of the two gains.",
        "ratio = exp(logps − old_logps); clamp holds it; torch.minimum compares both "
        "times the advantage, response by response.",
        "`-torch.minimum(ratio * advantages, kept * advantages).mean()`",
    ),
)

EXERCISES = (_CLIPPED,)
