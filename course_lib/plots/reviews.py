"""Chapter 07, real text: reward against KL where neither can be listed."""

from collections.abc import Sequence

from course_lib.plots.style import BLUE, GREY, ORANGE, Picture, still_figure
from course_lib.reviews import Outcome

__all__ = ["reviews_outcomes"]

MARKS = {  # method: name, colour, marker
    "dpo": ("DPO", BLUE, "o"),
    "dpo_nll": ("DPO + NLL", "#00795B", "s"),
    "rounds": ("DPO + NLL in four rounds", "#A8548A", "^"),
    "reinforce": ("REINFORCE on the judge", ORANGE, "v"),
}


def reviews_outcomes(outcomes: Sequence[Outcome]) -> Picture:
    """Every way of aligning the review model, beside the best of n of its sentences.

    outcomes: of `reviews.shipped_outcomes()`; each seed is a mark, its bars are two
        standard errors of the sampling
    """
    figure, axis = still_figure(3.8)
    draws = [row for row in outcomes if row.method == "best_of_n"]
    x, y = ([getattr(row, name) for row in draws] for name in ("kl", "reward"))
    axis.plot(x, y, "D-", color=GREY, lw=1, label="best of n")
    for row in draws:
        at = (row.kl, row.reward)
        axis.annotate(
            f"{row.beta:g}", at, (-4, 8), textcoords="offset points", color=GREY
        )
    for method, (name, color, marker) in MARKS.items():
        rows = [row for row in outcomes if row.method == method]
        bars = {
            "xerr": [2 * row.kl_se for row in rows],
            "yerr": [2 * row.reward_se for row in rows],
        }
        style = {"color": color, "marker": marker, "ls": "none", "elinewidth": 1}
        x, y = ([getattr(row, name) for row in rows] for name in ("kl", "reward"))
        axis.errorbar(x, y, **bars, **style, ms=5, label=name)
    axis.set(
        xlabel="KL from the reference (nats a sentence)",
        ylabel="reward: log-odds of praise",
        title="For the same KL, choosing among samples earns more",
    )
    axis.legend(loc="lower right", frameon=False, fontsize=9)
    return Picture(figure, _said(outcomes))


def _said(outcomes: Sequence[Outcome]) -> str:
    told = []
    for method, (name, *_) in MARKS.items():
        rows = [row for row in outcomes if row.method == method]
        best = max(rows, key=lambda row: row.reward)
        told.append(f"{name} up to {best.reward:.2f} for {best.kl:.2f} nats")
    draws = [row for row in outcomes if row.method == "best_of_n"]
    steps = ", ".join(f"n = {row.beta:g} {row.reward:.2f}" for row in draws)
    return f"Reward against KL on held-out openings. Best of {steps}; " + (
        "; ".join(told) + "."
    )
