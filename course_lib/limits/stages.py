"""One stage and two, in classes: DPO in a class of policies, RLHF through its rewards.

A class of policies tilts the reference along given features, π_θ ∝ π_ref e^{φ·θ}; a
class of rewards is r_w = φ·w. The two match if their features span the same.
"""

import contextlib
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.functional import hessian, jacobian

from course_lib import validate
from course_lib.limits.exponential import exponential_tilt, fits, log_tilt
from course_lib.variants import lbfgs

__all__ = ["best_in_class", "fit_rewards", "one_stage"]


def fit_rewards(features: Tensor, wins: Tensor, *, prior: float = 0.0) -> Tensor:
    """The first of two stages: Bradley–Terry rewards of a class, fitted to wins.

    minimise −Σ_ij wins_ij log σ(r_i − r_j) + ½ prior |w|²,  r = φ w

    features: φ, (answers, k); wins: (answers, answers), [i, j] how often i beat j
    prior: the precision of a normal prior on each weight, ≥ 0
    returns: rewards, (answers,), float64; those of `coverage.fit_scores` at a spread of
        1/√(prior · Σ wins), which needs a prior and bears many weights
    raises: ValueError on bad shapes, or if no finite weights are best
    source: Ouyang et al. (2022), Eq. 1, with linear rewards

    >>> fit_rewards(torch.eye(2)[:, :1], torch.tensor([[0.0, 3.0], [1.0, 0.0]]))  # ln 3
    tensor([1.0986, 0.0000], dtype=torch.float64)
    """
    features, wins = _checked(features, wins)
    validate.fraction("prior", prior)

    def loss(weights: Tensor) -> Tensor:
        rewards = features @ weights
        fit = wins * F.logsigmoid(rewards[:, None] - rewards)
        return prior / 2 * (weights**2).sum() - fit.sum()

    return features @ _lowest(loss, features.new_zeros(features.shape[1]))


def one_stage(
    ref: Tensor, features: Tensor, wins: Tensor, beta: float, *, prior: float = 0.0
) -> Tensor:
    """DPO in a class of policies: its loss at its lowest, for these wins.

    minimise −Σ_ij wins_ij log σ(βh_ij) + ½ prior β² |θ|²,  log π_θ = log π_ref + φθ − …

    ref: probabilities above 0, (answers,); features: φ, (answers, k)
    wins: as for `fit_rewards`; beta: > 0
    prior: of the weights of the implicit reward, which are βθ, ≥ 0
    returns: the policy, (answers,), float64
    raises: ValueError on bad shapes or values, or if no finite weights are best
    source: Rafailov et al. (2023), Eq. 7, in a log-linear class

    >>> half, wins = torch.tensor([0.5, 0.5]), torch.tensor([[0.0, 3.0], [1.0, 0.0]])
    >>> one_stage(half, torch.eye(2)[:, :1], wins, beta=0.5)       # gap 2 ln 3: 9 : 1
    tensor([0.9000, 0.1000], dtype=torch.float64)
    """
    features, wins = _checked(features, wins)
    fits(ref, features)
    validate.number("beta", beta)
    validate.fraction("prior", prior)
    ref = ref.double()

    def loss(theta: Tensor) -> Tensor:
        logratios = log_tilt(ref, features, theta) - ref.log()
        fit = wins * F.logsigmoid(beta * (logratios[:, None] - logratios))
        return prior / 2 * beta**2 * (theta**2).sum() - fit.sum()

    theta = _lowest(loss, features.new_zeros(features.shape[1]))
    return exponential_tilt(ref, features, theta)


def best_in_class(
    ref: Tensor, features: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    """The second of two stages: the policy of a class that earns most, less its KL.

    maximise E_π[r] − β KL(π‖π_ref) over π_θ ∝ π_ref e^{φ·θ}

    ref: probabilities above 0, (answers,); features: φ, (answers, k)
    rewards: (answers,); beta: > 0
    returns: the policy, (answers,), float64: the best that is found from five starts
    raises: ValueError on bad shapes or values, or if no finite weights are best
    source: Rafailov et al. (2023), Eq. 3, in a log-linear class

    >>> half, rewards = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
    >>> best_in_class(half, torch.eye(2), rewards, beta=1.0)       # all of them: e : 1
    tensor([0.7311, 0.2689], dtype=torch.float64)
    """
    fits(ref, features, rewards=rewards)
    validate.number("beta", beta)
    ref, features, rewards = ref.double(), features.double(), rewards.double()

    def cost(theta: Tensor) -> Tensor:
        log_policy = log_tilt(ref, features, theta)
        return -log_policy.exp() @ (rewards - beta * (log_policy - ref.log()))

    weighed = ref.sqrt()[:, None]
    near = torch.linalg.pinv(weighed * features) @ (weighed[:, 0] * rewards / beta)
    found = []
    for scale in (0.0, 0.1, 0.5, 1.0, 2.0):  # J is not concave: a start may lead away
        with contextlib.suppress(ValueError):
            found.append(_lowest(cost, scale * near))
    if not found:
        raise ValueError("no finite weights are best in this class of policies")
    return exponential_tilt(ref, features, min(found, key=cost))


def _checked(features: Tensor, wins: Tensor) -> tuple[Tensor, Tensor]:
    validate.tensors(features=features)
    validate.tensors(wins=wins)
    validate.layout("answers k, answers answers", features=features, wins=wins)
    if (wins < 0).any() or not wins.any():
        raise ValueError("wins must be ≥ 0, and some of them above 0")
    return features.double(), wins.double() / wins.double().sum()


def _lowest(loss: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Where a smooth loss of a few weights is lowest: L-BFGS, then Newton's steps."""
    found = lbfgs(loss, start, max_iter=300, tolerance_grad=1e-9)
    for _ in range(2):
        slope, bend = jacobian(loss, found), hessian(loss, found)
        step = torch.linalg.pinv(bend, hermitian=True) @ slope
        if loss(found - step) <= loss(found) + 1e-15:
            found = found - step
    endless = found.abs().max() > 1 and loss(2 * found) <= loss(found)
    if endless or not jacobian(loss, found).abs().max() < 1e-7:
        raise ValueError("no finite weights are best: some features win every pair")
    return found
