"""Exponential families: a reference, tilted by features, and where training ends there.

π*_β is one such family, with the reward as its one feature and 1/β as its parameter. A
policy class with other features cannot reach π*: which of its members is best then
depends on the question, and the question on the method.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import validate
from course_lib.policies import expected_reward, log_partition, optimal_policy

__all__ = [
    "Cumulants",
    "cumulants",
    "dpo_projection",
    "exponential_tilt",
    "forward_projection",
    "psi_rewards",
    "reverse_projection",
]

STEPS, LAST = 200, 1e-14  # of Newton's method: how many, and a gain that ends it


class Cumulants(NamedTuple):
    """log Z at an inverse temperature 1/β, and its two derivatives there."""

    log_z: Tensor
    mean: Tensor  # of the reward under π*: the slope
    variance: Tensor  # of the reward under π*: the curvature


def cumulants(ref: Tensor, rewards: Tensor, beta: float) -> Cumulants:
    """log Z as a function of ω = 1/β: the reward's cumulant function.

    K(ω) = log Σ_y π_ref(y) e^{ω r(y)},  K' = E_π*[r],  K'' = Var_π*[r],
    KL(π*‖π_ref) = ω K' − K

    ref, rewards, beta, raises: as for `policies.optimal_policy`
    returns: Cumulants, each of shape (…)
    source: exponential families, as in Wainwright and Jordan (2008), §3

    >>> half = torch.tensor([0.5, 0.5])
    >>> cumulants(half, torch.tensor([1.0, -1.0]), beta=1e6).variance
    tensor(1.)
    """
    best = optimal_policy(ref, rewards, beta)
    mean = expected_reward(best, rewards)
    spread = expected_reward(best, (rewards - mean[..., None]) ** 2)
    return Cumulants(log_partition(ref, rewards, beta), mean, spread)


def psi_rewards(
    chances: Tensor, sampler: Tensor, psi: Callable[[Tensor], Tensor]
) -> Tensor:
    """The reward that a ΨPO method maximises, minus a KL times its price τ.

    r_Ψ(y) = E_{y' ~ μ}[ Ψ( P(y ≻ y') ) ];  Ψ(p) = p is IPO, Ψ(p) = log p/(1 − p) DPO

    chances: P(row ≻ column), within 0 to 1, (answers, answers)
    sampler: μ, probabilities, (answers,); psi: a function of tensors, for each entry
    returns: (answers,), in the unit of Ψ
    raises: ValueError if the shapes do not fit, or Ψ is not finite
    source: Azar et al. (2024), ΨPO

    >>> sure = torch.tensor([[0.5, 0.9], [0.1, 0.5]])
    >>> psi_rewards(sure, torch.tensor([0.5, 0.5]), lambda p: p)
    tensor([0.7000, 0.3000])
    """
    validate.tensors(chances=chances)
    validate.probabilities(sampler=sampler)
    validate.layout("answers answers, answers", chances=chances, sampler=sampler)
    values = psi(chances)
    validate.tensors(psi=values)
    return values @ sampler


def exponential_tilt(ref: Tensor, features: Tensor, weights: Tensor) -> Tensor:
    """π(y) ∝ π_ref(y) e^{θ · φ(y)}.

    ref: probabilities, (answers,); features: φ, (answers, width)
    weights: θ, (width,)
    returns: probabilities, (answers,)
    raises: ValueError if ref is no policy, or the shapes do not fit
    source: the definition of an exponential family

    >>> half, one = torch.tensor([0.5, 0.5]), torch.tensor([[1.0], [0.0]])
    >>> exponential_tilt(half, one, torch.tensor([1.0]))       # odds e : 1
    tensor([0.7311, 0.2689])
    """
    fits(ref, features)
    validate.layout("answers width, width", features=features, weights=weights)
    return optimal_policy(ref, features @ weights, 1.0)


def forward_projection(ref: Tensor, features: Tensor, target: Tensor) -> Tensor:
    """θ that minimises KL(target‖π_θ): SFT on endless samples of the target.

    It is where the features have the same mean: E_π[φ] = E_target[φ]

    ref, features: as for `exponential_tilt`; target: probabilities, (answers,)
    returns: θ, (width,); where features are not independent, one of the θ that do
    raises: ValueError on bad shapes; ArithmeticError if the search does not end
    source: maximum likelihood in an exponential family; Newton's method

    >>> half, one = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).double().split(1)
    >>> half, one = half[0], one.T
    >>> target = torch.tensor([0.75, 0.25]).double()
    >>> forward_projection(half, one, target)                  # ln 3
    tensor([1.0986], dtype=torch.float64)
    """
    fits(ref, features, target=target)
    validate.probabilities(target=target)

    def loss(weights: Tensor) -> Tensor:
        return -(target * log_tilt(ref, features, weights)).sum()

    return _lowest(loss, features.shape[1])


def reverse_projection(
    ref: Tensor, features: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    """θ that maximises E_π[r] − β KL(π‖π_ref): RLHF, so the least KL(π_θ‖π*).

    ref, features: as for `exponential_tilt`; rewards: (answers,)
    beta: KL strength in reward per nat, > 0
    returns: θ, (width,): a maximum, found from θ = 0 uphill; others may exist, and
        `stages.best_in_class` searches from elsewhere
    raises: ValueError on bad shapes or β; ArithmeticError if the search does not end
    source: Rafailov et al. (2023), Eq. 3, in a restricted class

    >>> half, one = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).double().split(1)
    >>> half, one = half[0], one.T
    >>> reverse_projection(half, one, torch.tensor([2.0, 0]).double(), beta=0.5)
    tensor([4.0000], dtype=torch.float64)
    """
    fits(ref, features, rewards=rewards)
    validate.number("beta", beta)
    target = (ref.log() + rewards / beta).log_softmax(-1)  # log π*

    def loss(weights: Tensor) -> Tensor:
        logps = log_tilt(ref, features, weights)
        return (logps.exp() * (logps - target)).sum()

    return _lowest(loss, features.shape[1])


def dpo_projection(
    ref: Tensor, features: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    """θ that DPO comes to on all pairs, drawn from the reference, in this class.

    Its gap is θ · (φ(y) − φ(y')): a logistic regression, whose soft labels are
    σ(r(y) − r(y'))

    ref, features, rewards, beta: as for `reverse_projection`
    returns: θ, (width,); `stages.one_stage` takes any table of wins instead
    raises: ValueError on bad shapes or β; ArithmeticError if the search does not end
    source: Rafailov et al. (2023), Eq. 7, its expectation written out

    >>> half, one = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).double().split(1)
    >>> half, one = half[0], one.T
    >>> dpo_projection(half, one, torch.tensor([2.0, 0]).double(), beta=0.5)
    tensor([4.0000], dtype=torch.float64)
    """
    fits(ref, features, rewards=rewards)
    validate.number("beta", beta)
    first, second = torch.triu_indices(len(ref), len(ref), 1)
    apart = features[first] - features[second]  # (pairs, width)
    drawn = ref[first] * ref[second]
    drawn = drawn / drawn.sum()
    wins = torch.sigmoid(rewards[first] - rewards[second])
    cost = torch.nn.functional.binary_cross_entropy_with_logits

    def loss(weights: Tensor) -> Tensor:
        return cost(beta * (apart @ weights), wins, drawn, reduction="sum")

    return _lowest(loss, features.shape[1])


def fits(ref: Tensor, features: Tensor, **others: Tensor):
    """Refuse a reference with a 0, and what is not a row, or a number, an answer."""
    validate.probabilities(ref=ref)
    validate.tensors(ref=ref, **others)
    validate.tensors(features=features)
    if not validate.holds(ref > 0):
        raise ValueError("ref must be above 0 for every answer: drop those at 0")
    validate.layout("answers, answers width", ref=ref, features=features)


def log_tilt(ref: Tensor, features: Tensor, weights: Tensor) -> Tensor:
    """log π of `exponential_tilt`, unchecked."""
    return (ref.log() + features @ weights).log_softmax(-1)


def _lowest(loss: Callable[[Tensor], Tensor], width: int) -> Tensor:
    """Where a smooth loss is lowest: Newton from 0, never uphill, in float64."""
    at = torch.zeros(width, dtype=torch.float64)
    for _ in range(STEPS):
        slope = torch.autograd.functional.jacobian(loss, at)
        values, axes = torch.linalg.eigh(torch.autograd.functional.hessian(loss, at))
        bend = values.abs().clamp(min=1e-9 * values.abs().max())
        down = axes @ ((axes.T @ slope) / bend)
        gain = slope @ down  # twice what the step would gain, were it a parabola
        if gain < LAST:
            return at - down  # less than the loss can show: one last full step
        reach, now = min(1.0, 1.0 / float(down.norm())), loss(at)  # one nat at most
        while loss(at - reach * down) > now - 1e-4 * reach * gain and reach > 1e-9:
            reach /= 2
        at = at - reach * down
    raise ArithmeticError(f"no minimum was found in {STEPS} steps")
