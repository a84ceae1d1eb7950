"""Inputs of the losses of pairs, and what is said of mistakes that several share."""

from collections.abc import Callable

import torch

from course_lib.exercises.spec import Call, Inputs, builder


class Says:
    """What is said of mistakes that several losses share."""

    SUM = "a sum over the batch: the learning rate would depend on the batch's size"
    NO_MINUS = "the log-likelihood without its minus sign: a loss is minimised"
    SWAPPED = (
        "rejected minus chosen: the gap is the chosen log-ratio minus the rejected one"
    )
    NO_REFERENCE = (
        "the policy's log-probabilities alone: each needs the reference's subtracted "
        "from it"
    )
    BETA_FORGOTTEN = (
        "β = 1 whatever is asked for: it multiplies the gap inside the sigmoid"
    )
    BETA_OUTSIDE = (
        "β in front of the loss: there it only scales the step. It belongs inside the "
        "sigmoid"
    )
    LOG_SIGMOID = (
        "log(sigmoid(x)), whose sigmoid rounds to 0 and whose log is then −∞: use "
        "F.logsigmoid"
    )


# Chosen and rejected, first of the policy, then of the reference
START = ([-4.0, -7.0, -4.0, -7.0], [-9.0, -2.0, -9.0, -2.0])  # policy is reference
BETTER = [-1.0, -3.0, -2.0, -2.0]  # log-ratios 1 and −1
WORSE = [-6.0, -2.0, -3.0, -4.0]  # log-ratios −3 and 2

# Log-probabilities per token, chosen and rejected
AHEAD = [-1.0, -2.0]  # the chosen answer by one nat a token
BEHIND = [-2.5, -1.0]


def columns(inputs: Inputs, pairs: tuple[list[float], ...]) -> list:
    """One tensor for each column of pairs."""
    return [inputs.tensor(list(column)) for column in zip(*pairs, strict=True)]


@builder
def four(inputs: Inputs, *pairs: list[float], beta: float | None = 0.1, **kwargs):
    """One call from pairs such as `BETTER`.

    beta: the fifth argument, whatever the loss calls it; None: there is none
    """
    return Call((*columns(inputs, pairs), *([] if beta is None else [beta])), kwargs)


def logps(*shape: int, scale: float = 4.0):
    """For `given`: random log-probabilities of whole responses."""
    return lambda inputs: inputs.normal(*shape, scale=scale) - 20


@builder
def fresh_four(
    inputs: Inputs, count: int, beta: float, *, scale: float = 4.0, **kwargs
):
    """One call of `count` random pairs."""
    random = logps(count, scale=scale)
    return Call((*(random(inputs) for _ in range(4)), beta), kwargs)


def without_reference(loss: Callable) -> Callable:
    """The same loss as if the reference found every answer equally likely."""
    return lambda a, b, c, d, *rest, **named: loss(
        a, b, torch.zeros_like(c), torch.zeros_like(d), *rest, **named
    )
