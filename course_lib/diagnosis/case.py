"""What is examined: the columns of a log, and what is known of its loss and its β."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course_lib.diagnosis.finding import Finding
from course_lib.diagnosis.runlog import Part, RunLog

__all__ = ["LOSSES", "Case", "lowest_loss", "softplus", "start_of"]

LN2 = math.log(2)
# the course's name of a loss: what libraries call it
LOSSES = {
    "sigmoid": ("sigmoid", "dpo", "aot", "aot_pair"),
    "smoothed": ("cdpo", "label_smoothing"),
    "robust": ("robust", "robust_dpo"),
    "normalised": ("dpo_norm", "sigmoid_norm", "length_normalized_dpo"),
    "nll": ("dpo_nll", "rpo", "sigmoid_sft", "dpo+nll"),
    "hinge": ("hinge", "slic"),
    "ipo": ("ipo",),
    "kto": ("kto", "kto_pair", "apo_zero_unpaired"),
    "bco": ("bco",),
    "apo": ("apo", "apo_zero", "apo_down"),
    "nca": ("nca", "nca_pair"),
    "bco_pair": ("bco_pair",),
    "sppo": ("sppo", "sppo_hard"),
    "exo": ("exo", "exo_pair"),
    "orpo": ("orpo",),
    "simpo": ("simpo", "cpo_simpo", "alphapo"),
    "cpo": ("cpo",),
    "sft": ("sft",),
}
REFERENCE_FREE = ("orpo", "simpo", "cpo", "sft")


def loss_name(name: str | None) -> str:
    """The course's name of a loss, or "" if none was given.

    raises: ValueError for a name that nobody uses

    >>> loss_name("DPO")
    'sigmoid'
    """
    if not name:
        return ""
    asked = name.strip().lower().replace("-", "_")
    for ours, theirs in LOSSES.items():
        if asked in theirs:
            return ours
    known = ", ".join(theirs[0] for theirs in LOSSES.values())
    raise ValueError(f"loss must be one of {known}, got {name!r}")


def softplus(x):
    """log(1 + e^x), for a number or an array.

    >>> round(float(softplus(0.0)), 4), float(softplus(1000.0))
    (0.6931, 1000.0)
    """
    with np.errstate(invalid="ignore"):  # NaN where nothing was logged
        return np.logaddexp(0.0, x)


def start_of(loss: str, beta: float) -> float:
    """The loss where policy and reference agree; NaN if it depends on the model.

    loss: a name of LOSSES; beta: > 0, reward per nat; IPO's τ

    >>> [round(start_of(loss, 0.1), 4) for loss in ("sigmoid", "ipo", "kto", "hinge")]
    [0.6931, 25.0, 0.5, 1.0]
    """
    return {
        "sigmoid": LN2,
        "smoothed": LN2,
        "robust": LN2,
        "normalised": LN2,
        "hinge": 1.0,
        "ipo": 1 / (4 * beta**2),
        "kto": 0.5,
        "apo": 1.0,
        "bco": LN2,
        "nca": 2 * LN2,
        "bco_pair": 2 * LN2,
        "sppo": 1 / (2 * beta**2),
    }.get(loss, math.nan)


def lowest_loss(margin, accuracy=math.nan, smoothing: float = 0.0):
    """The least mean loss of pairs with this mean margin and this accuracy.

    L ≥ log(1 + e^−m̄)          the loss is convex in the margin (Jensen)
    L ≥ (1 − accuracy) ln 2     a pair whose margin is not above 0 costs ln 2 at least

    margin: mean of βh, with β; accuracy: the share of margins above 0; NaN if unknown
    smoothing: ε of the label-smoothed loss, in [0, ½), for which only the first holds

    >>> round(float(lowest_loss(0.88)), 4)
    0.347
    >>> round(float(lowest_loss(5.0, accuracy=0.75)), 4)
    0.1733
    """
    margin = np.asarray(margin, dtype=float)
    if smoothing:
        return (1 - smoothing) * softplus(-margin) + smoothing * softplus(margin)
    return np.fmax(softplus(-margin), (1 - np.asarray(accuracy)) * LN2)


@dataclass
class Case:
    """A log with what is known about it; the laws add to it what they find.

    beta: reward per nat, with the way it is known in `beta_from`
    loss: a name of LOSSES, or "" if it is not known and taken for the sigmoid's
    scale: what the logged loss must be divided by to be a mean over pairs
    nll_weight: of the `nll_loss` in the logged loss
    """

    log: RunLog
    train: Part
    eval: Part
    beta: float
    beta_from: str
    lr: float
    loss: str
    smoothing: float
    scale: float = 1.0
    nll_weight: float = 0.0
    own: bool = False
    findings: list[Finding] = field(default_factory=list)

    @classmethod
    def of(cls, log: RunLog, given: Mapping[str, Any]) -> "Case":
        known = log.settings | {k: v for k, v in given.items() if v is not None}
        train, judged = log.part("train"), log.part("eval")
        try:
            loss = loss_name(known.get("loss"))
        except ValueError:
            if given.get("loss"):
                raise
            loss = ""
        if not loss and "log_odds" in train:
            loss = "orpo"
        if not loss and "kl" in train and "accuracy" not in train:
            loss = "kto"
        beta, how = known.get("beta"), "given"
        if beta is None or not 0 <= beta < math.inf:
            beta, how = _beta(train, judged)
        for part in (train, judged):
            _complete(part, beta)
        smoothing = float(known.get("label_smoothing") or 0.0)
        lr = known.get("lr")
        if lr is None:
            lr = np.nanmax(train["lr"]) if "lr" in train else math.nan
        own = log.library == "this course"
        return cls(
            log, train, judged, float(beta), how, float(lr), loss, smoothing, own=own
        )

    @property
    def exact(self) -> bool:
        """Are the rewards logged, or β given that makes them of log-ratios?"""
        return not self.own or self.beta_from == "given"

    @property
    def plain(self) -> bool:
        """Is the loss the sigmoid's, or at least not known to be another one?"""
        return self.loss in ("", "sigmoid", "nll", "smoothed")

    def ref_logps(self, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Log-probs of both sides under the reference: the logged less reward/β."""
        moved = 1 / self.beta
        chosen = part["chosen_logps"] - moved * np.nan_to_num(part["chosen_reward"])
        other = part["rejected_logps"] - moved * np.nan_to_num(part["rejected_reward"])
        return chosen, other

    def cleaned(self, part: Part) -> np.ndarray:
        """The loss of the preferences alone, a mean over pairs."""
        loss = part["loss"] / self.scale
        if self.nll_weight and "nll_loss" in part:
            loss = loss - self.nll_weight * part["nll_loss"]
        return loss

    def parts(self) -> list[tuple[str, Part]]:
        """Those in which something was logged, with a word for what they are."""
        both = (("training", self.train), ("evaluation", self.eval))
        return [(word, part) for word, part in both if len(part)]

    def has(self, *names: str) -> bool:
        return any(finding.name in names for finding in self.findings)

    def best(self) -> Part:
        """The evaluations if they have rewards, or else the training rows."""
        good = "chosen_reward" in self.eval and len(self.eval) > 1
        return self.eval if good or "chosen_reward" not in self.train else self.train

    def progress(self) -> float:
        """How far the run is, in steps; rows where no steps were logged."""
        for part in (self.train, self.eval):
            if "step" in part:
                return float(np.nanmax(part["step"]))
        return float(max(len(self.train), len(self.eval)))

    def epochs(self) -> float:
        """How often the data was seen, or NaN."""
        seen = [np.nanmax(p["epoch"]) for _, p in self.parts() if "epoch" in p]
        return float(max(seen)) if seen else math.nan


def _beta(train: Part, judged: Part) -> tuple[float, str]:
    """β of two evaluations of the same pairs: Δreward / Δlog-prob, else 0.1."""
    ratios = []
    for side in ("chosen", "rejected"):
        reward, logps = judged[f"{side}_reward"], judged[f"{side}_logps"]
        kept = judged.with_all(f"{side}_reward", f"{side}_logps")
        if kept.sum() > 1:
            moved = np.diff(logps[kept])
            far = np.abs(moved) > 0.2  # printed digits would blur a shorter way
            ratios += list(np.diff(reward[kept])[far] / moved[far])
    if ratios and np.ptp(ratios) < 0.1 * abs(np.median(ratios)):
        exact = float(np.median(ratios))
        if exact > 0:
            return float(f"{exact:.2g}"), "Δreward / Δlog-prob of the evaluations"
    gap, loss = train["gap"], train["loss"]
    early = train.with_all("gap", "loss") & (np.abs(loss - LN2) < 0.02)
    early &= np.abs(gap) > 1e-4
    if early.sum() >= 3:  # ln 2 − loss = βh/2, to first order
        exact = float(np.median(2 * (LN2 - loss[early]) / gap[early]))
        if exact > 0:
            return float(f"{exact:.1g}"), "about, from the loss against the gap"
    return 0.1, "assumed"


def _complete(part: Part, beta: float):
    """Rewards from log-ratios, and margins from rewards, where they were not logged."""
    columns = part.columns
    for side in ("chosen", "rejected"):
        if f"{side}_reward" not in part and f"{side}_logratio" in part:
            columns[f"{side}_reward"] = beta * columns[f"{side}_logratio"]
    if "margin" not in part and "gap" in part:
        columns["margin"] = beta * columns["gap"]
        part.logged["margin"] = np.zeros(len(part), dtype=bool)
    if {"chosen_reward", "rejected_reward"} <= {*columns}:
        made = columns["chosen_reward"] - columns["rejected_reward"]
        if "margin" not in columns:
            columns["margin"] = made
            part.logged["margin"] = np.zeros(len(part), dtype=bool)
        else:
            gone = np.isnan(columns["margin"]) & ~part.logged["margin"]
            columns["margin"] = np.where(gone, made, columns["margin"])
