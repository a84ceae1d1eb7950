"""Exercise 4.2: Implicit-reward accuracy."""

from course_lib.losses import implicit_reward_accuracy
from . import pairs
from .pairs import BETTER, START, WORSE, four
from .spec import Exercise, Recipe, builder, fresh, kind, rule, value

FOUR_PAIRS = (  # log-ratios 1, 1, 1, 1 and −1, −1, 1, −1
    [-1.0, -4.0, -2.0, -3.0],
    [-2.0, -3.0, -3.0, -2.0],
    [-3.0, -1.0, -4.0, -2.0],
    [-1.0, -2.0, -2.0, -1.0],
)


_fresh = builder(lambda inputs: tuple(-inputs.integers(1, 4, 40) for _ in range(4)))


STEPS = """
h:
side = torch.sign(h)  # the sign of the gap
points = (1 + side) / 2  # the points of each pair
share = points.mean()  # the mean
"""
FAULTS = """
ties are wrong: points = (h > 0).to(h)
    u > v alone, which is 0 at the start of every run: a tie is to count half
ties are right: points = (h >= 0).to(h)
    u ≥ v, which is 1 before anything is learnt: a tie is to count half
ties left out: share = (h > 0).to(h).sum() / (h != 0).to(h).sum()
    the share of the pairs without a tie: a tie counts half, and where all are ties
    there is nothing to divide by
points from −1 to 1: points = side
    the mean sign, from −1 to 1: (1 + sign) / 2 counts 1, ½ and 0
ranking accuracy: h = a - b
    how often the policy itself prefers the chosen answer: another measure. This one
    looks at log-ratios
the reference's ranking: h = c - d
    how often the reference prefers the chosen answer: this measure looks at what the
    policy has moved from it
chosen rose: h = u
    how often the chosen answer rose: the rejected one may have risen more
chosen rose, ties wrong: points = (u > 0).to(h)
    u > 0, whether the chosen answer rose: the rejected one may have risen more. Compare
    u with v; a tie counts half
one up and one down: points = ((u > 0) & (v < 0)).to(h)
    u > 0 and v < 0: both may rise or both fall, only which gained more decides
nearly a tie: points = where(torch.isclose(u, v), 0.5, (u > v).to(h))
    nearly equal log-ratios called a tie: a small lead is a lead, only equals tie
signs compared: points = (1 + torch.sign(torch.sign(u) - torch.sign(v))) / 2
    whether each answer rose or fell, and no more: both may rise or both fall, and the
    larger log-ratio still leads
sign of the mean gap: points = (1 + torch.sign(h.mean())) / 2
    the side of the mean gap: one large gap would decide for all. Count the pairs
count: share = points.sum()
    a number of pairs; an accuracy is their share
in per cent: share = 100 * points.mean()
    a percentage: asked for is a share between 0 and 1
mean probability: points = sigmoid(h)
    the mean chance σ(h): an accuracy asks on which side of 0 a gap is
"""
CHECKS = (
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
        [
            four(*FOUR_PAIRS, beta=None),
            four(BETTER, WORSE, WORSE, beta=None),
            four([-20.0, -21.0001, -1.0, -2.0], BETTER, beta=None),
        ],
    ),
    fresh(
        "be the share of gaps above 0 plus half the share of gaps at 0", [_fresh()] * 3
    ),
)
HINTS = """
The implicit rewards are βu and βv, and β > 0 decides nothing.
Per pair: 1 if u > v, ½ if they are equal, 0 otherwise. torch.sign gives 1, 0 and −1.
(1 + sign) / 2 turns those into 1, ½ and 0; then the mean.
"""
EXTREMES = (four([-9, -4000, -4000, -9], [-4000, -9, -9, -4000], START[0], beta=None),)
RECIPE = pairs.GAP | Recipe(STEPS)
FAULTS = pairs.SWAPPED + FAULTS
EXERCISE = Exercise(
    __doc__, implicit_reward_accuracy, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES
)
