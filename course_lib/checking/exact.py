"""A wrong answer in terms of the right one: what is true on every ordinary input."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from course_lib.checking.seen import SAME, Seen, Symptom, number_pairs
from course_lib.checking.show import show
from course_lib.exercises.spec import close, gradients_agree
from course_lib.submission.observing import Observation

__all__ = ["exact"]


def exact(everything: Sequence[Seen]) -> Symptom | None:
    """What the answer is, said by the right one: the first that holds throughout."""
    plain = [s for s in everything if s.ordinary and not s.yours.error]
    changed = [s for s in everything if s.yours.changed]
    if changed:
        name = changed[0].names[changed[0].yours.changed[0]]
        return Symptom("input changed", f"it changes {name} in place: work on a copy")
    if _draws(everything):
        told = "it does not answer alike twice: it draws at random, or keeps something "
        return Symptom("another answer each time", told + "from one call to the next")
    compared = [s for s in plain if s.comparable and s.finite]
    wrong = any(not s.values_right for s in compared)
    wrong = wrong and not any(s.yours.error for s in everything if s.ordinary)
    for look in (
        _of_another_kind(plain),
        _always_the_same(plain),
        _of_another_shape(plain),
        _of_another_dtype(plain),
        _wrong_in_its_gradient(plain),
        *((f(compared) for f in BY_VALUE) if wrong else ()),
    ):
        if symptom := next(look, None):
            return symptom
    return None


def _draws(everything: Sequence[Seen]) -> bool:
    first = {s.place: s.yours for s in everything}
    return any(
        not (s.yours.error or close(s.yours.numbers, first[base].numbers, SAME))
        for s in everything
        if s.planned.again and (base := s.planned.base) in first
    )


# ── what kind of thing it is ──────────────────────────────────────────────────────────


def _of_another_kind(plain: Sequence[Seen]) -> Iterator[Symptom]:
    kinds = {s.yours.kind for s in plain}
    if kinds == {"NoneType"}:
        yield Symptom("nothing returned", "it returns nothing: is `return` missing?")
    elif "NoneType" in kinds:
        told = "it returns nothing on some inputs: one way through it has no `return`"
        yield Symptom("nothing returned at times", told)
    elif kinds == {"number"} and all(s.ours.kind == "bool" for s in plain):
        told = "it returns a number, where True or False is wanted"
        yield Symptom("another type", told)
    elif kinds and not kinds & {"tensor", "number", "bool"}:
        kind = plain[0].yours.kind
        if kind in ("max", "min", "median", "mode", "sort", "topk", "cummax", "cummin"):
            told = f".{kind}(…) over a dimension gives values and places: take its "
            yield Symptom("another type", told + ".values")
            return
        kind = kind or "thing without a name"
        vowel = kind[0] in "aeiou" or kind == "ndarray"
        kind = f"{'an' if vowel else 'a'} {kind}"
        yield Symptom("another type", f"it returns {kind}, where a tensor is wanted")
    elif kinds == {"number"} and any(
        s.tensors and s.ours.kind == "tensor" for s in plain
    ):
        right = all(
            close(s.yours.numbers, s.ours.numbers, s.planned.near) for s in plain
        )
        told = (
            "a Python number, which is cut off from its inputs: return a tensor, "
            "without .item() or float()"
        )
        yield Symptom("a Python number", "the right value as " * right + told)


def _always_the_same(plain: Sequence[Seen]) -> Iterator[Symptom]:
    mine = {round(x, 9) for s in plain for x in s.yours.numbers}
    due = {round(x, 9) for s in plain for x in s.ours.numbers}
    if len(mine) == 1 and len(due) > 2:
        yield Symptom(
            "constant", f"it is {show(mine.pop(), 6)} whatever the inputs are"
        )


def _table(seen: Observation) -> Tensor:
    return torch.tensor(seen.numbers, dtype=torch.float64).view(seen.shape)


def _between(shape: tuple[int, ...], due: tuple[int, ...]) -> str:
    """What has come between a shape and the right one."""
    if len(shape) < len(due):
        return "a dimension is missing"
    if len(shape) > len(due):
        return "a dimension too many, of which one entry or the sum is wanted"
    if sorted(shape) == sorted(due):
        return "dimensions have changed places"
    few = math.prod(shape) < math.prod(due)
    return "entries are missing" if few else "there are entries too many"


def _of_another_shape(plain: Sequence[Seen]) -> Iterator[Symptom]:
    """The right numbers before a sum, after one, or in a table of all with all."""
    other = [s for s in plain if s.yours.kind == s.ours.kind == "tensor"]
    other = [s for s in other if s.yours.shape != s.ours.shape and s.yours.numbers]
    if not other:
        return
    wide = max(other, key=lambda s: len(s.yours.numbers) + s.planned.rows)
    tables = [(_table(s.yours), _table(s.ours), s.planned.near) for s in other]
    shape, due = tuple(wide.yours.shape), tuple(wide.ours.shape)

    def all_are(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> bool:
        for yours, ours, near in tables:
            try:
                a, b = change(yours, ours)
            except (RuntimeError, IndexError):
                return False
            numbers = a.flatten().tolist(), b.flatten().tolist()
            if a.shape != b.shape or not close(*numbers, near):
                return False
        return True

    told = ""
    if all_are(lambda y, o: (y.flatten(), o.flatten())):
        told = f"the right numbers in another shape, {shape} in place of {due}"
    elif len(shape) > len(due):
        for dim in range(len(shape)):
            if all_are(lambda y, o, d=dim: (y.sum(d), o)):
                told = f"not yet summed: the sum over dimension {dim} would be right"
            elif all_are(lambda y, o, d=dim: (y.mean(d), o)):
                told = f"not yet averaged: the mean over dimension {dim} would be right"
            if told:
                break
        if not told and all_are(lambda y, o: (y.diagonal(), o)):
            told = (
                "a table of each row with every other, whose diagonal is right: keep "
                "to each row (gather does; two index lists side by side do not)"
            )
    elif len(shape) < len(due):
        for word, reduce in (("sum", torch.sum), ("mean", torch.mean)):
            if all_are(lambda y, o, f=reduce: (y, f(o))):
                told = f"one number for all, the {word} of the right ones: keep them"
        if not told and not shape:
            told = "one number, where several are wanted: each row has its own"
    told = told or f"shape {shape}, where {due} is wanted: {_between(shape, due)}"
    yield Symptom("another shape", told)


def _of_another_dtype(plain: Sequence[Seen]) -> Iterator[Symptom]:
    for s in plain:
        tensors = s.yours.kind == s.ours.kind == "tensor"
        if s.dtypes and tensors and s.yours.dtype != s.ours.dtype:
            told = f"it is {s.yours.dtype}, where the inputs are {s.ours.dtype}: keep "
            yield Symptom("another dtype", told + "their dtype")
            return


def _wrong_in_its_gradient(plain: Sequence[Seen]) -> Iterator[Symptom]:
    if not plain or not all(s.values_right for s in plain):
        return
    asked = [s for s in plain if s.ours.differentiable]
    if asked and not any(s.yours.differentiable for s in asked):
        told = (
            "the right values, cut off from their inputs (detach, item, numpy, "
            "torch.tensor): nothing could be learnt through them"
        )
        yield Symptom("cut off from the gradient", told)
        return
    slopes = [(s, *slope) for s in plain for slope in s.slopes]
    for _, name, yours, ours in slopes:
        if yours is None and any(ours or ()):
            told = f"the right values, but no gradient reaches {name}: something on "
            yield Symptom("no gradient", told + "its way is detached")
            return
    wrong = [
        (name, yours, ours)
        for s, name, yours, ours in slopes
        if not gradients_agree(yours, ours, s.planned.near)
    ]
    if not wrong:
        return
    ratios = {
        round(a / b, 6)
        for _, _, yours, ours in slopes
        for a, b in zip(yours or (), ours or (), strict=False)
        if abs(b) > 1e-6
    }
    name, yours, ours = wrong[0]
    if len(ratios) == 1 and (ratio := ratios.pop()) != 1:
        told = f"the right values, with gradients {show(ratio, 6)} times the right ones"
    elif yours and any(map(math.isnan, yours)):
        told = f"the right values, but the gradient for {name} is NaN"
    else:
        names = ", ".join(dict.fromkeys(name for name, _, _ in wrong))
        told = (
            f"the right values, but another gradient for {names}: is a part detached, "
            "or are there terms of no value (a division by a sum that is 1)?"
        )
    yield Symptom("wrong gradient", told)


# ── right but for a number or a function ──────────────────────────────────────────────


def _few_digits(compared: Sequence[Seen]) -> Iterator[Symptom]:
    errors = [abs(a - b) / max(1.0, abs(b)) for a, b in number_pairs(compared)]
    worst = max(errors, default=math.nan)
    near = [e for e in errors if e < 1e-5]
    formula = not any(s.sought for s in compared)
    often = sum(e > 1e-13 for e in near) > len(errors) / 2
    if worst > 1e-3 and often and formula:
        told = (
            "nearly right on most inputs and far off on some: a small number added, or "
            "a clamp, counts where a probability is small"
        )
        yield Symptom("a small number added", told)
    if not 0 < worst < 2e-4:
        return
    cause = "float32 on the way, or a small number such as 1e-8 added"
    if worst > 3e-6:
        cause = "too few steps, a finite difference, a rounded constant or number added"
    digits = int(-math.log10(worst))
    yield Symptom("few digits", f"right to about {digits} digits only: {cause}?")


NUMBERS = {  # of which it can be told where they come from
    math.log(2): ("ln 2", ""),
    1 / math.log(2): ("1/ln 2", ": is it a logarithm to base 2?"),
    math.log(10): ("ln 10", ""),
    1 / math.log(10): ("1/ln 10", ": is it a logarithm to base 10?"),
}


def _times_or_plus(compared: Sequence[Seen]) -> Iterator[Symptom]:
    pairs = number_pairs(compared)
    big = [(a, b) for a, b in pairs if abs(b) > 1e-3]
    if len(big) > 2 and len({round(b, 6) for _, b in big}) > 2:
        ratio = big[-1][0] / big[-1][1]
        if all(abs(a - ratio * b) <= SAME * max(1, abs(a)) for a, b in pairs):
            if abs(ratio - 1) < 1e-4:
                return
            if abs(ratio + 1) < SAME:
                told = "the right value with its sign turned"
            else:
                told = _constant(ratio, "times the right value, on every input")
            yield Symptom("right but for a factor", told)
            return
    shift = pairs[-1][0] - pairs[-1][1]
    if len(pairs) < 3 or abs(shift) < 1e-6:
        return
    if all(abs(a - b - shift) < SAME for a, b in pairs):
        side = "large" if shift > 0 else "small"
        told = _constant(abs(shift), f"too {side}, on every input")
        yield Symptom("right but for a constant", told)


FORMS: dict[str, Callable[[float, float], float]] = {
    "the right value times {}": lambda c, b: c * b,
    "the right value divided by {}": lambda c, b: b / c,
    "minus the right value times {}": lambda c, b: -c * b,
    "minus the right value divided by {}": lambda c, b: -b / c,
    "the right value divided by the square root of {}": lambda c, b: b / c**0.5,
    "the right value times {} squared": lambda c, b: c * c * b,
    "the right value plus {}": lambda c, b: b + c,
    "the right value minus {}": lambda c, b: b - c,
}


def _by_what_is_given(compared: Sequence[Seen]) -> Iterator[Symptom]:
    """Times, divided by, plus or minus something that can be read off the input."""
    known = [_quantities(s) for s in compared]
    for name in known[0] if known else ():
        values = {x for each in known for x in each.get(name, [])}
        if len(values) < 2 or not all(name in each for each in known):
            continue
        for words, form in FORMS.items():
            if all(
                _given_by(
                    s, [form(*it) for it in zip(k[name], s.ours.numbers, strict=False)]
                )
                for s, k in zip(compared, known, strict=True)
                if all(c > 0 for c in k[name])
            ) and any(all(c > 0 for c in k[name]) for k in known):
                yield Symptom(words.format(name), words.format(name))
                return


def _quantities(s: Seen) -> dict[str, list[float]]:
    """Numbers among the arguments, how many rows, how long they are, how many marks."""
    found, each = {}, [1.0] * len(s.ours.numbers)
    for name, value in s.arguments.items():
        if type(value) in (int, float):
            found[name] = [float(value)] * len(each)
        elif isinstance(value, Tensor) and value.ndim and not value.is_floating_point():
            marks = ((value == 0) | (value == 1)).all()
            if marks and value.ndim == 2 and len(value) == len(each):
                found[f"the number of ones in its row of {name}"] = [
                    float(row.sum()) for row in value
                ]
    first = next(iter(s.arguments.values()))
    if isinstance(first, Tensor) and first.ndim:
        found["the number of rows"] = [float(s.planned.rows) for _ in each]
        found["the length of a row"] = [float(first.shape[-1]) for _ in each]
    return found


def _given_by(s: Seen, numbers: Sequence[float]) -> bool:
    return close(s.yours.numbers, numbers, SAME)


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "e to the power of the right value: leave it a logarithm": math.exp,
    "the logarithm of the right value": math.log,
    "minus the logarithm of the right value": lambda b: -math.log(b),
    "one minus the right value: are two sides exchanged?": lambda b: 1 - b,
    "one over the right value": lambda b: 1 / b,
    "the square of the right value": lambda b: b * b,
    "the square root of the right value": math.sqrt,
    "σ of the right value": lambda b: 1 / (1 + math.exp(-b)),
    "log σ of the right value": lambda b: -math.log1p(math.exp(-b)),
    "the right value without its sign": abs,
}


def _a_function(compared: Sequence[Seen]) -> Iterator[Symptom]:
    for words, function in FUNCTIONS.items():
        try:
            if all(
                _given_by(s, [function(b) for b in s.ours.numbers]) for s in compared
            ):
                yield Symptom(words.split(":")[0], words)
                return
        except (ValueError, OverflowError, ZeroDivisionError):
            continue


def _a_step(compared: Sequence[Seen]) -> Iterator[Symptom]:
    """An earlier step of the recipe, or an argument as it came."""
    for words in compared[0].steps if compared else ():
        if all(_given_by(s, s.steps.get(words, (math.nan,))) for s in compared):
            told = f"this is {words}: a step on the way, not yet the answer"
            yield Symptom(f"stopped at {words}", told)
            return
    for name, value in compared[0].arguments.items() if compared else ():
        if isinstance(value, Tensor) and all(
            _given_by(s, s.arguments[name].double().flatten().tolist())
            for s in compared
        ):
            yield Symptom("an argument returned", f"it returns {name} as it came")
            return


def _rearranged(compared: Sequence[Seen]) -> Iterator[Symptom]:
    long = [s for s in compared if len({*s.ours.numbers}) > 2]
    mixed = any(not s.values_right for s in long)
    if mixed and all(
        close(sorted(s.yours.numbers), sorted(s.ours.numbers), SAME) for s in long
    ):
        yield Symptom("another order", "the right numbers in another order")
    tables = [s for s in compared if s.ours.shape and len(s.ours.numbers) > 1]
    sums = [sum(s.ours.numbers) / s.planned.rows for s in tables]
    if (
        close(sums, [1.0] * len(tables), SAME)
        and tables
        and all(_shares(s.ours) == _shares(s.yours) for s in tables)
    ):
        told = "in the right proportions, but its rows do not sum to 1"
        yield Symptom("not normalised", f"{told}: divide each by its sum")


def _shares(seen: Observation) -> list[float]:
    """Each entry's share of its row, to seven digits."""
    rows = _table(seen).view(-1, seen.shape[-1])
    return (rows / rows.sum(-1, keepdim=True)).flatten().mul(1e7).round().tolist()


BY_VALUE = (
    _few_digits,
    _times_or_plus,
    _by_what_is_given,
    _a_function,
    _a_step,
    _rearranged,
)


def _constant(x: float, what: str) -> str:
    for value, (words, whence) in NUMBERS.items():
        if abs(x - value) < SAME:
            return f"{words} {what}{whence}"
    return f"{show(x, 6)} {what}"
