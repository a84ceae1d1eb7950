"""Choices from scores, against slow loops, mpmath, enumeration and published fits."""

import itertools
import math

import mpmath
import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import F64, PROPERTY, minimiser, refusals, seeded, tensor

from course_lib import preferences
from course_lib.preferences import (
    accuracy_ceiling,
    bradley_terry_standard_errors,
    fit_bradley_terry,
    gaussian_preference_probability,
    plackett_luce_log_prob,
    preference_probability,
    reward_model_loss,
)

scores = st.lists(st.floats(-20, 20), min_size=2, max_size=5)


# ── Bradley–Terry ─────────────────────────────────────────────────────────────────────


def test_the_probability_of_the_five_response_world():
    chance = preference_probability(tensor(3.0), tensor(-0.5))
    assert chance.item() == pytest.approx(0.9706877692, abs=5e-11)


@PROPERTY
@given(st.floats(-700, 700), st.floats(-700, 700))
def test_the_probability_is_the_ratio_of_exponentials(a, b):
    with mpmath.workdps(50):
        exact = mpmath.e ** mpmath.mpf(a)
        exact = float(exact / (exact + mpmath.e ** mpmath.mpf(b)))
    assert preference_probability(tensor(a), tensor(b)).item() == pytest.approx(
        exact, rel=1e-12, abs=1e-300
    )


@PROPERTY
@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(-50, 50))
def test_only_the_difference_counts_and_the_two_sides_share_one(a, b, shift):
    chance = preference_probability(tensor(a), tensor(b))
    moved = preference_probability(tensor(a + shift), tensor(b + shift))
    assert chance.item() == pytest.approx(moved.item(), abs=1e-12)
    other = preference_probability(tensor(b), tensor(a))
    assert (chance + other).item() == pytest.approx(1, abs=1e-15)


# ── reward-model losses ───────────────────────────────────────────────────────────────

CHOSEN = tensor(2.0, 1.0, 0.3, 1.5, -0.5)
REJECTED = tensor(0.5, 0.7, -2.2, 1.1, -1.2)


def test_the_loss_of_five_published_pairs():
    assert reward_model_loss(CHOSEN, REJECTED).item() == pytest.approx(
        0.3501719, abs=5e-8
    )


def slow_loss(c, r, m, kind):
    total = 0.0
    for i in range(len(c)):
        gap = c[i] - r[i] - (m[i] if kind == "margin" else 0)
        weight = m[i] if kind == "scaled" else 1
        total += weight * math.log1p(math.exp(-gap))
    return total / len(c)


@pytest.mark.parametrize("kind", ["bt", "margin", "scaled"])
def test_losses_against_a_slow_loop_and_their_gradients(kind):
    m = tensor(1.0, 2.0, 3.0, 0.0, 1.5)
    given_magnitude = None if kind == "bt" else m
    chosen = CHOSEN.clone().requires_grad_()
    loss = reward_model_loss(chosen, REJECTED, magnitude=given_magnitude, kind=kind)
    slow = slow_loss(CHOSEN.tolist(), REJECTED.tolist(), m.tolist(), kind)
    assert loss.item() == pytest.approx(slow, abs=1e-14)
    (gradient,) = torch.autograd.grad(loss, chosen)
    for i in range(5):
        up, down = CHOSEN.clone(), CHOSEN.clone()
        up[i] += 1e-5
        down[i] -= 1e-5
        slope = slow_loss(up.tolist(), REJECTED.tolist(), m.tolist(), kind)
        slope -= slow_loss(down.tolist(), REJECTED.tolist(), m.tolist(), kind)
        assert gradient[i].item() == pytest.approx(slope / 2e-5, abs=1e-9)


def test_centering_adds_the_square_of_the_sum_and_fixes_the_constant():
    plain = reward_model_loss(CHOSEN, REJECTED, reduction="none")
    centred = reward_model_loss(CHOSEN, REJECTED, centering=0.3, reduction="none")
    extra = 0.3 * (CHOSEN + REJECTED) ** 2
    assert torch.allclose(centred - plain, extra, atol=1e-15)
    assert reward_model_loss(CHOSEN + 5, REJECTED + 5).item() == pytest.approx(
        plain.mean().item(), abs=1e-14
    )


@pytest.mark.parametrize(
    ("m", "margin_gap"), [(1.0, 1.431), (2.0, 2.311), (3.0, 3.291)]
)
def test_scaled_keeps_the_target_and_margin_moves_it(m, margin_gap):
    p, zero = 0.7, tensor(0.0)

    def best(kind):
        def loss(gap):  # of the population
            told = {"magnitude": tensor(m), "kind": kind}
            won = reward_model_loss(gap, zero, **told)
            return p * won + (1 - p) * reward_model_loss(zero, gap, **told)

        return minimiser(loss, -10.0, 10.0, (1,)).item()

    assert best("scaled") == pytest.approx(math.log(p / (1 - p)), abs=1e-9)
    assert best("margin") == pytest.approx(margin_gap, abs=5e-4)


def test_extreme_rewards_stay_finite():
    for dtype in (torch.float32, F64):
        far = torch.tensor([-1e4, 1e4], dtype=dtype, requires_grad=True)
        loss = reward_model_loss(far, torch.zeros(2, dtype=dtype))
        assert loss.item() == pytest.approx(5000.0)
        loss.backward()
        assert far.grad.isfinite().all()
        assert loss.dtype == dtype


# ── Plackett–Luce ─────────────────────────────────────────────────────────────────────


def slow_ranking(s, order):
    total = 0.0
    for i in range(len(order)):
        left = [s[j] for j in order[i:]]
        top = max(left)
        total += s[order[i]] - top - math.log(sum(math.exp(x - top) for x in left))
    return total


@PROPERTY
@given(scores, st.randoms(use_true_random=False))
def test_rankings_against_a_slow_loop(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    ours = plackett_luce_log_prob(tensor(*values), torch.tensor(order)).item()
    assert ours == pytest.approx(slow_ranking(values, order), abs=1e-10)


@PROPERTY
@given(scores)
def test_the_chances_of_all_rankings_sum_to_one(values):
    orders = torch.tensor(list(itertools.permutations(range(len(values)))))
    logs = plackett_luce_log_prob(tensor(*values).expand(len(orders), -1), orders)
    assert logs.exp().sum().item() == pytest.approx(1, abs=1e-12)


@PROPERTY
@given(st.floats(-30, 30), st.floats(-30, 30))
def test_two_items_are_bradley_terry(a, b):
    log = plackett_luce_log_prob(tensor(a, b), torch.tensor([1, 0]))
    chance = preference_probability(tensor(b), tensor(a))
    assert log.item() == pytest.approx(chance.log().item(), abs=1e-12)


def test_published_numbers_of_rankings():
    world = tensor(1.0, 0.0, 2.0)
    right = -plackett_luce_log_prob(world, torch.tensor([2, 0, 1])).item()
    wrong = -plackett_luce_log_prob(world, torch.tensor([1, 2, 0])).item()
    assert right == pytest.approx(0.7208676520, abs=5e-11)
    assert wrong == pytest.approx(2.7208676520, abs=5e-11)
    for k, value in ((2, 0.6931471806), (3, 1.7917594692), (4, 3.1780538303)):
        flat = -plackett_luce_log_prob(torch.zeros(k, dtype=F64), torch.arange(k))
        assert flat.item() == pytest.approx(value, abs=5e-11)


# ── uncertain scores, ceiling ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(("items", "rank"), [(2, 1), (3, 3), (4, 6), (5, 9), (6, 11)])
def test_choices_fix_one_deviation_an_item_from_five_items_on(items, rank):
    """One pair never, as a smaller difference does the same."""
    random = torch.Generator().manual_seed(items)
    means = torch.randn(items, generator=random, dtype=F64)
    stds = 0.3 + 2 * torch.rand(items, generator=random, dtype=F64)
    i, j = torch.triu_indices(items, items, 1)

    def chances(free, s):
        m = torch.cat([means[:1], free])
        return gaussian_preference_probability(m[i], s[i], m[j], s[j])

    both = torch.autograd.functional.jacobian(chances, (means[1:], stds))
    slopes = torch.cat(both, -1)
    assert slopes.shape == (items * (items - 1) // 2, 2 * items - 1)
    assert torch.linalg.matrix_rank(slopes) == rank == min(slopes.shape)


@pytest.mark.parametrize("std", [0.0, 1e-3, 0.3, 1.0, 3.0, 20.0, 100.0])
@pytest.mark.parametrize("mean", [-4.0, 0.0, 1.386])
def test_the_uncertain_chance_against_quadrature(mean, std):
    ours = gaussian_preference_probability(
        tensor(mean), tensor(std * 0.6), tensor(0.0), tensor(std * 0.8)
    ).item()
    if std == 0:
        assert ours == pytest.approx(1 / (1 + math.exp(-mean)), abs=1e-15)
        return

    def density(z):
        return mpmath.npdf(z) / (1 + mpmath.exp(-(mean + std * z)))

    turns = [(k - mean) / std for k in (-3, 0, 3)]  # where the sigmoid does
    cuts = [-12.0, *(c for c in turns if abs(c) < 12), 12.0]
    assert ours == pytest.approx(float(mpmath.quad(density, cuts)), abs=1e-12)


def test_uncertain_chances_of_a_batch_are_worked_one_by_one():
    """The widest score sets the number of steps for all, and both means count."""
    four = tensor(0.5, -1.0, 2.0), tensor(0.0, 60.0, 1.0)
    four += tensor(-1.5, 3.0, 2.5), tensor(0.1, 80.0, 0.0)
    whole = gaussian_preference_probability(*four)
    for i in range(3):
        alone = gaussian_preference_probability(*(x[i] for x in four))
        assert whole[i].item() == pytest.approx(alone.item(), abs=1e-14)
    # Δ is nearly N(μ, 100²): a sigmoid of width 1.7 shifts the probit by 1.5e-4 of μ/σ
    probit = 0.5 * math.erfc(4 / 100 / math.sqrt(2))
    assert whole[1].item() == pytest.approx(probit, abs=1e-5)
    shifted = [four[0] + 7, four[1], four[2] + 7, four[3]]
    again = gaussian_preference_probability(*shifted)
    assert torch.allclose(whole, again, rtol=0, atol=1e-14)


def test_a_valley_of_equal_chances():
    zero = torch.zeros(2, dtype=F64)
    chances = gaussian_preference_probability(
        tensor(1.386, 1.638), tensor(0.0, 0.974), zero, zero
    )
    assert chances.tolist() == pytest.approx([0.8, 0.8], abs=2e-4)


def test_the_uncertain_chance_carries_gradients():
    mean, std = tensor(0.7).requires_grad_(), tensor(1.3).requires_grad_()
    zero = tensor(0.0)

    def chance(m, s):
        return gaussian_preference_probability(m, s, zero, zero)

    assert torch.autograd.gradcheck(chance, (mean, std))


def test_the_ceiling_against_drawn_labels():
    p = torch.rand(2000, generator=torch.Generator().manual_seed(0), dtype=F64)
    labels = torch.rand(200, 2000, generator=seeded(1), dtype=F64) < p
    agree = (labels == (p > 0.5)).double().mean().item()
    # 400,000 labels: a standard error of 0.0007
    assert accuracy_ceiling(p).item() == pytest.approx(agree, abs=3e-3)


def test_the_ceiling_counts_certain_pairs_as_sure():
    assert accuracy_ceiling(tensor(0.0, 1.0)) == 1
    assert accuracy_ceiling(tensor(0.5)) == 0.5


def test_dtypes_are_kept_where_promised_and_inputs_never_changed():
    four = torch.tensor([[0.5, -1.0], [0.3, 2.0], [-1.5, 3.0], [0.1, 0.0]])
    wins = torch.tensor([[0.0, 3, 5], [4, 0, 2], [1, 6, 0]])
    order = torch.tensor([1, 0])
    kept = four.clone(), wins.clone(), order.clone()
    functions = (
        lambda x: preference_probability(x[0], x[1]),
        lambda x: plackett_luce_log_prob(x[0], order),
        lambda x: gaussian_preference_probability(*x),
        lambda x: accuracy_ceiling(x[1] / 3),
    )
    # half of float32's digits must survive the arithmetic
    tolerance = torch.finfo(torch.float32).eps ** 0.5
    for function in functions:
        narrow, wide = function(four), function(four.double())
        assert (narrow.dtype, wide.dtype) == (torch.float32, F64)
        assert torch.allclose(narrow.double(), wide, rtol=tolerance, atol=tolerance)
    fitted = fit_bradley_terry(wins)
    errors = bradley_terry_standard_errors(fitted.float(), wins + wins.T)
    assert (fitted.dtype, errors.dtype) == (F64, F64)
    assert torch.equal(fitted, fit_bradley_terry(wins.double()))
    given_now = (four, wins, order)
    assert all(a.equal(b) for a, b in zip(kept, given_now, strict=True))


def test_rankings_of_extreme_scores_are_finite():
    extreme = torch.tensor([5000.0, -5000.0, 0.0], dtype=F64, requires_grad=True)
    log = plackett_luce_log_prob(extreme, torch.tensor([1, 2, 0]))
    assert log.item() == -15000
    log.backward()
    # the gradient runs through e^5000 / e^5000 and keeps 12 digits
    assert extreme.grad.tolist() == pytest.approx([-2, 1, 1], abs=1e-11)


def test_signatures_are_the_contract_and_sources_are_named():
    assert oracles.contract(preferences) == {
        "accuracy_ceiling": "probabilities",
        "bradley_terry_standard_errors": "scores, games",
        "fit_bradley_terry": "wins",
        "gaussian_preference_probability": "mean_w, std_w, mean_l, std_l",
        "plackett_luce_log_prob": "scores, ranking",
        "preference_probability": "reward_w, reward_l",
        "reward_model_loss": "chosen_rewards, rejected_rewards, *, magnitude=None, "
        "kind='bt', centering=0.0, reduction='mean'",
        "share_preferred": "difference",
    }
    assert oracles.undocumented(preferences) == []


# ── refusals ──────────────────────────────────────────────────────────────────────────

ONE, TWO, NAN = torch.ones(1), torch.ones(2), torch.tensor([float("nan")])
TWO_GROUPS = torch.block_diag(1 - torch.eye(2), 1 - torch.eye(2))
PART = torch.tensor([1.0, -1.0])  # one good, one bad
UNEVEN, SPOILT = torch.tensor([[[0.0, 1], [2, 0]], [[0, 1], [math.nan, 0]]])
test_what_is_refused_is_named = refusals(
    (preference_probability, (TWO, torch.ones(3)), "shapes must be equal"),
    (preference_probability, (TWO, ONE), "shapes must be equal"),
    (preference_probability, (torch.ones(0), torch.ones(0)), "reward_w is empty"),
    (preference_probability, (NAN, ONE), "reward_w must be finite"),
    (preference_probability, (ONE, ONE / 0), "reward_l must be finite"),
    (reward_model_loss, (ONE[None], ONE[None]), "chosen_rewards must have"),
    (plackett_luce_log_prob, (TWO, torch.tensor([0, 0])), "every index once"),
    (plackett_luce_log_prob, (TWO, torch.tensor([0, 1, 2])), "ranking has shape"),
    (fit_bradley_terry, (torch.ones(2, 3),), "square"),
    (fit_bradley_terry, (torch.zeros(1, 1),), "two items or more"),
    (fit_bradley_terry, (torch.ones(2, 2),), "0 on the diagonal"),
    (fit_bradley_terry, (torch.tensor([[0.0, -1], [1, 0]]),), "≥ 0"),
    (fit_bradley_terry, (torch.tensor([[0.0, 0], [5, 0]]),), "no finite maximum"),
    (fit_bradley_terry, (torch.zeros(3, 3),), "no finite maximum"),
    (bradley_terry_standard_errors, (TWO, torch.ones(3, 3)), "games has shape"),
    (bradley_terry_standard_errors, (TWO, UNEVEN), "symmetric"),
    (bradley_terry_standard_errors, (TWO, torch.zeros(2, 2)), "connect"),
    (gaussian_preference_probability, (ONE, -ONE, ONE, ONE), "std_w and std_l"),
    (gaussian_preference_probability, (TWO, TWO, TWO, ONE), "shapes must be equal"),
    (gaussian_preference_probability, (ONE, NAN, ONE, ONE), "std_w must be finite"),
    (gaussian_preference_probability, (TWO, PART, TWO, TWO), "std_w and std_l"),
    (gaussian_preference_probability, (TWO, TWO, TWO, PART), "std_w and std_l"),
    (plackett_luce_log_prob, (TWO * NAN, torch.tensor([0, 1])), "scores must be"),
    (fit_bradley_terry, (SPOILT,), "wins must be finite"),
    (fit_bradley_terry, (torch.tensor([[0.0, 1], [1, 2]]),), "0 on the diagonal"),
    (fit_bradley_terry, (TWO_GROUPS,), "never met"),
    (bradley_terry_standard_errors, (torch.ones(4), TWO_GROUPS), "connect"),
    # the second and third never lost to the first; then, never won against it
    (fit_bradley_terry, (torch.tensor([[0.0, 0, 0], [1, 0, 1], [1, 1, 0]]),), "finite"),
    (fit_bradley_terry, (torch.tensor([[0.0, 1, 1], [0, 0, 1], [0, 1, 0]]),), "finite"),
    (bradley_terry_standard_errors, (TWO * NAN, torch.ones(2, 2)), "scores must be"),
    (bradley_terry_standard_errors, (TWO, NAN.expand(2, 2)), "games must be"),
    (
        bradley_terry_standard_errors,
        (torch.ones(3), torch.tensor([[0.0, 1, 1], [1, 0, -1], [1, -1, 0]])),
        "symmetric and ≥ 0",
    ),
    (
        bradley_terry_standard_errors,
        (torch.ones(3), torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 1, 0]])),
        "connect",
    ),
    (accuracy_ceiling, (torch.tensor([0.5, 1.2]),), "must lie in"),
    (accuracy_ceiling, (torch.tensor([-0.1, 0.5]),), "must lie in"),
    (accuracy_ceiling, (torch.tensor([1.2]),), "must lie in"),
    (accuracy_ceiling, (torch.ones(0),), "probabilities is empty"),
)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "margin"}, "needs a magnitude"),
        ({"magnitude": ONE}, "takes no magnitude"),
        ({"kind": "scaled", "magnitude": -ONE}, "magnitude must be"),
        ({"kind": "scaled", "magnitude": TWO}, "shapes must be equal"),
        ({"kind": "scaled", "magnitude": NAN}, "magnitude must be finite"),
        ({"kind": "hinge"}, "kind must be one of"),
        ({"reduction": "median"}, "reduction must be one of"),
        ({"centering": -1.0}, "centering must be"),
    ],
)
def test_options_that_are_refused_are_named(options, says):
    with pytest.raises(ValueError, match=says):
        reward_model_loss(ONE, ONE, **options)


def test_one_negative_magnitude_is_enough():
    with pytest.raises(ValueError, match="magnitude must be"):
        reward_model_loss(TWO, TWO, magnitude=PART, kind="margin")


@pytest.mark.parametrize("bad", [[1.0], 1.0, torch.tensor([1])])
def test_other_types_are_refused(bad):
    with pytest.raises(TypeError, match="wins must be"):
        fit_bradley_terry(bad)
    with pytest.raises(TypeError, match="games must be"):
        bradley_terry_standard_errors(ONE, bad)
    with pytest.raises(TypeError, match="reward_l must be"):
        preference_probability(ONE, bad)
    with pytest.raises(TypeError, match="integer indices"):
        plackett_luce_log_prob(TWO, torch.ones(2))
