"""What is minimised on a batch of preferences: every method of the family, by name.

All of them are functions of response log-probs. The formulas stand in `losses`; here
stands what each of them is given.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import losses, validate

__all__ = [
    "METHODS",
    "REFERENCE_FREE",
    "LossSettings",
    "PairLogps",
    "measures",
    "preference_losses",
]


class LossSettings(NamedTuple):
    """The numbers of the losses. `beta` is IPO's τ and ORPO's weight too."""

    beta: float = 0.5
    gamma: float = 0.5  # SimPO's target margin
    label_smoothing: float = 0.0  # what cDPO and robust DPO believe of the label noise
    nll_weight: float = 1.0  # of the SFT term in CPO and DPO + NLL


class PairLogps(NamedTuple):
    """Response log-probs of a batch, sums in nats, each of shape (pairs,)."""

    chosen: Tensor
    rejected: Tensor
    ref_chosen: Tensor  # zeros for the methods of REFERENCE_FREE
    ref_rejected: Tensor
    chosen_lengths: Tensor
    rejected_lengths: Tensor
    reference_point: Tensor | None = None  # KTO's z: a scalar, detached

    @property
    def four(self) -> tuple[Tensor, ...]:
        return self[:4]

    @property
    def averages(self) -> tuple[Tensor, Tensor]:
        """Of the policy, per token."""
        return self.chosen / self.chosen_lengths, self.rejected / self.rejected_lengths

    @property
    def nll(self) -> Tensor:
        """Of the chosen response, per token of it."""
        return -self.averages[0]


Losses = Callable[[PairLogps, LossSettings], Tensor]


def _pairwise(loss: Callable[..., Tensor], *, smoothed: bool = False) -> Losses:
    """A loss of the four log-probs and β, and perhaps of ε."""

    def losses_of(s: PairLogps, k: LossSettings) -> Tensor:
        more = {"label_smoothing": k.label_smoothing} if smoothed else {}
        return loss(*s.four, k.beta, reduction="none", **more)

    return losses_of


def _kto(s: PairLogps, k: LossSettings) -> Tensor:
    """Each pair is two unpaired examples, a good and a bad one; the mean of the two."""
    chosen, rejected, ref_chosen, ref_rejected = s.four
    logps, ref = torch.cat((chosen, rejected)), torch.cat((ref_chosen, ref_rejected))
    good = torch.arange(len(logps), device=logps.device) < len(chosen)
    both = losses.kto_loss(
        logps, ref, good, s.reference_point, k.beta, reduction="none"
    )
    return both.view(2, -1).mean(0)


METHODS: dict[str, Losses] = {
    "sft": lambda s, k: -s.chosen,  # the rejected ones are only looked at
    "dpo": _pairwise(losses.dpo_loss, smoothed=True),  # with ε > 0: cDPO
    "robust": _pairwise(losses.robust_dpo_loss, smoothed=True),
    "ipo": _pairwise(losses.ipo_loss),
    "hinge": _pairwise(losses.hinge_loss),
    "nca": _pairwise(losses.nca_loss),
    "apo_zero": _pairwise(losses.apo_zero_loss),
    "dpo_norm": lambda s, k: losses.length_normalized_dpo_loss(
        *s.four, s.chosen_lengths, s.rejected_lengths, k.beta, reduction="none"
    ),
    "dpo_nll": lambda s, k: losses.dpo_nll_loss(
        *s.four, s.nll, k.beta, weight=k.nll_weight, reduction="none"
    ),
    "kto": _kto,
    "orpo": lambda s, k: losses.orpo_loss(
        *s.averages, s.nll, weight=k.beta, reduction="none"
    ),
    "simpo": lambda s, k: losses.simpo_loss(
        *s.averages, k.beta, k.gamma, reduction="none"
    ),
    "cpo": lambda s, k: losses.cpo_loss(
        s.chosen, s.rejected, s.nll, k.beta, weight=k.nll_weight, reduction="none"
    ),
}
REFERENCE_FREE = ("sft", "orpo", "simpo", "cpo")


def preference_losses(method: str, scores: PairLogps, knobs: LossSettings) -> Tensor:
    """The losses of a batch of pairs, by a method's name.

    method: a name of METHODS; scores, knobs: what it may read
    returns: (pairs,); training minimises their mean
    raises: ValueError for an unknown method, or as the loss

    >>> zeros, ones = torch.zeros(2), torch.ones(2)
    >>> logps = PairLogps(*[zeros] * 4, ones, ones)
    >>> preference_losses("dpo", logps, LossSettings(beta=0.1))
    tensor([0.6931, 0.6931])
    """
    validate.choice("method", method, tuple(METHODS))
    return METHODS[method](scores, knobs)


def measures(scores: PairLogps) -> dict[str, Tensor]:
    """What to watch while training, each a scalar: log-ratios and accuracy.

    returns: chosen_logratio and rejected_logratio, nats; their difference, gap, without
        β; accuracy, the implicit reward's, a tie counting ½. Without a reference they
        are log-probs

    >>> one, ones = torch.ones(1), torch.ones(1)
    >>> measures(PairLogps(one, -one, 0 * one, 0 * one, ones, ones))["gap"]
    tensor(2.)
    """
    four = [logps.detach() for logps in scores.four]
    chosen, rejected = four[0] - four[2], four[1] - four[3]
    gap = chosen - rejected
    return {
        "chosen_logratio": chosen.mean(),
        "rejected_logratio": rejected.mean(),
        "gap": gap.mean(),
        "accuracy": ((1 + gap.sign()) / 2).mean(),
    }
