"""Exercise 5.4: Where smoothed labels stop."""

import torch

from course_lib.beta import smoothed_optimal_gap
from course_lib.exercises.spec import Exercise, builder, given, kind, rule, value

_fresh = builder(lambda inputs, count, beta: (0.01 + 0.4 * inputs.uniform(count), beta))


def _log_odds(rate):
    return ((1 - rate) / rate).log()


EXERCISE = Exercise(
    number="5.4",
    title="Where smoothed labels stop",
    reference=smoothed_optimal_gap,
    checks=(
        kind("one gap for each rate", [given([0.1], 1.0), given([0.1, 0.2, 0.3], 0.1)]),
        value("0 when labels say nothing, ε = ½", [given([0.5], 1.0)]),
        value("ln 9 nats for ε = 0.1 at β = 1", [given([0.1], 1.0)]),
        value(
            "ten times as far at a tenth of β", [given([0.1], 0.1), given([0.05], 2.0)]
        ),
        value("each rate its own gap", [given([0.01, 0.05, 0.2], 1.0)]),
        rule(
            "right on fresh random rates",
            "be the h at which −(1 − ε) log σ(βh) − ε log σ(−βh) is smallest",
            map(_fresh, (1, 4), (0.1, 0.5)),
        ),
    ),
    misconceptions={
        "turned round": (
            lambda rate, beta: -_log_odds(rate) / beta,
            "log(ε/(1 − ε)), negative: the believed label has the larger weight",
        ),
        "margin in place of the gap": (
            lambda rate, beta: _log_odds(rate),
            "the best margin βh: the gap is that divided by β",
        ),
        "times β": (
            lambda rate, beta: _log_odds(rate) * beta,
            "the margin times β: from βh = log((1 − ε)/ε) follows a division",
        ),
        "odds without the 1 − ε": (
            lambda rate, beta: -rate.log() / beta,
            "log(1/ε): odds are (1 − ε) to ε",
        ),
        "smoothing over both labels": (
            lambda rate, beta: _log_odds(rate / 2) / beta,
            "the convention of classifiers, which give ε/2 to each label: here ε is "
            "the whole chance of a flip",
        ),
        "odds in place of their logarithm": (
            lambda rate, beta: (1 - rate) / rate / beta,
            "the odds themselves: a margin is their logarithm",
        ),
        "mean rate": (
            lambda rate, beta: torch.full_like(
                rate, _log_odds(rate.mean()).item() / beta
            ),
            "one gap for the mean rate: each rate has its own",
        ),
    },
    hints=(
        "At the smallest loss its derivative is zero: the two terms pull equally hard.",
        "(1 − ε) σ(−βh) = ε σ(βh). Divide: the ratio σ(βh)/σ(−βh) is e^{βh}.",
        "`torch.log((1 - label_smoothing) / label_smoothing) / beta`",
    ),
)
