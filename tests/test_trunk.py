"""The last blocks on a remembered trunk are the whole model, with the rest frozen."""

import copy

import pytest
import torch

from course_lib.batches import pairs, texts_logps
from course_lib.checkpoint import fingerprint
from course_lib.config import Config
from course_lib.training import all_logps, train
from course_lib.transformer import Shape, Transformer
from course_lib.trunk import LastBlocks, Trunk

# prompts and responses of several lengths; some end in token 0, as padding does
TEXTS = pairs(
    [[21, 0, 3], [22, 5]] * 8,
    [[i, 2, 3, 0, 0][: 1 + i % 5] for i in range(1, 17)],
    [[4, i, 0] for i in range(16)],
)
CONFIG = Config(steps=5, batch_size=8, layout="padded", quiet=True)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Transformer(Shape(vocab=30, outputs=20, layers=3)).double()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_it_scores_as_the_whole_model_does(model, depth):
    top = LastBlocks(Trunk(model, depth))
    for at_once in (16, 5, 1):  # other batches, other padding: known rows again
        ours = texts_logps(top, TEXTS, at_once, layout="padded")
        torch.testing.assert_close(ours, texts_logps(model, TEXTS, 16))


@pytest.mark.parametrize("depth", [1, 2])
def test_it_trains_as_the_whole_model_does_with_the_rest_frozen(model, depth):
    before = [weight.clone() for weight in model.parameters()]
    trunk = Trunk(model, depth)
    ours = train(LastBlocks(trunk), TEXTS, CONFIG, ref=all_logps(model, TEXTS))
    frozen = copy.deepcopy(model).requires_grad_(False)
    for part in (*frozen.blocks[3 - depth :], frozen.norm):
        part.requires_grad_(True)
    theirs = train(frozen, TEXTS, CONFIG, ref=model)
    assert ours.history["loss"] == pytest.approx(theirs.history["loss"], abs=1e-12)
    assert ours.history["loss"][-1] < 0.5
    whole, ids = ours.model.whole(), torch.tensor([[21, 0, 1, 2]])
    torch.testing.assert_close(whole(ids), frozen(ids))
    assert all(map(torch.equal, before, model.parameters()))
    assert whole.embedding.weight is model.embedding.weight  # nothing was copied
    assert all(weight.grad is None for weight in model.parameters())


def test_a_frozen_block_reads_a_text_once(model, monkeypatch):
    trunk, read = Trunk(model, 1), []
    states = trunk._states
    monkeypatch.setattr(trunk, "_states", lambda x: read.append(len(x)) or states(x))
    train(LastBlocks(trunk), TEXTS, CONFIG, ref=all_logps(LastBlocks(trunk), TEXTS))
    assert sum(read) == 2 * len(TEXTS)


def test_it_refuses_what_it_cannot_remember(model):
    for depth in (0, 4):
        with pytest.raises(ValueError, match="depth must be from 1 to the 3 blocks"):
            Trunk(model, depth)
    with pytest.raises(TypeError, match="padded layout"):
        texts_logps(LastBlocks(Trunk(model, 1)), TEXTS, 4, layout="shared")


def test_models_that_differ_below_have_other_fingerprints(model):
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.blocks[0].down.weight[0, 0] += 1e-3
    one, two, again = (LastBlocks(Trunk(m, 1)) for m in (model, other, model))
    assert fingerprint(one) == fingerprint(again) != fingerprint(two)
