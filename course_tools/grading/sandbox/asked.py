"""The functions that stay with the grader while a submission asks for their values.

Nothing is remembered between two questions: each brings its arguments along, those for
a gradient too. What goes back is numbers and fixed words.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from course_lib.submission.observing import Call
from course_tools.grading.sandbox.wire import (
    NUMBERS,
    Nonsense,
    decode,
    encode,
    read,
    tensors_in,
)

__all__ = ["functions_in", "reply"]

INTEGER = (torch.int64, torch.int32)
LARGEST = 1_000_000  # whole number that a learner's code may have us calculate with


def functions_in(
    calls: Sequence[Call], offers: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Callable], list, Any]:
    """The functions in calls' arguments and in what a page may use; both as JSON.

    Their places are the numbers by which they are asked for.
    """
    functions: list[Callable] = []
    told = [encode([list(call.args), call.kwargs], functions) for call in calls]
    things = {k: thing for shelf in offers.values() for k, thing in shelf.items()}
    return functions, told, encode(things, functions)


def reply(functions: Sequence[Callable], question: bytes) -> bytes:
    """A function's value, or the gradient of a value.

    question: {"ask": number, "args": …, "kwargs": …, "wants": [which tensors ask for a
        gradient], "slopes": […], "chosen": […]}; slopes and chosen have a list for each
        order of a derivative, as `given` says
    returns: {"value": …, "differentiable": …, "reached": [which tensors its gradient
        comes to]} or {"slopes": …}, or an error's kind
    raises: Nonsense for a message that no honest process would send
    """
    try:
        return json.dumps(_told(functions, read(question))).encode()
    except (Nonsense, RecursionError) as error:
        raise Nonsense(str(error)) from None
    except MemoryError:
        told = {"error": "MemoryError"}
    except Exception as error:
        kinds = (TypeError, AttributeError, ValueError, IndexError)
        kinds += (OverflowError, ZeroDivisionError)
        name = next((k.__name__ for k in kinds if isinstance(error, k)), "RuntimeError")
        full = "allocate memory" in str(error) or "bad_alloc" in str(error)
        told = {"error": "MemoryError" if full else name}
    return json.dumps(told).encode()


def _told(functions: Sequence[Callable], message: dict) -> dict:
    number = message["ask"]
    if type(number) is not int or not 0 <= number < len(functions):
        raise Nonsense("a question for no function")
    args, kwargs = decode(message["args"]), decode(message["kwargs"])
    tensors = [*tensors_in([args, kwargs])]
    _bounded(tensors)
    for tensor, wants in zip(tensors, message["wants"], strict=True):
        tensor.requires_grad_(bool(wants))
    result = functions[number](*args, **kwargs)
    rows = decode(message["slopes"])
    if not rows:
        differentiable = isinstance(result, Tensor) and result.requires_grad
        leaves = _leaves(result) if differentiable else set()
        told = {"value": encode(result, []), "differentiable": differentiable}
        return told | {"reached": [id(tensor) in leaves for tensor in tensors]}
    made, taken = [result], tensors
    for order, slopes in enumerate(rows):
        slopes = [slope.requires_grad_() for slope in slopes]
        chosen = zip(taken, message["chosen"][order], strict=True)
        wanted = [tensor for tensor, which in chosen if which]
        made = _gradient(made, slopes, wanted, again=order + 1 < len(rows))
        taken = taken + slopes
    return {"slopes": encode(made, [])}


def _gradient(
    values: Sequence[Tensor],
    slopes: Sequence[Tensor],
    wanted: Sequence[Tensor],
    again: bool,
) -> list[Tensor]:
    """Of the product of values and slopes; again: it is to be differentiated too."""
    if [value.shape for value in values] != [slope.shape for slope in slopes]:
        raise RuntimeError("a slope for each number, and no other")
    parts = zip(values, slopes, strict=True)
    whole = sum((value * slope).sum() for value, slope in parts)
    # slopes given to autograd as they are would make it import sympy
    found = torch.autograd.grad(whole, wanted, create_graph=again, allow_unused=True)
    return [
        torch.zeros_like(tensor) if slope is None else slope
        for slope, tensor in zip(found, wanted, strict=True)
    ]


def _leaves(result: Tensor) -> set[int]:
    """The tensors that a gradient of the result comes to, by their `id`."""
    found, seen, todo = {id(result)}, set(), [result.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            found.add(id(getattr(node, "variable", None)))
            todo += [before for before, _ in node.next_functions]
    return found


def _bounded(tensors: Sequence[Tensor]):
    """Refuse what would take long: an empty dimension counts as one.

    Shapes are lined up as in broadcasting, from the right; one that another begins with
    (labels beside their logits) makes nothing larger.
    """
    for whole in (one for one in tensors if one.dtype in INTEGER and one.numel()):
        if max(int(whole.max()), -int(whole.min())) > LARGEST:
            raise ValueError("whole numbers too large to be tried here")
    shapes = {tuple(tensor.shape) for tensor in tensors}
    longest = [
        shape
        for shape in shapes
        if not any(s != shape and s[: len(shape)] == shape for s in shapes)
    ]
    sizes = zip_longest(*(shape[::-1] for shape in longest), fillvalue=1)
    if math.prod(max(1, *lengths) for lengths in sizes) > NUMBERS:
        raise ValueError("tensors too large to be tried here")
