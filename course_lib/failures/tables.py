"""Failures as tables: what each does to which number, and what helps against it."""

import statistics
from collections.abc import Sequence

from course_lib import validate
from course_lib.datasets import LoggedRun
from course_lib.failures import FAILURES, effect
from course_lib.table import Table

__all__ = ["causes", "effects", "in_words"]

KEPT = "\N{NO-BREAK SPACE}"
WHERE = {"first": "first row", "late": "late rows", "spread": "scatter", "end": "end"}
COLUMNS = {  # the columns of a log, and of a look, in words
    "eval_loss": "held-out loss",
    "eval_accuracy": "held-out accuracy",
    "eval_chosen_logps": "held-out chosen log-prob",
    "chosen": "chosen reward",
    "chosen_logps": "chosen log-prob",
    "grad_norm": "gradient norm",
    "kl": "KL, nats",
    "reward": "true reward",
    "length": "words an answer",
    "entropy": "entropy, nats",
}


def in_words(which: str) -> str:
    """A number of `failures.number`, as a table's cell calls it.

    >>> in_words("end eval_loss"), in_words("late margin")
    ('held-out loss, end', 'margin, late rows')
    """
    word, _, column = which.partition(" ")
    validate.choice("which", word, tuple(WHERE))
    return f"{COLUMNS.get(column, column)}, {WHERE[word]}"


def effects(names: Sequence[str], runs: Sequence[LoggedRun]) -> Table:
    """What was done in each failure, and the number that shows it.

    names: of FAILURES; runs: with theirs and those beside them, as `shipped_failures()`
    returns: a row each: mean ± standard deviation over the seeds, with the failure and
        without; "hidden" where the spread hides the effect, see `Effect.shows`
    raises: ValueError for another name, or if runs are missing

    >>> from course_lib.datasets import shipped_failures
    >>> runs = shipped_failures("loss_summed", "healthy")
    >>> print(effects(["loss_summed"], runs))
    Means of the seeds ± their standard deviation
    failure      what was done                       number           with it  without
    loss summed  loss printed as a sum of four steps  loss, first row  2.77     0.693
    """
    rows = []
    for name in names:
        found = effect(name, runs)
        where = in_words(found.number) + ("" if found.shows else " (hidden)")
        called = name.replace("_", " ")
        both = map(_spread, (found.broken, found.sound))
        rows.append((called, FAILURES[name].what, where, *both))
    caption = "Means of the seeds ± their standard deviation"
    return Table(
        caption, ["failure", "what was done", "number", "with it", "without"], rows
    )


def _spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation; one number where the seeds agree to its last digit."""
    mean, s = statistics.fmean(values), statistics.stdev(values)
    digits = 3 if abs(mean) < 1 else 2
    scatter = f"{KEPT}±{KEPT}{s:.{digits}f}" if s >= 0.5 * 10**-digits else ""
    return f"{mean:.{digits}f}{scatter}".replace("-", "−")


def causes(names: Sequence[str]) -> Table:
    """Cause and cure of each failure, folded behind a line in a notebook.

    names: of FAILURES
    raises: ValueError for another name

    >>> print(causes(["loss_summed"]))
    Cause and cure
    failure      cause                                 cure
    loss summed  The printed loss is summed over four  Divide by the number of steps;
                 accumulation steps.                   upgrade the trainer.
    """
    for name in names:
        validate.choice("names", name, tuple(FAILURES))
    rows = [
        (name.replace("_", " "), FAILURES[name].cause, FAILURES[name].cure)
        for name in names
    ]
    head = ["failure", "cause", "cure"]
    return Table("Cause and cure", head, rows, fold="Cause and cure of each failure")
