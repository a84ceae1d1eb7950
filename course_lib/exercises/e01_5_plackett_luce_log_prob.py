"""Exercise 1.5: The probability of a whole ranking."""

import torch.nn.functional as F

from course_lib.preferences import plackett_luce_log_prob
from .seasons import all_pairs
from .spec import (
    Exercise,
    Recipe,
    fresh,
    given,
    learns,
    normal,
    permutations,
    rule,
    value,
)

STEPS = """
scores ranking:
s = scores.gather(-1, ranking)  # the scores from best to worst
rest = s.flip(-1).logcumsumexp(-1).flip(-1)  # the log-sum over who is left
stages = s - rest  # the log-probability of each choice
whole = stages.sum(-1)  # the log-probability of the ranking
"""
FAULTS = """
ranks in place of an order: s = scores.gather(-1, ranking.argsort(-1))
    the ranking read as «place of item i»: it lists items, the best one first
squeezed: whole = stages.sum(-1).squeeze()
    squeeze, which also drops the dimension of a batch of one ranking: the result has
    the shape of scores without its last dimension
worst to best: s = scores.gather(-1, ranking.flip(-1))
    the ranking read from worst to best, or the sum over those picked so far: a choice
    is made among those who are left
scores as they came: s = scores
    the scores in the order of the items: gather them in the ranking's order
rows in place of entries: s = scores[ranking]
    scores[ranking], which picks rows of the batch: gather(-1, ranking) stays in the row
sorted by their scores: s = scores.sort(-1, descending=True).values
    scores sorted by size, the likeliest order: `ranking` says which order is meant
largest of who is left: rest = s.flip(-1).cummax(-1).values.flip(-1)
    the largest score left in place of a logsumexp: all that are left compete
mean over the stages: whole = stages.sum(-1) / (s.shape[-1] - 1)
    the mean over the k − 1 choices: a log-probability is their sum. Divided, it no
    longer sums to one over all rankings
mean over the items: whole = stages.mean(-1)
    the mean over the k terms of the sum: a log-probability is the sum itself
negated: whole = -stages.sum(-1)
    minus the log-probability: that is the loss
all pairs as if independent: whole = all_pairs(s).sum(-1)
    Bradley–Terry over all pairs: the pairs of one ranking are not independent, and the
    probabilities of all rankings would not sum to one
neighbours only: whole = logsigmoid(s[..., :-1] - s[..., 1:]).sum(-1)
    neighbours compared two by two: the first choice is made among all items
best against each: whole = logsigmoid(s[..., :1] - s[..., 1:]).sum(-1)
    Bradley–Terry of the best against each other item: the others are ranked too, and
    each stage is one pick among all who are left
nothing is removed: stages = log_softmax(s, -1)
    a softmax over all items at every stage: the one that was picked is gone
without the picked one: stages = s[..., :-1] - rest[..., 1:]
    the one who is picked left out of the sum: it was among those to choose from
best alone: whole = log_softmax(s, -1)[..., 0]
    the first choice alone: a ranking is k − 1 choices
overflowing exponentials: stages = log(exp(s) / exp(s).flip(-1).cumsum(-1).flip(-1))
    exponentials that overflow: stay in logs with logsumexp or logcumsumexp
largest subtracted once: rest = shifted(s, s.amax(-1, keepdim=True))
    exponentials after the largest of all is subtracted: once it is picked, the sum over
    those left may round to 0. torch.logcumsumexp looks at each stage
logarithm of a product: whole = log(exp(stages).prod(-1))
    probabilities multiplied and then their logarithm, which is −∞ once the product
    rounds to 0: add logarithms
probability: whole = exp(stages.sum(-1))
    the probability, not its logarithm
sum of the probabilities: whole = log(exp(stages).sum(-1))
    the stages' probabilities added: all of them must happen, so they are multiplied
"""
CHECKS = (
    learns(
        "one log-probability for each ranking",
        [
            given([0.0, 0.0], (0, 1)),
            given(normal(1, 2), permutations(1, 2)),
            given(normal(4, 3), permutations(4, 3)),
        ],
    ),
    value(
        "−log k! when all scores are equal",
        [given([0.0, 0.0], (1, 0)), given([7.0] * 4, (3, 1, 0, 2))],
    ),
    rule(
        "Bradley–Terry for two items",
        "be log σ(better − worse)",
        [given([1.0, 0.0], (0, 1)), given([1.0, 0.0], (1, 0))],
    ),
    rule(
        "[2, 0, 1] means: item 2 first, then item 0, then item 1",
        lambda call, ours: (
            f"be {ours.numbers[0]:.4f}, the likeliest of all orders: best to worst"
        ),
        [given([1.0, 0.0, 2.0], (2, 0, 1))],
    ),
    fresh(
        "equal Σ_i [ s_(i) − log Σ_{j ≥ i} e^{s_(j)} ], and so must its gradient",
        [
            given(normal(1, 3), permutations(1, 3)),
            given(normal(2, 5), permutations(2, 5)),
            given(normal(5, 4), permutations(5, 4)),
            given(normal(2, 2, 3), lambda i: i.permutations(4, 3).view(2, 2, 3)),
        ],
        gradient=True,
    ),
    rule(
        "scores as large as 2000",
        "stay finite: e^2000 is not a number that a computer holds",
        [given([2000.0, 0.0, 1000.0], order) for order in ((0, 2, 1), (1, 2, 0))],
        gradient=True,
    ),
)
HINTS = """
Draw the best item with a softmax over all of them, take it away, draw the next with a
    softmax over those that are left. Multiply; in logs, add.
`scores.gather(-1, ranking)` puts the scores in order. Stage i needs the logsumexp of
    entry i and all entries after it.
`ordered.flip(-1).logcumsumexp(-1).flip(-1)` gives all those logsumexps at once; the
    answer is the sum of `ordered` minus it.
"""
EXTREMES = (
    given(
        [[0, 1, 2], [3000, -3000, 0], [1, 0, 0.5]], ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    ),
    given(normal(1, 400), permutations(1, 400)),
    given([[0, -60, -61], [0, -2000, -2001]], ((0, 1, 2), (0, 1, 2))),
)
RECIPE = Recipe(
    STEPS,
    all_pairs=all_pairs,
    log_softmax=F.log_softmax,
    shifted=lambda s, top: (s - top).exp().flip(-1).cumsum(-1).flip(-1).log() + top,
)
EXERCISE = Exercise(
    __doc__, plackett_luce_log_prob, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES
)
