"""Exercise 6.6: Robust DPO: labels that may be flipped."""

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
from course_lib.exercises.spec import Exercise, learns, rule, value
from course_lib.losses import robust_dpo_loss


def _unbiased(right, turned, rate):
    return ((1 - rate) * right - rate * turned) / (1 - 2 * rate)


def _robust(
    loss=_unbiased,
    margin=lambda u, v, beta: beta * (u - v),
    minus_log=lambda margin: -F.logsigmoid(margin),
    reduce=torch.mean,
):
    """Robust DPO with one thing wrong: `loss` is of a pair, as labelled and turned."""

    def robust(a, b, c, d, beta, label_smoothing):
        found = margin(a - c, b - d, beta)
        right, turned = minus_log(found), minus_log(-found)
        return reduce(loss(right, turned, label_smoothing))

    return robust


def _four(rate: float, *pairs: list[float], **more):
    return four(*pairs, label_smoothing=rate, **more)


EXERCISE = Exercise(
    number="6.6",
    title="Robust DPO: labels that may be flipped",
    reference=robust_dpo_loss,
    checks=(
        learns(
            "one number that carries a gradient",
            [_four(0.1, BETTER), _four(0.3, BETTER, WORSE)],
        ),
        value(
            "ln 2 when policy and reference agree, whatever ε is",
            [_four(rate, START[0]) for rate in (0.1, 0.25, 0.4)],
        ),
        value(
            "DPO's loss and a share of the loss of the turned pair taken away",
            [_four(0.25, WORSE, beta=0.5), _four(0.1, BETTER, beta=0.1)],
        ),
        value(
            "below 0 where the order is right by far: there is no floor",
            [
                _four(0.25, [0, -40, 0, 0], beta=0.5),
                _four(0.25, [0, -4000, 0, 0], beta=0.5),
            ],
        ),
        value(
            "the mean over pairs, each with logarithms of its own",
            [
                _four(0.1, BETTER, WORSE, beta=0.5),
                _four(0.1, BETTER, BETTER, WORSE, beta=0.5),
            ],
        ),
        rule(
            "right on fresh random log-probabilities, values and gradients",
            "equal the mean of [−(1 − ε) log σ(βh) + ε log σ(−βh)] / (1 − 2ε), and so "
            "must its gradient",
            [
                fresh_four(n, beta, label_smoothing=rate)
                for n, beta, rate in ((1, 0.1, 0.1), (3, 0.5, 0.0), (7, 1.0, 0.3))
            ],
            learnt=2,
        ),
    ),
    misconceptions={
        "cDPO": (
            _robust(lambda right, turned, rate: (1 - rate) * right + rate * turned),
            "smoothed labels, cDPO: they believe in flips and stop early. Here the "
            "turned pair's loss is taken away, and the rest scaled up",
        ),
        "plus": (
            _robust(lambda right, turned, rate: _unbiased(right, -turned, rate)),
            "the turned pair's loss added and the sum divided by 1 − 2ε: take it away",
        ),
        "not divided": (
            _robust(lambda right, turned, rate: (1 - rate) * right - rate * turned),
            "no division by 1 − 2ε: averaged over flips it would be 1 − 2ε times the "
            "clean loss",
        ),
        "weights exchanged": (
            _robust(lambda right, turned, rate: -_unbiased(turned, right, rate)),
            "ε on the label as it stands and 1 − ε on the turned one: most labels are "
            "right",
        ),
        "smoothing ignored": (
            _robust(lambda right, turned, rate: right),
            "DPO's loss whatever ε is",
        ),
        "floor at 0": (
            _robust(lambda *given: F.relu(_unbiased(*given))),
            "held at 0 from below: then it is not unbiased, and where it is held "
            "nothing pushes. A loss may be negative",
        ),
        "log(sigmoid)": (
            _robust(minus_log=lambda margin: -torch.log(torch.sigmoid(margin))),
            Says.LOG_SIGMOID,
        ),
        "swapped": (_robust(margin=lambda u, v, beta: beta * (v - u)), Says.SWAPPED),
        "β forgotten": (_robust(margin=lambda u, v, beta: u - v), Says.BETA_FORGOTTEN),
        "no reference": (without_reference(robust_dpo_loss), Says.NO_REFERENCE),
        "sum in place of mean": (_robust(reduce=torch.sum), Says.SUM),
        "mean before the logarithm": (
            _robust(margin=lambda u, v, beta: beta * (u - v).mean()),
            "one logarithm of the mean gap: a large win would pay for a loss",
        ),
    },
    hints=(
        "Two of DPO's losses, one of the pair as labelled and one of the pair turned "
        "round. With which weights does the average over flips give the clean loss?",
        "(1 − ε) times the first minus ε times the second, divided by 1 − 2ε.",
        "right = -F.logsigmoid(beta * gap), turned = -F.logsigmoid(-beta * gap), then "
        "`((1 - e) * right - e * turned) / (1 - 2 * e)`, e being the smoothing",
    ),
)
