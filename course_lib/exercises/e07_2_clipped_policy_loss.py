"""Exercise 7.2: PPO's loss on whole responses."""

from course_lib.baselines import clipped_policy_loss
from . import pairs
from .pairs import logps
from .spec import Exercise, Recipe, builder, fresh, given, learns, value


@builder
def _steps(inputs, ratios: list, advantages: list, clip=0.2):
    """Responses by the ratio of their chances, new to old."""
    old = inputs.tensor([-3.0 - place for place in range(len(ratios))])
    return old + inputs.tensor(ratios).log(), old, inputs.tensor(advantages), clip


@builder
def _fresh(inputs, count: int, clip: float):
    old = logps(count)(inputs)
    return old + inputs.normal(count, scale=0.4), old, inputs.normal(count), clip


STEPS = """
logps old adv clip:
d = logps - old  # the log-ratio
ratio = exp(d)  # the ratio
kept = ratio.clamp(1 - clip, 1 + clip)  # the clipped ratio
gain = ratio * adv  # the gain
held = kept * adv  # the clipped gain
least = torch.minimum(gain, held)  # the smaller gain
losses = -least  # the losses
loss = losses.mean()  # the mean
"""
FAULTS = """
no minus sign: losses = least
    the gain itself: it is to be made large, a loss is made small
REINFORCE: losses = -logps * adv
    log-probability times advantage: REINFORCE has the same gradient before the first
    step, and after it no notion of how far the policy has gone
difference in place of ratio: ratio = d
    the difference of log-probabilities: that is the ratio's logarithm, take its exp
ratio of log-probabilities: ratio = logps / old
    one log-probability divided by the other: divide probabilities, which is to subtract
    their logarithms and then exp
ratio of probabilities: ratio = exp(logps) / exp(old)
    one probability divided by the other: for a long response both round to 0. Subtract
    the logarithms first
ratio upside down: d = old - logps
    old over new: the ratio grows with what the trained policy likes better
never clipped: kept = ratio
    no clip: one batch of samples could be followed to any distance
clipped from above alone: kept = torch.minimum(ratio, 1 + clip + 0 * ratio)
    a ratio held below 1 + clip and not above 1 − clip: a bad response could be made
    rarer without end
1/(1 + clip): kept = ratio.clamp(1 / (1 + clip), 1 + clip)
    a ratio held above 1/(1 + clip): the lower bound is 1 − clip
clipped without a minimum: least = held
    the clipped ratio alone: a response that went the wrong way far enough gets no
    gradient and never comes back
maximum in place of minimum: least = torch.maximum(gain, held)
    the larger of the two: the clip must take gains away and leave losses
minimum of the ratios: least = torch.minimum(ratio, kept) * adv
    the smaller ratio, and only then the advantage: where that is negative the larger
    ratio gives the smaller gain. Compare the gains
0.2 whatever is asked for: kept = ratio.clamp(0.8, 1.2)
    a clip of 0.2 whatever is asked for: it is an argument
log-ratio clipped: kept = exp(d.clamp(-clip, clip))
    the log-ratio held within ± clip: close for small clips, but it is the ratio that
    stays within 1 ± clip
gain clipped: held = gain.clamp(1 - clip, 1 + clip)
    ratio times advantage held within 1 ± clip: hold the ratio, then multiply
minimum of the means: losses = -torch.minimum(gain.mean(), held.mean())
    one minimum for the batch: clip each response on its own, then take the mean
advantages centred: gain = ratio * centred(adv); held = kept * centred(adv)
    advantages less their mean over the batch: a baseline has been subtracted already,
    take them as they are
a penalty added: losses = d - least
    a KL term added to the loss: here the clip alone holds the policy near, and what is
    paid for drift is in the advantages
advantages standardised: gain = ratio * standard(adv); held = kept * standard(adv)
    advantages standardised by the batch, NaN for a single one: they are taken as given
times log π: losses = -torch.minimum(ratio, kept).detach() * adv * logps
    the clipped ratio, held fixed, times A log π: here the ratio carries the gradient
log-ratio for the ratio: ratio = d; kept = d.clamp(-clip, clip)
    the log-ratio in place of the ratio: take its exp, and hold that within 1 ± clip
cut off from above: ratio = exp(d).clamp(max=5)
    a ratio that is cut off: a step the wrong way has its whole price, however far
dual clip: losses = -where(adv < 0, torch.maximum(least, 3 * adv), least)
    a dual clip: a step the wrong way has its whole price, however far
"""
CHECKS = (
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
        [_steps([2], [-1]), _steps([0.25], [1]), _steps([20, 400], [-1, -1])],
    ),
    value(
        "the mean over responses, each clipped on its own", [_steps([2, 2], [1, -1])]
    ),
    fresh(
        "equal minus the mean of the smaller of ρA and clip(ρ)A, and so must its "
        "gradient for the policy",
        map(_fresh, (1, 5, 30), (0.2, 0.1, 0.3)),
        learnt=1,
    ),
)
HINTS = """
Three lines: the ratio of probabilities from two log-probabilities, the same ratio held
    within 1 ± clip, and the smaller of the two gains.
ratio = exp(logps − old_logps); clamp holds it; torch.minimum compares both times the
    advantage, response by response.
`-torch.minimum(ratio * advantages, kept * advantages).mean()`
"""
EXTREMES = (
    given([-1000.25, -900, -15, -10], [-1000, -900.5, -10, -15], [2, -1, 1, 1], 0.2),
)
RECIPE = Recipe(
    STEPS,
    centred=lambda advantages: advantages - advantages.mean(),
    standard=lambda a: (a - a.mean()) / (a.std() + 1e-8),
)
EXERCISE = Exercise(
    __doc__, clipped_policy_loss, RECIPE, pairs.SUM + FAULTS, CHECKS, HINTS, EXTREMES
)
