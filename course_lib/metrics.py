"""How good a trained policy is: exact where the world is, else with an interval."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import validate
from course_lib.policies import expected_reward, kl_divergence, optimal_policy
from course_lib.preferences import preference_probability, share_preferred
from course_lib.worlds import Preferences, World

__all__ = [
    "Interval",
    "exact_metrics",
    "implicit_accuracy",
    "kl_estimates",
    "label_chances",
    "shortfall",
    "win_rate",
]


def exact_metrics(world: World, policy: Tensor, beta: float) -> dict[str, float]:
    """Everything that can be said of a policy when all responses are listed.

    J(π*) − J(π) = β KL(π‖π*), so that `distance` is what is still to be gained, in nats

    world: of shape (prompts, responses), with the reference in it
    policy: probabilities of that shape; beta: which π* it is measured against, > 0
    returns: means over prompts: reward E[r]; kl, KL(π‖π_ref); distance, KL(π‖π*);
        regret, J(π*) − J(π), in units of reward; entropy, nats
    raises: ValueError if policy is none, or beta ≤ 0
    source: Rafailov et al. (2023), App. A.1

    >>> half = torch.tensor([[0.5, 0.5]])
    >>> world = World(("a", "b"), half, torch.tensor([[1.0, 0.0]]))
    >>> found = exact_metrics(world, half, beta=1.0)
    >>> [round(found[name], 4) for name in ("reward", "kl", "distance")]
    [0.5, 0.0, 0.1201]
    """
    best = optimal_policy(world.ref, world.rewards, beta)
    policy = policy.to(world.ref)
    distance = kl_divergence(policy, best).mean().item()
    return {
        "reward": expected_reward(policy, world.rewards).mean().item(),
        "kl": kl_divergence(policy, world.ref).mean().item(),
        "distance": distance,
        "regret": beta * distance,
        "entropy": -torch.xlogy(policy, policy).sum(-1).mean().item(),
    }


def shortfall(world: World, policy: Tensor) -> float:
    """How much reward a policy leaves at the KL that it spends, whatever trained it.

    E_π*[r] − E_π[r] for the optimal policy whose KL(π*‖π_ref) is the same; means over
    prompts

    world, policy: as for `exact_metrics`
    returns: ≥ 0 but for rounding, in units of reward
    raises: ValueError if policy is none
    source: the frontier of Rafailov et al. (2023), Fig. 2, made exact

    >>> half = torch.tensor([[0.5, 0.5]])
    >>> world = World(("a", "b"), half, torch.tensor([[1.0, 0.0]]))
    >>> round(shortfall(world, torch.tensor([[0.2, 0.8]])), 4)     # the best: 0.8, 0.2
    0.6
    """
    spent = kl_divergence(policy.to(world.ref), world.ref).mean().item()
    low, high = math.log(1e-3), math.log(1e4)  # of β: KL falls in it
    for _ in range(60):
        middle = (low + high) / 2
        best = optimal_policy(world.ref, world.rewards, math.exp(middle))
        if kl_divergence(best, world.ref).mean() > spent:
            low = middle
        else:
            high = middle
    gained = expected_reward(best, world.rewards).mean()
    return (gained - expected_reward(policy.to(world.ref), world.rewards).mean()).item()


def label_chances(world: World, preferences: Preferences) -> Tensor:
    """How likely each pair's label was, by the true rewards.

    P(y_w ≻ y_l) = σ( r(y_w) − r(y_l) );  their `preferences.accuracy_ceiling` is the
    best that any model can do on such pairs

    world: with the true rewards; preferences: pairs, by number
    returns: (pairs,)

    >>> half = torch.tensor([[0.5, 0.5]])
    >>> world = World(("a", "b"), half, torch.tensor([[1.0, 0.0]]))
    >>> label_chances(world, Preferences(*torch.tensor([[0], [0], [1]])))      # σ(1)
    tensor([0.7311])
    """
    prompts, chosen, rejected = preferences
    return preference_probability(
        world.rewards[prompts, chosen], world.rewards[prompts, rejected]
    )


def implicit_accuracy(world: World, policy: Tensor, preferences: Preferences) -> float:
    """Share of pairs whose chosen response the implicit reward prefers; a tie counts ½.

    world: with the reference; policy: probabilities, (prompts, responses)
    preferences: pairs, best if they were held out

    >>> half = torch.tensor([[0.5, 0.5]])
    >>> world = World(("a", "b"), half, torch.tensor([[1.0, 0.0]]))
    >>> pair = Preferences(*torch.tensor([[0], [0], [1]]))
    >>> implicit_accuracy(world, world.ref, pair)
    0.5
    """
    prompts, chosen, rejected = preferences
    logratios = policy.log() - world.ref.log()
    gap = logratios[prompts, chosen] - logratios[prompts, rejected]
    return share_preferred(gap).item()


class Interval(NamedTuple):
    """An estimate, and between what it lies with 95 % confidence."""

    estimate: float
    low: float
    high: float


def win_rate(ours: Tensor, theirs: Tensor) -> Interval:
    """How often one of our responses beats one of theirs, with Wilson's 95 % interval.

    ours, theirs: rewards of responses to the same prompts, (batch,); a tie counts ½
    returns: an Interval
    raises: ValueError on different shapes
    source: Wilson (1927); a comparison is independent of the next

    >>> win_rate(torch.ones(100), torch.zeros(100)).low > 0.96
    True
    """
    validate.batch(ours=ours, theirs=theirs)
    n, z = len(ours), 1.959964
    share = share_preferred((ours - theirs).double()).item()
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    spread = math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(share, centre - z * spread, centre + z * spread)


def kl_estimates(policy_logps: Tensor, ref_logps: Tensor) -> dict[str, Tensor]:
    """Three ways to estimate KL(π‖π_ref) from responses that π wrote, one term each.

    k1 = −d,  k2 = d²/2,  k3 = e^d − 1 − d,  with d = log π_ref(y) − log π(y)

    policy_logps, ref_logps: response log-probs, sums, of the policy's samples, (batch,)
    returns: float64, each (batch,). k1 is unbiased; so is k3, if π can write all that
        the reference can, and it is never negative; k2 is biased and never negative
    raises: ValueError on bad shapes
    source: Schulman (2020), Approximating KL divergence

    >>> k = kl_estimates(torch.tensor([-1.0]), torch.tensor([-2.0]))
    >>> [round(term.item(), 4) for term in k.values()]
    [1.0, 0.5, 0.3679]
    """
    validate.batch(policy_logps=policy_logps, ref_logps=ref_logps)
    d = (ref_logps - policy_logps).double()  # e^d overflows float32 at 88
    return {"k1": -d, "k2": d * d / 2, "k3": torch.expm1(d) - d}
