"""The course's pictures: one style, one function each, no state.

Every function here is pure: numbers in, a `Picture` out, so that a slider can call it
for any value. Colours survive colour-blindness (Okabe and Ito); series differ in line
style or marker too.
"""

import base64
import io
import itertools
import os
from collections.abc import Callable, Sequence

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.preferences import (
    accuracy_ceiling,
    gaussian_preference_probability,
    plackett_luce_log_prob,
    preference_probability,
    reward_model_loss,
)

__all__ = [
    "Picture",
    "choice_curve",
    "loss_curve",
    "magnitude_losses",
    "noise_ceiling",
    "rankings",
    "strengths",
    "uncertain_scores",
    "wins_predicted",
]

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#007A5A", "#5F6368"
STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.alpha": 0.25,
    "lines.linewidth": 2,
}


class Picture:
    """A matplotlib figure, and in words what a person sees in it.

    In a notebook it shows itself with the words as alternative text. With the
    environment variable COURSE_PLAIN_FIGURES set, it leaves out the HTML around the
    picture, which is how notebooks are stored.
    """

    def __init__(self, figure: Figure, alt: str):
        self.figure, self.alt = figure, alt

    def __repr__(self) -> str:
        return self.alt

    def png(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        picture = base64.b64encode(self.png()).decode()
        bundle = {"text/plain": self.alt, "image/png": picture}
        if not os.environ.get("COURSE_PLAIN_FIGURES"):
            alt = self.alt.replace('"', "&quot;")
            source = f"data:image/png;base64,{picture}"
            bundle["text/html"] = f'<img alt="{alt}" src="{source}">'
        return bundle


def _figure(height: float = 3.2, columns: int = 1) -> tuple[Figure, list[Axes]]:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.5, height))
        axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, list(axes)


def choice_curve(
    difference: float, probability: Callable = preference_probability
) -> Picture:
    """P(first preferred) against the difference of two rewards, one point marked.

    difference: r_w − r_l in logits, within ±6
    probability: the function to draw
    """
    figure, (axis,) = _figure()
    grid = torch.linspace(-6, 6, 241, dtype=torch.float64)
    axis.plot(grid, probability(grid, torch.zeros_like(grid)), color=BLUE)
    here = torch.tensor([difference], dtype=torch.float64)
    chance = float(probability(here, torch.zeros_like(here)))
    axis.plot([difference, difference, -6], [0, chance, chance], ":", color=GREY, lw=1)
    axis.plot(difference, chance, "o", color=ORANGE, ms=9)
    axis.set(
        xlim=(-6, 6),
        ylim=(0, 1),
        xlabel="reward of the first answer minus the second (logits)",
        ylabel="P(first is preferred)",
        title=f"A difference of {difference:+.1f} wins {chance:.0%} of the time",
    )
    return Picture(
        figure,
        f"An S-shaped curve from 0 to 1 through one half at difference 0; at "
        f"{difference:+.1f} it stands at {chance:.3f}.",
    )


def loss_curve(difference: float, loss: Callable = reward_model_loss) -> Picture:
    """The loss of one pair against its reward difference, with the tangent at a point.

    difference: chosen minus rejected in logits, within ±6; loss: the function to draw
    """
    figure, (axis,) = _figure()
    grid = torch.linspace(-6, 6, 121, dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    axis.plot(grid, [float(loss(x.reshape(1), zero)) for x in grid], color=BLUE)
    here = torch.tensor([difference], dtype=torch.float64, requires_grad=True)
    value = loss(here, zero)
    (slope,) = torch.autograd.grad(value.sum(), here)
    height, slope = float(value.detach()), float(slope)
    ends = torch.tensor([-1.5, 1.5])
    axis.plot(difference + ends, height + slope * ends, "--", color=ORANGE)
    axis.plot(difference, height, "o", color=ORANGE, ms=9)
    axis.set(
        xlim=(-6, 6),
        ylim=(-0.2, 6.2),
        xlabel="chosen minus rejected reward (logits)",
        ylabel="loss (nats)",
        title=f"At {difference:+.1f} a step of one logit is worth {-slope:.2f} nats",
    )
    return Picture(
        figure,
        "A loss that falls from 6 at difference −6 to nearly 0 at +6; at "
        f"{difference:+.1f} it is {height:.3f} with slope {slope:.3f}.",
    )


def strengths(
    names: Sequence[str],
    scores: Tensor,
    errors: Tensor | None = None,
    published: Sequence[float] | None = None,
    title: str = "Strengths",
) -> Picture:
    """Fitted scores from strongest to weakest, with 95 % intervals if errors are given.

    names, scores, errors, published: one entry each item, scores in logits
    """
    figure, (axis,) = _figure(0.9 + 0.32 * len(names))
    order = scores.argsort().tolist()
    rows = range(len(names))
    spread = 1.96 * errors[order] if errors is not None else None
    axis.errorbar(
        scores[order], rows, xerr=spread, fmt="o", color=BLUE, capsize=3, label="fitted"
    )
    if published is not None:
        given = [published[i] for i in order]
        axis.plot(given, rows, "x", color=ORANGE, ms=9, mew=2, label="published")
        axis.legend(loc="lower right", frameon=False)
    axis.set_yticks(list(rows), [names[i] for i in order])
    axis.set(xlabel=f"score, in logits above {names[0]}", title=title)
    listed = ", ".join(f"{names[i]} {float(scores[i]):.2f}" for i in reversed(order))
    return Picture(figure, f"{title}. From strongest to weakest: {listed}.")


def wins_predicted(wins: Tensor, scores: Tensor) -> Picture:
    """Observed share of wins of every pair against what the scores predict.

    wins: wins[i, j] = how often i beat j; scores: fitted, in logits
    """
    figure, (axis,) = _figure(3.6)
    first, second = torch.triu_indices(len(wins), len(wins), 1)
    swap = scores[first] < scores[second]
    first, second = torch.where(swap, second, first), torch.where(swap, first, second)
    games = wins[first, second] + wins[second, first]
    predicted = preference_probability(scores[first], scores[second])
    observed = wins[first, second] / games
    error = (predicted * (1 - predicted) / games).sqrt()
    inside = int(((observed - predicted).abs() <= 2 * error).sum())
    line = torch.linspace(0.5, 1, 2)
    order = predicted.argsort()
    low, high = predicted - 2 * error, predicted + 2 * error
    axis.fill_between(predicted[order], low[order], high[order], color=BLUE, alpha=0.15)
    axis.plot(line, line, color=BLUE)
    axis.plot(predicted, observed, "o", color=ORANGE)
    axis.set(
        xlabel="predicted share of wins of the stronger side",
        ylabel="observed share",
        ylim=(0, 1.05),
        title=f"{inside} of {len(games)} pairs lie within two standard errors",
    )
    return Picture(
        figure,
        f"{len(games)} points around the diagonal, {inside} of them in a band of two "
        "binomial standard errors around the prediction.",
    )


def noise_ceiling(
    scale: float, scores: Tensor, ceiling: Callable = accuracy_ceiling
) -> Picture:
    """All pairs of items on the choice curve, scores multiplied by `scale`.

    scale: 0 makes every choice a coin, large values make it certain
    scores: in logits, shape (items,); ceiling: the function that the title quotes
    """
    figure, (axis,) = _figure()
    first, second = torch.triu_indices(len(scores), len(scores), 1)
    difference = (scores[first] - scores[second]).abs()
    chance = torch.sigmoid(scale * difference)
    best = float(ceiling(chance))
    grid = torch.linspace(0, 1.7, 100)
    axis.plot(grid, torch.sigmoid(scale * grid), color=BLUE)
    axis.plot(difference, chance, "o", color=ORANGE)
    axis.axhline(best, ls="--", color=GREY, lw=1)
    axis.annotate("ceiling", (1.7, best), ha="right", va="bottom", color=GREY)
    axis.set(
        xlim=(0, 1.7),
        ylim=(0.45, 1.03),
        xlabel="difference of the true scores, before scaling (logits)",
        ylabel="P(the better one wins)",
        title=f"With scores × {scale:.2g}, nobody can be right more than {best:.1%}",
    )
    return Picture(
        figure,
        f"{len(chance)} pairs on a curve that rises from one half; the dashed ceiling, "
        f"their mean, lies at {best:.3f} for scores multiplied by {scale:.2g}.",
    )


def rankings(top_score: float, log_prob: Callable = plackett_luce_log_prob) -> Picture:
    """Probabilities of all six orders of three items A, B, C with scores s, 0.5, 0.

    top_score: A's score in logits; log_prob: the function to draw with
    """
    figure, (axis,) = _figure(2.9)
    scores = torch.tensor([top_score, 0.5, 0.0], dtype=torch.float64)
    orders = list(itertools.permutations(range(3)))
    chances = [float(log_prob(scores, torch.tensor(order)).exp()) for order in orders]
    labels = [" > ".join("ABC"[i] for i in order) for order in orders]
    bars = axis.barh(labels[::-1], chances[::-1], color=BLUE)
    axis.bar_label(bars, fmt="%.3f", padding=3)
    axis.grid(visible=False, axis="y")
    axis.set(
        xlim=(0, 1),
        xlabel="probability of the ranking",
        title=f"A scores {top_score:+.1f}: the six chances sum to {sum(chances):.3f}",
    )
    listed = ", ".join(f"{a} {b:.3f}" for a, b in zip(labels, chances, strict=True))
    return Picture(figure, f"Bars for the six orders of A, B and C: {listed}.")


def magnitude_losses(magnitude: float) -> Picture:
    """Three ways to use an annotated magnitude, against the reward difference.

    magnitude: m of the pair, 0 to 3
    """
    figure, (axis,) = _figure()
    grid = torch.linspace(-4, 6, 201, dtype=torch.float64)
    zero, size = torch.zeros_like(grid), torch.full_like(grid, magnitude)
    for kind, color, line in (
        ("bt", GREY, "-"),
        ("margin", ORANGE, "--"),
        ("scaled", BLUE, "-."),
    ):
        given = None if kind == "bt" else size
        loss = reward_model_loss(
            grid, zero, magnitude=given, kind=kind, reduction="none"
        )
        axis.plot(grid, loss, line, color=color, label=kind)
    axis.legend(frameon=False, loc="upper right")
    axis.set(
        xlim=(-4, 6),
        ylim=(0, 8),
        xlabel="chosen minus rejected reward (logits)",
        ylabel="loss (nats)",
        title=f"m = {magnitude:.1f}: margin shifts the curve, scaled stretches it",
    )
    return Picture(
        figure,
        f"Three falling curves for magnitude {magnitude:.1f}: plain Bradley–Terry, the "
        "same curve moved right by the magnitude, and the same curve multiplied by it.",
    )


def uncertain_scores(std: float) -> Picture:
    """The choice curve when the difference of the scores is itself uncertain.

    std: standard deviation of the difference, ≥ 0, in logits
    """
    figure, (axis,) = _figure()
    grid = torch.linspace(-6, 6, 121, dtype=torch.float64)
    zero = torch.zeros_like(grid)
    doubt = gaussian_preference_probability(grid, zero + std, zero, zero)
    axis.plot(grid, torch.sigmoid(grid), "--", color=GREY, label="certain scores")
    axis.plot(grid, doubt, color=BLUE, label=f"std {std:.1f}")
    at_two = float(doubt[(grid - 2).abs().argmin()])
    axis.plot(2, at_two, "o", color=ORANGE, ms=8)
    axis.legend(frameon=False, loc="upper left")
    axis.set(
        xlim=(-6, 6),
        ylim=(0, 1),
        xlabel="difference of the mean scores (logits)",
        ylabel="P(first is preferred)",
        title=f"A mean difference of 2 with std {std:.1f} wins {100 * at_two:.0f} %",
    )
    return Picture(
        figure,
        f"Two S-shaped curves through one half; that with standard deviation {std:.1f} "
        f"is flatter and stands at {at_two:.3f} for a mean difference of 2.",
    )
