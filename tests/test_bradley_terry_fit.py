"""Fitting Bradley–Terry, against published strengths and other algorithms."""

import itertools
import math

import numpy as np
import pytest
import torch
from oracles import F64, tensor

from course_lib.datasets import baseball_1987, citations, wins_table
from course_lib.preferences import (
    bradley_terry_standard_errors,
    fit_bradley_terry,
)

PUBLISHED = {
    "Baltimore": (0, 0),
    "Boston": (1.1077, 0.3339),
    "Cleveland": (0.6839, 0.3319),
    "Detroit": (1.4364, 0.3396),
    "Milwaukee": (1.5814, 0.3433),
    "New York": (1.2476, 0.3359),
    "Toronto": (1.2945, 0.3367),
}


def test_the_season_has_its_published_strengths_and_errors():
    names, wins = wins_table(baseball_1987())
    fitted = fit_bradley_terry(wins)
    errors = bradley_terry_standard_errors(fitted, wins + wins.T)
    for name, score, error in zip(names, fitted, errors, strict=True):
        assert score.item() == pytest.approx(PUBLISHED[name][0], abs=5e-5)
        assert error.item() == pytest.approx(PUBLISHED[name][1], abs=5e-5)


def test_the_journals_have_their_published_strengths_and_errors():
    _, cited = citations()
    wins = tensor(*cited).fill_diagonal_(0)
    fitted = fit_bradley_terry(wins)
    errors = bradley_terry_standard_errors(fitted, wins + wins.T)
    for ours, theirs in zip(
        [*fitted.tolist(), *errors.tolist()],
        [0, -2.9490725, -0.4795698, 0.2689541, 0, 0.10254534, 0.06058873, 0.07082997],
        strict=True,
    ):
        assert ours == pytest.approx(theirs, abs=2e-6)


def test_a_difference_has_the_error_that_drawn_seasons_have():
    """Var(s_i − s_j) = C_ii + C_jj − 2 C_ij, whoever's score is held at zero."""
    _, wins = wins_table(baseball_1987())
    fitted, games = fit_bradley_terry(wins), wins + wins.T
    p = torch.sigmoid(fitted[:, None] - fitted)
    information = (games * p * (1 - p)).sum(1).diag() - games * p * (1 - p)
    assert torch.allclose(information.sum(1), torch.zeros(7, dtype=F64), atol=1e-12)
    assert torch.linalg.matrix_rank(information) == 6
    c = torch.linalg.pinv(information)
    between = (c.diagonal()[:, None] + c.diagonal() - 2 * c).clamp(min=0).sqrt()
    for k in range(7):
        order = torch.arange(7).roll(-k)
        ours = bradley_terry_standard_errors(fitted[order], games[order][:, order])
        assert torch.allclose(ours.roll(k), between[k], atol=1e-7)
    assert between[4, 3].item() == pytest.approx(0.311, abs=5e-4)
    random = torch.Generator().manual_seed(0)
    i, j = torch.triu_indices(7, 7, 1)
    seen = []
    for _ in range(300):
        table = torch.zeros_like(wins)
        table[i, j] = torch.binomial(games[i, j], p[i, j], generator=random)
        table[j, i] = games[i, j] - table[i, j]
        seen.append(fit_bradley_terry(table))
    seen = torch.stack(seen)
    spread = (seen[:, 4] - seen[:, 3]).std().item()
    # 300 draws know a spread to 4 %, and the errors are those of many games
    assert spread == pytest.approx(between[4, 3].item(), rel=0.15)


def test_wins_in_all_decide_where_the_games_are_equal():
    """Other victims, the same totals: the same scores. Other opponents: others."""
    one = torch.tensor([[0, 5, 1, 2], [1, 0, 4, 3], [5, 2, 0, 1], [4, 3, 5, 0]])
    other = one + torch.tensor([[0, -2, 2, 0], [2, 0, -2, 0], [-2, 2, 0, 0], [0] * 4])
    assert torch.equal(one + one.T, other + other.T)
    assert torch.equal(one.sum(1), other.sum(1))
    assert not torch.equal(one, other)
    fitted = [fit_bradley_terry(wins.double()) for wins in (one, other)]
    assert torch.allclose(*fitted, atol=1e-10)
    # two records of 6 : 6, one of them against the strong, one against the weak
    met = torch.tensor([[0, 0, 6, 0], [0, 0, 0, 6], [6, 0, 0, 12], [0, 6, 4, 0]])
    assert met.sum(1)[:2].tolist() == met.sum(0)[:2].tolist()
    strong, weak = fit_bradley_terry(met.double())[:2].tolist()
    assert strong - weak == pytest.approx(math.log(3), abs=1e-9)


def test_a_tie_dropped_or_halved_is_right_for_the_model_that_says_so():
    def fitted(win, loss):
        return -fit_bradley_terry(tensor([0, win], [loss, 0]))[1].item()

    a, b = 2.0, 1.0  # e to the scores: Δ = ln 2
    for nu in (0.5, 1.0, 3.0):  # Davidson (1970)
        tie = nu * (a * b) ** 0.5
        assert fitted(a, b) == pytest.approx(math.log(2), abs=1e-12)
        halved = math.log((a + tie / 2) / (b + tie / 2))
        assert fitted(a + tie / 2, b + tie / 2) == pytest.approx(halved, abs=1e-12)
        assert halved < 0.56
    win, loss, tie = a / (a + 2 * b), b / (b + 2 * a), 0.3  # Rao and Kupper (1967)
    assert win + loss + tie == pytest.approx(1, abs=1e-12)
    assert fitted(win, loss) == pytest.approx(0.91629, abs=1e-5)
    assert fitted(win + tie / 2, loss + tie / 2) == pytest.approx(0.61904, abs=1e-5)
    win, loss, tie = 4 / 9, 1 / 9, 4 / 9  # two voters, each 2 : 1
    halved = fitted(win + tie / 2, loss + tie / 2)
    assert halved == pytest.approx(math.log(2), abs=1e-12)
    assert fitted(win, loss) == pytest.approx(2 * math.log(2), abs=1e-12)


def minorised(wins):
    """Hunter's MM algorithm in numpy: another way to the same maximum."""
    games, strength = wins + wins.T, np.ones(len(wins))
    for _ in range(20_000):
        strength = wins.sum(1) / (games / (strength[:, None] + strength)).sum(1)
        strength /= strength[0]
    return np.log(strength)


def test_a_cycle_of_four_is_enough_to_compare_all():
    """Each beat only the next one, so that a chain leads from any to any."""
    cycle = torch.eye(4, dtype=F64).roll(1, 1)
    assert fit_bradley_terry(cycle).tolist() == pytest.approx([0] * 4, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_fit_against_another_algorithm(seed):
    random = np.random.default_rng(seed)
    wins = random.integers(0, 8, (4, 4)).astype(float) + 0.5
    np.fill_diagonal(wins, 0)
    ours = fit_bradley_terry(torch.tensor(wins))
    assert ours.tolist() == pytest.approx(minorised(wins).tolist(), abs=1e-9)


def expected_wins(wins):
    """In all, by the fitted scores; at the maximum they are those that were won."""
    fitted = fit_bradley_terry(wins)
    return ((wins + wins.T) * torch.sigmoid(fitted[:, None] - fitted)).sum(1)


def test_the_fit_survives_a_lopsided_table():
    wins = tensor([0.0, 1e6, 1], [1, 0, 1e6], [1e-3, 1, 0])
    # relative to a million games, whose rounding alone is 1e-10
    assert torch.allclose(expected_wins(wins), wins.sum(1), rtol=1e-9, atol=1e-4)


def test_the_fit_halves_a_step_that_overshoots():
    """Without halving, Newton's method leaves this table for infinity."""
    wins = tensor(
        [0.0, 0.25, 1e-4, 0.39, 0.015],
        [0.72, 0.0, 0.072, 0.0093, 0.0033],
        [2.5, 140.0, 0.0, 2.24e6, 14.5],
        [178.0, 1.3e-4, 0.19, 0.0, 1.34e4],
        [0.73, 0.11, 0.53, 7e-5, 0.0],
    )
    # two million games round to 1e-10 each way
    assert torch.allclose(expected_wins(wins), wins.sum(1), rtol=1e-9, atol=1e-8)


def test_standard_errors_against_a_numerical_hessian():
    wins = np.array([[0, 3, 5], [4, 0, 2], [1, 6, 0]], dtype=float)
    fitted = fit_bradley_terry(torch.tensor(wins)).numpy()

    def loss(free):
        s = np.array([0.0, *free])
        return (wins * np.logaddexp(0, s[None] - s[:, None])).sum()

    hessian, h = np.zeros((2, 2)), 1e-4
    for i, j in itertools.product(range(2), repeat=2):
        for si, sj in itertools.product((1, -1), repeat=2):
            point = fitted[1:].copy()
            point[i] += si * h
            point[j] += sj * h
            hessian[i, j] += si * sj * loss(point) / (4 * h * h)
    slow = np.sqrt(np.diag(np.linalg.inv(hessian)))
    ours = bradley_terry_standard_errors(
        torch.tensor(fitted), torch.tensor(wins + wins.T)
    )
    assert ours[0] == 0
    # second differences lose half of the digits
    assert ours[1:].tolist() == pytest.approx(slow.tolist(), rel=1e-6)
