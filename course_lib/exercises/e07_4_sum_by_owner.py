"""Exercise 7.4: Sums by owner."""

import torch

from course_lib.batches import sum_by_owner
from .spec import Exercise, Recipe, builder, fresh, given, learns, value


@builder
def _fresh(inputs, tokens: int, count: int, most: float = 2.0):
    owners = inputs.integers(0, count, tokens).long()
    return -most * inputs.uniform(tokens), owners, count


def _last_wins(values, owners, count):
    sums = list(values.new_zeros(count))
    for one, owner in zip(values, owners.tolist(), strict=True):
        sums[owner] = one
    return torch.stack(sums)


def _side_by_side(values, owners, count):
    parts = values.split(torch.bincount(owners, minlength=count).tolist())
    return torch.stack([part.sum() for part in parts])


def _between_ends(values, owners, count):
    running = values[owners.argsort(stable=True)].cumsum(0)
    ends = torch.bincount(owners, minlength=count).cumsum(0) - 1
    return running[ends].diff(prepend=values.new_zeros(1))


STEPS = """
values owners count:
zeros = values.new_zeros(count)  # the zeros to begin with
sums = zeros.index_add(0, owners, values)  # the sums
"""
FAULTS = """
one token each: sums = last_wins(values, owners, count)
    one token of each response: sums[owners] = values and += write to each place once,
    whatever comes twice is lost
average: sums = zeros.index_add(0, owners, values) / tokens(owners, count)
    the mean over a response's tokens: a whole response has their sum
average where there is one:
        sums = zeros.index_add(0, owners, values)
        / tokens(owners, count).clamp(min=1)
    the mean over a response's tokens: a whole response has their sum
tokens counted: sums = zeros.index_add(0, owners, 0 * values + 1)
    how many tokens each response has, not what they are worth
as many as are seen: zeros = values.new_zeros(owners.max() + 1)
    as many sums as the largest owner asks for: the last ones may be empty. Use count
side by side: sums = side_by_side(values, owners, count)
    the first tokens to the first response, the next to the second: owners says to whom
    each belongs, in any order
a running sum without a first zero: sums = between_ends(values, owners, count)
    differences of a running sum at the last token of each response: before the first
    token that is place −1, which Python reads as the last. Put a 0 first
ranks for the order: sums = side_by_side(
        values[owners.argsort(stable=True).argsort()], owners, count)
    tokens sorted by their ranks, argsort of argsort: argsort itself is the order
equal lengths: sums = values.reshape(count, -1).sum(1)
    as many tokens for each response: they differ in length, hence the owners
counted from 1: sums = zeros.index_add(0, (owners - 1) % count, values)
    each sum one place too early: the first response is owner 0
running totals: sums = zeros.index_add(0, owners, values).cumsum(0)
    sums that run on from one response to the next: each begins at 0
one sum for all: sums = zeros + values.sum()
    the sum over all tokens for every response: owners says which of them belong to it
no gradient: sums = zeros.index_add(0, owners, values.detach())
    right numbers without a gradient: a detach, .tolist() or bincount on the way cuts it
    off, and nothing could be learnt
probabilities: sums = exp(zeros.index_add(0, owners, values))
    probabilities in place of their logarithms: those of long texts round to 0
sums of probabilities: sums = log(zeros.index_add(0, owners, exp(values)))
    the logarithm of a sum of probabilities: a response's tokens come one after another,
    so probabilities are multiplied and logarithms added
logarithm of a product:
        sums = log((zeros + 1).scatter_reduce(0, owners, exp(values), "prod"))
    probabilities multiplied and then their logarithm, which is −∞ once the product
    rounds to 0: add logarithms
asked for from 1 on: sums = F.pad(zeros.index_add(0, owners, values)[1:], (0, 1))
    a sum for each owner from 1 to count: they go from 0 to count − 1
written, not added: sums = zeros.index_put((owners,), values)
    sums[owners] = values, with = or +=, and scatter write each place once: index_add
    adds as often as an owner comes
those that come up: sums = present(values, owners)
    a sum for each owner that comes up: responses without tokens have a 0
"""
CHECKS = (
    learns(
        "one number for each response, with a gradient",
        [given([-1, -2], (0, 1), 2), given([-1, -2, -4, -8], (0, 0, 0, 1), 2)],
    ),
    value(
        "the sum, where a response has two tokens",
        [given([-1, -2], (0, 0), 1), given([-1, -2, -4], (0, 1, 1), 2)],
    ),
    value(
        "tokens of several responses in any order",
        [given([-1, -2], (1, 0), 2), given([-1, -2, -4, -8], (0, 1, 0, 1), 2)],
    ),
    value(
        "a response without tokens, also the last one",
        [
            given([-1, -2], (0, 2), 3),
            given([-1, -2], (0, 0), 2),
            given([-1, -2], (1, 1), 2),
        ],
    ),
    value(
        "a token that is given no chance",
        [given([-1, -2000], (0, 0), 1)],
        gradient=True,
    ),
    fresh(
        "equal, for each response, the sum of its tokens' values, and so must the "
        "gradient",
        map(_fresh, (5, 40), (3, 7)),
        gradient=True,
    ),
)
HINTS = """
Begin with a zero for each response, and add each token's value at its owner's place:
    every one, also where an owner comes twice.
`sums[owners] += values` reads all places before it writes any. torch has a function
    that adds at indices one after the other, with a gradient.
`values.new_zeros(count).index_add(0, owners, values)`
"""
EXTREMES = (_fresh(400, 2, 10.0), given([-5000, -0.5, -3, -5000], (0, 2, 0, 3), 5))
RECIPE = Recipe(
    STEPS,
    last_wins=_last_wins,
    present=lambda v, own: torch.stack([v[own == i].sum() for i in own.unique()]),
    tokens=lambda owners, count: torch.bincount(owners, minlength=count),
    side_by_side=_side_by_side,
    between_ends=_between_ends,
)
EXERCISE = Exercise(__doc__, sum_by_owner, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES)
