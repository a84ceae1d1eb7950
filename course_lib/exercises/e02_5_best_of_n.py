"""Exercise 2.5: The best of n draws."""

import torch
import torch.nn.functional as F

from course_lib.exercises.policies import EVEN, policy, rows_sum_to_one
from course_lib.exercises.spec import (
    Exercise,
    given,
    integers,
    returns_like,
    rule,
    value,
    value_of,
)
from course_lib.policies import best_of_n


def _levels(chance):
    """`chance` from π_ref of an answer, of all worse ones, of its equals, and n."""

    def best(ref, rewards, n):
        below = (rewards < rewards[:, None]).to(ref) @ ref
        level = (rewards == rewards[:, None]).to(ref) @ ref
        return chance(ref, below, level, n)

    return best


_every_tie_wins = _levels(lambda ref, below, level, n: (below + level) ** n - below**n)


def _ties_by_place(ref, rewards, n):
    order = rewards.argsort(stable=True)
    reached = ref[order].cumsum(0)
    best = reached**n - (reached - ref[order]) ** n
    return torch.zeros_like(ref).scatter(0, order, best)


EXERCISE = Exercise(
    number="2.5",
    title="The best of n draws",
    reference=best_of_n,
    checks=(
        rule(
            "one probability for each answer, and they sum to 1",
            "be a tensor like ref whose entries are not negative and sum to 1",
            [given(EVEN, [1, 0], 2), given([0.5, 0.25, 0.25], [1, 3, 2], 3)],
            holds=lambda call, yours, ours, near: (
                returns_like(call, yours, ours, near)
                and rows_sum_to_one(yours, near)
                and min(yours.numbers) >= -near
            ),
        ),
        value(
            "the reference itself for n = 1",
            [given(EVEN, [1, 0], 1), given([0.7, 0.2, 0.1], [0, 2, 1], 1)],
        ),
        rule(
            "¾ for the better of two even answers, n = 2",
            "give ¾ to the better one: it loses only if both draws miss it",
            [given(EVEN, [1, 0], 2), given(EVEN, [-7, 20], 2)],
        ),
        rule(
            "ties are shared as the reference shares them",
            lambda call, ours: (
                f"{value_of(call, ours)}: the first of the best draws is kept"
            ),
            [given([0.25, 0.75], [1, 1], 2), given([0.5, 0.125, 0.375], [0, 1, 1], 3)],
        ),
        value(
            "0 where the reference is 0",
            [given([0.5, 0.5, 0.0], [0, 1, 2], 2), given([0.0, 1.0], [0, 1], 4)],
        ),
        rule(
            "right on fresh random references with ties among the rewards",
            "be F(r)^n − F(r⁻)^n for each level of reward, shared as the reference "
            "shares the level",
            [
                given(policy(answers), integers(0, 3, answers), n)
                for answers, n in ((2, 3), (5, 4), (7, 16))
            ],
        ),
    ),
    misconceptions={
        "none better, and nothing subtracted": (
            _levels(lambda ref, below, level, n: (below + level) ** n),
            "the chance that no draw is better: subtract the chance that all draws are "
            "worse",
        ),
        "drawn at least once": (
            lambda ref, r, n: 1 - (1 - ref) ** n,
            "the chance that an answer is among the draws: a better one may be there "
            "too",
        ),
        "the reference sharpened": (
            lambda ref, r, n: ref**n / (ref**n).sum(),
            "ref to the power n: that prefers what is frequent, whatever its reward",
        ),
        "the reward sharpened": (
            lambda ref, r, n: torch.softmax(ref.log() + n * r, -1),
            "a tilt of the reward with β = 1/n, which changes with the unit of the "
            "reward. Best-of-n depends on the order of the rewards alone",
        ),
        "the worst of n": (
            lambda ref, r, n: best_of_n(ref, -r, n),
            "the worst draw: keep the one with the highest reward",
        ),
        "always the best": (
            lambda ref, r, n: F.one_hot(r.argmax(), len(r)).to(ref),
            "the best answer of all: it is kept only if it is drawn",
        ),
        "every tie wins": (
            _every_tie_wins,
            "the whole level's chance for each of its answers: they share it",
        ),
        "ties shared evenly": (
            lambda ref, r, n: _every_tie_wins(ref, r, n) / (r == r[:, None]).sum(-1),
            "a level shared evenly: among equally good draws the first is kept, and it "
            "is whichever the reference draws more often",
        ),
        "ties broken by position": (
            _ties_by_place,
            "ties that the position in the list decides: equal rewards are one level",
        ),
        "ties looked at alone": (
            _levels(lambda ref, below, level, n: (below + ref) ** n - below**n),
            "each answer set against the worse ones alone: its equals are forgotten",
        ),
        "0 divided by 0": (
            _levels(
                lambda ref, below, level, n: (
                    ref * ((below + level) ** n - below**n) / level
                )
            ),
            "a level that the reference never gives, shared by dividing 0 by 0",
        ),
    },
    hints=(
        "Ask for a whole level of reward first. The best draw is at this level if no "
        "draw is above it and not all are below it.",
        "With `below`, the reference's mass of worse answers, and `level`, that of "
        "equally good ones: (below + level)^n − below^n. An answer's share of it is "
        "ref / level.",
        "`(rewards < rewards[:, None]).to(ref) @ ref` gives `below`, with == it gives "
        "`level`. Where ref is 0 the answer is 0: torch.where.",
    ),
)
