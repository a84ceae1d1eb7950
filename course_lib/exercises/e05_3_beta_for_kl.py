"""Exercise 5.3: Choose β by what it may cost."""

import math

from course_lib.beta import beta_for_kl
from course_lib.exercises.spec import Exercise, builder, given, rule, value

HALF = [0.5, 0.5]
ODDS_OF_THREE = [math.log(3), 0.0]
REF = [0.30, 0.25, 0.20, 0.15, 0.10]
REWARDS = [1.0, 3.0, 0.5, 2.5, -0.5]


@builder
def _fresh(inputs, responses: int, share: float):
    """A share of all that can be spent in a random world."""
    ref = inputs.normal(responses).softmax(-1)
    rewards = inputs.normal(responses, scale=1.5)
    return ref, rewards, share * -float(ref[rewards.argmax()].log())


def _kl(logits, ref):
    policy = logits.log_softmax(-1)
    return (policy.exp() * (policy - ref.log())).sum()


def _search(spent, turned=False):
    """A bisection for the β at which `spent(ref, rewards / β)` is the budget."""

    def search(ref, rewards, kl):
        low, high = 1e-3, 1e3
        for _ in range(80):
            beta = (low * high) ** 0.5
            if (float(spent(ref, rewards / beta)) > kl) != turned:
                low = beta
            else:
                high = beta
        return low

    return search


def _spent(ref, tilt):
    return _kl(ref.log() + tilt, ref)


def _reverse(ref, tilt):
    return (-ref * ((ref.log() + tilt).log_softmax(-1) - ref.log())).sum()


_right = _search(_spent)


def _small_budgets(ref, rewards, kl):
    variance = (ref * rewards**2).sum() - (ref * rewards).sum() ** 2
    return float((variance / (2 * kl)).sqrt())


EXERCISE = Exercise(
    number="5.3",
    title="Choose β by what it may cost",
    reference=beta_for_kl,
    within=1e-4,
    checks=(
        rule(
            "one positive number",
            "be one number above 0",
            [given(HALF, ODDS_OF_THREE, 0.130812)],
            holds=lambda call, yours, ours, near: (
                yours.kind in ("number", "tensor")
                and len(yours.numbers) == 1
                and yours.numbers[0] > 0
                and not yours.changed
            ),
        ),
        rule(
            "1 for the budget that β = 1 spends",
            "be 1: at β = 1 the odds are 3 : 1, which costs ¾ ln 1.5 + ¼ ln ½ nats",
            [given(HALF, ODDS_OF_THREE, 0.1308120)],
        ),
        value(
            "the β of the five answers",
            [
                given(REF, REWARDS, 0.4691256457),
                given(REF, REWARDS, 0.8935307482),
                given(REF, REWARDS, 0.0069223403),
            ],
        ),
        rule(
            "in the unit of the rewards",
            "grow a hundredfold with the rewards, and not change when all get a "
            "constant",
            [
                given(REF, [100 * r for r in REWARDS], 0.8935307482),
                given(REF, [r + 7 for r in REWARDS], 0.8935307482),
            ],
        ),
        rule(
            "right on fresh random worlds",
            "be the β at which KL(π*‖π_ref) equals the budget",
            map(_fresh, (2, 4, 6), (0.5, 0.2, 0.7)),
        ),
    ),
    misconceptions={
        "KL turned round": (
            _search(_reverse),
            "KL(π_ref‖π*), reference first: what is spent is measured where the "
            "*policy* samples",
        ),
        "reference forgotten in the tilt": (
            _search(lambda ref, tilt: _kl(tilt, ref)),
            "a softmax of r/β alone: the optimal policy tilts the reference",
        ),
        "inverse": (
            lambda ref, rewards, kl: 1 / _right(ref, rewards, kl),
            "1/β: the rewards are divided by β, not multiplied",
        ),
        "bisection turned round": (
            _search(_spent, turned=True),
            "a search that runs to the end of its range: where too much is spent, β "
            "must *grow*",
        ),
        "bits": (
            lambda ref, rewards, kl: _right(ref, rewards, kl * math.log(2)),
            "a divergence in bits: the budget is in nats, natural logarithms",
        ),
        "without normalising": (
            _search(lambda ref, tilt: ((ref.log() + tilt).exp() * tilt).sum()),
            "tilted and not normalised: without log Z the sum is no divergence",
        ),
        "sought up to 10 only": (
            lambda ref, rewards, kl: min(_right(ref, rewards, kl), 10.0),
            "a search that ends at β = 10: rewards on another scale need another β, "
            "however large",
        ),
        "small-KL rule": (
            _small_budgets,
            "β = √(Var r / 2 KL): the law of small budgets, used where it does not "
            "hold",
        ),
    },
    hints=(
        "KL(π*‖π_ref) falls from its limit to 0 as β grows: try a β, compare with the "
        "budget, and halve the range in which the answer must lie.",
        "log π* = log_softmax(log π_ref + r/β); what it spends is Σ π* (log π* − log "
        "π_ref). Too much spent: β must be larger.",
        "Begin with low, high = 1e-3, 1e3; 80 times: beta = (low * high) ** 0.5, and "
        "move `low` up to it if it spends more than kl, else `high` down.",
    ),
)
