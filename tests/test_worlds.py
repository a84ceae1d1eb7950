"""Worlds: proper policies, the same for the same seed, the numbers of the course."""

import itertools
import math
from functools import partial

import pytest
import torch
from oracles import refusals, tensor

from course_lib.batches import sentence_texts
from course_lib.policies import log_partition
from course_lib.transformer import PrefixTable, Shape, Transformer
from course_lib.worlds import (
    World,
    eight_words,
    five_responses,
    random_world,
    sample_demonstrations,
    sample_preferences,
    sample_rewards,
    sample_thumbs,
    sentence_logps,
    world_l,
    world_s,
)

SEEDED = torch.Generator().manual_seed(0)


def test_five_responses_has_the_published_optimum():
    _, ref, rewards = five_responses()
    assert float(log_partition(ref, rewards, 0.5)) == pytest.approx(
        4.8356176656, abs=1e-10
    )
    assert float(ref.sum()) == pytest.approx(1)


@pytest.mark.parametrize(("worlds", "shape"), [(None, (7,)), (20, (20, 7))])
def test_random_worlds_are_proper_and_repeat(worlds, shape):
    names, ref, rewards = random_world(3, 7, worlds)
    assert ref.shape == rewards.shape == shape
    assert len(names) == 7
    assert torch.allclose(ref.sum(-1), torch.ones(shape[:-1]).double())
    assert torch.equal(ref, random_world(3, 7, worlds).ref)
    assert not torch.equal(ref, random_world(4, 7, worlds).ref)
    assert not torch.equal(ref.log(), rewards)


def test_eight_words_are_a_language():
    words, ref, values = eight_words()
    assert len(set(words)) == len(ref) == len(values) == 8
    assert float(ref.sum()) == pytest.approx(1, abs=1e-15)


def test_sampled_rewards_have_the_mean_and_spread_of_a_sum():
    world = eight_words()
    rewards = sample_rewards(world, 10, 40, 500, seed=0)
    assert rewards.shape == (40, 500)
    assert torch.equal(rewards, sample_rewards(world, 10, 40, 500, seed=0))
    assert not torch.equal(rewards, sample_rewards(world, 10, 40, 500, seed=1))
    pairs = list(zip(world.ref.tolist(), world.rewards.tolist(), strict=True))
    mean = sum(p * v for p, v in pairs)
    variance = sum(p * (v - mean) ** 2 for p, v in pairs)
    # 20,000 sums of ten: the mean is known to 0.014, the variance to 1 %
    assert float(rewards.mean()) == pytest.approx(10 * mean, abs=0.045)
    assert float(rewards.var()) == pytest.approx(10 * variance, rel=0.04)


# ── the worlds of sentences ───────────────────────────────────────────────────────────

WORDS = ["it", "was", "not", "very", "good", "bad", "!", "thanks"]
WORLDS = {"S": (world_s, 3, 585), "L": (world_l, 5, 37_449)}


def random_model(scale: float = 0.5) -> Transformer:
    torch.manual_seed(4)
    model = Transformer(Shape(13, 9)).double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, 0, scale)
    return model


@pytest.mark.parametrize("name", WORLDS)
def test_every_sentence_is_listed_once_by_length_and_then_by_word(name):
    make, longest, count = WORLDS[name]
    world = make()
    by_hand = [
        " ".join(words) or "(nothing)"
        for length in range(longest + 1)
        for words in itertools.product(WORDS, repeat=length)
    ]
    assert len(by_hand) == len(world.tokens) == count
    sampled = range(0, count, 1 if name == "S" else 97)
    assert [world.text(i) for i in sampled] == [by_hand[i] for i in sampled]
    assert torch.equal(world.number(world.tokens), torch.arange(count))
    spoken = torch.tensor([len(x.split()) * (x != "(nothing)") for x in by_hand])
    assert torch.equal(world.lengths, (spoken + 1).clamp(max=longest))


@pytest.mark.parametrize(
    ("prompt", "sentence", "reward"),
    [
        ("film", "(nothing)", 0.0),
        ("film", "good", 1 - 0.15),
        ("hotel", "good", -1 - 0.15),
        ("film", "not good", -0.7 - 0.3),
        ("film", "very bad", -1.4 - 0.3),
        ("hotel", "very bad !", 1.4 * 1.2 - 0.45),
        ("film", "not very good", -0.98 - 0.45),
        ("film", "very very good", 1.96 - 0.45),
        ("talk", "thanks", 0.8 - 0.15),
        ("soup", "good thanks !", 1.2 + 0.5 - 0.45),
        ("film", "good good good", 3 - 0.45),
        ("film", "not it was", -0.45),
        ("hotel", "not not bad", 0.49 - 0.45),
    ],
)
def test_rewards_by_hand(prompt, sentence, reward):
    world = world_s()
    row = ["film", "soup", "hotel", "talk"].index(prompt)
    texts = [world.text(i) for i in range(585)]
    assert world.rewards[row, texts.index(sentence)].item() == pytest.approx(reward)


def test_strength_stops_at_two():
    world = world_l()
    ids = torch.tensor([[3, 3, 3, 4, 8]])  # very very very good
    assert world.rewards[0, world.number(ids)].item() == pytest.approx(2 - 0.6)


@pytest.mark.parametrize("name", WORLDS)
def test_log_probs_of_all_sentences_are_those_of_each_by_itself(name):
    world, model = WORLDS[name][0](), random_model()
    with torch.no_grad():
        exact = world.log_policy(model)
        assert torch.allclose(exact.exp().sum(-1), torch.ones(4, dtype=torch.float64))
        some = torch.randperm(len(world.tokens), generator=SEEDED)[:40]
        for prompt in range(4):
            for number in some.tolist():
                said = world.tokens[number, : world.lengths[number]].tolist()
                steps = model(torch.tensor([[9 + prompt, *said[:-1]]]))[0]
                total = steps.log_softmax(-1)[range(len(said)), said].sum().item()
                assert exact[prompt, number].item() == pytest.approx(total, abs=1e-10)


def test_log_probs_carry_the_gradient():
    world, model = world_s(), random_model(0.2)
    weight = model.blocks[1].down.weight
    chosen = 137

    def value():
        return world.log_policy(model)[2, chosen]

    (slope,) = torch.autograd.grad(value(), weight)
    with torch.no_grad():
        weight[3, 5] += 1e-5
        above = value()
        weight[3, 5] -= 2e-5
        below = value()
    assert slope[3, 5].item() == pytest.approx((above - below).item() / 2e-5, rel=1e-5)
    assert abs(slope[3, 5].item()) > 1e-6


def test_a_table_can_be_any_policy_that_the_chain_rule_allows():
    world, table = world_s(), PrefixTable(prompts=4, words=8, longest=3)
    exact = world.exact(table)
    assert torch.allclose(exact.ref[:, 0], torch.full((4,), 1 / 9, dtype=torch.float64))
    assert torch.allclose(exact.ref[:, -1], torch.full((4,), 9**-3.0).double())
    assert exact.names[1] == "it"


def test_sums_over_a_tree_of_uneven_chances():
    random = torch.Generator().manual_seed(0)
    first = torch.rand(2, 1, 4, generator=random).log_softmax(-1)
    second = torch.rand(2, 3, 4, generator=random).log_softmax(-1)
    got = sentence_logps([first, second])
    for row in range(2):
        slow = [first[row, 0, 3]]
        slow += [first[row, 0, w] + second[row, w, 3] for w in range(3)]
        longest = itertools.product(range(3), range(3))
        slow += [first[row, 0, w] + second[row, w, v] for w, v in longest]
        assert torch.allclose(got[row], torch.stack(slow))


@pytest.mark.parametrize("name", WORLDS)
def test_people_speak_the_language_and_its_grammar(name):
    make, longest, _ = WORLDS[name]
    world = make()
    prompts, numbers = sample_demonstrations(world, 20_000, seed=3)
    said = [world.text(i) for i in numbers.tolist()]
    # a film's sentences by the rules, slips apart
    chances = {"good": 0.0, "it was very good": 0.0, "not bad thanks": 0.0}
    total = 0.0
    for opener, no, very, good, mark, thanks in itertools.product([0, 1], repeat=6):
        words = ["it", "was"] * opener + ["not"] * no + ["very"] * very
        words += ["good" if good else "bad"] + ["!"] * mark + ["thanks"] * thanks
        if len(words) <= longest:
            shares = [(opener, 0.4), (no, 0.25), (very, 0.3), (good, 0.5)]
            shares += [(mark, 0.2), (thanks, 0.2)]
            chance = math.prod(p if yes else 1 - p for yes, p in shares)
            total += chance
            sentence = " ".join(words)
            chances[sentence] = chances.get(sentence, 0.0) + chance
    films = [s for s, p in zip(said, prompts, strict=True) if p == 0]
    for sentence, chance in chances.items():
        kept = (1 - 7 / 8 / 30) ** (0 if not chance else len(sentence.split()))
        expected = chance / total * kept
        share = films.count(sentence) / len(films)
        assert share == pytest.approx(expected, abs=0.012), sentence


# ── preferences ───────────────────────────────────────────────────────────────────────


def three_answers() -> World:
    ref = tensor([0.5, 0.3, 0.2], [0.1, 0.1, 0.8])
    rewards = tensor([1.0, 0.0, -1.0], [0.0, 2.0, 0.5])
    return World(("a", "b", "c"), ref, rewards)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_preferences_have_the_chances_of_bradley_and_terry(noise):
    world, count = three_answers(), 60_000
    asked = sample_preferences(world, count, seed=0, label_noise=noise)
    assert asked.prompts.tolist() == [0, 1] * (count // 2)
    both = itertools.combinations(range(3), 2)
    for prompt, (first, second) in itertools.product(range(2), both):
        mine = asked.prompts == prompt
        won = (mine & (asked.chosen == first) & (asked.rejected == second)).sum()
        lost = (mine & (asked.chosen == second) & (asked.rejected == first)).sum()
        r, p = world.rewards[prompt], world.ref[prompt]
        chance = 1 / (1 + math.exp(r[second] - r[first]))
        chance = (1 - noise) * chance + noise * (1 - chance)
        assert won / (won + lost) == pytest.approx(chance, abs=0.025)
        drawn = p[first] * p[second] * (1 / (1 - p[first]) + 1 / (1 - p[second]))
        share = (won + lost) / mine.sum()
        assert share.item() == pytest.approx(drawn.item(), abs=0.015)
    assert (asked.chosen != asked.rejected).all()


def test_what_annotators_like_besides_and_who_writes():
    world = three_answers()
    liking = torch.tensor([0.0, 0.0, 50.0])
    asked = sample_preferences(world, 2_000, seed=1, bonus=liking)
    with_third = (asked.chosen == 2) | (asked.rejected == 2)
    assert (asked.chosen[with_third] == 2).all()
    writer = tensor([0.5, 0.5, 0.0], [0.0, 0.5, 0.5])
    asked = sample_preferences(world, 2_000, seed=1, sampler=writer)
    both = torch.cat((asked.chosen, asked.rejected))
    assert not (both[asked.prompts.repeat(2) == 0] == 2).any()
    assert not (both[asked.prompts.repeat(2) == 1] == 0).any()


def test_the_same_seed_asks_for_the_same_pairs_whatever_the_noise():
    world = three_answers()
    clean, noisy = (
        sample_preferences(world, 500, seed=9, label_noise=e) for e in (0, 0.3)
    )
    sides = [torch.stack(x[1:], 1).sort(1).values for x in (clean, noisy)]
    assert torch.equal(*sides)
    turned = (clean.chosen != noisy.chosen).double().mean()
    assert turned.item() == pytest.approx(0.3, abs=0.07)


def test_texts_of_the_release_before_are_those_of_today():
    world, asked = world_s(), torch.tensor([[0, 1], [3, 4], [2, 5]])
    with pytest.warns(FutureWarning, match="batches.sentence_texts"):
        before = world.texts(*asked)
    assert all(map(torch.equal, before[:4], sentence_texts(world, *asked)[:4]))


THREE, TWO, NONE = three_answers(), torch.tensor([3, 4]), torch.arange(0)
ALONE = World(("a", "b"), torch.eye(2), torch.zeros(2, 2))
NOISY = partial(sample_preferences, label_noise=0.5, seed=0)
BADLY = partial(sample_preferences, sampler=torch.ones(2, 3), seed=0)
test_what_cannot_be_asked_for_is_refused = refusals(
    (random_world, (0, 1), "responses must be at least 2"),
    (partial(sample_rewards, seed=0), (eight_words(), 0, 5), "length must be at least"),
    (partial(sample_preferences, seed=0), (THREE, 0), "count"),
    (NOISY, (THREE, 5), "label_noise"),
    (partial(sample_thumbs, seed=0), (ALONE, 3), "two answers or more"),
    (BADLY, (THREE, 5), "sampler"),
    (sentence_texts, (world_s(), TWO - 3, TWO, TWO.clamp(max=3)), "equal sides"),
    (sentence_texts, (world_s(), NONE, NONE), "prompts is empty"),
)
