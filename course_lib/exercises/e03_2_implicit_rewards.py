"""Exercise 3.2: The reward that a policy implies."""

import math

import torch

from course_lib.policies import implicit_rewards
from .policies import EVEN, policy
from .spec import Exercise, Recipe, fresh, given, learns, rule, value, words

# 1 / 1e-310 is not a number in float64, the logarithm of 1e-310 is
RARE = torch.tensor([1.0, 1e-310], dtype=torch.float64)


STEPS = """
policy ref beta:
p = policy.log()  # log π
q = ref.log()  # log π_ref
h = p - q  # the log-ratio
r = beta * h  # the reward
"""
FAULTS = """
upside down: h = q - p
    reference over policy: what became more likely would have the lower reward
beta forgotten: r = h
    the log-ratio in nats: times β it is in the unit of the reward
divided by beta: r = h / beta
    the log-ratio divided by β. π* holds r/β, so r is β times what is read
no reference: h = p
    the policy's log-probability alone: an answer that was always likely earns nothing
ratio without its logarithm: h = policy / ref
    β times the ratio itself: the reward is in an exponent, take the logarithm
ratio minus one: h = policy / ref - 1
    β(π/π_ref − 1), which is near the logarithm for small changes only
difference of probabilities: h = policy - ref
    a difference of probabilities: rewards multiply these, so take logarithms first
logarithm of the difference: h = log(policy - ref)
    log(π − π_ref): the logarithm of a quotient is a difference of two logarithms
quotient of logarithms: h = p / q
    log π divided by log π_ref: log(π/π_ref) is a difference of logarithms
beta on one term: r = beta * p - q
    β log π − log π_ref: without brackets β multiplies the first logarithm alone
beta inside the logarithm: r = log(beta * policy / ref)
    β inside the logarithm, where it only adds the same log β to every reward
a divergence: r = beta * (policy * h).sum(-1)
    β KL(π‖π_ref): an average over answers. Each answer has a reward of its own
weighted by the policy: r = beta * policy * h
    each answer's part of a KL: leave out the weight π(y)
quotient before the logarithm: h = log(policy / ref)
    log(policy / ref), right as a formula: the quotient of 1 and a very small
    probability is infinite. Subtract two logarithms
centred: r = beta * (h - h.mean(-1, keepdim=True))
    rewards shifted so that each row averages 0: as good a member of the class, but
    asked for is the one without a shift, β log(π/π_ref)
a small number added: p = log(policy + 1e-12); q = log(ref + 1e-12)
    a small number added before the logarithm: it changes the reward of every answer
    rarer than itself
softmax of probabilities: p = policy.log_softmax(-1); q = ref.log_softmax(-1)
    a log_softmax of what are probabilities already: take their logarithms
log-odds: p = torch.logit(policy); q = torch.logit(ref)
    a difference of log-odds, as in ORPO: here it is log π − log π_ref
standardised, a little added: r = standard(beta * h, 1e-8)
    rewards brought to mean 0 and spread 1: only the constant is free, β sets the scale
standardised: r = standard(beta * h)
    rewards brought to mean 0 and spread 1: only the constant is free, β sets the scale
"""
CHECKS = (
    learns(
        "one reward for each answer, of one prompt or of many, with a gradient",
        [given([0.75, 0.25], EVEN, 1.0), given([[0.75, 0.25]] * 3, [EVEN] * 3, 1.0)],
    ),
    rule(
        "0 where the policy says what the reference says",
        "be 0 for every answer: nothing has been preferred yet",
        [given(EVEN, EVEN, 1.0), given([0.7, 0.2, 0.1], [0.7, 0.2, 0.1], 0.1)],
    ),
    rule(
        "above 0 for an answer that became more likely, below for one that lost",
        "be above 0 for the first answer and below 0 for the second",
        [given([0.75, 0.25], EVEN, 1.0)],
        holds=lambda call, yours, ours, near: (
            len(yours.numbers) == 2 and yours.numbers[0] > 0 > yours.numbers[1]
        ),
    ),
    value(
        "β for an answer that became e times as likely",
        [given([0.2 * math.e, 1 - 0.2 * math.e], [0.2, 0.8], b) for b in (2.0, 0.1)],
    ),
    fresh(
        "equal β log( policy / ref ), and so must its gradient for the policy",
        [
            given(policy(3), policy(3), 0.5),
            given(policy(2, 4), policy(2, 4), 0.1),
            given(policy(6), policy(6), 3.0),
        ],
        learnt=1,
    ),
    rule(
        "a probability as small as that of a hundred tokens",
        words("be {0:.1f} and {1:.1f}, both finite"),
        [given(RARE, RARE.flip(0), 0.5), given(RARE.flip(0), RARE, 0.1)],
    ),
)
HINTS = """
Take the logarithm of π*(y) = π_ref(y) e^{r(y)/β} / Z and solve for r(y). Then leave out
    the term that is the same for every answer.
How much more readily does the policy say y than the reference? In nats that is a
    difference of two logarithms; β turns nats into reward.
`beta *` the logarithm of `policy` minus the logarithm of `ref`, entry by entry.
"""
EXTREMES = (given([[0.3, 0.7], [1.0, 1e-30]], [[1e-30, 1.0], EVEN], 0.1),)
RECIPE = Recipe(
    STEPS,
    standard=lambda r, more=0.0: (
        (r - r.mean(-1, keepdim=True)) / (r.std(-1, keepdim=True) + more)
    ),
)
EXERCISE = Exercise(__doc__, implicit_rewards, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES)
