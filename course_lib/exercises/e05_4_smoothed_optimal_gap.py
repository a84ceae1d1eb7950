"""Exercise 5.4: Where smoothed labels stop."""

from course_lib.beta import smoothed_optimal_gap
from .spec import Exercise, builder, fresh, given, kind, value

_fresh = builder(lambda inputs, count, beta: (0.01 + 0.4 * inputs.uniform(count), beta))


STEPS = """
eps beta:
odds = (1 - eps) / eps  # the odds (1 − ε)/ε
m = log(odds)  # the best margin
h = m / beta  # the gap
"""
FAULTS = """
reversed: odds = eps / (1 - eps)
    log(ε/(1 − ε)), negative: the believed label has the larger weight
margin in place of the gap: h = m
    the best margin βh: the gap is that divided by β
times β: h = m * beta
    the margin times β: from βh = log((1 − ε)/ε) follows a division
β inside the logarithm: h = log(odds / beta)
    the odds divided by β before the logarithm: it is the logarithm that is divided
odds without the 1 − ε: odds = 1 / eps
    log(1/ε): odds are (1 − ε) to ε
odds without the ε: odds = 1 - eps
    log(1 − ε), where the chance is that of one side alone: odds are (1 − ε) to ε
brackets forgotten: odds = 1 - eps / eps
    1 − ε/ε, which is 0 for want of brackets: the odds are (1 − ε)/ε
smoothing over both labels: odds = (1 - eps / 2) / (eps / 2)
    the convention of classifiers, ε/2 for each label: here ε is the chance of a flip
odds in place of their logarithm: m = odds
    the odds themselves: a margin is their logarithm
sigmoid for its inverse: m = sigmoid(1 - eps)
    σ(1 − ε): the margin is what σ takes to 1 − ε, so its inverse is needed
mean label: m = 1 - 2 * eps
    1 − 2ε, the mean of labels ±1: the best margin is the logarithm of the odds
smoothed twice: odds = 1 / (2 * eps * (1 - eps)) - 1
    the odds of a label that was flipped and then smoothed: this loss sees one label,
    whose target is 1 − ε
mean rate: odds = (1 - eps.mean()) / eps.mean() + 0 * eps
    one gap for the mean rate: each rate has its own
1 − ε rounded: m = torch.logit(1 - eps)
    the logit of 1 − ε, which is rounded for a small ε: log((1 − ε)/ε) keeps all digits
rates held at 0.02: m = torch.logit(1 - eps, 0.02)
    rates below 0.02 are held there, by the `eps` of torch.logit or a clamp: ε is above
    0, so nothing need be held
rates held at 0.01: m = torch.logit(1 - eps, 0.01)
    rates below 0.01 are held there, by the `eps` of torch.logit or a clamp: ε is above
    0, so nothing need be held
gaps from a list: h = (m / beta * 100).round() / 100
    the best of a list of gaps, a hundredth apart: set the derivative to zero, and the
    gap comes out exactly
"""
CHECKS = (
    kind("one gap for each rate", [given([0.1], 1.0), given([0.1, 0.2, 0.3], 0.1)]),
    value("0 when labels say nothing, ε = ½", [given([0.5], 1.0)]),
    value("ln 9 nats for ε = 0.1 at β = 1", [given([0.1], 1.0)]),
    value("the gap at β = 0.1 and at β = 2", [given([0.1], 0.1), given([0.05], 2.0)]),
    value("each rate its own gap", [given([0.01, 0.05, 0.2], 1.0)]),
    fresh(
        "be the h at which −(1 − ε) log σ(βh) − ε log σ(−βh) is smallest",
        map(_fresh, (1, 4), (0.1, 0.5)),
    ),
)
HINTS = """
At the smallest loss its derivative is zero: the two terms pull equally hard.
(1 − ε) σ(−βh) = ε σ(βh). Divide: the ratio σ(βh)/σ(−βh) is e^{βh}.
`torch.log((1 - label_smoothing) / label_smoothing) / beta`
"""
EXTREMES = (given([0.3, 1e-12, 0.5], 0.5),)
EXERCISE = Exercise(
    __doc__, smoothed_optimal_gap, STEPS, FAULTS, CHECKS, HINTS, EXTREMES
)
