"""From scores to choices and back: Bradley–Terry, Plackett–Luce, reward-model losses.

A score (reward, strength, ability) has no zero: only differences decide a choice. Its
unit is the *logit*: a difference of 1 means odds of e : 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import validate

__all__ = [
    "accuracy_ceiling",
    "bradley_terry_standard_errors",
    "fit_bradley_terry",
    "gaussian_preference_probability",
    "plackett_luce_log_prob",
    "preference_probability",
    "reward_model_loss",
    "share_preferred",
]


def preference_probability(reward_w: Tensor, reward_l: Tensor) -> Tensor:
    """Probability that the answer with `reward_w` is preferred to the other one.

    P(w ≻ l) = σ(r_w − r_l) = e^{r_w} / (e^{r_w} + e^{r_l})

    reward_w, reward_l: scores in logits, any shape, the same for both
    returns: probabilities of that shape
    raises: ValueError on unequal shapes, NaN, infinity or nothing at all
    source: Bradley and Terry (1952)

    >>> preference_probability(torch.tensor([3.0, 1.0]), torch.tensor([3.0, 0.0]))
    tensor([0.5000, 0.7311])
    """
    validate.tensors(reward_w=reward_w, reward_l=reward_l)
    return torch.sigmoid(reward_w - reward_l)


def reward_model_loss(
    chosen_rewards: Tensor,
    rejected_rewards: Tensor,
    *,
    magnitude: Tensor | None = None,
    kind: str = "bt",
    centering: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of the choices under Bradley–Terry, and its two cousins.

    With Δ = r_w − r_l and g the annotated magnitude of the preference:
    "bt"      −log σ(Δ)          "margin"  −log σ(Δ − g)          "scaled"  −g log σ(Δ)
    `centering` c adds c (r_w + r_l)², which fixes the free constant of the scores.

    chosen_rewards, rejected_rewards: shape (batch,), in logits
    magnitude: shape (batch,), ≥ 0; required by "margin" and "scaled", refused by "bt"
    returns: the loss in nats, a scalar, or shape (batch,) with reduction="none"
    raises: ValueError on bad shapes, NaN, a negative or a missing magnitude
    source: Ouyang et al. (2022), Eq. 1; Wang et al. (2024), HelpSteer2-Preference, for
        "scaled"; Touvron et al. (2023), Eq. 2, for "margin".

    >>> zero = torch.zeros(1)
    >>> reward_model_loss(zero, zero)   # no opinion costs ln 2
    tensor(0.6931)
    """
    validate.batch(chosen_rewards=chosen_rewards, rejected_rewards=rejected_rewards)
    validate.choice("kind", kind, ("bt", "margin", "scaled"))
    validate.fraction("centering", centering)
    if (magnitude is None) != (kind == "bt"):
        needs = "takes no" if kind == "bt" else "needs a"
        raise ValueError(f'kind="{kind}" {needs} magnitude')
    difference = chosen_rewards - rejected_rewards
    if magnitude is not None:
        validate.tensors(magnitude=magnitude, chosen_rewards=chosen_rewards)
        if (magnitude < 0).any():
            raise ValueError("magnitude must be ≥ 0: put the better answer first")
    if kind == "margin":
        difference = difference - magnitude
    losses = -F.logsigmoid(difference)
    if kind == "scaled":
        losses = magnitude * losses
    losses = losses + centering * (chosen_rewards + rejected_rewards) ** 2
    return validate.reduce(losses, reduction)


def plackett_luce_log_prob(scores: Tensor, ranking: Tensor) -> Tensor:
    """Log-probability of a whole ranking: pick the best, remove it, pick again.

    log P(ranking) = Σ_i [ s_(i) − log Σ_{j ≥ i} e^{s_(j)} ],  (i) the i-th best

    scores: shape (…, k), in logits
    ranking: indices of the k items from best to worst, shape (…, k), torch.long.
        [2, 0, 1] means "item 2 is the best", not "item 0 came last".
    returns: log-probabilities, shape (…), the sum over the stages
    raises: ValueError if `ranking` is not a permutation or the shapes differ
    source: Plackett (1975); Luce (1959). With k = 2 it is Bradley–Terry.

    >>> plackett_luce_log_prob(torch.zeros(3), torch.tensor([2, 0, 1])).exp()  # 1 / 3!
    tensor(0.1667)
    """
    validate.tensors(scores=scores)
    validate.ranking(ranking, scores)
    ordered = scores.gather(-1, ranking)  # (…, k), best first
    remaining = ordered.flip(-1).logcumsumexp(-1).flip(-1)  # log Σ of those still in
    return (ordered - remaining).sum(-1)


def fit_bradley_terry(wins: Tensor) -> Tensor:
    """Maximum-likelihood scores from a table of wins; the first item's score is 0.

    maximise Σ_ij wins_ij log σ(s_i − s_j): the reward-model loss over all comparisons

    wins: shape (items, items); wins[i, j] = how often i beat j, fractions allowed.
        Count a tie ½ to each side if P(win) + ½ P(tie) = σ(s_i − s_j); leave it out if
        P(win) / P(loss) = e^(s_i − s_j)
    returns: scores in logits, float64, shape (items,), with scores[0] = 0
    raises: ValueError if the table is not square, is negative, or has no finite
        maximum: an item, or a group, that never lost to the rest (Ford, 1957)
    source: Bradley and Terry (1952); Newton's method on a concave likelihood

    >>> fit_bradley_terry(torch.tensor([[0.0, 1.0], [3.0, 0.0]]))   # odds 3 : 1, ln 3
    tensor([0.0000, 1.0986], dtype=torch.float64)
    """
    validate.tensors(wins=wins)
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1] or len(wins) < 2:
        raise ValueError(f"wins must be square, two items or more, got {wins.shape}")
    if (wins < 0).any() or wins.diagonal().any():
        raise ValueError("wins must be ≥ 0, and 0 on the diagonal")
    wins = wins.to(torch.float64)
    _require_finite_maximum(wins)

    def log_likelihood(scores: Tensor) -> Tensor:
        return (wins * F.logsigmoid(scores[:, None] - scores)).sum()

    games = wins + wins.T
    scores = torch.zeros(len(wins), dtype=torch.float64)
    for _ in range(200):
        upset = torch.sigmoid(scores - scores[:, None])  # chance that i loses to j
        surprise = (wins * upset - (wins * upset).T).sum(1)
        step = torch.zeros_like(scores)
        step[1:] = torch.linalg.solve(_information(scores, games), surprise[1:])
        now = log_likelihood(scores)
        while log_likelihood(scores + step) < now - 1e-13 * now.abs():
            step = step / 2  # a full step may overshoot where the table is lopsided
        scores = scores + step
        if step.abs().max() < 1e-12:
            break
    else:
        raise ValueError("wins are too one-sided: 200 Newton steps did not converge")
    return scores


def bradley_terry_standard_errors(scores: Tensor, games: Tensor) -> Tensor:
    """Standard error of each fitted score's difference from the first item's.

    I_ij = Σ over games of ± p(1 − p);  s.e. = √ diag(I⁻¹), first row and column dropped

    For the differences from another item, put that one first: two errors from the first
    item do not tell how sure the difference of those two scores is.

    scores: fitted scores, shape (items,)
    games: how often i met j, symmetric, shape (items, items): wins + wins.T
    returns: standard errors in logits, float64, shape (items,); 0 for the first item
    raises: ValueError on unequal sizes, a table that is not symmetric, or items that
        no chain of games connects
    source: inverse Fisher information of a logistic regression; Agresti (2002), §10.6

    >>> bradley_terry_standard_errors(torch.zeros(2), torch.tensor([[0.0, 4], [4, 0]]))
    tensor([0., 1.], dtype=torch.float64)
    """
    validate.tensors(scores=scores)
    validate.tensors(games=games)
    if scores.ndim != 1 or games.shape != (len(scores), len(scores)):
        raise ValueError(f"games has shape {tuple(games.shape)}, scores {scores.shape}")
    if (games != games.T).any() or (games < 0).any():
        raise ValueError("games must be symmetric and ≥ 0: use wins + wins.T")
    if not _reaches_all(games > 0):
        raise ValueError("games must connect every item to every other by some chain")
    information = _information(scores.to(torch.float64), games.to(torch.float64))
    errors = torch.zeros(len(scores), dtype=torch.float64)
    errors[1:] = torch.linalg.inv(information).diagonal().sqrt()
    return errors


def gaussian_preference_probability(
    mean_w: Tensor, std_w: Tensor, mean_l: Tensor, std_l: Tensor
) -> Tensor:
    """Probability of a preference when each score is itself uncertain.

    E[σ(Δ)],  Δ ~ N(μ_w − μ_l, s_w² + s_l²), integrated to a relative error of 1e−12 in
    float64, in the tails too

    mean_w, mean_l: mean scores in logits; std_w, std_l: standard deviations s ≥ 0 (not
        variances), all of one shape. Cost grows with the largest deviation, squared.
    returns: probabilities of that shape. It is *not* E[log σ(Δ)], nor the probit Φ.
    raises: ValueError on a negative deviation, NaN or unequal shapes
    source: the score model of Ma et al. (2025), HPSv3.

    >>> one, zero = torch.tensor(1.0), torch.tensor(0.0)
    >>> gaussian_preference_probability(one, zero, zero, zero)      # certain: σ(1)
    tensor(0.7311)
    >>> gaussian_preference_probability(one, 3 * one, zero, zero)   # doubt pulls to ½
    tensor(0.6132)
    """
    validate.tensors(mean_w=mean_w, std_w=std_w, mean_l=mean_l, std_l=std_l)
    if (std_w < 0).any() or (std_l < 0).any():
        raise ValueError("std_w and std_l must be ≥ 0: they are standard deviations")
    mean, variance = mean_w - mean_l, std_w**2 + std_l**2
    certain = variance == 0  # where the root has no slope, and σ(Δ) needs none
    std = variance.masked_fill(certain, 1).sqrt().masked_fill(certain, 0)
    # σ(μ + std z) times the normal density is largest at z = ± min(std, |μ|/std) or
    # nearer to 0; the trapezoid rule converges exponentially once its step resolves it.
    peak = torch.minimum(std, mean.abs() / std.masked_fill(certain, 1)).max().item()
    reach, finest = 9 + peak, max(1.0, std.max().item())
    steps = 2 * int(4 * reach * finest) + 1
    z = torch.linspace(-reach, reach, steps, dtype=torch.float64, device=std.device)
    weights = torch.softmax(-0.5 * z**2, 0).to(std.dtype)  # normal density, sum 1
    differences = mean[..., None] + std[..., None] * z.to(std.dtype)
    return torch.sigmoid(differences) @ weights


def accuracy_ceiling(probabilities: Tensor) -> Tensor:
    """The best accuracy that any model can expect on labels drawn with these chances.

    E[max(p, 1 − p)]: even the true rewards lose whenever the label fell the other way

    probabilities: P(first answer preferred) of each pair, in [0, 1], shape (batch,)
    returns: a scalar in [½, 1]
    raises: ValueError outside [0, 1], on NaN or an empty batch
    source: the Bayes accuracy of a binary label

    >>> accuracy_ceiling(torch.tensor([0.5, 0.9, 0.1]))
    tensor(0.7667)
    """
    validate.batch(probabilities=probabilities)
    if ((probabilities < 0) | (probabilities > 1)).any():
        raise ValueError("probabilities must lie in [0, 1]")
    return torch.maximum(probabilities, 1 - probabilities).mean()


def share_preferred(difference: Tensor) -> Tensor:
    """Share of comparisons that the first side wins; a tie counts ½.

    mean of 1[d > 0] + ½ 1[d = 0]: accuracy, if the sides are the chosen and the
    rejected response; a win rate, if they are the responses of two models

    difference: of rewards or log-ratios, the first side's minus the second's, any shape
    returns: a scalar in [0, 1]; most libraries count a tie as lost, and so print an
        accuracy of 0 where policy and reference agree
    source: Dixon and Mood (1946), the statistic of the sign test, ties divided

    >>> share_preferred(torch.tensor([3.0, 0.0, -1.0, 0.5]))       # two wins and a tie
    tensor(0.6250)
    """
    return ((1 + difference.sign()) / 2).mean()


def _information(scores: Tensor, games: Tensor) -> Tensor:
    """Fisher information of all scores but the first, shape (items − 1, items − 1)."""
    difference = scores[:, None] - scores
    weight = games * torch.sigmoid(difference) * torch.sigmoid(-difference)  # p(1 − p)
    return (weight.sum(1).diag() - weight)[1:, 1:]


def _reaches_all(edges: Tensor) -> bool:
    """Does a chain of edges lead from item 0 to every item?"""
    reached = torch.arange(len(edges)) == 0
    for _ in range(len(edges)):
        reached = reached | edges[reached].any(0)
    return bool(reached.all())


def _require_finite_maximum(wins: Tensor):
    if not (_reaches_all(wins > 0) and _reaches_all(wins.T > 0)):
        raise ValueError(
            "wins has no finite maximum: some items never lost to (or never met) "
            "the others, so their scores would run to infinity"
        )
