"""The verdict on a log: what is the matter, by which rows, what would settle it."""

import json
import math
from dataclasses import dataclass
from typing import Any

from course_lib.diagnosis.broken import BROKEN, not_numbers, zero_beta
from course_lib.diagnosis.card import as_html, as_text
from course_lib.diagnosis.case import Case
from course_lib.diagnosis.course import what_remains
from course_lib.diagnosis.finding import FAULTY, STATES, Finding
from course_lib.diagnosis.kinds import KINDS
from course_lib.diagnosis.laws import LAWS
from course_lib.diagnosis.patterns import PATTERNS
from course_lib.diagnosis.reading import read

__all__ = ["Verdict", "diagnose"]

LOOKS = (  # in the order in which one finding explains, or excuses, another
    (not_numbers,),
    (zero_beta,),
    (*KINDS, *LAWS, *BROKEN),
    (*PATTERNS, what_remains),
)
HOPELESS = (  # what is NaN or stuck has no curves to be read
    "nan_precision",
    "kto_empty_class_nan",
    "beta_zero",
    "frozen_policy",
    "ref_equals_policy",
)
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
    for looks in LOOKS:
        for look in looks:
            for finding in look(case):
                case.findings.append(finding)
        if case.has(*HOPELESS):
            break
    return _verdict(case)


def _verdict(case: Case) -> Verdict:
    """What all findings come to: the most serious one decides and is told first."""
    faults = [f for f in case.findings if f.status in FAULTY]
    others = [f for f in case.findings if f.status not in FAULTY]
    found = (*sorted(faults, key=lambda f: -STATES.index(f.status)), *others)
    classes = [f.name for f in found]
    if "chosen_reward" not in case.train and "chosen_reward" not in case.eval:
        classes.append("missing_metrics")
    if faults or len(others) > 1:
        classes = [name for name in classes if name != "healthy"]
    said = [f.says for f in found if f.says and not (faults and f.name == "healthy")]
    return Verdict(
        status=max((f.status for f in found), key=STATES.index, default="healthy"),
        classes=tuple(dict.fromkeys(classes)) or ("healthy",),
        says=" ".join([*said, *case.log.notes]),
        evidence=tuple(
            {"class": f.name, "rows": list(f.rows[:12])} for f in found if f.rows
        ),
        experiment=next((f.experiment for f in found if f.experiment), ""),
        missing=tuple(_missing(case)),
        findings=found,
        case=case,
    )


def _missing(case: Case) -> list[str]:
    there = {n for _, p in case.parts() for n, seen in p.logged.items() if seen.any()}
    if case.own:
        there |= {"chosen_logps", "chosen_reward", "rejected_reward", "lr"}
    missing = [why for name, why in WANTED.items() if name not in there]
    if "loss" not in case.eval:
        missing.append("an evaluation on held-out pairs")
    if case.beta_from == "assumed":
        missing.append("β: 0.1 was assumed where nats are named")
    return missing
