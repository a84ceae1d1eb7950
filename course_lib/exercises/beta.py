"""Chapter 05: both faces of β."""

import math

import torch
import torch.nn.functional as F

from course_lib.beta import (
    beta_for_kl,
    dpo_slope,
    smoothed_optimal_gap,
    steepest_beta,
)
from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.submission.observing import Call


def _gap(draw: Draw, values: list[float], beta: float) -> Call:
    return Call((draw.tensor(values), beta))


def _overflowing_slope(gap, beta):
    wrong_way = torch.exp(-beta * gap)
    return beta * wrong_way / (1 + wrong_way)


_SLOPE = Exercise(
    number="5.1",
    title="How hard a pair is pushed",
    reference=dpo_slope,
    checks=(
        Check(
            "one slope for each gap",
            lambda draw: [_gap(draw, [0.0], 0.1), _gap(draw, [1.0, -2.0, 5.0], 0.5)],
            kind_of,
            returns_like,
        ),
        Check(
            "β/2 where policy and reference agree",
            lambda draw: [_gap(draw, [0.0], 0.1), _gap(draw, [0.0, 0.0], 3.0)],
            value_of,
        ),
        Check(
            "nearly β where the pair is in the wrong order",
            lambda draw: [_gap(draw, [-3.0], 2.0), _gap(draw, [-10.0], 0.5)],
            value_of,
        ),
        Check(
            "nearly 0, and still above it, where the order is right by far",
            lambda draw: [_gap(draw, [20.0], 0.5)],
            "be above 0 and below 0.0001: a pair that is settled is left in peace",
            lambda call, yours, ours, near: 0 < yours.numbers[0] < 1e-4,
        ),
        Check(
            "right on fresh random gaps",
            lambda draw: [
                Call((draw.normal(n, scale=4), beta))
                for n, beta in ((1, 0.1), (3, 0.5), (6, 2.0))
            ],
            "equal the size of dL/dh for L = −log σ(βh)",
        ),
        Check(
            "finite for gaps as large as 5000 nats",
            lambda draw: [_gap(draw, [-5000.0], 1.0), _gap(draw, [5000.0], 1.0)],
            lambda call, ours: f"be {ours.numbers[0]:.4g}: neither infinite nor NaN",
        ),
    ),
    misconceptions=(
        Misconception(
            "β forgotten in front",
            lambda gap, beta: torch.sigmoid(-beta * gap),
            "the weight σ(−βh) alone: the chain rule puts another β in front of it",
        ),
        Misconception(
            "β forgotten inside",
            lambda gap, beta: beta * torch.sigmoid(-gap),
            "σ of the gap without β: the sigmoid sees the margin βh",
        ),
        Misconception(
            "β twice in front",
            lambda gap, beta: beta**2 * torch.sigmoid(-beta * gap),
            "β² in front: one factor β comes from the inner derivative, and no second",
        ),
        Misconception(
            "signed",
            lambda gap, beta: -beta * torch.sigmoid(-beta * gap),
            "the derivative with its sign: asked is how steep the loss is, a size",
        ),
        Misconception(
            "pushes what is right",
            lambda gap, beta: beta * torch.sigmoid(beta * gap),
            "σ(βh) for σ(−βh): it pushes most where the order is right already",
        ),
        Misconception(
            "size of the gap",
            lambda gap, beta: beta * torch.sigmoid(beta * gap.abs()),
            "the size of the gap for the gap: a pair that is right by 20 nats and one "
            "that is wrong by 20 are pushed alike",
        ),
        Misconception(
            "loss in place of its slope",
            lambda gap, beta: -F.logsigmoid(beta * gap),
            "the loss itself: asked is how fast it falls with the gap",
        ),
        Misconception(
            "slope of the start everywhere",
            lambda gap, beta: torch.full_like(gap, beta / 2),
            "β/2 at every gap: that is the slope at h = 0 only",
        ),
        Misconception(
            "overflowing exponentials",
            _overflowing_slope,
            "a fraction of exponentials, infinite over infinite at −5000 nats: "
            "torch.sigmoid never forms it",
        ),
    ),
    hints=(
        "L(h) = −log σ(βh) is a function of a function: differentiate −log σ at the "
        "margin, then multiply by what the margin's own derivative is.",
        "The derivative of −log σ(m) is −σ(−m), and dm/dh = β. Drop the sign.",
        "`beta * torch.sigmoid(-beta * gap)`",
    ),
)


def _top(gap):
    return steepest_beta(torch.ones_like(gap))  # u, at a gap of one


_STEEPEST = Exercise(
    number="5.2",
    title="The β that pushes hardest",
    reference=steepest_beta,
    within=1e-4,  # a search that ends there has understood
    checks=(
        Check(
            "one β for each gap",
            lambda draw: [
                Call((draw.tensor([1.0]),)),
                Call((draw.tensor([0.5, 1.0, 2.0]),)),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "where β σ(−β) is largest, for a gap of one nat",
            lambda draw: [Call((draw.tensor([1.0]),))],
            "be the β with the largest β σ(−β h) at h = 1, to four decimals",
        ),
        Check(
            "half as large for twice the gap: only βh matters",
            lambda draw: [
                Call((draw.tensor([2.0]),)),
                Call((draw.tensor([0.25]),)),
            ],
            "be the answer for one nat, divided by the gap",
        ),
        Check(
            "each gap its own β",
            lambda draw: [Call((draw.tensor([0.5, 1.0, 2.0]),))],
            "be what each gap would get alone",
        ),
        Check(
            "right on fresh random gaps",
            lambda draw: [Call((0.1 + 2 * draw.uniform(n),)) for n in (1, 3, 6)],
            "be the β at which β σ(−βh) is largest",
        ),
    ),
    misconceptions=(
        Misconception(
            "margin of one",
            lambda gap: 1 / gap,
            "1/h, where the margin is one: a guess near the top, not the top. Set the "
            "derivative with respect to β to zero",
        ),
        Misconception(
            "the margin itself",
            _top,
            "the best margin βh, the same for every gap: divide by the gap",
        ),
        Misconception(
            "times the gap",
            lambda gap: _top(gap) * gap,
            "larger for larger gaps: from βh = u follows β = u/h",
        ),
        Misconception(
            "the slope at the top",
            lambda gap: (_top(gap) - 1) / gap,
            "how steep it is at the top, (u − 1)/h: asked is where the top lies",
        ),
        Misconception(
            "one turn too few",
            lambda gap: (1 + math.exp(-1)) / gap,
            "one turn of u ← 1 + e^{−u} from u = 1: it takes a dozen to settle",
        ),
        Misconception(
            "mean gap",
            lambda gap: torch.full_like(gap, float((_top(gap) / gap.mean())[0])),
            "one β for the mean gap of the batch: each gap has its own",
        ),
    ),
    hints=(
        "Differentiate β σ(−βh) with respect to β. The result is 0 where "
        "σ(−βh) = βh σ(βh) σ(−βh); one factor cancels.",
        "With u = βh the condition is u σ(u) = 1, that is u = 1 + e^{−u}: one "
        "number for all gaps. Find it by repeating, by bisection or by Newton.",
        "Start at u = 1, repeat `u = 1 + torch.exp(-u)` thirty times, then divide by "
        "the gap.",
    ),
)

HALF = [0.5, 0.5]
ODDS_OF_THREE = [math.log(3), 0.0]
REF = [0.30, 0.25, 0.20, 0.15, 0.10]
REWARDS = [1.0, 3.0, 0.5, 2.5, -0.5]


def _budget(draw: Draw, ref: list[float], rewards: list[float], kl: float) -> Call:
    return Call((draw.tensor(ref), draw.tensor(rewards), kl))


def _random_budget(draw: Draw, responses: int, share: float) -> Call:
    """A share of all that can be spent in a random world."""
    ref = torch.softmax(draw.normal(responses), -1)
    rewards = draw.normal(responses, scale=1.5)
    limit = -float(ref[rewards.argmax()].log())
    return Call((ref, rewards, share * limit))


def _search(spent, kl, turned=False) -> float:
    """Bisect for the β at which `spent(β)`, falling, is kl."""
    low, high = 1e-3, 1e3
    for _ in range(80):
        beta = (low * high) ** 0.5
        if (float(spent(beta)) > kl) != turned:
            low = beta
        else:
            high = beta
    return low


def _kl_wrong(ref, rewards, kl, *, reverse=False, flat=False, raw=False, **search):
    def spent(beta):
        start = torch.zeros_like(ref) if flat else ref.log()
        if raw:
            policy = (start + rewards / beta).exp()
            return (policy * (rewards / beta)).sum()
        policy = (start + rewards / beta).log_softmax(-1)
        difference = policy - ref.log()
        return (-ref * difference if reverse else policy.exp() * difference).sum()

    return _search(spent, kl, **search)


_BUDGET = Exercise(
    number="5.3",
    title="Choose β by what it may cost",
    reference=beta_for_kl,
    within=1e-4,
    checks=(
        Check(
            "one positive number",
            lambda draw: [_budget(draw, HALF, ODDS_OF_THREE, 0.130812)],
            "be one number above 0",
            lambda call, yours, ours, near: (
                yours.kind in ("number", "tensor")
                and len(yours.numbers) == 1
                and yours.numbers[0] > 0
                and not yours.changed
            ),
        ),
        Check(
            "1 for the budget that β = 1 spends",
            lambda draw: [_budget(draw, HALF, ODDS_OF_THREE, 0.1308120)],
            "be 1: at β = 1 the odds are 3 : 1, which costs ¾ ln 1.5 + ¼ ln ½ nats",
        ),
        Check(
            "the β of the five answers",
            lambda draw: [
                _budget(draw, REF, REWARDS, kl)
                for kl in (0.4691256457, 0.8935307482, 0.0069223403)
            ],
            value_of,
        ),
        Check(
            "in the unit of the rewards",
            lambda draw: [
                _budget(draw, REF, [100 * r for r in REWARDS], 0.8935307482),
                _budget(draw, REF, [r + 7 for r in REWARDS], 0.8935307482),
            ],
            "grow a hundredfold with the rewards, and not change when all get a "
            "constant",
        ),
        Check(
            "right on fresh random worlds",
            lambda draw: [
                _random_budget(draw, n, share)
                for n, share in ((2, 0.5), (4, 0.2), (6, 0.7))
            ],
            "be the β at which KL(π*‖π_ref) equals the budget",
        ),
    ),
    misconceptions=(
        Misconception(
            "KL turned round",
            lambda ref, rewards, kl: _kl_wrong(ref, rewards, kl, reverse=True),
            "KL(π_ref‖π*), reference first: what is spent is measured where the "
            "*policy* samples",
        ),
        Misconception(
            "reference forgotten in the tilt",
            lambda ref, rewards, kl: _kl_wrong(ref, rewards, kl, flat=True),
            "a softmax of r/β alone: the optimal policy tilts the reference",
        ),
        Misconception(
            "inverse",
            lambda ref, rewards, kl: 1 / beta_for_kl(ref, rewards, kl),
            "1/β: the rewards are divided by β, not multiplied",
        ),
        Misconception(
            "bisection turned round",
            lambda ref, rewards, kl: _kl_wrong(ref, rewards, kl, turned=True),
            "a search that runs to the end of its range: where too much is spent, β "
            "must *grow*",
        ),
        Misconception(
            "bits",
            lambda ref, rewards, kl: beta_for_kl(ref, rewards, kl * math.log(2)),
            "a divergence in bits: the budget is in nats, natural logarithms",
        ),
        Misconception(
            "without normalising",
            lambda ref, rewards, kl: _kl_wrong(ref, rewards, kl, raw=True),
            "tilted and not normalised: without log Z the sum is no divergence",
        ),
        Misconception(
            "sought up to 10 only",
            lambda ref, rewards, kl: min(beta_for_kl(ref, rewards, kl), 10.0),
            "a search that ends at β = 10: rewards on another scale need another β, "
            "however large",
        ),
        Misconception(
            "small-KL rule",
            lambda ref, rewards, kl: float(
                (
                    ((ref * rewards**2).sum() - (ref * rewards).sum() ** 2) / (2 * kl)
                ).sqrt()
            ),
            "β = √(Var r / 2 KL): the law of small budgets, used where it does not "
            "hold",
        ),
    ),
    hints=(
        "KL(π*‖π_ref) falls from its limit to 0 as β grows: try a β, compare with the "
        "budget, and halve the range in which the answer must lie.",
        "log π* = log_softmax(log π_ref + r/β); what it spends is "
        "Σ π* (log π* − log π_ref). Too much spent: β must be larger.",
        "Begin with low, high = 1e-3, 1e3; 80 times: beta = (low * high) ** 0.5, and "
        "move `low` up to it if it spends more than kl, else `high` down.",
    ),
)


def _rate(draw: Draw, values: list[float], beta: float) -> Call:
    return Call((draw.tensor(values), beta))


def _log_odds(rate):
    return ((1 - rate) / rate).log()


_SMOOTHED = Exercise(
    number="5.4",
    title="Where smoothed labels stop",
    reference=smoothed_optimal_gap,
    checks=(
        Check(
            "one gap for each rate",
            lambda draw: [_rate(draw, [0.1], 1.0), _rate(draw, [0.1, 0.2, 0.3], 0.1)],
            kind_of,
            returns_like,
        ),
        Check(
            "0 when labels say nothing, ε = ½",
            lambda draw: [_rate(draw, [0.5], 1.0)],
            value_of,
        ),
        Check(
            "ln 9 nats for ε = 0.1 at β = 1",
            lambda draw: [_rate(draw, [0.1], 1.0)],
            value_of,
        ),
        Check(
            "ten times as far at a tenth of β",
            lambda draw: [_rate(draw, [0.1], 0.1), _rate(draw, [0.05], 2.0)],
            value_of,
        ),
        Check(
            "each rate its own gap",
            lambda draw: [_rate(draw, [0.01, 0.05, 0.2], 1.0)],
            value_of,
        ),
        Check(
            "right on fresh random rates",
            lambda draw: [
                Call((0.01 + 0.4 * draw.uniform(n), beta))
                for n, beta in ((1, 0.1), (4, 0.5))
            ],
            "be the h at which −(1 − ε) log σ(βh) − ε log σ(−βh) is smallest",
        ),
    ),
    misconceptions=(
        Misconception(
            "turned round",
            lambda rate, beta: -_log_odds(rate) / beta,
            "log(ε/(1 − ε)), negative: the believed label has the larger weight",
        ),
        Misconception(
            "margin in place of the gap",
            lambda rate, beta: _log_odds(rate),
            "the best margin βh: the gap is that divided by β",
        ),
        Misconception(
            "times β",
            lambda rate, beta: _log_odds(rate) * beta,
            "the margin times β: from βh = log((1 − ε)/ε) follows a division",
        ),
        Misconception(
            "odds without the 1 − ε",
            lambda rate, beta: -rate.log() / beta,
            "log(1/ε): odds are (1 − ε) to ε",
        ),
        Misconception(
            "smoothing over both labels",
            lambda rate, beta: _log_odds(rate / 2) / beta,
            "the convention of classifiers, which give ε/2 to each label: here ε is "
            "the whole chance of a flip",
        ),
        Misconception(
            "odds in place of their logarithm",
            lambda rate, beta: (1 - rate) / rate / beta,
            "the odds themselves: a margin is their logarithm",
        ),
        Misconception(
            "mean rate",
            lambda rate, beta: torch.full_like(
                rate, float(_log_odds(rate.mean()) / beta)
            ),
            "one gap for the mean rate: each rate has its own",
        ),
    ),
    hints=(
        "At the smallest loss its derivative is zero: the two terms pull equally hard.",
        "(1 − ε) σ(−βh) = ε σ(βh). Divide: the ratio σ(βh)/σ(−βh) is e^{βh}.",
        "`torch.log((1 - label_smoothing) / label_smoothing) / beta`",
    ),
)

EXERCISES = (_SLOPE, _STEEPEST, _BUDGET, _SMOOTHED)
