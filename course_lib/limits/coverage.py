"""Coverage: whether the pairs that were drawn mention the answers that matter.

A policy is a row over all answers and nothing is shared between them: an answer in no
pair keeps a fitted reward of 0, and such answers the reference's proportions.
Everything but the draw of pairs is exact.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import validate
from course_lib.losses import dpo_loss
from course_lib.policies import kl_divergence, optimal_policy
from course_lib.variants import of_pairs
from course_lib.worlds import World, sample_preferences

__all__ = [
    "Estimates",
    "chi_optimal_policy",
    "chi_po_loss",
    "concentrability",
    "distances_by_pairs",
    "fit_scores",
    "rewards_by_pairs",
    "untouched_mass",
]


def concentrability(policy: Tensor, ref: Tensor) -> Tensor:
    """How much more often a policy gives its own answers than the reference gives them.

    C = E_π[ π(y)/π_ref(y) ] = Σ_y π(y)²/π_ref(y) = 1 + χ²(π‖π_ref)

    policy, ref: probabilities, shape (…, answers)
    returns: ≥ 1, shape (…); 1 for the reference itself, infinite if the policy gives an
        answer that the reference never gives
    raises: ValueError if the shapes differ or a row does not sum to 1
    source: Huang et al. (2024), the single-policy concentrability of their bound

    >>> half = torch.tensor([0.5, 0.5])
    >>> concentrability(torch.tensor([0.75, 0.25]), half)     # 2 (0.5625 + 0.0625)
    tensor(1.2500)
    """
    validate.probabilities(policy=policy, ref=ref)
    validate.tensors(policy=policy, ref=ref)
    squared = policy * policy / ref
    return torch.where(policy > 0, squared, torch.zeros_like(policy)).sum(-1)


def untouched_mass(policy: Tensor, ref: Tensor, pairs: int) -> Tensor:
    """How much of a policy lies on answers that no pair of the reference mentions.

    Σ_y π(y) (1 − π_ref(y))^{2n}, its mean over samples of n pairs, both answers of each
    drawn by the reference

    policy, ref: probabilities, shape (…, answers); pairs: n, ≥ 0
    returns: a share in [0, 1], shape (…)
    raises: ValueError if the shapes differ, a row does not sum to 1, or pairs < 0
    source: the probability of 2n failures in a row

    >>> half = torch.tensor([0.5, 0.5])
    >>> untouched_mass(torch.tensor([0.75, 0.25]), half, pairs=1)  # 1/4
    tensor(0.2500)
    """
    validate.probabilities(policy=policy, ref=ref)
    validate.tensors(policy=policy, ref=ref)
    validate.fraction("pairs", pairs)
    draws = torch.full_like(ref, 2 * pairs)
    missed = torch.special.xlog1py(draws, -ref).exp()  # (1 − π_ref)^{2n}, for 1e−9 too
    return (policy * missed).sum(-1)


@of_pairs
def chi_po_loss(u, v, beta: float):
    """χPO: DPO's loss with ρ + log ρ in the place of log ρ, for ρ = π_θ/π_ref.

    −log σ( β φ(ρ_w) − β φ(ρ_l) ),  φ(ρ) = ρ + log ρ

    the FOUR: response log-probs, sums, shape (batch,); beta: > 0
    returns: nats, a scalar, or (batch,) with reduction="none"
    raises: as `losses.dpo_loss`, and ValueError where e to a log-ratio overflows
    source: Huang et al. (2024), χPO; their algorithm also clips the difference at twice
        the largest reward, which this leaves out

    >>> chi_po_loss(*torch.zeros(4, 1), beta=0.1)
    tensor(0.6931)
    """
    none = torch.zeros_like(u)
    return dpo_loss(u + u.exp(), v + v.exp(), none, none, beta, reduction="none")


def chi_optimal_policy(ref: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """The policy that maximises E[r] − β KL − β χ²/2: the one that χPO aims at.

    r(y) = β φ( π(y)/π_ref(y) ) + λ,  φ(ρ) = ρ + log ρ,  with λ such that π sums to 1

    ref: probabilities, (…, answers); rewards: the same shape; beta: > 0
    returns: probabilities, (…, answers)
    raises: ValueError if a row of ref does not sum to 1, the shapes differ, or beta ≤ 0
    source: Huang et al. (2024), mixed χ² regularisation; Newton's method for λ

    >>> half = torch.tensor([0.5, 0.5])
    >>> chi_optimal_policy(half, torch.tensor([1.0, 0.0]), beta=0.5)   # φ differs by 2
    tensor([0.7394, 0.2606])
    """
    validate.probabilities(ref=ref)
    validate.tensors(ref=ref, rewards=rewards)
    validate.number("beta", beta)
    scaled = rewards / beta
    level = (ref * scaled).sum(-1, keepdim=True) - 1  # there they sum to 1 or more
    for _ in range(100):  # the sum is convex and falls in λ: no step goes too far
        ratio = _inverse_link(scaled - level)
        slope = (ref * ratio / (1 + ratio)).sum(-1, keepdim=True)
        step = ((ref * ratio).sum(-1, keepdim=True) - 1) / slope
        level = level + step
        if step.abs().max() < 4 * torch.finfo(ref.dtype).eps * (1 + level.abs().max()):
            break
    policy = ref * _inverse_link(scaled - level)
    return policy / policy.sum(-1, keepdim=True)


def fit_scores(
    wins: Tensor, features: Tensor | None = None, spread: float = 1.0
) -> Tensor:
    """Rewards that make the wins most probable, under a normal prior on their weights.

    maximise Σ_ij wins_ij log σ(r_i − r_j) − Σ_k w_k²/(2 spread²),  r = φ w

    With r = β log π/π_ref this is DPO on a table, or in a log-linear class, regularised

    wins: (answers, answers), [i, j] how often i beat j
    features: φ, (answers, k); None for a weight of its own for every answer, so that
        answers in no pair stay at 0
    spread: of the prior, > 0
    returns: rewards, (answers,), float64
    raises: ValueError unless wins is square and ≥ 0, features fit it, and spread > 0
    source: Newton's method on a concave function; `stages.fit_rewards` is the same
        estimate, at a prior of 1/(spread² · Σ wins), which may be 0 there

    >>> fit_scores(torch.tensor([[0.0, 3.0], [1.0, 0.0]]), spread=1000.0)    # ±½ ln 3
    tensor([ 0.5493, -0.5493], dtype=torch.float64)
    """
    validate.tensors(wins=wins)
    validate.number("spread", spread)
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1] or (wins < 0).any():
        raise ValueError("wins must be square, (answers, answers), and ≥ 0")
    if features is not None and len(features) != len(wins):
        raise ValueError(f"features has {len(features)} rows, wins {len(wins)}")
    met = (wins + wins.T).sum(1) > 0
    known = wins[met][:, met].double()
    if features is not None:
        shared = features.double()
        return shared @ _most_probable(known, shared[met], 1 / spread**2)
    each = _most_probable(known, None, 1 / spread**2)
    return wins.new_zeros(len(wins), dtype=torch.float64).masked_scatter(met, each)


class Estimates(NamedTuple):
    """What pairs say of each answer, after each number of them."""

    rewards: Tensor  # (counts, answers), fitted
    touched: Tensor  # (counts, answers), whether a pair mentions it


def rewards_by_pairs(
    ref: Tensor,
    rewards: Tensor,
    counts: Sequence[int],
    *,
    seed: int,
    beta: float | None = None,
    features: Tensor | None = None,
    spread: float = 1.0,
) -> Estimates:
    """Fit rewards to more and more pairs, all of them kept, judged by Bradley–Terry.

    ref: who draws both answers of a pair, probabilities, (answers,)
    rewards: the true ones, (answers,); counts: numbers of pairs, ascending from ≥ 1
    seed: the same pairs again
    beta: None if the reference draws all pairs. Else, from the second count on, the
        policy does that is optimal at this β for the rewards fitted so far
    features, spread: as for `fit_scores`
    returns: Estimates
    raises: ValueError for counts that do not ascend, or as `worlds.sample_preferences`

    >>> half = torch.tensor([0.5, 0.5])
    >>> told = rewards_by_pairs(half, torch.tensor([1.0, 0.0]), [1, 1000], seed=0)
    >>> told.touched.tolist(), bool(told.rewards[1, 0] > 0.3)
    ([[True, True], [True, True]], True)
    """
    counts = [int(count) for count in counts]
    if not counts or counts[0] < 1 or counts != sorted(set(counts)):
        raise ValueError(f"counts must ascend from 1 or more, got {counts}")
    world = World((), ref[None], rewards[None])
    wins = ref.new_zeros(len(ref), len(ref), dtype=torch.float64)
    found, touched, sampler = [], [], ref
    for number, (before, count) in enumerate(zip([0, *counts], counts, strict=False)):
        drawn = {"seed": 1000 * seed + number, "sampler": sampler[None]}
        _, w, l = sample_preferences(world, count - before, **drawn)  # noqa: E741
        wins.index_put_((w, l), wins.new_ones(()), accumulate=True)
        found.append(fit_scores(wins, features, spread))
        touched.append((wins + wins.T).sum(1) > 0)
        if beta is not None:
            sampler = optimal_policy(ref, found[-1].to(ref), beta)
    return Estimates(torch.stack(found), torch.stack(touched))


def distances_by_pairs(
    ref: Tensor,
    rewards: Tensor,
    counts: Sequence[int],
    betas: Sequence[float],
    seeds: Sequence[int],
    *,
    own_pairs: bool = False,
    features: Tensor | None = None,
) -> Tensor:
    """How far from π* the tilt by the fitted rewards is, after each number of pairs.

    KL(π‖π*_β), π the tilt by what `rewards_by_pairs` has fitted

    ref, rewards, counts, features: as there; betas: > 0; seeds: of the pairs
    own_pairs: whether the policy draws its pairs itself, each β for itself
    returns: nats, (betas, seeds, counts)

    >>> half, rewards = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
    >>> far = distances_by_pairs(half, rewards, [1, 1000], [1.0], [0, 1])
    >>> far.shape, bool((far[..., 1] < 0.01).all())
    (torch.Size([1, 2, 2]), True)
    """

    def distance(fitted: Tensor, beta: float) -> Tensor:
        best = optimal_policy(ref, rewards, beta).expand(len(fitted), -1)
        policy = optimal_policy(ref.expand_as(best), fitted.to(ref), beta)
        return kl_divergence(policy, best)

    found = []
    for seed in seeds:
        told = {"seed": seed, "features": features}
        if not own_pairs:
            shared = rewards_by_pairs(ref, rewards, counts, **told).rewards
            found.append([distance(shared, beta) for beta in betas])
            continue
        each = (rewards_by_pairs(ref, rewards, counts, beta=b, **told) for b in betas)
        found.append([distance(e.rewards, b) for e, b in zip(each, betas, strict=True)])
    return torch.stack([torch.stack(row) for row in found], 1)


def _most_probable(wins: Tensor, features: Tensor | None, precision: float) -> Tensor:
    """The weights of `fit_scores`, by Newton's method with bounded steps."""
    games = wins + wins.T
    count = len(wins) if features is None else features.shape[1]
    weights, prior = wins.new_zeros(count), precision * wins.new_ones(count)
    for _ in range(200):
        scores = weights if features is None else features @ weights
        chance = torch.sigmoid(scores[:, None] - scores)
        slope = (wins - games * chance).sum(1)
        bend = games * chance * (1 - chance)
        bend = bend.sum(1).diag() - bend
        if features is not None:
            slope, bend = features.T @ slope, features.T @ bend @ features
        step = torch.linalg.solve(bend + prior.diag(), slope - precision * weights)
        largest = float(step.abs().max())
        weights = weights + step * min(1.0, 5 / max(largest, 1e-300))
        if largest < 1e-10:
            break
    return weights


def _inverse_link(x: Tensor) -> Tensor:
    """ρ with ρ + log ρ = x, by Newton's method on log ρ."""
    log_ratio = torch.where(x > 1, x.clamp(min=1).log(), x - F.softplus(x))
    for _ in range(12):
        ratio = log_ratio.exp()
        log_ratio = log_ratio - (ratio + log_ratio - x) / (1 + ratio)
    return log_ratio.exp()
