"""Worlds: proper policies, the same for the same seed, the numbers of the course."""

import pytest
import torch

from course_lib.policies import log_partition
from course_lib.worlds import five_responses, random_world


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
