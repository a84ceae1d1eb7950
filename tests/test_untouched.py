"""Coverage: closed forms, draws, slow roads, and what the page says of pairs."""

import math

import pytest
import torch
from oracles import refusals, seeded, tensor
from small_worlds import features, seeds

from course_lib.limits.coverage import (
    chi_optimal_policy,
    chi_po_loss,
    concentrability,
    distances_by_pairs,
    fit_scores,
    rewards_by_pairs,
    untouched_mass,
)
from course_lib.policies import (
    expected_reward,
    kl_divergence,
    log_partition,
    optimal_policy,
    rlhf_objective,
)
from course_lib.transformer import load
from course_lib.worlds import random_world, world_s


@seeds
def test_concentrability_by_two_partition_functions(seed):
    world = random_world(seed, responses=8)
    for beta in (0.2, 1.0):
        best = optimal_policy(world.ref, world.rewards, beta)
        half = log_partition(world.ref, world.rewards, beta / 2)
        whole = log_partition(world.ref, world.rewards, beta)
        due = (half - 2 * whole).exp()
        found = concentrability(best, world.ref)
        assert found.item() == pytest.approx(due.item(), rel=1e-11)
        assert found.log() >= kl_divergence(best, world.ref)  # Jensen's inequality
    certain = tensor(1.0, 0.0)
    assert concentrability(certain, certain) == 1
    assert concentrability(certain.flip(0), certain) == math.inf


def test_untouched_mass_by_drawing():
    world = random_world(3, responses=6)
    best = optimal_policy(world.ref, world.rewards, 0.5)
    random, trials, pairs = torch.Generator().manual_seed(0), 4000, 4
    draws = torch.multinomial(
        world.ref.expand(trials, -1), 2 * pairs, replacement=True, generator=random
    )
    seen = torch.zeros(trials, 6, dtype=torch.bool).scatter_(1, draws, True)
    missed = (~seen).double() @ best
    error = missed.std().item() / trials**0.5
    due = untouched_mass(best, world.ref, pairs).item()
    assert abs(missed.mean().item() - due) < 4 * error
    assert untouched_mass(best, torch.eye(6).double()[0], 0) == pytest.approx(1.0)


def test_a_rare_answer_keeps_its_digits_in_float32():
    ref = torch.tensor([1.0, 1e-9])
    policy = torch.tensor([0.0, 1.0])
    found = untouched_mass(policy, ref, 500_000_000).item()
    assert found == pytest.approx(math.exp(-1), rel=1e-5)


@seeds
def test_chi_policy_meets_its_condition_and_no_other_earns_more(seed):
    world, beta = random_world(seed), 0.3
    found = chi_optimal_policy(world.ref, world.rewards, beta)
    ratio = found / world.ref
    level = world.rewards - beta * (ratio + ratio.log())
    assert (level - level[0]).abs().max() < 1e-10

    def value(policy):
        square = (world.ref * (policy / world.ref - 1) ** 2).sum() / 2
        return rlhf_objective(policy, world.ref, world.rewards, beta) - beta * square

    random = torch.Generator().manual_seed(seed)
    for _ in range(20):
        noise = torch.randn(5, generator=random, dtype=torch.float64)
        assert value((found.log() + 0.1 * noise).softmax(-1)) < value(found)


def test_chi_policy_at_prices_far_apart_and_many_at_once():
    ref = tensor([0.5, 0.499, 0.001], [0.2, 0.2, 0.6])
    rewards = tensor([0.0, 1, 50], [3, -2, 1])
    for beta in (1e-3, 1.0, 1e3):
        both = chi_optimal_policy(ref, rewards, beta)
        assert (both.sum(-1) - 1).abs().max() < 1e-12
        assert torch.allclose(both[1], chi_optimal_policy(ref[1], rewards[1], beta))


def test_chi_po_is_least_where_its_policy_is():
    """On all pairs of a world with Bradley–Terry labels its slope is 0 there."""
    world, beta = random_world(1), 0.5
    w, l = (~torch.eye(5, dtype=torch.bool)).nonzero().T  # noqa: E741
    chance = torch.sigmoid(world.rewards[w] - world.rewards[l])
    known = world.ref.log()

    def loss(logits):
        logps = logits.log_softmax(-1)
        four = logps[w], logps[l], known[w], known[l]
        return (chance * chi_po_loss(*four, beta, reduction="none")).sum()

    best = chi_optimal_policy(world.ref, world.rewards, beta).log()
    slope = torch.autograd.functional.jacobian(loss, best)
    assert slope.abs().max() < 1e-10


@seeds
def test_fitted_scores_are_the_top_of_what_they_maximise(seed):
    wins = torch.randint(0, 4, (6, 6), generator=seeded(seed)).double()
    wins = wins - wins.diagonal().diag()
    wins[5], wins[:, 5] = 0, 0  # an answer in no pair
    for phi in (None, features(seed, 6, 2)):
        scores = fit_scores(wins, phi, 0.8)
        weights = scores if phi is None else torch.linalg.lstsq(phi, scores).solution

        def value(weights, phi=phi):
            r = weights if phi is None else phi @ weights
            fit = (wins * torch.nn.functional.logsigmoid(r[:, None] - r)).sum()
            return fit - (weights**2).sum() / (2 * 0.8**2)

        slope = torch.autograd.functional.jacobian(value, weights)
        assert slope.abs().max() < 1e-8
    assert fit_scores(wins)[5] == 0


def test_pairs_are_kept_and_own_pairs_begin_with_the_second_count():
    world = random_world(0, responses=6)
    told = {"seed": 2, "spread": 1.0}
    theirs = rewards_by_pairs(world.ref, world.rewards, [20, 60], **told)
    own = rewards_by_pairs(world.ref, world.rewards, [20, 60], beta=0.2, **told)
    assert torch.equal(theirs.rewards[0], own.rewards[0])
    assert not torch.equal(theirs.rewards[1], own.rewards[1])
    assert (theirs.touched[1] >= theirs.touched[0]).all()
    with pytest.raises(ValueError, match="counts must ascend"):
        rewards_by_pairs(world.ref, world.rewards, [5, 5], seed=0)


@pytest.mark.slow
def test_what_the_page_says_of_pairs_holds_in_every_seed():
    world = world_s().exact(load("S").double())
    ref, r = world.ref[0], world.rewards[0]
    words = torch.stack([(world_s().tokens == k).sum(1) for k in range(8)], 1).double()
    told = {"counts": [1000, 10_000], "betas": [0.2], "seeds": range(10, 15)}
    theirs, own = (
        distances_by_pairs(ref, r, own_pairs=own, features=words, **told)[0, :, 1]
        for own in (False, True)
    )
    assert own.max() < theirs.min()
    apart = theirs.mean() - own.mean()
    assert apart > 2 * max(theirs.std(), own.std())
    theirs, own = (
        distances_by_pairs(ref, r, own_pairs=own, **told)[0, :, 1]
        for own in (False, True)
    )
    assert theirs.min() < own.max()  # on a table they do not part
    assert own.min() < theirs.max() * 1.5


@pytest.mark.slow
def test_with_a_wide_prior_chi_po_s_worst_seed_beats_dpo_s_best():
    world = world_s().exact(load("S").double())
    ref, r = world.ref[0], world.rewards[0]

    def best(rule, spread):
        fits = [
            rewards_by_pairs(ref, r, [1000], seed=s, spread=spread).rewards[0]
            for s in range(10)
        ]
        earned = [
            torch.stack([expected_reward(rule(ref, fit, beta), r) for fit in fits])
            for beta in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
        ]
        return max(earned, key=lambda seeds: seeds.mean())

    assert best(chi_optimal_policy, 10.0).min() > best(optimal_policy, 10.0).max()
    fitting = [best(rule, 1.0).mean() for rule in (chi_optimal_policy, optimal_policy)]
    assert abs(fitting[0] - fitting[1]) < 0.15


test_bad_input_is_told_by_its_name = refusals(
    (fit_scores, (torch.ones(2, 3),), "wins must be"),
    (fit_scores, (torch.ones(3, 3), torch.ones(2, 1)), "features has 2"),
    (untouched_mass, (torch.ones(1), torch.ones(1), -1), "pairs"),
    (chi_po_loss, (*torch.zeros(3, 2), torch.zeros(1), 0.1), "shapes"),
    (chi_po_loss, (*900 * torch.eye(4, 1), 0.1), "finite"),
)
