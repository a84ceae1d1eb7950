"""How far the policy went, and its reference with it: displaced answers, collapse."""

import math
from collections.abc import Iterator

import numpy as np

from course_lib.diagnosis.case import REFERENCE_FREE, Case
from course_lib.diagnosis.finding import Finding, healthy, sick, suspicious

__all__ = ["collapsed", "displaced", "lengths", "moving_reference"]


def moving_reference(case: Case) -> Iterator[Finding]:
    """Rewards that fall back to 0 while the policy goes on.

    On the same held-out pairs Δreward = β Δlog-prob, whatever β is, if the reference
    stays. Here no β explains even half of what the rewards do.
    """
    part = case.eval
    names = ("chosen_reward", "rejected_reward", "chosen_logps", "rejected_logps")
    kept = part.with_all(*names)
    excused = case.loss in REFERENCE_FREE or case.has("not_dpo_loss", "bf16_rounding")
    if kept.sum() < 4 or excused:
        return
    rewards = np.stack([part[name][kept] for name in names[:2]])  # (sides, rows)
    logps = np.stack([part[name][kept] for name in names[2:]])
    moved, earned = np.diff(logps), np.diff(rewards)
    if not (moved < 0).all() or not (logps[:, 0] - logps[:, -1] > 1).all():
        return
    size = np.abs(rewards)
    falls_back = (size[:, -1] < 0.5 * size.max(1)).all() and earned.any()
    beta = (moved * earned).sum() / (moved**2).sum()  # of least squares
    if not falls_back or ((earned - beta * moved) ** 2).sum() < 0.5 * (earned**2).sum():
        return
    rows, nats = part.rows(kept), logps[0, -1] - logps[0, 0]
    most = int(np.argmax(size[0]))
    yield suspicious(
        "moving_reference",
        f"From evaluation to evaluation the chosen answers lose {-nats:.1f} nats in "
        f"all, and yet their reward, {rewards[0, most]:.3g} in row {rows[most]}, comes "
        f"back to {rewards[0, -1]:.3g}. On the same pairs a reward changes by β times "
        "the change of its log-prob, and no β fits these rows: the reference follows "
        "the policy. Evaluations on other pairs each time could look like this too.",
        rows,
        "Print one weight of policy and reference before and after some steps; measure "
        "KL to the first reference.",
    )


def displaced(case: Case) -> Iterator[Finding]:
    """Likelihood displacement: the chosen answers have become less likely."""
    part = case.best()
    if case.loss in REFERENCE_FREE or case.has("wrong_reference"):
        return
    reward, other = part.late("chosen_reward"), part.late("rejected_reward")
    if not np.isfinite(reward) or reward >= 0:
        return
    margin = reward - other
    nats = reward / case.beta
    before = part.late("chosen_logps") - nats
    share = nats / before if before < 0 else math.nan
    rows = part.rows(part.with_all("chosen_reward"))[-3:]
    short = case.own
    severe = nats <= (-2.0 if short else -20.0) and (reward <= -1 or short)
    mild = nats <= (-0.5 if short else -5.0)
    if not (severe or mild) or (not short and len(part) < 2 and not severe):
        return
    of = f", {100 * share:.0f} % of their log-prob" if np.isfinite(share) else ""
    fall = (
        f"The chosen answers have lost {-nats:.0f} nats{of} "
        f"(reward {reward:.2f} at β = {case.beta:g}, {case.beta_from}), the rejected "
        f"ones {-other / case.beta:.0f}"
        if not short
        else f"The chosen answers have lost {-nats:.1f} nats, the rejected ones "
        f"{-other / case.beta:.1f}"
    )
    if severe and margin > 0:
        yield suspicious(
            "likelihood_displacement",
            f"{fall}. The margin is above 0, and yet the answers that the model is "
            "taught to prefer have become less likely; where the probability went, "
            "this log cannot say.",
            rows,
            "Sample from the policy and read; add an NLL term on the chosen answers, "
            "or raise β.",
        )
    elif mild:
        yield healthy(
            "likelihood_displacement_mild",
            f"{fall}: usual for DPO, and worth watching.",
            rows,
            "Keep logging logps/chosen.",
        )


def collapsed(case: Case) -> Iterator[Finding]:
    """A policy so far away that it is no language model any more."""
    part = case.best()
    if case.loss in REFERENCE_FREE or case.has("wrong_reference") or case.own:
        return
    chosen, rejected = part.late("chosen_reward"), part.late("rejected_reward")
    if not np.isfinite(chosen):
        return
    nats = chosen / case.beta
    before = part.late("chosen_logps") - nats
    gone = nats < -150 and not nats > 0.3 * before
    gone |= before < -20 and nats < 0.6 * before
    both = chosen < -3 and rejected < -3
    both = both and chosen + rejected < -8 * abs(chosen - rejected)
    known = case.train.known("entropy")
    flat = len(known) > 5 and np.median(known[-3:]) < 0.1 * np.median(known[:3])
    if gone or both or flat:
        told = f" The entropy falls to {known[-1]:.2g}." if flat else ""
        yield sick(
            "model_collapse",
            f"The chosen answers have moved by {nats:.0f} nats at β = {case.beta:g} "
            f"({case.beta_from}), the rejected ones by {rejected / case.beta:.0f}: so "
            f"far away the policy hardly writes text any more.{told}",
            part.rows(part.with_all("chosen_reward"))[-3:],
            "Sample ten answers from the policy and read them.",
        )


def lengths(case: Case) -> Iterator[Finding]:
    """Answers that grow, or sides of very different length."""
    part = case.train
    values = part.known("length")
    grown = np.median(values[-3:]) / np.median(values[:3]) if len(values) > 5 else 1
    ratio = part.late("chosen_length") / max(part.late("rejected_length"), 1e-9)
    if grown > 1.5:
        yield suspicious(
            "length_confound",
            f"The answers become {grown:.1f} times as long in the run: part of what is "
            "learned is length.",
            part.rows(part.with_all("length"))[-3:],
            "Compare win rates at equal length.",
        )
    elif max(ratio, 1 / max(ratio, 1e-9)) > 1.5:  # False if either is not logged
        yield suspicious(
            "length_confound",
            f"The chosen answers are {ratio:.2f} times as long as the rejected ones: "
            "sums of log-probs, and so rewards, follow the length.",
            part.rows(part.with_all("chosen_length"))[-3:],
            "Compare pairs of equal length; sort the pairs by length alone.",
        )
    else:
        yield from _unequal_sides(case)


def _unequal_sides(case: Case) -> Iterator[Finding]:
    """Log-probs that say that one side is much longer, as far as they can."""
    part = case.best()
    both = part.with_all("chosen_logps", "rejected_logps")
    chosen, other = case.ref_logps(part)
    both &= (chosen < -1) & (other < -1)
    if both.sum() < (2 if part is case.eval else 4) or case.loss in REFERENCE_FREE:
        return
    ratio = np.log2(chosen[both] / other[both])
    middle = float(np.median(ratio))
    if abs(middle) > 1 and np.mean(ratio * np.sign(middle) > 0.5) > 0.9:
        longer, times = ("chosen", middle) if middle > 0 else ("rejected", -middle)
        yield healthy(
            "length_confound",
            f"Under the reference the {longer} answers are {2**times:.1f} times as far "
            "below 0 in log-prob as the others, in row after row: they are longer, or "
            "less likely a token. If longer, part of what is learned can be length; "
            "the log has no lengths to decide it.",
            part.rows(both)[-3:],
            "Log the lengths of both sides; compare accuracy on pairs of equal length.",
        )
