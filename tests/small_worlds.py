"""Random crowds, classes of rewards and seeds, for the tests of chapter 10."""

import pytest
import torch
from oracles import tensor
from torch import Tensor

seeds = pytest.mark.parametrize("seed", range(5))
CIRCLE = tensor([0.5, 0.2, 0.8], [0.8, 0.5, 0.2], [0.2, 0.8, 0.5])


def crowd(seed: int, answers: int = 5, groups: int = 3) -> tuple[Tensor, ...]:
    """A random table of preferences that no reward describes, and a policy."""
    random = torch.Generator().manual_seed(seed)
    rewards = 2 * torch.randn(groups, answers, generator=random, dtype=torch.float64)
    shares = torch.rand(groups, generator=random, dtype=torch.float64).softmax(-1)
    policy = torch.randn(answers, generator=random, dtype=torch.float64).softmax(-1)
    return rewards, shares, policy


def features(seed: int, answers: int, count: int) -> Tensor:
    """Random features of each answer, (answers, count)."""
    random = torch.Generator().manual_seed(100 + seed)
    return torch.randn(answers, count, generator=random, dtype=torch.float64)
