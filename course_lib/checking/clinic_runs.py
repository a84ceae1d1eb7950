"""The clinic: twelve runs without names, to be named, and graded by `check`."""

import random
from difflib import get_close_matches
from typing import TYPE_CHECKING

from course_lib.checking.card import Card, Row
from course_lib.checking.clinic_answers import AILMENTS, EXPERIMENTS, told_apart
from course_lib.checking.verdict import NOT_ATTEMPTED, NOT_YET, PASSED
from course_lib.table import Table

if TYPE_CHECKING:
    from course_lib.datasets import LoggedRun
    from course_lib.plots.style import Picture

__all__ = ["Clinic", "clinic", "graded"]

RUNS, HEALTHY = 12, 2  # how many there are, and how many of them are healthy


def clinic(seed: int) -> "Clinic":
    """Twelve runs of World S without their names: two are healthy, ten are not.

    seed: of which runs are drawn, and in which order
    returns: a Clinic: `ward.run(3)` shows a run, `ward.answer(3, name, experiment)`
        takes down what you think of it, and `check(ward)` grades
    raises: TypeError if seed is no whole number

    >>> ward = clinic(seed=8)
    >>> ward.answer(1, "healthy", "read answers")
    Run 1: healthy; read answers. 1 of 12 runs answered.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a whole number, got {seed!r}")
    return Clinic(seed)


class Clinic:
    """Runs to be named, and the answers so far."""

    def __init__(self, seed: int):
        from course_lib.datasets import shipped_failures

        self.seed = seed
        self.answers: dict[int, tuple[str, str]] = {}
        draw = random.Random(seed)
        sick = draw.sample([name for name in AILMENTS if name != "healthy"], RUNS - 2)
        self._truth = sick + ["healthy"] * HEALTHY
        draw.shuffle(self._truth)
        wanted = [draw.choice(AILMENTS[name].runs) for name in self._truth]
        shipped = shipped_failures(*{*wanted})
        self._runs: list[LoggedRun] = []
        for name in wanted:
            left = [r for r in shipped if r.name == name and r not in self._runs]
            self._runs.append(draw.choice(left))

    def run(self, number: int) -> "Picture":
        """The six panels of one run, from 1 to 12; in a terminal, in words.

        raises: ValueError for another number
        """
        from course_lib.diagnosis import diagnose
        from course_lib.diagnosis.panels import run_picture
        from course_lib.failures import trl_rows

        case = diagnose(trl_rows(self._drawn(number))).case
        return run_picture(case, f"Run {number} of {RUNS}, clinic {self.seed}")

    def rows(self, number: int) -> Table:
        """What one run logged, as numbers.

        raises: ValueError for another number
        """
        run = self._drawn(number)
        names = list(run.rows[0])
        shown = [[row[name] for name in names] for row in run.rows]
        return Table(f"Run {number}, rows of training", names, shown, ".3g")

    def _drawn(self, number: int) -> "LoggedRun":
        if number not in range(1, RUNS + 1):
            raise ValueError(f"number must be from 1 to {RUNS}, got {number!r}")
        return self._runs[number - 1]

    def answer(self, number: int, name: str, experiment: str) -> str:
        """Take down what is wrong with a run and what would settle it.

        number: from 1 to 12; it may be answered again
        name, experiment: two of those that are offered
        returns: what was taken down
        raises: ValueError for what is not offered
        """
        self._drawn(number)
        _offered("name", name, AILMENTS)
        _offered("experiment", experiment, EXPERIMENTS)
        self.answers[number] = (name, experiment)
        count = f"{len(self.answers)} of {RUNS} runs answered"
        return Said(f"Run {number}: {name}; {experiment}. {count}.")

    def __repr__(self) -> str:
        return "\n\n".join(map(str, self._tables()))

    def _repr_html_(self) -> str:
        return "".join(table._repr_html_() for table in self._tables())

    def _tables(self) -> tuple[Table, Table]:
        names = ", ".join(sorted(AILMENTS))
        caption = f"Clinic {self.seed}: what may be answered for runs 1 to {RUNS}"
        return (
            Table(caption, ["answer", "one of"], [("name", names)]),
            Table(
                "Experiments",
                ["experiment", "what is done"],
                list(EXPERIMENTS.items()),
            ),
        )


class Said(str):
    """A sentence that a page shows without quotes."""

    def __repr__(self) -> str:
        return str(self)


def graded(ward: Clinic) -> Card:
    """The card of `check` for a clinic: a point for each name, one for each experiment.

    returns: a Card; "passed" if all 24 points are there
    """
    rows, points = [], 0
    for number, truth in enumerate(ward._truth, 1):
        if number in ward.answers:
            row, right = _judged(number, truth, *ward.answers[number])
            rows.append(row)
            points += right
    left = RUNS - len(rows)
    state = PASSED if points == 2 * RUNS else NOT_YET if rows else NOT_ATTEMPTED
    closing = f"{left} more to name: `ward.run(n)`, then `ward.answer(n, …)`"
    if not left:
        closing = "Another twelve: `clinic(seed=…)`"
    name, summary = f"clinic {ward.seed}", f"{points} of {2 * RUNS} points"
    return Card(name, state, summary, tuple(rows), closing)


def _judged(number: int, truth: str, name: str, experiment: str) -> tuple[Row, int]:
    """The line of one run, and its points: 0, 1 or 2."""
    named, settles = name == truth, experiment == AILMENTS[truth].experiment
    details = [] if named else [("named", told_apart(name, truth))]
    if named and not settles:
        asked = f"That would not settle it: {EXPERIMENTS[experiment]}"
        details.append(("tried", f"{asked} Which one looks where the cause is?"))
    elif not settles:
        fits = experiment == AILMENTS[name].experiment
        says = "It fits what you named: name the run anew, then choose again."
        other = "It fits neither what you named nor the run."
        details.append(("tried", says if fits else other))
    mark = "✓" if named and settles else "✗"
    text = f"Run {number}: {name}; {experiment}"
    return Row(mark, text, tuple(details)), named + settles


def _offered(what: str, given: str, options: dict) -> None:
    if given not in options:
        near = get_close_matches(str(given), options, n=1)
        like = f"is {near[0]!r} meant?" if near else f"one of {', '.join(options)}"
        raise ValueError(f"{what} {given!r} is not offered: {like}")
