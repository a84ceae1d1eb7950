"""What remains when nothing is wrong: healthy, a healthy start, or too little."""

import math
from collections.abc import Iterator

import numpy as np

from course_lib.diagnosis.case import LN2, REFERENCE_FREE, Case, start_of
from course_lib.diagnosis.finding import FAULTY, Finding, healthy, suspicious
from course_lib.diagnosis.kinds import at_reference, loss_at_reference, near
from course_lib.diagnosis.laws import pairs_a_row
from course_lib.diagnosis.runlog import Part, late

__all__ = ["what_remains"]


def what_remains(case: Case) -> Iterator[Finding]:
    """Is what remains a healthy run, a healthy start, or too little to say?"""
    if any(f.status in FAULTY for f in case.findings):
        return
    if not case.train and not case.eval:
        return
    part = case.best()
    if "loss" not in part and "loss" in case.train:
        part = case.train
    large = _large_loss(case)
    if large:
        yield large
        return
    loss = late(case.cleaned(part))
    share, margin = part.late("accuracy"), part.late("margin")
    start = abs(loss_at_reference(case)[0] - LN2) < 0.004
    if case.loss in REFERENCE_FREE or (case.loss and not case.plain):
        if "loss" in part:
            yield _other_course(case, part)
        else:
            yield _too_early(case, part, margin, share)
        return
    learns = not share <= 0.54 and not margin <= 0.01  # what is NaN was not logged
    learns &= loss < 0.688 if math.isfinite(loss) else not math.isnan(share)
    one = len(part) == 1 and part is case.eval  # a mean over all held-out pairs
    if learns and (_is_long(case) or (one and loss < 0.66)):
        yield _healthy(case, part, loss, share, margin)
    elif start or (learns and len(part) > 2):
        yield _healthy_start(case, part, start, loss)
    else:
        yield _too_early(case, part, margin, share)


def _large_loss(case: Case) -> Finding | None:
    """A loss far above ln 2 and nothing beside it that could explain it."""
    part = case.train if "loss" in case.train else case.eval
    loss, first = part.late("loss"), part.first("loss")
    explained = "chosen_reward" in part or "nll_loss" in part
    if case.loss not in ("", "sigmoid") or explained or not first > 1.2:
        return None
    falls = f"falls from {first:.3g} to" if loss < first else "is"
    return suspicious(
        "metric_artifact_loss_scale",
        f"The loss {falls} {loss:.3g}, and DPO's sigmoid loss starts at 0.69. A loss "
        f"that is summed over accumulation steps (here about {first / LN2:.0f} of "
        "them) looks like this, as in transformers 4.46 to 4.48, and training itself "
        "is then in order. Without rewards in the log another loss (IPO starts at 25, "
        "an NLL term adds to it) cannot be excluded.",
        part.rows(part.with_all("loss"))[:3],
        "Divide the loss by the accumulation steps: does it start at 0.69? Log the "
        "rewards; upgrade.",
    )


def _is_long(case: Case) -> bool:
    enough = case.progress() >= (40 if case.own else 150) or len(case.eval) >= 3
    return enough or case.epochs() >= 0.2


def _healthy(
    case: Case, part: Part, loss: float, share: float, margin: float
) -> Finding:
    told = [f"loss {loss:.3f}"] if math.isfinite(loss) else []
    told += [f"accuracy {share:.2f}"] if math.isfinite(share) else []
    told += [f"margin {margin:.2f}"] if math.isfinite(margin) else []
    what = "held-out pairs" if part is case.eval else "training pairs"
    if math.isnan(margin):
        limit = "Without rewards in the log, what became of the chosen answers is open."
    else:
        limit = "How far that holds on other pairs, this log does not say."
    limit = "" if part is case.eval and math.isfinite(margin) else f" {limit}"
    chosen = part.late("chosen_reward")
    drift = f" The chosen reward is {chosen:.2f}." if math.isfinite(chosen) else ""
    last = case.cleaned(part)[part.with_all("loss")][-1:]
    if len(last) and last[0] > max(LN2, 2 * loss) + 0.3:
        drift += f" The last row's loss is {last[0]:.2f}, though: look at what came "
        drift += "then."
    return healthy(
        "healthy",
        f"Nothing is wrong as far as this log goes: at the end, on {what}, "
        f"{', '.join(told)}.{drift}{limit}",
        part.rows(part.with_all("loss"))[-3:],
    )


def _healthy_start(case: Case, part: Part, start: bool, loss: float) -> Finding:
    if start:
        begins = "Where all rewards are 0 the preference loss is ln 2, as it must be: "
        begins += "policy and reference agree. An accuracy of 0 is right there, "
        begins += "because a tie is not above 0."
    elif math.isnan(loss):
        begins = "The accuracy is that of a run that begins to learn."
    else:
        begins = "The loss begins to fall below ln 2 and the margins are above 0."
    if start and at_reference(case.train).sum() > 1:
        begins += " Zeros in the first rows are usual: a LoRA's first update and a "
        begins += "warm-up move little."
    return Finding(
        "healthy",
        f"{begins} A loss a little above ln 2 in early rows is noise.{_noise(case)} It "
        "is too early to say more.",
        part.rows(part.with_all("loss"))[:7],
        "Go on for 100 steps and look again.",
        status="healthy_start",
    )


def _other_course(case: Case, part: Part) -> Finding:
    """A method with another loss: its own first row is the yardstick."""
    losses, first, end = part.known("loss"), part.first("loss"), part.late("loss")
    before, after = part.first("margin"), part.late("margin")
    start = start_of(case.loss, case.beta)
    falls = len(losses) > 3 and np.median(losses[-2:]) < 0.9 * first
    if case.loss in REFERENCE_FREE:
        falls = falls and not after - before <= max(0.1, 0.5 * abs(before))
    else:  # its start is known, and the margin there is 0
        falls = (falls or end < 0.97 * start) and not after < 0.05
    if _is_long(case) and end > 1.1 * max(first, start):
        return suspicious(
            "lr_too_high",
            f"The loss rises from {first:.3g} to {end:.3g}: the longer this run "
            "trains, the worse it does what its loss asks for.",
            part.rows(part.with_all("loss"))[-3:],
            "Repeat the first steps with a tenth of the rate, and read the labels.",
        )
    if falls and _is_long(case):
        begins = f"falls from {first:.3g} to" if end < first else "ends at"
        margin = f" and the margin is {after:.2g} at the end"
        return healthy(
            "healthy",
            f"The loss {begins} {end:.3g}{margin if math.isfinite(after) else ''}.",
            part.rows(part.with_all("loss"))[-3:],
        )
    return _flat_course(case, part, start)


def _flat_course(case: Case, part: Part, start: float) -> Finding:
    """A loss that neither falls nor rises clearly."""
    if near(loss_at_reference(case)[0], start):
        more = "It is too early to say more."
        if _is_long(case):
            more = "Since then it has not fallen clearly."
        return Finding(
            "healthy",
            f"The start is right for this loss. {more}",
            part.rows(part.with_all("loss"))[:3],
            "Go on for 100 steps and look again.",
            status="healthy_start",
        )
    return Finding(
        "too_early",
        "The loss does not fall clearly: these rows show neither that it learns nor "
        f"that it does not.{_noise(case)}",
        part.rows(part.with_all("loss")),
        "Run longer, and evaluate on the same 50 pairs or more each time.",
    )


def _noise(case: Case) -> str:
    """How coarse the training accuracies are, if they tell."""
    n = pairs_a_row(case.train["accuracy"])
    if n is None or n > 40:
        return ""
    return (
        f" The accuracies are multiples of 1/{n}: if a row has {n} pairs, chance alone "
        f"moves its accuracy by ± {0.5 / math.sqrt(n):.2f}."
    )


def _too_early(case: Case, part: Part, margin: float, share: float) -> Finding:
    few = len(part)
    seen = ["There is 1 row" if few == 1 else f"There are {few} rows"]
    seen += [f"a margin of {margin:.3g}"] if math.isfinite(margin) else []
    seen += [f"an accuracy of {share:.2f}"] if math.isfinite(share) else []
    if few == 1 and abs(margin) > 0.1:
        return Finding(
            "too_early",
            f"{', '.join(seen)}. One row shows where a run was, not where it goes.",
            part.rows(part.with_all("loss")),
            "Look at the rows before and after it, the first one above all.",
        )
    shared = " If an evaluation repeats the same numbers each time with "
    shared += "ref_model=None, policy and reference share their weights."
    return Finding(
        "too_early",
        f"{', '.join(seen)}: that shows neither that the run learns nor that it is "
        f"broken.{_noise(case)}{shared if abs(margin) < 0.02 else ''}",
        part.rows(part.with_all("loss")),
        "Look at 100 steps and more, and evaluate the same pairs each time.",
    )
