"""Exercise 6.3: ORPO: odds, and no reference."""

import math

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import AHEAD, BEHIND, Says, columns
from course_lib.exercises.spec import Call, Exercise, builder, learns, rule, value
from course_lib.losses import orpo_loss

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


def _log_odds(logps):
    return logps - torch.log(-torch.expm1(logps))


def _orpo(
    log_odds=_log_odds,
    ratio=torch.sub,
    together=lambda nll, push, weight: (nll + weight * push).mean(),
):
    """ORPO with one thing wrong; `push` is −log σ of the log-odds ratio."""

    def loss(a, b, nll, weight):
        push = -F.logsigmoid(ratio(log_odds(a), log_odds(b)))
        return together(nll, push, weight)

    return loss


def _leaking(logps):
    """Both branches are computed, and the one not taken has an infinite slope."""
    near, far = torch.log(-torch.expm1(logps)), torch.log1p(-torch.exp(logps))
    return logps - torch.where(logps > -0.6931, near, far)


EXERCISE = Exercise(
    number="6.3",
    title="ORPO: odds, and no reference",
    reference=orpo_loss,
    checks=(
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
        rule(
            "right on fresh random averages, values and gradients",
            "equal the mean of NLL − λ log σ(log odds(y_w) − log odds(y_l)), and so "
            "must its gradient",
            map(_fresh, (1, 3, 7), (1.0, 0.25, 0.1)),
            gradient=True,
        ),
        rule(
            "finite where an answer is all but certain",
            "be finite, as the odds are: 10²⁰ : 1. So must be its gradient",
            [_pairs([-2.0, -1e-20]), _pairs([-1e-20, -1e-20])],
            gradient=True,
        ),
        rule(
            "finite where an answer is all but impossible",
            "be finite, as the log-odds are: about −2000. So must be its gradient",
            [_pairs([-2000.0, -1.0]), _pairs([-2000.0, -2000.0])],
            gradient=True,
        ),
    ),
    misconceptions={
        "probability ratio": (
            _orpo(lambda logps: logps),
            "a difference of log-probabilities: the odds p/(1 − p) have 1 − p below",
        ),
        "log(1 − exp)": (
            _orpo(lambda logps: logps - torch.log(1 - torch.exp(logps))),
            "log(1 − e^a), by log or by log1p, where e^a rounds to 1 and the logarithm "
            "is −∞: torch.expm1 keeps what is left",
        ),
        "odds by division": (
            _orpo(lambda logps: torch.log(logps.exp() / (1 - logps.exp()))),
            "p/(1 − p) from probabilities: a division by 0 near certainty, and log 0 "
            "where p rounds to 0. Stay with logarithms",
        ),
        "e^(−a) − 1": (
            _orpo(lambda logps: -torch.log(torch.expm1(-logps))),
            "the odds as 1/(e^(−a) − 1), which overflow for an unlikely answer: write "
            "a − log(1 − e^a)",
        ),
        "gradient through the other branch": (
            _orpo(_leaking),
            "torch.where between two forms, whose unused one has an infinite slope: 0 "
            "· ∞ is NaN. One form is enough, or give each only inputs of its side",
        ),
        "swapped": (
            _orpo(ratio=lambda chosen, rejected: rejected - chosen),
            "the odds of the rejected answer over those of the chosen one",
        ),
        "log-odds added": (
            _orpo(ratio=torch.add),
            "log-odds added: a ratio of odds is a difference of log-odds",
        ),
        "NLL forgotten": (
            _orpo(together=lambda nll, push, weight: weight * push.mean()),
            "the odds term alone: nothing would teach the answer itself, as there is "
            "no SFT before",
        ),
        "weight on the NLL": (
            _orpo(together=lambda nll, push, weight: (weight * nll + push).mean()),
            "λ on the NLL: it weighs the odds term",
        ),
        "weight on both": (
            _orpo(together=lambda nll, push, weight: weight * (nll + push).mean()),
            "λ on both terms: it weighs the odds term alone",
        ),
        "log-likelihood added": (
            _orpo(together=lambda nll, push, weight: (-nll + weight * push).mean()),
            "minus the NLL: it is a negative log-likelihood already, and to be made "
            "small",
        ),
        "minus sign": (
            _orpo(together=lambda nll, push, weight: (nll - weight * push).mean()),
            "plus λ log σ: that rewards the wrong order. A loss is minimised",
        ),
        "sum in place of mean": (
            _orpo(together=lambda nll, push, weight: (nll + weight * push).sum()),
            Says.SUM,
        ),
    },
    hints=(
        "log odds(y) = a − log(1 − e^a), with a the average log-probability. Write "
        "that down for both answers first.",
        "torch.expm1(x) is e^x − 1 without rounding, so that log(1 − e^a) is "
        "torch.log(-torch.expm1(a)).",
        "`(nll - weight * F.logsigmoid(log_odds_chosen - log_odds_rejected)).mean()`",
    ),
)
