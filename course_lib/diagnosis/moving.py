"""A reference that moves: evaluations in which no β turns log-probs into rewards."""

from collections.abc import Iterator

import numpy as np

from course_lib.diagnosis.case import REFERENCE_FREE, Case, Finding

__all__ = ["moving_reference"]


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
    yield Finding(
        "moving_reference",
        "suspicious",
        f"From evaluation to evaluation the chosen answers lose {-nats:.1f} nats in "
        f"all, and yet their reward, {rewards[0, most]:.3g} in row {rows[most]}, comes "
        f"back to {rewards[0, -1]:.3g}. On the same pairs a reward changes by β times "
        "the change of its log-prob, and no β fits these rows: the reference follows "
        "the policy. Evaluations on other pairs each time could look like this too.",
        rows,
        "Print one weight of policy and reference before and after some steps; measure "
        "KL to the first reference.",
    )
