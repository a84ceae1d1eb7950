"""Exercise 6.4: ORPO: odds, and no reference."""

import math

import torch

from course_lib.losses import orpo_loss
from . import pairs
from .pairs import AHEAD, BEHIND, columns
from .spec import Call, Exercise, Recipe, builder, fresh, learns, rule, value, words

EVEN = [-1.0, -1.0]
FOUR_TO_ONE = [math.log(0.8), math.log(0.5)]  # odds of 4 : 1 against 1 : 1


@builder
def _pairs(inputs, *pairs: list[float], nll=(0.0,), weight=1.0):
    args = (*columns(inputs, pairs), inputs.tensor(nll))
    return Call(args, {"weight": weight})


@builder
def _fresh(inputs, count: int, weight: float):
    chosen, rejected, nll = (3 * inputs.uniform(count) for _ in range(3))
    return Call((-0.1 - chosen, -0.1 - rejected, nll), {"weight": weight})


def _leaking(logps):
    """Both branches are computed, and the one not taken has an infinite slope."""
    near, far = torch.log(-torch.expm1(logps)), torch.log1p(-torch.exp(logps))
    return torch.where(logps > -0.6931, near, far)


def _bounded(logps):
    chance = logps.exp().clamp(1e-6, 1 - 1e-6)
    return torch.log(chance / (1 - chance))


STEPS = """
a b nll weight:
s = log(-torch.expm1(a))  # log(1 − e^a) of the chosen answer
t = log(-torch.expm1(b))  # log(1 − e^a) of the rejected answer
u = a - s  # the chosen log-odds
v = b - t  # the rejected log-odds
m = u - v  # the log-odds ratio
push = -logsigmoid(m)  # the odds term
losses = nll + weight * push  # the sum of NLL and λ times the odds term
loss = losses.mean()  # the mean
"""
FAULTS = """
probability ratio: u = a; v = b
    a difference of log-probabilities: the odds p/(1 − p) have 1 − p below
log(1 − exp): s = log(1 - exp(a)); t = log(1 - exp(b))
    log(1 − e^a), by log or by log1p, where e^a rounds to 1 and the logarithm is −∞:
    torch.expm1 keeps what is left
odds by division: u = log(exp(a) / (1 - exp(a))); v = log(exp(b) / (1 - exp(b)))
    p/(1 − p) from probabilities: a division by 0 near certainty, and log 0 where p
    rounds to 0. Stay with logarithms
e^(−a) − 1: u = -log(torch.expm1(-a)); v = -log(torch.expm1(-b))
    the odds as 1/(e^(−a) − 1), which overflow for rare answers: write a − log(1 − e^a)
clamped probabilities: u = bounded(a); v = bounded(b)
    probabilities kept away from 0 and 1 by a clamp: where it holds them, the odds are
    not the answer's own and nothing pushes
slope of the other branch: s = leaking(a); t = leaking(b)
    torch.where between two forms, whose unused one has an infinite slope: 0 · ∞ is NaN.
    One form is enough, or give each only inputs of its side
log(1 + exp): s = F.softplus(a); t = F.softplus(b)
    log σ(a), with log(1 + e^a) below: the odds are p/(1 − p), so 1 − e^a stands there
odds without a logarithm: u = exp(a - s); v = exp(b - t)
    a difference of odds: inside σ stands the difference of their logarithms
mean before the logarithm: m = u.mean() - v.mean()
    one ratio for the whole batch: each pair has a logarithm of its own
swapped: m = v - u
    the odds of the rejected answer over those of the chosen one
log-odds added: m = u + v
    log-odds added: a ratio of odds is a difference of log-odds
log σ missing: push = -m
    minus the log-odds ratio without log σ: it never has enough, and would push a pair
    that is won as hard as one that is lost
NLL forgotten: losses = weight * push
    the odds term alone: with no SFT before, nothing would teach the answer itself
weight on the NLL: losses = weight * nll + push
    λ on the NLL: it weighs the odds term
weight on both: losses = weight * (nll + push)
    λ on both terms: it weighs the odds term alone
weight and one minus it: losses = (1 - weight) * nll + weight * push
    1 − λ on the NLL: it keeps its full weight, λ is not a share
log-likelihood added: losses = weight * push - nll
    minus the NLL: it is a negative log-likelihood already, and to be made small
minus sign: losses = nll - weight * push
    plus λ log σ: that rewards the wrong order. A loss is minimised
"""
CHECKS = (
    learns(
        "one number that carries a gradient",
        [_pairs(AHEAD), _pairs(AHEAD, BEHIND, nll=[1.0, 2.5])],
    ),
    value(
        "NLL + λ ln 2 where both answers are as likely",
        [_pairs(EVEN), _pairs(EVEN, nll=[2.0], weight=0.5)],
    ),
    value(
        "ln(5/4) for odds of 4 : 1 against 1 : 1",
        [_pairs(FOUR_TO_ONE), _pairs(FOUR_TO_ONE[::-1])],
    ),
    value(
        "the mean over pairs, of both terms",
        [
            _pairs(AHEAD, BEHIND, nll=[1.0, 2.5], weight=0.25),
            _pairs(EVEN, EVEN, EVEN, nll=[1.0, 0.5, 3.0], weight=0.25),
        ],
    ),
    fresh(
        "equal the mean of NLL − λ log σ(log odds(y_w) − log odds(y_l)), and so "
        "must its gradient",
        map(_fresh, (1, 3, 7), (1.0, 0.25, 0.1)),
        gradient=True,
    ),
    rule(
        "an answer that is all but certain",
        words("be {0:.4f}, as odds of 10²⁰ : 1 are finite, and so is the gradient"),
        [_pairs([-2.0, -1e-20]), _pairs([-1e-20, -1e-20])],
        gradient=True,
    ),
    rule(
        "an answer that is all but impossible",
        words("be {0:.4f}, as log-odds of −2000 are finite, and so is the gradient"),
        [_pairs([-2000.0, -1.0]), _pairs([-2000.0, -2000.0])],
        gradient=True,
    ),
)
HINTS = """
log odds(y) = a − log(1 − e^a), with a the average log-probability. Write that down for
    both answers first.
torch.expm1(x) is e^x − 1 without rounding, so log(1 − e^a) is
    torch.log(-torch.expm1(a)).
`(nll - weight * F.logsigmoid(log_odds_chosen - log_odds_rejected)).mean()`
"""
EXTREMES = (_pairs([-2000.0, -1e-20], AHEAD, [-1e-20, -2000.0], nll=[1.0, 0.5, 2.0]),)
RECIPE = Recipe(STEPS, leaking=_leaking, bounded=_bounded)
EXERCISE = Exercise(
    __doc__, orpo_loss, RECIPE, pairs.SUM + FAULTS, CHECKS, HINTS, EXTREMES
)
