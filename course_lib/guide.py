"""Five answers, and the variant that did best in the runs which hold them.

Nothing is recommended by hand. What stands here is which variants can be used at all,
and which runs of `remake variants` answer a question; the rest is read off the runs.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from course_lib import validate
from course_lib.datasets import Run
from course_lib.table import Table
from course_lib.variants import METHODS, REFERENCE_FREE

__all__ = [
    "NAMES",
    "QUESTIONS",
    "SWEEPS",
    "Advice",
    "Evidence",
    "Sweep",
    "advise",
    "evidence",
    "leaders",
    "reward_at_kl",
    "rewards_table",
]

NAMES = {"dpo": "DPO", "cdpo": "cDPO"}
NAMES |= {
    name: method.label
    for name, method in METHODS.items()
    if name not in ("sft", "apo_zero")  # which is KTO but for a factor: one row
}
NAMES |= {"kto": "KTO (APO-zero)", "dpo_rounds": "DPO in rounds"}


class Sweep(NamedTuple):
    """What a variant ran with: three values of its knob, and what stayed as it was."""

    knob: str  # a name of LossSettings
    symbol: str
    values: tuple[float, float, float]  # the usual one in the middle
    fixed: Mapping[str, float] = MappingProxyType({})

    @property
    def usual(self) -> float:
        """What it ran with on data on which one value was tried."""
        return self.values[1]

    def describe(self, value: float) -> str:
        """The settings in symbols, as they stand beside a row.

        >>> SWEEPS["cdpo"].describe(0.2)
        'β = 0.2, ε = 0.2'
        """
        signs = {"label_smoothing": "ε", "gamma": "γ", "beta": "β"}
        rest = (f", {signs[name]} = {fixed:g}" for name, fixed in self.fixed.items())
        return f"{self.symbol} = {value:g}" + "".join(rest)


_ASSUMED = {"label_smoothing": 0.2}  # the noise, whatever the data
_MILD, _STRONG = (1.0, 0.5, 0.2), (0.5, 0.2, 0.1)  # values of β
SWEEPS = {
    "dpo": Sweep("beta", "β", _MILD),
    "cdpo": Sweep("beta", "β", _STRONG, _ASSUMED),
    "robust": Sweep("beta", "β", (2.0, 1.0, 0.5), _ASSUMED),
    "ipo": Sweep("beta", "τ", (0.2, 0.1, 0.05)),
    "hinge": Sweep("beta", "β", (2.0, 1.0, 0.5)),
    "dpo_norm": Sweep("beta", "β", (3.0, 1.5, 0.6)),
    "dpo_nll": Sweep("nll_weight", "λ", (1.0, 0.3, 0.1), {"beta": 0.5}),
    "nca": Sweep("beta", "β", _STRONG),
    "apo_zero": Sweep("beta", "β", (2.0, 0.5, 0.1)),
    "kto": Sweep("beta", "β", (2.0, 0.5, 0.1)),
    "orpo": Sweep("beta", "λ", (0.5, 2.0, 10.0)),
    "simpo": Sweep("beta", "β", (10.0, 2.0, 0.5), {"gamma": 0.5}),
    "cpo": Sweep("nll_weight", "λ", (1.0, 0.3, 0.1), {"beta": 0.5}),
}
CLEAN = ("clean",)
SINGLE = {"0 % wrong": ("single thumbs",), "20 % wrong": ("single, 20 % noise",)}
SINGLE["? % wrong"] = SINGLE["0 % wrong"] + SINGLE["20 % wrong"]  # one of the two
QUESTIONS: dict[str, dict[str, tuple[str, ...]]] = {  # and the data that hold an answer
    "data": {"pairs": (), "thumbs, matched": ("thumbs",), "thumbs, single": ()},
    "noise": {
        "0 % wrong": (),
        "20 % wrong": ("20 % noise",),
        "? % wrong": ("clean", "20 % noise"),
    },
    "reference": {
        "right reference": (),
        "wrong reference": ("wrong reference",),
        "no room for it": (),
    },
    "length": {"length no matter": (), "length is liked": ("long is liked",)},
    "ask": {"asked once": (), "asked again": ()},
}


class Evidence(NamedTuple):
    """A cell of the table: what a variant's runs on one kind of data came to."""

    variant: str
    data: str
    mean: float
    low: float  # of the seeds
    high: float

    def ties(self, other: "Evidence") -> bool:
        """The one rule for ties: the ranges of the two over their seeds overlap."""
        return self.low <= other.high and other.low <= self.high


def leaders(cells: Iterable[Evidence], better: Callable = min) -> list[Evidence]:
    """The best cell, `better` being min or max of the mean, and then all that tie."""
    cells = list(cells)
    best = better(cells, key=lambda cell: cell.mean)
    return [best, *(c for c in cells if c is not best and c.ties(best))]


def evidence(runs: Sequence[Run], field: str) -> dict[tuple[str, str], Evidence]:
    """Every cell of the table, at the usual value of each variant's knob.

    runs: of `datasets.shipped_runs("variants")`; field: a number of a Run
    returns: by variant and kind of data; no cell where a number is missing. Losses
        without a reference have with a wrong one what they have on clean labels. DPO in
        rounds is a variant of its own. APO-zero is left out: it is KTO but for a factor
    """
    values: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        usual = run.beta == SWEEPS[run.method].usual and run.method != "apo_zero"
        if run.experiment == "data" and usual:
            values.setdefault((run.method, run.arm), []).append(getattr(run, field))
        elif run.arm == "5 rounds" and usual:  # measured against the same π*
            values.setdefault(("dpo_rounds", "clean"), []).append(getattr(run, field))
    for name in REFERENCE_FREE:
        if (name, "clean") in values:
            values[name, "wrong reference"] = values[name, "clean"]
    return {
        (variant, data): _evidence(variant, data, v)
        for (variant, data), v in values.items()
        if all(map(math.isfinite, v))
    }


def reward_at_kl(runs: Sequence[Run], data: str, kl: float) -> dict[str, Evidence]:
    """What each variant earns where all of them have spent the same KL.

    Of each seed: between the two values of its knob whose KL lie on either side, along
    a line in √KL

    runs: as for `evidence`; data: where knobs are swept; kl: nats
    returns: by variant; none of those that spend more, or less, at every value

    >>> runs = [Run("data", "clean", "dpo", beta, 0, reward, kl, *[0.0] * 7)
    ...         for beta, reward, kl in ((1.0, 0.2, 0.25), (0.2, 0.6, 2.25))]
    >>> reward_at_kl(runs, "clean", 1.0)["dpo"].mean
    0.4
    """
    found: dict[str, list[float | None]] = {}
    mine = [r for r in runs if (r.experiment, r.arm) == ("data", data)]
    for name, seed in dict.fromkeys((r.method, r.seed) for r in mine):
        points = [(r.kl, r.reward) for r in mine if (r.method, r.seed) == (name, seed)]
        found.setdefault(name, []).append(_between(sorted(points), kl))
    return {
        name: _evidence(name, data, values)
        for name, values in found.items()
        if None not in values
    }


def _between(points: list[tuple[float, float]], kl: float) -> float | None:
    for (low, less), (high, more) in itertools.pairwise(points):
        if low <= kl <= high:
            along = (kl**0.5 - low**0.5) / (high**0.5 - low**0.5)
            return less + along * (more - less)
    return None


def _evidence(variant: str, data: str, values: list[float]) -> Evidence:
    mean = math.fsum(values) / len(values)
    return Evidence(variant, data, mean, min(values), max(values))


def rewards_table(runs: Sequence[Run], kl: float, data: Sequence[str]) -> Table:
    """The variants' rewards at this KL, best first, a column for each kind of data.

    runs, kl: as for `reward_at_kl`; data: kinds; the first decides the order
    """
    columns = [reward_at_kl(runs, kind, kl) for kind in data]
    first = [leaders(column.values(), max) for column in columns]
    rows, marks = [], {}
    for name in sorted(columns[0], key=lambda name: -columns[0][name].mean):
        knob, row = SWEEPS[name], [NAMES[name]]
        row.append(f"{knob.symbol} = {', '.join(f'{v:g}' for v in knob.values)}")
        for at, column in enumerate(columns):
            cell = column.get(name)
            if cell in first[at]:
                best = cell is first[at][0]
                marks[len(rows), 2 + at] = "best" if best else "tie"
            row.append(
                f"{cell.mean:.2f} ({cell.low:.2f}–{cell.high:.2f})" if cell else ""
            )
        rows.append(row)
    caption = f"Reward at {kl:g} nats, logits: mean of the seeds (lowest–highest)"
    return Table(caption, ["variant", "knob", *data], rows, marks=marks)


class Advice(NamedTuple):
    """What the runs say. `ranking` is empty where no variant can be advised."""

    ranking: tuple[Evidence, ...]  # each usable variant's worst cell, the best first
    because: tuple[Evidence, ...]  # every cell of the advised variant that was asked
    together: bool  # whether runs have all that was answered at once
    missing: tuple[str, ...]  # what no run has
    # were one answer another: the first of its ranking
    instead: dict[str, Evidence | None]

    @property
    def variant(self) -> str | None:
        return self.ranking[0].variant if self.ranking else None

    @property
    def tied(self) -> tuple[str, ...]:
        """Others whose seeds overlap with those of the advised variant."""
        ties = leaders(self.ranking)[1:] if self.ranking else ()
        return tuple(cell.variant for cell in ties)


def advise(
    runs: Sequence[Run],
    *,
    data: str = "pairs",
    noise: str = "0 % wrong",
    reference: str = "right reference",
    length: str = "length no matter",
    ask: str = "asked once",
    field: str = "distance",
) -> Advice:
    """The usable variant whose worst mean over the kinds of data in question is least.

    runs: of `datasets.shipped_runs("variants")`
    data, noise, reference, length, ask: answers of QUESTIONS. Thumbs are "matched"
        where prompts have both kinds, so pairs can be made of them; KTO alone ran on
        "single" ones. "asked again" admits DPO in five rounds, which ran on clean pairs
    field: "distance", KL(π‖π*) in nats: β times it is the reward less βKL that is lost.
        Or "shortfall", in reward, which is 0 for a policy that has not moved at all.
    returns: Advice. Where several answers ask for data of their own no run has all of
        them together, and the worst of the single cells decides.
    raises: ValueError for an answer or a field that there is not

    >>> runs = [Run("data", "clean", name, SWEEPS[name].usual, 0, *[lost] * 9)
    ...         for name, lost in (("dpo", 0.2), ("kto", 0.1), ("cpo", 0.3))]
    >>> advice = advise(runs)
    >>> advice.variant, advice.tied, advice.instead["no room for it"].variant
    ('kto', (), 'cpo')
    """
    given = dict(data=data, noise=noise, reference=reference, length=length, ask=ask)
    for name, answer in given.items():
        validate.choice(name, answer, tuple(QUESTIONS[name]))
    validate.choice("field", field, ("distance", "shortfall"))
    cells = evidence(runs, field)
    known = {data for _, data in cells}
    asked = _asked(given)
    ranking = _ranking(cells, given)
    because = [cells.get((first.variant, d)) for first in ranking[:1] for d in asked]
    missing = [data for data in asked if data not in known]
    if ask == "asked again" and not any(c.variant == "dpo_rounds" for c in ranking):
        missing.append("new labels on such data")
    return Advice(
        ranking,
        tuple(cell for cell in because if cell),
        sum(map(bool, _wanted(given))) <= 1,
        tuple(missing),
        _instead(cells, given),
    )


Cells = dict[tuple[str, str], Evidence]


def _wanted(given: dict[str, str]) -> list[tuple[str, ...]]:
    """The kinds of data that each answer asks for."""
    wanted = {name: QUESTIONS[name][answer] for name, answer in given.items()}
    if given["data"] == "thumbs, single":  # which have runs of their own, noisy or not
        wanted |= {"data": SINGLE[given["noise"]], "noise": ()}
    return [*wanted.values()]


def _asked(given: dict[str, str]) -> tuple[str, ...]:
    """All of these kinds of data."""
    return tuple(dict.fromkeys(itertools.chain(*_wanted(given)))) or CLEAN


def _instead(cells: Cells, given: dict[str, str]) -> dict[str, Evidence | None]:
    """The first of the ranking, were one answer another, by that answer."""
    return {
        other: next(iter(_ranking(cells, given | {name: other})), None)
        for name, answers in QUESTIONS.items()
        for other in answers
        if other != given[name]
    }


def _usable(variant: str, given: dict[str, str]) -> bool:
    fits = given["reference"] != "no room for it" or variant in REFERENCE_FREE
    return fits and (given["ask"] == "asked again" or variant != "dpo_rounds")


def _ranking(cells: Cells, given: dict[str, str]) -> tuple[Evidence, ...]:
    asked = [d for d in _asked(given) if any(data == d for _, data in cells)]
    if not asked:
        return ()
    worst = [
        max((cells[variant, data] for data in asked), key=lambda cell: cell.mean)
        for variant in dict.fromkeys(variant for variant, _ in cells)
        if _usable(variant, given) and all((variant, data) in cells for data in asked)
    ]
    return tuple(sorted(worst, key=lambda cell: cell.mean))
