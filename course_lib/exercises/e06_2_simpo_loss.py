"""Exercise 6.2: SimPO: no reference, but a margin."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import AHEAD, BEHIND, Says, columns
from course_lib.exercises.spec import Exercise, builder, finite, learns, rule, value
from course_lib.losses import simpo_loss


@builder
def _pairs(inputs, *pairs: list[float], beta=2.0, gamma=0.5):
    return *columns(inputs, pairs), beta, gamma


@builder
def _fresh(inputs, count: int, beta: float, gamma: float):
    return *(inputs.normal(count) - 3 for _ in range(2)), beta, gamma


def _simpo(
    margin=lambda d, beta, gamma: beta * d - gamma,
    loss=lambda margin: -F.logsigmoid(margin),
    reduce=torch.mean,
):
    """SimPO with one thing wrong; the margin from the difference, β and γ."""
    return lambda a, b, beta, gamma: reduce(loss(margin(a - b, beta, gamma)))


EXERCISE = Exercise(
    number="6.2",
    title="SimPO: no reference, but a margin",
    reference=simpo_loss,
    checks=(
        learns(
            "one number that carries a gradient", [_pairs(AHEAD), _pairs(AHEAD, BEHIND)]
        ),
        value(
            "DPO's form without a target, γ = 0",
            [
                _pairs([-1.5, -1.5], gamma=0.0),
                _pairs(AHEAD, gamma=0.0),
                _pairs(BEHIND, beta=2.5, gamma=0.0),
            ],
        ),
        value(
            "ln 2 where β times the difference is γ",
            [
                _pairs(AHEAD, beta=2.0, gamma=2.0),
                _pairs([-1.0, -1.2], beta=10.0, gamma=2.0),
            ],
        ),
        value(
            "the mean over pairs, each with a logarithm of its own",
            [_pairs(AHEAD, BEHIND), _pairs(AHEAD, AHEAD, BEHIND)],
        ),
        rule(
            "right on fresh random averages, values and gradients",
            "equal the mean of −log σ(β(a_w − a_l) − γ), and so must its gradient",
            map(_fresh, (1, 3, 7), (2.0, 2.5, 10.0), (0.5, 1.4, 3.0)),
            gradient=True,
        ),
        rule(
            "finite when a pair is wrong by 5,000 nats a token, and still pushing",
            finite,
            [_pairs([-5000, -1]), _pairs([-1, -5000])],
            gradient=True,
        ),
    ),
    misconceptions={
        "γ inside β's bracket": (
            _simpo(lambda d, beta, gamma: beta * (d - gamma)),
            "β(a_w − a_l − γ): β multiplies the difference alone. Some training "
            "scripts ask for the ratio γ/β, and this is what γ = 1.4 does there",
        ),
        "target added": (
            _simpo(lambda d, beta, gamma: beta * d + gamma),
            "γ added to the margin: a pair would count as won before it is. The target "
            "is to be exceeded, so subtract it",
        ),
        "no target": (
            _simpo(lambda d, beta, gamma: beta * d),
            "no γ at all: the difference has to be above γ, not above 0",
        ),
        "β forgotten": (
            _simpo(lambda d, beta, gamma: d - gamma),
            "β = 1 whatever is asked for: it multiplies the difference of averages",
        ),
        "β outside": (
            lambda a, b, beta, gamma: -beta * F.logsigmoid(a - b - gamma).mean(),
            Says.BETA_OUTSIDE,
        ),
        "swapped": (
            _simpo(lambda d, beta, gamma: -beta * d - gamma),
            "rejected minus chosen: the chosen answer is to be ahead",
        ),
        "no minus sign": (_simpo(loss=F.logsigmoid), Says.NO_MINUS),
        "hinge": (
            _simpo(loss=lambda margin: F.relu(-margin)),
            "a hinge at γ: SimPO keeps DPO's −log σ, which goes on pushing a little",
        ),
        "probabilities": (
            lambda a, b, beta, gamma: _simpo()(a.exp(), b.exp(), beta, gamma),
            "probabilities per token in place of their logarithms",
        ),
        "sum in place of mean": (_simpo(reduce=torch.sum), Says.SUM),
        "mean before the logarithm": (
            _simpo(lambda d, beta, gamma: (beta * d - gamma).mean()),
            "one logarithm of the mean margin: a large win would pay for a loss",
        ),
        "log(sigmoid)": (
            _simpo(loss=lambda margin: -torch.log(torch.sigmoid(margin))),
            Says.LOG_SIGMOID,
        ),
    },
    hints=(
        "The loss of chapter 01 on a margin. Which two numbers take the place of the "
        "rewards, and what has their difference to exceed?",
        "β times (chosen average − rejected average), then minus γ, then −log σ.",
        "`-F.logsigmoid(beta * difference - gamma).mean()`",
    ),
)
