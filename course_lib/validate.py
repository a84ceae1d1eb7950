"""What the mathematics refuses, in one place: every error names the argument."""

import math
from numbers import Real

import torch
from torch import Tensor

REDUCTIONS = ("mean", "sum", "none")


def number(name: str, value: float, *, above: float = 0.0, below: float = math.inf):
    """Refuse anything but a finite number strictly between `above` and `below`."""
    value = _plain(name, value)
    if not above < value < below or not math.isfinite(value):
        upper = "" if below == math.inf else f" and below {below:g}"
        raise ValueError(f"{name} must be finite, above {above:g}{upper}, got {value}")


def fraction(name: str, value: float, *, below: float = math.inf):
    """Refuse anything but a number in [0, below)."""
    if _plain(name, value) != 0:
        number(name, value, above=0.0, below=below)


def _plain(name: str, value: float) -> float:
    if isinstance(value, Tensor) and value.ndim == 0 and value.dtype != torch.bool:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    return value


def holds(condition: Tensor) -> bool:
    """Is it true everywhere, as far as can be known?

    On the meta device and in a compiler tensors have no values that could decide.
    """
    unknown = condition.is_meta or torch.compiler.is_compiling()
    return unknown or bool(condition.all())


def at_least(least: int, **named: float):
    """Refuse a smaller number."""
    for name, value in named.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def choice(name: str, value: str, options: tuple[str, ...]):
    if value not in options:
        known = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name} must be one of {known}, got {value!r}")


def are_tensors(**named: Tensor):
    for name, tensor in named.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}")


def tensors(**named: Tensor):
    """Refuse all but non-empty floating-point tensors of one shape."""
    shapes = {}
    for name, tensor in named.items():
        are_tensors(**{name: tensor})
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating point, got {tensor.dtype}")
        if tensor.numel() == 0:
            raise ValueError(f"{name} is empty: its shape is {tuple(tensor.shape)}")
        if not holds(tensor.isfinite()):
            raise ValueError(f"{name} must be finite, it holds NaN or infinity")
        shapes[name] = tuple(tensor.shape)
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"shapes must be equal, nothing is broadcast: {listed}")


def batch(**named: Tensor):
    """The same for one value per example: shape (batch,)."""
    tensors(**named)
    for name, tensor in named.items():
        if tensor.ndim != 1:
            raise ValueError(
                f"{name} must have shape (batch,), got {tuple(tensor.shape)}"
            )


def one_each(like: Tensor, **named: Tensor):
    """Refuse all but one value per example, or one for all: the one thing spread."""
    tensors(**named)
    for name, tensor in named.items():
        if tensor.ndim and tensor.shape != like.shape:
            raise ValueError(
                f"{name} must be a scalar or {tuple(like.shape)}, got {tensor.shape}"
            )


def lengths(like: Tensor, **named: Tensor):
    """Refuse all but one number of tokens per example, each at least 1."""
    for name, tensor in named.items():
        are_tensors(**{name: tensor})
        if tensor.shape != like.shape:
            raise ValueError(f"{name} has shape {tensor.shape}, it needs {like.shape}")
        if not holds((tensor >= 1) & tensor.isfinite()):
            raise ValueError(f"{name} must be at least 1 token everywhere")


def layout(dimensions: str, **named: Tensor):
    """Refuse shapes that do not fit, such as those of "answers width, answers".

    dimensions: of each tensor, by name; dimensions of one name have one size
    """
    wanted = [names.split() for names in dimensions.split(", ")]
    shapes = [tuple(tensor.shape) for tensor in named.values()]
    sizes: dict[str, int] = {}
    for names, shape in zip(wanted, shapes, strict=True):
        sizes.update(zip(names, shape, strict=False))
    if shapes != [tuple(map(sizes.get, names)) for names in wanted]:
        told = (str(tuple(names)).replace("'", "") for names in wanted)
        needs = " and ".join(map(" ".join, zip(named, told, strict=True)))
        needs = needs.replace(" (", " must be (", 1)
        raise ValueError(f"{needs}, got {' and '.join(map(str, shapes))}")


def probabilities(**named: Tensor):
    """Refuse rows that are negative or do not sum to one over the last dimension."""
    tensors(**named)
    for name, tensor in named.items():
        if tensor.ndim == 0:
            raise ValueError(f"{name} must have shape (…, responses), got a scalar")
        if not holds(tensor >= 0):
            raise ValueError(f"{name} holds a negative probability")
        sums = tensor.sum(-1)
        off = (sums - 1).abs()
        if not holds(off <= torch.finfo(tensor.dtype).eps ** 0.5):
            worst = sums.flatten()[off.argmax()].item()
            raise ValueError(f"{name} must sum to 1, a row sums to {worst:.6g}")


def ranking(order: Tensor, items: Tensor):
    """Refuse anything but a permutation of the items' indices, best first."""
    if not isinstance(order, Tensor) or order.dtype != torch.long:
        raise TypeError("ranking must be a tensor of integer indices (torch.long)")
    if order.ndim == 0 or order.shape != items.shape:
        raise ValueError(
            f"ranking has shape {tuple(order.shape)}, it needs {tuple(items.shape)}"
        )
    if not holds(order.sort(-1).values == torch.arange(items.shape[-1]).to(order)):
        raise ValueError("ranking must hold every index once in each row, best first")


def reduce(losses: Tensor, reduction: str) -> Tensor:
    """Mean, sum or none over the batch, as in torch.nn.functional."""
    choice("reduction", reduction, REDUCTIONS)
    return losses if reduction == "none" else getattr(losses, reduction)()
