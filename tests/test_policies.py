"""Finite policies against enumeration, finite differences and the known world."""

import itertools
import math

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import F64, PROPERTY, refusals, seeded, tensor

from course_lib import policies
from course_lib.beta import beta_for_kl
from course_lib.losses import dpo_loss
from course_lib.policies import (
    best_of_n,
    canonical_rewards,
    estimate_log_partition,
    expected_reward,
    frontier,
    implicit_rewards,
    kl_divergence,
    log_partition,
    log_partition_error,
    optimal_policy,
    rlhf_objective,
)

REF = tensor(0.30, 0.25, 0.20, 0.15, 0.10)
REWARDS = tensor(1, 3, 0.5, 2.5, -0.5)
BETA = 0.5
BEST = optimal_policy(REF, REWARDS, BETA)


def ten(due):
    return pytest.approx(due, abs=5.1e-11)


@st.composite
def worlds(draw):
    """A random reference, rewards and beta."""
    size = draw(st.integers(2, 6))
    logits = draw(st.lists(st.floats(-4, 4), min_size=size, max_size=size))
    rewards = draw(st.lists(st.floats(-5, 5), min_size=size, max_size=size))
    beta = draw(st.floats(0.05, 5))
    ref = tensor(*logits).softmax(0)
    return ref, tensor(*rewards), beta


# ── the five-response world, to ten digits ────────────────────────────────────────────


def test_the_partition_function():
    log_z = log_partition(REF, REWARDS, BETA)
    assert log_z.item() == ten(4.8356176656)
    assert log_z.exp().item() == pytest.approx(125.9163333781, abs=5e-10)
    assert BETA * log_z.item() == ten(2.4178088328)


def test_the_optimal_policy():
    known = [0.017604680586, 0.800985826599, 0.004317600037, 0.176799730965]
    assert BEST.tolist() == pytest.approx([*known, 0.000292161812], abs=5e-13)
    ratios = [0.0586822686, 3.2039433064, 0.0215880002, 1.1786648731, 0.0029216181]
    assert (BEST / REF).tolist() == ten(ratios)


def test_rewards_divergences_and_objectives():
    assert expected_reward(REF, REWARDS).item() == ten(1.475)
    assert expected_reward(BEST, REWARDS).item() == ten(2.8645742069)
    assert kl_divergence(BEST, REF).item() == ten(0.8935307482)
    assert kl_divergence(REF, BEST).item() == ten(1.8856176656)
    assert rlhf_objective(REF, REF, REWARDS, BETA).item() == ten(1.475)
    assert rlhf_objective(BEST, REF, REWARDS, BETA).item() == ten(2.4178088328)
    always_b = tensor(0.0, 1, 0, 0, 0)
    assert rlhf_objective(always_b, REF, REWARDS, BETA).item() == ten(2.3068528194)


def test_who_gains_mass():
    threshold = BETA * log_partition(REF, REWARDS, BETA)
    assert torch.equal(BEST > REF, threshold < REWARDS)
    assert (BEST > REF).tolist() == [False, True, False, True, False]


FRONTIER = {
    0.05: (2.9999863804, 1.3859947294, 2.9306866439),
    0.1: (2.9979867500, 1.3621272408, 2.8617740260),
    0.2: (2.9764207108, 1.2202665675, 2.7323673973),
    0.3: (2.9460025645, 1.0974052339, 2.6167809943),
    0.5: (2.8645742069, 0.8935307482, 2.4178088328),
    1: (2.5553739926, 0.4691256457, 2.0862483469),
    2: (2.1243993312, 0.1566563795, 1.8110865721),
    5: (1.7501423104, 0.0273823360, 1.6132306303),
    10: (1.6135608137, 0.0069223403, 1.5443374109),
    100: (1.4888713408, 0.0000693607, 1.4819352739),
}


def test_the_frontier():
    points = frontier(REF, REWARDS, list(FRONTIER))
    rows = zip(points.expected_reward, points.kl, FRONTIER.items(), strict=True)
    for reward, kl, (beta, known) in rows:
        value = beta * log_partition(REF, REWARDS, beta)
        assert [reward.item(), kl.item(), value.item()] == ten(known)


BEST_OF = {
    1: (1.475, 0),
    2: (2.1237500000, 0.1808266385),
    4: (2.6432468750, 0.5923593043),
    8: (2.9247164875, 1.0547739215),
    16: (2.9945655335, 1.3338279035),
    32: (2.9999496544, 1.3853197768),
    64: (2.9999999950, 1.3862941704),
}


@pytest.mark.parametrize("n", BEST_OF)
def test_best_of_n(n):
    policy = best_of_n(REF, REWARDS, n)
    known_reward, known_kl = BEST_OF[n]
    assert expected_reward(policy, REWARDS).item() == ten(known_reward)
    kl = kl_divergence(policy, REF).item()
    assert kl == ten(known_kl)
    assert kl <= math.log(n) - (n - 1) / n + 1e-12


def beta_that_spends(kl, ref, rewards) -> float:
    """The beta whose optimal policy has this divergence, by bisection."""
    low, high = 1e-9, 1e3  # rewards as close as 1e-9 need not be told apart
    for _ in range(200):
        beta = math.sqrt(low * high)
        spent = kl_divergence(optimal_policy(ref, rewards, beta), ref)
        low, high = (beta, high) if spent > kl else (low, beta)
    return low


@pytest.mark.parametrize(
    ("n", "beta", "reward"),
    [
        (2, "1.844395", "2.1707952485"),
        (4, "0.823800", "2.6672894185"),
        (8, "0.340698", "2.9323527844"),
        (16, "0.123579", "2.9948065106"),
    ],
)
def test_the_tilt_that_spends_as_much_as_best_of_n(n, beta, reward):
    kl = kl_divergence(best_of_n(REF, REWARDS, n), REF)
    found = beta_that_spends(kl, REF, REWARDS)
    assert oracles.printed(found, beta)
    assert oracles.printed(beta_for_kl(REF, REWARDS, kl), beta)
    tilt = optimal_policy(REF, REWARDS, found)
    assert oracles.printed(expected_reward(tilt, REWARDS), reward)


def test_a_large_beta_changes_next_to_nothing():
    change = (optimal_policy(REF, REWARDS, 100.0) / REF - 1).abs().max()
    assert oracles.printed(change, "0.0196")


# ── identities on random worlds ───────────────────────────────────────────────────────


@PROPERTY
@given(worlds())
def test_tilt_then_normalise(world):
    ref, rewards, beta = world
    pairs = zip(ref.tolist(), rewards.tolist(), strict=True)
    weights = [p * math.exp(r / beta) for p, r in pairs]
    tilted = [weight / sum(weights) for weight in weights]
    log_z = pytest.approx(math.log(sum(weights)), rel=1e-12, abs=1e-12)
    assert optimal_policy(*world).tolist() == pytest.approx(tilted, rel=1e-9)
    assert log_partition(*world).item() == log_z


@PROPERTY
@given(worlds(), st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_the_objective_is_the_best_value_minus_a_divergence(world, logits):
    ref, rewards, beta = world
    policy = tensor(*logits[: len(ref)]).softmax(0)
    best = optimal_policy(*world)
    gap = beta * log_partition(*world) - beta * kl_divergence(policy, best)
    value = rlhf_objective(policy, ref, rewards, beta).item()
    assert value == pytest.approx(gap.item(), abs=1e-9)


@PROPERTY
@given(worlds())
def test_implicit_rewards_give_the_rewards_back_up_to_a_constant(world):
    ref, rewards, beta = world
    implied = implicit_rewards(optimal_policy(*world), ref, beta)
    constant = beta * log_partition(*world)
    assert torch.allclose(implied, rewards - constant, atol=1e-10)


@PROPERTY
@given(worlds(), st.floats(-10, 10), st.floats(0.1, 10))
def test_what_changes_nothing(world, shift, scale):
    ref, rewards, beta = world
    best = optimal_policy(*world)
    assert torch.allclose(optimal_policy(ref, rewards + shift, beta), best, atol=1e-11)
    rescaled = optimal_policy(ref, scale * rewards, scale * beta)
    assert torch.allclose(rescaled, best, atol=1e-11)


@PROPERTY
@given(worlds())
def test_the_slope_of_the_frontier_is_beta(world):
    ref, rewards, beta = world
    points = frontier(ref, rewards, [beta * 0.9999, beta * 1.0001])
    reward, kl = (float(x[0] - x[1]) for x in points)
    if kl > 1e-7:  # below, the difference is all rounding
        # a central difference: relative error about (1e-4)²
        assert reward / kl == pytest.approx(beta, rel=1e-4)


@pytest.mark.slow
@PROPERTY
@given(worlds(), st.integers(2, 20))
def test_best_of_n_never_beats_the_tilt_at_equal_divergence(world, n):
    ref, rewards, _ = world
    policy = best_of_n(ref, rewards, n)
    kl, reward = kl_divergence(policy, ref), expected_reward(policy, rewards)
    beta = beta_that_spends(kl, ref, rewards)
    best = expected_reward(optimal_policy(ref, rewards, beta), rewards)
    assert reward <= best + 1e-6  # the search ends at a beta, not at the exact one


@PROPERTY
@given(worlds(), st.integers(1, 4), st.booleans())
def test_best_of_n_by_listing_all_draws(world, n, ties):
    ref, rewards, _ = world
    ref, rewards = ref[:3] / ref[:3].sum(), rewards[:3]
    if ties:
        rewards = rewards.sign()
    slow = np.zeros(len(ref))
    for draws in itertools.product(range(len(ref)), repeat=n):
        chance = math.prod(ref[i].item() for i in draws)
        top = max(rewards[i].item() for i in draws)
        winners = [i for i in range(len(ref)) if rewards[i].item() == top]
        share = {i: draws.count(i) for i in winners}
        for i, count in share.items():  # the winner is any of the best draws
            slow[i] += chance * count / sum(share.values())
    found = best_of_n(ref, rewards, n).tolist()
    assert found == pytest.approx(slow.tolist(), abs=1e-12)


def test_divergence_is_not_symmetric_and_not_negative():
    p, q = torch.rand(2, 200, 5, generator=seeded(0), dtype=F64).softmax(-1)
    slow = [
        sum(a * math.log(a / b) for a, b in zip(x, y, strict=True))
        for x, y in zip(p.tolist(), q.tolist(), strict=True)
    ]
    assert kl_divergence(p, q).tolist() == pytest.approx(slow, abs=1e-14)
    assert (kl_divergence(p, q) >= 0).all()
    assert not torch.allclose(kl_divergence(p, q), kl_divergence(q, p))


# ── the population optimum of DPO is the closed form ──────────────────────────────────

TREE = [(0, 1), (1, 2), (2, 3), (3, 4)]
ALL_PAIRS = list(itertools.combinations(range(5), 2))
WITHOUT_E = list(itertools.combinations(range(4), 2))


def expected_loss(log_policy, pairs, by_reference=False):
    """The DPO loss over all labels of the pairs, uniform or as drawn from ref."""
    first, second = torch.tensor(pairs).T
    label = torch.sigmoid(REWARDS[first] - REWARDS[second])
    share = REF[first] * REF[second] if by_reference else torch.ones(len(pairs))
    four = [x[i] for x in (log_policy, REF.log()) for i in (first, second)]
    kept = label * dpo_loss(*four, BETA, reduction="none")
    turned = [four[i] for i in (1, 0, 3, 2)]
    lost = (1 - label) * dpo_loss(*turned, BETA, reduction="none")
    return ((kept + lost) * share).sum() / share.sum()


@pytest.mark.parametrize(
    ("pairs", "by_reference", "floor"),
    [
        (TREE, False, 0.297516966407),
        (ALL_PAIRS, False, 0.418041196496),
        (ALL_PAIRS, True, 0.438345579953),
    ],
)
def test_expected_dpo_loss_is_minimised_by_the_closed_form(pairs, by_reference, floor):
    def loss(free):
        log_policy = torch.cat([free, free.new_zeros(1)]).log_softmax(0)
        return expected_loss(log_policy, pairs, by_reference)

    free = REF[:4].log() - REF[4].log()
    assert loss(free).item() == pytest.approx(math.log(2), abs=1e-15)
    for _ in range(50):  # Newton, halved where a full step would overshoot
        gradient = torch.autograd.functional.jacobian(loss, free)
        hessian = torch.autograd.functional.hessian(loss, free)
        step = -torch.linalg.solve(hessian, gradient)
        while loss(free + step) > loss(free) + 1e-15:
            step = step / 2
        free = free + step
    policy = torch.cat([free, free.new_zeros(1)]).softmax(0)
    assert kl_divergence(policy, BEST).item() < 1e-12
    assert loss(free).item() == pytest.approx(floor, abs=5e-13)


def test_an_answer_without_pairs_is_left_to_chance():
    for share in (0.0256, 0.3457, BEST[4].item()):
        scaled = BEST * (1 - share) / (1 - BEST[4])
        scaled[4] = share
        loss = expected_loss(scaled.log(), WITHOUT_E)
        assert oracles.printed(loss, "0.4666581826")


# ── corners ───────────────────────────────────────────────────────────────────────────

SURE, HALF, PAIR = tensor(1.0, 0.0), tensor(0.5, 0.5), tensor(1.0, 0.0)


def test_certain_policies():
    assert kl_divergence(SURE, HALF).item() == pytest.approx(math.log(2))
    assert kl_divergence(SURE, SURE) == 0
    assert kl_divergence(HALF, SURE) == math.inf
    assert optimal_policy(SURE, PAIR, 0.01).tolist() == [1, 0]
    assert best_of_n(SURE, -PAIR, 5).tolist() == [1, 0]
    assert best_of_n(SURE, PAIR, 5).tolist() == [1, 0]
    assert implicit_rewards(SURE, SURE, 1.0).tolist() == [0, 0]
    implied = implicit_rewards(SURE, HALF, 2.0).tolist()
    assert implied == pytest.approx([2 * math.log(2), -math.inf])


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_extreme_tilts_stay_finite(dtype):
    rewards = torch.tensor([1e4, -1e4], dtype=dtype)
    best = optimal_policy(HALF.to(dtype), rewards, 1.0)
    assert best.tolist() == [1, 0]
    assert best.dtype == dtype
    log_z = log_partition(HALF.to(dtype), rewards, 1.0).item()
    assert log_z == pytest.approx(1e4, rel=1e-4)


def test_gradients_flow_through_every_policy_function():
    logits, rewards = tensor(0.3, -0.2, 0.5), tensor(1.0, 0.0, 2.0)
    ref = tensor(0.2, 0.3, 0.5)

    def of_policy(z):
        policy = z.softmax(-1)
        return (
            kl_divergence(policy, ref),
            rlhf_objective(policy, ref, rewards, 0.3),
            implicit_rewards(policy, ref, 0.3),
        )

    def of_rewards(r):
        return optimal_policy(ref, r, 0.3), log_partition(ref, r, 0.3)

    assert torch.autograd.gradcheck(of_policy, logits.requires_grad_())
    assert torch.autograd.gradcheck(of_rewards, rewards.requires_grad_())


def test_a_batch_of_prompts_is_worked_row_by_row():
    generator = torch.Generator().manual_seed(0)
    ref = torch.rand(2, 3, 5, generator=generator, dtype=F64).softmax(-1)
    rewards = torch.randn(2, 3, 5, generator=generator, dtype=F64)
    for function, extra in (
        (optimal_policy, 0.3),
        (log_partition, 0.3),
        (best_of_n, 4),
    ):
        whole = function(ref, rewards, extra)
        assert torch.allclose(whole[1, 2], function(ref[1, 2], rewards[1, 2], extra))
    points = frontier(ref, rewards, [0.1, 1.0])
    assert points.kl.shape == points.expected_reward.shape == (2, 3, 2)


def test_best_of_many_of_a_rare_answer_keeps_its_digits():
    rare = tensor(1 - 1e-18, 1e-18)
    chance = best_of_n(rare, tensor(0.0, 1.0), 10)[1].item()
    assert chance == pytest.approx(1e-17, rel=1e-12)


test_what_is_refused_is_named = refusals(
    (optimal_policy, (HALF, PAIR, 0.0), "beta must be"),
    (canonical_rewards, (HALF, PAIR, 0.0), "beta must be"),
    (canonical_rewards, (HALF * 0.9, PAIR, 1.0), "ref must sum to 1"),
    (canonical_rewards, (HALF, PAIR[:1], 1.0), "shapes must be equal"),
    (estimate_log_partition, (PAIR, 0.0), "beta must be"),
    (estimate_log_partition, (PAIR, 1e-320), "overflows"),
    (estimate_log_partition, (PAIR[:0], 1.0), "sampled_rewards is empty"),
    (estimate_log_partition, (PAIR[0], 1.0), "sampled_rewards must have shape"),
    (estimate_log_partition, (PAIR * math.nan, 1.0), "sampled_rewards must be finite"),
    (log_partition_error, (PAIR, -1.0), "beta must be"),
    (log_partition_error, (PAIR[:1], 1.0), "n at least 2"),
    (log_partition_error, (PAIR / 0, 1.0), "sampled_rewards must be finite"),
    (optimal_policy, (HALF, PAIR, -1.0), "beta must be"),
    (optimal_policy, (HALF, PAIR, math.nan), "beta must be"),
    (optimal_policy, (HALF, tensor(0, 0, 0), 1.0), "shapes must be equal"),
    (optimal_policy, (HALF * 0.9, PAIR, 1.0), "ref must sum to 1"),
    (kl_divergence, (torch.stack([HALF, HALF * 2]),) * 2, "a row sums to 2"),
    (optimal_policy, (tensor(1.5, -0.5), PAIR, 1.0), "ref holds a neg"),
    (optimal_policy, (HALF, PAIR / 0, 1.0), "rewards must be finite"),
    (log_partition, (HALF[:0], PAIR[:0], 1.0), "ref is empty"),
    (log_partition, (SURE[0], PAIR[0], 1.0), "got a scalar"),
    (kl_divergence, (HALF, HALF * 2), "q must sum to 1"),
    (kl_divergence, (HALF, torch.ones(1, 2, dtype=F64) / 2), "shapes must be equal"),
    (implicit_rewards, (HALF, SURE, 1.0), "policy must be 0 wherever ref is 0"),
    (rlhf_objective, (HALF, HALF, PAIR, 0), "beta must be"),
    (rlhf_objective, (HALF, HALF, PAIR[:1], 1.0), "shapes must be equal"),
    (expected_reward, (HALF, PAIR[:1]), "shapes must be equal"),
    (implicit_rewards, (HALF, HALF, 0), "beta must be"),
    (implicit_rewards, (HALF * 2, HALF, 1.0), "policy must sum to 1"),
    (implicit_rewards, (HALF, HALF / 2, 1.0), "ref must sum to 1"),
    (best_of_n, (HALF / 2, PAIR, 2), "ref must sum to 1"),
    (best_of_n, (HALF, PAIR * math.nan, 2), "rewards must be finite"),
    (best_of_n, (HALF, PAIR, 0), "n must be at least 1"),
    (frontier, (HALF, PAIR, []), "betas is empty"),
    (frontier, (HALF, PAIR, [1.0, -1.0]), "beta must be"),
    (expected_reward, (HALF * 3, PAIR), "policy must sum to 1"),
)


@pytest.mark.parametrize("bad", ["0.1", True, None])
def test_a_beta_of_another_type_is_refused(bad):
    with pytest.raises(TypeError, match="beta must be a number"):
        optimal_policy(HALF, PAIR, bad)
    with pytest.raises(TypeError, match="n must be an integer"):
        best_of_n(HALF, PAIR, bad)


def test_slopes_of_the_best_value_are_the_optimal_policy():
    """d (β log Z) / d rewards = π*, the envelope theorem."""
    rewards = REWARDS.clone().requires_grad_()
    (BETA * log_partition(REF, rewards, BETA)).backward()
    assert torch.allclose(rewards.grad, BEST, rtol=0, atol=1e-15)


def test_signatures_are_the_contract_and_sources_are_named():
    assert oracles.contract(policies) == {
        "best_of_n": "ref, rewards, n",
        "canonical_rewards": "ref, rewards, beta",
        "estimate_log_partition": "sampled_rewards, beta",
        "expected_reward": "policy, rewards",
        "frontier": "ref, rewards, betas",
        "implicit_rewards": "policy, ref, beta",
        "kl_divergence": "p, q",
        "log_partition": "ref, rewards, beta",
        "log_partition_error": "sampled_rewards, beta",
        "optimal_policy": "ref, rewards, beta",
        "rlhf_objective": "policy, ref, rewards, beta",
    }
    assert oracles.undocumented(policies) == []


# ── what a sample tells of log Z ──────────────────────────────────────────────────────


@PROPERTY
@given(st.lists(st.floats(-20, 20), min_size=2, max_size=9), st.floats(0.05, 5))
def test_the_estimate_and_its_error_are_those_of_the_formulas(rewards, beta):
    mp = oracles.mp
    weights = [mp.exp(mp.mpf(r) / mp.mpf(beta)) for r in rewards]
    n = len(weights)
    mean = sum(weights) / n
    variance = sum((w - mean) ** 2 for w in weights) / (n - 1)
    draws = tensor(*rewards)
    assert oracles.isclose(estimate_log_partition(draws, beta), mp.log(mean), 1e-11)
    error = mp.sqrt(variance / n) / mean
    assert oracles.isclose(log_partition_error(draws, beta), error, 1e-6)


def test_an_estimate_row_by_row_in_either_dtype():
    draws = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))
    for function in (estimate_log_partition, log_partition_error):
        whole = function(draws, 0.3)
        assert whole.shape == (2, 3)
        assert whole.dtype == torch.float32
        assert torch.allclose(whole[1, 2], function(draws[1, 2], 0.3))
        assert torch.allclose(whole.double(), function(draws.double(), 0.3), rtol=1e-4)


def test_estimates_of_extreme_rewards_are_finite_and_shift_with_them():
    draws = tensor(0.0, 1.0, 5.0)
    for shift in (-1e5, 1e5):
        moved = estimate_log_partition(draws + shift, 1.0) - shift
        assert moved.item() == pytest.approx(estimate_log_partition(draws, 1.0).item())
        error = log_partition_error(draws + shift, 1.0).item()
        assert error == pytest.approx(log_partition_error(draws, 1.0).item(), rel=1e-9)


def test_the_mean_over_all_samples_is_z_and_that_of_the_logarithms_is_less():
    ref, rewards = REF[:3] / REF[:3].sum(), REWARDS[:3]
    mean, mean_log = 0.0, 0.0
    for draws in itertools.product(range(3), repeat=3):  # every sample of size 3
        chance = math.prod(ref[i].item() for i in draws)
        log_z = estimate_log_partition(rewards[list(draws)], BETA).item()
        mean += chance * math.exp(log_z)
        mean_log += chance * log_z
    log_z = log_partition(ref, rewards, BETA).item()
    assert math.log(mean) == pytest.approx(log_z, abs=1e-12)
    assert mean_log < log_z - 0.01


def test_the_error_is_right_where_no_answer_is_rare():
    drawn = torch.multinomial(REF, 2000 * 400, replacement=True, generator=seeded(0))
    draws = REWARDS[drawn].view(2000, 400)
    miss = estimate_log_partition(draws, 5.0) - log_partition(REF, REWARDS, 5.0)
    error = log_partition_error(draws, 5.0)
    # 2000 runs: the spread is known to 1.6 %, a share of 95.4 % to 0.5 %
    assert float(miss.std() / error.mean()) == pytest.approx(1, abs=0.05)
    within = float((miss.abs() <= 2 * error).double().mean())
    assert within == pytest.approx(0.954, abs=0.015)


# ── one reward for each policy ────────────────────────────────────────────────────────


@PROPERTY
@given(worlds(), st.floats(-50, 50))
def test_the_canonical_reward_is_one_for_a_whole_class_and_has_z_one(world, shift):
    ref, rewards, beta = world
    chosen = canonical_rewards(*world)
    total = sum(
        p * math.exp(r / beta)
        for p, r in zip(ref.tolist(), chosen.tolist(), strict=True)
    )
    assert total == pytest.approx(1, abs=1e-9)
    moved = canonical_rewards(ref, rewards + shift, beta)
    assert torch.allclose(moved, chosen, atol=1e-9)
    assert torch.allclose(chosen - chosen[0], rewards - rewards[0], atol=1e-10)
    back = implicit_rewards(optimal_policy(*world), ref, beta)
    assert torch.allclose(chosen, back, atol=1e-9)


def test_canonical_rewards_of_a_batch_in_the_dtype_of_its_input():
    ref, rewards = torch.stack([REF, REF.flip(0)]), torch.stack([REWARDS, REWARDS])
    both = canonical_rewards(ref, rewards, BETA)
    assert both[0].tolist() == ten((REWARDS - 2.4178088328).tolist())
    assert torch.allclose(both[1], canonical_rewards(ref[1], rewards[1], BETA))
    assert canonical_rewards(REF.float(), REWARDS.float(), BETA).dtype == torch.float32
