"""Exercise 3.1: log Z from a sample."""

import math

from course_lib.policies import estimate_log_partition
from .spec import Exercise, Recipe, fresh, given, learns, normal, rule, value, words

STEPS = """
r beta:
tilt = r / beta  # r/β
total = logsumexp(tilt, -1)  # the logarithm of the sum
n = torch.full_like(total, tilt.shape[-1])  # n
size = log(n)  # log n
mean = total - size  # the logarithm of the mean
"""
FAULTS = """
mean of the logarithms: mean = tilt.mean(-1)
    the mean of r/β: the mean of the logarithms is less than the logarithm of the mean
    (Jensen), and no sample size helps
sum in place of mean: mean = total
    the logarithm of a sum: it grows with the sample. Subtract log n
divided by n after the logarithm: mean = total / n
    the logarithm of the sum, divided by n: dividing by n inside the logarithm is
    subtracting log n outside
n − 1: size = torch.full_like(total, log_of_one_less(tilt.shape[-1]))
    n − 1 where n belongs: that is for a variance around an estimated mean. A mean of n
    numbers divides by n
n without its logarithm: mean = total - n
    n itself subtracted: dividing by n inside the logarithm is subtracting log n outside
overflowing exponentials: mean = log(exp(tilt).mean(-1))
    log(mean(exp(x))), right as a formula and infinite for large rewards: logsumexp
    never leaves the logarithm
no logarithm: mean = exp(tilt).mean(-1)
    Ẑ itself; asked for is its logarithm
no exponential: mean = log(tilt.mean(-1))
    the logarithm of the mean of r/β: the weights to be averaged are e^{r/β}
times beta: tilt = r * beta
    r times β: a small β must make the tilt steeper, r is divided by it
beta forgotten: tilt = r
    the formula at β = 1: rewards are divided by β first
beta taken out: mean = (logsumexp(r, -1) - size) / beta
    the exponentials without β, and a division at the end: β belongs inside each
    exponential, e^{r/β}
in the unit of the reward: mean = beta * (total - size)
    β log Ẑ, in the unit of the reward; asked for is log Ẑ, in nats
one number for all samples: total = logsumexp(tilt.flatten(), 0);
        n = torch.full_like(total, tilt.numel())
    all samples thrown together: work along the last dimension, one estimate a row
number of samples: n = torch.full_like(total, tilt.shape[0])
    the number of samples for n: it is the answers of one sample that are averaged
along the wrong dimension: total = logsumexp(tilt, 0);
        n = torch.full_like(total, tilt.shape[0])
    a mean over the rows: answers of one sample lie along the last dimension
one maximum for all samples: total = tilt.max() + log(exp(tilt - tilt.max()).sum(-1))
    the largest r/β of all samples subtracted before the exponentials: they vanish in a
    row whose own rewards are far smaller. Each row needs its own
maximum not added again: total = log(exp(tilt - tilt.amax(-1, True)).sum(-1))
    the largest r/β subtracted before the exponentials and never added again
the largest term alone: mean = tilt.amax(-1)
    the largest r/β: a useful bound, and not the mean of the weights
weighted by the tilt: mean = (softmax(tilt, -1) * tilt).sum(-1)
    the mean of r/β over the *tilted* sample: Z is a plain mean of e^{r/β}
two cumulants: mean = tilt.mean(-1) + tilt.var(-1, correction=0) / 2
    the mean plus half the variance of r/β, which is exact for normal rewards only: it
    is the logarithm of a mean of exponentials
"""
CHECKS = (
    learns(
        "one number for each sample, with a gradient",
        [given([1.0, 2.0], 1.0), given(normal(3, 5), 0.5)],
    ),
    value(
        "r/β when all answers are worth r, however many were drawn",
        [given([2.0], 1.0), given([2.0] * 4, 1.0), given([3.0] * 2, 0.5)],
    ),
    rule(
        "ln 1.5 for weights 1 and 2",
        "be 0.4055: the mean of the weights first, their logarithm afterwards",
        [given([0.0, math.log(2.0)], 1.0)],
    ),
    fresh(
        "equal the logarithm of the mean of e^{r/β}, and so must its gradient",
        [
            *[given(normal(n), b) for n, b in ((2, 1.0), (5, 0.3), (40, 4.0))],
            given(normal(3, 6), 0.7),
        ],
        gradient=True,
    ),
    rule(
        "rewards as large as 2000, of either sign",
        words(
            "be {0:.2f}: e^{{4000}} and e^{{−4000}} are no numbers that a computer "
            "holds"
        ),
        [given([2000.0, 1000.0, -2000.0], 0.5), given([-2000.0, -2001.0], 0.5)],
        gradient=True,
    ),
)
HINTS = """
Z is the reference's expectation of e^{r/β}, and you hold n draws from the reference: a
    mean estimates an expectation.
The logarithm of a mean is the logarithm of the sum minus log n, and `torch.logsumexp`
    takes the logarithm of a sum of exponentials safely.
`torch.logsumexp(sampled_rewards / beta, -1)`, minus `math.log` of
    `sampled_rewards.shape[-1]`, or minus a logsumexp of zeros.
"""
EXTREMES = (given([[1.0, 0.0], [3000.0, 2999.0], [-3000.0, -2999.0]], 0.5),)
RECIPE = Recipe(STEPS, log_of_one_less=lambda n: math.log(n - 1))
EXERCISE = Exercise(
    __doc__, estimate_log_partition, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES
)
