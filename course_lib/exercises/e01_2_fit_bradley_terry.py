"""Exercise 1.2: Strengths from a season."""

import math

import torch

from course_lib.preferences import fit_bradley_terry
from .seasons import season
from .spec import Exercise, Recipe, fresh, given, rule

RECORD = given([[0, 1], [3, 0]])  # the second item won 3 of 4


def _climbed(wins, steps, rate=None):
    """The climb of the hints, ended after so many steps; or one at a fixed rate."""
    games, scores = wins + wins.T, torch.zeros(len(wins)).double()
    for _ in range(steps):
        expected = (games * torch.sigmoid(scores[:, None] - scores)).sum(1)
        scores = scores + (wins.sum(1) - expected) * (rate or 1 / games.sum(1))
    return scores


def _leapt(wins, steps, penalty=0.0):
    """Newton's steps, so many of them, from 0.

    penalty: times half the squared scores, which the mean loss has beside it
    """
    games, scores = wins + wins.T, torch.zeros(len(wins)).double()
    ridge = penalty * wins.sum()
    first = 0 if penalty else 1  # without one the first score stays at 0
    for _ in range(steps):
        p = torch.sigmoid(scores[:, None] - scores)
        weight = games * p * (1 - p)
        bend = torch.diag(weight.sum(1) + ridge) - weight
        slope = wins.sum(1) - (games * p).sum(1) - ridge * scores
        step = torch.linalg.solve(bend[first:, first:], slope[first:])
        scores = torch.cat([scores[:first], scores[first:] + step])
    return scores


STEPS = """
wins:
table = wins.double()  # the table of wins
fitted = fit(table)  # the fitted scores
scores = fitted - fitted[0]  # the scores
"""
FAULTS = """
table read the wrong way round: table = wins.T.double()
    losses read as wins: wins[i, j] counts how often i beat j
log odds of all games: fitted = log(table.sum(1) / table.sum(0))
    the log odds of each item's own record: it forgets whom the games were against. Fit
    all scores together
share of games won: fitted = table.sum(1) / (table + table.T).sum(1)
    the share of games won: no score in logits, and blind to the opponents
logarithm of the share: fitted = log(table.sum(1) / (table + table.T).sum(1))
    the logarithm of each item's share of wins: it forgets whom the games were against.
    Fit all scores together
wins minus losses: fitted = table.sum(1) - table.sum(0)
    wins minus losses, which are points: they grow with the number of games, and are
    blind to the opponents
log odds against the first: scores = log(table[:, 0] / table[0]).nan_to_num()
    the log odds of the games against the first item alone: what others say of each
    other counts as well
mean of pairwise log odds: fitted = log(table / table.T).nan_to_num().mean(1)
    the mean of the log odds against each opponent: one met once would weigh as much as
    one met often. Fit all scores together
shares fitted: fitted = fit((table / (table + table.T)).nan_to_num())
    a fit of shares, in which a pair that met once weighs as much as one that met often:
    fit the counts themselves
a win added to each side: fitted = fit((table + 1).fill_diagonal_(0))
    a win added to each side of each pair, which pulls the scores together: the
    likelihood takes the table as it is
constant left free: scores = fitted - fitted.mean()
    scores that average 0: right up to a constant. Subtract the first one
last item as the zero: scores = fitted - fitted[-1]
    scores counted from the last item; the first one is to be 0
weakest item as the zero: scores = fitted - fitted.min()
    scores counted from the weakest item; the first one is to be 0
one rate for all tables: fitted = climbed(table, 200, 0.02)
    a step of fixed size times the gradient, which grows with the number of games: with
    thousands of them it jumps to and fro. Divide by the games
four of Newton's steps: fitted = leapt(table, 4)
    a few of Newton's steps: enough for even teams, not for a lopsided table. Go on
    until a step is small
strengths in place of their logarithms: scores = exp(fitted - fitted[0])
    e to the score: the strengths that multiply. Scores are their logarithms
strengths that sum to 1: scores = softmax(fitted, -1)
    strengths as shares of a whole: scores are their logarithms, less the first one's
Elo points: scores = elo * (fitted - fitted[0])
    Elo points, 400 for odds of 10 : 1: scores are in logits, 1 for odds of e : 1
ten steps: fitted = climbed(table, 10)
    a climb that has only begun: the scores still rise. More steps, or larger ones
thirty steps: fitted = climbed(table, 30)
    a climb that is not at the top yet: more steps, or larger ones
first score overwritten: scores = centred(fitted)
    0 written over the first score, while the others stay where they were: subtract the
    first score from all
a penalty on the scores: fitted = leapt(table, 20, 0.01)
    scores pulled towards 0, as by weight decay or a prior: fit the likelihood alone
half a game added, log odds averaged:
        fitted = log((table + 0.5) / (table.T + 0.5)).sum(1)
        / (table.shape[0] - 1)
    the mean of smoothed log odds against each opponent: one met once would weigh as
    much as one met often. Fit all scores together
strengths, counted from the first: scores = softmax(fitted, -1) - softmax(fitted, -1)[0]
    strengths minus the first one's: scores are the logarithms of strengths, and it is
    their differences that count
half a win added to each side: fitted = fit((table + 0.5).fill_diagonal_(0))
    half a win added to each side of each pair: the likelihood takes the table as it is
logit of the mean share: fitted = log(mean_share(table) / (1 - mean_share(table)))
    the logit of the mean share against each opponent: how often one met is forgotten
strengths less 1: scores = exp(fitted - fitted[0]) - 1
    strengths, less the first one's: scores are their logarithms
"""
CHECKS = (
    rule(
        "one score for each item",
        lambda call, ours: f"be a tensor of shape {ours.shape}",
        [RECORD, given(season(4))],
        holds=lambda call, yours, ours, near: (
            (yours.kind, yours.shape) == (ours.kind, ours.shape) and not yours.changed
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
        "seasons in which the opponents differ",
        "expect as many wins for each item as it had: Σ_j games_ij σ(s_i − s_j) = "
        "wins_i",
        [
            given([[0, 6, 1], [2, 0, 0], [1, 1, 0]]),
            given([[0, 9, 0, 1], [1, 0, 9, 1], [1, 1, 0, 9], [1] * 3 + [0]]),
            given([[0, 500, 400], [450, 0, 600], [500, 350, 0]]),
            given([[0, 10], [300, 0]]),
        ],
    ),
    fresh(
        "be where the likelihood of the whole table is highest; more steps, or "
        "larger ones?",
        [given(season(items)) for items in (3, 5, 7)],
        title="to three decimals on fresh random seasons",
    ),
)
HINTS = """
At the maximum each item's expected wins equal its wins. Away from it, the difference of
    the two is the gradient.
games = wins + wins.T and expected = (games * sigmoid(s[:, None] - s)).sum(1). Step
    along wins.sum(1) − expected; a rate of about 1 / games per item is safe.
A few thousand steps of `scores = scores + rate * (wins.sum(1) - expected)`, in float64,
    then `scores - scores[0]`.
"""
RECIPE = Recipe(
    STEPS,
    fit=fit_bradley_terry,
    climbed=_climbed,
    centred=lambda fitted: torch.cat([fitted[:1] * 0, fitted[1:] - fitted.mean()]),
    leapt=_leapt,
    mean_share=lambda t: (t / (t + t.T)).nan_to_num().sum(1) / (len(t) - 1),
    elo=400 / math.log(10),
)
TERMS = {"slow": True, "within": 5e-4}  # small steps are as good as Newton's
EXERCISE = Exercise(__doc__, fit_bradley_terry, RECIPE, FAULTS, CHECKS, HINTS, **TERMS)
