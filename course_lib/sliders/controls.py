"""What a slider can stand at: values on a logarithmic or linear scale, or a choice."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

__all__ = ["Choice", "LinSlider", "LogSlider", "Slider", "combinations"]


SYMBOLS = {  # how mathematics writes what Python spells out
    **{"alpha": "α", "beta": "β", "gamma": "γ", "epsilon": "ε", "tau": "τ"},
    **{"lambda_": "λ", "sigma": "σ", "kl": "KL", "gap": "gap h"},
}


@dataclass(frozen=True)
class Slider:
    """The values of one control, and how the page names them. See the makers below."""

    values: tuple
    texts: tuple[str, ...]
    start: int
    label: str | None = None
    kind: str = "range"

    def called(self, name: str) -> str:
        """How the page calls it: its label, or its argument's name as a symbol.

        >>> LinSlider(0, 1).called("beta"), LinSlider(0, 1, label="leash").called("tau")
        ('β', 'leash')
        """
        return self.label or SYMBOLS.get(name, name)

    def text(self, value: Any) -> str:
        """How the page writes this value."""
        return self.texts[self.values.index(value)]


def LogSlider(
    low: float,
    high: float,
    count: int = 31,
    *,
    start: float | None = None,
    label: str | None = None,
    unit: str = "",
) -> Slider:
    """`count` values from `low` to `high`, each the same multiple of the one before.

    low, high: > 0; values are rounded to three digits, so that what is read is drawn
    start: a value to begin with, which then is one of the values; default: the middle
    label, unit: how the page calls the slider, and what its values are measured in
    raises: ValueError for an empty range or a start outside of it

    >>> LogSlider(0.01, 1, count=3).values
    (0.01, 0.1, 1.0)
    """
    _range_is_fine(low, high, count)
    if low <= 0:
        raise ValueError(f"low must be above 0 on a logarithmic slider, got {low}")
    ratio = math.log(high / low) / (count - 1)
    values = [*(low * math.exp(ratio * i) for i in range(count - 1)), high]
    return _slider(values, start, label, unit)


def LinSlider(
    low: float,
    high: float,
    count: int = 31,
    *,
    step: float | None = None,
    start: float | None = None,
    label: str | None = None,
    unit: str = "",
) -> Slider:
    """`count` values from `low` to `high` at equal distances, or one each `step`.

    start, label, unit: as for `LogSlider`
    raises: ValueError for an empty range, a start outside of it, or a step that does
        not reach high

    >>> LinSlider(0, 1, step=0.25).values
    (0.0, 0.25, 0.5, 0.75, 1.0)
    """
    _range_is_fine(low, high, count)
    if step is not None:
        if not (math.isfinite(step) and step > 0):
            raise ValueError(f"step must be above 0, got {step}")
        count = round((high - low) / step) + 1
        if abs(low + (count - 1) * step - high) > 1e-9 * max(abs(low), abs(high)):
            raise ValueError(f"steps of {step} from low {low} do not reach high {high}")
    width = (high - low) / (count - 1)
    values = [*(low + width * i for i in range(count - 1)), high]
    values = [value if abs(value) > width / 1e6 else 0.0 for value in values]
    return _slider(values, start, label, unit)


def Choice(options: Sequence, *, start: Any = None, label: str | None = None) -> Slider:
    """One of some options, in a list that opens.

    options: at least one, none twice; shown as `str` shows them
    start: the option to begin with; default: the first
    raises: ValueError for no options, for twins, or a start that is not among them

    >>> Choice(["SGD", "Adam"], start="Adam").start
    1
    """
    options = list(options)
    texts = tuple(str(option) for option in options)
    if not options or len(set(texts)) < len(texts):
        raise ValueError(f"options must be some and all different, got {options}")
    if start is not None and start not in options:
        raise ValueError(f"start must be one of {options}, got {start!r}")
    first = 0 if start is None else options.index(start)
    return Slider(tuple(options), texts, first, label, "choice")


def combinations(values: Mapping[str, Iterable]) -> list[dict[str, Any]]:
    """All that sliders can stand at together, as draw is called with it."""
    together = itertools.product(*values.values())
    return [dict(zip(values, each, strict=True)) for each in together]


def _range_is_fine(low: float, high: float, count: int):
    for name, value in (("low", low), ("high", high)):
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, got {value!r}")
    if low >= high:
        raise ValueError(f"the range from low {low} to high {high} is empty")
    if not isinstance(count, int) or count < 2:
        raise ValueError(
            f"count must be a whole number of values, at least 2, got {count}"
        )


def _slider(values: list[float], start, label, unit) -> Slider:
    """Round to what can be read, and put `start` among the values."""
    digits = next(
        n for n in range(3, 18) if len({f"{v:.{n}g}" for v in values}) == len(values)
    )
    inner = [float(f"{value:.{digits}g}") for value in values[1:-1]]
    values = [float(values[0]), *inner, float(values[-1])]
    first = len(values) // 2
    if start is not None:
        if not (isinstance(start, Real) and values[0] <= start <= values[-1]):
            raise ValueError(
                f"start must be from {values[0]} to {values[-1]}, got {start!r}"
            )
        first = min(range(len(values)), key=lambda i: abs(values[i] - start))
        values[first] = float(start)
    texts = tuple(f"{value:.{max(digits, 6)}g} {unit}".strip() for value in values)
    return Slider(tuple(values), texts, first, label)
