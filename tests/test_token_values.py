"""The token-level view against a recursion over words and a sum over whole answers."""

import itertools
import math

import pytest
import torch
from oracles import F64, refusals, seeded

from course_lib.limits.token_values import (
    answer_token_logps,
    next_token_logps,
    prefix_values,
    soft_values,
    token_advantages,
)
from course_lib.policies import optimal_policy
from course_lib.transformer import load
from course_lib.worlds import sentence_logps, world_s

WORDS, LONGEST = 3, 2
SENTENCES = [
    s for n in range(LONGEST + 1) for s in itertools.product(range(3), repeat=n)
]


def tree(seed: int) -> tuple[dict, dict]:
    """Probabilities and rewards of all sentences, as plain numbers."""
    normal = torch.randn(2, len(SENTENCES), generator=seeded(seed), dtype=torch.float64)
    ref = torch.softmax(normal[0], -1).tolist()
    return dict(zip(SENTENCES, ref, strict=True)), dict(
        zip(SENTENCES, (2 * normal[1]).tolist(), strict=True)
    )


def slow_value(prefix: tuple, ref: dict, rewards: dict, beta: float) -> float:
    """β log E[e^{r/β}] over the reference's answers that begin with the prefix."""
    inside = [s for s in SENTENCES if s[: len(prefix)] == prefix]
    mass = sum(ref[s] for s in inside)
    return beta * math.log(
        sum(ref[s] / mass * math.exp(rewards[s] / beta) for s in inside)
    )


@pytest.mark.parametrize("beta", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_values_and_advantages_by_a_sum_over_whole_answers(seed, beta):
    ref, rewards = tree(seed)
    policy = torch.tensor(list(ref.values()), dtype=F64)
    worth = torch.tensor(list(rewards.values()), dtype=F64)
    levels = next_token_logps(policy, WORDS)
    values = soft_values(levels, worth, beta)
    credit = token_advantages(levels, worth, beta)
    assert [len(v) for v in values] == [1, 3, 9]
    for depth, level in enumerate(values):
        prefixes = itertools.product(range(WORDS), repeat=depth)
        for prefix, found in zip(prefixes, level.tolist(), strict=True):
            if depth < LONGEST:
                due = slow_value(prefix, ref, rewards, beta)
            else:
                due = rewards[prefix]
            assert found == pytest.approx(due, abs=1e-10)
    for first in range(WORDS):
        rise = slow_value((first,), ref, rewards, beta)
        rise -= slow_value((), ref, rewards, beta)
        assert credit[0][0, first].item() == pytest.approx(rise, abs=1e-10)
        ended = rewards[(first,)] - slow_value((first,), ref, rewards, beta)
        assert credit[1][first, -1].item() == pytest.approx(ended, abs=1e-10)


@pytest.mark.parametrize("beta", [0.1, 0.5, 2.0])
def test_in_world_s_log_ratios_are_advantages_and_telescope(beta):
    world = world_s().exact(load("S").double())
    best = optimal_policy(world.ref, world.rewards, beta)
    levels, optimal = (next_token_logps(p, 8) for p in (world.ref, best))
    credit = token_advantages(levels, world.rewards, beta)
    for a, new, old in zip(credit, optimal, levels, strict=True):
        assert (a - beta * (new - old)).abs().max() < 1e-10
    along = sentence_logps(credit)  # sums along each answer, as it does for log-probs
    z = (world.ref * (world.rewards / beta).exp()).sum(-1).log()
    assert (along - (world.rewards - beta * z[:, None])).abs().max() < 1e-10


def test_next_tokens_undo_the_sums_along_a_tree():
    world = world_s().exact(load("S").double())
    levels = next_token_logps(world.ref, 8)
    assert [tuple(level.shape) for level in levels] == [
        (4, 1, 9),
        (4, 8, 9),
        (4, 64, 9),
    ]
    assert (sentence_logps(levels) - world.ref.log()).abs().max() < 1e-12
    for level in levels:
        assert (level.logsumexp(-1)).abs().max() < 1e-12


def test_token_log_probs_of_answers_are_those_of_the_network():
    sentences, model = world_s(), load("S").double()
    world, answers = sentences.exact(model), [0, 3, 40, 300, 584]
    found = answer_token_logps(world.ref[2], sentences, answers)
    for row, answer in zip(found, answers, strict=True):
        tokens, length = sentences.tokens[answer], int(sentences.lengths[answer])
        with torch.no_grad():
            ids = torch.cat((torch.tensor([11]), tokens[:-1]))[None]  # the hotel
            steps = model(ids).log_softmax(-1)[0]
        due = [steps[t, tokens[t]].item() for t in range(length)]
        assert row.tolist() == pytest.approx(due + [0.0] * (3 - length), abs=1e-10)


def test_prefix_values_are_the_tree_s_along_every_answer():
    sentences, beta = world_s(), 0.5
    world = sentences.exact(load("S").double())
    best = optimal_policy(world.ref, world.rewards, beta)[0]
    levels = next_token_logps(world.ref[:1], 8)
    values = soft_values(levels, world.rewards[:1], beta)
    answers = [4, 77, 584]  # of one, two and three words
    logps = [answer_token_logps(p, sentences, answers) for p in (best, world.ref[0])]
    found = prefix_values(*logps, world.rewards[0, answers], beta)
    for row, answer in zip(found, answers, strict=True):
        place = 0
        for depth, word in enumerate(sentences.tokens[answer].tolist()):
            assert row[depth].item() == pytest.approx(values[depth][0, place].item())
            if word == sentences.end:
                break
            place = 8 * place + word
        assert row[-1] == world.rewards[0, answer]


THIRD, SEVEN = torch.full((3,), 1 / 3), torch.zeros(7)
LEVELS = next_token_logps(THIRD, 2)
test_what_cannot_be_is_refused = refusals(
    (next_token_logps, (torch.tensor([0.0, 0.5, 0.5]), 2), "policy must be above 0"),
    (next_token_logps, (torch.full((4,), 0.25), 2), "4 sentences, which no 2 words"),
    (soft_values, (LEVELS, SEVEN, 1.0), "rewards are of 2 levels"),
    (soft_values, ([], SEVEN, 1.0), "levels is empty"),
    (soft_values, (LEVELS, SEVEN[:3], 0.0), "beta must be"),
    (answer_token_logps, (THIRD, world_s(), []), "answers is empty"),
    (prefix_values, (*torch.zeros(2, 3, 2), SEVEN[:2], 1.0), r"be \(batch, time\)"),
)
