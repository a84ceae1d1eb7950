"""Arithmetic that can convict: what no run can log, whatever its model and its data.

A logged row may be a mean over many steps. Every law here survives the mean: each is a
bound that is convex in the margins, an identity between means, or a statement about all
pairs. What can break a law without a fault is named: metrics of one process beside a
loss of all of them, and rounding.
"""

import math
from collections.abc import Iterator

import numpy as np

from course_lib.diagnosis.case import Case, lowest_loss, softplus
from course_lib.diagnosis.finding import Finding, healthy, suspicious
from course_lib.diagnosis.kinds import loss_at_reference

__all__ = ["LAWS", "pairs_a_row"]


def margins(case: Case) -> Iterator[Finding]:
    """margin = chosen − rejected, whatever was averaged."""
    for word, part in case.parts():
        kept = part.with_all("margin", "chosen_reward", "rejected_reward")
        if not kept.any() or not part.logged.get("margin", np.array([0])).any():
            continue
        made = part["chosen_reward"] - part["rejected_reward"]
        off = kept & (np.abs(part["margin"] - made) > 0.005 + 0.02 * part.size)
        if off.sum() < max(1, 0.1 * kept.sum()):
            continue
        ratios = (part["margin"] / np.where(np.abs(made) > 1e-9, made, np.nan))[off]
        ratios = ratios[np.isfinite(ratios)]
        k = float(np.median(ratios)) if len(ratios) > 2 else 0.0
        if k > 1.05 and np.abs(ratios / k - 1).max() < 0.02:
            case.log.notes.append(
                f"The {word} margin is {k:.3g} times chosen − rejected: it seems to be "
                "the gap, without β."
            )
            part.columns["margin"] = made
            continue
        at = int(np.flatnonzero(off)[0])
        yield suspicious(
            "inconsistent_metrics",
            f"In {word} row {part.numbers[at]} the margin is {part['margin'][at]:.4f}, "
            f"but chosen − rejected is {made[at]:.4f}. A mean of differences is the "
            "difference of means, so the three were not averaged over the same pairs.",
            part.rows(off),
            "Recompute the three for one batch.",
        )


def bounds(case: Case) -> Iterator[Finding]:
    """Jensen's bound and that of the accuracy, for the sigmoid loss."""
    excused = case.has("reference_free_loss", "not_dpo_loss")
    if not case.plain or not case.exact or excused:
        return
    for word, part in case.parts():
        loss = case.cleaned(part)
        least = lowest_loss(part["margin"], part["accuracy"], case.smoothing)
        kept = np.isfinite(loss) & np.isfinite(least)
        if "nll_loss" in part and not case.nll_weight:
            continue
        broken = kept & (loss < 0.9 * least - 0.01)
        if broken.sum() < max(1, 0.2 * kept.sum()):
            continue
        at = int(np.flatnonzero(broken)[np.argmax((least - loss)[broken])])
        margin, share = part["margin"][at], part["accuracy"][at]
        by_jensen = (
            np.isfinite(margin) and not loss[at] >= 0.9 * softplus(-margin) - 0.01
        )
        why = (
            f"a mean margin of {margin:.3f} allows {least[at]:.4f} at least (Jensen)"
            if by_jensen
            else f"an accuracy of {share:.3f} allows {least[at]:.4f} at least"
        )
        yield suspicious(
            "inconsistent_metrics",
            f"These numbers cannot belong together: in {word} row {part.numbers[at]} "
            f"the loss is {loss[at]:.4f}, and {why}. "
            f"{int(broken.sum())} of {int(kept.sum())} rows break the bound. Either "
            "this is not DPO's sigmoid loss, or loss and metrics are of different "
            "pairs: one process against all, a last partial batch, or a wrong scale.",
            part.rows(broken),
            "Compute loss and margins of one batch together, on one process.",
        )


def accuracies(case: Case) -> Iterator[Finding]:
    """All right with a margin below 0, or none right with one above 0: impossible."""
    for word, part in case.parts():
        share, margin = part["accuracy"], part["margin"]
        outside = (share > 1.0001) | (share < -0.0001)
        none_right = (share == 0) & (margin > 0.02)
        all_right = (share == 1) & (margin < -0.02)
        odd = outside | none_right | all_right
        kept = np.isfinite(share)
        if odd.sum() < max(1, 0.05 * kept.sum()):
            continue
        at = int(np.flatnonzero(odd)[0])
        yield suspicious(
            "metric_artifact_accuracy",
            f"In {word} row {part.numbers[at]} the accuracy is {share[at]:.3f} and the "
            f"mean margin {margin[at]:.4f}: some pair must be on the other side of 0. "
            "The accuracy is not counted over the pairs that the margin averages.",
            part.rows(odd),
            "Count the share of margins above 0 in one batch.",
        )


def pairs_a_row(shares: np.ndarray, most: int = 64) -> int | None:
    """How many pairs a row counts: the least n of which all accuracies are multiples.

    shares: accuracies of rows, each printed with three digits or more
    returns: n, or None if there are fewer than two accuracies strictly between 0 and 1,
        or none up to `most` fits. Rows of 2n pairs can look like n

    >>> pairs_a_row(np.array([0.4375, 0.625, 0.5625]))
    16
    """
    inner = shares[np.isfinite(shares) & (shares > 0) & (shares < 1)]
    if len(inner) < 2:
        return None
    for n in range(2, most + 1):
        if np.all(np.abs(inner * n - np.round(inner * n)) < 6e-4 * n):
            return n
    return None


def in_bfloat16(values: np.ndarray) -> bool:
    """Has every number at most eight significant bits?"""
    mantissa, _ = np.frexp(np.abs(values))
    return bool(np.all(mantissa * 256 == np.round(mantissa * 256)))


def rounding(case: Case) -> Iterator[Finding]:
    """Log-probs in 16 bits: multiples of 2 or 4 nats, which blur every reward."""
    for word, part in case.parts():
        both = [part["chosen_logps"], part["rejected_logps"]]
        logps = np.concatenate([side[np.isfinite(side)] for side in both])
        if len(logps) < 2 or np.median(np.abs(logps)) < 100 or not in_bfloat16(logps):
            continue
        step = 2.0 ** (math.floor(math.log2(np.median(np.abs(logps)))) - 7)
        start = loss_at_reference(case)[0]
        told = " 0.6914 is ln 2 in bfloat16." if abs(start - 0.6914) < 2e-4 else ""
        yield healthy(
            "bf16_rounding",
            f"All {word} log-probs are bfloat16 numbers, {step:g} nats apart, so a "
            f"reward is known to ± {case.beta * step:.2g} only: it can look like 0, "
            f"or jump.{told}",
            part.rows(part.with_all("chosen_logps")),
            "Compute the log-probs in float32.",
        )
        return


def gradient_norm(case: Case) -> Iterator[Finding]:
    """A gradient norm of 0 in a run whose rewards have moved."""
    part = case.train
    norm = part["grad_norm"]
    kept = part.with_all("grad_norm", "chosen_reward", "rejected_reward")
    odd = kept & (part.size > 0.05) & (norm == 0) & (part["loss"] > 0.01)
    if odd.sum() < max(1, 0.5 * kept.sum()):
        return
    if np.ptp(part["chosen_reward"][kept]) < 0.05:  # they may have stood there always
        return
    at = int(np.flatnonzero(odd)[0])
    yield suspicious(
        "metric_artifact_gradnorm",
        f"The logged gradient norm is 0 in row {part.numbers[at]}, and it cannot be: "
        f"the rewards are {part['chosen_reward'][at]:.3f} and "
        f"{part['rejected_reward'][at]:.3f}, so gradients moved the policy away from "
        "its reference. The number is an artefact of how it is logged (DeepSpeed and "
        "some 16-bit engines print 0); the policy is not frozen.",
        part.rows(odd),
        "Print the norm yourself, or compare a weight before and after a step.",
    )


def logits(case: Case) -> Iterator[Finding]:
    """Mean logits that are NaN or huge while everything else is in order."""
    for word, part in case.parts():
        for side in ("chosen", "rejected"):
            name = f"{side}_logits"
            values, logged = part[name], part.logged.get(name)
            if logged is None:
                continue
            bad = logged & (~np.isfinite(values) | (np.abs(values) > 500))
            bad &= part.with_all("loss")
            if bad.sum() >= max(1, 0.3 * logged.sum()):
                at = int(np.flatnonzero(bad)[0])
                yield suspicious(
                    "metric_artifact_logits",
                    f"The mean logit of the {side} answers is {values[at]:.4g} in "
                    f"{word} row {part.numbers[at]} while the loss is finite. This "
                    "column is a mean over vocabulary and padding and is not in the "
                    "loss.",
                    part.rows(bad),
                    "Leave the column out; look at logps instead.",
                )
                return


LAWS = (margins, bounds, accuracies, rounding, gradient_norm, logits)
