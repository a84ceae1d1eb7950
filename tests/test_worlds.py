"""Worlds: proper policies, the same for the same seed, the numbers of the course."""

import pytest
import torch

from course_lib.policies import log_partition
from course_lib.worlds import (
    eight_words,
    five_responses,
    random_world,
    sample_rewards,
)


def test_five_responses_has_the_published_optimum():
    _, ref, rewards = five_responses()
    assert float(log_partition(ref, rewards, 0.5)) == pytest.approx(
        4.8356176656, abs=1e-10
    )
    assert float(ref.sum()) == pytest.approx(1)


@pytest.mark.parametrize(("worlds", "shape"), [(None, (7,)), (20, (20, 7))])
def test_random_worlds_are_proper_and_repeat(worlds, shape):
    names, ref, rewards = random_world(3, 7, worlds)
    assert ref.shape == rewards.shape == shape
    assert len(names) == 7
    assert torch.allclose(ref.sum(-1), torch.ones(shape[:-1]).double())
    assert torch.equal(ref, random_world(3, 7, worlds).ref)
    assert not torch.equal(ref, random_world(4, 7, worlds).ref)
    assert not torch.equal(ref.log(), rewards)


def test_one_answer_is_no_world():
    with pytest.raises(ValueError, match="responses must be at least 2"):
        random_world(0, responses=1)


def test_eight_words_are_a_language():
    words, ref, values = eight_words()
    assert len(set(words)) == len(ref) == len(values) == 8
    assert float(ref.sum()) == pytest.approx(1, abs=1e-15)


def test_sampled_rewards_have_the_mean_and_spread_of_a_sum():
    world = eight_words()
    rewards = sample_rewards(world, 10, 40, 500, seed=0)
    assert rewards.shape == (40, 500)
    assert torch.equal(rewards, sample_rewards(world, 10, 40, 500, seed=0))
    assert not torch.equal(rewards, sample_rewards(world, 10, 40, 500, seed=1))
    pairs = list(zip(world.ref.tolist(), world.rewards.tolist(), strict=True))
    mean = sum(p * v for p, v in pairs)
    variance = sum(p * (v - mean) ** 2 for p, v in pairs)
    # 20,000 sums of ten: the mean is known to 0.014, the variance to 1 %
    assert float(rewards.mean()) == pytest.approx(10 * mean, abs=0.045)
    assert float(rewards.var()) == pytest.approx(10 * variance, rel=0.04)


def test_an_answer_has_words():
    with pytest.raises(ValueError, match="length must be at least 1"):
        sample_rewards(eight_words(), 0, 5, seed=0)
