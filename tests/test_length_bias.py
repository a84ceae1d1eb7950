"""A loss that is told the taste for length: its formula, its optimum and five runs."""

import math
import statistics

import pytest
import torch
from oracles import tensor

from course_lib.datasets import shipped_failures
from course_lib.limits.length_bias import (
    length_regularized_dpo_loss,
    length_regularized_run,
)
from course_lib.losses import dpo_loss
from course_lib.policies import optimal_policy
from course_lib.variants import loss_optimum
from course_lib.worlds import random_world


def drawn(seed: int, pairs: int = 6) -> tuple:
    random = torch.Generator().manual_seed(seed)
    four = -torch.randn(4, pairs, generator=random, dtype=torch.float64).exp()
    lengths = torch.randint(1, 9, (2, pairs), generator=random)
    return (*four, *lengths)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_by_its_formula(seed):
    given = drawn(seed)
    found = length_regularized_dpo_loss(*given, beta=0.3, alpha=0.4, reduction="none")
    for value, row in zip(found.tolist(), zip(*given, strict=True), strict=True):
        pw, pl, rw, rl, nw, nl = (float(x) for x in row)
        margin = 0.3 * ((pw - rw) - (pl - rl)) + 0.4 * (nw - nl)
        assert value == pytest.approx(math.log1p(math.exp(-margin)), abs=1e-12)
    plain = length_regularized_dpo_loss(*given, beta=0.3, alpha=0.0)
    assert torch.equal(plain, dpo_loss(*given[:4], beta=0.3))


@pytest.mark.parametrize("seed", range(3))
def test_its_optimum_on_biased_labels_is_that_of_the_true_reward(seed):
    """By a search over free logits: labels by r + α|y|, optimum by r."""
    _, ref, rewards = random_world(seed, responses=5)
    lengths = tensor(1.0, 4.0, 2.0, 5.0, 3.0)
    w, l = (~torch.eye(5, dtype=torch.bool)).nonzero().T  # noqa: E741

    def losses(pairs):  # all ordered pairs, in this order
        return length_regularized_dpo_loss(
            *pairs.four, lengths[w], lengths[l], 0.6, alpha=0.2, reduction="none"
        )

    found = loss_optimum(losses, ref, rewards + 0.2 * lengths)
    assert (found - optimal_policy(ref, rewards, 0.6)).abs().max() < 1e-6


@pytest.mark.slow
def test_without_alpha_a_run_is_chapter_08_s():
    end = shipped_failures("length_bias")[0].looks[-1]
    found = length_regularized_run(0.0, 0)
    for name, logged in (("words", "length"), ("reward", "reward"), ("kl", "kl")):
        assert found[name] == pytest.approx(end[logged], abs=2e-3)


@pytest.mark.slow
@pytest.mark.thorough  # chapter 10 trains them in every run
def test_in_five_seeds_alpha_brings_the_length_back():
    words = [length_regularized_run(0.5, seed)["words"] for seed in range(5)]
    biased = [run.looks[-1]["length"] for run in shipped_failures("length_bias")]
    sound = [run.looks[-1]["length"] for run in shipped_failures("healthy")]
    assert max(words) < min(biased)
    assert max(words) > min(sound)  # the ranges overlap
    assert statistics.mean(words) == pytest.approx(1.94, abs=0.02)


def test_what_cannot_be_is_refused():
    given = drawn(0)
    with pytest.raises(ValueError, match="alpha"):
        length_regularized_dpo_loss(*given, beta=0.1, alpha=-1.0)
    with pytest.raises(ValueError, match="beta"):
        length_regularized_dpo_loss(*given, beta=0.0, alpha=0.1)
    with pytest.raises(ValueError, match="rejected_lengths"):
        length_regularized_dpo_loss(*given[:5], given[5][:2], beta=0.1, alpha=0.1)
