"""Exercise 1.2: Strengths from a season."""

import torch

from course_lib.exercises.seasons import season
from course_lib.exercises.spec import Exercise, given, rule
from course_lib.preferences import fit_bradley_terry

RECORD = given([[0, 1], [3, 0]])  # the second item won 3 of 4


def _scores(of=fit_bradley_terry, zero=lambda scores: scores[0]):
    """Scores with one thing wrong: what they are, or what counts as 0."""
    return lambda wins: of(wins) - zero(of(wins))


EXERCISE = Exercise(
    number="1.2",
    title="Strengths from a season",
    reference=fit_bradley_terry,
    within=5e-4,  # a climb by small steps is as good as the library's Newton steps
    checks=(
        rule(
            "one score for each item",
            lambda call, ours: f"be a tensor of shape {ours.shape}",
            [RECORD, given(season(4))],
            holds=lambda call, yours, ours, near: (
                (yours.kind, yours.shape) == (ours.kind, ours.shape)
                and not yours.changed
            ),
        ),
        rule(
            "0 for the first item, whoever it is",
            "have 0 as its first entry: scores have no zero of their own",
            [RECORD, given(season(3))],
            holds=lambda call, yours, ours, near: abs(yours.numbers[0]) < 1e-6,
        ),
        rule(
            "higher for who wins more",
            "give the second item, which won 3 of 4, the higher score",
            [RECORD],
            holds=lambda call, yours, ours, near: yours.numbers[1] > 0,
        ),
        rule(
            "ln 3 for a record of 3 : 1",
            "be ln 3 = 1.0986 apart, to three decimals",
            [RECORD],
        ),
        rule(
            "whom you met counts, not the share of wins",
            "expect as many wins for each item as it had: Σ_j games_ij σ(s_i − s_j) = "
            "wins_i",
            [
                given([[0, 6, 1], [2, 0, 0], [1, 1, 0]]),
                given([[0, 9, 0, 1], [1, 0, 9, 1], [1, 1, 0, 9], [1] * 3 + [0]]),
            ],
        ),
        rule(
            "the maximum of the likelihood, to three decimals, on fresh random seasons",
            "be where the likelihood of the whole table is highest; more steps, or "
            "larger ones?",
            [given(season(items)) for items in (3, 5, 7)],
        ),
    ),
    misconceptions={
        "table read the wrong way round": (
            lambda wins: fit_bradley_terry(wins.T),
            "losses read as wins: wins[i, j] counts how often i beat j",
        ),
        "log odds of all games": (
            _scores(lambda wins: torch.log(wins.sum(1) / wins.sum(0))),
            "the log odds of each item's own record: it forgets whom the games were "
            "against. Fit all scores together",
        ),
        "share of games won": (
            _scores(lambda wins: wins.sum(1) / (wins + wins.T).sum(1)),
            "the share of games won: a probability, not a score in logits, and blind "
            "to the opponents",
        ),
        "constant left free": (
            _scores(zero=torch.mean),
            "scores that average 0: right up to a constant. Subtract the first one",
        ),
        "last item as the zero": (
            _scores(zero=lambda scores: scores[-1]),
            "scores counted from the last item; the first one is to be 0",
        ),
        "strengths in place of their logarithms": (
            lambda wins: fit_bradley_terry(wins).exp(),
            "e to the score: the strengths that multiply. Scores are their logarithms",
        ),
    },
    hints=(
        "At the maximum each item's expected wins equal its wins. Away from it, the "
        "difference of the two is the gradient.",
        "games = wins + wins.T and expected = (games * sigmoid(s[:, None] - "
        "s)).sum(1). Step along wins.sum(1) − expected; a rate of about 1 / games per "
        "item is safe.",
        "A few thousand steps of `scores = scores + rate * (wins.sum(1) - expected)`, "
        "in float64, then `scores - scores[0]`.",
    ),
)
