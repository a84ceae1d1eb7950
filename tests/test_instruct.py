"""The instruction model: rows, tones, pairs; and the model itself, if it is here."""

import importlib.util

import pytest
import torch

from course_lib import instruct, reviews
from course_lib.batches import pairs
from course_lib.training import Config
from course_lib.transformer import Shape, Transformer, rotate, rotation


class Letters:
    """A tokenizer of letters, a word each."""

    def __init__(self, known):
        self.known = known

    def encode(self, text):
        self.ids = [ord(letter) % 4 for letter in text[:3]]
        return self

    def decode(self, ids):
        return " ".join(self.known.words[i] for i in ids if i < len(self.known.words))


@pytest.fixture
def small():
    words = ("good", "bad", ".", "film")
    weights = torch.tensor([2.0, -3.0, 0.5, 0.0, 0.0, 0.0])
    known = reviews.Reviews(words, weights, -0.25, torch.zeros(0, 4), 0)
    torch.manual_seed(0)
    model = Transformer(Shape(vocab=6, outputs=5, width=8, heads=2, kv_heads=2))
    return model, Letters(known), 4, known


def test_turning_neighbours_is_turning_halves_of_other_rows():
    shape = Shape(vocab=1, outputs=1, width=12, heads=2, kv_heads=2)
    random = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(n, 12, generator=random) for n in (12, 5))
    turn = rotation(torch.arange(5)[None], shape, torch.float32)  # (1, 5, 1, 6) each
    cos, sin = turn[0][0, :, 0, :3], turn[1][0, :, 0, 3:]
    neighbours = (x @ weight.T).view(5, 2, 3, 2).permute(1, 0, 2, 3)  # as in GGUF
    a, b = neighbours.unbind(-1)
    expected = torch.stack((a * cos - b * sin, b * cos + a * sin), -1)
    ours = (x @ instruct.halves(weight, 2).T).view(5, 2, 6)
    turned = rotate(ours[None], turn)[0].transpose(0, 1)
    back = turned.reshape(2, 5, 2, 3).transpose(2, 3)
    torch.testing.assert_close(back, expected)


def test_the_tone_of_a_text_counts_known_words_only(small):
    known = small[-1]
    assert instruct.tone(known, "Good film, GOOD! Unheard-of.") == pytest.approx(4.25)
    assert instruct.tone(known, "") == pytest.approx(-0.25)


def test_pairs_are_the_best_and_the_worst_of_each_four():
    texts = pairs([[1]] * 4 + [[2]] * 4, [[i] for i in range(8)])
    rewards = torch.tensor([[1.0, 3.0, 0.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    texts = reviews.best_and_worst(texts, rewards)
    assert texts.prompts.tolist() == [[1]]  # four equal ones say nothing
    assert texts.responses.flatten().tolist() == [1, 2]


@pytest.mark.slow
def test_training_raises_what_the_judge_says_and_leaves_the_reference(small):
    model = small[0]
    before = [p.clone() for p in model.parameters()]
    config = Config(
        steps=30, batch_size=16, lr=1e-2, layout="padded", chunk=64, quiet=True
    )
    told = instruct.improve(*small, config, each=32).splitlines()
    rewards = [float(line.split()[2]) for line in told[:2]]
    assert rewards[1] > rewards[0] + 2
    assert "KL 0.00 ± 0.00" in told[0]
    assert len(told) == 2 + 3 * len(instruct.BEGINNINGS)
    assert all(map(torch.equal, before, model.parameters()))


def test_what_is_missing_is_said_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert instruct.main([]) == 0
    assert "There is no GPU here" in capsys.readouterr().out
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert instruct.main([]) == 0
    assert "requirements/instruct.txt" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="Not installed: gguf, tokenizers"):
        instruct.Instruct()


@pytest.mark.slow
@pytest.mark.skipif(bool(instruct.missing(gpu=False)), reason="no instruction model")
def test_it_knows_the_capital_of_france():
    model, tokenizer, end = instruct.load()
    ids = tokenizer.encode("The capital of France is").ids
    chances = model(torch.tensor([ids]))[0, -1].softmax(-1)
    paris = tokenizer.encode(" Paris").ids
    assert len(paris) == 1
    assert chances[paris[0]].item() == pytest.approx(0.773, abs=0.01)
    assert tokenizer.decode([end]) == "<|im_end|>"
    text = "It's 2023, and naïve reviewers don't care…"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
