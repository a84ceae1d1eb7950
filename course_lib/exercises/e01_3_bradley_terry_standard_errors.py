"""Exercise 1.3: How sure is a strength?"""

import torch
import torch.nn.functional as F

from course_lib.preferences import bradley_terry_standard_errors, fit_bradley_terry
from .seasons import season
from .spec import Exercise, Recipe, builder, fresh, given, returns_like, rule


def _table(scores: list[float], games: list[list[float]]):
    # Standard errors are asked for in float64, as the fitted scores come
    return given(torch.tensor(scores).double(), torch.tensor(games).double())


@builder
def _fitted(inputs, items: int):
    wins = season(items)(inputs)
    return fit_bradley_terry(wins), (wins + wins.T).double()


STEPS = """
scores games:
p = sigmoid(scores[:, None] - scores)  # the chances p of all pairs
each = p * (1 - p)  # the information of a game, p (1 − p)
weight = games * each  # the information of a pair
matrix = weight.sum(1).diag() - weight  # the information matrix
free = matrix[1:, 1:]  # the matrix without the first item
variances = torch.linalg.inv(free).diagonal()  # the variances
errors = pad(sqrt(variances), (1, 0))  # the standard errors
"""
FAULTS = """
variance: errors = torch.cat([scores.new_zeros(1), variances])
    variances: a standard error is their square root
diagonal inverted alone: variances = 1 / free.diagonal()
    1 / √I_ii, as if the other scores were known: put −n p (1 − p) beside the diagonal,
    leave out the first row and column, invert, then take the diagonal
root of the information: variances = free.diagonal()
    the root of the information: it must be inverted, much information is a small error
nothing held fixed: errors = sqrt(torch.linalg.pinv(matrix).diagonal())
    errors of scores that average 0 (a pseudo-inverse): leave out the first row and
    column before inverting
pseudo-inverse and a 0: variances = torch.linalg.pinv(matrix).diagonal()[1:]
    a pseudo-inverse of the whole matrix, the first error set to 0: these are errors of
    scores that average 0. Leave out the first row and column first
covariance left out: variances = torch.linalg.pinv(matrix).diagonal()[1:]
        + torch.linalg.pinv(matrix)[0, 0]
    the variances of both scores added, without minus twice their covariance: a
    pseudo-inverse needs Σ_ii + Σ_00 − 2 Σ_0i
half of the games: weight = games * each / 2
    each game counted as a half: in row i of the table each game of i counts once
last item left out: free = matrix[:-1, :-1]
    the last item held fixed: it is the first whose score is 0
p in place of p (1 − p): each = p
    p where the information of a game is p (1 − p)
root of p (1 − p): each = sqrt(p * (1 - p))
    √(p (1 − p)), a standard deviation: a game's information is its variance, p (1 − p)
one score's chance: p = sigmoid(scores)
    σ of one score: the chance in a game is σ of the difference s_i − s_j
games forgotten: weight = each
    one game for each pair: multiply p (1 − p) by how often they met
divided by the games again:
        variances = torch.linalg.inv(free).diagonal() / games.sum(1)[1:]
    divided by the number of games once more: the information has counted them already
even games: each = 0.25 + 0 * p
    ¼ for every game, as if all were even: a game's information is p (1 − p)
plus off the diagonal: matrix = weight.sum(1).diag() + weight
    the off-diagonal with a plus: games between i and j tie their scores, −n p (1 − p)
means in place of sums: matrix = weight.mean(1).diag() - weight
    a mean over the opponents on the diagonal: information adds up
95 % intervals: variances = 1.96**2 * torch.linalg.inv(free).diagonal()
    half the width of a 95 % interval: asked is the standard error itself
"""
CHECKS = (
    rule(
        "one standard error for each item, 0 for the first",
        lambda call, ours: f"be a tensor of shape {ours.shape} that begins with 0",
        [_table([0, 0], [[0, 4], [4, 0]]), _fitted(4)],
        holds=lambda call, yours, ours, near: (
            returns_like(call, yours, ours, near) and yours.numbers[0] == 0
        ),
    ),
    rule(
        "1 after four even games",
        "be 1 for the second item: four games of information ¼ each",
        [_table([0, 0], [[0, 4], [4, 0]])],
    ),
    rule(
        "four times the games",
        "be ½: an error shrinks with the root of the number of games",
        [_table([0, 0], [[0, 16], [16, 0]])],
    ),
    rule(
        "a lopsided pair, whose games say little",
        "weigh each game by p (1 − p), which is small where the winner is foreseen",
        [_table([1, 3], [[0, 4], [4, 0]])],
    ),
    rule(
        "three items: games through others count as well",
        "invert the matrix less its first row and column, not the diagonal alone",
        [_table([0] * 3, [[0, 4, 4], [4, 0, 4], [4, 4, 0]])],
    ),
    fresh(
        "be √ of the diagonal of the inverse information, first item left out",
        map(_fitted, (3, 6)),
        title="right on fresh fitted seasons",
    ),
)
HINTS = """
The information of one game between i and j is p (1 − p), p = σ(s_i − s_j): on the
    diagonal for both, with a minus sign off the diagonal.
weight = games * p * (1 - p); information = diag(weight.sum(1)) − weight. It is singular
    until one score is held fixed.
Drop the first row and column, `torch.linalg.inv`, its diagonal, the square root, and a
    0 in front.
"""
EXTREMES = (
    _table([0, 5, -4], [[0, 1, 1e6], [1, 0, 0], [1e6, 0, 0]]),
    _table([3000, 3001, 3000], [[0, 4, 0], [4, 0, 4], [0, 4, 0]]),
)
RECIPE = Recipe(STEPS, pad=F.pad)
EXERCISE = Exercise(
    __doc__, bradley_terry_standard_errors, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES
)
