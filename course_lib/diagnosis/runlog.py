"""A log once read: its rows, the parts of it, and what was done to it on the way."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Part", "RunLog", "late"]

CLOCK = ("step", "epoch", "lr")  # of both parts


@dataclass
class Part:
    """The training rows, or the evaluations, as columns.

    numbers: the row of the log in which each stands, from 1
    columns: an array a name, NaN where nothing was logged
    logged: an array of bool a name: was something logged, be it NaN?
    """

    numbers: np.ndarray
    columns: dict[str, np.ndarray]
    logged: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.numbers)

    def __contains__(self, name: str) -> bool:
        return name in self.columns and bool(np.isfinite(self.columns[name]).any())

    def __getitem__(self, name: str) -> np.ndarray:
        """A column; all NaN if it was not logged."""
        return self.columns.get(name, np.full(len(self), math.nan))

    def with_all(self, *names: str) -> np.ndarray:
        """Where all of these are finite, as a mask."""
        mask = np.ones(len(self), dtype=bool)
        for name in names:
            mask &= np.isfinite(self[name])
        return mask

    @property
    def size(self) -> np.ndarray:
        """How large the larger of the two rewards is, whatever its sign."""
        return np.fmax(np.abs(self["chosen_reward"]), np.abs(self["rejected_reward"]))

    def known(self, name: str) -> np.ndarray:
        """The finite values of a column."""
        return self[name][np.isfinite(self[name])]

    def first(self, name: str) -> float:
        """The first finite value, or NaN."""
        values = self.known(name)
        return float(values[0]) if len(values) else math.nan

    def late(self, name: str, mean: bool = False) -> float:
        """The median of the last fifth of the finite values, or their mean."""
        return late(self[name], mean)

    def rows(self, at: np.ndarray | list[int]) -> tuple[int, ...]:
        """The numbers of the rows under a mask, or at these places."""
        return tuple(self.numbers[at].tolist())


def late(column: np.ndarray, mean: bool = False) -> float:
    """The median of the last fifth of the finite values, or their mean; or NaN.

    Fewer than ten rows have no fifth worth the name: then it is of the last third.
    """
    values = column[np.isfinite(column)]
    if not len(values):
        return math.nan
    few = max(1, len(values) // 3) if len(values) < 10 else len(values) // 5
    return float((np.mean if mean else np.median)(values[-few:]))


@dataclass
class RunLog:
    """The rows of one run, under the course's names; evaluations begin with eval_.

    library: who wrote the log, as far as its names tell
    settings: what stood beside the rows: beta, lr, loss, …
    notes: what was done to the rows, in sentences
    others: the rows of the other runs in the same log
    """

    rows: list[dict[str, Any]]
    library: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    others: list[list[dict[str, Any]]] = field(default_factory=list)

    @classmethod
    def of(
        cls, rows: list[dict[str, Any]], library: str, settings: dict[str, Any]
    ) -> "RunLog":
        """Without repeated rows, and of several runs the one with most rows."""
        notes = []
        kept = [row for at, row in enumerate(rows) if not at or row != rows[at - 1]]
        gone = len(rows) - len(kept)
        dated = all("step" in row for row in rows)  # then a repeat is a repeat
        dated |= gone <= len(rows) / 2 and any("step" in row for row in kept)
        if gone and dated:
            notes.append(f"{gone} repeated rows were left out.")
            rows = kept
        runs = _runs(rows)
        main = max(runs, key=lambda run: sum(map(len, run)))
        if len(runs) > 1:
            notes.append(
                f"The log holds {len(runs)} runs; this is about number "
                f"{runs.index(main) + 1}, the one with most in it."
            )
        _as_shares(main, notes)
        others = [run for run in runs if run is not main]
        return cls(main, library, settings, notes, others)

    def part(self, which: str) -> Part:
        """Training rows ("train") or evaluations ("eval"), as columns."""
        other = "train" if which == "eval" else "eval"
        owns = [_of(row, which) for row in self.rows]
        never = which == "eval" and not any(map(_finite, owns))
        kept, numbers = [], []
        for number, (row, own) in enumerate(zip(self.rows, owns, strict=True), 1):
            # In a table with columns for both parts, NaN is a row of the other part.
            # Evaluations that are never finite are NaN, unless training has more.
            filled = _finite(_of(row, other)) - ({*own} if never else set())
            if own and (_finite(own) or not filled):
                kept.append(own | {n: row[n] for n in CLOCK if n in row})
                numbers.append(number)
        names = {name for row in kept for name in row}
        columns = {
            name: np.array([row.get(name, math.nan) for row in kept], dtype=float)
            for name in names
        }
        logged = {name: np.array([name in row for row in kept]) for name in names}
        return Part(np.array(numbers, dtype=int), columns, logged)


def _of(row: dict[str, Any], which: str) -> dict[str, Any]:
    """What a row has of a part, without eval_."""
    return {
        name.removeprefix("eval_"): value
        for name, value in row.items()
        if name not in (*CLOCK, "run") and name.startswith("eval_") == (which == "eval")
    }


def _finite(row: dict[str, float]) -> set[str]:
    return {name for name, value in row.items() if math.isfinite(value)}


def _runs(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows by run: by their name, or where the steps begin anew."""
    names = [row.get("run") for row in rows]
    if len({*names} - {None}) > 1:
        apart: dict[Any, list] = {}
        for name, row in zip(names, rows, strict=True):
            apart.setdefault(name, []).append(row)
        return list(apart.values())
    runs: list[list[dict[str, Any]]] = [[]]
    most = -math.inf
    clock = "step" if any("step" in row for row in rows) else "epoch"
    for row in rows:
        now = row.get(clock)
        if now is not None and "loss" in row:
            # a run that goes on from a checkpoint falls back a little: the same run
            if now < most / 2 and most > (4 if clock == "step" else 0.02):
                runs.append([])
                most = -math.inf
            most = max(most, now)
        runs[-1].append(row)
    return runs


def _as_shares(rows: list[dict[str, Any]], notes: list[str]):
    """Accuracies in per cent become shares."""
    for name in ("accuracy", "eval_accuracy"):
        values = [row[name] for row in rows if math.isfinite(row.get(name, math.nan))]
        if values and 1.5 < max(values) <= 100 and min(values) >= 0:
            notes.append("The accuracies were read as per cent.")
            for row in rows:
                if name in row:
                    row[name] /= 100
