"""How many planted failures `diagnose` names, and how many healthy runs it clears."""

import collections
import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from course_lib.config import Config
from course_lib.datasets import LoggedRun, shipped_failures
from course_lib.diagnosis import Verdict, diagnose
from course_lib.failures import FAILURES, HEALTHY, Plan, plan_of, trl_rows, truth_of
from course_tools.benchmarks import columns

__all__ = ["FORMS", "measure", "table"]

Rows = list[dict[str, float]]
SEED = 100  # of runs that nobody has looked at
ORDINARY = {  # other healthy runs: what is changed, how many steps, rows apart
    "a large β": ({"beta": 2.0}, 120, 8),
    "another β": ({"beta": 0.35}, 120, 8),
    "a lower rate": ({"lr": 1e-3}, 160, 8),
    "a warm-up": ({"lr": 3e-3, "warmup": 12}, 120, 8),
    "small batches": ({"batch_size": 16}, 160, 5),
    "half of the batch": ({"batch_size": 32, "lr": 1.5e-3}, 120, 4),
    "half of the pairs": ({"pairs": 5_000}, 120, 8),
    "a little noise": ({"label_noise": 0.05}, 120, 8),
    "smoothed labels": ({"label_smoothing": 0.1}, 120, 8),
    "a long run": ({"pairs": 20_000}, 240, 10),
    "a row a step": ({}, 100, 1),
    "a large batch": ({"batch_size": 128}, 80, 5),
}
METHODS = {"ipo": 0.5, "hinge": 0.5, "kto": 0.5, "nca": 0.5, "apo_zero": 0.5}
METHODS |= {"simpo": 2.0, "orpo": 1.0, "cpo": 0.5, "robust": 0.5}  # and their β


# ── the same rows, as libraries write them ────────────────────────────────────────────


def _jsonl(rows: Rows) -> str:
    lines = "\n".join(map(json.dumps, rows))
    return lines.replace('"step"', '"current_steps"')


def _wandb(rows: Rows) -> str:
    """A table of all columns, empty where a row has none."""
    names = dict.fromkeys(name for row in rows for name in row)
    made = io.StringIO()
    writer = csv.DictWriter(made, names)
    writer.writerow({name: _with_part(name) for name in names})
    writer.writerows(rows)
    return made.getvalue()


def _with_part(name: str) -> str:
    if name == "step":
        return name
    part, _, rest = name.partition("_")
    return f"eval/{rest}" if part == "eval" else f"train/{name}"


def _rounded(rows: Rows) -> Rows:
    """Four decimals, as most consoles print them."""
    return [{name: round(value, 4) for name, value in row.items()} for row in rows]


FORMS: dict[str, Callable[[Rows], Any]] = {
    "dicts": lambda rows: rows,
    "printed": lambda rows: "\n".join(map(repr, rows)),
    "trainer_state": lambda rows: json.dumps(
        {"log_history": rows, "global_step": rows[-1]["step"]}
    ),
    "LLaMA-Factory": _jsonl,
    "wandb": _wandb,
    "rounded": _rounded,
}


# ── runs ──────────────────────────────────────────────────────────────────────────────


def _ordinary() -> Iterator[tuple[str, Verdict]]:
    """Healthy runs with other settings, trained now."""
    from course_lib.failures.running import logged_run

    for name, (change, steps, every) in ORDINARY.items():
        plan = Plan(**change)
        run = logged_run("healthy", plan, SEED, steps, every)
        known = {"beta": plan.beta}
        if plan.label_smoothing:
            known["label_smoothing"] = plan.label_smoothing
        yield name, diagnose(trl_rows(run, plan), **known)


def _other_losses() -> Iterator[tuple[str, Verdict]]:
    """Runs of other methods at their usual settings, from the trainer's own log."""
    from course_lib.training import run

    for method, beta in METHODS.items():
        config = Config(method=method, beta=beta, steps=100, batch_size=64, seed=SEED)
        log = run(Config(**{**vars(config), "quiet": True}))
        yield method, diagnose(log, beta=beta, loss=method)


def _fits(run: LoggedRun, log: Any) -> bool:
    truth, plan = truth_of(run.name), plan_of(run.name)
    known = {} if plan.loss != "dpo" else {"loss": "dpo"}
    verdict = diagnose(log, beta=plan.beta, **known)
    right = verdict.status in truth.statuses
    return right and bool({*verdict.classes} & {*truth.classes})


def measure() -> dict[str, object]:
    """Over the shipped runs, with β and loss told, and over fresh healthy ones.

    A failure is named if status and a class are as its truth has it. Those of which
    the log carries no trace, so that `healthy` is an honest answer, are counted apart.
    Healthy runs with other settings and losses are trained here, some minutes on two
    cores; a healthy run is cleared if nothing is called suspicious or sick.
    """
    right, asked = collections.Counter(), collections.Counter()
    missed: collections.Counter = collections.Counter()

    def count(kind: str, name: str, fits: bool):
        asked[kind] += 1
        right[kind] += fits
        missed[name] += not fits

    for run in shipped_failures():
        if run.name not in (*FAILURES, *HEALTHY):
            continue
        kind = "healthy" if run.name in HEALTHY else "planted"
        if kind == "planted" and "healthy" in truth_of(run.name).statuses:
            kind = "no trace in the log"
        count(kind, run.name, _fits(run, trl_rows(run)))
        for form, write in FORMS.items():
            name = f"{run.name}, {form}"
            count(f"{kind}, in six forms", name, _fits(run, write(trl_rows(run))))
    calm = ("healthy", "healthy_start")
    for name, verdict in _ordinary():
        count("healthy, other settings", name, verdict.status in calm)
    for name, verdict in _other_losses():
        count("healthy, other losses", name, verdict.status in calm)
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
