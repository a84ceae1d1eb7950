"""What a step of training does to a weight that carries a low-rank adapter."""

from torch import Tensor

from course_lib import validate

__all__ = ["lora_step"]


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

    >>> import torch
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
