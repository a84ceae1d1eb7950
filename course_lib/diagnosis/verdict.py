"""The verdict on a log: what is the matter, by which rows, what would settle it."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from course_lib.diagnosis.broken import (
    not_numbers,
    same_sides,
    stuck,
    two_codes,
    unchanged,
    wrong_start,
)
from course_lib.diagnosis.card import as_html, as_text
from course_lib.diagnosis.case import STATES, Case, Finding
from course_lib.diagnosis.course import what_remains
from course_lib.diagnosis.kinds import which_loss
from course_lib.diagnosis.laws import convict
from course_lib.diagnosis.moving import moving_reference
from course_lib.diagnosis.patterns import curves
from course_lib.diagnosis.reading import read

__all__ = ["Verdict", "diagnose"]

WANTED = {  # what a log should hold: why
    "loss": "the loss",
    "chosen_reward": "rewards/chosen: does the chosen answer fall?",
    "rejected_reward": "rewards/rejected",
    "accuracy": "rewards/accuracies",
    "chosen_logps": "logps/chosen: β and displacement in nats",
    "grad_norm": "grad_norm: frozen, or only slow?",
    "lr": "learning_rate: warm-up, or full rate?",
    "step": "the step: how early is a row?",
}


@dataclass(frozen=True)
class Verdict:
    """What a log says about its run.

    status: "healthy", "healthy_start" (right so far, and too early for more),
        "suspicious", "sick" or "inconclusive"
    classes: the names of what was found, the most serious first
    says: what was seen, and what it can and cannot mean
    evidence: for each class the rows of the log, from 1
    experiment: what would settle it; "" if nothing needs to be
    missing: what the log does not hold and a verdict would need
    findings, case: each finding, and the columns it was found in
    """

    status: str
    classes: tuple[str, ...]
    says: str
    evidence: tuple[dict[str, Any], ...]
    experiment: str
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]
    case: Case

    def json(self) -> str:
        """One line of JSON: status, classes, says, evidence, experiment, missing."""
        names = ("status", "classes", "says", "evidence", "experiment", "missing")
        return json.dumps({name: getattr(self, name) for name in names})

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def diagnose(
    log: Any,
    *,
    beta: float | None = None,
    lr: float | None = None,
    loss: str | None = None,
    label_smoothing: float | None = None,
) -> Verdict:
    """Read the log of a preference run, of any library, and say what it shows.

    First come laws that no run can break, such as loss ≥ log(1 + e^−margin), then
    patterns. What the log does not carry is not said.

    log: a path, the text itself, a list of dicts, a mapping from names to columns, or a
        `training.Log`
    beta: reward per nat, ≥ 0; without it, from evaluations if they tell, or else 0.1
    lr: the highest learning rate; loss: such as "sigmoid", "ipo", "kto", "orpo"
    label_smoothing: ε, in [0, ½)
    returns: a Verdict, which in a notebook shows itself as a card
    raises: ValueError if the log holds no row that is known, or a setting is out of
        its range; TypeError for another kind of log

    >>> stuck = [{"loss": 0.6931, "rewards/chosen": 0.0, "rewards/rejected": 0.0}]
    >>> diagnose(stuck * 20, beta=0.1).classes
    ('frozen_policy',)
    """
    if beta is not None and not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"beta must be a number and not below 0, got {beta}")
    if label_smoothing is not None and not 0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing must be in [0, ½), got {label_smoothing}")
    given = {"beta": beta, "lr": lr, "loss": loss, "label_smoothing": label_smoothing}
    case = Case.of(read(log), given)
    return _verdict(case, tuple(_examined(case)))


def _examined(case: Case) -> Iterator[Finding]:
    """All findings. What is NaN or stuck has no curves to be read."""
    for look in (not_numbers, _zero_beta):
        found = list(look(case))
        if found:
            yield from found
            return
    yield from which_loss(case)
    yield from convict(case)
    broken = (same_sides, stuck, unchanged, wrong_start, moving_reference, two_codes)
    for look in broken:
        for finding in look(case):
            case.findings.append(finding)
            yield finding
    if not case.has("frozen_policy", "beta_zero", "ref_equals_policy"):
        yield from curves(case)
        yield from what_remains(case)


def _zero_beta(case: Case) -> Iterator[Finding]:
    if case.beta == 0:
        yield from stuck(case)


def _verdict(case: Case, found: tuple[Finding, ...]) -> Verdict:
    order = {state: place for place, state in enumerate(STATES)}
    faults = sorted(
        (f for f in found if f.status in ("sick", "suspicious")),
        key=lambda f: -order[f.status],
    )
    others = [f for f in found if f not in faults]
    calm = [f.status for f in others]
    if faults:
        status = faults[0].status
    elif "inconclusive" in calm:
        status = "inconclusive"
    elif "healthy_start" in calm:
        status = "healthy_start"
    else:
        status = "healthy"
    missing = _missing(case)
    classes = [f.name for f in (*faults, *others)]
    if "chosen_reward" not in case.train and "chosen_reward" not in case.eval:
        classes.append("missing_metrics")
    if status in ("suspicious", "sick") or len(others) > 1:
        classes = [name for name in classes if name != "healthy"]
    said = [f.says for f in (*faults, *others) if f.says]
    if status in ("suspicious", "sick"):
        said = [f.says for f in (*faults, *others) if f.says and f.name != "healthy"]
    tried = [f.experiment for f in (*faults, *others) if f.experiment]
    evidence = tuple(
        {"class": f.name, "rows": list(f.rows[:12])}
        for f in (*faults, *others)
        if f.rows
    )
    return Verdict(
        status,
        tuple(dict.fromkeys(classes)) or ("healthy",),
        " ".join([*said, *case.log.notes]),
        evidence,
        tried[0] if tried else "",
        tuple(missing),
        (*faults, *others),
        case,
    )


def _missing(case: Case) -> list[str]:
    there = {n for _, p in case.parts() for n, seen in p.logged.items() if seen.any()}
    if case.own:
        there |= {"chosen_logps", "chosen_reward", "rejected_reward", "lr"}
        there |= {"grad_norm"} if "grad_norm" in there else set()
    missing = [why for name, why in WANTED.items() if name not in there]
    if "loss" not in case.eval:
        missing.append("an evaluation on held-out pairs")
    if case.beta_from == "assumed":
        missing.append("β: 0.1 was assumed where nats are named")
    return missing
