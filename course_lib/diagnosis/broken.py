"""Runs that do not work at all: NaN, nothing moves, a foreign reference or code."""

import math
from collections.abc import Iterator

import numpy as np

from course_lib.diagnosis.case import LN2, REFERENCE_FREE, Case
from course_lib.diagnosis.drift import moving_reference
from course_lib.diagnosis.finding import Finding, sick, suspicious
from course_lib.diagnosis.kinds import at_reference

__all__ = ["BROKEN", "not_numbers", "zero_beta"]

LOOK_AT_GRADIENTS = (
    "Print how many parameters have requires_grad, and how far one trained matrix "
    "moves in a step."
)


def not_numbers(case: Case) -> Iterator[Finding]:
    """NaN: of a mean over nothing, or of the forward pass."""
    for word, part in case.parts():
        names = ("loss", "chosen_reward", "rejected_reward", "margin")
        names += ("chosen_logps", "rejected_logps", "grad_norm")
        bad = {
            name: part.logged[name] & ~np.isfinite(part[name])
            for name in names
            if name in part.logged
        }
        norm = bad.pop("grad_norm", np.zeros(len(part), dtype=bool))
        any_bad = np.any([*bad.values()], axis=0) if bad else norm & False
        if any_bad.any():
            of_kto = _kto_nan(case, part, any_bad, norm)
            yield of_kto or _precision_nan(word, part, any_bad)
            return
        nothing = norm & (part["loss"] == 0)
        if nothing.any():
            yield sick(
                "nan_precision",
                f"The loss is exactly 0 in {word} rows whose gradient norm is NaN: the "
                "NaN was filtered out of the loss, so 0 does not mean a perfect fit.",
                part.rows(nothing),
                "Run one batch forward in float32 and find the first layer with NaN.",
            )
            return
        still = np.abs(part["loss"] - LN2) < 0.002
        zeros = at_reference(part) | (~part.with_all("chosen_reward") & still)
        if norm.sum() > 2 and norm[-1] and zeros[norm].all():
            yield sick(
                "nan_precision",
                f"The gradient norm is NaN or infinite in {norm.sum()} {word} rows, "
                "and the policy has not left its reference: every step is skipped.",
                part.rows(norm),
                "Run one batch forward and backward in float32 or bfloat16, and find "
                "the first layer with NaN.",
            )
            return


def _kto_nan(case: Case, part, bad: np.ndarray, norm: np.ndarray) -> Finding | None:
    """A mean over nothing, which no other loss has."""
    sides = ("chosen_reward", "rejected_reward")
    known = [np.isfinite(part[name]) for name in sides]
    after = slice(int(np.argmax(bad)) + 1, None)
    recovers = (~bad | known[0] | known[1])[after].any()
    one_side = {*sides} <= {*part.logged} and (known[0] != known[1]).any()
    kto = case.loss == "kto" or (case.loss == "" and "kl" in part)
    sound = not norm.any() and "grad_norm" in part
    unsaid = not case.loss and abs(part.first("loss") - LN2) > 0.02
    by_rows = one_side and recovers and sound and unsaid
    if not (by_rows or (kto and (one_side or recovers))):
        return None
    start = part.first("loss")
    return sick(
        "kto_empty_class_nan",
        "The NaN is a mean over nothing: in such rows a batch had no desirable or "
        "no undesirable answer, so that side's mean is 0/0. "
        + ("The gradient norm stays finite, and " if sound else "")
        + "finite numbers return in later rows, so the weights are sound. This is "
        f"KTO: its loss starts at a weighted sum (here {start:.2f}), not at ln 2.",
        part.rows(bad),
        "Use a larger batch per device, or balance the two classes in each batch; "
        "later versions take means that skip NaN.",
    )


def _precision_nan(word: str, part, bad: np.ndarray) -> Finding:
    loss, rows = part["loss"][bad], part.rows(bad)
    hidden = np.isfinite(loss).any() and np.nanmin(np.abs(loss)) == 0
    zero = "A loss of 0.0 stands beside them: the NaN was filtered out of the loss, "
    zero += "so that 0 does not mean a perfect fit. "
    first, last = int(np.argmax(bad)), int(np.flatnonzero(bad)[-1])
    before = part.with_all("loss")[:first].sum()
    again = int(part.with_all("loss")[last + 1 :].sum())
    if again > 2:
        when = f"in {int(bad.sum())} {word} rows, the first of them row {rows[0]}, and "
        when += f"{again} sound rows follow: single batches overflowed"
    elif before:
        when = f"from {word} row {rows[0]} on, after {before} sound rows: the run "
        when += "diverged, or one batch overflowed"
    else:
        when = f"from the first {word} row on: the forward pass itself gives NaN"
    return sick(
        "nan_precision",
        f"Rewards, log-probs or loss are NaN {when}. {zero if hidden else ''}"
        "Which operation makes it, the log cannot say.",
        rows,
        "Run one batch forward in float32, find the first layer with NaN; with "
        "gradient checkpointing, call enable_input_require_grads.",
    )


def zero_beta(case: Case) -> Iterator[Finding]:
    """A β of 0, as somebody says or the evaluations tell."""
    if case.beta == 0:
        yield sick(
            "beta_zero",
            "β is 0. Then every reward is 0 and the loss is ln 2 whatever the model "
            "does, and so is the gradient: nothing can be learned. Nothing else need "
            "be wrong.",
            tuple(range(1, 1 + len(case.log.rows)))[:5],
            "Read beta in the configuration; set it to 0.1.",
        )


def same_sides(case: Case) -> Iterator[Finding]:
    """Log-probs that are equal on both sides, row by row: one text twice."""
    for word, part in case.parts():
        kept = part.with_all("chosen_logps", "rejected_logps")
        same = kept & (part["chosen_logps"] == part["rejected_logps"])
        if kept.sum() > 1 and same.sum() > 0.9 * kept.sum():
            yield sick(
                "no_signal",
                f"The log-probs of chosen and rejected answers are equal in "
                f"{same.sum()} of {kept.sum()} {word} rows: both sides are the same "
                "text. A prompt that fills max_length or a column read twice does "
                "this.",
                part.rows(same)[:8],
                "Decode three pairs as the model sees them.",
            )
            return


def unchanged(case: Case) -> Iterator[Finding]:
    """Evaluations that are the same number to the last digit."""
    part = case.eval
    names = [n for n in ("loss", "chosen_logps", "chosen_reward") if n in part]
    whole = part.with_all(*names) if names else np.zeros(len(part), dtype=bool)
    columns = [part[name][whole] for name in names]
    if whole.sum() < 3 or len(names) < 2 or at_reference(part).all():
        return
    if all(np.ptp(column) == 0 for column in columns):
        yield sick(
            "frozen_policy",
            f"{int(whole.sum())} evaluations give the same numbers to the last digit: "
            "the model that is evaluated does not change. It is frozen, or it is not "
            "the one that is trained.",
            part.rows(whole),
            LOOK_AT_GRADIENTS,
        )


def stuck(case: Case) -> Iterator[Finding]:
    """Rewards exactly 0 in every row after the first steps."""
    for word, part in case.parts():
        kept = part.with_all("chosen_reward", "rejected_reward")
        zero = at_reference(part)
        if not kept.any() or not zero[kept].all() or not _late(case, part, zero, word):
            continue
        if np.nanmax(np.append(part["lr"][kept], -1)) == 0:
            yield sick(
                "frozen_policy",
                "Nothing moves because the learning rate is 0 in every row.",
                part.rows(zero),
                "Look at the schedule: a warm-up longer than the run ends like this.",
            )
            return
        yield from _why_stuck(case, word, part, zero)
        return
    yield from _loss_alone(case)


def _late(case: Case, part, zero: np.ndarray, word: str) -> bool:
    """Is the run beyond the steps in which a reward of 0 is no surprise?

    The first update of a LoRA moves nothing yet, a warm-up moves little, and a 16-bit
    log-prob hides small moves: so the rows must be many or the steps be far.
    """
    step = np.nanmax(np.append(part["step"][zero], 0))
    few = 2 if word == "evaluation" else 4
    norm = part["grad_norm"][zero]
    if zero.sum() >= 2 and np.isfinite(norm).all() and not norm.any():
        return True  # at the reference the gradient is not 0 unless nothing can move
    blurred = case.has("bf16_rounding")
    if blurred and zero.sum() < 20 and step < 100:
        return False
    return zero.sum() >= few or (step >= 10 and zero.sum() >= 2)


def _why_stuck(case: Case, word: str, part, zero: np.ndarray) -> Iterator[Finding]:
    rows, trained = part.rows(zero), np.abs(case.train["chosen_reward"])
    norm = part["grad_norm"][zero & part.with_all("grad_norm")]
    logps = part["chosen_logps"][zero & part.with_all("chosen_logps")]
    same_pairs = word == "evaluation" and len(logps) > 1
    moves = (len(norm) and np.median(norm) > 0) or (same_pairs and np.ptp(logps) > 0.02)
    seen = f"All rewards are exactly 0 in {len(rows)} {word} rows"
    if "lr" in part:
        seen += f" (row {rows[0]} to {rows[-1]}) with a learning rate above 0"
    small = "A small learning rate gives small rewards, not exact zeros."
    if same_pairs and np.nanmax(np.append(trained, 0)) > 0.01:
        yield _same_in_evaluation(seen, rows)
        return
    if moves:
        why = "the gradient norm is not 0" if len(norm) else "the log-probs change"
        yield sick(
            "ref_equals_policy",
            f"{seen}, and yet {why}: the policy moves and its reference with it. They "
            f"are the same object, or share the weights that are trained. {small}",
            rows,
            "Compare id(policy) and id(reference) and one trained tensor of both; give "
            "the reference a copy of its own.",
        )
        return
    beta = also = ""
    if case.beta_from != "given":
        beta = " β = 0 in the configuration does it too."
    if not len(norm) and not same_pairs:
        also = " So does a reference that is the policy object itself."
    yield sick(
        "frozen_policy",
        f"{seen}: the policy never leaves the reference. {small} An adapter loaded for "
        "inference (is_trainable=False), or no trainable parameter, is the usual "
        f"cause.{beta}{also}",
        rows,
        LOOK_AT_GRADIENTS + (" Read beta." if beta else ""),
    )
    if beta and "chosen_logps" not in part:
        yield sick("beta_zero", "", rows)


def _same_in_evaluation(seen: str, rows: tuple[int, ...]) -> Finding:
    return sick(
        "ref_equals_policy",
        f"{seen}, while the training rewards have moved: in the evaluation policy and "
        "reference are the same weights.",
        rows,
        "Evaluate one batch by hand with both; with an adapter, see which one is "
        "switched off for the reference.",
    )


def _loss_alone(case: Case) -> Iterator[Finding]:
    """Without rewards: a loss that is the same number in many rows."""
    part = case.train
    if "chosen_reward" in part or "margin" in part or "loss" not in part:
        return
    loss = part.known("loss")
    flat = len(loss) >= 4 and case.progress() >= 10 and np.ptp(loss) < 2e-4
    if flat and abs(np.median(loss) - LN2) < 0.003:
        yield sick(
            "frozen_policy",
            f"The loss is {np.median(loss):.4f} = ln 2 in all {len(loss)} rows: "
            "policy and reference stay the same. A frozen policy, β = 0 and a "
            "reference that is the policy all look like this without rewards in the "
            "log.",
            part.rows(part.with_all("loss")),
            LOOK_AT_GRADIENTS + " Read beta. Log the rewards.",
        )


def wrong_start(case: Case) -> Iterator[Finding]:
    """Rewards that are large before the policy can have moved."""
    part = case.train
    kept = part.with_all("chosen_reward", "rejected_reward")
    if not kept.any() or case.loss in REFERENCE_FREE:
        return
    first = int(np.argmax(kept))
    chosen, rejected = part["chosen_reward"][first], part["rejected_reward"][first]
    size, row = max(abs(chosen), abs(rejected)), int(part.numbers[first])
    step, rates = part["step"][first], part.known("lr")
    if step <= 1 and size > (1e-4 if case.own else 0.05):
        yield _foreign(case, row, chosen, rejected, "before any update")
        return
    epoch = part["epoch"][first]
    early = not case.own and (step <= 20 if np.isfinite(step) else epoch <= 0.03)
    warming = len(rates) > 1 and part["lr"][first] < 0.55 * np.max(rates)
    warming = warming and early and not rates[0] > rates[1]
    if abs(chosen + rejected) < 2 * max(1, abs(chosen - rejected)):
        return  # the two sides part: that can be learned, if fast
    common = 0.5 * np.abs(part["chosen_reward"] + part["rejected_reward"])[kept]
    drifted = len(common) > 3 and common[0] > 0.4 * np.median(common[:6])
    if size >= 1 and early and ((warming and drifted) or size >= 5):
        yield _foreign(case, row, chosen, rejected, "at the start of the warm-up")


def _foreign(
    case: Case, row: int, chosen: float, rejected: float, when: str
) -> Finding:
    nats = max(abs(chosen), abs(rejected)) / case.beta
    large = nats >= (0.1 if case.own else 5)
    why = (
        "Policy and reference are not the same model: another checkpoint, another "
        "size, an adapter on one of them, or another tokenizer or template."
        if large
        else "Policy and reference differ a little: dropout left on, another dtype, or "
        "another padding for one of them."
    )
    return Finding(
        "wrong_reference",
        f"The rewards are {chosen:.3g} and {rejected:.3g} in row {row}, {when}, where "
        f"they must be 0 (that is {nats:.3g} nats at β = {case.beta:g}, "
        f"{case.beta_from}). {why} More steps will not fix it.",
        (row,),
        "Score eight pairs with policy and reference before training: the log-probs "
        "must be equal. Load the reference from the checkpoint that training starts "
        "from.",
        status="sick" if large else "suspicious",
    )


def two_codes(case: Case) -> Iterator[Finding]:
    """Two runs in a log that start alike, with gradients of another size."""
    norm = case.train.first("grad_norm")
    loss = case.train.first("loss")
    for other in case.log.others:
        theirs = [row["grad_norm"] for row in other if "grad_norm" in row]
        begun = [row["loss"] for row in other if "loss" in row]
        if not theirs or not begun or not norm or not math.isfinite(norm):
            continue
        ratio = max(theirs[0] / norm, norm / theirs[0]) if theirs[0] else 1.0
        if abs(begun[0] - loss) < 0.02 and ratio > 3:
            names = [str(r[0].get("run", "")) for r in (case.log.rows, other)]
            called = f" ({' and '.join(names)})" if all(names) else ""
            yield suspicious(
                "implementation_mismatch",
                f"Two runs{called} start with the same loss ({loss:.4f} and "
                f"{begun[0]:.4f}) and with gradient norms of {norm:.1f} and "
                f"{theirs[0]:.1f}, {ratio:.1f} times apart. If model and data are the "
                "same, the two do not compute the same gradient.",
                case.train.rows(case.train.with_all("grad_norm"))[:1],
                "Compare the log-probs and the gradient of one batch on both paths.",
            )
            return


BROKEN = (same_sides, stuck, unchanged, wrong_start, moving_reference, two_codes)
