"""Finite policies: what RLHF's objective asks for, in closed form.

A policy over a listed set of responses is a row of probabilities, shape (…, responses).
Everything here is exact: no sampling, no network, nothing to tune.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import validate

__all__ = [
    "Frontier",
    "best_of_n",
    "canonical_rewards",
    "estimate_log_partition",
    "expected_reward",
    "frontier",
    "implicit_rewards",
    "kl_divergence",
    "log_partition",
    "log_partition_error",
    "optimal_policy",
    "rlhf_objective",
]


def optimal_policy(ref: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """The policy that maximises E[r] − β KL(π‖π_ref): tilt, then normalise.

    π*(y) = π_ref(y) e^{r(y)/β} / Z

    ref: probabilities, shape (…, responses); a response at 0 stays at 0
    rewards: shape (…, responses); beta: KL strength in reward per nat, > 0
    returns: probabilities, shape (…, responses)
    raises: ValueError if a row of ref does not sum to 1, the shapes differ, or beta ≤ 0
    source: Rafailov et al. (2023), Eq. 4

    >>> half = torch.tensor([0.5, 0.5])
    >>> optimal_policy(half, torch.tensor([1.0, 0.0]), beta=1.0)    # odds e : 1
    tensor([0.7311, 0.2689])
    """
    weights, _ = _tilted(ref, rewards, beta)
    return weights / weights.sum(-1, keepdim=True)


def log_partition(ref: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """log Z, the logarithm of what the tilted probabilities sum to.

    log Z = log Σ_y π_ref(y) e^{r(y)/β};  β log Z is the best value of the objective

    ref, rewards, beta: as for `optimal_policy`
    returns: log Z, shape (…)
    raises: as `optimal_policy`
    source: Rafailov et al. (2023), below Eq. 4

    >>> log_partition(torch.tensor([0.5, 0.5]), torch.tensor([2.0, 2.0]), beta=1.0)
    tensor(2.)
    """
    weights, largest = _tilted(ref, rewards, beta)
    return weights.sum(-1).log() + largest.squeeze(-1)


def estimate_log_partition(sampled_rewards: Tensor, beta: float) -> Tensor:
    """log Z as well as it can be told from n answers that the reference wrote.

    log Ẑ = log[ (1/n) Σ_i e^{r_i/β} ].  Ẑ is unbiased; log Ẑ is too low on average,
    and where few answers carry the sum it is too low nearly always

    sampled_rewards: rewards of independent draws from the reference, shape (…, n)
    beta: KL strength in reward per nat, > 0
    returns: the estimate in nats, shape (…)
    raises: ValueError if a reward is not finite, there is none, or beta ≤ 0
    source: the sample mean; its bias is Jensen's inequality

    >>> draws = torch.tensor([0.0, 0.6931])          # e^r is 1 and 2: their mean is 1.5
    >>> estimate_log_partition(draws, beta=1.0).exp()
    tensor(1.5000)
    """
    scaled = _scaled_samples(sampled_rewards, beta, least=1)
    return torch.logsumexp(scaled, -1) - math.log(scaled.shape[-1])


def log_partition_error(sampled_rewards: Tensor, beta: float) -> Tensor:
    """Standard error of `estimate_log_partition`, as the same sample tells it.

    s(w) / (w̄ √n),  w_i = e^{r_i/β}, s their standard deviation with n − 1: the delta
    method for a logarithm. It cannot know of answers that were not drawn

    sampled_rewards: rewards of independent draws from the reference, (…, n), n ≥ 2
    beta: KL strength in reward per nat, > 0
    returns: nats, shape (…)
    raises: ValueError if a reward is not finite, n < 2, or beta ≤ 0
    source: the delta method

    >>> log_partition_error(torch.tensor([0.0, 0.6931]), beta=1.0)   # √½ / (1.5 √2)
    tensor(0.3333)
    """
    scaled = _scaled_samples(sampled_rewards, beta, least=2)
    count = scaled.shape[-1]
    weights = count * torch.softmax(scaled, -1)  # w / w̄: their mean is 1
    return weights.std(-1) / math.sqrt(count)


def canonical_rewards(ref: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """The one member of a class of rewards, r + a constant per prompt, that has Z = 1.

    r̄(y) = r(y) − β log Z = β log( π*(y) / π_ref(y) )

    ref, rewards, beta: as for `optimal_policy`
    returns: rewards in the unit of beta, shape (…, responses): the implicit rewards of
        the policy that is optimal for `rewards`, where `ref` > 0
    raises: as `optimal_policy`
    source: Rafailov et al. (2023), Theorem 1 and Proposition 1

    >>> half = torch.tensor([0.5, 0.5])
    >>> canonical_rewards(half, torch.tensor([7.0, 7.0]), beta=1.0)
    tensor([0., 0.])
    """
    return rewards - beta * log_partition(ref, rewards, beta)[..., None]


def implicit_rewards(policy: Tensor, ref: Tensor, beta: float) -> Tensor:
    """Rewards under which `policy` would be optimal, up to one constant per prompt.

    r̂(y) = β log( π(y) / π_ref(y) )

    policy, ref: probabilities, shape (…, responses); `ref` > 0 where `policy` > 0
    beta: KL strength in reward per nat, > 0
    returns: rewards in the unit of beta, shape (…, responses); −inf where the policy is
        0 and the reference is not, 0 where both are. Compare them within a prompt only.
    raises: ValueError if the shapes differ, a row does not sum to 1, `policy` leaves
        the support of `ref`, or beta ≤ 0
    source: Rafailov et al. (2023), Eq. 5, without β log Z

    >>> half = torch.tensor([0.5, 0.5])
    >>> implicit_rewards(torch.tensor([0.75, 0.25]), half, beta=1.0)  # ln 1.5, ln 0.5
    tensor([ 0.4055, -0.6931])
    """
    validate.probabilities(policy=policy, ref=ref)
    validate.number("beta", beta)
    if ((policy > 0) & (ref == 0)).any():
        raise ValueError("policy must be 0 wherever ref is 0")
    both_zero = (policy == 0) & (ref == 0)  # log 1 − log 1: no gradient of log 0 either
    p, q = policy.masked_fill(both_zero, 1), ref.masked_fill(both_zero, 1)
    return beta * (p.log() - q.log())


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """How many nats p spends by not being q. Not symmetric: the first argument samples.

    KL(p‖q) = Σ_y p(y) log( p(y) / q(y) ),  with 0 log 0 = 0

    p, q: probabilities, shape (…, responses)
    returns: nats, shape (…), ≥ 0; infinite if p puts mass where q has none. Where p is
        0, its gradient is 0: so it is for the logits of a softmax that underflowed
    raises: ValueError if the shapes differ or a row does not sum to 1
    source: Kullback and Leibler (1951)

    >>> kl_divergence(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]))   # ln 2
    tensor(0.6931)
    """
    validate.probabilities(p=p, q=q)
    empty = p == 0
    logratios = p.masked_fill(empty, 1).log() - q.masked_fill(empty, 1).log()
    return (p * logratios).sum(-1).clamp(min=0)  # rows that sum to 1 − 1e−7 fall below


def expected_reward(policy: Tensor, rewards: Tensor) -> Tensor:
    """E[r] = Σ_y π(y) r(y).

    policy: probabilities, shape (…, responses); rewards: the same shape
    returns: shape (…), in the unit of the rewards
    raises: ValueError if the shapes differ or a row of policy does not sum to 1
    source: the definition of an expectation

    >>> expected_reward(torch.tensor([0.75, 0.25]), torch.tensor([1.0, 0.0]))
    tensor(0.7500)
    """
    validate.probabilities(policy=policy)
    validate.tensors(policy=policy, rewards=rewards)
    return (policy * rewards).sum(-1)


def rlhf_objective(policy: Tensor, ref: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """What RLHF maximises, for one prompt or a batch of them.

    J(π) = E_π[r] − β KL(π‖π_ref) = β log Z − β KL(π‖π*)

    policy, ref: probabilities, shape (…, responses); rewards: the same shape
    beta: KL strength in reward per nat, > 0
    returns: shape (…), in the unit of the rewards
    raises: ValueError if the shapes differ, a row does not sum to 1, or beta ≤ 0
    source: Rafailov et al. (2023), Eq. 3

    >>> half = torch.tensor([0.5, 0.5])
    >>> rlhf_objective(half, half, torch.tensor([1.0, 0.0]), beta=0.1)
    tensor(0.5000)
    """
    validate.number("beta", beta)
    return expected_reward(policy, rewards) - beta * kl_divergence(policy, ref)


def best_of_n(ref: Tensor, rewards: Tensor, n: int) -> Tensor:
    """Probabilities of the best of n independent draws from `ref`.

    P(y) = (F(r)^n − F(r⁻)^n) · π_ref(y) / π_ref(all of reward r),  F the reference's
    distribution of rewards: ties are split in proportion to the reference

    ref: probabilities, shape (…, responses); rewards: the same shape
    n: number of draws, an integer ≥ 1
    returns: probabilities, shape (…, responses)
    raises: ValueError if the shapes differ, a row of ref does not sum to 1, or n < 1
    source: order statistics. KL(best-of-n‖ref) ≤ log n − (n − 1)/n: Beirami et al.
        (2024)

    >>> best_of_n(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]), n=2)
    tensor([0.7500, 0.2500])
    """
    validate.probabilities(ref=ref)
    validate.tensors(ref=ref, rewards=rewards)
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"n must be an integer, got {type(n).__name__}")
    validate.at_least(1, n=n)
    width = ref.shape[-1]
    rows = zip(ref.reshape(-1, width), rewards.reshape(-1, width), strict=True)
    return torch.stack([_best_of_n_row(*row, n) for row in rows]).view_as(ref)


class Frontier(NamedTuple):
    """One point for each beta: the best E[r] that its KL can buy."""

    expected_reward: Tensor  # (…, betas)
    kl: Tensor  # (…, betas), nats


def frontier(ref: Tensor, rewards: Tensor, betas: Sequence[float] | Tensor) -> Frontier:
    """Reward and KL of the optimal policy at each beta. Its slope dE[r]/dKL is β.

    ref, rewards: shape (…, responses); betas: a sequence of numbers > 0
    returns: Frontier(expected_reward, kl), each of shape (…, betas)
    raises: ValueError if there is no beta, one is ≤ 0, or as `optimal_policy`
    source: Rafailov et al. (2023), Fig. 2, made exact

    >>> half = torch.tensor([0.5, 0.5])
    >>> frontier(half, torch.tensor([1.0, 0.0]), [1.0]).expected_reward
    tensor([0.7311])
    """
    if len(betas) == 0:
        raise ValueError("betas is empty")
    points = [optimal_policy(ref, rewards, beta) for beta in betas]
    return Frontier(
        torch.stack([expected_reward(policy, rewards) for policy in points], -1),
        torch.stack([kl_divergence(policy, ref) for policy in points], -1),
    )


def _tilted(ref: Tensor, rewards: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """π_ref e^{r/β}, not normalised, divided by e^m; and m, so that nothing overflows.

    m is the largest r/β of a response that the reference can give, (…, 1). Written as
    a product its gradient is right for a response at 0 too.
    """
    validate.probabilities(ref=ref)
    validate.tensors(ref=ref, rewards=rewards)
    validate.number("beta", beta)
    scaled = rewards / beta
    if not scaled.isfinite().all():
        raise ValueError(f"rewards / beta overflows at beta = {beta}")
    possible = scaled.masked_fill(ref == 0, -math.inf)
    largest = possible.amax(-1, keepdim=True).detach()
    above = math.log(torch.finfo(ref.dtype).max) - 1  # only a response at 0 can be
    return ref * (scaled - largest).clamp(max=above).exp(), largest


def _scaled_samples(sampled_rewards: Tensor, beta: float, *, least: int) -> Tensor:
    validate.tensors(sampled_rewards=sampled_rewards)
    if sampled_rewards.ndim == 0 or sampled_rewards.shape[-1] < least:
        shape = tuple(sampled_rewards.shape)
        raise ValueError(
            f"sampled_rewards must have shape (…, n), n at least {least}, got {shape}"
        )
    validate.number("beta", beta)
    scaled = sampled_rewards / beta
    if not scaled.isfinite().all():
        raise ValueError(f"sampled_rewards / beta overflows at beta = {beta}")
    return scaled


def _best_of_n_row(ref: Tensor, rewards: Tensor, n: int) -> Tensor:
    levels, level = rewards.unique(return_inverse=True)  # distinct rewards, ascending
    mass = torch.zeros(len(levels), dtype=torch.float64, device=ref.device)
    mass = mass.index_add(0, level, ref.double())  # π_ref(all of reward r)
    at_most = mass.cumsum(0)  # F(r), in float64 and 1 at the top: F^n magnifies
    mass, at_most = mass / at_most[-1], at_most / at_most[-1]
    # F(r)^n − F(r⁻)^n without cancellation: F^n · (1 − (1 − mass/F)^n)
    share = torch.where(mass > 0, mass / at_most, torch.ones_like(mass))
    best = at_most**n * -torch.expm1(n * torch.log1p(-share))
    per_unit = torch.where(mass > 0, best / mass, torch.zeros_like(mass))
    return (ref * per_unit[level]).to(ref.dtype)
