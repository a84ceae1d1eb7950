"""LoRA by hand: a frozen weight, and a product of two thin matrices that is trained.

    W' = W + (α/r) B A,      A: (r, in),  B: (out, r),  B = 0 at the start

At the start B A is 0, so the adapted model is its own reference; later the reference is
the same model with the adapter switched off.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from course_lib import validate

__all__ = ["LoRALinear", "adapter_off", "add_lora", "lora_step", "merge_lora"]


class LoRALinear(nn.Module):
    """A linear layer with an adapter: y = W x + (α/r) B (A x), W and bias frozen.

    base: the layer, nn.Linear or GPT-2's Conv1D, which holds its weight transposed
    rank: r, ≥ 1; alpha: α, > 0; generator: draws A
    source: Hu et al. (2022), LoRA, §4.1
    """

    def __init__(self, base: nn.Module, rank: int, alpha: float, generator=None):
        super().__init__()
        self.base, self.scale, self.on = base, alpha / rank, True
        self.transposed = not isinstance(base, nn.Linear)
        inside, out = base.weight.shape if self.transposed else base.weight.T.shape
        spread = 1 / math.sqrt(inside)  # A as nn.Linear draws its weights, and as peft
        drawn = torch.rand(rank, inside, generator=generator) * 2 * spread - spread
        self.A = nn.Parameter(drawn.to(base.weight))
        self.B = nn.Parameter(torch.zeros(out, rank).to(base.weight))

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        return y + self.scale * (x @ self.A.T) @ self.B.T if self.on else y

    @property
    def weight(self) -> Tensor:
        """W', for code that reads the weight of a layer instead of calling it."""
        moved = self.scale * self.B @ self.A
        moved = moved.T if self.transposed else moved
        return self.base.weight + moved if self.on else self.base.weight


def add_lora(
    model: nn.Module,
    names: Sequence[str] = (),
    rank: int = 8,
    alpha: float = 16.0,
    *,
    seed: int = 0,
) -> list[str]:
    """Freeze a model and put an adapter on some of its linear layers, in place.

    names: the last parts of the layers' names, such as ("q_proj", "v_proj"); none for
        every linear layer inside the model's `blocks`
    rank: r, ≥ 1; alpha: α, > 0; seed: of A
    returns: the full names of the adapted layers
    raises: ValueError if there is no layer of a name, or the model has adapters already

    >>> from course_lib.transformer import load
    >>> model = load("S")
    >>> add_lora(model, ["output"], rank=2)
    ['blocks.0.output', 'blocks.1.output']
    >>> sum(p.numel() for p in model.parameters() if p.requires_grad)  # 4 · (32 + 32)
    256
    """
    validate.number("rank", rank)
    validate.number("alpha", alpha)
    layers = dict(model.named_modules())
    if any(isinstance(layer, LoRALinear) for layer in layers.values()):
        raise ValueError("model has adapters already: merge_lora puts them in first")
    known = [name for name, layer in layers.items() if _linear(layer)]
    for name in names:
        if not any(_ends(full, name) for full in known):
            there = ", ".join(sorted({full.rpartition(".")[2] for full in known}))
            raise ValueError(
                f"names: no linear layer is called {name}; there are {there}"
            )
    inside = {id(part) for b in getattr(model, "blocks", ()) for part in b.modules()}
    chosen = [
        full
        for full in known
        if (any(_ends(full, n) for n in names) if names else id(layers[full]) in inside)
    ]
    if not chosen:
        raise ValueError(
            "names must name layers: this model has no `blocks` to look in"
        )
    model.requires_grad_(False)
    random = torch.Generator().manual_seed(seed)
    for full in chosen:
        _put(model, full, LoRALinear(layers[full], rank, alpha, random))
    return chosen


def merge_lora(model: nn.Module) -> nn.Module:
    """Add every adapter to its weight and take it away: a plain model again, in place.

    returns: the model, which computes what it computed before

    >>> from course_lib.transformer import load
    >>> model = load("S")
    >>> _ = add_lora(model)
    >>> len(merge_lora(model).state_dict()) == len(load("S").state_dict())
    True
    """
    for full, layer in list(model.named_modules()):
        if isinstance(layer, LoRALinear):
            with torch.no_grad():
                layer.base.weight.copy_(layer.weight)
            _put(model, full, layer.base)
    return model


@contextlib.contextmanager
def adapter_off(model: nn.Module) -> Iterator[nn.Module]:
    """The model without its adapters, then with them: π_ref at no cost of memory."""
    adapters = [part for part in model.modules() if isinstance(part, LoRALinear)]
    before = [part.on for part in adapters]
    for part in adapters:
        part.on = False
    try:
        yield model
    finally:
        for part, was in zip(adapters, before, strict=True):
            part.on = was


def lora_step(
    a: Tensor, b: Tensor, gradient: Tensor, alpha: float, rate: float
) -> Tensor:
    """How far one step of SGD on A and B moves the merged weight W' = W + s B A.

    s = α/r,  dA = s Bᵀ G,  dB = s G Aᵀ;  ΔW' = s (B − η dB)(A − η dA) − s B A

    With B = 0, as adapters start, it is −η s² G AᵀA: the gradient, seen through the r
    directions of A, and doubling α makes the step four times as long.

    a: A, shape (r, in); b: B, shape (out, r)
    gradient: G, of the loss with respect to W', shape (out, in)
    alpha: α, > 0; rate: the learning rate η, > 0
    returns: ΔW', shape (out, in)
    raises: ValueError for shapes that do not fit, or a number out of its range
    source: Hu et al. (2022), LoRA, §4.1, and the chain rule

    >>> a, b = torch.tensor([[1.0, 2.0]]), torch.zeros(1, 1)
    >>> lora_step(a, b, torch.tensor([[2.0, 3.0]]), alpha=1.0, rate=0.1)
    tensor([[-0.8000, -1.6000]])
    """
    validate.number("alpha", alpha)
    validate.number("rate", rate)
    (rank, inside), (out, other) = a.shape, b.shape
    if rank != other or gradient.shape != (out, inside):
        raise ValueError(
            f"a {tuple(a.shape)}, b {tuple(b.shape)} and gradient "
            f"{tuple(gradient.shape)} must be (r, in), (out, r) and (out, in)"
        )
    scale = alpha / rank
    moved_a = a - rate * scale * b.T @ gradient
    moved_b = b - rate * scale * gradient @ a.T
    return scale * (moved_b @ moved_a - b @ a)


def _linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or type(layer).__name__ == "Conv1D"


def _ends(full: str, name: str) -> bool:
    return full == name or full.endswith("." + name)


def _put(model: nn.Module, full: str, layer: nn.Module):
    parent, _, name = full.rpartition(".")
    setattr(model.get_submodule(parent), name, layer)
