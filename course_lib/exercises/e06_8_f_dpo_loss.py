"""Exercise 6.8: Another divergence."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import (
    BETTER,
    WORSE,
    Says,
    four,
    fresh_four,
    without_reference,
)
from course_lib.exercises.spec import Exercise, finite, learns, rule, value
from course_lib.losses import f_dpo_loss

SLOPES = {
    "reverse_kl": lambda u: u,
    "forward_kl": lambda u: -torch.exp(-u),
    "js": F.logsigmoid,
}
REVERSE, FORWARD, JS = ({"divergence": name} for name in SLOPES)
F_ITSELF = {
    "reverse_kl": lambda u: u * u.exp(),
    "forward_kl": torch.neg,
    "js": lambda u: (
        u * u.exp() - (1 + u.exp()) * (F.softplus(u) - torch.log(2 + 0 * u))
    ),
}


def _f_dpo(
    slopes=SLOPES,
    gap=lambda slope, u, v, beta: beta * (slope(u) - slope(v)),
    reduce=torch.mean,
):
    """f-DPO with one thing wrong: other slopes f′, or another gap."""

    def loss(a, b, c, d, beta, divergence):
        slope = (SLOPES | slopes)[divergence]
        return reduce(-F.logsigmoid(gap(slope, a - c, b - d, beta)))

    return loss


EXERCISE = Exercise(
    number="6.8",
    title="Another divergence",
    reference=f_dpo_loss,
    checks=(
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
        rule(
            "right on fresh random log-probabilities, values and gradients",
            "equal the mean of −log σ(β [f′(e^u) − f′(e^v)]), and so must its gradient",
            [
                fresh_four(n, beta, scale=1.0, divergence=name)
                for name in SLOPES
                for n, beta in ((1, 0.1), (5, 1.0))
            ],
            learnt=2,
        ),
        rule(
            "finite for Jensen–Shannon at log-ratios of −5,000 nats",
            finite,
            [
                four([-5000, 0, 0, 0], beta=0.5, **JS),
                four([0, -5000, 0, 0], beta=0.5, **JS),
            ],
            learnt=2,
        ),
    ),
    misconceptions={
        "forward and reverse exchanged": (
            _f_dpo(
                {"forward_kl": SLOPES["reverse_kl"], "reverse_kl": SLOPES["forward_kl"]}
            ),
            "the two KLs exchanged: DPO's own is the reverse one, f(t) = t log t",
        ),
        "divergence ignored": (
            _f_dpo(dict.fromkeys(SLOPES, SLOPES["reverse_kl"])),
            "DPO's loss whatever the divergence is",
        ),
        "slope of the gap": (
            _f_dpo(
                gap=lambda slope, u, v, beta: (
                    beta * (slope(u - v) - slope(0 * u.detach()))
                )
            ),
            "f′ of the gap: it is taken of each ratio by itself, then the difference",
        ),
        "β inside f′": (
            _f_dpo(gap=lambda slope, u, v, beta: slope(beta * u) - slope(beta * v)),
            "f′ of β times the log-ratio: β multiplies the difference of the slopes",
        ),
        "ratio in place of its logarithm": (
            _f_dpo({"reverse_kl": torch.exp}),
            "the ratio t itself for the reverse KL: the derivative of t log t is log t "
            "+ 1",
        ),
        "f in place of f′": (
            _f_dpo(F_ITSELF),
            "f itself: the loss compares derivatives f′, which is where the multiplier "
            "of a constraint appears",
        ),
        "plus for the forward KL": (
            _f_dpo({"forward_kl": lambda u: torch.exp(-u)}),
            "+1/t for the forward KL: f is −log t, so that f′ is −1/t",
        ),
        "ratio turned round": (
            _f_dpo({"forward_kl": lambda u: -torch.exp(u)}),
            "−t for the forward KL: t is π/π_ref = e^u, so that −1/t is −e^(−u)",
        ),
        "numerator forgotten": (
            _f_dpo({"js": lambda u: F.logsigmoid(-u)}),
            "−log(1 + t) for Jensen–Shannon: there is a t above it, and t/(1 + t) is "
            "σ(u)",
        ),
        "log(sigmoid)": (
            _f_dpo({"js": lambda u: torch.log(torch.sigmoid(u))}),
            Says.LOG_SIGMOID,
        ),
        "swapped": (
            _f_dpo(gap=lambda slope, u, v, beta: beta * (slope(v) - slope(u))),
            "rejected minus chosen: the chosen answer's slope comes first",
        ),
        "no reference": (
            without_reference(f_dpo_loss),
            "the policy's log-probabilities alone: t is a ratio to the reference",
        ),
        "sum in place of mean": (_f_dpo(reduce=torch.sum), Says.SUM),
    },
    hints=(
        "Write f′(e^u) as a function of the log-ratio u for each of the three. "
        "Constants may go: the difference cancels them.",
        "Reverse KL: u. Forward KL: −e^(−u). Jensen–Shannon: log(t/(1 + t)) with t = "
        "e^u, which is log σ(u).",
        "Replace u and v by f′ of them, then `-F.logsigmoid(beta * (u - v)).mean()`.",
    ),
)
