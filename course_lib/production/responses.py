"""Where in a row of tokens the response is: from its first token to its one end."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["response_mask"]


def response_mask(
    prompt: Tensor, prompt_lengths: Tensor, whole: Tensor, end: int
) -> Tensor:
    """1 on the tokens of each response, its end token among them, and 0 elsewhere.

    The response begins where its row parts from the prompt: a tokenizer that reads the
    two together may merge tokens at the boundary. It closes with its first end token;
    ends that belong to the prompt, and whatever follows the answer's, do not count.

    prompt: ids of the prompts, each tokenised by itself, (batch, time)
    prompt_lengths: how many of them are tokens of the prompt, (batch,)
    whole: ids of prompt and response tokenised together, (batch, width), padded on the
        right: with `end`, as where one token serves for both, or with another id
    end: the id that ends an answer; a row that was cut off before it counts to its end
    returns: integers, 1 and 0, (batch, width)
    raises: ValueError for shapes that do not fit, or ids that are not integers
    source: the common-prefix rule of TRL 1.16, for one side of a pair

    >>> both = torch.tensor([[5, 6, 7, 2, 2]])      # a 2 ends it, and pads
    >>> response_mask(torch.tensor([[5, 6]]), torch.tensor([2]), both, end=2)
    tensor([[0, 0, 1, 1, 0]])
    """
    for name, ids in (("prompt", prompt), ("whole", whole)):
        if ids.ndim != 2 or ids.is_floating_point():
            raise ValueError(f"{name} must hold integer ids of shape (batch, time)")
    if not len(prompt) == len(whole) == len(prompt_lengths):
        raise ValueError("prompt, prompt_lengths and whole must have a row an example")
    place = torch.arange(whole.shape[1], device=whole.device)
    known = F.pad(prompt, (0, whole.shape[1]))[:, : whole.shape[1]]
    repeats = (known == whole) & (place < prompt_lengths[:, None])
    shared = repeats.long().cumprod(1).sum(1)  # (batch,), tokens before they part
    response = place >= shared[:, None]
    ends = ((whole == end) & response).long()
    return (response & (ends.cumsum(1) - ends == 0)).long()
