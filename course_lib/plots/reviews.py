"""Chapter 07, real text: reward against KL where neither can be listed."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from course_lib.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, Picture, panel
from course_lib.reviews import Outcome

MARKS = {  # method: name, colour, marker
    "dpo": ("DPO", BLUE, "o"),
    "dpo_nll": ("DPO + NLL", GREEN, "s"),
    "rounds": ("DPO + NLL in four rounds", PURPLE, "^"),
    "reinforce": ("REINFORCE on the judge", ORANGE, "v"),
}


def reviews_outcomes(outcomes: Sequence[Outcome]) -> Picture:
    """Every way of aligning the review model, beside the best of n of its sentences.

    outcomes: of `reviews.shipped_outcomes()`; each seed is a mark, its bars are two
        standard errors of the sampling
    """
    rows = {
        method: [row for row in outcomes if row.method == method]
        for method in ("best_of_n", *MARKS)
    }

    def draw(axis: Axes) -> str:
        chosen = rows["best_of_n"]
        axis.plot(
            *_at(chosen), "D-", color=GREY, lw=1, label="best of n (bound on its KL)"
        )
        above = {"textcoords": "offset points", "color": GREY}
        for row in chosen:
            axis.annotate(f"{row.beta:g}", (row.kl, row.reward), (-4, 8), **above)
        told = []
        for method, (name, color, marker) in MARKS.items():
            mine = rows[method]
            bars = {
                "xerr": [2 * row.kl_se for row in mine],
                "yerr": [2 * row.reward_se for row in mine],
            }
            style = {"color": color, "marker": marker, "ls": "none", "elinewidth": 1}
            axis.errorbar(*_at(mine), **bars, **style, ms=5, label=name)
            best = max(mine, key=lambda row: row.reward)
            told.append(f"{name} up to {best.reward:.2f} for {best.kl:.2f} nats")
        axis.legend(loc="lower right", fontsize=9)
        steps = ", ".join(f"n = {row.beta:g} {row.reward:.2f}" for row in chosen)
        told = "; ".join(told)
        return (
            "Reward against KL on held-out openings; of best of n, the upper bound of "
            f"its KL. Best of {steps}; {told}."
        )

    title = "For the same KL, choosing among samples earns more"
    x, y = ("KL from the reference (nats a sentence)",), ("reward: log-odds of praise",)
    return Picture.of(draw, panel(title, x, y), height=3.8)


def _at(rows: Sequence[Outcome]) -> tuple[list[float], list[float]]:
    return [row.kl for row in rows], [row.reward for row in rows]
