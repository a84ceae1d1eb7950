"""How many planted failures `diagnose` names, and how many healthy runs it clears."""

import collections

from course_lib.datasets import shipped_failures
from course_lib.diagnosis import diagnose
from course_lib.failures import FAILURES, HEALTHY, plan_of, trl_rows, truth_of
from course_tools.benchmarks import columns

__all__ = ["OPTIONS", "measure", "table"]

OPTIONS: dict[str, dict] = {}


def measure() -> dict[str, object]:
    """Over the shipped runs, read as TRL would have written them, with β and loss told.

    A failure is named if status and a class are as its truth has it. Those of which
    the log carries no trace, so that `healthy` is an honest answer, are counted apart.
    """
    right, asked = collections.Counter(), collections.Counter()
    missed: collections.Counter = collections.Counter()
    for run in shipped_failures():
        if run.name not in (*FAILURES, *HEALTHY):
            continue
        truth, plan = truth_of(run.name), plan_of(run.name)
        known = {} if plan.loss != "dpo" else {"loss": "dpo"}
        verdict = diagnose(trl_rows(run), beta=plan.beta, **known)
        fits = verdict.status in truth.statuses
        fits = fits and bool({*verdict.classes} & {*truth.classes})
        kind = "healthy" if run.name in HEALTHY else "planted"
        if kind == "planted" and "healthy" in truth.statuses:
            kind = "no trace in the log"
        asked[kind] += 1
        right[kind] += fits
        missed[run.name] += not fits
    told = {kind: [right[kind], asked[kind]] for kind in asked}
    return {**told, "missed": {name: n for name, n in missed.items() if n}}


def table(figures: dict) -> str:
    """The figures as text."""
    rows = [
        (kind, f"{pair[0]} of {pair[1]} ({pair[0] / pair[1]:.0%})")
        for kind, pair in figures.items()
        if kind != "missed"
    ]
    missed = ", ".join(f"{name} ({n})" for name, n in figures["missed"].items())
    return columns([*rows, ("missed", missed or "none")])
