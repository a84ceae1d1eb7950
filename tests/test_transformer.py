"""Both language models: causal, one with and without a cache, and what they say."""

import itertools
import math

import pytest
import torch
from oracles import refusals, seeded

from course_lib.transformer import PrefixTable, Shape, Transformer, load, sample, save
from course_lib.worlds import world_s

SHAPES = {
    "plain": Shape(vocab=13, outputs=9),
    "grouped": Shape(vocab=13, outputs=9, width=24, layers=3, heads=6, kv_heads=2),
}


def model_of(name: str) -> Transformer:
    torch.manual_seed(3)
    return Transformer(SHAPES[name]).double()


def ids_of(batch: int, time: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(13, (batch, time), generator=seeded(seed))


@pytest.mark.parametrize("name", SHAPES)
def test_a_position_does_not_know_what_comes_later(name):
    model, ids = model_of(name), ids_of(2, 6)
    with torch.no_grad():
        before = model(ids)
        for place in range(1, 6):
            other = ids.clone()
            other[:, place:] = (other[:, place:] + 1) % 13
            after = model(other)
            assert torch.equal(after[:, :place], before[:, :place])
            assert not torch.allclose(after[:, place], before[:, place])


@pytest.mark.parametrize("name", SHAPES)
def test_every_earlier_token_matters(name):
    ids = ids_of(1, 5)
    model = model_of(name)
    embedded = model.embedding(ids).detach().requires_grad_()
    model.embedding.register_forward_hook(lambda *_: embedded)
    model(ids)[0, -1].sum().backward()
    assert (embedded.grad[0].abs().sum(-1) > 1e-8).all()


@pytest.mark.parametrize("name", SHAPES)
def test_one_token_at_a_time_with_a_cache_is_the_same(name):
    model, ids = model_of(name), ids_of(3, 7)
    with torch.no_grad():
        cache = []
        pieces = [model.features(ids[:, :3], cache=cache)]
        pieces += [model.features(ids[:, i : i + 1], cache=cache) for i in range(3, 7)]
        together = model.features(ids)
    assert len(cache) == SHAPES[name].layers
    assert torch.allclose(torch.cat(pieces, 1), together, atol=1e-12, rtol=0)


def test_a_cache_takes_one_token_at_a_time():
    model, cache = model_of("plain"), []
    model.features(ids_of(1, 2), cache=cache)
    with pytest.raises(ValueError, match="one token at a time"):
        model.features(ids_of(1, 2), cache=cache)


@pytest.mark.parametrize("name", SHAPES)
def test_padding_on_the_right_changes_nothing(name):
    model, ids = model_of(name), ids_of(2, 5)
    with torch.no_grad():
        padded = model(torch.cat((ids, torch.zeros(2, 3, dtype=torch.long)), 1))
        assert torch.allclose(padded[:, :5], model(ids), atol=1e-12, rtol=0)


def test_only_the_distance_between_positions_matters():
    model, ids = model_of("plain"), ids_of(2, 6)
    with torch.no_grad():
        moved = model.features(ids, positions=torch.arange(6)[None] + 11)
        stretched = model.features(ids, positions=3 * torch.arange(6)[None])
        assert torch.allclose(moved, model.features(ids), atol=1e-6)
        assert not torch.allclose(stretched, model.features(ids), atol=1e-3)


def test_what_can_be_written_are_the_first_ids():
    model = model_of("plain")
    features = torch.randn(5, 32, dtype=torch.float64)
    by_hand = features @ model.embedding.weight[:9].T
    assert torch.allclose(model.head(features), by_hand)


def plain(**change) -> tuple[Shape]:
    return (SHAPES["plain"]._replace(**change),)


test_a_shape_that_is_none_and_an_empty_table_are_refused = refusals(
    (Transformer, plain(layers=0), "shape.layers"),
    (Transformer, plain(outputs=14), "must not be above"),
    (Transformer, plain(width=30), "even parts"),
    (Transformer, plain(width=36), "even parts"),
    (Transformer, plain(kv_heads=3), "kv_heads"),
    (PrefixTable, (0, 2, 2), "prompts"),
    (PrefixTable, (2, 0, 2), "words"),
    (PrefixTable, (2, 2, 0), "longest"),
)


def test_a_table_has_a_row_for_each_prompt_and_prefix():
    table = PrefixTable(prompts=2, words=3, longest=3)
    torch.nn.init.normal_(table.logits)
    prefixes = [p for k in range(3) for p in itertools.product(range(3), repeat=k)]
    assert len(table.logits) == 2 * len(prefixes)
    for prompt in range(2):
        for number, prefix in enumerate(prefixes):
            logits = table(torch.tensor([[4 + prompt, *prefix]]))
            assert torch.equal(logits[0, -1], table.logits[prompt * 13 + number])
    with pytest.raises(TypeError, match="padded"):
        table.features(torch.tensor([[4]]), positions=torch.tensor([[0]]))


def test_a_table_does_not_mind_padding():
    table = PrefixTable(prompts=1, words=2, longest=2)
    torch.nn.init.normal_(table.logits)
    short, long = torch.tensor([[3, 1]]), torch.tensor([[3, 1, 2, 0]])
    assert torch.equal(table(long)[:, :2], table(short))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transformer", "table"])
def test_sampled_responses_have_the_models_own_frequencies(kind):
    world = world_s()
    torch.manual_seed(1)
    model = Transformer(Shape(13, 9)) if kind == "transformer" else PrefixTable(4, 8, 3)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, 0, 0.5)
    count = 40_000
    prompts = torch.full((count, 1), 10)
    tokens, lengths = sample(model, prompts, longest=3, end=8, generator=seeded(2))
    numbers = world.number(tokens)
    assert torch.equal(world.tokens[numbers], tokens)
    assert torch.equal(world.lengths[numbers], lengths)
    exact = world.exact(model).ref[1]
    found = torch.bincount(numbers, minlength=585) / count
    top = exact.topk(20).indices
    error = (exact * (1 - exact) / count).sqrt()
    assert ((found - exact).abs()[top] < 4.5 * error[top]).all()
    assert 0.5 * (found - exact).abs().sum() < 0.08  # chance alone gives about 0.04


def test_samples_come_again_and_a_low_temperature_takes_the_likeliest():
    model, prompts = load("S"), torch.full((50, 1), 9)

    def drawn(seed, **how):
        told = {"longest": 3, "end": 8, "generator": seeded(seed)}
        return sample(model, prompts, **told, **how)[0]

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    assert len(drawn(0, temperature=1e-3).unique(dim=0)) == 1
    for bad in ({"temperature": 0.0}, {"longest": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            sample(model, prompts, **{"longest": 3, "end": 8, **bad})


def test_a_saved_model_is_the_same_and_a_failed_save_leaves_the_old_one(tmp_path):
    model, file = model_of("grouped").float(), tmp_path / "model.pt"
    save(model, file)
    again = load(file)
    assert again.shape == model.shape
    assert torch.equal(again(ids_of(1, 4)), model(ids_of(1, 4)))
    model.state_dict = lambda: {"broken": lambda: None}  # which nothing can write
    with pytest.raises(Exception, match="pickle"):
        save(model, file)
    assert torch.equal(load(file)(ids_of(1, 4)), again(ids_of(1, 4)))
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.pt")


@pytest.mark.parametrize("name", ["S", "L"])
def test_the_shipped_references_are_small_and_can_say_everything(name):
    model = load(name)
    assert sum(p.numel() for p in model.parameters()) == 27_200
    if name == "S":
        ref = world_s().exact(model).ref
        assert ref.min() > 1e-9
        assert -torch.xlogy(ref, ref).sum(-1).mean() > math.log(20)
