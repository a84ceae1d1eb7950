"""Tables of wins, and rankings."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .spec import Inputs


def season(items: int) -> Callable[[Inputs], Tensor]:
    """For `given`: random wins, each item having beaten each other at least once."""

    def table(inputs: Inputs) -> Tensor:
        wins = inputs.integers(1, 9, items, items)
        return wins - wins.diag().diag()

    return table


def all_pairs(ordered: Tensor) -> Tensor:
    """log σ of the difference for every pair of a ranking, the better one first."""
    first, second = torch.triu_indices(*2 * ordered.shape[-1:], offset=1)
    return F.logsigmoid(ordered[..., first] - ordered[..., second])
