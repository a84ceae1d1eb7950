"""Where losses lead: closed forms, a grid, and what has no minimum."""

import functools
import math

import pytest
import torch
from optima import hinge_optimum, surest_split
from oracles import refusals, tensor

from course_lib.policies import optimal_policy
from course_lib.variants import METHODS, LossSettings, PairLogps, loss_optimum
from course_lib.worlds import five_responses, random_world


def of(method: str, **knobs):
    return functools.partial(METHODS[method], k=LossSettings(**knobs))


def test_dpo_and_robust_dpo_lead_to_the_closed_form():
    _, ref, rewards = five_responses()
    tilted = ref.double() * (rewards.double() / 0.5).exp()
    best = tilted / tilted.sum()
    assert torch.allclose(loss_optimum(of("dpo"), ref, rewards), best, atol=1e-6)
    robust = of("robust", label_smoothing=0.2)
    found = loss_optimum(robust, ref, rewards, label_noise=0.2)
    assert torch.allclose(found, best, atol=1e-6)


def test_smoothing_clean_labels_is_dpo_on_noisy_ones():
    _, ref, rewards = five_responses()
    smooth = loss_optimum(of("dpo", label_smoothing=0.2), ref, rewards)
    noisy = loss_optimum(of("dpo"), ref, rewards, label_noise=0.2)
    assert torch.allclose(smooth, noisy, atol=1e-7)


@pytest.mark.parametrize("share", [0.6, 0.75, 0.9])
def test_between_two_answers_ipo_stops_where_its_formula_says(share):
    """(2p − 1)/(2τ), for labels that prefer the first in a share p."""
    rewards = tensor(math.log(share / (1 - share)), 0.0)
    half = tensor(0.5, 0.5)
    for tau in (0.2, 1.0):
        found = loss_optimum(of("ipo", beta=tau), half, rewards).log()
        gap = (found[0] - found[1]).item()
        assert gap == pytest.approx((2 * share - 1) / (2 * tau), abs=1e-6)


def test_a_search_that_stalls_at_a_kink_says_so():
    """The hinge's true optimum is lower, and found from the kinks themselves."""
    _, ref, rewards = five_responses()
    with pytest.raises(ValueError, match=r"stalled at slope 0\.03"):
        loss_optimum(of("hinge"), ref, rewards)
    best = hinge_optimum(ref, rewards, 0.5)
    margins = 0.5 * (best / ref).log()
    integers = tensor(0.0, 1.0, -1.0, 1.0, -2.0)
    assert torch.allclose(margins - margins[0], integers, atol=1e-9)


def test_ipo_leads_to_the_tilt_by_win_rate():
    """On all pairs: the closed form, with P(y beats the sampler) as its reward."""
    for seed in range(20):
        _, ref, rewards = random_world(seed, responses=5)
        rate = torch.sigmoid(rewards[:, None] - rewards) @ ref
        for tau in (0.1, 0.5, 2.0):
            best = optimal_policy(ref, rate, tau)
            found = loss_optimum(of("ipo", beta=tau), ref, rewards)
            assert torch.allclose(found, best, atol=1e-6)
            log_odds = best.log() - ref.log()
            assert (log_odds.max() - log_odds.min()) < 1 / tau


def test_when_robust_dpo_has_an_optimum():
    """Iff no split of the answers is surer, on average, than 1 − ε."""
    _, ref, rewards = five_responses()
    limit = 1 - surest_split(ref, rewards)
    assert limit == pytest.approx(0.1082, abs=5e-5)
    loss_optimum(of("robust", label_smoothing=limit - 0.003), ref, rewards)
    with pytest.raises(ValueError, match=r"no minimum|stalled"):
        loss_optimum(of("robust", label_smoothing=limit + 0.003), ref, rewards)
    with pytest.raises(ValueError, match="no minimum"):
        loss_optimum(of("robust", label_smoothing=0.2), ref, rewards)


def test_kto_at_its_point_of_zero_is_half_of_apo_zero():
    logps = torch.randn(4, 6, dtype=torch.float64)
    pairs = PairLogps(*logps, *torch.ones(2, 6), torch.tensor(0.0))
    kto, apo = (METHODS[m](pairs, LossSettings()) for m in ("kto", "apo_zero"))
    assert torch.allclose(2 * kto, apo, atol=1e-12)


DPO, TWO = of("dpo"), torch.ones(2)
test_bad_worlds_are_refused = refusals(
    (loss_optimum, (DPO, torch.ones(2, 2), torch.ones(2, 2)), "ref"),
    (loss_optimum, (DPO, tensor(1.0, 0.0), TWO.double()), "above 0"),
    (loss_optimum, (DPO, torch.ones(3) / 3, TWO), "rewards"),
    (functools.partial(loss_optimum, label_noise=0.5), (DPO, TWO / 2, TWO), "label_no"),
)
