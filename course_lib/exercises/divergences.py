"""Chapter 06: DPO with another divergence than the reverse KL."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import (
    BETTER,
    WORSE,
    agrees_where_learnt,
    drawn_four,
    four,
)
from course_lib.exercises.spec import (
    Check,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.losses import f_dpo_loss


def _by(divergence: str) -> dict[str, str]:
    return {"divergence": divergence}


SLOPES = {
    "reverse_kl": lambda u: u,
    "forward_kl": lambda u: -torch.exp(-u),
    "js": F.logsigmoid,
}


def _f_dpo(
    slopes=None,
    gap=None,
    logratios=lambda a, b, c, d: (a - c, b - d),
    reduce=torch.mean,
):
    """f-DPO with one thing wrong: other slopes f′, another gap, other log-ratios."""
    slopes = SLOPES | (slopes or {})

    def loss(a, b, c, d, beta, divergence):
        u, v = logratios(a, b, c, d)
        slope = slopes[divergence]
        margin = gap(slope, u, v, beta) if gap else beta * (slope(u) - slope(v))
        return reduce(-F.logsigmoid(margin))

    return loss


_F_DPO = Exercise(
    number="6.8",
    title="Another divergence",
    reference=f_dpo_loss,
    checks=(
        Check(
            "one number that carries a gradient, for each divergence",
            lambda draw: [
                *(four(draw, BETTER, gradient=True, **_by(name)) for name in SLOPES),
                four(draw, BETTER, WORSE, gradient=True, **_by("js")),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "DPO's loss for the reverse KL",
            lambda draw: [
                four(draw, BETTER, beta=0.5, **_by("reverse_kl")),
                four(draw, WORSE, beta=0.1, **_by("reverse_kl")),
            ],
            value_of,
        ),
        Check(
            "f′(t) = −1/t for the forward KL",
            lambda draw: [
                four(draw, BETTER, beta=0.5, **_by("forward_kl")),
                four(draw, WORSE, beta=0.1, **_by("forward_kl")),
            ],
            value_of,
        ),
        Check(
            "f′(t) = log(2t/(1 + t)) for Jensen–Shannon",
            lambda draw: [
                four(draw, WORSE, beta=0.5, **_by("js")),
                four(draw, [-1, -3, -4, -5], beta=2.0, **_by("js")),
            ],
            value_of,
        ),
        Check(
            "the mean over pairs",
            lambda draw: [
                four(draw, BETTER, WORSE, beta=0.5, **_by("reverse_kl")),
                four(draw, BETTER, BETTER, WORSE, beta=0.5, **_by("js")),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities, values and gradients",
            lambda draw: [
                drawn_four(draw, n, beta, gradient=True, scale=1.0, **_by(name))
                for name in SLOPES
                for n, beta in ((1, 0.1), (5, 1.0))
            ],
            "equal the mean of −log σ(β [f′(e^u) − f′(e^v)]), and so must its gradient",
            agrees_where_learnt(2),
        ),
        Check(
            "finite for Jensen–Shannon at log-ratios of −5,000 nats",
            lambda draw: [
                four(draw, [-5000, 0, 0, 0], beta=0.5, gradient=True, **_by("js")),
                four(draw, [0, -5000, 0, 0], beta=0.5, gradient=True, **_by("js")),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.4g}, with a gradient that is finite"
            ),
            agrees_where_learnt(2),
        ),
    ),
    misconceptions=(
        Misconception(
            "forward and reverse exchanged",
            _f_dpo(
                {
                    "forward_kl": SLOPES["reverse_kl"],
                    "reverse_kl": SLOPES["forward_kl"],
                }
            ),
            "the two KLs exchanged: DPO's own is the reverse one, f(t) = t log t",
        ),
        Misconception(
            "divergence ignored",
            _f_dpo(dict.fromkeys(SLOPES, SLOPES["reverse_kl"])),
            "DPO's loss whatever the divergence is",
        ),
        Misconception(
            "slope of the gap",
            _f_dpo(
                gap=lambda slope, u, v, beta: (
                    beta * (slope(u - v) - slope(0 * u.detach()))
                )
            ),
            "f′ of the gap: it is taken of each ratio by itself, then the difference",
        ),
        Misconception(
            "β inside f′",
            _f_dpo(gap=lambda slope, u, v, beta: slope(beta * u) - slope(beta * v)),
            "f′ of β times the log-ratio: β multiplies the difference of the slopes",
        ),
        Misconception(
            "ratio in place of its logarithm",
            _f_dpo({"reverse_kl": torch.exp}),
            "the ratio t itself for the reverse KL: the derivative of t log t is "
            "log t + 1",
        ),
        Misconception(
            "f in place of f′",
            _f_dpo(
                {
                    "reverse_kl": lambda u: u * u.exp(),
                    "forward_kl": torch.neg,
                    "js": lambda u: (
                        u * u.exp()
                        - (1 + u.exp()) * (F.softplus(u) - torch.log(2 + 0 * u))
                    ),
                }
            ),
            "f itself: the loss compares derivatives f′, which is where the multiplier "
            "of a constraint appears",
        ),
        Misconception(
            "plus for the forward KL",
            _f_dpo({"forward_kl": lambda u: torch.exp(-u)}),
            "+1/t for the forward KL: f is −log t, so that f′ is −1/t",
        ),
        Misconception(
            "ratio turned round",
            _f_dpo({"forward_kl": lambda u: -torch.exp(u)}),
            "−t for the forward KL: t is π/π_ref = e^u, so that −1/t is −e^(−u)",
        ),
        Misconception(
            "numerator forgotten",
            _f_dpo({"js": lambda u: F.logsigmoid(-u)}),
            "−log(1 + t) for Jensen–Shannon: there is a t above it, and t/(1 + t) is "
            "σ(u)",
        ),
        Misconception(
            "log(sigmoid)",
            _f_dpo({"js": lambda u: torch.log(torch.sigmoid(u))}),
            "log(sigmoid(x)), whose sigmoid rounds to 0 and whose log is then −∞: "
            "use F.logsigmoid",
        ),
        Misconception(
            "swapped",
            _f_dpo(gap=lambda slope, u, v, beta: beta * (slope(v) - slope(u))),
            "rejected minus chosen: the chosen answer's slope comes first",
        ),
        Misconception(
            "no reference",
            _f_dpo(logratios=lambda a, b, c, d: (a, b)),
            "the policy's log-probabilities alone: t is a ratio to the reference",
        ),
        Misconception(
            "sum in place of mean",
            _f_dpo(reduce=torch.sum),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
    ),
    hints=(
        "Write f′(e^u) as a function of the log-ratio u for each of the three. "
        "Constants may go: the difference cancels them.",
        "Reverse KL: u. Forward KL: −e^(−u). Jensen–Shannon: log(t/(1 + t)) with "
        "t = e^u, which is log σ(u).",
        "Replace u and v by f′ of them, then `-F.logsigmoid(beta * (u - v)).mean()`.",
    ),
)

EXERCISES = (_F_DPO,)
