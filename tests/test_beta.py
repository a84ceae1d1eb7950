"""Both faces of β against published slopes, mpmath, grids and enumeration."""

import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import F64, PROPERTY, minimiser, mp, refusals, tensor

from course_lib.beta import (
    beta_for_kl,
    crossing,
    dpo_slope,
    smoothed_optimal_gap,
    steepest_beta,
)
from course_lib.losses import dpo_loss
from course_lib.policies import optimal_policy
from course_lib.worlds import random_world

BETAS = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
SLOPES = {
    -10: (0.0052497919, 0.0311229666, 0.0731058579, 0.1761594156, 0.4966535745, None),
    -3: (0.0050749944, 0.0268714923, 0.0574442517, 0.1291312612, 0.4087872381, None),
    0: (0.005, 0.025, 0.05, 0.1, 0.25, 0.5),
    3: (0.0049250056, 0.0231285077, 0.0425557483, 0.0708687388, 0.0912127619, None),
    10: (0.0047502081, 0.0188770334, 0.0268941421, 0.0238405844, 0.0033464255, None),
    50: (0.0037754067, 0.0037929090, 0.0006692851, 0.0000090796, None, None),
}
gaps = st.floats(-50, 50)
betas = st.floats(0.01, 10)


def by_formula(gap: float, beta: float) -> float:
    return dpo_slope(tensor(gap), beta).item()


def by_autograd(gap: float, beta: float) -> float:
    four = torch.tensor([[gap - 9.0], [-7], [-9], [-7]], dtype=F64, requires_grad=True)
    (slopes,) = torch.autograd.grad(dpo_loss(*four, beta), four)
    return -slopes[0].item()


either_way = pytest.mark.parametrize("slope", [by_formula, by_autograd])


@either_way
@pytest.mark.parametrize("gap", SLOPES)
def test_the_known_slopes(gap, slope):
    for beta, known in zip(BETAS, SLOPES[gap], strict=True):
        if known is not None:
            assert slope(gap, beta) == pytest.approx(known, abs=5.1e-11)


@PROPERTY
@given(gaps, betas)
def test_the_slope_is_the_derivative_of_the_loss(gap, beta):
    def loss(h):
        return mp.log(1 + mp.exp(-mp.mpf(beta) * h))

    slope = -mp.diff(loss, mp.mpf(gap))
    assert dpo_slope(tensor(gap), beta).item() == pytest.approx(float(slope), rel=1e-9)


@PROPERTY
@given(st.floats(-50, 0), betas, st.floats(1.001, 10))
def test_at_a_gap_of_zero_or_below_more_beta_is_more_push(gap, beta, factor):
    assert dpo_slope(tensor(gap), beta) < dpo_slope(tensor(gap), factor * beta)


def test_slopes_at_extremes_stay_finite():
    for dtype in (torch.float32, F64):
        slope = dpo_slope(torch.tensor([-5000.0, 5000.0], dtype=dtype), 1.0)
        assert slope.tolist() == [1, 0]
        assert slope.dtype == dtype


def test_the_steepest_beta_is_the_root_of_its_equation():
    u = steepest_beta(tensor(1.0)).item()
    exact = 1 + mpmath.lambertw(mpmath.exp(-1)).real  # u = 1 + e^{−u}
    assert u == pytest.approx(float(exact), rel=1e-15)
    assert u == pytest.approx(1.2784645428, abs=5.1e-11)


@either_way
@PROPERTY
@given(gap=st.floats(0.01, 100))
def test_no_other_beta_is_steeper(gap, slope):
    best = steepest_beta(tensor(gap)).item()
    top = slope(gap, best)
    assert top == pytest.approx(0.2784645428 / gap, rel=1e-9)
    for factor in (0.5, 0.99, 1.01, 2.0):
        assert slope(gap, factor * best) < top


@pytest.mark.parametrize(
    ("beta", "other", "gap"),
    [(0.1, 0.5, 5.01157), (0.05, 0.5, 6.24142), (0.1, 1, 3.12071)],
)
def test_where_two_beta_change_places(beta, other, gap):
    assert crossing(beta, other) == pytest.approx(gap, abs=5.1e-6)
    assert crossing(other, beta) == crossing(beta, other)
    assert by_autograd(gap - 1e-5, beta) < by_autograd(gap - 1e-5, other)
    assert by_autograd(gap + 1e-5, beta) > by_autograd(gap + 1e-5, other)


@PROPERTY
@given(betas, st.floats(1.01, 100))
def test_at_the_crossing_both_push_alike_and_change_places(beta, factor):
    gap = crossing(beta, factor * beta)
    one, other = (dpo_slope(tensor(gap), b).item() for b in (beta, factor * beta))
    assert one == pytest.approx(other, rel=1e-7)
    for h, larger_leads in ((gap * 0.9, True), (gap * 1.1, False)):
        small, large = (dpo_slope(tensor(h), b) for b in (beta, factor * beta))
        assert bool(large > small) == larger_leads


@pytest.mark.parametrize("seed", range(20))
def test_the_budget_is_spent_to_the_last_nat(seed):
    world = random_world(seed)
    limit = -world.ref[world.rewards.argmax()].log().item()
    for share in (0.01, 0.3, 0.95):
        beta = beta_for_kl(world.ref, world.rewards, share * limit)
        policy = optimal_policy(world.ref, world.rewards, beta)
        spent = sum(
            p * math.log(p / q)
            for p, q in zip(policy.tolist(), world.ref.tolist(), strict=True)
            if p > 0
        )
        assert spent == pytest.approx(share * limit, rel=1e-9)
        tenfold = beta_for_kl(world.ref, 10 * world.rewards, share * limit)
        assert tenfold == pytest.approx(10 * beta, rel=1e-8)


def test_the_limit_of_a_budget_is_what_all_best_answers_cost():
    ref = tensor(0.3, 0.1, 0.6, 0.0)
    rewards = tensor(1.0, 1.0, 0.0, 9.0)  # the last one cannot be reached
    limit = -math.log(0.4)
    assert 0 < beta_for_kl(ref, rewards, 0.999 * limit) < 0.5
    for kl in (limit, 2.0):
        with pytest.raises(ValueError, match=r"kl must be below 0\.916291"):
            beta_for_kl(ref, rewards, kl)


SMOOTHED = {
    0.01: (4.5951198501, 0.0560015344),
    0.05: (2.9444389792, 0.1985152433),
    0.1: (2.1972245773, 0.3250829734),
    0.2: (1.3862943611, 0.5004024235),
    0.3: (0.8472978604, 0.6108643021),
}


@pytest.mark.parametrize("rate", SMOOTHED)
def test_where_smoothed_labels_stop_and_what_they_cost_there(rate):
    margin, entropy = SMOOTHED[rate]
    gap = smoothed_optimal_gap(tensor(rate), 0.1)
    assert gap.item() == pytest.approx(10 * margin, abs=5.1e-10)
    zero = torch.zeros(1, dtype=F64)

    def loss(h):
        return dpo_loss(h, zero, zero, zero, 0.1, label_smoothing=rate)

    best = minimiser(loss, -100.0, 100.0, (1,))
    assert best.item() == pytest.approx(10 * margin, abs=5.1e-10)
    for lowest in (gap, best):
        assert loss(lowest).item() == pytest.approx(entropy, abs=5.1e-11)
    assert loss(gap) < min(loss(gap - 0.1), loss(gap + 0.1))


def test_the_stop_of_rare_flips_keeps_its_digits():
    assert smoothed_optimal_gap(tensor(1e-30), 1.0).item() == pytest.approx(
        30 * math.log(10), rel=1e-14
    )
    assert smoothed_optimal_gap(tensor(0.5), 1.0).item() == pytest.approx(0, abs=1e-15)


HALF, PAIR = tensor(0.5, 0.5), tensor(1.0, 0.0)
test_bad_input_is_refused_by_name = refusals(
    (dpo_slope, (tensor(0.0), 0.0), "beta must be"),
    (dpo_slope, (tensor(math.nan), 1.0), "gap must be finite"),
    (dpo_slope, (tensor(), 1.0), "gap is empty"),
    (steepest_beta, (tensor(1.0, 0.0),), "gap must be > 0"),
    (crossing, (0.1, 0.1), "must differ"),
    (crossing, (-0.1, 0.1), "beta must be"),
    (crossing, (0.1, math.inf), "other must be"),
    (beta_for_kl, (HALF, PAIR, 0.0), "kl must be"),
    (beta_for_kl, (HALF, PAIR, math.log(2)), r"kl must be below 0\.693147"),
    (beta_for_kl, (HALF, 0 * PAIR, 0.1), "kl must be below 0"),
    (beta_for_kl, (HALF[None], PAIR[None], 0.1), "ref must have shape"),
    (beta_for_kl, (HALF * 0.9, PAIR, 0.1), "ref must sum to 1"),
    (beta_for_kl, (HALF, tensor(1.0, 0.0, 2.0), 0.1), "shapes must be equal"),
    (smoothed_optimal_gap, (tensor(0.0), 1.0), "label_smoothing must be"),
    (smoothed_optimal_gap, (tensor(0.6), 1.0), "label_smoothing must be"),
    (smoothed_optimal_gap, (tensor(0.1), -1.0), "beta must be"),
)


def test_a_plain_number_is_no_tensor():
    with pytest.raises(TypeError, match="gap must be a tensor"):
        dpo_slope(0.0, 1.0)
