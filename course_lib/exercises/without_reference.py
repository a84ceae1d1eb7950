"""Chapter 06: SimPO and ORPO, two losses that ask no reference."""

import math

import torch
import torch.nn.functional as F

from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.losses import orpo_loss, simpo_loss
from course_lib.submission.observing import Call


def _averages(draw: Draw, *pairs: list[float], **kwargs) -> tuple:
    """Chosen and rejected log-probs per token, from pairs."""
    return tuple(draw.tensor(list(column)) for column in zip(*pairs, strict=True))


def _simpo(draw: Draw, *pairs: list[float], beta=2.0, gamma=0.5, **kwargs) -> Call:
    return Call((*_averages(draw, *pairs), beta, gamma), **kwargs)


def _drawn_simpo(draw: Draw, count: int, beta: float, gamma: float) -> Call:
    pairs = [draw.normal(count) - 3 for _ in range(2)]
    return Call((*pairs, beta, gamma), gradient=True)


def _target(margin):
    """SimPO with another margin, a function of the difference, β and γ."""

    def loss(a, b, beta, gamma):
        return -F.logsigmoid(margin(a - b, beta, gamma)).mean()

    return loss


def _of_probabilities(a, b, beta, gamma):
    return -F.logsigmoid(beta * (a.exp() - b.exp()) - gamma).mean()


AHEAD = [-1.0, -2.0]  # the chosen answer by one nat a token
BEHIND = [-2.5, -1.0]

_SIMPO = Exercise(
    number="6.2",
    title="SimPO: no reference, but a margin",
    reference=simpo_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                _simpo(draw, AHEAD, gradient=True),
                _simpo(draw, AHEAD, BEHIND, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "DPO's form without a target, γ = 0",
            lambda draw: [
                _simpo(draw, [-1.5, -1.5], gamma=0.0),
                _simpo(draw, AHEAD, gamma=0.0),
                _simpo(draw, BEHIND, beta=2.5, gamma=0.0),
            ],
            value_of,
        ),
        Check(
            "ln 2 where β times the difference is γ",
            lambda draw: [
                _simpo(draw, AHEAD, beta=2.0, gamma=2.0),
                _simpo(draw, [-1.0, -1.2], beta=10.0, gamma=2.0),
            ],
            value_of,
        ),
        Check(
            "the mean over pairs, each with a logarithm of its own",
            lambda draw: [
                _simpo(draw, AHEAD, BEHIND),
                _simpo(draw, AHEAD, AHEAD, BEHIND),
            ],
            value_of,
        ),
        Check(
            "right on fresh random averages, values and gradients",
            lambda draw: [
                _drawn_simpo(draw, n, beta, gamma)
                for n, beta, gamma in ((1, 2.0, 0.5), (3, 2.5, 1.4), (7, 10.0, 3.0))
            ],
            "equal the mean of −log σ(β(a_w − a_l) − γ), and so must its gradient",
        ),
        Check(
            "finite when a pair is wrong by 5,000 nats a token, and still pushing",
            lambda draw: [
                _simpo(draw, [-5000, -1], gradient=True),
                _simpo(draw, [-1, -5000], gradient=True),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.4g}, with a gradient that is finite"
            ),
        ),
    ),
    misconceptions=(
        Misconception(
            "γ inside β's bracket",
            _target(lambda d, beta, gamma: beta * (d - gamma)),
            "β(a_w − a_l − γ): β multiplies the difference alone. Some training "
            "scripts ask for the ratio γ/β, and this is what γ = 1.4 does there",
        ),
        Misconception(
            "target added",
            _target(lambda d, beta, gamma: beta * d + gamma),
            "γ added to the margin: a pair would count as won before it is. The "
            "target is to be exceeded, so subtract it",
        ),
        Misconception(
            "no target",
            _target(lambda d, beta, gamma: beta * d),
            "no γ at all: the difference has to be above γ, not above 0",
        ),
        Misconception(
            "β forgotten",
            _target(lambda d, beta, gamma: d - gamma),
            "β = 1 whatever is asked for: it multiplies the difference of averages",
        ),
        Misconception(
            "β outside",
            lambda a, b, beta, gamma: -beta * F.logsigmoid(a - b - gamma).mean(),
            "β in front of the loss: there it only scales the step. It belongs inside "
            "the sigmoid",
        ),
        Misconception(
            "swapped",
            _target(lambda d, beta, gamma: -beta * d - gamma),
            "rejected minus chosen: the chosen answer is to be ahead",
        ),
        Misconception(
            "no minus sign",
            lambda a, b, beta, gamma: F.logsigmoid(beta * (a - b) - gamma).mean(),
            "the log-likelihood without its minus sign: a loss is minimised",
        ),
        Misconception(
            "hinge",
            lambda a, b, beta, gamma: F.relu(gamma - beta * (a - b)).mean(),
            "a hinge at γ: SimPO keeps DPO's −log σ, which goes on pushing a little",
        ),
        Misconception(
            "probabilities",
            _of_probabilities,
            "probabilities per token in place of their logarithms",
        ),
        Misconception(
            "sum in place of mean",
            lambda a, b, beta, gamma: -F.logsigmoid(beta * (a - b) - gamma).sum(),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "mean before the logarithm",
            lambda a, b, beta, gamma: -F.logsigmoid((beta * (a - b) - gamma).mean()),
            "one logarithm of the mean margin: a large win would pay for a loss",
        ),
        Misconception(
            "log(sigmoid)",
            lambda a, b, beta, gamma: (
                -torch.log(torch.sigmoid(beta * (a - b) - gamma)).mean()
            ),
            "log(sigmoid(x)), whose sigmoid rounds to 0 and whose log is then −∞: "
            "use F.logsigmoid",
        ),
    ),
    hints=(
        "The loss of chapter 01 on a margin. Which two numbers take the place of the "
        "rewards, and what has their difference to exceed?",
        "β times (chosen average − rejected average), then minus γ, then −log σ.",
        "`-F.logsigmoid(beta * difference - gamma).mean()`",
    ),
)


def _orpo(draw: Draw, *pairs: list[float], nll=(0.0,), weight=1.0, **kwargs) -> Call:
    args = (*_averages(draw, *pairs), draw.tensor(list(nll)))
    return Call(args, {"weight": weight}, **kwargs)


def _drawn_orpo(draw: Draw, count: int, weight: float) -> Call:
    pairs = [-0.1 - 3 * draw.uniform(count) for _ in range(2)]
    args = (*pairs, 3 * draw.uniform(count))
    return Call(args, {"weight": weight}, gradient=True)


def _log_odds(logps):
    return logps - torch.log(-torch.expm1(logps))


def _odds(log_odds, sign=1.0):
    """ORPO with another opinion of an answer."""

    def loss(a, b, nll, weight):
        difference = sign * (log_odds(a) - log_odds(b))
        return (nll - weight * F.logsigmoid(difference)).mean()

    return loss


def _divided(logps):
    p = logps.exp()
    return torch.log(p / (1 - p))


def _leaking(logps):
    """Both branches are computed, and the one not taken has an infinite slope."""
    near, far = torch.log(-torch.expm1(logps)), torch.log1p(-torch.exp(logps))
    return logps - torch.where(logps > -0.6931, near, far)


def _around(push):
    """ORPO put together in another way, from the NLL and −log σ."""

    def loss(a, b, nll, weight):
        return push(nll, -F.logsigmoid(_log_odds(a) - _log_odds(b)), weight)

    return loss


EVEN = [-1.0, -1.0]
FOUR_TO_ONE = [math.log(0.8), math.log(0.5)]  # odds of 4 : 1 against 1 : 1

_ORPO = Exercise(
    number="6.3",
    title="ORPO: odds, and no reference",
    reference=orpo_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                _orpo(draw, AHEAD, gradient=True),
                _orpo(draw, AHEAD, BEHIND, nll=[1.0, 2.5], gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "NLL + λ ln 2 where both answers are as likely",
            lambda draw: [
                _orpo(draw, EVEN),
                _orpo(draw, EVEN, nll=[2.0], weight=0.5),
            ],
            value_of,
        ),
        Check(
            "ln(5/4) for odds of 4 : 1 against 1 : 1",
            lambda draw: [_orpo(draw, FOUR_TO_ONE), _orpo(draw, FOUR_TO_ONE[::-1])],
            value_of,
        ),
        Check(
            "the mean over pairs, of both terms",
            lambda draw: [
                _orpo(draw, AHEAD, BEHIND, nll=[1.0, 2.5], weight=0.25),
                _orpo(draw, EVEN, EVEN, EVEN, nll=[1.0, 0.5, 3.0], weight=0.25),
            ],
            value_of,
        ),
        Check(
            "right on fresh random averages, values and gradients",
            lambda draw: [
                _drawn_orpo(draw, n, weight)
                for n, weight in ((1, 1.0), (3, 0.25), (7, 0.1))
            ],
            "equal the mean of NLL − λ log σ(log odds(y_w) − log odds(y_l)), and so "
            "must its gradient",
        ),
        Check(
            "finite where an answer is all but certain",
            lambda draw: [
                _orpo(draw, [-2.0, -1e-20], gradient=True),
                _orpo(draw, [-1e-20, -1e-20], gradient=True),
            ],
            "be finite, as the odds are: 10²⁰ : 1. So must be its gradient",
        ),
        Check(
            "finite where an answer is all but impossible",
            lambda draw: [
                _orpo(draw, [-2000.0, -1.0], gradient=True),
                _orpo(draw, [-2000.0, -2000.0], gradient=True),
            ],
            "be finite, as the log-odds are: about −2000. So must be its gradient",
        ),
    ),
    misconceptions=(
        Misconception(
            "probability ratio",
            _odds(lambda logps: logps),
            "a difference of log-probabilities: the odds p/(1 − p) have 1 − p below",
        ),
        Misconception(
            "log(1 − exp)",
            _odds(lambda logps: logps - torch.log(1 - torch.exp(logps))),
            "log(1 − e^a), by log or by log1p, where e^a rounds to 1 and the logarithm "
            "is −∞: torch.expm1 keeps what is left",
        ),
        Misconception(
            "odds by division",
            _odds(_divided),
            "p/(1 − p) from probabilities: a division by 0 near certainty, and log 0 "
            "where p rounds to 0. Stay with logarithms",
        ),
        Misconception(
            "e^(−a) − 1",
            _odds(lambda logps: -torch.log(torch.expm1(-logps))),
            "the odds as 1/(e^(−a) − 1), which overflow for an unlikely answer: write "
            "a − log(1 − e^a)",
        ),
        Misconception(
            "gradient through the other branch",
            _odds(_leaking),
            "torch.where between two forms, whose unused one has an infinite slope: "
            "0 · ∞ is NaN. One form is enough, or give each only inputs of its side",
        ),
        Misconception(
            "swapped",
            _odds(_log_odds, sign=-1.0),
            "the odds of the rejected answer over those of the chosen one",
        ),
        Misconception(
            "log-odds added",
            lambda a, b, nll, weight: (
                nll - weight * F.logsigmoid(_log_odds(a) + _log_odds(b))
            ).mean(),
            "log-odds added: a ratio of odds is a difference of log-odds",
        ),
        Misconception(
            "NLL forgotten",
            _around(lambda nll, push, weight: weight * push.mean()),
            "the odds term alone: nothing would teach the answer itself, as there is "
            "no SFT before",
        ),
        Misconception(
            "weight on the NLL",
            _around(lambda nll, push, weight: (weight * nll + push).mean()),
            "λ on the NLL: it weighs the odds term",
        ),
        Misconception(
            "weight on both",
            _around(lambda nll, push, weight: weight * (nll + push).mean()),
            "λ on both terms: it weighs the odds term alone",
        ),
        Misconception(
            "log-likelihood added",
            _around(lambda nll, push, weight: (-nll + weight * push).mean()),
            "minus the NLL: it is a negative log-likelihood already, and to be made "
            "small",
        ),
        Misconception(
            "minus sign",
            _around(lambda nll, push, weight: (nll - weight * push).mean()),
            "plus λ log σ: that rewards the wrong order. A loss is minimised",
        ),
        Misconception(
            "sum in place of mean",
            _around(lambda nll, push, weight: (nll + weight * push).sum()),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
    ),
    hints=(
        "log odds(y) = a − log(1 − e^a), with a the average log-probability. Write "
        "that down for both answers first.",
        "torch.expm1(x) is e^x − 1 without rounding, so that log(1 − e^a) is "
        "torch.log(-torch.expm1(a)).",
        "`(nll - weight * F.logsigmoid(log_odds_chosen - log_odds_rejected)).mean()`",
    ),
)

EXERCISES = (_SIMPO, _ORPO)
