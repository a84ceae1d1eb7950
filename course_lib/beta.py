"""β at a fixed gap, and β at the optimum, as functions.

The gap h is the chosen log-ratio minus the rejected one, in nats and without β; β is
in reward per nat, > 0. One equation stands behind both: a pair whose first
answer wins with probability P pushes its gap with β (P − σ(βh)).
"""

import math

import torch
from torch import Tensor

from course_lib import validate
from course_lib.policies import kl_divergence, optimal_policy

__all__ = [
    "beta_for_kl",
    "crossing",
    "dpo_slope",
    "smoothed_optimal_gap",
    "steepest_beta",
]


def dpo_slope(gap: Tensor, beta: float) -> Tensor:
    """How steeply the DPO loss of one pair falls as its gap grows.

    |dL/dh| = β σ(−βh),  L(h) = −log σ(βh)

    gap: h in nats, any shape; beta: > 0
    returns: nats of loss per nat of gap, > 0, of that shape; β/2 at h = 0
    raises: ValueError on NaN, infinity, nothing at all, or beta ≤ 0
    source: Rafailov et al. (2023), §4, the gradient's weight with its β

    >>> dpo_slope(torch.tensor([-3.0, 0.0, 3.0]), beta=1.0)
    tensor([0.9526, 0.5000, 0.0474])
    """
    validate.tensors(gap=gap)
    validate.number("beta", beta)
    return beta * torch.sigmoid(-beta * gap)


def steepest_beta(gap: Tensor) -> Tensor:
    """The β at which a pair with this gap is pushed hardest. Only a gap > 0 has one.

    β = m/h,  m = 1 + e^{−m} = 1.2785;  the slope there is (m − 1)/h

    gap: h in nats, > 0, any shape
    returns: β of that shape
    raises: ValueError for a gap ≤ 0, where a larger β always pushes harder
    source: d/dβ of β σ(−βh) is 0 where βh σ(βh) = 1

    >>> steepest_beta(torch.tensor([1.0, 10.0]))
    tensor([1.2785, 0.1278])
    """
    validate.tensors(gap=gap)
    if (gap <= 0).any():
        raise ValueError(
            "gap must be > 0: at 0 and below, every larger beta is steeper"
        )
    m = 1.0
    for _ in range(60):  # each turn brings m four times nearer to 1 + e^{−m}
        m = 1 + math.exp(-m)
    return m / gap


def crossing(beta: float, other: float) -> float:
    """The gap at which two β push a pair equally hard; beyond it the smaller one leads.

    β σ(−βh) = β′ σ(−β′h)

    beta, other: > 0 and different
    returns: h in nats, > 0
    raises: ValueError if one is not > 0, or both are the same
    source: each side is half its β at h = 0, and the larger β's falls faster in ratio

    >>> round(crossing(0.1, 0.5), 5)
    5.01157
    """
    validate.number("beta", beta)
    validate.number("other", other)
    small, large = sorted((float(beta), float(other)))
    if small == large:
        raise ValueError(f"beta and other must differ, both are {beta}")

    def lead(gap: float) -> float:
        """The logarithm of the larger β's slope over the smaller one's: it falls."""
        return math.log(large / small) - _softplus(large * gap) + _softplus(small * gap)

    low, high = 0.0, 1 / large
    while lead(high) > 0:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if lead(middle) > 0 else (low, middle)
    return (low + high) / 2


def beta_for_kl(ref: Tensor, rewards: Tensor, kl: float) -> float:
    """The β whose optimal policy spends exactly this divergence from the reference.

    KL(π*_β‖π_ref) = kl;  the left side falls from its limit to 0 as β grows

    ref: probabilities, shape (responses,); rewards: the same shape
    kl: nats, > 0 and below −log π_ref(the best answers), the limit as β → 0
    returns: β, in reward per nat
    raises: ValueError for a budget outside that range, or as `optimal_policy`
    source: bisection on a monotone function; Rafailov et al. (2023), Eq. 4

    >>> half = torch.tensor([0.5, 0.5])
    >>> rewards = torch.tensor([3.0, 1.0]).log()   # at β = 1 the odds are 3 : 1
    >>> print(f"{beta_for_kl(half, rewards, kl=0.130812):.4f}")
    1.0000
    """
    validate.probabilities(ref=ref)
    validate.tensors(ref=ref, rewards=rewards)
    if ref.ndim != 1:
        raise ValueError(f"ref must have shape (responses,), got {tuple(ref.shape)}")
    validate.number("kl", kl)
    ref, rewards = ref.double() / ref.double().sum(), rewards.double()
    possible = rewards[ref > 0]
    best = ref[(ref > 0) & (rewards == possible.max())].sum()
    limit = abs(best.log().item())  # abs, for 0 and not −0
    if kl >= limit:
        raise ValueError(f"kl must be below {limit:.6g}, all that can be spent: {kl}")

    def spent(beta: float) -> float:
        return kl_divergence(optimal_policy(ref, rewards, beta), ref).item()

    low = high = (possible.max() - possible.min()).item()
    while spent(low) < kl:
        low = low / 2
    while spent(high) > kl:
        high = high * 2
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if spent(middle) > kl else (low, middle)
    return math.sqrt(low * high)


def smoothed_optimal_gap(label_smoothing: Tensor, beta: float) -> Tensor:
    """Where DPO with smoothed labels stops: the gap at which its loss is smallest.

    h = log((1 − ε)/ε) / β,  the gap at which σ(βh) = 1 − ε

    label_smoothing: ε in (0, ½], any shape; beta: > 0
    returns: h in nats, ≥ 0, of that shape
    raises: ValueError for ε outside that range: at 0 no gap is large enough
    source: the minimum of `losses.dpo_loss` with label_smoothing; Mitchell (2023)

    >>> smoothed_optimal_gap(torch.tensor([0.1, 0.5]), beta=1.0)    # ln 9, and 0
    tensor([2.1972, 0.0000])
    """
    validate.tensors(label_smoothing=label_smoothing)
    validate.number("beta", beta)
    if not ((label_smoothing > 0) & (label_smoothing <= 0.5)).all():
        raise ValueError("label_smoothing must be above 0 and at most ½")
    return (torch.log1p(-label_smoothing) - label_smoothing.log()) / beta


def _softplus(x: float) -> float:
    """log(1 + e^x) without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
