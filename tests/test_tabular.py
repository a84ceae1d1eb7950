"""Exact training against slow loops, the closed form and both optimisers' rules."""

import itertools
import math

import pytest
import torch
from oracles import F64, seeded, tensor

from course_lib.policies import kl_divergence, optimal_policy
from course_lib.tabular import expected_dpo_loss, train_tabular
from course_lib.worlds import World, five_responses, random_world

WORLD = five_responses()
SIX = [0.05, 0.1, 0.2, 0.3, 0.5, 1.0]


def slow_loss(policy, ref, rewards, beta) -> float:
    """The same by a loop over pairs and labels, in plain floats."""
    terms = []
    for i, j in itertools.combinations(range(len(ref)), 2):
        wins = 1 / (1 + math.exp(rewards[j] - rewards[i]))
        gap = math.log(policy[i] / ref[i]) - math.log(policy[j] / ref[j])
        right = math.log1p(math.exp(-beta * gap))
        terms.append(wins * right + (1 - wins) * (right + beta * gap))
    return sum(terms) / len(terms)


def slow_gradient(logits, ref, rewards, beta) -> list[float]:
    size, step = len(ref), 1e-6

    def loss(values):
        total = sum(map(math.exp, values))
        policy = [math.exp(value) / total for value in values]
        return slow_loss(policy, ref, rewards, beta)

    def moved(i, by):
        return [x + by * (k == i) for k, x in enumerate(logits)]

    return [
        (loss(moved(i, step)) - loss(moved(i, -step))) / (2 * step) for i in range(size)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_that_of_a_loop_over_pairs_and_labels(seed):
    world, other = random_world(seed), random_world(seed + 50)
    for beta in (0.05, 1.0):
        fast = expected_dpo_loss(other.ref.log() + 3, world.ref, world.rewards, beta)
        lists = [x.tolist() for x in (other.ref, world.ref, world.rewards)]
        assert fast.item() == pytest.approx(slow_loss(*lists, beta), rel=1e-12)


@pytest.mark.parametrize(("beta", "floor"), [(0.5, 0.418041196496)])
def test_the_closed_form_has_the_lowest_loss(beta, floor):
    best = optimal_policy(WORLD.ref, WORLD.rewards, beta).log()
    loss = expected_dpo_loss(best, WORLD.ref, WORLD.rewards, beta)
    assert loss.item() == pytest.approx(floor, abs=5e-13)
    for seed in range(20):
        nudged = best + 0.1 * torch.randn(5, generator=seeded(seed), dtype=F64)
        assert expected_dpo_loss(nudged, WORLD.ref, WORLD.rewards, beta) > loss


@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
def test_two_steps_are_those_of_a_slow_loop(optimiser):
    ref, rewards = WORLD.ref.tolist(), WORLD.rewards.tolist()
    for beta in (0.1, 1.0):
        logits, first, second = WORLD.ref.log(), 0.0, 0.0
        for step in (1, 2):
            slopes = tensor(*slow_gradient(logits.tolist(), ref, rewards, beta))
            if optimiser == "SGD":
                logits = logits - 3.0 * slopes
                continue
            first = 0.9 * first + 0.1 * slopes
            second = 0.999 * second + 0.001 * slopes**2
            size = (second / (1 - 0.999**step)).sqrt() + 1e-8
            logits = logits - 0.05 * first / (1 - 0.9**step) / size
        rate = {"SGD": 3.0, "Adam": 0.05}[optimiser]
        run = train_tabular(WORLD, [beta], optimiser=optimiser, lr=rate, steps=[2])
        assert torch.allclose(run.policy[0, 0], logits.softmax(0), atol=1e-7)


def test_a_record_tells_what_the_policy_is():
    run = train_tabular(WORLD, [0.1, 1.0], lr=3.0, steps=[0, 7])
    for record, column in itertools.product((0, 1), (0, 1)):
        policy, beta = run.policy[record, column], (0.1, 1.0)[column]
        best = optimal_policy(WORLD.ref, WORLD.rewards, beta)
        gap = accuracy = 0.0
        for i, j in itertools.permutations(range(5), 2):  # i is the chosen one
            wins = torch.sigmoid(WORLD.rewards[i] - WORLD.rewards[j]).item() / 10
            h = ((policy[i] / WORLD.ref[i]) / (policy[j] / WORLD.ref[j])).log().item()
            gap += wins * h
            accuracy += wins * (0.5 if abs(h) < 1e-12 else h > 0)
        found = [x[record, column].item() for x in run[2:]]
        lists = [x.tolist() for x in (policy, WORLD.ref, WORLD.rewards)]
        slow = [
            slow_loss(*lists, beta),
            kl_divergence(policy, WORLD.ref).item(),
            kl_divergence(policy, best).item(),
            gap,
            accuracy,
        ]
        assert found == pytest.approx(slow, rel=1e-9, abs=1e-12)
    start = [run.loss[0], run.kl[0], run.gap[0], run.accuracy[0]]
    assert [x.tolist() for x in start] == [
        pytest.approx([value] * 2, abs=1e-15) for value in (math.log(2), 0, 0, 0.5)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
def test_training_ends_at_the_closed_form(optimiser):
    told = {"optimiser": optimiser, "lr": {"SGD": 10.0, "Adam": 0.1}[optimiser]}
    run = train_tabular(WORLD, [0.3, 0.5, 1.0], steps=[2000], **told)
    assert run.distance.abs().max() < 1e-12
    known = [1.0974052339, 0.8935307482, 0.4691256457]
    assert run.kl[0].tolist() == pytest.approx(known, abs=5.1e-10)


def test_worlds_and_betas_side_by_side_are_the_runs_one_by_one():
    many = random_world(3, worlds=4)
    for optimiser, rate in (("SGD", 3.0), ("Adam", 0.05)):
        options = {"optimiser": optimiser, "lr": rate, "steps": [1, 30]}
        whole = train_tabular(many, SIX, **options)
        assert whole.policy.shape == (2, 4, 6, 5)
        assert whole.kl.shape == (2, 4, 6)
        for i, column in itertools.product(range(4), (0, 1)):
            world = World(many.names, many.ref[i], many.rewards[i])
            alone = train_tabular(world, [SIX[column]], **options).policy[:, 0]
            assert torch.allclose(whole.policy[:, i, column], alone, atol=1e-12)


def test_sgd_sees_beta_and_rate_only_as_rate_times_beta_squared():
    one = train_tabular(WORLD, [0.1], lr=3.0, steps=[1, 10, 100])
    other = train_tabular(WORLD, [1.0], lr=0.03, steps=[1, 10, 100])
    assert torch.allclose(one.loss, other.loss, atol=1e-13)
    assert torch.allclose(0.1 * one.gap, other.gap, atol=1e-12)


def test_adam_s_first_step_is_the_learning_rate_for_every_beta():
    run = train_tabular(WORLD, SIX, optimiser="Adam", lr=0.05, steps=[1])
    moved = (run.policy[0] / WORLD.ref).log()
    moved = moved - moved[:, :1]  # logits, up to their constant
    signs = tensor(0.0, 1, 0, 1, 0)  # B and D up, the others down
    assert torch.allclose(moved, 0.1 * signs.expand_as(moved), atol=1e-4)


@pytest.mark.slow
def test_the_order_of_beta_turns_round_in_twenty_worlds():
    many = random_world(0, worlds=20)
    kl = train_tabular(many, SIX, lr=3.0, steps=[5, 20, 2000]).kl
    assert (kl[0].diff(dim=-1) > 0).all()
    assert (kl[1][:, -1] > kl[1][:, 0]).all()
    assert (kl[2].diff(dim=-1) < 0).all()
    kl = train_tabular(many, SIX, optimiser="Adam", lr=0.05, steps=[20, 2000]).kl
    assert (kl[0][:, -1] < kl[0][:, 0]).sum() == 17
    assert (kl[1].diff(dim=-1) < 0).all()


@pytest.mark.slow
def test_a_label_that_is_certain_has_no_rest():
    pair = World(("w", "l"), tensor(0.5, 0.5), tensor(60.0, 0.0))
    steps = [10, 100, 1000, 10_000]
    gaps = train_tabular(pair, [0.1, 0.5], lr=1.0, steps=steps).gap
    known = [[0.98, 3.1], [7.94, 7.7], [29.0, 12.4], [52.8, 17.0]]
    assert torch.allclose(gaps, torch.tensor(known, dtype=F64), atol=0.06)


BAD = [
    ({"betas": []}, "betas is empty"),
    ({"betas": [0.1, 0.0]}, "beta must be"),
    ({"optimiser": "RMSprop"}, "optimiser must be one of 'SGD', 'Adam'"),
    ({"lr": 0.0}, "lr must be"),
    ({"steps": []}, "steps must ascend"),
    ({"steps": [5, 2]}, "steps must ascend"),
    ({"steps": [2, 2]}, "steps must ascend"),
    ({"steps": [-1, 2]}, "steps must ascend"),
    ({"world": WORLD._replace(ref=WORLD.ref * 0.9)}, "ref must sum to 1"),
    ({"world": WORLD._replace(rewards=WORLD.rewards[:4])}, "shapes must be equal"),
]


@pytest.mark.parametrize(("wrong", "says"), BAD)
def test_bad_input_is_refused_by_name(wrong, says):
    options = {"world": WORLD, "betas": [0.5], "lr": 1.0, "steps": [1]} | wrong
    with pytest.raises(ValueError, match=says):
        train_tabular(**options)


def test_the_loss_refuses_what_is_no_policy_and_no_beta():
    with pytest.raises(ValueError, match="ref must sum to 1"):
        expected_dpo_loss(WORLD.ref.log(), WORLD.ref * 2, WORLD.rewards, 0.5)
    with pytest.raises(ValueError, match="beta must be finite and above 0"):
        expected_dpo_loss(WORLD.ref.log(), WORLD.ref, WORLD.rewards, 0.0)
