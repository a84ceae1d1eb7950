"""Exercise 1.4: The probability of a whole ranking."""

import torch
import torch.nn.functional as F

from course_lib.exercises.spec import (
    Exercise,
    given,
    learns,
    normal,
    permutations,
    rule,
    value,
)
from course_lib.preferences import plackett_luce_log_prob


def _all_pairs(scores, ranking):
    ordered = scores.gather(-1, ranking)
    first, second = torch.triu_indices(*2 * scores.shape[-1:], offset=1)
    return F.logsigmoid(ordered[..., first] - ordered[..., second]).sum(-1)


def _neighbours(scores, ranking):
    ordered = scores.gather(-1, ranking)
    return F.logsigmoid(ordered[..., :-1] - ordered[..., 1:]).sum(-1)


def _exponentials(scores, ranking):
    ordered = scores.gather(-1, ranking).exp()
    remaining = ordered.flip(-1).cumsum(-1).flip(-1)
    return (ordered / remaining).log().sum(-1)


EXERCISE = Exercise(
    number="1.4",
    title="The probability of a whole ranking",
    reference=plackett_luce_log_prob,
    checks=(
        learns(
            "one log-probability for each ranking",
            [given([0.0, 0.0], (0, 1)), given(normal(4, 3), permutations(4, 3))],
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
        rule(
            "right on fresh random rankings, values and gradients",
            "equal Σ_i [ s_(i) − log Σ_{j ≥ i} e^{s_(j)} ], and so must its gradient",
            [
                given(normal(1, 3), permutations(1, 3)),
                given(normal(2, 5), permutations(2, 5)),
                given(normal(5, 4), permutations(5, 4)),
            ],
            gradient=True,
        ),
        rule(
            "finite for scores as large as 2000",
            "stay finite: e^2000 is not a number that a computer holds",
            [given([2000.0, 0.0, 1000.0], order) for order in ((0, 2, 1), (1, 2, 0))],
            gradient=True,
        ),
    ),
    misconceptions={
        "ranks in place of an order": (
            lambda s, r: plackett_luce_log_prob(s, r.argsort(-1)),
            "the ranking read as «place of item i»: it lists items, the best one first",
        ),
        "worst to best": (
            lambda s, r: plackett_luce_log_prob(s, r.flip(-1)),
            "the ranking read from worst to best",
        ),
        "mean over the stages": (
            lambda s, r: plackett_luce_log_prob(s, r) / (s.shape[-1] - 1),
            "the mean over the k − 1 choices: a log-probability is their sum. Divided, "
            "it no longer sums to one over all rankings",
        ),
        "mean over the items": (
            lambda s, r: plackett_luce_log_prob(s, r) / s.shape[-1],
            "the mean over the k terms of the sum: a log-probability is the sum itself",
        ),
        "negated": (
            lambda s, r: -plackett_luce_log_prob(s, r),
            "minus the log-probability: that is the loss",
        ),
        "all pairs as if independent": (
            _all_pairs,
            "Bradley–Terry over all pairs: the pairs of one ranking are not "
            "independent, and the probabilities of all rankings would not sum to one",
        ),
        "neighbours only": (
            _neighbours,
            "neighbours compared two by two: the first choice is made among all items",
        ),
        "nothing is removed": (
            lambda s, r: s.log_softmax(-1).gather(-1, r).sum(-1),
            "a softmax over all items at every stage: whoever was picked is gone",
        ),
        "overflowing exponentials": (
            _exponentials,
            "exponentials that overflow: stay in logs with logsumexp or logcumsumexp",
        ),
        "probability": (
            lambda s, r: plackett_luce_log_prob(s, r).exp(),
            "the probability, not its logarithm",
        ),
    },
    hints=(
        "Draw the best item with a softmax over all of them, take it away, draw the "
        "next with a softmax over those that are left. Multiply; in logs, add.",
        "`scores.gather(-1, ranking)` puts the scores in order. Stage i needs the "
        "logsumexp of entry i and all entries after it.",
        "`ordered.flip(-1).logcumsumexp(-1).flip(-1)` gives all those logsumexps at "
        "once; the answer is the sum of `ordered` minus it.",
    ),
)
