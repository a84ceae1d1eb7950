"""Exercise 5.3: Choose β by what it may cost."""

import math

import torch

from course_lib.beta import beta_for_kl
from .spec import Exercise, Recipe, builder, fresh, given, rule, value

HALF = [0.5, 0.5]
ODDS_OF_THREE = [math.log(3), 0.0]
REF = [0.30, 0.25, 0.20, 0.15, 0.10]
REWARDS = [1.0, 3.0, 0.5, 2.5, -0.5]


@builder
def _fresh(inputs, responses: int, share: float):
    """A share of all that can be spent in a random world."""
    ref = inputs.normal(responses).softmax(-1)
    rewards = inputs.normal(responses, scale=1.5)
    return ref, rewards, share * -float(ref[rewards.argmax()].log())


def _search(spent, ref, rewards, kl, turned=False, priced=False, times=False) -> float:
    """A bisection for the β at which `spent(q, p, r/β)` is the budget.

    q, p: log-probabilities of the reference, and of π*; priced: times β
    """
    ref, rewards = ref.double(), rewards.double()
    low, high = 1e-3, 1e3
    for _ in range(80):
        beta = (low * high) ** 0.5
        q, tilt = ref.log(), rewards * beta if times else rewards / beta
        p = (q + tilt).log_softmax(-1)
        if (float(spent(q, p, tilt)) * beta**priced > kl) != turned:
            low = beta
        else:
            high = beta
    return low


def _nearest(ref, rewards, kl, count) -> float:
    """Of `count` values of β, from 1e-3 to 1e3, the one that spends nearest to `kl`."""
    betas = torch.logspace(-3, 3, count)
    q = ref.double().log()
    p = (q + rewards / betas[:, None]).log_softmax(-1)
    spent = (p.exp() * (p - q)).sum(-1)
    return betas[(spent - kl).abs().argmin()].item()


def _kl(q, p, tilt):
    return (p.exp() * (p - q)).sum()


FAULTS = """
KL reversed: beta = search(turned_round, ref, r, kl)
    KL(π_ref‖π*), reference first: what is spent is measured where the *policy* samples
reference forgotten in the tilt: beta = search(no_reference, ref, r, kl)
    a softmax of r/β alone: the optimal policy tilts the reference
uniform in place of the reference: beta = search(uniform, ref, r, kl)
    the divergence of π* from equal probabilities: it is spent against the reference
inverse: beta = 1 / search(spent, ref, r, kl)
    1/β: the rewards are divided by β, not multiplied
bisection reversed: beta = search(spent, ref, r, kl, turned=True)
    a search that runs to the end of its range: where too much is spent, β must *grow*
bits: beta = search(spent, ref, r, kl * log2)
    a divergence in bits: the budget is in nats, natural logarithms
without normalising: beta = search(unnormalised, ref, r, kl)
    tilted and not normalised: without log Z the sum is no divergence
log Z left out: beta = search(no_log_z, ref, r, kl)
    the mean of r/β under π*: log(π*/π_ref) is r/β − log Z
β KL: beta = search(spent, ref, r, kl, priced=True)
    E[r] − β log Z, which is β KL: the budget is in nats, so divide by β
probabilities that vanish: beta = search(underflown, ref, r, kl)
    NaN where a share of π* vanishes or e^{r/β} overflows: nothing is above NaN, so the
    search goes the wrong way. Take log_softmax
mean over the answers: beta = search(averaged, ref, r, kl)
    a mean over the answers: a divergence is the sum, whose weights π* sum to 1
sought up to 10 only: beta = least(search(spent, ref, r, kl), 10.0)
    a search that ends at β = 10: rewards on another scale need another β, however large
sought up to 1 only: beta = least(search(spent, ref, r, kl), 1.0)
    a search that ends at β = 1: a small budget needs a larger β, however large
small-KL rule:
        beta = (((ref * r**2).sum() - (ref * r).sum() ** 2) / (2 * kl))
        .sqrt().item()
    β = √(Var r / 2 KL): the law of small budgets, used where it does not hold
log Z for the KL: beta = search(only_log_z, ref, r, kl)
    log Z taken for the KL, which no constant added to the rewards moves: E[r]/β − log Z
forward KL, averaged: beta = search(averaged_back, ref, r, kl)
    F.kl_div(log π*, π_ref) is KL(π_ref‖π*), and by default the mean over the answers:
    here the policy comes first, and its terms are summed
a grid of 121: beta = nearest(ref, r, kl, 121)
    the best of a list of βs, as exact as the list is fine: go on between the neighbours
a grid of 61: beta = nearest(ref, r, kl, 61)
    the best of a list of βs, as exact as the list is fine: go on between the neighbours
a grid of 1000: beta = nearest(ref, r, kl, 1000)
    the best of a list of βs, as exact as the list is fine: go on between the neighbours
times β: beta = search(spent, ref, r, kl, times=True)
    r times β where it must be r/β: the search runs to the end of its range
"""
CHECKS = (
    rule(
        "one positive number",
        "be one number above 0",
        [given(HALF, ODDS_OF_THREE, 0.130812)],
        holds=lambda call, yours, ours, near: (
            yours.kind in ("number", "tensor")
            and len(yours.numbers) == 1
            and yours.numbers[0] > 0
            and not yours.changed
        ),
    ),
    rule(
        "1 for the budget that β = 1 spends",
        "be 1: at β = 1 the odds are 3 : 1, which costs ¾ ln 1.5 + ¼ ln ½ nats",
        [given(HALF, ODDS_OF_THREE, 0.1308120)],
    ),
    value(
        "the β of the five answers",
        [
            given(REF, REWARDS, 0.4691256457),
            given(REF, REWARDS, 0.8935307482),
            given(REF, REWARDS, 0.0069223403),
        ],
    ),
    rule(
        "rewards hundreds of times as large, and rewards with a constant added",
        "grow as the rewards do, and not change when all get a constant",
        [
            given(REF, [100 * r for r in REWARDS], 0.8935307482),
            given(REF, [1000 * r for r in REWARDS], 0.8935307482),
            given(REF, [r + 7 for r in REWARDS], 0.8935307482),
        ],
    ),
    fresh(
        "be the β at which KL(π*‖π_ref) equals the budget",
        map(_fresh, (2, 4, 6), (0.5, 0.2, 0.7)),
    ),
)
HINTS = """
KL(π*‖π_ref) falls from its limit to 0 as β grows: try a β, compare with the budget, and
    halve the range in which the answer must lie.
log π* = log_softmax(log π_ref + r/β); what it spends is Σ π* (log π* − log π_ref). Too
    much spent: β must be larger.
Begin with low, high = 1e-3, 1e3; 80 times: beta = (low * high) ** 0.5, and move `low`
    up to it if it spends more than kl, else `high` down.
"""
RECIPE = Recipe(
    "ref r kl: beta = search(spent, ref, r, kl)  # β",
    search=_search,
    spent=_kl,
    turned_round=lambda q, p, tilt: _kl(p, q, tilt),
    no_reference=lambda q, p, tilt: _kl(q, tilt.log_softmax(-1), tilt),
    uniform=lambda q, p, tilt: _kl(0 * q - math.log(len(q)), p, tilt),
    unnormalised=lambda q, p, tilt: ((q + tilt).exp() * tilt).sum(),
    only_log_z=lambda q, p, tilt: (q + tilt).logsumexp(-1).abs(),
    averaged_back=lambda q, p, tilt: _kl(p, q, tilt) / len(q),
    nearest=_nearest,
    no_log_z=lambda q, p, tilt: (p.exp() * tilt).sum(),
    underflown=lambda q, p, tilt: (p.exp() * (p.exp() / q.exp()).log()).sum(),
    averaged=lambda q, p, tilt: (p.exp() * (p - q)).mean(),
    least=min,
    log2=math.log(2),
)
EXERCISE = Exercise(
    __doc__, beta_for_kl, RECIPE, FAULTS, CHECKS, HINTS, within=1e-4, slow=True
)
