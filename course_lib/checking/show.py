"""Values as a person would write them down: few digits, few entries."""

import torch

__all__ = ["show"]


def show(value: object, digits: int = 4) -> str:
    """One value.

    >>> show(torch.tensor([1.0, -2 / 3]))
    '[1, −0.6667]'
    """
    if type(value) in (list, tuple) or (isinstance(value, torch.Tensor) and value.ndim):
        entries = [show(entry, digits) for entry in value[:6]]
        return "[" + ", ".join(entries + ["…"] * (len(value) > 6)) + "]"
    if isinstance(value, torch.Tensor):
        value = value.item()
    if callable(value):
        return getattr(value, "__name__", repr(value))
    if not isinstance(value, float):
        return repr(value)
    return f"{value:.{digits}g}".replace("-", "−").replace("inf", "∞")
