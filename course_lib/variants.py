"""The other losses of the family, all methods in one table, and where each one leads.

The chapters derive the losses of `losses`; these are compared with them. A loss of the
FOUR is written here as a formula in u and v, the log-ratios of the chosen and of the
rejected answer: `of_pairs` adds the four arguments, their checks and the reduction.
"""

import inspect
import math
from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import losses, validate
from course_lib.losses import _logratios, _per_token
from course_lib.preferences import share_preferred

__all__ = [
    "METHODS",
    "REFERENCE_FREE",
    "LossSettings",
    "Method",
    "PairLogps",
    "apo_down_loss",
    "apo_zero_loss",
    "bco_loss",
    "cpo_loss",
    "dpo_nll_loss",
    "exo_loss",
    "hinge_loss",
    "length_normalized_dpo_loss",
    "loss_optimum",
    "measures",
    "nca_loss",
    "preference_losses",
    "sppo_loss",
]

FOUR = tuple(inspect.signature(_logratios).parameters)


def of_pairs(formula: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Turn a formula in (u, v, …) into a loss of the FOUR, checked and reduced."""
    own = list(inspect.signature(formula).parameters.values())[2:]
    kinds = inspect.Parameter
    signature = inspect.Signature(
        [kinds(name, kinds.POSITIONAL_OR_KEYWORD, annotation=Tensor) for name in FOUR]
        + own
        + [kinds("reduction", kinds.KEYWORD_ONLY, default="mean", annotation=str)],
        return_annotation=Tensor,
    )

    @wraps(formula)
    def loss(*args, **kwargs) -> Tensor:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        four = {name: given.arguments.pop(name) for name in FOUR}
        reduction = given.arguments.pop("reduction")
        u, v = _logratios(**four)
        if "beta" in given.arguments:
            validate.number("beta", given.arguments["beta"])
        return validate.reduce(formula(u, v, **given.arguments), reduction)

    loss.__signature__ = signature
    return loss


@of_pairs
def hinge_loss(u, v, beta: float):
    """SLiC's hinge on DPO's margin: no gradient once the margin βh reaches 1.

    max(0, 1 − βh)

    source: Zhao et al. (2023), SLiC-HF, there without a reference and with an NLL term.


    >>> hinge_loss(*torch.zeros(4, 1), beta=0.1)
    tensor(1.)
    """
    return F.relu(1 - beta * (u - v))


@of_pairs
def length_normalized_dpo_loss(
    u, v, chosen_lengths: Tensor, rejected_lengths: Tensor, beta: float
):
    """DPO on per-token log-ratios, so that long answers get no larger say.

    −log σ( β (u/|y_w| − v/|y_l|) )

    chosen_lengths, rejected_lengths: numbers of response tokens, shape (batch,), ≥ 1
    beta: about 5 where plain DPO takes 0.1, since the averages are smaller
    source: Lambert et al. (2024), Tülu 3.

    >>> four, ten = torch.tensor([[10.0], [0.0], [0.0], [0.0]]), torch.tensor([10])
    >>> length_normalized_dpo_loss(*four, ten, ten, beta=1.0)      # −ln σ(1)
    tensor(0.3133)
    """
    u, v = _per_token(u, v, chosen_lengths, rejected_lengths)
    return -F.logsigmoid(beta * (u - v))


@of_pairs
def dpo_nll_loss(u, v, nll: Tensor, beta: float, *, weight: float):
    """DPO plus the chosen answer's negative log-likelihood, against displacement.

    −log σ(βh) + weight · NLL(y_w)

    nll: of the chosen answers, shape (batch,); Pang et al. divide it by |y_w|
    weight: > 0
    source: Pang et al. (2024), iterative reasoning preference optimization.

    >>> dpo_nll_loss(*torch.zeros(4, 1), torch.ones(1), beta=0.1, weight=1.0)
    tensor(1.6931)
    """
    validate.number("weight", weight)
    validate.tensors(nll=nll, logratios=u)
    return -F.logsigmoid(beta * (u - v)) + weight * nll


@of_pairs
def exo_loss(u, v, beta: float, *, label_smoothing: float = 1e-3):
    """EXO for pairs: reverse KL from the policy's opinion of a pair to the label's.

    q log( q/(1 − ε) ) + (1 − q) log( (1 − q)/ε ),  q = σ(βh)

    label_smoothing: ε in (0, ½); at 0 the label's own probabilities would be 0 and 1
    source: Ji et al. (2024), EXO-pref for two answers; Eq. 16 in TRL.

    >>> exo_loss(*torch.zeros(4, 1), beta=0.1, label_smoothing=0.25)
    tensor(0.1438)
    """
    validate.number("label_smoothing", label_smoothing, below=0.5)
    margin = beta * (u - v)
    right = F.logsigmoid(margin) - math.log1p(-label_smoothing)
    wrong = F.logsigmoid(-margin) - math.log(label_smoothing)
    return torch.sigmoid(margin) * right + torch.sigmoid(-margin) * wrong


@of_pairs
def nca_loss(u, v, beta: float):
    """Noise-contrastive alignment: looks at u and v singly, so u cannot fall unseen.

    −log σ(βu) − ½ log σ(−βu) − ½ log σ(−βv)

    source: Chen et al. (2024), NCA for pairs.

    >>> nca_loss(*torch.zeros(4, 1), beta=0.1)     # 2 ln 2
    tensor(1.3863)
    """
    away = F.logsigmoid(-beta * u) + F.logsigmoid(-beta * v)
    return -F.logsigmoid(beta * u) - away / 2


@of_pairs
def bco_loss(u, v, beta: float):
    """Binary classifier optimization for pairs: each answer judged by itself.

    −log σ(βu) − log σ(−βv)

    source: Jung et al. (2024), BCO, without its reward shift δ.

    >>> bco_loss(*torch.zeros(4, 1), beta=0.1)     # 2 ln 2
    tensor(1.3863)
    """
    return -F.logsigmoid(beta * u) - F.logsigmoid(-beta * v)


@of_pairs
def apo_zero_loss(u, v, beta: float):
    """Anchored preference optimization, zero: chosen up, rejected down, each by itself.

    1 − σ(βu) + σ(βv).  For chosen answers better than the model's own.

    source: D'Oosterlinck et al. (2024), APO-zero.

    >>> apo_zero_loss(*torch.zeros(4, 1), beta=0.1)
    tensor(1.)
    """
    return torch.sigmoid(-beta * u) + torch.sigmoid(beta * v)


@of_pairs
def apo_down_loss(u, v, beta: float):
    """Anchored preference optimization, down: both fall, the rejected answer further.

    σ(βu) + 1 − σ(βh).  For pairs that are both worse than the model's own answers.

    source: D'Oosterlinck et al. (2024), APO-down.

    >>> apo_down_loss(*torch.zeros(4, 1), beta=0.1)
    tensor(1.)
    """
    return torch.sigmoid(beta * u) + torch.sigmoid(-beta * (u - v))


@of_pairs
def sppo_loss(u, v, beta: float):
    """Self-play preference optimization with hard labels: a target for each answer.

    ( u − 1/(2β) )² + ( v + 1/(2β) )²

    source: Wu et al. (2024), SPPO.

    >>> sppo_loss(*torch.zeros(4, 1), beta=0.1)    # 5² + 5²
    tensor(50.)
    """
    return (u - 1 / (2 * beta)) ** 2 + (v + 1 / (2 * beta)) ** 2


def cpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    nll: Tensor,
    beta: float,
    *,
    weight: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """Contrastive preference optimization: DPO with a uniform reference, plus SFT.

    −log σ( β (log π_θ(y_w) − log π_θ(y_l)) ) + weight · NLL(y_w)

    policy_chosen_logps, policy_rejected_logps: sums, shape (batch,)
    nll: of the chosen answers, shape (batch,) or a scalar; weight: ≥ 0, 1 in the paper
    beta: > 0, per nat
    source: Xu et al. (2024), CPO, Eq. 5.

    >>> cpo_loss(torch.zeros(1), torch.zeros(1), torch.ones(1), beta=0.1)
    tensor(1.6931)
    """
    validate.batch(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
    )
    validate.one_each(policy_chosen_logps, nll=nll)
    validate.number("beta", beta)
    validate.fraction("weight", weight)
    difference = policy_chosen_logps - policy_rejected_logps
    losses = -F.logsigmoid(beta * difference) + weight * nll
    return validate.reduce(losses, reduction)


# ── the table of methods ──────────────────────────────────────────────────────────────


class LossSettings(NamedTuple):
    """The numbers of the losses. `beta` is IPO's τ and ORPO's weight too."""

    beta: float = 0.5
    gamma: float = 0.5  # SimPO's target margin
    label_smoothing: float = 0.0  # the share of flipped labels, for cDPO and robust DPO
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


Losses = Callable[[PairLogps, LossSettings], Tensor]  # of a batch: (pairs,)


class Method(NamedTuple):
    """What is minimised on a batch of preferences, and what it needs to know."""

    label: str
    losses: Losses
    reads: tuple[str, ...] = ("beta",)  # of LossSettings
    needs_reference: bool = True
    beta_prices_kl: bool = True  # beta is reward per nat, so π* of that β is its aim

    def __call__(self, pairs: PairLogps, k: LossSettings) -> Tensor:
        return self.losses(pairs, k)


def _pairwise(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss of the four log-probs and β."""
    return lambda p, k: loss(*p.four, k.beta, reduction="none")


def _smoothed(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss of the four log-probs, β and ε."""
    return lambda p, k: loss(
        *p.four, k.beta, label_smoothing=k.label_smoothing, reduction="none"
    )


def _per_token_dpo(p: PairLogps, k: LossSettings) -> Tensor:
    lengths = p.chosen_lengths, p.rejected_lengths
    return length_normalized_dpo_loss(*p.four, *lengths, k.beta, reduction="none")


def _dpo_nll(p: PairLogps, k: LossSettings) -> Tensor:
    return dpo_nll_loss(*p.four, p.nll, k.beta, weight=k.nll_weight, reduction="none")


def _kto(p: PairLogps, k: LossSettings) -> Tensor:
    """Each pair is two examples, a good and a bad one; the mean of the two."""
    logps = torch.cat((p.chosen, p.rejected))
    ref = torch.cat((p.ref_chosen, p.ref_rejected))
    good = torch.arange(len(logps), device=logps.device) < len(p.chosen)
    z = p.reference_point
    both = losses.kto_loss(logps, ref, good, z, k.beta, reduction="none")
    return both.view(2, -1).mean(0)


def _orpo(p: PairLogps, k: LossSettings) -> Tensor:
    return losses.orpo_loss(*p.averages, p.nll, weight=k.beta, reduction="none")


def _simpo(p: PairLogps, k: LossSettings) -> Tensor:
    return losses.simpo_loss(*p.averages, k.beta, k.gamma, reduction="none")


def _cpo(p: PairLogps, k: LossSettings) -> Tensor:
    pair = p.chosen, p.rejected, p.nll
    return cpo_loss(*pair, k.beta, weight=k.nll_weight, reduction="none")


_NO_REFERENCE = {"needs_reference": False, "beta_prices_kl": False}
_SMOOTH, _NLL = ("beta", "label_smoothing"), ("beta", "nll_weight")
METHODS: dict[str, Method] = {
    # SFT trains on the chosen responses; the rejected ones are only looked at
    "sft": Method("SFT", lambda p, k: -p.chosen, (), **_NO_REFERENCE),
    "dpo": Method("DPO", _smoothed(losses.dpo_loss), _SMOOTH),  # with ε > 0: cDPO
    "robust": Method("robust DPO", _smoothed(losses.robust_dpo_loss), _SMOOTH),
    "ipo": Method("IPO", _pairwise(losses.ipo_loss), beta_prices_kl=False),  # τ
    "hinge": Method("hinge", _pairwise(hinge_loss)),
    "dpo_norm": Method("length-norm. DPO", _per_token_dpo, beta_prices_kl=False),
    "dpo_nll": Method("DPO + NLL", _dpo_nll, _NLL),
    "nca": Method("NCA", _pairwise(nca_loss)),
    "apo_zero": Method("APO-zero", _pairwise(apo_zero_loss)),
    "kto": Method("KTO", _kto),
    "orpo": Method("ORPO", _orpo, **_NO_REFERENCE),  # λ
    "simpo": Method("SimPO", _simpo, ("beta", "gamma"), **_NO_REFERENCE),
    "cpo": Method("CPO", _cpo, _NLL, **_NO_REFERENCE),
}
REFERENCE_FREE = tuple(n for n, method in METHODS.items() if not method.needs_reference)


def preference_losses(method: str, pairs: PairLogps, settings: LossSettings) -> Tensor:
    """The losses of a batch of pairs, by a method's name.

    method: a name of METHODS; pairs, settings: what it may read
    returns: (pairs,); training minimises their mean
    raises: ValueError for an unknown method, or as the loss

    >>> zeros, ones = torch.zeros(2), torch.ones(2)
    >>> pairs = PairLogps(*[zeros] * 4, ones, ones)
    >>> preference_losses("dpo", pairs, LossSettings(beta=0.1))
    tensor([0.6931, 0.6931])
    """
    validate.choice("method", method, tuple(METHODS))
    return METHODS[method](pairs, settings)


def measures(pairs: PairLogps) -> dict[str, Tensor]:
    """What to watch while training, each a scalar: log-ratios and accuracy.

    returns: chosen_logratio and rejected_logratio, nats; their difference, gap, without
        β; accuracy, the implicit reward's, a tie counting ½. Without a reference they
        are log-probs

    >>> one, ones = torch.ones(1), torch.ones(1)
    >>> measures(PairLogps(one, -one, 0 * one, 0 * one, ones, ones))["gap"]
    tensor(2.)
    """
    four = [logps.detach() for logps in pairs.four]
    chosen, rejected = four[0] - four[2], four[1] - four[3]
    return {
        "chosen_logratio": chosen.mean(),
        "rejected_logratio": rejected.mean(),
        "gap": (chosen - rejected).mean(),
        "accuracy": share_preferred(chosen - rejected),
    }


# ── where a loss leads ────────────────────────────────────────────────────────────────


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

    losses: losses(pairs) of a batch of pairs, (pairs,), as those of METHODS
    ref: probabilities above 0, (responses,); rewards: (responses,)
    label_noise: ε, the share of labels that are flipped, in [0, ½)
    returns: probabilities, (responses,), float64
    raises: ValueError on bad shapes or values, if the loss has no minimum here, or if
        the search stalls, as it does at the kink of a hinge

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

    def expected(logits: Tensor) -> Tensor:
        logps = logits.log_softmax(-1)
        if not logps.isfinite().all():
            raise ValueError("losses have no minimum: the policy runs to infinity")
        pairs = PairLogps(logps[w], logps[l], known[w], known[l], ones, ones, zero)
        return (chance * losses(pairs)).sum()

    fine = {"max_iter": 500, "tolerance_grad": 1e-12, "tolerance_change": 1e-14}
    best = lbfgs(expected, known, **fine)
    slope = torch.autograd.functional.jacobian(expected, best).abs().max().item()
    if slope > 1e-6:  # as at the kink of a hinge
        raise ValueError(
            f"losses: the search for a minimum stalled at slope {slope:.1g}"
        )
    return best.softmax(-1)


def lbfgs(loss: Callable[[Tensor], Tensor], start: Tensor, **settings) -> Tensor:
    """Where a search from `start` ends that goes down a smooth loss."""
    place = start.clone().requires_grad_()
    search = torch.optim.LBFGS([place], line_search_fn="strong_wolfe", **settings)

    def closure() -> Tensor:
        search.zero_grad()
        value = loss(place)
        value.backward()
        return value

    search.step(closure)
    return place.detach()
