"""Writing: the model's own distribution, whatever the lengths of the prompts."""

import itertools

import pytest
import torch
from torch.nn.functional import one_hot

from course_lib import transformer
from course_lib.transformer import PrefixTable, Shape, Transformer, sample

END = 3  # of a vocabulary of three words, the end, and two prompts


def model_of(kind: str):
    torch.manual_seed(3)
    if kind == "table":
        model = PrefixTable(prompts=2, words=3, longest=4)
    else:
        model = Transformer(Shape(vocab=6, outputs=4, width=8, heads=2, kv_heads=1))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, 0, 0.7)
    return model.double()


def responses(longest: int):
    """Every response of at most so many tokens, in its padded form."""
    for length in range(longest):
        for words in itertools.product(range(3), repeat=length):
            yield (*words, *[END] * (longest - length)), length + 1
    for words in itertools.product(range(3), repeat=longest):
        yield words, longest


def chance(model, prompt, response, length) -> float:
    """By the model's logits of the whole text, token by token."""
    ids = torch.tensor([[*prompt, *response[:length]]])
    logps = model(ids)[0].log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + length - 1)
    return sum(logps[p, ids[0, p + 1]].item() for p in places)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "transformer"])
def test_prompts_of_all_lengths_in_one_batch_are_answered_as_the_model_says(kind):
    model, count = model_of(kind), 20_000
    asked = [[4], [4, 0, 1], [5, 2]]
    random = torch.Generator().manual_seed(5)
    told = {"longest": 2, "end": END, "generator": random}
    tokens, lengths = sample(model, [p for p in asked for _ in range(count)], **told)
    for number, prompt in enumerate(asked):
        mine = slice(number * count, (number + 1) * count)
        rows, sizes = tokens[mine], lengths[mine]
        total = 0
        for response, length in responses(2):
            expected = torch.tensor(chance(model, prompt, response, length)).exp()
            total += expected
            hits = (rows == torch.tensor(response)).all(1) & (sizes == length)
            error = (expected * (1 - expected) / count).sqrt()
            assert abs(hits.double().mean() - expected) < 4.5 * error + 1e-9
        assert total == pytest.approx(1)


@pytest.mark.parametrize("kind", ["table", "transformer"])
def test_a_row_writes_what_it_would_write_alone(kind):
    """Where chance has no say the rows of a mixed batch are those of single calls."""
    model, told = model_of(kind), {"longest": 3, "end": END, "temperature": 1e-4}
    asked = [[4, 1], [5], [4], [5, 2, 0], [4, 1]]
    tokens, lengths = sample(model, asked, **told)
    for prompt, row, length in zip(asked, tokens, lengths, strict=True):
        alone = sample(model, torch.tensor([prompt]), **told)
        assert torch.equal(alone[0][0], row)
        assert alone[1].item() == length


def test_told_tokens_never_end_a_row_and_each_writes_as_many_as_it_may():
    model, asked = model_of("table"), [[4, END, 0, END], [4]]
    with torch.no_grad():
        model.logits[:, END] = 50.0
    tokens, lengths = sample(model, asked, longest=3, end=END)
    assert tokens.tolist() == [[END] * 3] * 2
    assert lengths.tolist() == [1, 1]
    with torch.no_grad():
        model.logits[:, END] = -50.0
    tokens, lengths = sample(model, asked, longest=3, end=END)
    assert (tokens != END).all()
    assert lengths.tolist() == [3, 3]


@pytest.mark.parametrize("level", [0.0, 0.25, 0.5, 1 - 2**-53])
def test_an_id_without_probability_is_never_drawn(monkeypatch, level):
    full = torch.full((1, 1), level, dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: full)
    chances = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]])
    found = transformer._inverse_cdf(chances, None)
    assert found.item() == (1 if level < 0.5 else 3)


def test_a_tensor_of_prompts_draws_by_multinomial_as_the_shipped_runs_did():
    model, prompts = model_of("transformer"), torch.tensor([[4], [5]] * 4)
    tokens, _ = sample(
        model, prompts, longest=3, end=END, generator=torch.Generator().manual_seed(1)
    )
    random, ids = torch.Generator().manual_seed(1), prompts
    for _ in range(3):
        chances = model(ids)[:, -1].softmax(-1)
        ids = torch.cat((ids, torch.multinomial(chances, 1, generator=random)), 1)
    ended = (one_hot(ids[:, 1:], 6)[..., END].cumsum(1) > 0).long()
    assert torch.equal(torch.where(ended > 0, END, ids[:, 1:]), tokens)


def test_bad_prompts_are_refused_by_name():
    with pytest.raises(ValueError, match=r"prompts\[1\] is empty"):
        sample(model_of("table"), [[4], []], longest=1, end=END)
    with pytest.raises(ValueError, match="prompts is empty"):
        sample(model_of("table"), [], longest=1, end=END)
