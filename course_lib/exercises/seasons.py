"""Tables of wins, for chapter 01."""

from collections.abc import Callable

from torch import Tensor

from .spec import Inputs


def season(items: int) -> Callable[[Inputs], Tensor]:
    """For `given`: random wins, each item having beaten each other at least once."""

    def table(inputs: Inputs) -> Tensor:
        wins = inputs.integers(1, 9, items, items)
        return wins - wins.diag().diag()

    return table
