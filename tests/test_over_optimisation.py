"""Mistaken judges against sums by hand, the frontier, and draws."""

import math
from functools import partial

import pytest
import torch
from oracles import F64, refusals, tensor

from course_lib.limits.over_optimisation import (
    best_by_judges,
    mistaken_judges,
    tilted_by_judges,
)
from course_lib.policies import frontier
from course_lib.transformer import load
from course_lib.worlds import World, world_s

SMALL = World(
    ("a", "b", "c"),
    tensor([0.5, 0.3, 0.2], [0.2, 0.2, 0.6]),
    tensor([0.0, 1.0, 2.0], [1.0, 0.0, -1.0]),
)


def test_a_tilt_by_a_score_by_sums_over_answers():
    scores = mistaken_judges(SMALL, 0.7, seeds=[3, 4])
    found = tilted_by_judges(SMALL, scores, [0.5, 2.0])
    for judge in range(2):
        for point, beta in enumerate((0.5, 2.0)):
            kl = told = true = 0.0
            three = (x.tolist() for x in (SMALL.ref, scores[judge], SMALL.rewards))
            for ref, asked, r in zip(*three, strict=True):
                both = zip(ref, asked, strict=True)
                weights = [p * math.exp(s / beta) for p, s in both]
                policy = [weight / sum(weights) for weight in weights]
                kl += sum(q * math.log(q / p) for q, p in zip(policy, ref, strict=True))
                told += sum(q * s for q, s in zip(policy, asked, strict=True))
                true += sum(q * s for q, s in zip(policy, r, strict=True))
            sums = [part[judge, point].item() for part in found]
            assert sums == pytest.approx([kl / 2, told / 2, true / 2], abs=1e-12)


def test_a_judge_without_errors_is_on_the_frontier():
    scores = mistaken_judges(SMALL, 0.0, seeds=[0])
    found = tilted_by_judges(SMALL, scores, [0.5, 2.0])
    due = frontier(SMALL.ref, SMALL.rewards, [0.5, 2.0])
    assert (found.reward[0] - due.expected_reward.mean(0)).abs().max() < 1e-12
    assert (found.kl[0] - due.kl.mean(0)).abs().max() < 1e-12
    assert torch.equal(found.score, found.reward)


def test_the_best_of_n_by_draws():
    scores = mistaken_judges(SMALL, 1.0, heavy=True, seeds=[1])
    found = best_by_judges(SMALL, scores, [4]).reward.item()
    random, total = torch.Generator().manual_seed(0), 0.0
    for row in range(2):
        draws = torch.multinomial(SMALL.ref[row], 400_000, True, generator=random)
        draws = draws.view(-1, 4)
        best = draws.gather(1, scores[0, row][draws].argmax(1, keepdim=True))
        total += SMALL.rewards[row][best].mean().item() / 2
    assert found == pytest.approx(total, abs=0.01)


def test_errors_are_the_judge_s_own_and_heavy_tails_are_heavy():
    ref = torch.full((1, 4000), 1 / 4000, dtype=F64)
    many = World(("a",), ref, torch.zeros_like(ref))
    normal, heavy = (
        mistaken_judges(many, 1.0, heavy=h, seeds=[0, 1]) for h in (False, True)
    )
    assert normal.shape == (2, 1, 4000)
    assert not torch.equal(normal[0], normal[1])
    again = mistaken_judges(many, 1.0, seeds=[1])
    assert torch.equal(again[0], normal[1])
    assert abs(normal.std() - 1) < 0.05
    beyond = (heavy.abs() > 5).double().mean()  # t with 2: 2 (1 − F(5)) = 0.0377
    assert abs(beyond - 0.0377) < 0.006
    assert (normal.abs() > 5).sum() == 0


@pytest.mark.slow
def test_what_the_page_says_of_tails_and_ranks_in_ten_judges_of_ten():
    """At 2 nats, heavy-tailed errors of size ½: best-of-n earns more than the tilt."""
    world = world_s().exact(load("S").double())
    betas = torch.logspace(2.8, -1.5, 60, dtype=torch.float64).tolist()
    counts = [1, 2, 4, 8, 16, 32, 64, 256, 1024]
    for heavy, more in ((True, 10), (False, 0)):
        scores = mistaken_judges(world, 0.5, heavy=heavy, seeds=range(10))
        tilted = tilted_by_judges(world, scores, betas)
        best = best_by_judges(world, scores, counts)
        assert (tilted.score.diff(dim=1) > -1e-9).all()  # promised: never less
        won = 0
        for judge in range(10):
            t = int((tilted.kl[judge] - 2).abs().argmin())
            b = int((best.kl[judge] - 2).abs().argmin())
            won += bool(best.reward[judge, b] > tilted.reward[judge, t])
        assert abs(won - more) <= 1


SCORES = mistaken_judges(SMALL, 0.0)
test_what_cannot_be_is_refused = refusals(
    (mistaken_judges, (SMALL, -1.0), "size must be"),
    (partial(mistaken_judges, seeds=[]), (SMALL, 1.0), "seeds is empty"),
    (tilted_by_judges, (SMALL, SCORES, []), "betas is empty"),
    (best_by_judges, (SMALL, SCORES, []), "counts is empty"),
)
