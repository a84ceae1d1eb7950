"""Games of preferences against loops, many opponents, and their own laws."""

import math
from functools import partial

import pytest
import torch
from oracles import refusals, seeded, tensor
from small_worlds import CIRCLE, crowd, seeds

from course_lib.limits.comparisons import drawn_wins, mixed_preferences, win_rates
from course_lib.limits.games import (
    nash_gap,
    preference_path,
    regularised_nash,
    self_play_step,
)
from course_lib.policies import kl_divergence, optimal_policy
from course_lib.preferences import fit_bradley_terry

UNEVEN = tensor([0.5, 0.3, 0.9], [0.7, 0.5, 0.4], [0.1, 0.6, 0.5])


@seeds
def test_the_best_opponent_by_trying_many(seed):
    rewards, shares, policy = crowd(seed, answers=4)
    table = mixed_preferences(rewards, shares)
    others = torch.rand(2000, 4, generator=seeded(seed), dtype=torch.float64) ** 8
    others = torch.cat([others / others.sum(1, keepdim=True), torch.eye(4).double()])
    beaten = others @ table @ policy - 0.5
    assert nash_gap(policy, table).item() == pytest.approx(beaten.max().item())


def test_the_nash_policy_of_a_circle_is_given_by_the_margins_of_the_others():
    assert nash_gap(tensor(1 / 7, 4 / 7, 2 / 7), UNEVEN).abs() < 1e-15
    assert nash_gap(torch.full((3,), 1 / 3, dtype=torch.float64), CIRCLE).abs() < 1e-15


@pytest.mark.parametrize("table", [CIRCLE, UNEVEN])
def test_self_play_only_moves_away_and_its_average_arrives(table):
    margins = torch.stack([table[2, 1], table[0, 2], table[1, 0]]) - 0.5
    nash = margins / margins.sum()
    policy, total = tensor(0.6, 0.2, 0.2), tensor(0.0, 0.0, 0.0)
    for _ in range(1000):
        total += policy
        moved = self_play_step(policy, table, 0.1)
        assert kl_divergence(nash, moved) > kl_divergence(nash, policy)
        policy = moved
    assert nash_gap(total / 1000, table) < 0.02 < nash_gap(policy, table)


@seeds
def test_a_round_by_a_loop(seed):
    rewards, shares, policy = crowd(seed, answers=4)
    table = mixed_preferences(rewards, shares)
    p, rows = policy.tolist(), table.tolist()
    wins = [sum(q * x for q, x in zip(p, row, strict=True)) for row in rows]
    weights = [q * math.exp(0.7 * win) for q, win in zip(p, wins, strict=True)]
    due = torch.tensor([w / sum(weights) for w in weights]).double()
    assert torch.allclose(self_play_step(policy, table, 0.7), due, atol=1e-14)


@pytest.mark.slow
@seeds
def test_ipo_on_its_own_pairs_rests_where_the_regularised_game_does(seed):
    rewards, shares, ref = crowd(seed, answers=4)
    table, tau = mixed_preferences(rewards, shares), 0.5
    due = regularised_nash(ref, table, tau)
    again = optimal_policy(ref, win_rates(table, due), tau)
    assert (due - again).abs().max() < 1e-12

    def ipo(gap):
        return (gap - 1 / (2 * tau)) ** 2

    told = {"steps": 600, "lr": 0.8, "own_pairs": True}
    path = preference_path(ipo, ref, table, **told)
    assert (path[-1] - due).abs().max() < 1e-10


@pytest.mark.slow
@seeds
def test_ipo_on_the_reference_s_pairs_is_the_tilt_by_win_rate(seed):
    rewards, shares, ref = crowd(seed, answers=4)
    table, tau = mixed_preferences(rewards, shares), 0.5
    path = preference_path(
        lambda gap: (gap - 1 / (2 * tau)) ** 2, ref, table, steps=600, lr=0.8
    )
    due = optimal_policy(ref, win_rates(table, ref), tau)
    assert (path[-1] - due).abs().max() < 1e-10


@pytest.mark.slow
@seeds
def test_dpo_on_the_reference_s_pairs_is_the_tilt_by_fitted_rewards(seed):
    rewards, shares, ref = crowd(seed, answers=4)
    table, beta = mixed_preferences(rewards, shares), 0.5
    path = preference_path(
        lambda gap: torch.log1p(torch.exp(-beta * gap)), ref, table, steps=1500, lr=20.0
    )
    due = optimal_policy(ref, fit_bradley_terry(drawn_wins(table, ref)), beta)
    assert (path[-1] - due).abs().max() < 1e-8


test_bad_input_is_told_by_its_name = refusals(
    (self_play_step, (torch.ones(3).double() / 3, CIRCLE, 0.0), "eta"),
    (partial(preference_path, steps=0, lr=1.0), (abs, CIRCLE[0], CIRCLE), "steps"),
)
