"""Exercise 6.8: Another divergence."""

import math

from course_lib.losses import f_dpo_loss
from . import pairs
from .pairs import BETTER, WORSE, four, fresh_four
from .spec import Exercise, Recipe, finite, fresh, learns, rule, value

DIVERGENCES = ("reverse_kl", "forward_kl", "js")
REVERSE, FORWARD, JS = ({"divergence": name} for name in DIVERGENCES)


STEPS = """
a b c d beta divergence:
u = a - c  # the chosen log-ratio
v = b - d  # the rejected log-ratio
t = torch.stack((u, v))  # the log-ratios
back = t  # f′ of the reverse KL
forth = -exp(-t)  # f′ of the forward KL
js = logsigmoid(t)  # f′ of Jensen–Shannon
slopes = {"reverse_kl": back, "forward_kl": forth, "js": js}[divergence]  # f′
h = slopes[0] - slopes[1]  # the difference of the slopes
"""
FAULTS = """
forward and reverse exchanged: back = -exp(-t); forth = t
    the two KLs exchanged: DPO's own is the reverse one, f(t) = t log t
divergence ignored: forth = t; js = t
    DPO's loss whatever the divergence is
slope of the gap: t = torch.stack((u - v, torch.zeros_like(u))); h = slopes[0]
    f′ of the gap: it is taken of each ratio by itself, then the difference
β inside f′: t = beta * torch.stack((u, v)); m = h
    f′ of β times the log-ratio: β multiplies the difference of the slopes
β forgotten: m = h
    β = 1 whatever is asked for: it multiplies the difference of the slopes
ratio for its logarithm: back = exp(t)
    the ratio t itself for the reverse KL: the derivative of t log t is log t + 1
f in place of f′: back = t * exp(t); forth = -t;
        js = t * exp(t) - (1 + exp(t)) * (F.softplus(t) - log2)
    f itself: the loss compares derivatives f′, which is where the multiplier of a
    constraint appears
derivative by the log-ratio: back = (t + 1) * exp(t); forth = 0 * t - 1;
        js = exp(t) * (logsigmoid(t) + log2)
    the derivative of f(e^u) by u: f′ is the derivative by the ratio t = e^u, so that no
    further factor e^u stands there
log-ratio for the ratio: forth = -1 / t
    −1/u for the forward KL: t is the ratio e^u, so that −1/t is −e^(−u)
plus for the forward KL: forth = exp(-t)
    +1/t for the forward KL: f is −log t, so f′ is −1/t
ratio inverted: forth = -exp(t)
    −t for the forward KL: t is π/π_ref = e^u, so −1/t is −e^(−u)
numerator forgotten: js = logsigmoid(-t)
    −log(1 + t) for Jensen–Shannon: there is a t above it, and t/(1 + t) is σ(u)
logarithm forgotten: js = sigmoid(t)
    t/(1 + t) without its logarithm for Jensen–Shannon: f′ is log(2t/(1 + t))
mean of both KLs: js = (t - exp(-t)) / 2
    the mean of both KLs' slopes: Jensen–Shannon measures each policy from the mixture
    of both, and has f′(t) = log(2t/(1 + t))
log(sigmoid) in f′: js = log(sigmoid(t))
    log(sigmoid(u)) for Jensen–Shannon, whose sigmoid rounds to 0 far below 0 and whose
    log is then −∞: use F.logsigmoid
overflowing ratio: js = t - log(1 + exp(t))
    u − log(1 + e^u), whose e^u overflows for a large log-ratio: F.logsigmoid(u) is the
    same and stays finite
swapped: h = slopes[1] - slopes[0]
    rejected minus chosen: the chosen answer's slope comes first
no reference: u = a; v = b
    the policy's log-probabilities alone: t is a ratio to the reference
derivative for u: back = exp(t) * (t + 1); forth = -torch.ones_like(t);
        js = exp(t) * (logsigmoid(t) + log2)
    f(e^u) differentiated with respect to u, which adds a factor e^u: f′ is the
    derivative with respect to the ratio t = e^u
exponent cut off: forth = -exp((-t).clamp(max=20))
    an exponent that is cut off: there the loss is another one, and nothing pushes
f′ of the ratio of ratios: t = torch.stack((u - v, 0 * u)); back = t + 1;
        js = logsigmoid(t) + log2; h = slopes[0]
    f′ of the quotient of the two ratios: take f′ of each ratio, then the difference
"""
SHARED = (
    pairs.SUM
    + pairs.NO_MINUS
    + pairs.BETA_OUTSIDE
    + pairs.SATURATING
    + pairs.LOG_SIGMOID
    + pairs.MEAN_FIRST
)
CHECKS = (
    learns(
        "one number that carries a gradient, for each divergence",
        [
            four(BETTER, **REVERSE),
            four(BETTER, **FORWARD),
            four(BETTER, **JS),
            four(BETTER, WORSE, **JS),
        ],
    ),
    value(
        "DPO's loss for the reverse KL",
        [four(BETTER, beta=0.5, **REVERSE), four(WORSE, **REVERSE)],
    ),
    value(
        "f′(t) = −1/t for the forward KL",
        [four(BETTER, beta=0.5, **FORWARD), four(WORSE, **FORWARD)],
    ),
    value(
        "f′(t) = log(2t/(1 + t)) for Jensen–Shannon",
        [four(WORSE, beta=0.5, **JS), four([-1, -3, -4, -5], beta=2.0, **JS)],
    ),
    value(
        "the mean over pairs",
        [
            four(BETTER, WORSE, beta=0.5, **REVERSE),
            four(BETTER, BETTER, WORSE, beta=0.5, **JS),
        ],
    ),
    fresh(
        "equal the mean of −log σ(β [f′(e^u) − f′(e^v)]), and so must its gradient",
        [
            fresh_four(n, beta, scale=1.0, divergence=name)
            for name in DIVERGENCES
            for n, beta in ((1, 0.1), (5, 1.0))
        ],
        learnt=2,
    ),
    rule(
        "Jensen–Shannon at log-ratios of −5,000 nats",
        finite,
        [
            four([-5000, 0, 0, 0], beta=0.5, **JS),
            four([0, -5000, 0, 0], beta=0.5, **JS),
        ],
        learnt=2,
    ),
)
HINTS = """
Write f′(e^u) as a function of the log-ratio u for each of the three. Constants may go:
    the difference cancels them.
Reverse KL: u. Forward KL: −e^(−u). Jensen–Shannon: log(t/(1 + t)) with t = e^u, which
    is log σ(u).
Replace u and v by f′ of them, then `-F.logsigmoid(beta * (u - v)).mean()`.
"""
EXTREMES = (
    four([-1, -1, -5000, -1], [-1, -1, -1, -5000], beta=0.5, **JS),
    four([-1, -4000, -1, -1], [-4000, -1, -1, -1], beta=0.5, **REVERSE),
    four([-31, -26, -1, -1], beta=0.1, **FORWARD),
)
RECIPE = Recipe(STEPS, log2=math.log(2)) | pairs.MARGIN | pairs.LOGISTIC
TERMS = {"extreme_gradients": False}  # −1/e^u is right too, and has none at 5,000 nats
EXERCISE = Exercise(
    __doc__, f_dpo_loss, RECIPE, SHARED + FAULTS, CHECKS, HINTS, EXTREMES, **TERMS
)
