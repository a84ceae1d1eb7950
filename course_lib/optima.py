"""Where a loss leads when every pair is seen, in exact proportion: its optimum."""

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib import validate
from course_lib.methods import PairLogps

__all__ = ["loss_optimum"]


def loss_optimum(
    losses: Callable[[PairLogps], Tensor],
    ref: Tensor,
    rewards: Tensor,
    *,
    label_noise: float = 0.0,
) -> Tensor:
    """The policy over one prompt's responses that minimises a loss on all its pairs.

    minimise Σ_{w≠l} π_ref(w) π_ref(l) P(w ≻ l) loss(w, l),
    P(w ≻ l) = (1 − ε) σ(r_w − r_l) + ε σ(r_l − r_w)

    A response is one token long, so that sums and averages are the same, and KTO's
    reference point is 0. One free logit a response; L-BFGS from the reference

    losses: losses(scores) of a batch of pairs, (pairs,), as those of `objectives`
    ref: probabilities above 0, (responses,); rewards: (responses,)
    label_noise: ε, the share of labels that are turned round, in [0, ½)
    returns: probabilities, (responses,), float64
    raises: ValueError on bad shapes or values, or if the loss has no minimum here

    >>> from course_lib.losses import dpo_loss
    >>> half, zero = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 0.0])
    >>> loss_optimum(lambda s: dpo_loss(*s.four, 0.5, reduction="none"), half, zero)
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    validate.batch(ref=ref, rewards=rewards)
    validate.fraction("label_noise", label_noise, below=0.5)
    if (ref <= 0).any():
        raise ValueError("ref must be above 0 for every response")
    known, rewards = ref.double().log(), rewards.double()
    w, l = (~torch.eye(len(ref), dtype=torch.bool)).nonzero().T  # noqa: E741
    right = torch.sigmoid(rewards[w] - rewards[l])
    drawn = (known[w] + known[l]).exp()
    chance = drawn * ((1 - label_noise) * right + label_noise * (1 - right))
    chance = chance / chance.sum()
    ones, zero = torch.ones_like(chance), torch.zeros((), dtype=torch.float64)
    logits = known.clone().requires_grad_()
    search = torch.optim.LBFGS(
        [logits],
        max_iter=500,
        tolerance_grad=1e-12,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure():
        search.zero_grad()
        logps = logits.log_softmax(-1)
        if not logps.isfinite().all():
            raise ValueError("losses have no minimum: the policy runs to infinity")
        scores = PairLogps(logps[w], logps[l], known[w], known[l], ones, ones, zero)
        loss = (chance * losses(scores)).sum()
        loss.backward()
        return loss

    search.step(closure)
    return logits.detach().softmax(-1)
