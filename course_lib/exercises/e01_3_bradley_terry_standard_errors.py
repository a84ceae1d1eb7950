"""Exercise 1.3: How sure is a strength?"""

import torch

from course_lib.exercises.seasons import season
from course_lib.exercises.spec import Exercise, builder, given, returns_like, rule
from course_lib.preferences import bradley_terry_standard_errors, fit_bradley_terry


def _table(scores: list[float], games: list[list[float]]):
    # Standard errors are asked for in float64, as the fitted scores come
    return given(torch.tensor(scores).double(), torch.tensor(games).double())


@builder
def _fitted(inputs, items: int):
    wins = season(items)(inputs)
    return fit_bradley_terry(wins), (wins + wins.T).double()


def _information(scores, games, count=True):
    p = torch.sigmoid(scores[:, None] - scores)
    weight = games * p * (1 - p) if count else games * p
    return weight.sum(1).diag() - weight


def _errors(scores, games, *, count=True, variances=torch.linalg.inv, root=torch.sqrt):
    """Standard errors with one thing wrong."""
    free = _information(scores, games, count)[1:, 1:]
    return torch.cat([scores.new_zeros(1), root(variances(free).diagonal())])


EXERCISE = Exercise(
    number="1.3",
    title="How sure is a strength?",
    reference=bradley_terry_standard_errors,
    checks=(
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
            "half as large after four times the games",
            "be ½: an error shrinks with the root of the number of games",
            [_table([0, 0], [[0, 16], [16, 0]])],
        ),
        rule(
            "larger for a lopsided pair, whose games say little",
            "weigh each game by p (1 − p), which is small where the winner is foreseen",
            [_table([1, 3], [[0, 4], [4, 0]])],
        ),
        rule(
            "smaller through others: i against k and k against j says something of i "
            "and j",
            "use the whole inverse of the information matrix, not its diagonal alone",
            [_table([0] * 3, [[0, 4, 4], [4, 0, 4], [4, 4, 0]])],
        ),
        rule(
            "right on fresh fitted seasons",
            "be √ of the diagonal of the inverse information, first item left out",
            map(_fitted, (3, 6)),
        ),
    ),
    misconceptions={
        "variance": (
            lambda s, g: _errors(s, g, root=torch.clone),
            "variances: a standard error is their square root",
        ),
        "diagonal inverted alone": (
            lambda s, g: _errors(s, g, variances=torch.reciprocal),
            "1 / √I_ii, as if the other scores were known: invert the matrix first, "
            "then take its diagonal",
        ),
        "nothing held fixed": (
            lambda s, g: torch.linalg.pinv(_information(s, g)).diagonal().sqrt(),
            "errors of scores that average 0 (a pseudo-inverse): leave out the first "
            "row and column before inverting",
        ),
        "p in place of p (1 − p)": (
            lambda s, g: _errors(s, g, count=False),
            "p where the information of a game is p (1 − p)",
        ),
    },
    hints=(
        "The information of one game between i and j is p (1 − p), p = σ(s_i − s_j): "
        "on the diagonal for both, with a minus sign off the diagonal.",
        "weight = games * p * (1 - p); information = diag(weight.sum(1)) − weight. It "
        "is singular until one score is held fixed.",
        "Drop the first row and column, `torch.linalg.inv`, its diagonal, the square "
        "root, and a 0 in front.",
    ),
)
