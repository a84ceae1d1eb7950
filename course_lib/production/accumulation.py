"""What the mean loss of a micro-batch must weigh, however a batch is split."""

from torch import Tensor

from course_lib import validate

__all__ = ["micro_batch_weights"]


def micro_batch_weights(counts: Tensor) -> Tensor:
    """By what each micro-batch's mean loss is multiplied before its backward pass.

    w_pj = P n_pj / Σ n
    A process adds up the gradients of its micro-batches, and the processes' gradients
    are averaged, which divides by P. What comes out is then the gradient of the mean
    over all tokens. Equal counts give 1/J each: the plain mean of J means is right for
    them, and for losses that are means over pairs, as DPO's.

    counts: n, tokens (or examples) that each mean is over, (processes, micro-batches)
    returns: weights, (processes, micro-batches)
    raises: ValueError for a negative count, or if all are 0

    >>> import torch
    >>> micro_batch_weights(torch.tensor([[1.0, 3.0], [2.0, 2.0]]))
    tensor([[0.2500, 0.7500],
            [0.5000, 0.5000]])
    """
    validate.tensors(counts=counts)
    if counts.ndim != 2:
        raise ValueError(
            f"counts must be (processes, micro-batches), got {counts.ndim}d"
        )
    if not validate.holds(counts >= 0) or not validate.holds(counts.sum() > 0):
        raise ValueError("counts must be 0 or more, and not all 0")
    return len(counts) * counts / counts.sum()
