"""Exercise 6.1: IPO: a target for the gap."""

import torch

from course_lib.losses import ipo_loss
from . import pairs
from .pairs import BETTER, START, WORSE, four, fresh_four
from .spec import Exercise, builder, fresh, learns, value


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


STEPS = """
a b c d tau n m:
u = a - c  # the chosen log-ratio
v = b - d  # the rejected log-ratio
p = u if n is None else u / n  # the chosen average
q = v if m is None else v / m  # the rejected average
h = p - q  # the gap
target = 1 / (2 * tau)  # the target
losses = (h - target) ** 2  # the squares
loss = losses.mean()  # the mean
"""
FAULTS = """
target 1/τ: target = 1 / tau
    a target of 1/τ: it is half of that, 1/(2τ)
target τ: target = tau
    τ itself as the target: a large τ holds the policy near, so its target is small
τ multiplies the gap: h = tau * (p - q)
    τh compared with the target: unlike β, τ stands in the target alone
swapped: h = q - p
    (h + 1/(2τ))²: either rejected minus chosen, or the target added. The chosen answer
    is to be ahead by the target
not squared: losses = (h - target).abs()
    the distance from the target without its square
one-sided: losses = relu(target - h) ** 2
    nothing to pay beyond the target, as with a hinge: too wide a gap is pulled back
mean before the square: losses = (h.mean() - target) ** 2
    one square of the mean gap: a pair too wide would pay for one too narrow
lengths ignored: p = u; q = v
    sums even where lengths are given: divide each log-ratio by its length
lengths exchanged: p = u if n is None else u / m; q = v if m is None else v / n
    the chosen log-ratio over the rejected answer's length, and the other way round
total length: p = u if n is None else u / (n + m); q = v if n is None else v / (n + m)
    the gap over both lengths together: each log-ratio is divided by its own
reference's sum: p = u if n is None else a / n - c; q = v if n is None else b / m - d
    the policy's averages less the reference's sums: divide the log-ratio
one length for both: p = u if n is None else 2 * u / (n + m);
        q = v if n is None else 2 * v / (n + m)
    the gap over the mean of the two lengths: each answer has its own
target by token: target = 1 / (2 * tau) if n is None else 1 / (2 * tau * n)
    the target divided by a length as well: it stays 1/(2τ), now in nats per token
τ/2: target = 1 / 2 * tau
    τ/2: Python reads 1 / 2 * tau from the left. Write 1 / (2 * tau)
one mean length: p = u if n is None else u / (n + 0.0).mean();
        q = v if n is None else v / (m + 0.0).mean()
    one mean length for the batch: each answer has its own
"""
CHECKS = (
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
    fresh(
        "equal the mean of (h − 1/(2τ))², h a difference of sums, or of averages "
        "per token where lengths are given",
        [_fresh()],
        learnt=2,
    ),
)
HINTS = """
A parabola in the gap h: where does it touch 0? Only then think of lengths.
u and v are the log-ratios; with lengths divide u by the chosen ones, v by the rejected
    ones. h = u − v, and its target is 1/(2τ).
`((u - v - 1 / (2 * tau)) ** 2).mean()`
"""
EXERCISE = Exercise(
    __doc__, ipo_loss, STEPS, pairs.NO_REFERENCE + pairs.SUM + FAULTS, CHECKS, HINTS
)
