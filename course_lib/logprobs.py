"""From a causal language model's logits to the log-probability of a response.

One place for the four traps: the shift by one, the prompt, the padding, sum or average.
"""

import torch
from torch import Tensor

from course_lib import validate

__all__ = [
    "at_least_float32",
    "length_desensitized_logprobs",
    "response_logprobs",
    "token_logprobs",
    "wpo_weights",
]


def token_logprobs(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Log-probability of each response token, given all tokens before it.

    log π(y_t | x, y_<t) = log softmax(logits at t − 1)[y_t]

    logits: shape (batch, time, vocab), unshifted, as the model returns them
    labels: token ids, shape (batch, time); anything (such as −100) where mask is 0
    mask: 1 on response tokens, 0 on prompt and padding, shape (batch, time)
    returns: nats, (batch, time − 1): entry t is token t + 1's, 0 off the response;
        float32 for logits of 16 bits: bfloat16 rounds a log-prob near −12 to sixteenths
    raises: ValueError on bad shapes, NaN, a mask without a response token or with the
        first token (nothing predicts it), or a label outside the vocabulary
    source: the chain rule of probability.

    >>> logits = torch.zeros(1, 3, 4)                 # uniform over 4 tokens
    >>> token_logprobs(logits, torch.tensor([[0, 1, 2]]), torch.tensor([[0, 0, 1]]))
    tensor([[ 0.0000, -1.3863]])
    """
    mask = _response_mask(logits, labels, mask)
    on_response = mask[:, 1:]  # (batch, time-1)
    targets = labels[:, 1:].masked_fill(~on_response, 0)  # (batch, time-1)
    # zeros off the response: NaN there, as left padding leaves it, would otherwise
    # come back in the gradient
    inside = logits[:, :-1].masked_fill(~on_response[..., None], 0)
    logprobs = at_least_float32(inside).log_softmax(-1)  # (batch, time-1, vocab)
    realised = logprobs.gather(-1, targets[..., None]).squeeze(-1)  # (batch, time-1)
    realised = realised.masked_fill(~on_response, 0)
    if not validate.holds(~realised.isnan()):
        raise ValueError("logits hold NaN at a position that predicts the response")
    return realised


def response_logprobs(
    logits: Tensor, labels: Tensor, mask: Tensor, *, average: bool = False
) -> Tensor:
    """Log-probability of each whole response: the sum over its tokens.

    log π(y | x) = Σ_t log π(y_t | x, y_<t)

    logits, labels, mask: as for `token_logprobs`
    average: divide by the number of response tokens. DPO needs the sum; ORPO, SimPO,
        length-normalised DPO and TRL's IPO take the average.
    returns: nats (or nats per token), shape (batch,)
    raises: as `token_logprobs`
    source: the code of Rafailov et al. (2023), `_get_batch_logps`, which sums.

    >>> logits = torch.zeros(1, 3, 4)
    >>> response_logprobs(logits, torch.tensor([[0, 1, 2]]), torch.tensor([[0, 1, 1]]))
    tensor([-2.7726])
    """
    logprobs = token_logprobs(logits, labels, mask).sum(-1)  # (batch,)
    return logprobs / mask.bool().sum(-1) if average else logprobs


def length_desensitized_logprobs(
    token_logps: Tensor, mask: Tensor, shared_length: Tensor, alpha: float
) -> Tensor:
    """Response log-probs in which tokens past the shared length count α.

    Σ_{t ≤ l} log π(y_t) + α Σ_{t > l} log π(y_t),  l = min(|y_w|, |y_l|)

    token_logps: from `token_logprobs`, shape (batch, time − 1)
    mask: the mask given there, shape (batch, time)
    shared_length: l for each pair, in tokens, shape (batch,), ≥ 1
    alpha: weight of the tail in [0, 1], for policy and reference alike; 1 is plain DPO
    returns: nats, shape (batch,)
    raises: ValueError on bad shapes, a length below 1, or alpha outside [0, 1]
    source: Liu et al. (2024), LD-DPO.

    >>> logps, mask = torch.tensor([[-1.0, -1.0]]), torch.tensor([[0, 1, 1]])
    >>> length_desensitized_logprobs(logps, mask, torch.tensor([1]), alpha=0.5)
    tensor([-1.5000])
    """
    validate.tensors(token_logps=token_logps)
    validate.are_tensors(mask=mask, shared_length=shared_length)
    if alpha is True or alpha != 1:
        validate.fraction("alpha", alpha, below=1.0)
    if token_logps.shape != mask[:, 1:].shape or shared_length.shape != mask.shape[:1]:
        raise ValueError(
            f"token_logps {tuple(token_logps.shape)}, mask {tuple(mask.shape)} and "
            f"shared_length {tuple(shared_length.shape)} must be "
            "(batch, time-1), (batch, time) and (batch,)"
        )
    if not validate.holds(shared_length >= 1):
        raise ValueError("shared_length must be at least 1 token")
    position = mask[:, 1:].long().cumsum(-1)  # 1, 2, … along the response
    in_tail = position > shared_length[:, None]
    weight = torch.ones_like(token_logps).masked_fill(in_tail, alpha)
    return (weight * token_logps).sum(-1)


def wpo_weights(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """How likely the policy itself would have been to write each response; no gradient.

    w(y) = exp( mean_t [ log π(y_t) − log Σ_v π(v)² ] );  the loss × w(y_w) w(y_l)

    logits, labels, mask: as for `token_logprobs`
    returns: weights > 0, shape (batch,), detached. On the policy's own samples the mean
        of log w is at most 0, and 0 where every token is uniform over its choices
    raises: as `token_logprobs`
    source: Zhou et al. (2024), WPO, sampled alignment.

    >>> ids = torch.tensor([[0, 1]])
    >>> wpo_weights(torch.zeros(1, 2, 4), labels=ids, mask=ids)
    tensor([1.])
    """
    with torch.no_grad():
        realised = token_logprobs(logits, labels, mask)  # (batch, time-1)
        logprobs = at_least_float32(logits[:, :-1]).log_softmax(-1)
        collision = (2 * logprobs).logsumexp(-1)  # log Σ_v π(v)²
        on_response = mask[:, 1:].bool()
        surplus = torch.where(on_response, realised - collision, 0.0)
        return (surplus.sum(-1) / on_response.sum(-1)).exp()


def at_least_float32(logits: Tensor) -> Tensor:
    """Logits of 16 bits in float32: a sum over a response would be off by whole nats.

    logits: floats of any shape
    returns: the same in float32, or as they came if they have as many digits
    source: bfloat16 keeps two to three decimal digits, float16 three to four

    >>> at_least_float32(torch.zeros(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _response_mask(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """The mask as booleans, after refusing everything that would be silently wrong."""
    validate.are_tensors(logits=logits, labels=labels, mask=mask)
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating point, got {logits.dtype}")
    if labels.dtype != torch.long:
        raise TypeError(f"labels must be token ids (torch.long), got {labels.dtype}")
    if logits.ndim != 3 or logits.numel() == 0:
        raise ValueError(f"logits must be (batch, time, vocab), got {logits.shape}")
    for name, tensor in (("labels", labels), ("mask", mask)):
        if tensor.shape != logits.shape[:2]:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}, "
                f"it needs (batch, time) = {tuple(logits.shape[:2])}"
            )
    if not validate.holds((mask == 0) | (mask == 1)):
        raise ValueError("mask must be 0 or 1 everywhere")
    mask = mask.bool()
    if not validate.holds(~mask[:, 0]):
        raise ValueError("mask marks the first token: no earlier token predicts it")
    if not validate.holds(mask.any(-1)):
        row = int((~mask.any(-1)).nonzero()[0])
        raise ValueError(f"mask has no response token in row {row}")
    inside = (labels >= 0) & (labels < logits.shape[-1])
    if not validate.holds(inside | ~mask):
        raise ValueError("labels hold an id outside the vocabulary where mask is 1")
    return mask
