"""LoRA by hand: the formula, a reference for nothing, and a plain model at the end."""

import copy

import pytest
import torch
from torch import nn

from course_lib.batches import pairs
from course_lib.production.lora import LoRALinear, adapter_off, add_lora, merge_lora
from course_lib.training import Config, train
from course_lib.transformer import Shape, Transformer, load, sample

IDS = torch.tensor([[9, 0, 1, 4], [10, 2, 2, 5]])


def adapted(rank=3, alpha=5.0, names=(), seed=0):
    """World S's reference with adapters that have moved, and its plain copy."""
    plain = load("S").double()
    model = copy.deepcopy(plain)
    layers = add_lora(model, names, rank, alpha, seed=seed)
    random = torch.Generator().manual_seed(1)
    for name in layers:
        b = model.get_submodule(name).B
        b.data = torch.randn(b.shape, generator=random, dtype=b.dtype) * 0.1
    return model, plain, layers


def test_the_layer_is_the_formula_entry_by_entry():
    torch.manual_seed(0)
    base = nn.Linear(4, 3).double()
    layer = LoRALinear(base, rank=2, alpha=6.0)
    layer.B.data = torch.randn(3, 2, dtype=torch.float64)
    x = torch.randn(5, 4, dtype=torch.float64)
    for n in range(5):
        for i in range(3):
            y = base.bias[i].item()
            for j in range(4):
                low = sum(layer.B[i, k].item() * layer.A[k, j].item() for k in range(2))
                y += (base.weight[i, j].item() + 6.0 / 2 * low) * x[n, j].item()
            assert layer(x)[n, i].item() == pytest.approx(y, abs=1e-12)


def test_it_begins_as_the_model_and_trains_the_thin_matrices_alone():
    plain = load("S").double()
    model = copy.deepcopy(plain)
    layers = add_lora(model, rank=2)
    assert len(layers) == 2 * 4  # both blocks: attention in and out, both of the feed
    assert torch.equal(model(IDS), plain(IDS))
    named = dict(model.named_parameters())
    thin = {n for n in named if n.endswith((".A", ".B"))}
    assert {n for n, p in named.items() if p.requires_grad} == thin
    before = {name: value.clone() for name, value in named.items()}
    texts = pairs([[9]] * 8, [[4, 8]] * 8, [[5, 8]] * 8)
    train(model, texts, Config(steps=3, batch_size=4, quiet=True), ref=plain)
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == thin


@pytest.mark.parametrize("names", [(), ("output",), ("gate_up", "query_key_value")])
def test_adapted_merged_and_switched_off(names):
    model, plain, layers = adapted(names=names)
    by_hand = copy.deepcopy(plain)
    for name in layers:
        layer = model.get_submodule(name)
        moved = torch.einsum("ok,ki->oi", layer.B, layer.A) * 5.0 / 3
        by_hand.get_submodule(name).weight.data += moved.detach()
    expected = by_hand(IDS)
    assert not torch.allclose(expected, plain(IDS), atol=1e-3)
    assert torch.allclose(model(IDS), expected, atol=1e-12)
    with adapter_off(model) as ref:
        assert torch.equal(ref(IDS), plain(IDS))
        with adapter_off(model):  # inside one another
            assert torch.equal(ref(IDS), plain(IDS))
        assert torch.equal(ref(IDS), plain(IDS))
    assert torch.allclose(model(IDS), expected, atol=1e-12)
    merged = merge_lora(model)
    assert torch.allclose(merged(IDS), expected, atol=1e-12)
    assert {*merged.state_dict()} == {*plain.state_dict()}
    tokens, _ = sample(merged, IDS[:, :1], longest=3, end=8)
    assert tokens.shape == (2, 3)


def test_the_adapter_comes_back_when_the_reference_fails():
    model, plain, _ = adapted()
    with pytest.raises(RuntimeError), adapter_off(model):
        raise RuntimeError
    assert not torch.equal(model(IDS), plain(IDS))


class Conv1D(nn.Module):
    """GPT-2's linear layer: its weight is (in, out)."""

    def __init__(self, inside, out):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inside, out).double())
        self.bias = nn.Parameter(torch.randn(out).double())

    def forward(self, x):
        return x @ self.weight + self.bias


def test_a_transposed_weight_is_adapted_and_merged_too():
    torch.manual_seed(0)
    model = nn.Sequential(Conv1D(4, 6))
    assert add_lora(model, ["0"], rank=2, alpha=4.0) == ["0"]
    layer, x = model[0], torch.randn(5, 4).double()
    layer.B.data = torch.randn(6, 2).double()
    moved = 2.0 * layer.B @ layer.A
    expected = x @ (layer.base.weight + moved.T) + layer.base.bias
    assert torch.allclose(model(x), expected, atol=1e-12)
    assert torch.allclose(merge_lora(model)(x), expected, atol=1e-12)
    assert isinstance(model[0], Conv1D)


def test_the_same_seed_draws_the_same_adapter():
    one, two, other = (adapted(seed=s)[0].blocks[0].output.A for s in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one.abs().max() <= 32**-0.5  # as nn.Linear draws its weights


def test_what_cannot_be_adapted_is_refused_and_left_as_it_is():
    model = load("S")
    with pytest.raises(ValueError, match="no linear layer is called q_proj; there are"):
        add_lora(model, ["q_proj"])
    with pytest.raises(ValueError, match="rank must be finite, above 0"):
        add_lora(model, rank=0)
    with pytest.raises(ValueError, match="alpha"):
        add_lora(model, alpha=-1.0)
    assert all(p.requires_grad for p in model.parameters())
    add_lora(model)
    with pytest.raises(ValueError, match="has adapters already"):
        add_lora(model)
    with pytest.raises(ValueError, match="no `blocks` to look in"):
        add_lora(nn.Sequential(nn.Linear(2, 2)))
    small = Transformer(Shape(vocab=4, outputs=4, width=8, heads=2, kv_heads=1))
    assert len(add_lora(small)) == 8
