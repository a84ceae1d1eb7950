"""Where losses lead: closed forms, a grid, and what has no minimum."""

import functools
import math

import pytest
import torch

from course_lib import losses
from course_lib.variants import METHODS, LossSettings, loss_optimum
from course_lib.worlds import five_responses


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
    rewards = torch.tensor([math.log(share / (1 - share)), 0.0], dtype=torch.float64)
    half = torch.tensor([0.5, 0.5], dtype=torch.float64)
    for tau in (0.2, 1.0):
        found = loss_optimum(of("ipo", beta=tau), half, rewards).log()
        gap = (found[0] - found[1]).item()
        assert gap == pytest.approx((2 * share - 1) / (2 * tau), abs=1e-6)


def test_the_hinge_s_optimum_is_that_of_a_fine_grid():
    """Between two answers, where the better one wins in three of four labels."""
    rewards = torch.tensor([math.log(3.0), 0.0], dtype=torch.float64)
    half = torch.tensor([0.5, 0.5], dtype=torch.float64)
    grid = torch.arange(-5, 5, 0.001, dtype=torch.float64)
    expected = 0.75 * (1 - 0.5 * grid).clamp(min=0) + 0.25 * (1 + 0.5 * grid).clamp(
        min=0
    )
    best = grid[expected.argmin()].item()
    found = loss_optimum(of("hinge"), half, rewards).log()
    assert (found[0] - found[1]).item() == pytest.approx(best, abs=0.01)


def test_believing_in_noise_that_is_not_there_has_no_optimum():
    _, ref, rewards = five_responses()
    with pytest.raises(ValueError, match="no minimum"):
        loss_optimum(of("robust", label_smoothing=0.2), ref, rewards)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((torch.ones(2, 2), torch.ones(2, 2)), "ref"),
        ((torch.tensor([1.0, 0.0]), torch.zeros(2)), "above 0"),
        ((torch.ones(3) / 3, torch.zeros(2)), "rewards"),
    ],
)
def test_bad_worlds_are_refused(arguments, words):
    loss = functools.partial(losses.dpo_loss, beta=1.0)
    with pytest.raises(ValueError, match=words):
        loss_optimum(lambda s: loss(*s.four), *arguments)
    with pytest.raises(ValueError, match="label_noise"):
        loss_optimum(loss, torch.ones(2) / 2, torch.zeros(2), label_noise=0.5)
