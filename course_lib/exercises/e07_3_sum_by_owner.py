"""Exercise 7.3: Sums by owner."""

import torch

from course_lib.batches import sum_by_owner
from course_lib.exercises.spec import Exercise, builder, given, learns, rule, value


@builder
def _fresh(inputs, tokens: int, count: int):
    owners = inputs.integers(0, count, tokens).long()
    return -2 * inputs.uniform(tokens), owners, count


def _last_wins(values, owners, count):
    sums = list(values.new_zeros(count))
    for one, owner in zip(values, owners.tolist(), strict=True):
        sums[owner] = one
    return torch.stack(sums)


def _lengths(owners, count):
    return torch.bincount(owners, minlength=count)


def _side_by_side(values, owners, count):
    parts = values.split(_lengths(owners, count).tolist())
    return torch.stack([part.sum() for part in parts])


def _counted(values, owners, count):
    sums = torch.bincount(owners, values.detach(), minlength=count)
    return sums.to(values.dtype)


def _logs_of_products(values, owners, count):
    ones = values.new_ones(count)
    return ones.scatter_reduce(0, owners, values.exp(), "prod").log()


EXERCISE = Exercise(
    number="7.3",
    title="Sums by owner",
    reference=sum_by_owner,
    checks=(
        learns(
            "one number for each response, with a gradient",
            [given([-1, -2], (0, 1), 2), given([-1, -2, -4, -8], (0, 0, 0, 1), 2)],
        ),
        value(
            "the sum, where a response has two tokens",
            [given([-1, -2], (0, 0), 1), given([-1, -2, -4], (0, 1, 1), 2)],
        ),
        value(
            "whatever order the tokens come in",
            [given([-1, -2], (1, 0), 2), given([-1, -2, -4, -8], (0, 1, 0, 1), 2)],
        ),
        value(
            "0 for a response without tokens, also for the last one",
            [given([-1, -2], (0, 2), 3), given([-1, -2], (0, 0), 2)],
        ),
        value(
            "finite for a token that is given no chance",
            [given([-1, -2000], (0, 0), 1)],
            gradient=True,
        ),
        rule(
            "right on fresh random tokens, values and gradients",
            "equal, for each response, the sum of its tokens' values, and so must the "
            "gradient",
            map(_fresh, (5, 40), (3, 7)),
            gradient=True,
        ),
    ),
    misconceptions={
        "one token each": (
            _last_wins,
            "one token of each response: sums[owners] = values and += write to each "
            "place once, whatever comes twice is lost",
        ),
        "average": (
            lambda v, owners, n: sum_by_owner(v, owners, n) / _lengths(owners, n),
            "the mean over a response's tokens: the log-probability of a whole "
            "response is their sum",
        ),
        "tokens counted": (
            lambda v, owners, n: sum_by_owner(0 * v + 1, owners, n),
            "how many tokens each response has, not what they are worth",
        ),
        "as many as are seen": (
            lambda v, owners, n: sum_by_owner(v, owners, int(owners.max()) + 1),
            "as many sums as the largest owner asks for: a response without tokens at "
            "the end is lost. Use count",
        ),
        "side by side": (
            _side_by_side,
            "the first tokens to the first response, the next to the second: owners "
            "says to whom each belongs, in any order",
        ),
        "equal lengths": (
            lambda v, owners, n: v.reshape(n, -1).sum(1),
            "as many tokens for each response: they differ in length, which is why "
            "there are owners",
        ),
        "no gradient": (
            _counted,
            "right numbers that carry no gradient: bincount is for counting, and "
            "through it nothing can be learnt",
        ),
        "probabilities": (
            lambda v, owners, n: sum_by_owner(v, owners, n).exp(),
            "probabilities in place of their logarithms: those of long texts round to "
            "0",
        ),
        "logarithm of a product": (
            _logs_of_products,
            "probabilities multiplied and then their logarithm, which is −∞ once the "
            "product rounds to 0: add logarithms",
        ),
    },
    hints=(
        "Begin with a zero for each response, and add each token's value at its "
        "owner's place: every one, also where an owner comes twice.",
        "`sums[owners] += values` reads all places before it writes any. torch has a "
        "function that adds at indices one after the other, with a gradient.",
        "`values.new_zeros(count).index_add(0, owners, values)`",
    ),
)
