"""Tables of preferences: how often each answer beats each other one, whoever is asked.

P, shape (answers, answers), has P[i, j] + P[j, i] = 1. It may be that of a reward, of a
crowd that no reward describes, or of a game in which everything is beaten by something.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib import validate

__all__ = ["drawn_wins", "expected_pair_loss", "mixed_preferences", "win_rates"]


def mixed_preferences(rewards: Tensor, shares: Tensor) -> Tensor:
    """What a crowd of several groups prefers, each group by a reward of its own.

    P(i ≻ j) = Σ_g w_g σ( r_g(i) − r_g(j) )

    rewards: of each group, shape (groups, answers); shares: w, shape (groups,), sum 1
    returns: the table P, shape (answers, answers), ½ on the diagonal
    raises: ValueError on bad shapes, or shares that are no probabilities
    source: the definition; Siththaranjan et al. (2023) call the group a hidden context

    >>> rewards = torch.tensor([[90.0, 0.0], [0.0, 90.0]])      # each sure of itself
    >>> mixed_preferences(rewards, torch.tensor([0.75, 0.25]))
    tensor([[0.5000, 0.7500],
            [0.2500, 0.5000]])
    """
    validate.tensors(rewards=rewards)
    validate.probabilities(shares=shares)
    validate.layout("groups answers, groups", rewards=rewards, shares=shares)
    each = torch.sigmoid(rewards[:, :, None] - rewards[:, None])  # (groups, i, j)
    return (shares[:, None, None] * each).sum(0)


def win_rates(preferences: Tensor, opponent: Tensor) -> Tensor:
    """How often each answer beats an answer that the opponent draws: its Borda score.

    P(i ≻ μ) = Σ_j μ_j P(i ≻ j)

    preferences: a table, (answers, answers); opponent: μ, probabilities, (…, answers)
    returns: shape (…, answers); the opponent's own mean of them is ½
    raises: ValueError if preferences is no table, or opponent no policy of its size
    source: Borda (1781), with every opponent counted as often as it is met

    >>> table = torch.tensor([[0.5, 0.8], [0.2, 0.5]])
    >>> win_rates(table, torch.tensor([0.5, 0.5]))
    tensor([0.6500, 0.3500])
    """
    _require_table(preferences)
    _require_policy(preferences, opponent=opponent)
    return opponent @ preferences.T


def drawn_wins(preferences: Tensor, sampler: Tensor) -> Tensor:
    """The table of wins that endless pairs give when `sampler` draws both answers.

    μ_i μ_j P(i ≻ j), and 0 on the diagonal: an answer against itself tells nothing

    preferences: a table, (answers, answers); sampler: μ, probabilities, (answers,)
    returns: for `preferences.fit_bradley_terry`, shape (answers, answers)
    raises: as `win_rates`, and ValueError unless sampler is a single policy

    >>> table = torch.tensor([[0.5, 0.8], [0.2, 0.5]])
    >>> drawn_wins(table, torch.tensor([0.5, 0.5]))
    tensor([[0.0000, 0.2000],
            [0.0500, 0.0000]])
    """
    _require_table(preferences)
    _require_policy(preferences, sampler=sampler)
    validate.layout("answers", sampler=sampler)
    wins = sampler[:, None] * sampler * preferences
    return wins - wins.diagonal().diag()


def expected_pair_loss(
    loss: Callable[[Tensor], Tensor],
    logits: Tensor,
    ref: Tensor,
    preferences: Tensor,
    sampler: Tensor,
) -> Tensor:
    """A loss of the gap, averaged over all pairs and, exactly, over who wins.

    Σ_ij μ_i μ_j P(i ≻ j) ℓ(h_ij),  h_ij = log π(i)/π_ref(i) − log π(j)/π_ref(j)

    loss: of gaps in nats, such as `lambda h: -torch.nn.functional.logsigmoid(0.1 * h)`
    logits: of the policy, (answers,); ref, sampler: probabilities, (answers,)
    preferences: a table, (answers, answers)
    returns: a scalar in the unit of the loss
    raises: ValueError if preferences is no table, ref or sampler no policy, logits of
        another shape, or ref is 0 for an answer (a gap to it is infinite)

    >>> table, half = torch.tensor([[0.5, 0.8], [0.2, 0.5]]), torch.tensor([0.5, 0.5])
    >>> expected_pair_loss(lambda h: h, torch.tensor([1.0, 0.0]), half, table, half)
    tensor(0.1500)
    """
    _require_table(preferences)
    _require_policy(preferences, ref=ref, sampler=sampler)
    validate.layout("answers, answers", logits=logits, ref=ref)
    if (ref == 0).any():
        raise ValueError("ref must be above 0 for every answer")
    logratios = logits - ref.log()  # log Z of the softmax cancels in a gap
    gaps = logratios[:, None] - logratios
    return (sampler[:, None] * sampler * preferences * loss(gaps)).sum()


def _require_table(preferences: Tensor):
    validate.tensors(preferences=preferences)
    validate.layout("answers answers", preferences=preferences)
    near = torch.finfo(preferences.dtype).eps ** 0.5
    off = (preferences + preferences.T - 1).abs()
    if (preferences < 0).any() or (off > near).any():
        raise ValueError("preferences must be ≥ 0, with P[i, j] + P[j, i] = 1")


def _require_policy(preferences: Tensor, **named: Tensor):
    validate.probabilities(**named)
    for name, policy in named.items():
        if policy.shape[-1] != len(preferences):
            raise ValueError(
                f"{name} has {policy.shape[-1]} answers, preferences {len(preferences)}"
            )
