"""Chapter 06: IPO, a target for the gap."""

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.exercises.pairs import (
    BETTER,
    START,
    WORSE,
    agrees_where_learnt,
    drawn_four,
    four,
)
from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.losses import ipo_loss


def _tokens(*pairs: tuple[int, int]) -> dict[str, Tensor]:
    chosen, rejected = zip(*pairs, strict=True)
    return {
        "chosen_lengths": torch.tensor(chosen),
        "rejected_lengths": torch.tensor(rejected),
    }


def _drawn_tokens(draw: Draw, count: int) -> dict[str, Tensor]:
    return _tokens(*draw.integers(1, 30, count, 2).long().tolist())


def _per_token(u, v, chosen_lengths, rejected_lengths):
    return u / chosen_lengths, v / rejected_lengths


def _ipo(
    gap=torch.sub,
    target=lambda tau: 1 / (2 * tau),
    size=torch.square,
    average=_per_token,
    reduce=torch.mean,
):
    """IPO with one thing wrong."""

    def loss(a, b, c, d, tau, chosen_lengths=None, rejected_lengths=None):
        u, v = a - c, b - d
        if chosen_lengths is not None:
            u, v = average(u, v, chosen_lengths, rejected_lengths)
        return reduce(size(gap(u, v) - target(tau)))

    return loss


def _ipo_without_reference(a, b, c, d, tau, **lengths):
    nothing = a.new_zeros(a.shape)
    return ipo_loss(a, b, nothing, nothing, tau, **lengths)


def _tau_as_beta(a, b, c, d, tau, **lengths):
    return ipo_loss(*(tau * logps for logps in (a, b, c, d)), tau, **lengths)


def _mean_length(u, v, chosen_lengths, rejected_lengths):
    mean = (chosen_lengths + rejected_lengths) / 2
    return u / mean, v / mean


_IPO = Exercise(
    number="6.1",
    title="IPO: a target for the gap",
    reference=ipo_loss,
    checks=(
        Check(
            "one number that carries a gradient, with lengths and without",
            lambda draw: [
                four(draw, BETTER, gradient=True),
                four(draw, BETTER, gradient=True, **_tokens((2, 4))),
                four(draw, BETTER, WORSE, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "(1/(2τ))² when policy and reference agree",
            lambda draw: [four(draw, START[0], beta=tau) for tau in (0.1, 0.5)],
            value_of,
        ),
        Check(
            "0 at a gap of 1/(2τ), and above 0 beyond it",
            lambda draw: [four(draw, BETTER, beta=tau) for tau in (0.25, 0.5, 1.0)],
            value_of,
        ),
        Check(
            "the mean over pairs, each with a square of its own",
            lambda draw: [
                four(draw, BETTER, WORSE, beta=0.25),
                four(draw, BETTER, BETTER, WORSE, beta=0.25),
            ],
            value_of,
        ),
        Check(
            "with lengths, averages per token: each log-ratio by its own length",
            lambda draw: [
                four(draw, BETTER, beta=0.5, **_tokens((1, 4))),
                four(draw, WORSE, BETTER, beta=0.5, **_tokens((3, 10), (5, 1))),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities, values and gradients",
            lambda draw: [
                drawn_four(draw, n, tau, gradient=True, **lengths)
                for n, tau, lengths in (
                    (1, 0.1, {}),
                    (3, 0.5, {}),
                    (2, 0.2, _drawn_tokens(draw, 2)),
                    (7, 1.0, _drawn_tokens(draw, 7)),
                )
            ],
            "equal the mean of (h − 1/(2τ))², h a difference of sums, or of averages "
            "per token where lengths are given",
            agrees_where_learnt(2),
        ),
    ),
    misconceptions=(
        Misconception(
            "target 1/τ",
            _ipo(target=lambda tau: 1 / tau),
            "a target of 1/τ: it is half of that, 1/(2τ)",
        ),
        Misconception(
            "target τ",
            _ipo(target=lambda tau: tau),
            "τ itself as the target: a strong τ holds the policy near, so that the "
            "target is small where τ is large",
        ),
        Misconception(
            "τ multiplies the gap",
            _tau_as_beta,
            "τh compared with the target: β multiplies a gap, τ does not. It stands in "
            "the target alone",
        ),
        Misconception(
            "swapped",
            _ipo(gap=lambda u, v: v - u),
            "(h + 1/(2τ))²: either rejected minus chosen, or the target added. The "
            "chosen answer is to be ahead by the target",
        ),
        Misconception(
            "no reference",
            _ipo_without_reference,
            "the policy's log-probabilities alone: each needs the reference's "
            "subtracted from it",
        ),
        Misconception(
            "not squared",
            _ipo(size=torch.abs),
            "the distance from the target without its square",
        ),
        Misconception(
            "one-sided",
            _ipo(size=lambda x: F.relu(-x) ** 2),
            "nothing to pay beyond the target, as with a hinge: here a gap that is too "
            "wide is pulled back",
        ),
        Misconception(
            "sum in place of mean",
            _ipo(reduce=torch.sum),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "mean before the square",
            lambda *args, **kwargs: _ipo(size=lambda x: x, reduce=torch.mean)(
                *args, **kwargs
            ).square(),
            "one square of the mean gap: a pair too wide would pay for one too narrow",
        ),
        Misconception(
            "lengths ignored",
            _ipo(average=lambda u, v, *lengths: (u, v)),
            "sums even where lengths are given: divide each log-ratio by its length",
        ),
        Misconception(
            "lengths exchanged",
            _ipo(average=lambda u, v, n, m: (u / m, v / n)),
            "the chosen log-ratio over the rejected answer's length, and the other way "
            "round",
        ),
        Misconception(
            "one length for both",
            _ipo(average=_mean_length),
            "the gap over the mean of the two lengths: each answer has its own",
        ),
    ),
    hints=(
        "A parabola in the gap h: where does it touch 0? Only then think of lengths.",
        "u and v are the log-ratios; with lengths divide u by the chosen ones, v by "
        "the rejected ones. h = u − v, and its target is 1/(2τ).",
        "`((u - v - 1 / (2 * tau)) ** 2).mean()`",
    ),
)

EXERCISES = (_IPO,)
