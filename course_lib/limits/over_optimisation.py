"""Over-optimisation, exactly: what a mistaken judge promises, and what it brings.

The judge's score is the true reward plus an error of its own for every answer. A policy
is optimised by the score, and its true reward is what it is worth.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import validate
from course_lib.policies import (
    best_of_n,
    expected_reward,
    kl_divergence,
    optimal_policy,
)
from course_lib.worlds import World

__all__ = ["Optimised", "best_by_judges", "mistaken_judges", "tilted_by_judges"]

FREEDOM = 2  # of the heavy tails: the variance of such an error is infinite


class Optimised(NamedTuple):
    """Means over prompts, a row for each judge, a column for each pressure."""

    kl: Tensor  # KL(π‖π_ref), nats, (judges, points)
    score: Tensor  # E_π[score]: what the judge promises
    reward: Tensor  # E_π[r]: what is true


def mistaken_judges(
    world: World, size: float, *, heavy: bool = False, seeds: Sequence[int] = range(5)
) -> Tensor:
    """Scores of judges who are wrong about every answer, each in a way of its own.

    score = r + size · z,  z standard normal, or Student's t with 2 degrees of freedom

    world: of shape (prompts, responses); size: in units of reward, ≥ 0
    heavy: whether large errors are frequent; seeds: one judge for each
    returns: (judges, prompts, responses), float64
    raises: ValueError for a size below 0, or no seed
    source: Gao et al. (2023) for gold and proxy; Kwa et al. (2024) for the tails

    >>> half = World(("a", "b"), torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]))
    >>> mistaken_judges(half, 0.0, seeds=[0]).tolist()
    [[[1.0, 0.0]]]
    """
    validate.fraction("size", size)
    if not len(seeds):
        raise ValueError("seeds is empty")
    rewards, errors = world.rewards.double(), []
    for seed in seeds:
        random = torch.Generator().manual_seed(seed)
        shape = (1 + FREEDOM, *rewards.shape)
        z, *more = torch.randn(shape, generator=random, dtype=torch.float64)
        scale = (sum(part**2 for part in more) / FREEDOM).sqrt()
        errors.append(z / scale if heavy else z)
    return rewards + size * torch.stack(errors)


def tilted_by_judges(world: World, scores: Tensor, betas: Sequence[float]) -> Optimised:
    """The optimal policies for each judge's score, at each β.

    world: of shape (prompts, responses); scores: (judges, prompts, responses)
    betas: KL strengths in reward per nat, > 0
    returns: an Optimised of shape (judges, betas)
    raises: ValueError if betas is empty, or as `optimal_policy`
    source: Rafailov et al. (2023), Eq. 4, with another reward than the true one

    >>> half = World(("a", "b"), torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]))
    >>> tilted_by_judges(half, -half.rewards[None], [1.0]).reward       # σ(−1)
    tensor([[0.2689]], dtype=torch.float64)
    """
    if not len(betas):
        raise ValueError("betas is empty")
    ref = world.ref.double().expand_as(scores)
    policies = [optimal_policy(ref, scores.double(), beta) for beta in betas]
    return _measured(world, scores.double(), policies)


def best_by_judges(world: World, scores: Tensor, counts: Sequence[int]) -> Optimised:
    """The best of n answers by each judge's score, for each n.

    counts: the n, integers ≥ 1; all else as for `tilted_by_judges`

    >>> half = World(("a", "b"), torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]))
    >>> best_by_judges(half, -half.rewards[None], [2]).reward
    tensor([[0.2500]], dtype=torch.float64)
    """
    if not len(counts):
        raise ValueError("counts is empty")
    ref = world.ref.double().expand_as(scores).contiguous()
    policies = [best_of_n(ref, scores.double(), count) for count in counts]
    return _measured(world, scores.double(), policies)


def _measured(world: World, scores: Tensor, policies: Sequence[Tensor]) -> Optimised:
    policy = torch.stack(policies, 1)  # (judges, points, prompts, responses)
    ref, rewards, asked = (
        part.double().expand_as(policy)
        for part in (world.ref, world.rewards, scores[:, None])
    )
    return Optimised(
        kl_divergence(policy, ref).mean(-1),
        expected_reward(policy, asked).mean(-1),
        expected_reward(policy, rewards).mean(-1),
    )
