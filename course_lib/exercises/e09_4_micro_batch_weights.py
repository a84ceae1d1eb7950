"""Exercise 9.4: Means of means."""

from course_lib.production.accumulation import micro_batch_weights
from .spec import Exercise, fresh, given, integers, kind, rule, value


def _fresh(processes: int, micro: int):
    return given(integers(1, 300, processes, micro))


STEPS = """
c:
total = c.sum()  # the tokens of all processes
world = c.shape[0]  # the number of processes
share = c / total  # each micro-batch's share of the tokens
w = world * share  # the weights
"""
FAULTS = """
as they come: w = 0 * c + 1
    1 for each mean: J micro-batches then add up to J times the gradient, as if the
    learning rate were J times as high
mean of means: w = 0 * c + 1 / c.shape[1]
    1/J for each of J means: a token in a short micro-batch then counts more than one in
    a long one
of its own process: total = c.sum(1, keepdim=True); world = 1
    shares of a process's own tokens: a process with few tokens then counts as much as
    one with many. Divide by the tokens of all
divided twice: w = share
    shares of all tokens: the processes' gradients are averaged, which divides by their
    number once more
averaged over micro-batches: w = world * share * c.shape[1]
    J times too much: nothing divides by the number of micro-batches, whose gradients
    are added up
idle processes left out: world = (c.sum(1) > 0).sum()
    the processes that have tokens: one without any takes part in the average too, with
    a gradient of 0
step by step: w = world * c / c.sum(0, keepdim=True) / c.shape[1]
    each step shared out over the processes, then a mean over steps: a token in a short
    step counts more. Divide by the tokens of all
micro-batches for processes: world = c.shape[1]
    the number of micro-batches where that of processes belongs: it is over processes
    that gradients are averaged
few tokens weigh more: share = total / c
    the inverse: a mean over many tokens stands for many tokens
sums for means: share = 1 / total + 0 * c
    1 over all tokens for each: right for losses that are sums, but these are means
    already, so each needs its number of tokens
largest is 1: total = c.max()
    counts over the largest count: these do not add up to the number of processes
processes weighed, their parts alike: w = (world * c.sum(1, keepdim=True)
        / total / c.shape[1]).expand(c.shape)
    weights for whole processes: within a process its micro-batches differ in tokens as
    well, so each needs its own count
each step's own share: w = world * c / c.sum(0, keepdim=True)
    shares of one step's tokens: divide by the tokens of all steps
the inverse, by processes: w = total / (c * world)
    the weights upside down: it is the counts that stand above
"""
CHECKS = (
    kind(
        "one weight for each micro-batch of each process",
        [given([[1.0]]), _fresh(2, 3)],
    ),
    value(
        "one process with micro-batches of equal size",
        [given([[4.0, 4.0]]), given([[7.0, 7.0, 7.0, 7.0]])],
    ),
    rule(
        "one process, 1 token and then 3",
        "be 0.25 and 0.75: each token counts alike",
        [given([[1.0, 3.0]])],
    ),
    rule(
        "two processes, one micro-batch each",
        "be 0.5 and 1.5: averaging over processes divides by 2 again",
        [given([[1.0], [3.0]])],
    ),
    value("a process without a token", [given([[1.0, 3.0], [0.0, 0.0]])]),
    fresh(
        "be such that the mean over processes of Σ weight · mean is the mean over "
        "all tokens",
        map(_fresh, (1, 2, 4), (5, 3, 2)),
    ),
)
HINTS = """
Write the loss that you want: one sum over all tokens of all processes, divided by one
    number. What does a micro-batch's mean lack of it?
A mean times its count is a sum. Divide by the count of all. Then ask what is still done
    to the gradients after the backward passes.
`len(counts) * counts / counts.sum()`
"""
EXTREMES = (given([[0.0, 5.0], [5.0, 10.0]]), given([[1.0, 5000.0]]))
EXERCISE = Exercise(
    __doc__, micro_batch_weights, STEPS, FAULTS, CHECKS, HINTS, EXTREMES
)
