"""Exercise 2.4: What the tilted weights sum to."""

from course_lib.policies import log_partition
from .policies import EVEN, fresh_world
from .spec import Exercise, Recipe, fresh, given, learns, rule, value, words


def _shifted(ref, tilt, top):
    """Exponentials that are taken less `top`, which is added again."""
    weights = ref * (tilt - top).exp()
    return (weights.sum(-1, keepdim=True).log() + top).squeeze(-1)


STEPS = """
ref r beta:
start = log(ref)  # log π_ref
tilt = r / beta  # r/β
logits = start + tilt  # log π_ref + r/β
logz = logsumexp(logits, -1)  # log Z
"""
FAULTS = """
overflowing exponentials: logz = log((ref * exp(tilt)).sum(-1))
    exponentials that overflow or vanish: torch.logsumexp never forms them
one maximum for all prompts: logz = shifted(ref, tilt, tilt.max())
    the largest r/β of all prompts subtracted before the exponentials: they vanish for a
    prompt whose own rewards are far smaller. Each needs its own
maximum of what is never said: logz = shifted(ref, tilt, tilt.amax(-1, True))
    the largest r/β subtracted even if the reference never gives that answer: all others
    vanish. Take the largest of log π_ref + r/β, as logsumexp does
maximum not added again: logz = log(exp(logits - logits.amax(-1, True)).sum(-1))
    the largest term subtracted before the exponentials and never added again
reference forgotten: logits = tilt
    a plain logsumexp of r/β: each answer counts as often as the reference gives it
a plain mean: logits = tilt - log(torch.ones_like(r).sum(-1, True))
    a plain mean of e^{r/β}, as for a sample: answers that are listed, not drawn, are
    weighed by the reference
reference outside: logz = (ref * logsumexp(tilt, -1)[..., None]).sum(-1)
    a plain logsumexp, weighed afterwards: π_ref weighs each e^{r/β} before the sum
Z itself: logz = exp(logsumexp(logits, -1))
    Z, not its logarithm
times β: tilt = r * beta
    r · β where it must be r / β
β forgotten: tilt = r
    e^r without β
β on both: logits = (start + r) / beta
    log π_ref divided by β as well: only the reward is
in units of reward: logz = beta * logsumexp(logits, -1)
    β log Z, the best value of the objective: asked for is log Z
logarithm of the reference forgotten: start = ref
    probabilities added to r/β: inside the exponential it is log π_ref
mean before the exponential: logz = (ref * tilt).sum(-1)
    the mean of r/β: the exponential is taken before the average, and its average is the
    larger one (Jensen)
sum of the logarithms: logz = logits.sum(-1)
    a sum of log π_ref + r/β: to sum the weights is another thing than to sum their
    logarithms, use logsumexp
normalised first: logits = (start + tilt).log_softmax(-1)
    the logarithm of a sum of normalised weights, always 0: Z is their sum before that
a small number added: start = log(ref + 1e-12)
    a small number added to the reference: log 0 = −∞ is right here, and a high reward
    makes any number large
maximum alone: logz = tilt.amax(-1)
    the largest r/β alone: near log Z for a small β, and only if log π_ref is added
along the wrong dimension: logz = logsumexp(logits, 0)
    a sum over the prompts: the answers to one prompt lie along the last dimension
all prompts in one number: logz = logsumexp(logits.flatten(), 0)
    one sum over all prompts: each prompt has a Z of its own
mean of the terms: logz = logsumexp(logits, -1) - log(torch.ones_like(ref).sum(-1))
    the logarithm of the mean of the terms: π_ref weighs them already, so they are
    summed. Dividing by n is for answers that were drawn
reference as a factor of the reward: logits = ref * tilt
    π_ref multiplied onto r/β, in the exponent: inside a logsumexp a weight is added as
    its logarithm, log π_ref + r/β
maximum without its β: logz = r.amax(-1) + shifted(ref, tilt, tilt.amax(-1, True))
        - tilt.amax(-1)
    the largest reward added again without its 1/β: what was subtracted was r/β
"""
CHECKS = (
    learns(
        "one number for each prompt, with a gradient",
        [given(EVEN, [1, 0], 1.0), fresh_world(0.5, 4, 3)],
    ),
    value(
        "log Z where no answer earns anything",
        [given(EVEN, [0, 0], 1.0), given([0.7, 0.2, 0.1], [0, 0, 0], 0.5)],
    ),
    value(
        "log Z where every answer earns the same",
        [given(EVEN, [3, 3], 1.0), given([0.7, 0.2, 0.1], [2, 2, 2], 0.5)],
    ),
    rule(
        "log Z where the reference prefers the worse answer",
        "be log(0.8 + 0.2 e) = 0.2954, more than the mean reward 0.2",
        [given([0.8, 0.2], [0, 1], 1.0)],
    ),
    rule(
        "a rewarded answer that the reference never gives",
        "be 0: an answer with π_ref = 0 adds 0 · e^30 to the sum",
        [given([0.5, 0.5, 0.0], [0, 0, 30], 1.0)],
    ),
    fresh(
        "equal log Σ ref · e^{rewards/β} in every row, and so must its gradient",
        [fresh_world(0.2, 2), fresh_world(0.5, 5), fresh_world(3.0, 3, 4)],
        gradient=True,
    ),
    rule(
        "a β of 0.001, and rewards in the thousands",
        words("be {0:.1f}: e to that power is not a number that a computer holds"),
        [
            given([0.5, 0.25, 0.25], [3, 2.5, -0.5], 0.001),
            given(EVEN, [-2000, -1999], 1.0),
        ],
    ),
)
HINTS = """
Z is the sum of the tilted weights. For β = 0.001 it has 1,300 digits; its logarithm is
    a harmless number. Never form Z.
log Σ e^a has a function of its own in torch. What is a, if e^a is to be π_ref ·
    e^{r/β}?
`torch.logsumexp` of `ref.log()` plus the rewards divided by beta, over the last
    dimension.
"""
EXTREMES = (
    given([EVEN, EVEN, EVEN], [[1000, 999], [1, 0], [-1000, -999]], 0.5),
    given([0.5, 0.5, 0.0], [0, 1, 3000], 1.0),
)
RECIPE = Recipe(STEPS, shifted=_shifted)
EXERCISE = Exercise(__doc__, log_partition, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES)
