"""Preferences as a game: two policies meet, and each answer may beat and be beaten.

The Nash policy is the one that no other policy beats: P(π′ ≻ π_N) ≤ ½ for all π′.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib import validate
from course_lib.limits.comparisons import expected_pair_loss, win_rates
from course_lib.policies import optimal_policy

__all__ = ["nash_gap", "preference_path", "regularised_nash", "self_play_step"]


def nash_gap(policy: Tensor, preferences: Tensor) -> Tensor:
    """By how much its best opponent wins more than half of the games with a policy.

    max_i P(i ≻ π) − ½; a single answer is as good an opponent as any mixture

    policy: probabilities, (…, answers); preferences: a table, (answers, answers)
    returns: in [0, ½], shape (…); 0 for a Nash policy, and for nothing else
    raises: as `comparisons.win_rates`
    source: the exploitability of a symmetric game; Munos et al. (2023) for preferences

    >>> circle = torch.tensor([[0.5, 0.2, 0.8], [0.8, 0.5, 0.2], [0.2, 0.8, 0.5]])
    >>> nash_gap(torch.tensor([1.0, 0.0, 0.0]), circle)     # paper beats rock, 8 of 10
    tensor(0.3000)
    """
    return win_rates(preferences, policy).amax(-1) - 0.5


def self_play_step(policy: Tensor, preferences: Tensor, eta: float) -> Tensor:
    """One round of self-play: answers gain by how often they beat the policy itself.

    π′(y) ∝ π(y) e^{η P(y ≻ π)}

    policy: probabilities, (…, answers); an answer at 0 stays at 0
    preferences: a table, (answers, answers); eta: how large a step, > 0
    returns: probabilities, (…, answers)
    raises: as `comparisons.win_rates`, and ValueError if eta ≤ 0
    source: Wu et al. (2024), SPPO, the update that its loss aims at; multiplicative
        weights of Freund and Schapire (1999)

    >>> table = torch.tensor([[0.5, 1.0], [0.0, 0.5]])        # odds e^{½} : 1 in a step
    >>> self_play_step(torch.tensor([0.5, 0.5]), table, eta=1.0)
    tensor([0.6225, 0.3775])
    """
    validate.number("eta", eta)
    return optimal_policy(policy, win_rates(preferences, policy), 1 / eta)


def regularised_nash(ref: Tensor, preferences: Tensor, tau: float) -> Tensor:
    """The Nash policy of the game in which straying from the reference costs τ KL.

    π(y) ∝ π_ref(y) e^{P(y ≻ π)/τ}: the best answer to itself

    ref: probabilities, (answers,); preferences: a table; tau: > 0, wins per nat
    returns: probabilities, (answers,)
    raises: as `comparisons.win_rates`, and ValueError if tau ≤ 0 or so small that the
        search does not settle
    source: Munos et al. (2023), Nash-MD; the search is theirs, with a fixed step

    >>> half, table = torch.tensor([0.5, 0.5]), torch.tensor([[0.5, 1.0], [0.0, 0.5]])
    >>> regularised_nash(half.double(), table.double(), tau=0.5)         # odds e : 1
    tensor([0.7311, 0.2689], dtype=torch.float64)
    """
    validate.number("tau", tau)
    policy, step = ref, min(1.0, tau)
    for _ in range(100_000):
        aim = optimal_policy(ref, win_rates(preferences, policy), tau)
        moved = optimal_policy(policy, (aim / policy).log().nan_to_num(0.0), 1 / step)
        if (moved - policy).abs().max() <= torch.finfo(ref.dtype).eps:
            return moved
        policy = moved
    raise ValueError(f"tau = {tau} is too small: the search does not settle")


def preference_path(
    loss: Callable[[Tensor], Tensor],
    ref: Tensor,
    preferences: Tensor,
    *,
    steps: int,
    lr: float,
    own_pairs: bool = False,
    start: Tensor | None = None,
) -> Tensor:
    """Where plain gradient descent takes a policy on an exact expected loss of pairs.

    loss: of gaps in nats, as for `comparisons.expected_pair_loss`
    ref: probabilities above 0, (answers,), which the gaps are counted from
    preferences: a table, (answers, answers); steps: ≥ 1; lr: > 0
    own_pairs: whether each step's pairs are drawn by the policy itself (which has no
        gradient through the draw), or all of them by ref
    start: where it begins, a policy above 0; None for ref
    returns: the policies, (steps + 1, answers), the first being the start
    raises: as `expected_pair_loss`, and ValueError for a value outside its range

    >>> half, table = torch.tensor([0.5, 0.5]), torch.tensor([[0.5, 1.0], [0.0, 0.5]])
    >>> preference_path(lambda h: -h, half, table, steps=1, lr=1.0)[1]  # e^{½} : 1
    tensor([0.6225, 0.3775])
    """
    validate.at_least(1, steps=steps)
    validate.number("lr", lr)
    logits = (ref if start is None else start).log().clone().requires_grad_()
    found = [logits.detach().softmax(-1)]
    for _ in range(steps):
        sampler = found[-1] if own_pairs else ref
        value = expected_pair_loss(loss, logits, ref, preferences, sampler)
        (slope,) = torch.autograd.grad(value, logits)
        logits = (logits - lr * slope).detach().requires_grad_()
        found.append(logits.detach().softmax(-1))
    return torch.stack(found)
