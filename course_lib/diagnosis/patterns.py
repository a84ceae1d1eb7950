"""Patterns: what curves of a run that works, more or less, say about it.

Unlike the laws they can be wrong, so each names what it was seen in, and none says more
than "this is how such a run looks".
"""

import math
from collections.abc import Iterator

import numpy as np

from course_lib.diagnosis.case import LN2, REFERENCE_FREE, Case, softplus, start_of
from course_lib.diagnosis.drift import collapsed, displaced, lengths
from course_lib.diagnosis.finding import Finding, sick, suspicious
from course_lib.diagnosis.kinds import at_reference, loss_at_reference, near
from course_lib.diagnosis.laws import pairs_a_row
from course_lib.diagnosis.runlog import Part

__all__ = ["PATTERNS"]

SORT_PAIRS = (
    "Sort ten pairs by hand, and let a classifier on length and first token try."
)


def fast(case: Case) -> Iterator[Finding]:
    """Rewards that jump within the first updates of a run that started right."""
    part = case.train
    zero = np.flatnonzero(at_reference(part))
    if case.own or not len(zero) or case.loss in REFERENCE_FREE:
        return
    last = int(zero[-1])
    later = np.flatnonzero(part.with_all("chosen_reward", "rejected_reward"))
    later = later[later > last]
    if last > 3 or not len(later):
        return
    at = int(later[0])
    apart = part["step"][at] - part["step"][last]
    chosen, rejected = part["chosen_reward"][at], part["rejected_reward"][at]
    size = part.size[at]
    common, margin = abs(chosen + rejected) / 2, chosen - rejected
    # a little later it takes more: both sides far off, and a loss that is paid for it
    astray = common > max(1, 4 * abs(margin)) and part["loss"][at] > LN2 + 0.05
    if np.isfinite(apart) and apart > (10 if astray else 5):
        return
    if size < (0.5 if np.isfinite(apart) else 0.9):
        return
    steps = int(apart) if np.isfinite(apart) else 0
    within = {0: "from one row to the next", 1: "in one step"}.get(
        steps, f"in {steps} steps"
    )
    due = LN2 if case.plain else start_of(case.loss, case.beta)
    right = near(loss_at_reference(case)[0], due)
    start = "The start is right. Then the" if right else "The"
    outcome = "; whether it stays stable, these rows cannot say."
    together = common > abs(margin)
    if together:
        outcome = ", and both sides move together more than they part: the step is too "
        outcome += "large for a stable run."
    yield Finding(
        "too_fast",
        f"{start} rewards go from 0 to {chosen:.3g} and {rejected:.3g} {within}, up to "
        f"{size / case.beta:.3g} nats at β = {case.beta:g} ({case.beta_from}). That is "
        f"very fast{outcome}",
        part.rows([last, at]),
        "Repeat the first 20 steps with a tenth of the learning rate.",
        status="suspicious" if together else "healthy_start",
    )


def rate(case: Case) -> Iterator[Finding]:
    """Steps that are too large: a loss above ln 2 early, spikes, or a late rise."""
    part = case.train
    loss = case.cleaned(part)
    kept = np.isfinite(loss)
    if not case.plain or not kept.any() or case.has("wrong_reference"):
        return
    if case.has("reference_free_loss", "inconsistent_metrics"):
        return
    first = int(np.argmax(kept))
    size = part.size[first]
    fits = loss[first] < LN2 + 0.5 + 2 * size  # these rewards can make it
    if loss[first] > 1.2 * LN2 and size >= 0.5 and fits:
        norm = part["grad_norm"][first]
        told = f", gradient norm {norm:.0f}" if np.isfinite(norm) else ""
        yield suspicious(
            "lr_too_high",
            f"Row {part.numbers[first]} has a loss of {loss[first]:.2f}, above ln 2, "
            f"and rewards of {part['chosen_reward'][first]:.2f} and "
            f"{part['rejected_reward'][first]:.2f}{told}: a large move that does not "
            "follow the preferences. Too large a step at full rate without warm-up "
            "does this; another model as the reference would look the same in one row.",
            part.rows([first]),
            "Score eight pairs before training (rewards must be 0), then warm up over "
            "10 % of the steps with a tenth of the learning rate.",
        )
        return
    grouped = _grouped(loss[kept], part.numbers[kept], part["accuracy"])
    yield from _early_rise(*grouped)
    yield from _spikes(*grouped)


def _grouped(
    loss: np.ndarray, numbers: np.ndarray, shares: np.ndarray, pairs: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Means over rows that hold `pairs` pairs together: one pair's loss may be huge."""
    known = shares[np.isfinite(shares)]
    single = len(known) > 7 and bool(np.isin(known, (0.0, 1.0)).all())
    each = 1 if single else pairs_a_row(shares) or pairs
    many = max(1, -(-pairs // each))
    whole = len(loss) // many * many
    means = loss[:whole].reshape(-1, many).mean(1)
    return means, numbers[:whole].reshape(-1, many)[:, 0]


def _early_rise(values: np.ndarray, numbers: np.ndarray) -> Iterator[Finding]:
    """A loss that climbs from ln 2 for several rows before it falls."""
    after = values[1:4]
    if len(after) < 3 or abs(values[0] - LN2) > 0.03:
        return
    if after.min() > LN2 + 0.02 and after.mean() > LN2 + 0.08:
        yield suspicious(
            "lr_too_high",
            f"From ln 2 the loss climbs to {after.max():.2f} and stays above it for "
            "three rows: the first steps went too far"
            + (" and were taken back." if values[-1] < after.min() else "."),
            tuple(map(int, numbers[1:4])),
            "Repeat the first steps with a tenth of the learning rate, or warm up.",
        )


def _spikes(values: np.ndarray, numbers: np.ndarray) -> Iterator[Finding]:
    """A training loss that ends above its start, or jumps."""
    if len(values) < 8:
        return
    middle = np.median(values)
    spikes = values > max(1.3, 4 * middle)
    late = float(np.median(values[-max(3, len(values) // 5) :]))
    if late > LN2 + 0.12 and values[: max(2, len(values) // 10)].min() < LN2 + 0.02:
        yield sick(
            "lr_too_high",
            f"The training loss ends at {late:.2f}, above the ln 2 at which it began: "
            "on its own data the policy is worse than its reference. Steps that are "
            "too large do this.",
            tuple(map(int, numbers[-max(3, len(values) // 5) :][:5])),
            "Repeat with a tenth of the learning rate and a warm-up.",
        )
    elif spikes.sum() >= 3 and spikes.mean() > 0.02:
        yield suspicious(
            "lr_too_high",
            f"The loss jumps to {values.max():.2f} in {spikes.sum()} rows while its "
            f"median is {middle:.2f}. Large steps do this, and so do a few mislabelled "
            "or very long pairs in small batches.",
            tuple(map(int, numbers[spikes][:8])),
            "Look at the pairs of those steps; repeat with a third of the learning "
            "rate.",
        )


def saturated(case: Case) -> Iterator[Finding]:
    """Nothing left to learn: all pairs right by far."""
    part = case.train if "margin" in case.train else case.eval
    loss, share = part.late("loss", mean=True), part.late("accuracy", mean=True)
    margin, epochs = part.late("margin"), case.epochs()
    if case.scale != 1 or case.loss in REFERENCE_FREE or case.smoothing:
        return
    full = loss < 0.03 and share > 0.985 and margin > 3
    bare = math.isnan(margin) and loss < 0.005 and share > 0.985
    rows = part.rows(part.with_all("loss"))[-3:]
    if full or bare:
        norm = part.late("grad_norm")
        told = f", gradient norm {norm:.2g}" if np.isfinite(norm) else ""
        many = epochs >= 5
        seen = f"the loss is {loss:.4f}, the accuracy {share:.3f}"
        seen += f", the margin {margin:.1f}" if np.isfinite(margin) else ""
        if many:
            yield sick(
                "memorised_tiny_data",
                f"After {epochs:.0f} epochs {seen}{told}: these pairs are memorised, "
                "or easy. Such a loss on them says nothing about others.",
                rows,
                "Train for one to three epochs, and judge by held-out pairs.",
            )
        yield suspicious(
            "saturated",
            ""
            if many
            else f"At the end {seen}{told}: hardly any gradient is left, and margins "
            "can only grow further.",
            rows,
            "Judge by held-out pairs and stop where their loss is least.",
        )
        yield from _trivial(case, part)
    yield from _told_apart(case)
    if margin > 8 and share > 0.9 and not case.has("memorised_tiny_data"):
        yield from _far(case, part, margin, rows)


def _far(case: Case, part: Part, margin: float, rows: tuple) -> Iterator[Finding]:
    """Margins beyond what any agreement among people asks for."""
    steep = f" The rate of {case.lr:.2g} is high." if case.lr >= 5e-5 else ""
    steep = "" if case.own else steep
    astray = margin > 20 or part.late("chosen_reward") < -5
    yield Finding(
        "over_optimised",
        f"The margin ends at {margin:.1f}, {margin / case.beta:.0f} nats at β = "
        f"{case.beta:g} ({case.beta_from}): far beyond what any rate of agreement "
        f"asks for (99 % of people agreeing is a margin of 4.6).{steep}",
        rows,
        "Compare answers of this and of earlier checkpoints; lower the learning "
        "rate or stop earlier.",
        status="sick" if astray else "suspicious",
    )
    if steep:
        yield suspicious("lr_too_high", "", rows)


def _told_apart(case: Case) -> Iterator[Finding]:
    """Held-out pairs that the reference itself tells apart, and that are all won."""
    held = case.eval
    share = held.late("accuracy", mean=True)
    kept = held.with_all("chosen_logps", "rejected_logps", "chosen_reward")
    if not share >= 0.97 or kept.sum() < 2 or case.has("trivial_data"):
        return
    chosen, other = case.ref_logps(held)
    apart = float(np.median((chosen - other)[kept]))
    if apart > 5 and np.median((other / chosen)[kept]) > 2:
        yield suspicious(
            "trivial_data",
            f"{share:.0%} of the held-out pairs are won, and the reference alone puts "
            f"{apart:.0f} nats between the two sides: the rejected answers are easy to "
            "tell by their surface (broken text, another style, a cut end).",
            held.rows(kept)[-3:],
            SORT_PAIRS,
        )


def _trivial(case: Case, part: Part) -> Iterator[Finding]:
    """All right almost at once: the pairs differ in something that gives them away."""
    if case.has("wrong_reference"):
        return
    kept = part.with_all("loss", "accuracy")
    done = kept & (part["loss"] < 0.05) & (part["accuracy"] > 0.98)
    if not done.any():
        return
    at = int(np.argmax(done))
    epoch, total = part["epoch"][at], case.epochs()
    soon, when = at < 0.2 * len(part), ""
    if np.isfinite(epoch):
        soon, when = epoch < 0.35, f" (epoch {epoch:.2g})"
    if soon and (len(part) >= 5 or total < 0.35):
        yield suspicious(
            "trivial_data",
            f"All pairs are right with a loss below 0.05 from row {part.numbers[at]} on"
            f"{when}: the two sides differ in something that gives them away, such as "
            "another model's style, a format, a length or an end token. A learning "
            "rate that is too high can look the same.",
            part.rows([at]),
            SORT_PAIRS,
        )


def overfit(case: Case) -> Iterator[Finding]:
    """Held-out loss that rises, or far above the training loss."""
    held, train = case.eval, case.train
    kept = held.with_all("loss")
    loss, shares, rows = held["loss"][kept], held["accuracy"][kept], held.rows(kept)
    if not len(loss) or case.loss in REFERENCE_FREE or case.has("reference_free_loss"):
        return
    best = int(np.argmin(loss))
    rise = float(np.median(loss[-2:]) if len(loss) > 4 else loss[-1]) - loss[best]
    # evaluations of few pairs jump: the noise is what a straight line does not explain
    noise = np.median(np.abs(np.diff(loss, 2))) / 1.65 if len(loss) > 4 else 0.0
    enough = max(0.03, 0.07 * loss[best], 2 * noise)
    if len(loss) >= 3 and best < len(loss) - 1 and rise > enough:
        worse = loss[-1] > LN2 and case.plain
        told = " By now it is worse than with no training at all." if worse else ""
        stays = shares[best] - shares[-1] < 0.03  # False where none was logged
        surer = (
            " A loss that rises while the accuracy stays means surer mistakes, not "
            "more of them."
        )
        yield suspicious(
            "overfit",
            f"The held-out loss is least in row {rows[best]} ({loss[best]:.3f}) and "
            f"{loss[-1]:.3f} at the end.{told}{surer if stays else ''}",
            (rows[best], rows[-1]),
            f"Take the checkpoint nearest to row {rows[best]} and compare answers.",
        )
    elif case.scale == 1 and "loss" in train:
        mine, theirs = train.late("loss"), float(loss[-1])
        falls = len(loss) > 2 and loss[-1] <= loss.min() < 0.95 * loss[0]
        far = mine < 0.35 * theirs and theirs > 0.4 and mine < 0.3
        if far and case.plain and not falls:
            yield suspicious(
                "overfit",
                f"The training loss ends at {mine:.3f} and the held-out loss at "
                f"{theirs:.3f}: what is learned now holds for the training pairs only.",
                rows[-1:],
                "Train for fewer epochs; take the checkpoint of the least held-out "
                "loss.",
            )


def tail(case: Case) -> Iterator[Finding]:
    """A good mean margin and a bad loss: a few pairs are wrong by far."""
    part = case.best()
    loss, margin, share = part.late("loss"), part.late("margin"), part.late("accuracy")
    if case.loss not in ("", "sigmoid") or case.nll_weight or case.scale != 1:
        return
    if case.has("reference_free_loss", "inconsistent_metrics", "wrong_reference"):
        return
    if margin > 1 and loss > 0.58 and not share < 0.5:
        yield suspicious(
            "heavy_tail",
            f"The mean margin is {margin:.2f}, for which the loss could be "
            f"{softplus(-margin):.2f}; it is {loss:.2f}. If this is DPO's loss, some "
            "pairs are wrong by many units, and they carry the loss and the gradient.",
            part.rows(part.with_all("loss", "margin"))[-3:],
            "Look at the ten pairs of lowest margin: flipped labels, very long "
            "answers? Check loss_type: a hinge or an IPO loss is not bounded like "
            "this.",
        )


def still(case: Case) -> Iterator[Finding]:
    """A run long enough to have learned something, that has not."""
    part = case.best()
    loss, share = case.cleaned(part), part.late("accuracy")
    recent = loss[np.isfinite(loss)][-5:]
    late = float(np.median(recent)) if len(recent) else 0.0
    if not case.plain or not 0.67 < late <= 0.8 or at_reference(part).all():
        return
    margins = part.known("margin")
    margin = float(np.mean(margins[len(margins) // 2 :])) if len(margins) else math.nan
    far = case.progress() >= 100 or case.epochs() >= 0.5
    if not far or abs(margin) >= 0.05:
        return
    rows = part.rows(part.with_all("loss"))[-3:]
    size = max(abs(part.late("chosen_reward")), abs(part.late("rejected_reward")))
    if math.isnan(size) and share > 0.6:
        return
    if size < 0.03:
        rate = f" (the rate is {case.lr:.2g})" if np.isfinite(case.lr) else ""
        yield suspicious(
            "lr_too_low",
            f"After {case.progress():.0f} steps the rewards are {size:.3g} in size and "
            f"the loss is {late:.3f}: the policy has hardly left its reference. A "
            f"learning rate that is too low does this{rate}, and so does a very small "
            "β.",
            rows,
            "Repeat 100 steps with ten times the learning rate.",
        )
    elif not share > 0.6:
        yield suspicious(
            "no_signal",
            f"The policy moves (rewards of {size:.2g}), but the margin is {margin:.3f} "
            f"and the loss {late:.3f} after {case.progress():.0f} steps: it finds "
            "nothing in the pairs that tells the sides apart. Labels that are noise, "
            "or a prompt cut off by max_length, look like this.",
            rows,
            "Fit a classifier to the same pairs; read ten pairs as the model sees "
            "them.",
        )


PATTERNS = (fast, rate, saturated, displaced, collapsed, overfit, tail, still, lengths)
