"""Tables of preferences against loops, and what one reward makes of a crowd."""

import itertools
import math

import pytest
import torch
from oracles import refusals, tensor
from small_worlds import CIRCLE, crowd, seeds

from course_lib.limits.comparisons import (
    drawn_wins,
    expected_pair_loss,
    mixed_preferences,
    win_rates,
)
from course_lib.preferences import fit_bradley_terry
from course_lib.tabular import expected_dpo_loss
from course_lib.worlds import random_world


@seeds
def test_a_crowd_by_a_loop_over_groups_and_pairs(seed):
    rewards, shares, policy = crowd(seed)
    table = mixed_preferences(rewards, shares)
    for i, j in itertools.product(range(5), repeat=2):
        chance = sum(
            w / (1 + math.exp(r[j] - r[i]))
            for w, r in zip(shares.tolist(), rewards.tolist(), strict=True)
        )
        assert table[i, j].item() == pytest.approx(chance, abs=1e-14)
    by_hand = [sum(p * q for p, q in zip(policy, row, strict=True)) for row in table]
    assert torch.allclose(win_rates(table, policy), torch.stack(by_hand), atol=1e-14)
    assert (policy @ win_rates(table, policy)).item() == pytest.approx(0.5, abs=1e-14)


@seeds
def test_fitted_rewards_have_the_win_rates_of_the_sampler_and_their_order(seed):
    rewards, shares, sampler = crowd(seed)
    table = mixed_preferences(rewards, shares)
    scores = fit_bradley_terry(drawn_wins(table, sampler))
    modelled = torch.sigmoid(scores[:, None] - scores) @ sampler
    wins = win_rates(table, sampler)
    assert (modelled - wins).abs().max() < 1e-10
    assert torch.equal(scores.argsort(), wins.argsort())


def test_who_draws_the_pairs_turns_the_order_round():
    """By the linear equation of two Borda scores, in fractions."""
    table = mixed_preferences(tensor([2.0, 0, -2], [-3, 2, 0]), tensor(0.6, 0.4))
    lead = []
    for share in (0.102, 0.104):
        rest = (1 - share) / 2
        sampler = tensor(rest, rest, share)
        lead.append(fit_bradley_terry(drawn_wins(table, sampler))[1].item())
    assert lead[0] < 0 < lead[1]
    assert table[0, 1] > 0.5


@seeds
def test_the_expected_loss_of_pairs_is_dpo_s_for_bradley_terry(seed):
    world, other = random_world(seed), random_world(seed + 50).ref
    table = torch.sigmoid(world.rewards[:, None] - world.rewards)
    drawn = drawn_wins(torch.full_like(table, 0.5), other).sum()  # that of a real pair

    def loss(gap):
        return torch.log1p(torch.exp(-0.7 * gap))

    logits = other.log() + 3
    found = expected_pair_loss(loss, logits, world.ref, table, other)
    same = (other**2).sum() / 2 * math.log(2)  # an answer beside itself: ½ of ln 2
    due = expected_dpo_loss(logits, world.ref, world.rewards, 0.7, sampler=other)
    assert ((found - same) / drawn).item() == pytest.approx(due.item(), rel=1e-12)


THIRD = tensor(1.0, 1.0, 1.0) / 3
test_bad_input_is_told_by_its_name = refusals(
    (win_rates, (torch.ones(2, 2), torch.ones(2) / 2), "preferences must be"),
    (win_rates, (CIRCLE, torch.ones(2).double() / 2), "opponent has 2"),
    (drawn_wins, (CIRCLE, CIRCLE / 1.5), "sampler must be"),
    (expected_pair_loss, (abs, CIRCLE[0, :1], THIRD, CIRCLE, THIRD), "logits"),
    (mixed_preferences, (torch.ones(2, 3), torch.ones(3) / 3), "shares"),
)
