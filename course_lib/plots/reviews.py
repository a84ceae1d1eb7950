"""Chapter 07, real text: reward against KL where neither can be listed."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from course_lib.plots.marks import name, number
from course_lib.plots.palette import FAINT, INK, MARK, POLICY
from course_lib.plots.style import Picture, panel
from course_lib.reviews import Outcome

METHODS = {
    "dpo": "DPO",
    "dpo_nll": "DPO + NLL",
    "rounds": "DPO + NLL, 4 rounds",
    "reinforce": "REINFORCE",
}


def reviews_outcomes(outcomes: Sequence[Outcome]) -> Picture:
    """Every way of aligning the review model, beside the best of n of its sentences.

    outcomes: of `reviews.shipped_outcomes()`; each seed is a mark, its bars are two
        standard errors of the sampling
    """
    rows = {
        method: [row for row in outcomes if row.method == method]
        for method in ("best_of_n", *METHODS)
    }

    def draw(axes: tuple[Axes, ...]) -> str:
        drawn, told = rows["best_of_n"], []
        for axis, (method, called) in zip(axes, METHODS.items(), strict=True):
            axis.plot(*_at(drawn), **MARK["exact"], ms=4)
            for other in METHODS:
                axis.plot(*_at(rows[other]), "o", color=FAINT, ms=6, zorder=1)
            for row in rows[method]:
                _seed(axis, row)
            best = max(rows[method], key=lambda row: row.reward)
            told.append(f"{called} up to {best.reward:.2f} for {best.kl:.2f} nats")
        for row in drawn[1:]:
            words = f"n = {row.beta:g}" if row is drawn[-1] else f"{row.beta:g}"
            name(axes[0], row.kl, row.reward, words, INK, at=(-7, 3), halo=True)
        steps = ", ".join(f"n = {r.beta:g} {number(r.reward)}" for r in drawn)
        return (
            "Reward against KL on held-out openings; of best of n, the upper bound of "
            f"its KL. Best of {steps}; {'; '.join(told)}."
        )

    x, y = ("KL, nats a sentence", -0.2, 3.5), (-0.4, 1.2)
    ticks = {"xticks": (0, 1, 2, 3), "yticks": (0, 0.5, 1)}
    return Picture.of(
        draw,
        *[panel(called, x, y, **ticks) for called in METHODS.values()],
        sharey=True,
        says="Up to 1.8 nats, the best of n samples earns more at the same KL",
        shows="The judge’s reward, log-odds of praise. ◆ best of n, at the upper bound "
        "of its KL.\n● one trained model each: three seeds a setting; bars: two "
        "standard errors.",
    )


def _seed(axis: Axes, row: Outcome):
    across, up = 2 * row.kl_se, 2 * row.reward_se
    line = {"color": POLICY, "lw": 1, "zorder": 2}
    axis.plot([row.kl - across, row.kl + across], [row.reward] * 2, **line)
    axis.plot([row.kl] * 2, [row.reward - up, row.reward + up], **line)
    axis.plot(row.kl, row.reward, "o", color=POLICY, ms=5)


def _at(rows: Sequence[Outcome]) -> tuple[list[float], list[float]]:
    return [row.kl for row in rows], [row.reward for row in rows]
