"""Inputs of losses that compare a pair with a reference, and how they are judged."""

from dataclasses import replace

from course_lib.exercises.spec import Draw, Holds, agrees
from course_lib.submission.observing import Call

__all__ = ["BETTER", "START", "WORSE", "agrees_where_learnt", "drawn_four", "four"]

START = ([-4.0, -7.0, -4.0, -7.0], [-9.0, -2.0, -9.0, -2.0])  # policy is reference
BETTER = [-1.0, -3.0, -2.0, -2.0]  # log-ratios 1 and −1
WORSE = [-6.0, -2.0, -3.0, -4.0]  # log-ratios −3 and 2


def four(
    draw: Draw,
    *pairs: list[float],
    beta: float | None = 0.1,
    gradient: bool = False,
    **kwargs,
) -> Call:
    """One call from pairs: chosen and rejected, first of the policy, then of ref.

    beta: the fifth argument, whatever the loss calls it; None: there is none
    """
    columns = [draw.tensor(list(column)) for column in zip(*pairs, strict=True)]
    return _call(columns, beta, kwargs, gradient)


def drawn_four(
    draw: Draw,
    count: int,
    beta: float | None,
    *,
    gradient: bool = False,
    scale: float = 4.0,
    **kwargs,
) -> Call:
    columns = [draw.normal(count, scale=scale) - 20 for _ in range(4)]
    return _call(columns, beta, kwargs, gradient)


def _call(columns: list, beta: float | None, kwargs: dict, gradient: bool) -> Call:
    more = [] if beta is None else [beta]
    return Call((*columns, *more), kwargs, gradient)


def agrees_where_learnt(count: int) -> Holds:
    """As `agrees`, with the gradients of the first `count` arguments alone.

    A reference that is cut off from the gradient is as good as one that is not.
    """

    def holds(call: Call, yours, ours, near: float) -> bool:
        if len(yours.gradients) != len(ours.gradients):
            return False
        yours, ours = (
            replace(seen, gradients=seen.gradients[:count]) for seen in (yours, ours)
        )
        return agrees(call, yours, ours, near)

    return holds
