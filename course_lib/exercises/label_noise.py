"""Chapter 06: robust DPO, for labels that may be turned round."""

import torch
import torch.nn.functional as F

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
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.losses import robust_dpo_loss


def _flips(rate: float) -> dict[str, float]:
    return {"label_smoothing": rate}


def _robust(
    loss=lambda right, turned, rate: (
        ((1 - rate) * right - rate * turned) / (1 - 2 * rate)
    ),
    margin=lambda a, b, c, d, beta: beta * ((a - c) - (b - d)),
    minus_log=lambda margin: -F.logsigmoid(margin),
    reduce=torch.mean,
):
    """Robust DPO with one thing wrong: `loss` is of a pair, as labelled and turned."""

    def robust(a, b, c, d, beta, label_smoothing):
        found = margin(a, b, c, d, beta)
        right, turned = minus_log(found), minus_log(-found)
        return reduce(loss(right, turned, label_smoothing))

    return robust


_ROBUST = Exercise(
    number="6.6",
    title="Robust DPO: labels that may be turned round",
    reference=robust_dpo_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                four(draw, BETTER, gradient=True, **_flips(0.1)),
                four(draw, BETTER, WORSE, gradient=True, **_flips(0.3)),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "ln 2 when policy and reference agree, whatever ε is",
            lambda draw: [
                four(draw, START[0], **_flips(rate)) for rate in (0.1, 0.25, 0.4)
            ],
            value_of,
        ),
        Check(
            "DPO's loss and a share of the loss of the turned pair taken away",
            lambda draw: [
                four(draw, WORSE, beta=0.5, **_flips(0.25)),
                four(draw, BETTER, beta=0.1, **_flips(0.1)),
            ],
            value_of,
        ),
        Check(
            "below 0 where the order is right by far: there is no floor",
            lambda draw: [
                four(draw, [0, -40, 0, 0], beta=0.5, **_flips(0.25)),
                four(draw, [0, -4000, 0, 0], beta=0.5, **_flips(0.25)),
            ],
            value_of,
        ),
        Check(
            "the mean over pairs, each with logarithms of its own",
            lambda draw: [
                four(draw, BETTER, WORSE, beta=0.5, **_flips(0.1)),
                four(draw, BETTER, BETTER, WORSE, beta=0.5, **_flips(0.1)),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities, values and gradients",
            lambda draw: [
                drawn_four(draw, n, beta, gradient=True, **_flips(rate))
                for n, beta, rate in ((1, 0.1, 0.1), (3, 0.5, 0.0), (7, 1.0, 0.3))
            ],
            "equal the mean of [−(1 − ε) log σ(βh) + ε log σ(−βh)] / (1 − 2ε), and so "
            "must its gradient",
            agrees_where_learnt(2),
        ),
    ),
    misconceptions=(
        Misconception(
            "cDPO",
            _robust(lambda right, turned, rate: (1 - rate) * right + rate * turned),
            "smoothed labels, cDPO: they believe in flips and stop early. Here the "
            "turned pair's loss is taken away, and the rest scaled up",
        ),
        Misconception(
            "plus",
            _robust(
                lambda right, turned, rate: (
                    ((1 - rate) * right + rate * turned) / (1 - 2 * rate)
                )
            ),
            "the turned pair's loss added and the sum divided by 1 − 2ε: take it away",
        ),
        Misconception(
            "not divided",
            _robust(lambda right, turned, rate: (1 - rate) * right - rate * turned),
            "no division by 1 − 2ε: averaged over flips it would be 1 − 2ε times the "
            "clean loss",
        ),
        Misconception(
            "weights exchanged",
            _robust(
                lambda right, turned, rate: (
                    (rate * right - (1 - rate) * turned) / (1 - 2 * rate)
                )
            ),
            "ε on the label as it stands and 1 − ε on the turned one: most labels are "
            "right",
        ),
        Misconception(
            "smoothing ignored",
            _robust(lambda right, turned, rate: right),
            "DPO's loss whatever ε is",
        ),
        Misconception(
            "floor at 0",
            _robust(
                lambda right, turned, rate: F.relu(
                    ((1 - rate) * right - rate * turned) / (1 - 2 * rate)
                )
            ),
            "held at 0 from below: then it is not unbiased, and where it is held "
            "nothing pushes. A loss may be negative",
        ),
        Misconception(
            "log(sigmoid)",
            _robust(minus_log=lambda margin: -torch.log(torch.sigmoid(margin))),
            "log(sigmoid(x)), whose sigmoid rounds to 0 and whose log is then −∞: "
            "use F.logsigmoid",
        ),
        Misconception(
            "swapped",
            _robust(margin=lambda a, b, c, d, beta: beta * ((b - d) - (a - c))),
            "rejected minus chosen: the gap is the chosen log-ratio minus the rejected "
            "one",
        ),
        Misconception(
            "β forgotten",
            _robust(margin=lambda a, b, c, d, beta: (a - c) - (b - d)),
            "β = 1 whatever is asked for: it multiplies the gap inside the sigmoid",
        ),
        Misconception(
            "no reference",
            _robust(margin=lambda a, b, c, d, beta: beta * (a - b)),
            "the policy's log-probabilities alone: each needs the reference's "
            "subtracted from it",
        ),
        Misconception(
            "sum in place of mean",
            _robust(reduce=torch.sum),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "mean before the logarithm",
            _robust(
                margin=lambda a, b, c, d, beta: beta * ((a - c) - (b - d)).mean(),
            ),
            "one logarithm of the mean gap: a large win would pay for a loss",
        ),
    ),
    hints=(
        "Two of DPO's losses, one of the pair as labelled and one of the pair turned "
        "round. With which weights does the average over flips give the clean loss?",
        "(1 − ε) times the first minus ε times the second, divided by 1 − 2ε.",
        "right = -F.logsigmoid(beta * gap), turned = -F.logsigmoid(-beta * gap), then "
        "`((1 - e) * right - e * turned) / (1 - 2 * e)`, e being the smoothing",
    ),
)

EXERCISES = (_ROBUST,)
