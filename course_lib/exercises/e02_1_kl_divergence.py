"""Exercise 2.1: How far is one policy from another?"""

import math

import torch.nn.functional as F
from torch.distributions import Categorical
from torch.distributions import kl_divergence as divergence

from course_lib.policies import kl_divergence
from .policies import EVEN, KL, KL_FAULTS, RARE, policy
from .spec import Exercise, Recipe, fresh, given, learns, rule, value

FAULTS = """
NaN made a number: terms = torch.nan_to_num(p * log(p / q))
    nan_to_num, which makes ∞ a large number too: torch.xlogy(0, 0) is 0 and keeps ∞
reversed: mine = xlogy(q, q); theirs = xlogy(q, p)
    KL(q‖p): the first argument draws the answers, and weighs the log-ratios
reversed arguments of kl_div: kl = kl_div(log(p), q, reduction="none").sum(-1)
    F.kl_div(log p, q), which is KL(q‖p): take two xlogy, p first
reduced by kl_div: kl = kl_div(log(q), p, reduction="none").mean()
    a mean over all numbers, which F.kl_div takes by default: with reduction="none", sum
    over the last dimension
torch.distributions: kl = divergence(categorical(p), categorical(q))
    p and q divided by their sums, as torch.distributions does: the value is right, the
    gradient another one. Write out the sum
softmax of probabilities: mine = xlogy(softmax(p, -1), softmax(p, -1));
        theirs = xlogy(softmax(p, -1), softmax(q, -1))
    a softmax of what are probabilities already: p and q are used as they come
unweighted log-ratios: terms = log(p / q)
    log-ratios that nothing weighs: each counts as often as p draws the answer
mean of the log-ratios: kl = log(p / q).mean(-1)
    a plain mean of log-ratios: each counts as often as p draws the answer
weighed by q: terms = q * log(p / q)
    log-ratios weighed by q: it is p that draws the answers
negated: terms = theirs - mine
    log q − log p: KL is never negative, the policy that draws stands on top
cross-entropy: mine = torch.zeros_like(p)
    the cross-entropy −Σ p log q, which is not 0 between a policy and itself: the
    entropy of p is missing
entropy: theirs = torch.zeros_like(p)
    Σ p log p, the entropy of p with its sign turned: q is missing
bits: terms = (mine - theirs) / ln2
    a divergence in bits, with logarithms to the base 2: nats need the natural logarithm
total variation: kl = (p - q).abs().sum(-1) / 2
    half the sum of absolute differences (total variation): a distance without
    logarithms, not measured in nats
squared differences: kl = ((p - q) ** 2).sum(-1)
    the sum of squared differences: KL compares logarithms, weighed by p
both directions: kl = ((p - q) * log(p / q)).sum(-1)
    KL(p‖q) + KL(q‖p), which favours neither policy: asked for is the first
all prompts in one number: kl = terms.sum()
    one sum over all prompts: sum over the last dimension alone
k3 of the listed answers: kl = (q / p - 1 - log(q / p)).mean(-1)
    the k3 estimate, which averages over answers that p has *drawn*: the answers are
    listed here, so weigh each by p(y)
"""
CHECKS = (
    learns(
        "one number for each prompt, with a gradient",
        [given(EVEN, [0.25, 0.75]), given(policy(4, 3), policy(4, 3))],
    ),
    value(
        "the value between a policy and itself",
        [given(EVEN, EVEN), given([0.7, 0.2, 0.1], [0.7, 0.2, 0.1])],
    ),
    value(
        "0.9 and 0.1 against an even policy, and the other way round",
        [given([0.9, 0.1], EVEN), given(EVEN, [0.9, 0.1])],
    ),
    value(
        "a certain answer against an even choice, where 0 log 0 counts as 0",
        [given([1.0, 0.0], EVEN), given([0.0, 1.0, 0.0], [0.5, 0.5, 0.0])],
    ),
    rule(
        "an answer that p gives and q never would",
        "be infinite: no number of nats pays for leaving the support of q",
        [given(EVEN, [1.0, 0.0]), given([0.25, 0.5, 0.25], [0.5, 0.5, 0.0])],
        holds=lambda call, yours, ours, near: yours.numbers == ours.numbers,
    ),
    fresh(
        "equal Σ p (log p − log q) in every row, and so must its gradient",
        [given(policy(*s), policy(*s)) for s in ((2,), (5,), (3, 4))],
        gradient=True,
    ),
)
HINTS = """
An expectation under p is a sum weighted by p. Of what? Of how much likelier p makes
    each answer than q does, in logarithms.
Each answer adds p log p − p log q. Where p is 0 that is 0, and torch.xlogy(x, y) is x
    log y with exactly this rule.
Sum `torch.xlogy(p, p)` minus `torch.xlogy(p, q)` over the last dimension.
"""
EXTREMES = (
    given(RARE, EVEN),
    given(EVEN, RARE),
    given([0.5, 0.5, 0.0], [0.25, 0.75, 0.0]),
)
RECIPE = KL | Recipe(
    "", kl_div=F.kl_div, categorical=Categorical, divergence=divergence, ln2=math.log(2)
)
EXERCISE = Exercise(
    __doc__, kl_divergence, RECIPE, FAULTS + KL_FAULTS, CHECKS, HINTS, EXTREMES
)
