"""Exercise 4.3: Implicit-reward accuracy."""

import torch

from course_lib.exercises.pairs import BETTER, START, WORSE, four
from course_lib.exercises.spec import Exercise, builder, kind, rule, value
from course_lib.losses import implicit_reward_accuracy

FOUR_PAIRS = (  # log-ratios 1, 1, 1, 1 and −1, −1, 1, −1
    [-1.0, -4.0, -2.0, -3.0],
    [-2.0, -3.0, -3.0, -2.0],
    [-3.0, -1.0, -4.0, -2.0],
    [-1.0, -2.0, -2.0, -1.0],
)


_fresh = builder(lambda inputs: tuple(-inputs.integers(1, 4, 40) for _ in range(4)))


def _accuracy(right, reduce=torch.mean):
    """An accuracy with one thing wrong: when a pair is right, from its log-ratios."""
    return lambda a, b, c, d: reduce(right(a - c, b - d).to(a.dtype))


def _above(x):
    return (1 + torch.sign(x)) / 2


EXERCISE = Exercise(
    number="4.3",
    title="Implicit-reward accuracy",
    reference=implicit_reward_accuracy,
    checks=(
        kind(
            "one number, of the inputs' dtype",
            [four(BETTER, beta=None), four(BETTER, WORSE, beta=None)],
        ),
        value(
            "1 where every gap is above 0, 0 where every gap is below",
            [four(BETTER, BETTER, beta=None), four(WORSE, WORSE, beta=None)],
        ),
        value(
            "against the reference: a policy may still prefer the rejected answer",
            [four([-5, -4, -9, -4], beta=None), four([-4, -5, -4, -9], beta=None)],
        ),
        rule(
            "½ where policy and reference agree",
            "be 0.5: a tie counts half",
            [four(*START, beta=None)],
        ),
        value(
            "a share of the pairs",
            [four(*FOUR_PAIRS, beta=None), four(BETTER, WORSE, WORSE, beta=None)],
        ),
        rule(
            "right on fresh random log-probabilities, ties among them",
            "be the share of gaps above 0 plus half the share of gaps at 0",
            [_fresh()] * 3,
        ),
    ),
    misconceptions={
        "ties are wrong": (
            _accuracy(torch.gt),
            "u > v alone, which is 0 at the start of every run: a tie is to count half",
        ),
        "ties are right": (
            _accuracy(torch.ge),
            "u ≥ v, which is 1 before anything is learnt: a tie is to count half",
        ),
        "ranking accuracy": (
            lambda a, b, c, d: _above(a - b).mean(),
            "how often the policy itself prefers the chosen answer: another measure. "
            "This one looks at log-ratios",
        ),
        "chosen above the reference": (
            lambda a, b, c, d: _above(a - c).mean(),
            "how often the chosen answer rose: the rejected one may have risen more",
        ),
        "count": (
            _accuracy(lambda u, v: _above(u - v), torch.sum),
            "a number of pairs; an accuracy is their share",
        ),
        "mean probability": (
            _accuracy(lambda u, v: torch.sigmoid(u - v)),
            "the mean chance σ(h): an accuracy asks on which side of 0 a gap is",
        ),
        "swapped": (
            _accuracy(lambda u, v: _above(v - u)),
            "how often the implicit reward is wrong: chosen minus rejected, not the "
            "other way",
        ),
    },
    hints=(
        "The implicit rewards are βu and βv, and β > 0 decides nothing.",
        "Per pair: 1 if u > v, ½ if they are equal, 0 otherwise. torch.sign gives 1, 0 "
        "and −1.",
        "(1 + sign) / 2 turns those into 1, ½ and 0; then the mean.",
    ),
)
