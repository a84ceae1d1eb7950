"""Exponential families against finite differences, other searches and the losses."""

import itertools
import math

import pytest
import torch
from oracles import refusals, tensor
from small_worlds import features, seeds

from course_lib.limits.exponential import (
    cumulants,
    dpo_projection,
    exponential_tilt,
    forward_projection,
    psi_rewards,
    reverse_projection,
)
from course_lib.losses import ipo_loss
from course_lib.policies import kl_divergence, optimal_policy, rlhf_objective
from course_lib.variants import loss_optimum
from course_lib.worlds import five_responses, random_world


def log_z(ref, rewards, omega: float) -> float:
    weights = zip(ref.tolist(), rewards.tolist(), strict=True)
    return math.log(sum(p * math.exp(omega * r) for p, r in weights))


@seeds
@pytest.mark.parametrize("beta", [0.4, 2.0])
def test_cumulants_are_the_derivatives_of_log_z(seed, beta):
    _, ref, rewards = random_world(seed)
    found, step, omega = cumulants(ref, rewards, beta), 1e-4, 1 / beta
    low, here, high = (log_z(ref, rewards, omega + k * step) for k in (-1, 0, 1))
    assert found.log_z.item() == pytest.approx(here, abs=1e-12)
    assert found.mean.item() == pytest.approx((high - low) / (2 * step), abs=1e-6)
    bend = (high - 2 * here + low) / step**2
    assert found.variance.item() == pytest.approx(bend, abs=1e-4)
    spent = kl_divergence(optimal_policy(ref, rewards, beta), ref).item()
    assert found.mean.item() / beta - here == pytest.approx(spent, abs=1e-10)


@seeds
def test_psi_of_the_logit_is_rlhf_and_psi_of_p_is_where_ipo_s_loss_is_lowest(seed):
    _, ref, rewards = random_world(seed)
    beats = torch.sigmoid(rewards[:, None] - rewards)
    by_logit = psi_rewards(beats, ref, torch.logit)
    one, two = (optimal_policy(ref, r, 0.5) for r in (by_logit, rewards))
    assert (one - two).abs().max() < 1e-10
    by_share = psi_rewards(beats, ref, lambda p: p)
    tilted = optimal_policy(ref, by_share, 0.4)

    def losses(pairs):
        return ipo_loss(*pairs.four, tau=0.4, reduction="none")

    assert (loss_optimum(losses, ref, rewards) - tilted).abs().max() < 1e-6


@seeds
def test_a_class_that_has_the_optimum_leads_all_three_there(seed):
    _, ref, rewards = random_world(seed, responses=6)
    phi, beta = torch.stack([rewards, features(seed, 6, 2)[:, 0]], 1), 0.7
    best = optimal_policy(ref, rewards, beta)
    for weights in (
        forward_projection(ref, phi, best),
        reverse_projection(ref, phi, rewards, beta),
        dpo_projection(ref, phi, rewards, beta),
    ):
        assert weights.tolist() == pytest.approx([1 / beta, 0.0], abs=1e-8)
        found = exponential_tilt(ref, phi, weights)
        assert (found - best).abs().max() < 1e-9


@seeds
def test_each_is_best_at_its_own_question_and_only_there(seed):
    """No neighbour of θ is better; the slow losses are written out here."""
    _, ref, rewards = random_world(seed, responses=6)
    phi, beta = features(seed, 6, 2), 0.7
    best = optimal_policy(ref, rewards, beta)

    def policy(weights):
        return exponential_tilt(ref, phi, weights)

    def dpo(weights):
        total = 0.0
        for i, j in itertools.combinations(range(6), 2):
            gap = ((phi[i] - phi[j]) @ weights).item()
            wins = 1 / (1 + math.exp(rewards[j] - rewards[i]))
            right = math.log1p(math.exp(-beta * gap))
            total += (ref[i] * ref[j]).item() * (right + (1 - wins) * beta * gap)
        return total

    for weights, loss in (
        (
            forward_projection(ref, phi, best),
            lambda w: kl_divergence(best, policy(w)).item(),
        ),
        (
            reverse_projection(ref, phi, rewards, beta),
            lambda w: -rlhf_objective(policy(w), ref, rewards, beta).item(),
        ),
        (dpo_projection(ref, phi, rewards, beta), dpo),
    ):
        lowest = loss(weights)
        for turn in torch.eye(2, dtype=torch.float64):
            for by in (-0.01, 0.01):
                assert loss(weights + by * turn) > lowest


@seeds
def test_the_forward_projection_has_the_target_s_means(seed):
    _, ref, rewards = random_world(seed, responses=6)
    phi, target = features(seed, 6, 2), optimal_policy(ref, rewards, 0.3)
    weights = forward_projection(ref, phi, target)
    found = exponential_tilt(ref, phi, weights)
    assert (found @ phi - target @ phi).abs().max() < 1e-10


_, REF, REWARDS = five_responses()
PHI, EMPTY = REWARDS[:, None], tensor(0.0, 0.4, 0.2, 0.2, 0.2)
test_what_cannot_be_is_refused = refusals(
    (exponential_tilt, (REF, PHI[:3], tensor(1.0)), "features"),
    (exponential_tilt, (REF, PHI, tensor(1.0, 2.0)), "weights"),
    (forward_projection, (REF, PHI, tensor(1.0)), "target"),
    (reverse_projection, (REF, PHI, REWARDS[:1], 1.0), "rewards"),
    (dpo_projection, (REF, PHI, REWARDS[:3], 1.0), "rewards"),
    (exponential_tilt, (EMPTY, PHI, tensor(1.0)), "ref must be above 0"),
    (psi_rewards, (PHI, REF, torch.logit), "chances must be"),
    (psi_rewards, (torch.eye(5).double(), REF, torch.logit), "psi must be finite"),
    (reverse_projection, (REF, PHI, REWARDS, 0.0), "beta must be"),
)
