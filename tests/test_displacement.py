"""Geometry of a step against real steps, loops and finite differences."""

import pytest
import torch
from oracles import F64, refusals, seeded

from course_lib.limits import displacement
from course_lib.transformer import load
from course_lib.worlds import world_s

SENTENCES, MODEL = world_s(), load("S").double()
OFTEN = [4, 5, 12, 77, 301, 584]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(5))
def test_pushes_are_the_slopes_of_a_real_step(seed):
    features, theta = drawn(6, 3, seed=seed), drawn(3, seed=100 + seed)
    policy = (features @ theta).softmax(-1)
    chosen, rejected = torch.tensor([0, 4]), torch.tensor([1, 2])
    found = displacement.pair_pushes(features, policy, chosen, rejected)
    for row, w, l in zip(found, chosen, rejected, strict=True):  # noqa: E741
        step = 1e-6 * (features[w] - features[l])
        up, down = (
            (features @ x).log_softmax(-1) for x in (theta + step, theta - step)
        )
        assert ((up - down) / 2e-6 - row).abs().max() < 1e-6
        assert abs(float(policy @ row)) < 1e-12


def test_in_a_table_the_chosen_answer_always_rises():
    policy = drawn(7).softmax(-1)
    scores = displacement.softmax_scores(torch.eye(7, dtype=F64), policy)
    w, l = (~torch.eye(7, dtype=torch.bool)).nonzero().T  # noqa: E741
    found = displacement.pair_geometry(scores, w, l)
    assert (found.push - (1 - policy[w] + policy[l])).abs().max() < 1e-12
    assert (found.push > 0).all()
    assert (found.ratio * found.cosine < 1).all()


def test_the_sign_is_that_of_ratio_times_cosine():
    chosen, rejected = drawn(500, 4, seed=1), drawn(500, 4, seed=2)
    number = torch.arange(500)
    scores = torch.cat((chosen, rejected))
    cosine, ratio, push = displacement.pair_geometry(scores, number, 500 + number)
    slow = [float(g @ (g - o)) for g, o in zip(chosen, rejected, strict=True)]
    assert push.tolist() == pytest.approx(slow, abs=1e-12)
    assert torch.equal(push < 0, ratio * cosine > 1)
    assert 10 < (push < 0).sum() < 490


def test_scores_of_a_network_are_autograd_s_through_the_whole_tree():
    found = displacement.sentence_scores(SENTENCES, MODEL, 2, OFTEN)
    logps = SENTENCES.log_policy(MODEL)[2]
    weights = list(MODEL.parameters())
    for row, answer in zip(found, OFTEN, strict=True):
        slopes = torch.autograd.grad(logps[answer], weights, retain_graph=True)
        due = torch.cat([slope.flatten() for slope in slopes])
        assert (row - due).abs().max() < 1e-10


def test_a_real_step_of_a_network_changes_log_pi_as_the_product_says():
    scores = displacement.sentence_scores(SENTENCES, MODEL, 0, OFTEN)
    before, step = SENTENCES.log_policy(MODEL)[0].detach(), 1e-5
    for w, l in ((0, 1), (1, 0), (2, 4), (5, 3)):  # noqa: E741
        moved = displacement.moved_along(MODEL, step * (scores[w] - scores[l]))
        after = SENTENCES.log_policy(moved)[0].detach()
        change = float(after[OFTEN[w]] - before[OFTEN[w]]) / step
        pair = torch.tensor([w]), torch.tensor([l])
        due = displacement.pair_geometry(scores, *pair).push
        assert change == pytest.approx(float(due), rel=0.01)
    assert torch.equal(SENTENCES.log_policy(MODEL)[0].detach(), before)  # untouched


def test_a_batch_is_its_own_pair_and_the_others_by_a_loop():
    g, other, weights = drawn(4, 5, seed=3), drawn(4, 5, seed=4), drawn(4).abs()
    own, others = displacement.batch_pushes(g, other, weights)
    for i in range(4):
        parts = [float(weights[j] * (g[i] @ (g[j] - other[j]))) / 4 for j in range(4)]
        assert own[i].item() == pytest.approx(parts[i])
        assert others[i].item() == pytest.approx(sum(parts) - parts[i])


HALF, ONE, TWO = torch.tensor([0.5, 0.5]), torch.tensor([1]), torch.eye(2)
test_what_cannot_be_is_refused = refusals(
    (displacement.pair_geometry, (0 * TWO, ONE, ONE), "gradient of 0"),
    (displacement.softmax_scores, (torch.eye(3), HALF), "features must be"),
    (displacement.pair_pushes, (TWO, HALF, ONE, ONE.repeat(2)), r"be \(pairs,\)"),
    (displacement.sentence_scores, (SENTENCES, MODEL, 0, []), "answers is empty"),
    (displacement.moved_along, (MODEL, HALF), "direction must be"),
    (displacement.batch_pushes, (TWO, TWO, torch.ones(3)), "weights"),
)
