"""What one notices in a wrong answer: where it is right, what it does not follow."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.checking.numbers import (
    few_decimals,
    nearly,
    not_at_the_end,
    one_sided,
    short_of,
)
from course_lib.checking.seen import SAME, Seen, Symptom
from course_lib.checking.show import show
from course_lib.exercises.spec import close

__all__ = ["at_the_edge", "noticed"]


def noticed(everything: Sequence[Seen]) -> Symptom | None:
    """What is most noticeable."""
    ordinary = [s for s in everything if s.ordinary]
    if all(s.right for s in ordinary if s.planned.of is not None):
        looks = at_the_edge(everything), _in_float32(everything), _only_where(ordinary)
        return next(itertools.chain(*looks), None)
    looks = (
        _verdicts,
        few_decimals,
        _only_where,
        _not_a_number,
        short_of,
        not_at_the_end,
        _by_rows,
        _errors,
        _entries,
        nearly,
        _reactions,
        one_sided,
    )
    return next((symptom for look in looks for symptom in look(ordinary)), None)


# ── at the extremes ───────────────────────────────────────────────────────────────────

SHORT = {  # where it is told beside a mistake
    "overflow": "∞ or NaN (stay in logarithms)",
    "log of 0": "NaN from 0 · log 0 or 0/0 (torch.xlogy, torch.where)",
}
ORDINARY = "right for ordinary inputs, not for extreme ones: "


def at_the_edge(
    everything: Sequence[Seen], at: str = ORDINARY, broken_only: bool = False
) -> Iterator[Symptom]:
    """How something that is right on ordinary inputs goes wrong at the extremes."""
    for s in everything:
        broken = any(not math.isfinite(x) for x in s.yours.numbers)
        if s.planned.beside is not None and not s.values_right:
            told = (
                "right row by row, wrong in a batch of very different rows: something "
                "that belongs to each row (a maximum, a mean) is taken over all of them"
            )
            yield Symptom("taken over the whole batch", told)
            return
        if s.planned.edge and not s.right and (broken or not broken_only):
            name, told = _edge(s)
            told = SHORT.get(name, told) if broken_only else told
            yield Symptom(name, at + told)
            return


def _edge(s: Seen) -> tuple[str, str]:
    numbers, zero = s.yours.numbers, s.planned.edge == "zero"
    slopes = [x for _, yours, _ in s.slopes for x in yours or ()]
    broken = [x for x in numbers if not math.isfinite(x)]
    if s.yours.error:
        return "error at the extremes", f"{s.yours.error[0]} there"
    if broken and not s.finite:
        return "NaN for ∞", "NaN where the answer is infinite: 0 · ∞, ∞ − ∞ or ∞/∞"
    if broken and zero:
        return "log of 0", (
            "0 · log 0, log 0 or 0/0, which is NaN on a computer: see to the zeros "
            "before the logarithm (torch.xlogy, torch.where)"
        )
    if broken:
        return "overflow", (
            "something overflows to ∞ or vanishes to 0 on the way (an exponential, a "
            "quotient), and what follows is ∞ or NaN. Stay in logarithms: logsigmoid, "
            "log_softmax, logsumexp"
        )
    if s.values_right and any(map(math.isnan, slopes)):
        where = "an input is 0" if zero else "an exponential overflows on the way"
        return "NaN gradient", f"the value holds, its gradient is NaN where {where}"
    if s.values_right:
        name = "clamped gradient"
        return name, "the value holds, its gradient does not: is something clamped?"
    if any(map(math.isnan, s.ours.numbers)):
        return "a number for NaN", "a number where nothing can be known: that is NaN"
    if not s.finite:
        return "clamped", "a finite number for ∞: is a small number added, or a clamp?"
    due = [x for _, _, ours in s.slopes for x in ours or ()]
    if slopes and not any(slopes) and any(due):
        told = f"it stops at {show(numbers[0], 6)}, and no gradient is left: a clamp, "
        return "clamped", told + "or a small number added, holds it there"
    if s.sought:
        return "not found at the extremes", (
            "the search does not come to the right numbers there: steps that are too "
            "small, or so large that it jumps to and fro"
        )
    return "clamped", (
        "a small number added, a clamp, or a difference that is rounded away before "
        "its logarithm is taken"
    )


def _in_float32(everything: Sequence[Seen]) -> Iterator[Symptom]:
    if any(s.planned.float32 and not s.right for s in everything):
        told = (
            "right in float64, not in float32, which has seven digits: a difference of "
            "nearly equal numbers, as in a finite difference, leaves few of them"
        )
        yield Symptom("wrong in float32", told)


# ── on ordinary inputs ────────────────────────────────────────────────────────────────


class Condition(NamedTuple):
    """What may hold of an input.

    elsewhere: what to look at where it does not; properties: in how many of them there
        must be an input of which it holds, before anything is concluded
    """

    where: str
    elsewhere: str
    holds: Callable[[Seen], bool]
    properties: int = 2


def _conditions(asked: Sequence[Seen]) -> Iterator[Condition]:
    """What may hold of an input: where, what to look at elsewhere, whether it holds."""
    some = max(asked, key=lambda s: len(s.arguments))
    one_row = f"where {next(iter(some.arguments), 'the input')} has one row"
    yield Condition(
        "for a batch of one" if some.planned.batch else one_row,
        "for several rows: is a mean, a sum or an index in the wrong dimension?",
        lambda s: s.planned.rows == 1,
    )
    yield Condition(
        "where all rows are alike",
        "where they differ: is an average taken too early?",
        _alike_rows,
    )
    for name, value in some.arguments.items():
        if isinstance(value, str):
            yield from _words(name, sorted({s.arguments[name] for s in asked}))
        elif type(value) in (int, float):
            look = f"elsewhere: look at where {name} enters"
            for one in (1, 0):
                yield Condition(
                    f"where {name} = {one}",
                    look,
                    lambda s, n=name, one=one: s.arguments.get(n) == one,
                )
        elif isinstance(value, Tensor):
            yield from _tensors(name, value, some.arguments)


def _words(name: str, words: Sequence[str]) -> Iterator[Condition]:
    """What may hold of an argument that is one of these words."""
    for word in words:
        yield Condition(
            f"where {name} is not {word!r}",
            "where it is: look at that case",
            lambda s, w=word: s.arguments[name] != w,
        )
        yield Condition(
            f"where {name} is {word!r}",
            "elsewhere: look at the other cases",
            lambda s, w=word: s.arguments[name] == w,
        )


def _tensors(name: str, value: Tensor, arguments: dict) -> Iterator[Condition]:
    """What may hold of an argument that is a tensor like `value`."""
    if value.dtype == torch.bool:
        for which, test in (("true", Tensor.all), ("false", _none)):
            yield Condition(
                f"where {name} is {which} throughout",
                "elsewhere: look at what is done with the other kind",
                lambda s, t=test: bool(t(s.arguments[name])),
            )
    elif value.is_floating_point():
        look = f"elsewhere: look at where {name} enters"
        yield Condition(
            f"where {name} is 0", look, lambda s: _none(s.arguments[name]), 3
        )
        for other, mate in arguments.items():
            if other > name and isinstance(mate, Tensor) and mate.ndim == value.ndim:
                yield Condition(
                    f"where {name} equals {other}",
                    "elsewhere: look at where these two meet",
                    lambda s, b=other: torch.equal(s.arguments[name], s.arguments[b]),
                    3,
                )
    elif value.ndim:
        yield Condition(
            f"where {name} counts 0, 1, 2, …",
            f"elsewhere: what does {name} list, and in which order?",
            lambda s: _counts(s.arguments[name]),
        )


def _none(value: Tensor) -> bool:
    return not value.any()


def _counts(value: Tensor) -> bool:
    return bool(value.ndim and (value == torch.arange(value.shape[-1])).all())


def _alike_rows(s: Seen) -> bool:
    rows = s.planned.rows
    tensors = [v for v in s.arguments.values() if isinstance(v, Tensor) and v.ndim]
    batched = [v for v in tensors if len(v) == rows]
    return rows > 1 and all(bool((v == v[:1]).all()) for v in batched)


def _optional(asked: Sequence[Seen]) -> Iterator[Condition]:
    """Arguments that some inputs have, and others do without."""
    given = dict.fromkeys(name for s in asked for name in s.arguments)
    for name in given:
        if any(name not in s.arguments for s in asked):
            look = f"with it: look at where {name} enters"
            yield Condition(
                f"without {name}", look, lambda s, n=name: n not in s.arguments
            )


def _holds(condition: Condition, s: Seen) -> bool:
    try:
        return condition.holds(s)
    except (KeyError, TypeError, RuntimeError, AttributeError):
        return False


def _only_where(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """What the inputs that come out right have in common."""
    asked = [s for s in ordinary if s.planned.varied is None and s.comparable]
    right = [s for s in asked if s.values_right]
    if len(right) < 2 or len(right) == len(asked):
        return
    best, found = 0.55, None  # most of the others must be wrong
    conditions = itertools.chain(_optional(asked), _conditions(asked))
    for condition in conditions:
        inside = [s for s in asked if _holds(condition, s)]
        if len({s.planned.of for s in inside}) < condition.properties:
            continue
        outside = [s for s in asked if not _holds(condition, s)]
        telling = any(any(s.ours.numbers) for s in inside)
        if len(outside) < 2 or not all(s.values_right for s in inside) or not telling:
            continue
        share = sum(not s.values_right for s in outside) / len(outside)
        if share > best + 0.05:
            wrong = "wrong" if share == 1 else "mostly wrong"
            best, name = share, f"right {condition.where}"
            found = Symptom(name, f"{name}, {wrong} {condition.elsewhere}")
    if found:
        yield found


def _verdicts(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """Of a function that examines others: which it lets through, which it rejects."""
    asked = [s for s in ordinary if s.yours.kind == s.ours.kind == "bool"]
    named = [
        (getattr(value, "__name__", ""), s)
        for s in asked
        for value in s.arguments.values()
        if callable(value)
    ]
    told = []
    for due, verb in ((0.0, "lets through the faulty"), (1.0, "rejects the right")):
        names = [name for name, s in named if s.ours.numbers[0] == due]
        bad = [name for name, s in named if not s.values_right]
        bad = list(dict.fromkeys(name for name in bad if name in names))
        if bad:
            more = f" and {len(bad) - 4} more" * (len(bad) > 4)
            told.append(f"{verb} {', '.join(bad[:4])}{more}")
    if told:
        yield Symptom("misjudges functions", "it " + "; and it ".join(told))


def _not_a_number(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    bad = [
        s for s in ordinary if s.finite and not all(map(math.isfinite, s.yours.numbers))
    ]
    if bad:
        told = (
            "NaN or ∞ on an ordinary input: 0/0, the logarithm of 0 or of a negative "
        )
        yield Symptom("NaN", told + "number, or the mean of nothing")


def _by_rows(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """A row alone and the same row in its batch."""
    for s in ordinary:
        row = s.planned.row
        if row is None or not s.comparable:
            continue
        base = next((b for b in ordinary if b.place == s.planned.base), None)
        if base is None or base.yours.shape != base.ours.shape or not base.ours.shape:
            continue
        width = len(base.yours.numbers) // base.planned.rows
        part = base.yours.numbers[row * width : (row + 1) * width]
        if len(part) == len(s.yours.numbers) and not close(part, s.yours.numbers, SAME):
            told = "a row's result depends on the rows beside it: "
            yield Symptom("rows depend on each other", told + "each is its own case")
            return


def _entries(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """Which entries of a table does the answer depend on? By its gradient."""
    for s in ordinary:
        for name, yours, ours in s.slopes:
            shape = s.arguments[name].shape
            if len(shape) < 2 or yours is None or ours is None:
                continue
            mine, due = (
                torch.tensor(g).view(shape).abs() > 1e-12 for g in (yours, ours)
            )
            if len(shape) > 2:
                mine, due = mine.any(-1), due.any(-1)
            if not mine.any() or not due.any() or (mine == due).all():
                continue
            told = [
                f"{verb} {_places(name, entries)}, where it {should}"
                for verb, entries, should in (
                    ("does not depend on", due & ~mine, "should"),
                    ("depends on", mine & ~due, "should not"),
                )
                if entries.any()
            ]
            yield Symptom("looks at other entries", "it " + "; it ".join(told))
            return


def _places(name: str, entries: Tensor) -> str:
    places = entries.nonzero().tolist()
    return ", ".join(f"{name}{p}" for p in places[:3]) + ", …" * (len(places) > 3)


def _reactions(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """Which arguments does the answer follow, and which way? Each is asked twice."""
    how: dict[str, set[str]] = {}
    for s in ordinary:
        if s.planned.varied is None:
            continue
        base = next((b for b in ordinary if b.place == s.planned.base), None)
        if base is None or not (base.comparable and s.comparable):
            continue
        name = s.names[s.planned.varied]
        mine, due = (
            [a - b for a, b in zip(one.numbers, other.numbers, strict=False)]
            for one, other in ((s.yours, base.yours), (s.ours, base.ours))
        )
        most = max(map(abs, due), default=0.0)
        if most < 1e-4 or not all(map(math.isfinite, mine)):
            continue
        told = "otherwise"
        if all(abs(a - b) < 1e-6 * most for a, b in zip(mine, due, strict=True)):
            told = "well"
        elif all(abs(x) < 1e-12 for x in mine):
            told = "not"
        elif all(a * b < 0 for a, b in zip(mine, due, strict=True) if abs(b) > 1e-9):
            told = "against"
        how.setdefault(name, set()).add(told)
    by = {
        told: [name for name, all_told in how.items() if all_told == {told}]
        for told in ("not", "against", "well")
    }
    if names := by["not"]:
        told = f"changing {_list(names)} a little changes nothing in your answer"
        yield Symptom(f"blind to {_list(names)}", told)
    if names := by["against"]:
        told = f"changing {_list(names)} moves your answer the wrong way"
        yield Symptom(f"against {_list(names)}", told)
    bad = [name for name in how if name not in by["well"]]
    if by["well"] and bad and not by["not"] and not by["against"]:
        told = f"it follows {_list(by['well'])} as it should, but not {_list(bad)}"
        look = f"look at where {'that enters' if len(bad) == 1 else 'those enter'}"
        yield Symptom(f"does not follow {_list(bad)}", f"{told}: {look}")


def _errors(ordinary: Sequence[Seen]) -> Iterator[Symptom]:
    """An error on some inputs: what do they have in common?"""
    failing = [s for s in ordinary if s.yours.error]
    if not failing or len(failing) == len(ordinary):
        return
    for condition in _conditions(ordinary):
        if all(_holds(condition, s) == bool(s.yours.error) for s in ordinary):
            told = f"an error {condition.where}, and nowhere else"
            yield Symptom("an error on some inputs", told)
            return


def _list(names: Sequence[str]) -> str:
    *most, last = sorted(names)
    return f"{', '.join(most)} and {last}" if most else last
