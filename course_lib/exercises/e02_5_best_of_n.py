"""Exercise 2.5: The best of n draws."""

import torch
import torch.nn.functional as F

from course_lib.policies import best_of_n
from .policies import EVEN, is_policy, policy
from .spec import Exercise, Recipe, fresh, given, integers, rule, value, value_of


def _ties_by_place(ref, rewards, n):
    order = rewards.argsort(stable=True)
    reached = ref[order].cumsum(0)
    best = reached**n - (reached - ref[order]) ** n
    return torch.zeros_like(ref).scatter(0, order, best)


STEPS = """
ref r n:
below = (r < r[:, None]).to(ref) @ ref  # the chance of a worse answer
level = (r == r[:, None]).to(ref) @ ref  # the chance of an equally good one
best = (below + level) ** n - below**n  # the chance that the level is the best
share = where(ref > 0, ref / level, ref)  # the answer's share of its level
policy = share * best  # the probabilities
"""
FAULTS = """
none better, and nothing subtracted: best = (below + level) ** n
    the chance that no draw is better: subtract the chance that all draws are worse
none better, every tie wins: policy = (below + level) ** n
    the chance that no draw is better, for each answer whole: subtract the chance that
    all are worse, and let a level share what is left
none better, normalised: policy = scaled(share * (below + level) ** n)
    the chance that no draw is better, divided by what these chances sum to: subtract
    the chance that all are worse, then they sum to 1
all worse: best = below**n
    the chance that all draws are worse than the answer: then it is not drawn
drawn at least once: policy = 1 - (1 - ref) ** n
    the chance that an answer is among the draws: a better one may be there too
level drawn at least once: best = 1 - (1 - level) ** n
    the chance that a level is among the draws: a better one may be there too
drawn, and none better: policy = (1 - (1 - ref) ** n) * (below + level) ** n
    the chance to be drawn times the chance that nothing better is: the two depend on
    each other, and equally good draws count for one another
shared among all: policy = scaled(ref * best)
    shared by the reference among all answers: only the equally good share, ref / level,
    and then nothing is left to normalise
a density: policy = scaled(ref * (below + level) ** (n - 1))
    n f Fⁿ⁻¹, the rule for continuous rewards: here probability comes in lumps, and a
    level has the difference of two powers
the reference sharpened: policy = scaled(ref**n)
    ref to the power n: that prefers what is frequent, whatever its reward
the reward sharpened: policy = softmax(log(ref) + n * r, -1)
    a tilt of the reward with β = 1/n, which changes with the unit of the reward.
    Best-of-n depends on the order of the rewards alone
the worst of n: below = (r > r[:, None]).to(ref) @ ref
    the worst draw: keep the one with the highest reward
always the best: policy = one_hot(r.argmax(), r.numel()).to(ref)
    the best answer of all: it is kept only if it is drawn
every tie wins: share = torch.ones_like(ref)
    the whole level's chance for each of its answers: they share it
ties shared evenly: share = 1 / (r == r[:, None]).sum(-1)
    a level shared evenly: of equally good draws the one drawn first is kept, and what
    the reference gives more often is more often the first
ties broken by position: policy = in_place(ref, r, n)
    ties that the position in the list decides: equal rewards are one level
ties looked at alone: policy = (below + ref) ** n - below**n
    each answer set against the worse ones alone: its equals are forgotten
equals left in: policy = (below + level) ** n - (below + level - ref) ** n
    the chance of all that are no better, less that without this answer: its equals are
    still in it. Subtract the chance that all draws are worse
sorted and not put back: policy = in_place(ref, r, n)[r.argsort(stable=True)]
    the numbers in the order of the rewards: put each back in its answer's place
ties counted twice: best = n * level * (below + level) ** (n - 1)
    n times the chance that one draw is it and no other is better: that counts twice
    where two draws are equally good
one draw, all others worse: policy = n * ref * below ** (n - 1)
    n times the chance that one draw is it and all others are worse: several draws may
    give the same answer, or an equally good one
answers counted: below = (r < r[:, None]).to(ref).mean(-1);
        level = (r == r[:, None]).to(ref).mean(-1); share = ref / level
    answers counted, not weighed: the reference draws some more often than others, so
    add up its probabilities
0 divided by 0: share = ref / level
    a level that the reference never gives, shared by dividing 0 by 0
nearly equal called a tie: below = (r.round(decimals=2) < r.round(decimals=2)[:, None])
        .to(ref) @ ref; level = ((r.round(decimals=2)[:, None]
        == r.round(decimals=2)).to(ref)) @ ref
    nearly equal rewards called a tie: a small lead is a lead, only equals tie
"""
CHECKS = (
    rule(
        "one probability for each answer, and they sum to 1",
        "be a tensor like ref whose entries are not negative and sum to 1",
        [given(EVEN, [1, 0], 2), given([0.5, 0.25, 0.25], [1, 3, 2], 3)],
        holds=lambda call, yours, ours, near: (
            is_policy(call, yours, ours, near) and min(yours.numbers) >= -near
        ),
    ),
    value(
        "a single draw, n = 1",
        [given(EVEN, [1, 0], 1), given([0.7, 0.2, 0.1], [0, 2, 1], 1)],
    ),
    rule(
        "two draws of two even answers",
        "give ¾ to the better one: it loses only if both draws miss it",
        [given(EVEN, [1, 0], 2), given(EVEN, [-7, 20], 2)],
    ),
    rule(
        "equally good answers",
        lambda call, ours: (
            f"{value_of(call, ours)}: of equally good draws, the one drawn first "
            "is kept, wherever it stands in the list"
        ),
        [given([0.25, 0.75], [1, 1], 2), given([0.5, 0.125, 0.375], [0, 1, 1], 3)],
    ),
    value(
        "an answer that the reference never gives",
        [given([0.5, 0.5, 0.0], [0, 1, 2], 2), given([0.0, 1.0], [0, 1], 4)],
    ),
    fresh(
        "be F(r)^n − F(r⁻)^n for each level of reward, shared as the reference "
        "shares the level",
        [
            given(policy(answers), integers(0, 3, answers), n)
            for answers, n in ((2, 3), (5, 4), (7, 16))
        ],
    ),
)
HINTS = """
Ask for a whole level of reward first. The best draw is at this level if no draw is
    above it and not all are below it.
With `below`, the reference's mass of worse answers, and `level`, that of equally good
    ones: (below + level)^n − below^n. An answer's share of it is ref / level.
`(rewards < rewards[:, None]).to(ref) @ ref` gives `below`, with == it gives `level`.
    Where ref is 0 the answer is 0: torch.where.
"""
EXTREMES = (
    given([0.5, 0.25, 0.25], [-3000, 2000, 2000], 4),
    given([0.25, 0.75], [5000, 5000.02], 2),
    given([0.25, 0.25, 0.5], [0.501, 0.502, 0.2], 4),
    given([0.9, 0.0625, 0.0375], [2, 1, 3], 100),
)
RECIPE = Recipe(
    STEPS,
    in_place=_ties_by_place,
    one_hot=F.one_hot,
    scaled=lambda weights: weights / weights.sum(),
)
EXERCISE = Exercise(__doc__, best_of_n, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES)
