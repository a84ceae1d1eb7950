"""Exercise 6.3: SimPO: no reference, but a margin."""

from course_lib.losses import simpo_loss
from . import pairs
from .pairs import AHEAD, BEHIND, columns
from .spec import Exercise, Recipe, builder, finite, fresh, learns, rule, value


@builder
def _pairs(inputs, *pairs: list[float], beta=2.0, gamma=0.5):
    return *columns(inputs, pairs), beta, gamma


@builder
def _fresh(inputs, count: int, beta: float, gamma: float):
    return *(inputs.normal(count) - 3 for _ in range(2)), beta, gamma


STEPS = """
a b beta gamma:
d = a - b  # the difference of averages
h = beta * d  # β times the difference
m = h - gamma  # the margin
"""
FAULTS = """
γ inside β's bracket: m = beta * (d - gamma)
    β(a_w − a_l − γ): β multiplies the difference alone. Some training scripts ask for
    the ratio γ/β, and this is what γ = 1.4 does there
γ divided by β: m = h - gamma / beta
    γ/β taken from the margin: γ is in units of β times the difference already, so
    subtract it as it is
γ outside the logarithm: m = h; losses = gamma - logsigmoid(m)
    γ added to −log σ: a constant there changes no gradient. Subtract it inside
γ taken from the loss: m = h; losses = -logsigmoid(m) - gamma
    γ taken from −log σ: a constant there changes no gradient. Subtract it inside
target added: m = h + gamma
    γ added to the margin: a pair would count as won before it is. The target is to be
    exceeded, so subtract it
no target: m = h
    no γ at all: the margin is β times the difference minus γ
β forgotten: h = d
    β = 1 whatever is asked for: it multiplies the difference of averages
β outside: h = d; losses = -beta * logsigmoid(m)
    β in front of the loss: there it only scales the step. It belongs inside the sigmoid
swapped: d = b - a
    rejected minus chosen: the chosen answer is to be ahead
hinge: losses = relu(-m)
    a hinge at γ: SimPO keeps DPO's −log σ, which goes on pushing a little
probabilities: d = exp(a) - exp(b)
    probabilities per token in place of their logarithms
ratio of averages: d = a / b
    one average divided by the other: their difference is the logarithm of a ratio of
    probabilities already
a square: losses = m**2
    a square, IPO's shape, in place of −log σ
"""
SHARED = (
    pairs.SUM + pairs.NO_MINUS + pairs.LOG_SIGMOID + pairs.SATURATING + pairs.MEAN_FIRST
)
CHECKS = (
    learns(
        "one number that carries a gradient", [_pairs(AHEAD), _pairs(AHEAD, BEHIND)]
    ),
    value(
        "−log σ of β times the difference where γ = 0",
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
    fresh(
        "equal the mean of −log σ(β(a_w − a_l) − γ), and so must its gradient",
        map(_fresh, (1, 3, 7), (2.0, 2.5, 10.0), (0.5, 1.4, 3.0)),
        gradient=True,
    ),
    rule(
        "a pair that is wrong by 5,000 nats a token",
        finite,
        [_pairs([-5000, -1]), _pairs([-1, -5000])],
        gradient=True,
    ),
)
HINTS = """
The loss of chapter 01 on a margin. Which two numbers take the place of the rewards, and
    what has their difference to exceed?
β times (chosen average − rejected average), then minus γ, then −log σ.
`-F.logsigmoid(beta * difference - gamma).mean()`
"""
EXTREMES = (_pairs([-1, -5000], [-5000, -1], AHEAD),)
RECIPE = Recipe(STEPS) | pairs.LOGISTIC
EXERCISE = Exercise(
    __doc__, simpo_loss, RECIPE, SHARED + FAULTS, CHECKS, HINTS, EXTREMES
)
