"""DPO and its family, as functions of response log-probabilities.

FOUR, the first arguments of every loss that compares a pair with a reference, are

    policy_chosen_logps, policy_rejected_logps    log π_θ(y|x), summed over tokens
    ref_chosen_logps, ref_rejected_logps          log π_ref(y|x), the same

each of shape (batch,), in nats. From them u = log π_θ/π_ref of the chosen answer, v of
the rejected one, and the gap h = u − v: all without β, which is > 0, in reward per nat.

Every loss is to be minimised, takes reduction="mean", "sum" or "none" as in
torch.nn.functional, and returns a scalar, or shape (batch,) with "none"; in nats unless
it says otherwise. Each raises ValueError on unequal shapes, an empty batch, NaN,
infinity, or β ≤ 0. In `torch.compile(fullgraph=True)` and on the meta device values are
not looked at; `torch.func.vmap` does not work, and is not needed: a loss takes a whole
batch.

These are the losses that the chapters derive and the exercises ask for. The others, and
the table of all methods, are in `variants`; they can be imported from here as well.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import validate
from course_lib.preferences import plackett_luce_log_prob, share_preferred

__all__ = [
    "dpo_gradients",
    "dpo_loss",
    "dpo_metrics",
    "f_dpo_loss",
    "implicit_preference_probability",
    "implicit_reward_accuracy",
    "ipo_loss",
    "kto_loss",
    "kto_reference_point",
    "orpo_loss",
    "plackett_luce_dpo_loss",
    "robust_dpo_loss",
    "simpo_loss",
]


def __getattr__(name: str) -> Any:
    from course_lib import variants

    if name in variants.__all__:
        return getattr(variants, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def dpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float = 0.1,
    *,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Direct Preference Optimization; with label smoothing, conservative DPO (cDPO).

    −(1 − ε) log σ(βh) − ε log σ(−βh)

    label_smoothing: ε in [0, ½), the believed share of flipped labels. ε > 0 puts the
        minimum at a finite gap, h = log((1 − ε)/ε) / β.
    source: Rafailov et al. (2023), Eq. 7; Mitchell (2023) for ε.

    >>> dpo_loss(*torch.tensor([[-1.0], [-3.0], [-2.0], [-2.0]]), beta=0.1)  # −ln σ(.2)
    tensor(0.5981)
    """
    validate.batch(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        ref_chosen_logps=ref_chosen_logps,
        ref_rejected_logps=ref_rejected_logps,
    )
    validate.number("beta", beta)
    validate.fraction("label_smoothing", label_smoothing, below=0.5)
    chosen_logratios = policy_chosen_logps - ref_chosen_logps  # (batch,), nats
    rejected_logratios = policy_rejected_logps - ref_rejected_logps
    margin = beta * (chosen_logratios - rejected_logratios)
    right, flipped = -F.logsigmoid(margin), -F.logsigmoid(-margin)
    losses = (1 - label_smoothing) * right + label_smoothing * flipped
    return validate.reduce(losses, reduction)


def robust_dpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float,
    *,
    label_smoothing: float,
    reduction: str = "mean",
) -> Tensor:
    """Robust DPO: unbiased under label flips, at the price of having no lower bound.

    [ −(1 − ε) log σ(βh) + ε log σ(−βh) ] / (1 − 2ε)

    label_smoothing: ε in [0, ½), the share of flipped labels. Averaged over flips at
        that rate this is the DPO loss of the clean labels; on one pair it can be < 0.
    source: Chowdhury et al. (2024), robust DPO.

    >>> robust_dpo_loss(*torch.zeros(4, 1), beta=0.1, label_smoothing=0.2)
    tensor(0.6931)
    """
    u, v = _logratios(
        policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps
    )
    validate.number("beta", beta)
    validate.fraction("label_smoothing", label_smoothing, below=0.5)
    margin = beta * (u - v)
    # the same, with log σ(−m) = log σ(m) − m put in, so that nothing cancels
    excess = label_smoothing / (1 - 2 * label_smoothing) * margin
    return validate.reduce(-F.logsigmoid(margin) - excess, reduction)


def ipo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    tau: float,
    *,
    chosen_lengths: Tensor | None = None,
    rejected_lengths: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Identity Preference Optimization: a finite target for the gap.

    ( h − 1/(2τ) )²

    tau: regularisation strength, > 0; the target is 1/(2τ) nats
    chosen_lengths, rejected_lengths: none for sums over tokens, which log π of a whole
        answer is. Give the numbers of response tokens, shape (batch,), for averages:
        then the target is in nats *per token*
    source: Azar et al. (2024), Eq. 17, which says nothing of tokens. TRL averages, and
        its source has that from the paper's authors.

    >>> ipo_loss(*torch.zeros(4, 1), tau=0.1)      # (0 − 5)²
    tensor(25.)
    """
    u, v = _logratios(
        policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps
    )
    validate.number("tau", tau)
    if (chosen_lengths is None) != (rejected_lengths is None):
        raise ValueError("give chosen_lengths and rejected_lengths both, or neither")
    if chosen_lengths is not None:
        u, v = _per_token(u, v, chosen_lengths, rejected_lengths)
    return validate.reduce((u - v - 1 / (2 * tau)) ** 2, reduction)


def f_dpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float,
    *,
    divergence: str,
    alpha: float | None = None,
    reduction: str = "mean",
) -> Tensor:
    """DPO with another divergence in place of the reverse KL.

    −log σ( β [f′(e^u) − f′(e^v)] ), up to a constant that cancels:
    "reverse_kl"  f′ = u                    "forward_kl"  f′ = −e^{−u}
    "js"          f′ = log σ(u)             "alpha"       f′ = (1 − e^{−αu}) / α

    divergence: one of those four; alpha in (0, 1) is needed by "alpha" and refused by
        the others. TRL's coefficient is 1 − α.
    raises: also ValueError where e^{−u} overflows: at log-ratios below −88 in float32,
        below −709 in float64
    source: Wang et al. (2024), f-DPO, Table 1.

    >>> four = torch.tensor([[-1.0], [-3.0], [-2.0], [-2.0]])
    >>> f_dpo_loss(*four, beta=0.1, divergence="reverse_kl")
    tensor(0.5981)
    """
    u, v = _logratios(
        policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps
    )
    validate.number("beta", beta)
    validate.choice(
        "divergence", divergence, ("reverse_kl", "forward_kl", "js", "alpha")
    )
    if (alpha is None) == (divergence == "alpha"):
        raise ValueError('alpha goes with divergence="alpha", and only with it')
    if alpha is not None:
        validate.number("alpha", alpha, below=1.0)

    def f_prime(logratios: Tensor) -> Tensor:
        if divergence == "reverse_kl":
            return logratios
        if divergence == "js":
            return F.logsigmoid(logratios)
        order = 1.0 if divergence == "forward_kl" else alpha
        return -torch.expm1(-order * logratios) / order

    gap = f_prime(u) - f_prime(v)
    if not validate.holds(gap.isfinite()):
        raise ValueError(f'divergence="{divergence}" overflows at these log-ratios')
    return validate.reduce(-F.logsigmoid(beta * gap), reduction)


def plackett_luce_dpo_loss(
    policy_logps: Tensor,
    ref_logps: Tensor,
    ranking: Tensor,
    beta: float,
    *,
    reduction: str = "mean",
) -> Tensor:
    """DPO on whole rankings of k answers; with k = 2 it is `dpo_loss`.

    −log P_PL(ranking | β log π_θ/π_ref), the sum over the k − 1 stages

    policy_logps, ref_logps: response log-probs, sums, shape (batch, k)
    ranking: indices from best to worst, shape (batch, k): [2, 0, 1] is "answer 2 first"
    beta: > 0, in reward per nat
    returns: nats, log k! when policy and reference agree
    raises: ValueError if `ranking` is not a permutation, or on bad shapes
    source: Rafailov et al. (2023), App. A.3, Eq. 20.

    >>> zeros = torch.zeros(1, 3)
    >>> order = torch.tensor([[2, 0, 1]])
    >>> plackett_luce_dpo_loss(zeros, zeros, order, beta=0.1)      # ln 3!
    tensor(1.7918)
    """
    validate.tensors(policy_logps=policy_logps, ref_logps=ref_logps)
    if policy_logps.ndim != 2:
        raise ValueError(f"policy_logps must be (batch, k), got {policy_logps.shape}")
    validate.number("beta", beta)
    rewards = beta * (policy_logps - ref_logps)
    return validate.reduce(-plackett_luce_log_prob(rewards, ranking), reduction)


def kto_loss(
    policy_logps: Tensor,
    ref_logps: Tensor,
    desirable: Tensor,
    kl: Tensor | float,
    beta: float,
    *,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """Kahneman–Tversky optimization: thumbs up or down on single answers, no pairs.

    λ_D (1 − σ(β(u − z)))  if desirable,  λ_U (1 − σ(β(z − u)))  if not

    policy_logps, ref_logps: response log-probs, sums, shape (batch,)
    desirable: booleans, shape (batch,); a batch may be of one kind only
    kl: the reference point z ≥ 0 from `kto_reference_point`, in nats, without gradient;
        0 makes this APO-zero for unpaired answers
    desirable_weight, undesirable_weight: λ > 0. To balance n_D against n_U examples the
        authors want λ_D n_D / (λ_U n_U) between 1 and 3/2.
    returns: a scalar or (batch,), between 0 and λ, without unit
    raises: ValueError on bad shapes, a kl that is negative or carries gradient
    source: Ethayarajh et al. (2024), Eq. 8.

    >>> one = torch.zeros(1)
    >>> kto_loss(one, one, torch.tensor([True]), kl=0.0, beta=0.1)
    tensor(0.5000)
    """
    validate.batch(policy_logps=policy_logps, ref_logps=ref_logps)
    validate.are_tensors(desirable=desirable)
    if desirable.dtype != torch.bool or desirable.shape != policy_logps.shape:
        raise ValueError("desirable must hold booleans, one for each example")
    if isinstance(kl, Tensor) and kl.requires_grad:
        raise ValueError("kl must not carry gradient: detach the reference point")
    validate.fraction("kl", kl)
    validate.number("beta", beta)
    validate.number("desirable_weight", desirable_weight)
    validate.number("undesirable_weight", undesirable_weight)
    surplus = beta * (policy_logps - ref_logps - kl)
    losses = torch.where(
        desirable,
        desirable_weight * torch.sigmoid(-surplus),
        undesirable_weight * torch.sigmoid(surplus),
    )
    return validate.reduce(losses, reduction)


def kto_reference_point(policy_kl_logps: Tensor, ref_kl_logps: Tensor) -> Tensor:
    """KTO's reference point: a rough, non-negative KL of the policy from the reference.

    z = max( 0, mean log π_θ(y′|x)/π_ref(y′|x) ),  y′ another prompt's answer

    policy_kl_logps, ref_kl_logps: log-probs, sums, of *mismatched* pairs (prompt i with
        answer i + 1, say), shape (batch,), batch ≥ 2
    returns: a scalar in nats, detached
    raises: ValueError on bad shapes or a batch of one, which cannot be mismatched
    source: Ethayarajh et al. (2024), §4.1.

    >>> kto_reference_point(torch.tensor([-5.0, -6.0]), torch.tensor([-6.0, -6.0]))
    tensor(0.5000)
    """
    validate.batch(policy_kl_logps=policy_kl_logps, ref_kl_logps=ref_kl_logps)
    if len(policy_kl_logps) < 2:
        raise ValueError("policy_kl_logps needs two mismatched pairs or more")
    return (policy_kl_logps - ref_kl_logps).mean().clamp(min=0).detach()


def orpo_loss(
    policy_chosen_avg_logps: Tensor,
    policy_rejected_avg_logps: Tensor,
    nll: Tensor,
    *,
    weight: float,
    reduction: str = "mean",
) -> Tensor:
    """Odds-ratio preference optimization: SFT plus a push on the odds, no reference.

    NLL − weight · log σ( log odds(y_w) − log odds(y_l) ),  odds = p / (1 − p)

    policy_…_avg_logps: log-probs *averaged* over response tokens, < 0, shape (batch,).
        Sums would make p so small that odds and probability coincide.
    nll: negative log-likelihood, shape (batch,) or a scalar. The paper and TRL take it
        over prompt and answer, others over the answer alone.
    weight: λ > 0; the paper uses 0.1 to 0.25
    raises: ValueError where an average is ≥ 0 (the odds of certainty are infinite)
    source: Hong et al. (2024), Eq. 6 and 7.

    >>> a, b = torch.tensor([-0.5]), torch.tensor([-2.0])
    >>> orpo_loss(a, b, torch.zeros(1), weight=1.0)
    tensor(0.0967)
    """
    validate.batch(
        policy_chosen_avg_logps=policy_chosen_avg_logps,
        policy_rejected_avg_logps=policy_rejected_avg_logps,
    )
    if not validate.holds(
        torch.maximum(policy_chosen_avg_logps, policy_rejected_avg_logps) < 0
    ):
        raise ValueError("policy_…_avg_logps must be < 0: certain answers have no odds")
    validate.one_each(policy_chosen_avg_logps, nll=nll)
    validate.number("weight", weight)
    push = _odds_ratio_loss(policy_chosen_avg_logps, policy_rejected_avg_logps)
    return validate.reduce(nll + weight * push, reduction)


def simpo_loss(
    policy_chosen_avg_logps: Tensor,
    policy_rejected_avg_logps: Tensor,
    beta: float,
    gamma: float,
    *,
    gamma_is_ratio: bool = False,
    alpha: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """SimPO: average log-probs as the reward, a target margin, no reference.

    −log σ( β (a_w − a_l) − γ ),  a = (1/|y|) log π_θ(y|x)

    policy_…_avg_logps: log-probs *averaged* over response tokens, shape (batch,)
    beta: > 0, usually 2 to 10; gamma: target margin ≥ 0, in units of β a
    gamma_is_ratio: the paper and TRL's `simpo_gamma` mean γ; the authors' own training
        script and open-instruct set the ratio γ/β. True takes it that way.
    alpha: AlphaPO replaces a by (1 − e^{−αa})/α; its limit at 0 is SimPO.
    source: Meng et al. (2024), Eq. 6; Gupta et al. (2025) for α.

    >>> a, b = torch.tensor([-1.0]), torch.tensor([-2.0])
    >>> simpo_loss(a, b, beta=2.0, gamma=2.0)
    tensor(0.6931)
    """
    validate.batch(
        policy_chosen_avg_logps=policy_chosen_avg_logps,
        policy_rejected_avg_logps=policy_rejected_avg_logps,
    )
    validate.number("beta", beta)
    validate.fraction("gamma", gamma)
    difference = policy_chosen_avg_logps - policy_rejected_avg_logps
    validate.number("alpha", alpha, above=-math.inf)
    if alpha != 0:
        chosen = -torch.expm1(-alpha * policy_chosen_avg_logps) / alpha
        rejected = -torch.expm1(-alpha * policy_rejected_avg_logps) / alpha
        difference = chosen - rejected
        if not validate.holds(difference.isfinite()):
            raise ValueError(f"alpha = {alpha} overflows at these log-probs")
    target = beta * gamma if gamma_is_ratio else gamma
    return validate.reduce(-F.logsigmoid(beta * difference - target), reduction)


def dpo_gradients(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float,
) -> Tensor:
    """Each pair's derivative with respect to its two policy log-probabilities.

    ∂ℓ/∂ log π_θ(y_w|x) = −β σ(−βh),   ∂ℓ/∂ log π_θ(y_l|x) = +β σ(−βh)

    the FOUR as for `dpo_loss`; beta: > 0, in reward per nat
    returns: shape (batch, 2), chosen then rejected, nats of loss per nat of log-prob.
        Of each pair alone: for the gradient of a mean over pairs, divide by batch.
    raises: as `dpo_loss`
    source: Rafailov et al. (2023), the gradient below Eq. 7.

    >>> dpo_gradients(*torch.zeros(4, 1), beta=0.1)     # β/2 when nothing is learnt yet
    tensor([[-0.0500,  0.0500]])
    """
    u, v = _logratios(
        policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps
    )
    validate.number("beta", beta)
    weight = torch.sigmoid(-beta * (u - v))  # (batch,), the share still believed wrong
    return torch.stack([-beta * weight, beta * weight], -1)  # (batch, 2)


def implicit_reward_accuracy(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
) -> Tensor:
    """Share of pairs that the implicit reward orders as the label does; a tie counts ½.

    mean of 1[u > v] + ½ 1[u = v]

    the FOUR as for `dpo_loss`; β > 0 scales both rewards and orders none
    returns: a scalar in [0, 1], ½ when the policy is the reference. With the strict
        convention, in which a tie is wrong, it would be 0 there.
    raises: as `dpo_loss`
    source: Rafailov et al. (2023), §5, for the implicit reward.

    >>> policy = torch.tensor([-1.0, -2.0]), torch.tensor([-3.0, -2.0])
    >>> implicit_reward_accuracy(*policy, *torch.zeros(2, 2))      # right, and a tie
    tensor(0.7500)
    """
    u, v = _logratios(
        policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps
    )
    return share_preferred(u - v)


def dpo_metrics(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float,
) -> dict[str, float]:
    """What to log beside the loss, one convention each, averaged over the batch.

    accuracy          share of pairs with βu > βv, a tie counting ½: ½ at the start.
                      Implicit-reward accuracy; TRL counts ties as wrong, 0 at the start
    gap               h = u − v, nats, without β
    margin            m = βh, with β; TRL's rewards/margins
    chosen_rewards    βu;   rejected_rewards   βv

    the FOUR as for `dpo_loss`; beta > 0
    returns: those five names with floats
    raises: as `dpo_loss`
    source: Rafailov et al. (2023), §5, for the implicit reward.

    >>> dpo_metrics(*torch.tensor([[-1.0], [-3.0], [-2.0], [-2.0]]), beta=0.5)["margin"]
    1.0
    """
    u, v = _logratios(
        policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps
    )
    validate.number("beta", beta)
    with torch.no_grad():
        means = {
            "accuracy": share_preferred(u - v),
            "gap": u - v,
            "margin": beta * (u - v),
            "chosen_rewards": beta * u,
            "rejected_rewards": beta * v,
        }
        return {name: values.mean().item() for name, values in means.items()}


def implicit_preference_probability(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float,
) -> Tensor:
    """How sure a policy is that the chosen answer is the better one.

    P(y_w ≻ y_l) = σ(βh): Bradley–Terry on implicit rewards, in which β log Z cancels

    the FOUR as for `dpo_loss`; beta > 0
    returns: probabilities, shape (batch,); ½ where policy and reference agree on a pair
    raises: as `dpo_loss`
    source: Rafailov et al. (2023), Eq. 6.

    >>> implicit_preference_probability(
    ...     *torch.tensor([[-1.0], [-3.0], [-2.0], [-2.0]]), beta=0.5)      # σ(0.5 · 2)
    tensor([0.7311])
    """
    u, v = _logratios(
        policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps
    )
    validate.number("beta", beta)
    return torch.sigmoid(beta * (u - v))


def _logratios(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
) -> tuple[Tensor, Tensor]:
    """u and v: log π_θ/π_ref of the chosen and of the rejected answer, checked."""
    validate.batch(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        ref_chosen_logps=ref_chosen_logps,
        ref_rejected_logps=ref_rejected_logps,
    )
    u = policy_chosen_logps - ref_chosen_logps
    v = policy_rejected_logps - ref_rejected_logps
    return u, v


def _per_token(u: Tensor, v: Tensor, chosen_lengths: Tensor, rejected_lengths: Tensor):
    validate.lengths(
        u, chosen_lengths=chosen_lengths, rejected_lengths=rejected_lengths
    )
    return u / chosen_lengths, v / rejected_lengths


def _odds_ratio_loss(a: Tensor, b: Tensor) -> Tensor:
    """−log σ(log odds(e^a) − log odds(e^b)) for a, b < 0.

    1/odds = e^{−a} − 1, so it is log(1 + (e^{−a} − 1)/(e^{−b} − 1)) too: smooth up to
    a = 0, where log odds has no limit. Each form where it neither cancels nor
    overflows; there it sees inputs of its own side only, since an infinite gradient of
    the unused one would turn into NaN.
    """
    sure = (a > b) & (b > -40)
    ratio = torch.expm1(-a.where(sure, -1)) / torch.expm1(-b.where(sure, -1))
    difference = (a - _log1mexp(a)) - (b - _log1mexp(b))
    return torch.where(sure, ratio.log1p(), -F.logsigmoid(difference.where(~sure, 0)))


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 − e^x) for x < 0, switching where either form would cancel (Mächler 2012).

    Each branch sees only inputs on its own side, as in `_odds_ratio_loss`.
    """
    close = x > -math.log(2)
    near = torch.log(-torch.expm1(torch.where(close, x, -math.log(2))))
    far = torch.log1p(-torch.exp(torch.where(close, -math.log(2), x)))
    return torch.where(close, near, far)
