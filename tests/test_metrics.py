"""Metrics against sums by hand, intervals against their meaning, estimators exactly."""

import math

import pytest
import torch
from oracles import F64, seeded, tensor

from course_lib.metrics import (
    beta_from_moves,
    exact_metrics,
    implicit_accuracy,
    kl_estimates,
    label_chances,
    least_loss,
    prompts_needed,
    reference_kl_terms,
    shortfall,
    wilson_interval,
    win_rate,
)
from course_lib.policies import (
    expected_reward,
    kl_divergence,
    optimal_policy,
    rlhf_objective,
)
from course_lib.preferences import accuracy_ceiling
from course_lib.worlds import Preferences, random_world, sample_preferences


@pytest.mark.parametrize("seed", range(3))
def test_metrics_by_sums_and_the_identity_of_the_regret(seed):
    world, other = random_world(seed, 5, 3), random_world(seed + 9, 5, 3)
    beta = 0.4
    got = exact_metrics(world, other.ref, beta)
    totals = dict.fromkeys(got, 0.0)
    for row in range(3):
        ref, r = world.ref[row].tolist(), world.rewards[row].tolist()
        pi = other.ref[row].tolist()
        z = sum(p * math.exp(x / beta) for p, x in zip(ref, r, strict=True))
        best = [p * math.exp(x / beta) / z for p, x in zip(ref, r, strict=True)]
        reward = sum(p * x for p, x in zip(pi, r, strict=True))
        kl = sum(p * math.log(p / q) for p, q in zip(pi, ref, strict=True))
        gain = beta * math.log(z) - (reward - beta * kl)
        totals["reward"] += reward / 3
        totals["kl"] += kl / 3
        totals["distance"] += sum(
            p * math.log(p / q) / 3 for p, q in zip(pi, best, strict=True)
        )
        totals["regret"] += gain / 3
        totals["entropy"] -= sum(p * math.log(p) for p in pi) / 3
    assert got == pytest.approx(totals, rel=1e-10)


def test_the_optimum_has_no_regret():
    world = random_world(0, 6, 2)
    best = optimal_policy(world.ref, world.rewards, 0.3)
    found = exact_metrics(world, best, 0.3)
    assert found["distance"] == pytest.approx(0, abs=1e-12)
    value = rlhf_objective(best, world.ref, world.rewards, 0.3).mean().item()
    assert found["reward"] - 0.3 * found["kl"] == pytest.approx(value)


def test_nothing_is_more_accurate_than_the_truth():
    world = random_world(1, 30, 4)
    asked = sample_preferences(world, 40_000, seed=0)
    ceiling = accuracy_ceiling(label_chances(world, asked)).item()
    truth = optimal_policy(world.ref, world.rewards, 1.0)
    error = 0.5 / math.sqrt(40_000)
    assert implicit_accuracy(world, truth, asked) == pytest.approx(
        ceiling, abs=4 * error
    )
    other = random_world(2, 30, 4).ref
    assert implicit_accuracy(world, other, asked) < ceiling - 0.05
    assert implicit_accuracy(world, world.ref, asked) == 0.5
    flipped = Preferences(asked.prompts, asked.rejected, asked.chosen)
    both = label_chances(world, asked) + label_chances(world, flipped)
    assert torch.allclose(both, torch.ones(40_000, dtype=F64))


def test_nothing_on_the_frontier_falls_short_and_everything_else_does():
    world = random_world(3, 20, 4)
    for beta in (0.1, 0.7, 5.0):
        best = optimal_policy(world.ref, world.rewards, beta)
        assert shortfall(world, best) == pytest.approx(0, abs=1e-9)
        # half of the way to another policy: same KL, found by trial, less reward
        other = (best + random_world(8, 20, 4).ref) / 2
        spent = kl_divergence(other, world.ref).mean().item()
        betas = torch.logspace(-1.5, 1.5, 3001).double()[:, None, None]
        tilted = (world.ref.log() + world.rewards / betas).softmax(-1)
        allowed = kl_divergence(tilted, world.ref.expand_as(tilted)).mean(-1) <= spent
        rewards = (tilted * world.rewards).sum(-1).mean(-1)
        by_trial = rewards[allowed].max().item()
        lost = by_trial - expected_reward(other, world.rewards).mean().item()
        assert shortfall(world, other) == pytest.approx(lost, abs=2e-3)
        assert lost > 0.01


def test_win_rates_count_ties_as_half():
    ours, theirs = torch.tensor([1.0, 2, 3, 3]), torch.tensor([0.0, 2, 3, 4])
    assert win_rate(ours, theirs).estimate == 0.5
    same = win_rate(torch.ones(5), torch.ones(5))
    assert same.estimate == 0.5
    with pytest.raises(ValueError, match="shapes"):
        win_rate(ours, theirs[:2])


@pytest.mark.parametrize(
    ("wins", "n", "low", "high"),
    # the roots of (p̂ − p)² = z² p(1 − p)/n
    [(8, 10, 0.4901625, 0.9433178), (0, 20, 0.0, 0.1611252), (50, 100, None, None)],
)
def test_intervals_are_wilsons(wins, n, low, high):
    ours = torch.cat((torch.ones(wins), torch.zeros(n - wins)))
    got = win_rate(ours, torch.full((n,), 0.5))
    assert got.estimate == pytest.approx(wins / n)
    for end in got[1:]:
        z2 = 1.959964**2
        assert (wins / n - end) ** 2 == pytest.approx(
            z2 * end * (1 - end) / n, abs=1e-12
        )
    if low is not None:
        assert got[1:] == pytest.approx((low, high), abs=2e-6)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    draws = (torch.rand(2_000, 60, generator=seeded(0)) < 0.3).double()
    half = torch.full((60,), 0.5, dtype=F64)
    hits = sum(win_rate(x, half).low <= 0.3 <= win_rate(x, half).high for x in draws)
    assert 0.93 < hits / 2_000 < 0.97


def test_means_of_the_estimators_over_every_response():
    world, other = random_world(0, 40), random_world(5, 40)
    p, q = other.ref, world.ref
    terms = kl_estimates(p.log(), q.log())
    kl = sum(a * math.log(a / b) for a, b in zip(p.tolist(), q.tolist(), strict=True))
    means = {name: (p * values).sum().item() for name, values in terms.items()}
    assert means["k1"] == pytest.approx(kl, rel=1e-12)
    assert means["k3"] == pytest.approx(kl, rel=1e-10)
    assert abs(means["k2"] - kl) > 0.05 * kl
    assert (terms["k3"] >= 0).all()
    assert (terms["k2"] >= 0).all()
    assert (terms["k1"] < 0).any()


# ── what a log and a sample allow ─────────────────────────────────────────────────────


def test_no_pairs_cost_less_than_the_least_loss():
    """Pairs drawn in every way: few or many right, margins wide, tight or all alike."""
    generator = seeded(0)
    for trial in range(500):
        right = trial % 21
        size = 10 ** (4 * torch.rand(20, generator=generator).double() - 3)
        signs = torch.tensor([1.0] * right + [-1.0] * (20 - right)).double()
        margins = signs * (size if trial % 2 else size[:1])
        loss = torch.nn.functional.softplus(-margins).mean().item()
        floor = least_loss(margins.mean()[None], tensor(right / 20)).item()
        assert loss >= floor - 1e-12


@pytest.mark.parametrize("margin", [2.0, 0.3, -1.0, -2.0])
@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.75])
def test_two_groups_of_pairs_come_as_near_to_the_least_loss_as_one_likes(
    margin, accuracy
):
    least = least_loss(tensor(margin), tensor(accuracy)).item()
    others = torch.logspace(-6, 2, 40_000, dtype=F64)  # how far below 0
    carried = (margin + (1 - accuracy) * others) / accuracy
    cost = torch.nn.functional.softplus
    losses = accuracy * cost(-carried) + (1 - accuracy) * cost(others)
    assert losses[carried > 0].min().item() == pytest.approx(least, abs=2e-3)


def test_the_least_loss_is_above_both_bounds_and_on_them_at_their_ends():
    margin = torch.linspace(-3, 3, 13).double()
    accuracy = torch.linspace(0.05, 0.95, 13).double()
    least = least_loss(margin, accuracy)
    assert (least >= torch.nn.functional.softplus(-margin) - 1e-12).all()
    assert (least >= (1 - accuracy) * math.log(2)).all()
    ends = least_loss(tensor(0.7, 1e4, 0.0), tensor(1.0, 0.4, 0.0))
    expected = [math.log1p(math.exp(-0.7)), 0.6 * math.log(2), math.log(2)]
    assert ends.tolist() == pytest.approx(expected)
    for wrong in ([1.0, 0.0], [-1.0, 1.0], [1.0, 1.2]):
        with pytest.raises(ValueError, match="accuracy"):
            least_loss(*map(tensor, wrong))


def test_beta_is_the_slope_that_another_solver_finds():
    generator = torch.Generator().manual_seed(1)
    logps = torch.randn(2, 6, generator=generator).double() - 9
    noise = 0.1 * torch.randn(2, 6, generator=generator).double()
    rewards = 0.3 * (logps + 7) + noise
    moved, gained = ((x - x[:, :1]).flatten() for x in (logps, rewards))
    slope = torch.linalg.lstsq(moved[:, None], gained[:, None]).solution.item()
    assert beta_from_moves(rewards, logps).item() == pytest.approx(slope)
    still = torch.full((2, 6), -9.3)
    assert math.isnan(beta_from_moves(still, still))
    with pytest.raises(ValueError, match="shapes"):
        beta_from_moves(rewards, logps[:, 1:])


@pytest.mark.parametrize("seed", range(3))
def test_the_reference_s_own_answers_give_the_kl_without_bias(seed):
    world, other = random_world(seed, 7, 1), random_world(seed + 5, 7, 1)
    terms = reference_kl_terms(other.ref[0].log(), world.ref[0].log())
    assert (terms >= 0).all()
    mean = sum(
        p * t for p, t in zip(world.ref[0].tolist(), terms.tolist(), strict=True)
    )
    assert mean == pytest.approx(kl_divergence(other.ref, world.ref).item())
    far = reference_kl_terms(tensor(-5000.0, -2.0), tensor(-2.0, -2.0))
    assert far.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("won", "count"), [(61, 100), (0, 7), (9, 9), (1, 40)])
def test_the_ends_of_wilson_s_interval_are_z_of_their_own_errors_away(won, count):
    low, high = wilson_interval(tensor(won / count), tensor(count), z=1.96)[0].tolist()
    for rate in (low, high):
        error = math.sqrt(max(rate * (1 - rate), 0) / count)
        assert abs(won / count - rate) == pytest.approx(1.96 * error, abs=1e-9)
    assert -1e-12 < low <= won / count <= high < 1 + 1e-12
    assert high - low > 0.05
    with pytest.raises(ValueError, match="share must be in"):
        wilson_interval(tensor(1.2), tensor(10))


def test_with_the_prompts_needed_four_trials_of_five_find_the_difference():
    ours, theirs, both = 0.61, 0.51, 0.4
    n = math.ceil(prompts_needed(tensor(ours), tensor(theirs), tensor(both)).item())
    shares = tensor(both, ours - both, theirs - both, 1 - ours - theirs + both)
    drawn = torch.multinomial(
        shares.expand(4000, 4), n, replacement=True, generator=seeded(0)
    )
    difference = (drawn == 1).double() - (drawn == 2).double()
    error = difference.std(1) / math.sqrt(n)
    found = (difference.mean(1).abs() > 1.96 * error).double().mean().item()
    assert found == pytest.approx(0.8, abs=0.02)  # three standard errors of 4,000
    one_sided = prompts_needed(tensor(0.61), tensor(0.57), tensor(0.61 * 0.57)).item()
    variance = 0.61 * 0.39 + 0.57 * 0.43
    assert one_sided == pytest.approx(7.84 * variance / 0.04**2)
    assert prompts_needed(tensor(0.5), tensor(0.5), tensor(0.25)).item() == math.inf
    for wrong in ([0.6, 0.5, 0.55], [0.9, 0.8, 0.5]):
        with pytest.raises(ValueError, match="both must be at least"):
            prompts_needed(*map(tensor, wrong))
