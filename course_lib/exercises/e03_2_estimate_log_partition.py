"""Exercise 3.2: log Z from a sample."""

import math

import torch

from course_lib.exercises.spec import (
    Exercise,
    given,
    learns,
    normal,
    rule,
    value,
    words,
)
from course_lib.policies import estimate_log_partition


def _log_mean(exponents):
    return torch.logsumexp(exponents, -1) - math.log(exponents.shape[-1])


EXERCISE = Exercise(
    number="3.2",
    title="log Z from a sample",
    reference=estimate_log_partition,
    checks=(
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
        rule(
            "right on fresh random samples, values and gradients",
            "equal the logarithm of the mean of e^{r/β}, and so must its gradient",
            [
                *[given(normal(n), b) for n, b in ((2, 1.0), (5, 0.3), (40, 4.0))],
                given(normal(3, 6), 0.7),
            ],
            gradient=True,
        ),
        rule(
            "finite for rewards as large as 2000, of either sign",
            words(
                "be {0:.2f}: e^{{4000}} and e^{{−4000}} are no numbers that a computer "
                "holds"
            ),
            [given([2000.0, 1000.0, -2000.0], 0.5), given([-2000.0, -2001.0], 0.5)],
            gradient=True,
        ),
    ),
    misconceptions={
        "mean of the logarithms": (
            lambda rewards, beta: (rewards / beta).mean(-1),
            "the mean of r/β: the mean of the logarithms is less than the logarithm of "
            "the mean (Jensen), and no sample size mends that",
        ),
        "sum in place of mean": (
            lambda rewards, beta: torch.logsumexp(rewards / beta, -1),
            "the logarithm of a sum: it grows with the sample. Subtract log n",
        ),
        "divided by n after the logarithm": (
            lambda r, beta: torch.logsumexp(r / beta, -1) / r.shape[-1],
            "the logarithm of the sum, divided by n: dividing by n inside the "
            "logarithm is subtracting log n outside",
        ),
        "overflowing exponentials": (
            lambda rewards, beta: (rewards / beta).exp().mean(-1).log(),
            "log(mean(exp(x))), right as a formula and infinite for large rewards: "
            "logsumexp never leaves the logarithm",
        ),
        "no logarithm": (
            lambda rewards, beta: (rewards / beta).exp().mean(-1),
            "Ẑ itself; asked for is its logarithm",
        ),
        "times beta": (
            lambda rewards, beta: _log_mean(rewards * beta),
            "r times β: a small β must make the tilt steeper, r is divided by it",
        ),
        "beta forgotten": (
            lambda rewards, beta: _log_mean(rewards),
            "the formula at β = 1: rewards are divided by β first",
        ),
        "in the unit of the reward": (
            lambda rewards, beta: beta * _log_mean(rewards / beta),
            "β log Ẑ, in the unit of the reward; asked for is log Ẑ, in nats",
        ),
        "one number for all samples": (
            lambda rewards, beta: _log_mean((rewards / beta).flatten()),
            "all samples thrown together: work along the last dimension, one estimate "
            "a row",
        ),
        "the largest term alone": (
            lambda rewards, beta: (rewards / beta).amax(-1),
            "the largest r/β: a useful bound, and not the mean of the weights",
        ),
        "weighted by the tilt": (
            lambda r, beta: (torch.softmax(r / beta, -1) * r / beta).sum(-1),
            "the mean reward of the *tilted* sample. Z is a plain mean over answers of "
            "the reference, weights e^{r/β}",
        ),
        "detached": (
            lambda rewards, beta: _log_mean(rewards / beta).detach(),
            "the right number cut off from the rewards: no gradient flows back",
        ),
    },
    hints=(
        "Z is the reference's expectation of e^{r/β}, and you hold n draws from the "
        "reference: a mean estimates an expectation.",
        "The logarithm of a mean is the logarithm of the sum minus log n, and "
        "`torch.logsumexp` takes the logarithm of a sum of exponentials safely.",
        "`torch.logsumexp(sampled_rewards / beta, -1)`, minus the logarithm of "
        "`sampled_rewards.shape[-1]`; for the latter, a logsumexp of zeros will do, or "
        "`math.log`.",
    ),
)
