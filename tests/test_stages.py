"""One stage and two in classes: equal where they match, and what each minimises."""

import pytest
import torch
from oracles import refusals
from small_worlds import features, seeds

from course_lib.limits.comparisons import drawn_wins
from course_lib.limits.stages import best_in_class, fit_rewards, one_stage
from course_lib.policies import optimal_policy, rlhf_objective
from course_lib.tabular import expected_dpo_loss
from course_lib.worlds import random_world, sample_preferences


@pytest.mark.slow
@seeds
@pytest.mark.parametrize("count", [1, 2, 4])
def test_matching_classes_make_one_stage_two_stages_on_any_data(seed, count):
    world, phi = random_world(seed), features(seed, 5, count)
    _, w, l = sample_preferences(  # noqa: E741
        world._replace(ref=world.ref[None], rewards=world.rewards[None]), 300, seed=seed
    )
    wins = torch.zeros(5, 5).double().index_put_((w, l), torch.ones(()).double(), True)
    for prior in (0.0, 0.3):
        one = one_stage(world.ref, phi, wins, 0.4, prior=prior)
        rewards = fit_rewards(phi, wins, prior=prior)
        assert (one - optimal_policy(world.ref, rewards, 0.4)).abs().max() < 1e-10
        assert (one - best_in_class(world.ref, phi, rewards, 0.4)).abs().max() < 1e-10


@seeds
def test_the_best_of_a_class_by_looking_at_all_of_it(seed):
    world, phi = random_world(seed, responses=3), features(seed, 3, 1)
    tilts = torch.linspace(-60, 60, 60001, dtype=torch.float64)[:, None]
    every = (world.ref.log() + tilts * phi[:, 0]).softmax(-1)
    rows = world.ref.expand_as(every), world.rewards.expand_as(every)
    top = rlhf_objective(every, *rows, 0.5).max()
    found = best_in_class(world.ref, phi, world.rewards, 0.5)
    best = rlhf_objective(found, world.ref, world.rewards, 0.5)
    assert 0 <= best - top + 1e-12 < 1e-5


@seeds
def test_what_one_stage_minimises_is_a_mean_over_pairs(seed):
    world, phi = random_world(seed, responses=4), features(seed, 4, 1)
    chances = torch.sigmoid(world.rewards[:, None] - world.rewards)
    wins = drawn_wins(chances, world.ref)
    one = one_stage(world.ref, phi, wins, 0.5)
    told = {"sampler": world.ref}
    least = expected_dpo_loss(one.log(), world.ref, world.rewards, 0.5, **told)
    for theta in (-1.0, -0.01, 0.01, 1.0):
        other = (one.log() + theta * phi[:, 0]).log_softmax(-1)
        loss = expected_dpo_loss(other, world.ref, world.rewards, 0.5, **told)
        assert loss > least


WON, FIRST, THREE = torch.tensor([[0.0, 1], [0, 0]]), torch.eye(2)[:, :1], torch.ones(3)
test_bad_input_is_told_by_its_name = refusals(
    (fit_rewards, (torch.ones(2), torch.ones(2, 2)), "features must be"),
    (fit_rewards, (FIRST, WON), "no finite weights"),
    (best_in_class, (THREE / 3, torch.ones(2, 1), THREE, 1.0), "ref must be"),
)
