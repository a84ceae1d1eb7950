"""Which loss is it? What the numbers say of its kind, its scale and its parts."""

import math
from collections.abc import Iterator

import numpy as np

from course_lib.diagnosis.case import LN2, Case, lowest_loss, softplus, start_of
from course_lib.diagnosis.finding import Finding, healthy, sick, suspicious
from course_lib.diagnosis.runlog import Part

__all__ = ["KINDS", "at_reference", "loss_at_reference", "near"]

ZERO = 1.5e-6  # as a reward of 0 is printed


def at_reference(part: Part) -> np.ndarray:
    """Rows in which all rewards are exactly 0, as printed."""
    return part.with_all("chosen_reward", "rejected_reward") & (part.size < ZERO)


def near(value: float, wanted: float, share: float = 0.004) -> bool:
    """Equal, up to what 16 bits and the printed digits may change."""
    return abs(value - wanted) <= share * abs(wanted) + 1e-4


def loss_at_reference(case: Case) -> tuple[float, tuple[int, ...]]:
    """The logged loss where the rewards are 0, and its rows; NaN if there are none."""
    for _, part in case.parts():
        rows = at_reference(part) & part.with_all("loss")
        if rows.any():
            return float(np.median(case.cleaned(part)[rows])), part.rows(rows)
    return math.nan, ()


def mixed_loss(case: Case) -> Iterator[Finding]:
    """An NLL term in the loss: its weight is what is above ln 2 where rewards are 0."""
    for word, part in case.parts():
        kept = part.with_all("loss", "nll_loss", "margin")
        if not case.plain or not kept.any():
            continue
        extra = part["loss"] - softplus(-part["margin"])
        zero = kept & at_reference(part)
        weights = extra[zero] / part["nll_loss"][zero]
        if not zero.any() or not np.median(weights) > 0.02:
            continue
        case.nll_weight = weight = float(np.median(weights))
        row = int(np.flatnonzero(zero)[0])
        loss, nll = part["loss"][row], part["nll_loss"][row]
        yield healthy(
            "mixed_loss_nll",
            f"The loss contains an NLL term of weight {weight:.2g}: in {word} row "
            f"{part.numbers[row]} it is {loss:.4f} = {weight:.2g} · {nll:.4f} + ln 2. "
            "Subtract the term before you judge the loss.",
            part.rows(zero),
            "Plot loss − weight · nll_loss: that is the preference loss.",
        )
        return


def loss_scale(case: Case) -> Iterator[Finding]:
    """k · ln 2 with zero rewards: a sum over k accumulation steps, or divided twice."""
    first, rows = loss_at_reference(case)
    if not case.plain or case.nll_weight:
        return
    ratio = first / LN2
    if not math.isfinite(ratio):
        ratio, rows = _constant_ratio(case)
    starts = [0.5, 1.0, 25.0, 2500.0, 100.0, 50.0]
    starts += [start_of(loss, case.beta) for loss in ("ipo", "sppo")]
    known = any(near(first, value) for value in starts)
    for k in (ratio, 1 / ratio if ratio else math.nan):
        whole = math.isfinite(k) and abs(k - round(k)) < min(0.006 * k, 0.03)
        if whole and k > 1.9 and not known:
            case.scale = ratio
            how = "summed over" if ratio > 1 else "divided once too often by"
            nca = near(first, start_of("nca", 1.0)) and not case.loss
            other = " The losses of NCA and BCO start there too." if nca else ""
            yield Finding(
                "metric_artifact_loss_scale",
                f"The logged loss is {ratio:.4g} · ln 2 where the rewards say ln 2 "
                f"(row {rows[0]}): it is {how} {round(k)} accumulation steps or "
                "processes. That is how it is logged, not how the model learns."
                f"{other}",
                rows,
                "Divide the loss by the accumulation steps and compare with "
                "log(1 + e^−margin); look for a fixed bug of this version's trainer.",
                status="inconclusive" if nca else "suspicious",
            )
            return


def _constant_ratio(case: Case) -> tuple[float, tuple[int, ...]]:
    """Loss over log(1 + e^−m̄), if small rewards make it the same in all rows."""
    part = case.train
    kept = part.with_all("loss", "margin", "chosen_reward", "rejected_reward")
    kept &= part.size < 0.3
    if kept.sum() < 3 or not case.exact:
        return math.nan, ()
    ratios = part["loss"][kept] / softplus(-part["margin"][kept])
    if np.ptp(ratios) > 0.06 * np.median(ratios):
        return math.nan, ()
    return float(np.median(ratios)), part.rows(kept)


def reference_free(case: Case) -> Iterator[Finding]:
    """Rewards that are β · log-prob: no reference is in them, and none is needed."""
    ratios = []
    for _, part in case.parts():
        for side in ("chosen", "rejected"):
            kept = part.with_all(f"{side}_reward", f"{side}_logps")
            logps = part[f"{side}_logps"][kept]
            ratios += list(part[f"{side}_reward"][kept][logps < 0] / logps[logps < 0])
    if len(ratios) < 2 or not np.median(ratios) > 2e-3:
        return
    beta = float(np.median(ratios))
    if np.percentile(np.abs(np.array(ratios) / beta - 1), 90) < 0.02:
        if case.loss == "sigmoid":  # somebody has said so
            yield sick(
                "reference_free_loss",
                f"The rewards are {beta:.3g} times the log-probs in every row: no "
                "reference is in them, though the loss is said to be DPO's. Then "
                "nothing holds the policy near where it started.",
                experiment="Give the reference, and score one batch before training: "
                "the rewards must be 0 and the loss ln 2.",
            )
            return
        case.loss = case.loss if case.loss in ("orpo", "simpo", "cpo") else "simpo"
        case.beta, case.beta_from = float(f"{beta:.2g}"), "reward / log-prob"
        yield healthy(
            "not_dpo_loss",
            f"The rewards are {beta:.3g} times the log-probs in every row: this is a "
            "method without a reference (ORPO, SimPO, CPO). Its rewards are never 0 "
            "and its loss does not start at ln 2; neither is a fault.",
        )


def other_loss(case: Case) -> Iterator[Finding]:
    """A loss that cannot be DPO's, by its start or by what it stands beside."""
    if case.has("not_dpo_loss", "metric_artifact_loss_scale", "mixed_loss_nll"):
        return
    if case.loss and not case.plain:
        start = start_of(case.loss, case.beta)
        begins = f" It starts at {start:.4g} where policy and reference agree,"
        if case.loss in ("ipo", "sppo") and case.beta_from != "given":
            begins = f"{begins[:-1]} if β is {case.beta:g} ({case.beta_from}),"
        unknown = " Its start depends on the model, or on a setting,"
        begins = begins if math.isfinite(start) else unknown
        yield healthy(
            "not_dpo_loss",
            f"This is not DPO's loss but {case.loss.upper()}'s.{begins} so ln 2 is no "
            "yardstick for it.",
        )
        yield from _another_start(case, start)
        return
    first, rows = loss_at_reference(case)
    for loss in ("kto", "hinge", "ipo", "sppo"):
        start = start_of(loss, case.beta)
        if math.isfinite(first) and near(first, start):
            case.loss = loss
            yield healthy(
                "not_dpo_loss",
                f"With all rewards 0 the loss is {first:.4g}, not ln 2: that is where "
                f"{loss.upper()} starts (β = {case.beta:g}, {case.beta_from}).",
                rows,
                "Read loss_type in the configuration.",
            )
            return
    if case.own:
        yield from _own_logps(case)
    hidden = _hidden_term(case, first, rows)
    if hidden:
        yield hidden
    elif case.exact and not case.own:
        never = list(_never_at_reference(case))
        yield from never or list(_raw_logps(case)) or _too_large(case)


def _another_start(case: Case, start: float) -> Iterator[Finding]:
    """Rewards of 0, and a loss that this one does not have there."""
    first, rows = loss_at_reference(case)
    if case.loss in ("ipo", "sppo") and case.beta_from != "given":
        return
    if math.isfinite(first) and math.isfinite(start) and not near(first, start):
        yield suspicious(
            "inconsistent_metrics",
            f"With all rewards 0 the logged loss is {first:.4g}, and "
            f"{case.loss.upper()}'s is {start:.4g} there: another loss is computed, or "
            "a part of it is not logged, or it is summed over accumulation steps.",
            rows,
            "Read loss_type, β and the accumulation steps in the configuration.",
        )


def _own_logps(case: Case) -> Iterator[Finding]:
    """Log-ratios that are log-probs: the course's methods without a reference."""
    part = case.train
    sides = part.first("chosen_logratio"), part.first("rejected_logratio")
    if max(sides) < -0.5 and not at_reference(part).any():
        case.loss = "orpo"
        yield healthy(
            "not_dpo_loss",
            f"In the first row the log-ratios are {sides[0]:.2f} and {sides[1]:.2f} "
            "nats: without a reference they are log-probs, which are always negative. "
            "A method without a reference (ORPO, SimPO, CPO) logs this; so would a "
            "reference that finds every answer likelier than the policy does.",
            part.rows(part.with_all("chosen_logratio"))[:1],
            "Read the method in the configuration.",
        )


def _hidden_term(case: Case, first: float, rows: tuple[int, ...]) -> Finding | None:
    """Above ln 2 with zero rewards, and no other loss's start: a part not logged."""
    if not (math.isfinite(first) and first > LN2 + 0.02) or case.loss in ("kto", "nll"):
        return None
    return suspicious(
        "mixed_loss_nll",
        f"Where all rewards are 0 the loss is {first:.4g}, {first - LN2:.4g} above "
        "ln 2: it has a part that is not logged. An NLL term on the chosen answers is "
        "the usual one; an auxiliary loss of a mixture of experts, or a loss of raw "
        "log-probs, would look the same in these rows.",
        rows[:5],
        "Read rpo_alpha or loss_weights in the configuration; log the parts of the "
        "loss one by one.",
    )


def _never_at_reference(case: Case) -> Iterator[Finding]:
    """Small negative rewards from row 1 on, with a loss that these cannot have."""
    found = []
    for _, part in case.parts():
        kept = part.with_all("loss", "margin", "chosen_reward", "rejected_reward")
        below = part["loss"] < 0.8 * lowest_loss(part["margin"])
        sides = (part["chosen_reward"] < -0.01) & (part["rejected_reward"] < -0.01)
        if kept.any():
            found.append((part, kept, below & sides & kept))
    total = sum(int(kept.sum()) for _, kept, _ in found)
    broken = sum(int(mask.sum()) for _, _, mask in found)
    if total < 3 or broken < 0.8 * total:
        return
    chosen = np.concatenate([part["chosen_reward"][kept] for part, kept, _ in found])
    if np.ptp(chosen) < 1.5 * abs(np.median(chosen)):
        case.loss = "orpo"
        rows = tuple(sorted(r for part, _, mask in found for r in part.rows(mask)))
        yield healthy(
            "not_dpo_loss",
            "The loss cannot be DPO's: it is far below log(1 + e^−margin), the least "
            "that these margins allow, and both rewards are negative from the first "
            "row on. Rewards like β · mean log-prob, as ORPO and SimPO log them, fit; "
            "they are never 0, so no wrong reference follows from that.",
            rows,
            "Read loss_type in the configuration; score one batch by hand.",
        )


def _too_large(case: Case) -> Iterator[Finding]:
    """A loss many times what the rewards suggest: of another kind, or summed."""
    for word, part in case.parts():
        kept = part.with_all("loss", "margin", "chosen_reward", "rejected_reward")
        odd = kept & (part["loss"] > 2) & (part["loss"] > 4 * part.size + LN2)
        if case.loss not in ("", "sigmoid") or "nll_loss" in part:
            continue
        if odd.sum() < max(1, 0.6 * kept.sum()):
            continue
        at = int(np.flatnonzero(odd)[0])
        start = start_of("ipo", case.beta)
        yield suspicious(
            "not_dpo_loss",
            f"In {word} row {part.numbers[at]} the loss is {part['loss'][at]:.3g} "
            f"beside rewards of {part['chosen_reward'][at]:.2g} and "
            f"{part['rejected_reward'][at]:.2g}: too large for DPO's sigmoid loss of "
            f"such rewards. IPO's loss (which starts at {start:.3g} for β = "
            f"{case.beta:g}), an NLL term, or a sum over accumulation steps fits; "
            "divergence does not follow from it.",
            part.rows(odd)[:8],
            "Read loss_type and the accumulation steps in the configuration.",
        )
        return


def _raw_logps(case: Case) -> Iterator[Finding]:
    """A large loss beside rewards of nearly 0: of raw log-probs, or not of these."""
    for word, part in case.parts():
        kept = part.with_all("loss", "chosen_reward", "rejected_reward")
        odd = kept & (part.size < 0.02) & (part["loss"] > 1.2)
        if case.loss not in ("", "sigmoid") or odd.sum() < max(1, 0.5 * kept.sum()):
            continue
        at = int(np.flatnonzero(odd)[0])
        logps = part["chosen_logps"][at] - part["rejected_logps"][at]
        told = (
            f" The log-probs differ by {logps:.0f} nats." if np.isfinite(logps) else ""
        )
        where = f"In {word} row {part.numbers[at]}"
        yield sick(
            "reference_free_loss",
            f"{where} the loss is {part['loss'][at]:.2f} while the rewards are "
            f"{part['chosen_reward'][at]:.4f} and {part['rejected_reward'][at]:.4f}, "
            "for which DPO's loss is 0.69. The loss is not computed from these "
            "rewards: a reference-free loss of the raw log-probs, driven by length, "
            "fits."
            f"{told} It is no sign that the model diverged.",
            part.rows(odd),
            "Set reference_free to False, give a reference, and score one batch: the "
            "loss must be ln 2 where policy and reference are the same.",
        )
        yield sick(
            "inconsistent_metrics",
            "Loss and rewards can hardly both be right: large rewards of both signs "
            "would have to cancel to the second digit.",
            part.rows(odd),
        )
        return


def smoothed(case: Case) -> Iterator[Finding]:
    """Label smoothing: ε · margin above the plain loss, where all pairs are right."""
    if case.smoothing and case.plain:
        floor = -sum(p * math.log(p) for p in (case.smoothing, 1 - case.smoothing))
        yield healthy(
            "mixed_loss_label_smoothing",
            f"With label smoothing {case.smoothing:g} the loss cannot fall below "
            f"{floor:.3f}: a plateau there is its floor.",
        )
        return
    if not case.plain or case.scale != 1 or case.nll_weight:
        return
    for _, part in case.parts():
        margin, loss = part["margin"], case.cleaned(part)
        kept = part.with_all("margin", "loss") & (margin > 2) & (loss > 0.08)
        kept &= np.nan_to_num(part["accuracy"], nan=1.0) > 0.97
        if kept.sum() < 6:
            continue
        share = (loss - softplus(-margin))[kept] / margin[kept]
        middle = float(np.median(share))
        scatter = np.percentile(np.abs(share - middle), 80)
        if 0.03 < middle < 0.5 and scatter < 0.12 * middle:
            case.smoothing = float(f"{middle:.1g}")
            yield healthy(
                "mixed_loss_label_smoothing",
                "Nearly all pairs are right, and yet the loss stays above "
                f"log(1 + e^−margin) by {middle:.2g} times the margin in "
                f"{int(kept.sum())} rows: label smoothing of about {middle:.1g} does "
                "that.",
                part.rows(kept),
                "Read label_smoothing in the configuration.",
            )
            return


KINDS = (mixed_loss, loss_scale, reference_free, other_loss, smoothed)
