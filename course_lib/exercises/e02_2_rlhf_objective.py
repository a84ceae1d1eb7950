"""Exercise 2.2: What RLHF maximises."""

from course_lib.policies import rlhf_objective
from .policies import EVEN, KL, KL_FAULTS, RARE, policy
from .spec import Exercise, Recipe, fresh, given, learns, normal, rule, value


def _fresh(beta: float, *shape: int):
    return given(policy(*shape), policy(*shape), normal(*shape), beta)


STEPS = """
p q kl r beta:
earned = (p * r).sum(-1)  # the expected reward
price = beta * kl  # the price β KL
value = earned - price  # the objective
"""
FAULTS = """
KL reversed: mine = xlogy(q, q); theirs = xlogy(q, p)
    KL(ref‖policy): the policy draws, so it stands first
KL added: value = earned + price
    a KL that is added: leaving the reference would be paid for
β forgotten: price = kl
    a leash without β: every nat costs 1, whatever β is
β on the reward: value = beta * earned - kl
    β times the reward: β is the price of a nat and stands before the KL
β on both: value = beta * (earned - kl)
    β times the whole: it is the price of a nat and stands before the KL alone
divided by β: price = kl / beta
    KL / β: a larger β must make the leash dearer
a mixture: value = (1 - beta) * earned - beta * kl
    1 − β before the reward: β is a price and may be above 1, the reward counts in full
reward of the reference: earned = (q * r).sum(-1)
    the reference's expected reward: the policy's answers are rewarded
gain over the reference: earned = ((p - q) * r).sum(-1)
    the gain over the reference's reward: what counts is the policy's expected reward,
    and nothing is subtracted from it
plain mean of the rewards: earned = r.mean(-1)
    a plain mean of the rewards: each counts as often as the policy gives it
mean of the weighed rewards: earned = (p * r).mean(-1)
    π(y) r(y) averaged: the probabilities are the weights of a mean already, so the
    products are summed
plain sum of the rewards: earned = r.sum(-1)
    a plain sum of the rewards: each counts as often as the policy gives it
held above a bound: mine = p * log(p.clamp(min=1e-12));
        theirs = p * log(q.clamp(min=1e-12))
    probabilities held above a bound: an answer that the reference all but never gives
    would be cheap. xlogy sees to the policy's zeros, and nothing else
unweighted log-ratios: terms = log(p / q)
    log-ratios that nothing weighs: each counts as often as the policy gives the answer
weighed by the reference: terms = q * log(p / q)
    log-ratios weighed by the reference: it is the policy that draws the answers
KL without logarithms: terms = p * (p / q)
    policy times the ratio: the KL averages the logarithm of the ratio
cross-entropy: mine = torch.zeros_like(p)
    the cross-entropy in place of the KL: the policy's own log-probability is missing,
    and the reference would pay for being itself
entropy in place of KL: theirs = torch.zeros_like(p)
    a bonus for entropy in place of the KL: the reference is missing from it
a loss: value = price - earned
    the objective with its sign turned, a loss: this one is to be maximised
all prompts in one number: value = (earned - price).sum()
    one sum over all prompts: each prompt has an objective of its own
mean over the listed answers: value = (r - beta * log(p / q)).mean(-1)
    a plain mean over the listed answers: the policy's weighs each by π(y)
"""
CHECKS = (
    learns(
        "one number for each prompt, with a gradient",
        [given(EVEN, [0.25, 0.75], [1, 0], 0.5), _fresh(0.5, 4, 3)],
    ),
    value(
        "the reference itself, which pays nothing",
        [
            given(EVEN, EVEN, [1, 0], 0.1),
            given([0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [1, 2, -1], 2.0),
        ],
    ),
    rule(
        "the price alone: 0.9 and 0.1 against an even reference",
        "be −KL(policy‖ref) = −0.3681 where no answer earns anything",
        [given([0.9, 0.1], EVEN, [0, 0], 1.0)],
    ),
    rule(
        "an even choice turned into a certain one, at β = 1",
        "be 1 − ln 2 = 0.3069: the reward minus the price of leaving the reference",
        [given([1.0, 0.0], EVEN, [1, 0], 1.0)],
    ),
    value(
        "a certain choice at β = 0.1 and at β = 10",
        [given([1.0, 0.0], EVEN, [1, 0], beta) for beta in (0.1, 10.0)],
    ),
    fresh(
        "equal E[r] − β KL(policy‖ref) in every row, and so must its gradient",
        [_fresh(0.1, 2), _fresh(0.5, 5), _fresh(3.0, 3, 4)],
        gradient=True,
    ),
)
HINTS = """
Two parts: what the policy earns on average, and what it pays for being another policy
    than the reference.
The average is a sum of policy times rewards over the last dimension. The price is β
    times the KL of exercise 2.1, policy first.
Sum `policy * rewards`, and subtract beta times the sum of `torch.xlogy(policy, policy)
    - torch.xlogy(policy, ref)`.
"""
EXTREMES = (
    given(RARE, EVEN, [0, 3000], 0.1),
    given(EVEN, RARE, [1, 0], 0.1),
    given(EVEN, [1.0, 1e-30], [1, 0], 0.5),
    given([0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [0, 1, 3000], 0.5),
)
RECIPE = KL | Recipe(STEPS)
EXERCISE = Exercise(
    __doc__, rlhf_objective, RECIPE, FAULTS + KL_FAULTS, CHECKS, HINTS, EXTREMES
)
