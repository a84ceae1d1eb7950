"""Runs in World S that fail on purpose, one thing wrong at a time, and their logs.

`broken_run` trains one. `FAILURES` says of each what the cause is, the cure, at what to
look, and which number shows it; `number` reads that number from a run. `trl_rows` has
the log under the names of TRL, for anything that reads logs.
"""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from course_lib import validate
from course_lib.datasets import LoggedRun
from course_lib.failures import of_code, of_data, of_settings
from course_lib.failures.plan import Failure, Plan, Truth

__all__ = [
    "BESIDE",
    "CURES",
    "FAILURES",
    "HEALTHY",
    "Effect",
    "Failure",
    "Plan",
    "Truth",
    "broken_run",
    "effect",
    "number",
    "plan_of",
    "trl_rows",
    "truth_of",
]

FAILURES: dict[str, Failure] = {
    **of_data.FAILURES,
    **of_settings.FAILURES,
    **of_code.FAILURES,
}
HEALTHY = {  # changes of the Plan that are no failure
    "healthy": {},
    "healthy_large_beta": {"beta": 1.0},
    "healthy_small_beta": {"beta": 0.25},
    "healthy_fewer_pairs": {"pairs": 2_000},
    "healthy_faster": {"lr": 4e-3},
    "healthy_some_noise": {"label_noise": 0.1},
}
BESIDE = {  # what two failures are compared with, since a healthy run would not be fair
    "low_rate": {"lr": 1e-4},  # in full precision
    "prompt_not_counted": {"data": "after opening"},
}
CURES = {  # what is tried, and against which failure
    "equal_lengths": ("length_bias", {"data": "equal lengths"}),
    "per_token": ("length_bias", {"loss": "per token"}),
    "anchored": ("likelihood_displacement", {"nll_weight": 0.2}),
    "held_tight": ("over_optimised", {"beta": 2.0}),
    "smoothed": ("over_optimised", {"label_smoothing": 0.3}),
}


def plan_of(name: str) -> Plan:
    """How a run of this name is trained.

    name: of FAILURES, HEALTHY, BESIDE or CURES
    raises: ValueError for another name

    >>> plan_of("beta_zero").beta
    0.0
    """
    validate.choice("name", name, (*FAILURES, *HEALTHY, *BESIDE, *CURES))
    if name in CURES:
        failure, change = CURES[name]
        return Plan(**FAILURES[failure].change, **change)
    if name in FAILURES:
        return Plan(**FAILURES[name].change)
    return Plan(**{**HEALTHY, **BESIDE}[name])


def truth_of(name: str) -> Truth:
    """What a reader of the log of a run of this name may answer.

    name: of FAILURES or HEALTHY
    raises: ValueError for another name

    >>> truth_of("healthy").classes
    ('healthy',)
    """
    validate.choice("name", name, (*FAILURES, *HEALTHY))
    sound = Truth(("healthy",), ("healthy", "healthy_start"))
    return FAILURES[name].truth if name in FAILURES else sound


def broken_run(name: str, seed: int, *, steps: int = 120, every: int = 8) -> LoggedRun:
    """Train in World S with the one thing wrong that a name stands for.

    name: of FAILURES, HEALTHY, BESIDE or CURES
    seed: of the pairs, their order and all noise
    steps: updates, ≥ 5, some two seconds for 120
    every: steps between two rows of the log; the first step is logged too
    returns: a LoggedRun, with looks at the truth at the start, the end and between
    raises: ValueError for another name, or fewer steps

    >>> broken_run("beta_zero", seed=0, steps=5).rows[-1]["grad_norm"]
    0.0
    """
    from course_lib.failures.running import logged_run

    plan = plan_of(name)
    if steps < 5 or every < 1:
        raise ValueError(f"steps must be at least 5 and every 1, got {steps}, {every}")
    return logged_run(name, plan, seed, steps, every)


def number(run: LoggedRun, which: str) -> float:
    """One number of a run.

    which: "first NAME", in the first row; "late NAME", the mean of the last fifth of
        the rows; "spread NAME", the standard deviation over all rows but the first;
        "end NAME", in the last look
    raises: ValueError for another word; KeyError for another NAME

    >>> rows = [{"step": 1, "loss": 0.7}, {"step": 2, "loss": 0.5}]
    >>> number(LoggedRun("healthy", 0, rows, []), "late loss")
    0.5
    """
    word, _, name = which.partition(" ")
    validate.choice("which", word, ("first", "late", "spread", "end"))
    if word == "end":
        return run.looks[-1][name]
    values = [row[name] for row in run.rows]
    if word == "first":
        return values[0]
    if word == "spread":
        return statistics.pstdev(values[1:])
    return statistics.fmean(values[-max(1, len(values) // 5) :])


class Effect(NamedTuple):
    """A number in the runs with a failure, and in the runs beside them."""

    number: str
    broken: list[float]  # one a seed
    sound: list[float]

    @property
    def shows(self) -> bool:
        """Is the effect larger than the spread over the seeds?

        The ranges do not overlap, and the means are more than two standard deviations
        apart, the larger of both sides'. With five seeds a side, equal runs would have
        ranges that do not overlap once in 126 times
        """
        apart = max(self.sound) < min(self.broken) or max(self.broken) < min(self.sound)
        effect = abs(statistics.fmean(self.broken) - statistics.fmean(self.sound))
        return apart and effect > 2 * max(map(statistics.stdev, self[1:]))


def effect(name: str, runs: Sequence[LoggedRun]) -> Effect:
    """The number of a failure, in its runs and in those that it is compared with.

    name: of FAILURES; runs: with both in them, such as `shipped_failures()`
    raises: ValueError if either is missing

    >>> runs = [LoggedRun("beta_zero", s, [{"grad_norm": 0.0}], []) for s in (0, 1)]
    >>> effect("beta_zero", [*runs, *(r._replace(name="healthy") for r in runs)]).shows
    False
    """
    validate.choice("name", name, tuple(FAILURES))
    which, beside = FAILURES[name].number, FAILURES[name].beside
    sides = [
        [number(run, which) for run in runs if run.name == called]
        for called in (name, beside)
    ]
    if not all(sides):
        raise ValueError(f"runs hold no {name}, or no {beside} to compare it with")
    return Effect(which, *sides)


def rate(plan: Plan, step: float, steps: int) -> float:
    """The learning rate at a step, from 1, as `training.fit` sets it."""
    return plan.lr * min(1.0, step / (plan.warmup + 1), (steps + 1 - step) / steps)


TRL = {
    "loss": "loss",
    "chosen": "rewards/chosen",
    "rejected": "rewards/rejected",
    "margin": "rewards/margins",
    "accuracy": "rewards/accuracies",
    "chosen_logps": "logps/chosen",
    "rejected_logps": "logps/rejected",
    "grad_norm": "grad_norm",
}


def trl_rows(run: LoggedRun, plan: Plan | None = None) -> list[dict[str, float]]:
    """The log as TRL writes it: nothing of the truth is in it.

    run: of `broken_run` or `shipped_failures`
    plan: whose learning rate is logged; without it, the plan of the run's name
    returns: rows in the order of their steps, evaluations after the rows of training
    raises: ValueError for a run of another name, without a plan

    >>> rows, looks = [{"step": 1, "loss": 0.6931}], [{"steps": 2, "eval_loss": 0.69}]
    >>> for row in trl_rows(LoggedRun("healthy", 0, rows, looks)):
    ...     print(row)
    {'step': 1, 'loss': 0.6931, 'learning_rate': 0.002}
    {'step': 2, 'eval_loss': 0.69}
    """
    plan, steps = plan or plan_of(run.name), run.looks[-1]["steps"]
    rows = [
        {
            "step": row["step"],
            **{TRL[n]: row[n] for n in TRL if n in row},
            "learning_rate": rate(plan, row["step"], steps),
        }
        for row in run.rows
    ]
    looks = [
        {
            "step": look["steps"],
            **{f"eval_{TRL[n]}": look[f"eval_{n}"] for n in TRL if f"eval_{n}" in look},
        }
        for look in run.looks
    ]
    return sorted([*rows, *looks], key=lambda row: (row["step"], "loss" not in row))
