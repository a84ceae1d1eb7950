"""How good a trained policy is: exact where the world is, else with an interval."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import validate
from course_lib.policies import expected_reward, kl_divergence, optimal_policy
from course_lib.preferences import preference_probability, share_preferred
from course_lib.worlds import Preferences, World

__all__ = [
    "Interval",
    "beta_from_moves",
    "exact_metrics",
    "implicit_accuracy",
    "kl_estimates",
    "label_chances",
    "least_loss",
    "prompts_needed",
    "reference_kl_terms",
    "shortfall",
    "wilson_interval",
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

    ours, theirs: rewards of responses to the same prompts, (batch,); a tie counts ½,
        which makes the interval a little too wide
    returns: an Interval
    raises: ValueError on different shapes
    source: Wilson (1927); a comparison is independent of the next

    >>> win_rate(torch.ones(100), torch.zeros(100)).low > 0.96
    True
    """
    validate.batch(ours=ours, theirs=theirs)
    share = share_preferred((ours - theirs).double())[None]
    low, high = wilson_interval(share, torch.full_like(share, len(ours)))[0].tolist()
    return Interval(share.item(), low, high)


def wilson_interval(share: Tensor, count: Tensor, z: float = 1.959964) -> Tensor:
    """The win rates w that an observed share does not refute: Wilson's interval.

    |share − w| ≤ z √( w (1 − w) / n ),  a quadratic in w whose roots are the ends

    share: of comparisons won, in [0, 1], any shape; count: n > 0, of that shape
    z: how many standard errors are allowed, > 0; 1.96 for 95 %
    returns: low and high in a last dimension of 2
    raises: ValueError for different shapes, or a share, count or z out of range
    source: Wilson (1927)

    >>> wilson_interval(torch.tensor([1.0]), torch.tensor([4.0]), z=2.0)   # 4 of 4 won
    tensor([[0.5000, 1.0000]])
    """
    validate.tensors(share=share, count=count)
    validate.number("z", z)
    if not validate.holds((share >= 0) & (share <= 1) & (count > 0)):
        raise ValueError("share must be in [0, 1] and count above 0")
    extra = z * z / count
    centre = share + extra / 2
    spread = (extra * (share * (1 - share) + extra / 4)).sqrt()
    return torch.stack([centre - spread, centre + spread], -1) / (1 + extra)[..., None]


def prompts_needed(ours: Tensor, theirs: Tensor, both: Tensor) -> Tensor:
    """How many prompts tell two win rates apart, each policy judged on every prompt.

    n = 2.8² Var / (p − q)²,  Var = p + q − 2 · both − (p − q)²

    With so many, a two-sided test at 5 % finds the difference in 80 % of all trials:
    it is 1.96 + 0.84 = 2.8 standard errors

    ours, theirs: p and q, win rates against the same opponent, in [0, 1], any shape
    both: the share of prompts on which both win, of that shape. p q if the two have
        nothing in common, as if judged on prompts of their own
    returns: n, not rounded; infinite for p = q
    raises: ValueError for different shapes, or a share that cannot be
    source: McNemar (1947), for the variance of paired shares

    >>> p, q = torch.tensor([0.61, 0.61]), torch.tensor([0.57, 0.57])
    >>> prompts_needed(p, q, torch.tensor([0.61 * 0.57, 0.50])).round()
    tensor([2367.,  874.])
    """
    validate.tensors(ours=ours, theirs=theirs, both=both)
    most, least = torch.minimum(ours, theirs), (ours + theirs - 1).clamp(min=0)
    near = 1e-6  # rounding
    if not validate.holds((both <= most + near) & (both >= least - near)):
        raise ValueError("both must be at least ours + theirs − 1 and at most either")
    if not validate.holds((torch.maximum(ours, theirs) <= 1) & (most >= 0)):
        raise ValueError("ours and theirs must be shares, from 0 to 1")
    difference = ours - theirs
    variance = ours + theirs - 2 * both - difference**2
    return 2.8**2 * variance / difference**2


def least_loss(margin: Tensor, accuracy: Tensor) -> Tensor:
    """The least mean DPO loss of pairs with this mean margin and this accuracy.

    a f(m̄/a) + (1 − a) ln 2                    where m̄ > 0, with f(m) = −log σ(m)
    a ln 2 + (1 − a) f(m̄/(1 − a))              elsewhere

    f is convex: equal margins cost least among the pairs that are right, and among the
    others. One group has to carry the mean, so the other does best at a margin of 0.

    margin: m̄, the mean of βh over the pairs of each row, any shape
    accuracy: a, the share of margins above 0, of that shape; it must not be 0 where
        the mean is above 0, nor 1 where it is not
    returns: nats, of that shape; a logged loss below it is not of these pairs
    raises: ValueError for different shapes, or an accuracy that cannot be
    source: Jensen (1906)

    >>> least_loss(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 0.5]))
    tensor([0.6931, 0.3556])
    """
    validate.tensors(margin=margin, accuracy=accuracy)
    carrying = torch.where(margin > 0, accuracy, 1 - accuracy)
    if not validate.holds((carrying > 0) & (carrying <= 1)):
        raise ValueError("accuracy must be in [0, 1], and allow the sign of margin")
    loss = carrying * -F.logsigmoid(margin / carrying)
    return loss + (1 - carrying) * math.log(2)


def beta_from_moves(rewards: Tensor, logps: Tensor) -> Tensor:
    """β of a run, from what it logged of the same pairs again and again.

    Δreward = β Δlogp, both since the first evaluation: the reference cancels. All of
    them together give β by least squares, Σ Δreward Δlogp / Σ Δlogp²

    rewards: implicit rewards, with β, (sides, evaluations)
    logps: response log-probs of the policy, nats, of that shape
    returns: one number, reward per nat; NaN if no log-prob has moved
    raises: ValueError for different shapes
    source: the definition of the implicit reward, Rafailov et al. (2023), Eq. 5

    >>> logps = torch.tensor([[-9.0, -9.0, -11.0], [-8.0, -9.0, -12.0]])
    >>> beta_from_moves(0.1 * (logps + 9.5), logps)
    tensor(0.1000)
    """
    validate.tensors(rewards=rewards, logps=logps)
    earned = rewards - rewards[..., :1]
    moved = logps - logps[..., :1]
    return (earned * moved).sum() / (moved**2).sum()


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


def reference_kl_terms(policy_logps: Tensor, ref_logps: Tensor) -> Tensor:
    """KL(π‖π_ref) estimated from responses that the reference wrote, one term each.

    ρ log ρ − ρ + 1,  with ρ = π(y)/π_ref(y)

    The mean of ρ log ρ over the reference's samples is KL(π‖π_ref), and that of ρ is 1:
    the terms are unbiased, and never negative

    policy_logps, ref_logps: response log-probs, sums, of the reference's samples,
        (batch,)
    returns: nats, (batch,). A few large ρ rule the mean once π is far away
    raises: ValueError on bad shapes
    source: Schulman (2020), whose k3 it is with the two policies exchanged

    >>> reference_kl_terms(torch.tensor([-1.0, -2.0]), torch.tensor([-2.0, -2.0]))
    tensor([1.0000, 0.0000])
    """
    validate.batch(policy_logps=policy_logps, ref_logps=ref_logps)
    logratios = policy_logps - ref_logps
    return logratios.exp() * logratios - torch.expm1(logratios)
