"""A policy that is a row of logits, trained by DPO on every pair of a world.

Nothing is sampled: each step sees all pairs with the exact chance of either label, so
that a run shows what the loss, β and the optimiser do, without noise. Many worlds and
many β are trained side by side in one tensor.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import validate
from course_lib.policies import kl_divergence, optimal_policy
from course_lib.worlds import World

__all__ = ["AllPairs", "TabularRun", "expected_dpo_loss", "train_tabular"]

OPTIMISERS = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}


class TabularRun(NamedTuple):
    """What was recorded; a record for each entry of `steps`, a column for each β."""

    steps: tuple[int, ...]
    policy: Tensor  # probabilities, (records, …, betas, responses)
    loss: Tensor  # expected DPO loss, (records, …, betas), nats
    kl: Tensor  # KL(π‖π_ref), the same shape
    distance: Tensor  # KL(π‖π*_β)
    gap: Tensor  # expected gap h, chosen minus rejected, nats, without β
    accuracy: Tensor  # expected implicit-reward accuracy, a tie counting ½


def expected_dpo_loss(
    logits: Tensor,
    ref: Tensor,
    rewards: Tensor,
    beta: float | Tensor,
    *,
    sampler: Tensor | None = None,
) -> Tensor:
    """The DPO loss averaged over all pairs and, exactly, over their labels.

    mean over i < j of −P log σ(βh) − (1 − P) log σ(−βh),  P = σ(r_i − r_j) and
    h = log π(i)/π_ref(i) − log π(j)/π_ref(j);  with a sampler s weighted by s_i s_j

    logits: of the policy, shape (…, responses); ref, rewards: broadcast against it
    beta: > 0, a number or broadcast against (…)
    sampler: who draws the two answers of a pair, apart and again if they are equal, a
        policy broadcast against ref; None for all pairs alike
    returns: nats, shape (…)
    raises: ValueError if ref or sampler is not a policy, if ref is 0 for a response (a
        gap to it is infinite), or if beta ≤ 0
    source: Rafailov et al. (2023), Eq. 7, its expectation written out

    >>> half = torch.tensor([0.5, 0.5])
    >>> expected_dpo_loss(half.log(), half, torch.tensor([1.0, 0.0]), beta=0.1)   # ln 2
    tensor(0.6931)
    """
    _require_support(ref)
    validate.tensors(logits=logits)
    validate.tensors(rewards=rewards)
    beta = torch.as_tensor(beta, dtype=logits.dtype)
    if not ((beta > 0) & beta.isfinite()).all():
        raise ValueError("beta must be finite and above 0")
    if sampler is not None:
        validate.probabilities(sampler=sampler)
    pairs = AllPairs(ref, rewards, sampler)
    return pairs.loss(logits, beta)


def train_tabular(
    world: World,
    betas: Sequence[float],
    *,
    optimiser: str = "SGD",
    lr: float,
    steps: Sequence[int],
) -> TabularRun:
    """Full-batch DPO on a world, from the reference, for each β by itself.

    world: a World of shape (responses,) or (worlds, responses)
    betas: numbers > 0; optimiser: "SGD" (plain) or "Adam" (PyTorch's defaults)
    lr: the same for all, > 0; steps: which to record, ascending from ≥ 0; the last one
        is where training ends
    returns: a TabularRun; … in its shapes is what world has before its responses
    raises: ValueError for an empty or unsorted list, or a value outside its range
    source: `torch.optim` on `expected_dpo_loss`

    >>> from course_lib.worlds import five_responses
    >>> run = train_tabular(five_responses(), [0.5], lr=10.0, steps=[0, 500])
    >>> print(f"{run.loss[0].item():.4f}, then {run.loss[1].item():.4f}")
    0.6931, then 0.4180
    """
    validate.choice("optimiser", optimiser, tuple(OPTIMISERS))
    validate.number("lr", lr)
    _require_support(world.ref)
    validate.tensors(ref=world.ref, rewards=world.rewards)
    if not len(betas):
        raise ValueError("betas is empty")
    for beta in betas:
        validate.number("beta", beta)
    steps = tuple(int(step) for step in steps)
    if not steps or steps[0] < 0 or list(steps) != sorted(set(steps)):
        raise ValueError(f"steps must ascend from 0 or more, got {steps}")

    pairs = AllPairs(world.ref[..., None, :], world.rewards[..., None, :])
    beta = torch.as_tensor(betas, dtype=world.ref.dtype)  # (betas,)
    shape = (*world.ref.shape[:-1], len(betas), world.ref.shape[-1])
    logits = world.ref.log()[..., None, :].expand(shape).clone().requires_grad_()
    update = OPTIMISERS[optimiser]([logits], lr=lr)
    recorded, wanted = [], set(steps)
    for step in range(steps[-1] + 1):
        if step in wanted:
            recorded.append(logits.detach().clone())
        if step == steps[-1]:
            break
        update.zero_grad()
        pairs.loss(logits, beta).sum().backward()  # runs side by side, none mixed
        update.step()
    return _measured(world, betas, steps, torch.stack(recorded), pairs)


class AllPairs:
    """All pairs i < j of a world, with the chance that i wins, and their weights.

    What `expected_dpo_loss` works out anew each time: keep it for a loss in many steps

    ref, rewards, sampler: as there, and not looked at for errors

    >>> half = torch.tensor([0.5, 0.5])
    >>> pairs = AllPairs(half, torch.tensor([1.0, 0.0]))
    >>> pairs.loss(half.log(), torch.tensor(0.1))                              # ln 2
    tensor(0.6931)
    """

    def __init__(self, ref: Tensor, rewards: Tensor, sampler: Tensor | None = None):
        self.log_ref = ref.log()
        size = ref.shape[-1]
        self.first, self.second = torch.triu_indices(size, size, 1)
        self.wins = torch.sigmoid(self._differences(rewards))  # (…, pairs)
        self.weights = None  # all alike
        if sampler is not None:
            drawn = sampler[..., self.first] * sampler[..., self.second]
            self.weights = drawn / drawn.sum(-1, keepdim=True)

    def _differences(self, values: Tensor) -> Tensor:
        # gather: its gradient is a third faster than that of values[..., self.first]
        shape = (*values.shape[:-1], -1)
        first, second = self.first.expand(shape), self.second.expand(shape)
        return values.gather(-1, first) - values.gather(-1, second)

    def gaps(self, logits: Tensor) -> Tensor:
        """h of every pair: log Z of the softmax cancels, as it does in DPO."""
        return self._differences(logits - self.log_ref)

    def loss(self, logits: Tensor, beta: Tensor) -> Tensor:
        """The loss of the policy's logits, (…, responses); beta: (…), or a scalar."""
        margins = beta[..., None] * self.gaps(logits)
        wins = self.wins.expand_as(margins)
        losses = F.binary_cross_entropy_with_logits(margins, wins, reduction="none")
        if self.weights is None:
            return losses.mean(-1)
        return (losses * self.weights).sum(-1)


def _require_support(ref: Tensor):
    validate.probabilities(ref=ref)
    if (ref == 0).any():
        raise ValueError("ref must be above 0 for every response: drop those at 0")


def _measured(world, betas, steps, logits, pairs) -> TabularRun:
    policy = logits.softmax(-1)
    ref = world.ref[..., None, :].expand_as(policy)
    best = [optimal_policy(world.ref, world.rewards, beta) for beta in betas]
    best = torch.stack(best, -2).expand_as(policy)  # (…, betas, responses)
    gaps = pairs.gaps(logits)
    right = (1 + (2 * pairs.wins - 1) * gaps.sign()) / 2
    return TabularRun(
        steps,
        policy,
        pairs.loss(logits, torch.as_tensor(betas, dtype=policy.dtype)),
        kl_divergence(policy, ref),
        kl_divergence(policy, best),
        ((2 * pairs.wins - 1) * gaps).mean(-1),
        right.mean(-1),
    )
