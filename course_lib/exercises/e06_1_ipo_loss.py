"""Exercise 6.1: IPO: a target for the gap."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import (
    BETTER,
    START,
    WORSE,
    Says,
    four,
    fresh_four,
    without_reference,
)
from course_lib.exercises.spec import Exercise, builder, learns, rule, value
from course_lib.losses import ipo_loss


def _lengths(*pairs: tuple[int, int]) -> dict[str, torch.Tensor]:
    chosen, rejected = map(torch.tensor, zip(*pairs, strict=True))
    return {"chosen_lengths": chosen, "rejected_lengths": rejected}


@builder
def _fresh(inputs) -> list:
    two, seven = (
        _lengths(*inputs.integers(1, 30, count, 2).long().tolist()) for count in (2, 7)
    )
    builds = (
        fresh_four(1, 0.1),
        fresh_four(3, 0.5),
        fresh_four(2, 0.2, **two),
        fresh_four(7, 1.0, **seven),
    )
    return [build(inputs) for build in builds]


def _ipo(
    gap=torch.sub,
    target=lambda tau: 1 / (2 * tau),
    size=torch.square,
    average=lambda u, v, n, m: (u / n, v / m),
    reduce=torch.mean,
):
    """IPO with one thing wrong."""

    def loss(a, b, c, d, tau, chosen_lengths=None, rejected_lengths=None):
        u, v = a - c, b - d
        if chosen_lengths is not None:
            u, v = average(u, v, chosen_lengths, rejected_lengths)
        return reduce(size(gap(u, v) - target(tau)))

    return loss


def _tau_as_beta(a, b, c, d, tau, **lengths):
    return ipo_loss(*(tau * logps for logps in (a, b, c, d)), tau, **lengths)


EXERCISE = Exercise(
    number="6.1",
    title="IPO: a target for the gap",
    reference=ipo_loss,
    checks=(
        learns(
            "one number that carries a gradient, with lengths and without",
            [four(BETTER), four(BETTER, **_lengths((2, 4))), four(BETTER, WORSE)],
        ),
        value(
            "(1/(2τ))² when policy and reference agree",
            [four(START[0], beta=0.1), four(START[0], beta=0.5)],
        ),
        value(
            "0 at a gap of 1/(2τ), and above 0 beyond it",
            [four(BETTER, beta=tau) for tau in (0.25, 0.5, 1.0)],
        ),
        value(
            "the mean over pairs, each with a square of its own",
            [four(BETTER, WORSE, beta=0.25), four(BETTER, BETTER, WORSE, beta=0.25)],
        ),
        value(
            "with lengths, averages per token: each log-ratio by its own length",
            [
                four(BETTER, beta=0.5, **_lengths((1, 4))),
                four(WORSE, BETTER, beta=0.5, **_lengths((3, 10), (5, 1))),
            ],
        ),
        rule(
            "right on fresh random log-probabilities, values and gradients",
            "equal the mean of (h − 1/(2τ))², h a difference of sums, or of averages "
            "per token where lengths are given",
            [_fresh()],
            learnt=2,
        ),
    ),
    misconceptions={
        "target 1/τ": (
            _ipo(target=lambda tau: 1 / tau),
            "a target of 1/τ: it is half of that, 1/(2τ)",
        ),
        "target τ": (
            _ipo(target=lambda tau: tau),
            "τ itself as the target: a strong τ holds the policy near, so that the "
            "target is small where τ is large",
        ),
        "τ multiplies the gap": (
            _tau_as_beta,
            "τh compared with the target: β multiplies a gap, τ does not. It stands in "
            "the target alone",
        ),
        "swapped": (
            _ipo(gap=lambda u, v: v - u),
            "(h + 1/(2τ))²: either rejected minus chosen, or the target added. The "
            "chosen answer is to be ahead by the target",
        ),
        "no reference": (without_reference(ipo_loss), Says.NO_REFERENCE),
        "not squared": (
            _ipo(size=torch.abs),
            "the distance from the target without its square",
        ),
        "one-sided": (
            _ipo(size=lambda x: F.relu(-x) ** 2),
            "nothing to pay beyond the target, as with a hinge: here a gap that is too "
            "wide is pulled back",
        ),
        "sum in place of mean": (_ipo(reduce=torch.sum), Says.SUM),
        "mean before the square": (
            _ipo(size=lambda x: x, reduce=lambda x: x.mean().square()),
            "one square of the mean gap: a pair too wide would pay for one too narrow",
        ),
        "lengths ignored": (
            _ipo(average=lambda u, v, *lengths: (u, v)),
            "sums even where lengths are given: divide each log-ratio by its length",
        ),
        "lengths exchanged": (
            _ipo(average=lambda u, v, n, m: (u / m, v / n)),
            "the chosen log-ratio over the rejected answer's length, and the other way "
            "round",
        ),
        "one length for both": (
            _ipo(average=lambda u, v, n, m: (2 * u / (n + m), 2 * v / (n + m))),
            "the gap over the mean of the two lengths: each answer has its own",
        ),
    },
    hints=(
        "A parabola in the gap h: where does it touch 0? Only then think of lengths.",
        "u and v are the log-ratios; with lengths divide u by the chosen ones, v by "
        "the rejected ones. h = u − v, and its target is 1/(2τ).",
        "`((u - v - 1 / (2 * tau)) ** 2).mean()`",
    ),
)
