"""What is noticeable of wrong numbers beside the right ones."""

import math
from collections.abc import Iterator, Sequence

from course_lib.checking.seen import SAME, Seen, Symptom, number_pairs
from course_lib.checking.show import show

__all__ = ["few_decimals", "nearly", "not_at_the_end", "one_sided", "short_of"]


def few_decimals(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """Next to right numbers that have more of them."""
    both = [
        (a, b)
        for a, b in number_pairs(s for s in ordinary if s.comparable and s.finite)
        if math.isfinite(a) and abs(1e4 * b - round(1e4 * b)) > 1e-3
    ]
    for unit in (0.1, 0.01, 0.001, 1e-4):
        alike = all(abs(a / unit - round(a / unit)) < 1e-4 for a, _ in both)
        alike = alike and any(a != round(a) for a, _ in both)
        near = sum(abs(a - b) <= unit for a, b in both)
        if len(both) > 3 and alike and near > 0.6 * len(both):
            told = (
                f"multiples of {unit:g} next to the right numbers: rounded, or the "
                "best of a list of candidates? Go on between two of them"
            )
            yield Symptom("few decimals", told)
            return


def short_of(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """Where an answer is found by steps: between 0 and the right one."""
    both = number_pairs(s for s in ordinary if s.comparable and s.sought)
    inside = all(abs(a) <= 1.001 * abs(b) + 1e-3 and a * b >= -1e-9 for a, b in both)
    if len(both) > 3 and inside and any(abs(a) < 0.9 * abs(b) for a, b in both):
        told = "each number between 0 and the right one: a climb that has only begun, "
        told += "or something that pulls towards 0"
        yield Symptom("short of the right numbers", told)


def not_at_the_end(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """Where an answer is found by steps: near the right one, everywhere or often."""
    both = number_pairs(s for s in ordinary if s.comparable and s.sought)
    far = [(a, b) for a, b in both if not abs(a - b) <= 0.1 * max(1.0, abs(b))]
    if both and not far:
        told = "near the right numbers, and not there: more steps, or larger ones?"
        yield Symptom("not at the end of its search", told)
        return
    if far and len({a for a, _ in far}) == 1 and len({a < b for a, b in far}) == 1:
        told = f"{show(far[0][0], 6)} where the right number lies beyond it: does a "
        yield Symptom("at the end of its range", told + "search end there?")
    elif len(far) < len(both) / 2:
        told = "near on most inputs and far off on others. If it searches, it does not "
        told += "settle there: another start, other steps. If it is a formula, "
        told += "something small is added or left out"
        yield Symptom("near on most inputs", told)


def nearly(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """Within a few per cent everywhere, and hardly ever right."""
    asked = [s for s in ordinary if s.comparable and s.finite]
    errors = [abs(a - b) / max(1.0, abs(b)) for a, b in number_pairs(asked)]
    right = sum(s.values_right for s in asked)
    if errors and max(errors) < 0.05 and right <= len(asked) / 2:
        told = (
            f"within {max(errors):.1g} of the right numbers everywhere, and not exact: "
            "a simulation, a grid, a constant that was rounded or an approximation?"
        )
        yield Symptom("near, not exact", told)


def one_sided(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """Too large, or too small, wherever it is wrong."""
    asked = [s for s in ordinary if s.comparable and s.finite]
    both = number_pairs(s for s in asked if s.planned.of is not None)
    errors = [(a - b) / max(1.0, abs(b)) for a, b in both]
    off = [x for x in errors if abs(x) > SAME]
    whole = {x for s in ordinary for seen in (s.yours, s.ours) for x in seen.numbers}
    if whole <= {0.0, 1.0}:
        off = []  # marks, of which more can be said
        if errors and all(x >= 0 for x in errors):
            yield Symptom("marks too much", "every 1 is there, and some that must be 0")
        elif errors and all(x <= 0 for x in errors):
            yield Symptom("marks too little", "no 1 too many, and some are missing")
    for sign, word in ((1, "large"), (-1, "small")):
        if len(off) > 3 and all(sign * x > 0 for x in off):
            told = f"too {word} wherever it is wrong: what is added or left out that "
            told += "has the same sign on every input?"
            yield Symptom(f"always too {word}", told)
