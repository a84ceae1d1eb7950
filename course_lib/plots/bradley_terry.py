"""Chapters 00 and 01: choices, scores, rankings, and what noise does to them."""

import itertools
from collections.abc import Callable, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.plots.style import BLUE, GREY, ORANGE, Picture, Scene, label, panel
from course_lib.preferences import (
    accuracy_ceiling,
    gaussian_preference_probability,
    plackett_luce_log_prob,
    preference_probability,
    reward_model_loss,
)


def choice_curve(probability: Callable = preference_probability) -> Scene:
    """P(first preferred) against the difference of two rewards, one point marked.

    probability: the function to draw
    slider: difference, r_w − r_l in logits, within ±6
    """
    title = "Every difference gives a probability, never a certainty"
    x = "reward of the first answer minus the second (logits)", -6, 6
    y = "P(first is preferred)", 0, 1

    def still(axis: Axes):
        grid = torch.linspace(-6, 6, 241, dtype=torch.float64)
        axis.plot(grid, probability(grid, torch.zeros_like(grid)), color=BLUE)

    def draw(axis: Axes, difference: float) -> str:
        here = torch.tensor([difference], dtype=torch.float64)
        chance = float(probability(here, torch.zeros_like(here)))
        corner = [difference, difference, -6], [0, chance, chance]
        axis.plot(*corner, ":", color=GREY, lw=1)
        axis.plot(difference, chance, "o", color=ORANGE, ms=9, clip_on=False)
        label(axis, difference, chance, f"{chance:.1%}")
        return (
            f"A difference of {difference:+.1f} wins {chance:.1%} of the time: the "
            f"S-shaped curve stands at {chance:.3f} there."
        )

    return Scene.of(draw, panel(title, x, y), still=still)


def loss_curve(loss: Callable = reward_model_loss) -> Scene:
    """The loss of one pair against its reward difference, with the tangent at a point.

    loss: the function to draw
    slider: difference, chosen minus rejected in logits, within ±6
    """
    title = "The worse the order of a pair, the steeper its loss"
    x = "chosen minus rejected reward (logits)", -6, 6
    y = "loss (nats)", -0.2, 6.2
    zero = torch.zeros(1, dtype=torch.float64)

    def still(axis: Axes):
        grid = torch.linspace(-6, 6, 121, dtype=torch.float64)
        axis.plot(grid, [float(loss(h.reshape(1), zero)) for h in grid], color=BLUE)

    def draw(axis: Axes, difference: float) -> str:
        here = torch.tensor([difference], dtype=torch.float64, requires_grad=True)
        value = loss(here, zero)
        (slope,) = torch.autograd.grad(value.sum(), here)
        height, slope = float(value.detach()), float(slope)
        ends = torch.tensor([-1.5, 1.5])
        axis.plot(difference + ends, height + slope * ends, "--", color=ORANGE)
        axis.plot(difference, height, "o", color=ORANGE, ms=9, clip_on=False)
        return (
            f"At {difference:+.1f} the falling curve stands at {height:.3f} nats with "
            f"slope {slope:.3f}: a step of one logit is worth {-slope:.2f} nats."
        )

    return Scene.of(draw, panel(title, x, y), still=still)


def strengths(
    names: Sequence[str],
    scores: Tensor,
    errors: Tensor | None = None,
    published: Sequence[float] | None = None,
    title: str = "Strengths",
) -> Picture:
    """Fitted scores from strongest to weakest, with 95 % intervals if errors are given.

    names, scores, errors, published: one entry each item, scores in logits. Errors are
        those of the difference from the first item: they compare it with each other
        one, and no two others with one another
    """
    order = scores.argsort().tolist()
    rows = range(len(names))

    def draw(axis: Axes) -> str:
        spread = 1.96 * errors[order] if errors is not None else None
        style = {"fmt": "o", "color": BLUE, "capsize": 3, "label": "fitted"}
        axis.errorbar(scores[order], rows, xerr=spread, **style)
        if published is not None:
            given = [published[i] for i in order]
            axis.plot(given, rows, "x", color=ORANGE, ms=9, mew=2, label="published")
            axis.legend(loc="lower right")
        pairs = [f"{names[i]} {float(scores[i]):.2f}" for i in reversed(order)]
        words = f"{title}. From strongest to weakest: {', '.join(pairs)}."
        if errors is None:
            return words
        axis.axvline(0, color=GREY, lw=1, ls=":")
        near = (scores - scores[0]).abs() <= 1.96 * errors
        with_0 = [names[i] for i in reversed(order) if i and near[i]]
        listed = ", ".join(with_0) or "none"
        return f"{words} Bars of 1.96 standard errors that include 0: {listed}."

    x, rising = (f"score, in logits above {names[0]}",), [names[i] for i in order]
    around = panel(title, x, ("",), ynames=rising)
    return Picture.of(draw, around, height=0.9 + 0.32 * len(names))


def wins_predicted(wins: Tensor, scores: Tensor) -> Picture:
    """Observed share of wins of every pair against what the scores predict.

    wins: wins[i, j] = how often i beat j; scores: fitted, in logits
    """
    first, second = torch.triu_indices(len(wins), len(wins), 1)
    swap = scores[first] < scores[second]
    first, second = torch.where(swap, second, first), torch.where(swap, first, second)
    games = wins[first, second] + wins[second, first]
    predicted = preference_probability(scores[first], scores[second])
    observed = wins[first, second] / games
    error = (predicted * (1 - predicted) / games).sqrt()
    inside = int(((observed - predicted).abs() <= 2 * error).sum())

    def draw(axis: Axes) -> str:
        order = predicted.argsort()
        low, high = ((predicted + side * error)[order] for side in (-2, 2))
        axis.fill_between(predicted[order], low, high, color=BLUE, alpha=0.15)
        axis.plot([0.5, 1], [0.5, 1], color=BLUE)
        axis.plot(predicted, observed, "o", color=ORANGE)
        return (
            f"{len(games)} points around the diagonal, {inside} of them in a band of "
            "two binomial standard errors around the prediction."
        )

    title = f"{inside} of {len(games)} pairs lie within two standard errors"
    x = ("predicted share of wins of the stronger side",)
    y = "observed share", 0, 1.05
    return Picture.of(draw, panel(title, x, y), height=3.6)


def noise_ceiling(scores: Tensor, ceiling: Callable = accuracy_ceiling) -> Scene:
    """All pairs of items on the choice curve, their scores multiplied by `scale`.

    scores: in logits, shape (items,); ceiling: the function that gives the dashed line
    slider: scale, 0 makes every choice a coin, large values make it certain
    """
    first, second = torch.triu_indices(len(scores), len(scores), 1)
    difference = (scores[first] - scores[second]).abs()
    grid = torch.linspace(0, 1.7, 100)
    title = "Noise puts a ceiling over every model"
    x = "difference of the true scores, before scaling (logits)", 0, 1.7
    y = "P(the better one wins)", 0.45, 1.03

    def draw(axis: Axes, scale: float) -> str:
        chance = torch.sigmoid(scale * difference)
        best = float(ceiling(chance))
        axis.plot(grid, torch.sigmoid(scale * grid), color=BLUE)
        axis.plot(difference, chance, "o", color=ORANGE)
        axis.axhline(best, ls="--", color=GREY, lw=1)
        axis.text(1.7, best, f"ceiling {best:.1%}", ha="right", va="bottom", color=GREY)
        return (
            f"With scores × {scale:.2g}, nobody can be right more than {best:.1%} of "
            f"the time: the mean of {len(chance)} pairs on a curve that rises from one "
            "half."
        )

    return Scene.of(draw, panel(title, x, y))


def rankings(log_prob: Callable = plackett_luce_log_prob) -> Scene:
    """Probabilities of all six orders of three items A, B, C.

    log_prob: the function to draw with
    sliders: a, b, c, the items' scores in logits
    """
    orders = list(itertools.permutations(range(3)))
    names = [" > ".join("ABC"[i] for i in order) for order in orders]
    title = "Six orders share one probability, best item first"
    x, y = ("probability of the ranking", 0, 1), ("", -0.6, 5.6)
    around = panel(title, x, y, grid="x", ynames=names[::-1])

    def draw(axis: Axes, a: float, b: float = 0.5, c: float = 0.0) -> str:
        scores = torch.tensor([a, b, c], dtype=torch.float64)
        chances = [float(log_prob(scores, torch.tensor(o)).exp()) for o in orders]
        bars = axis.barh(range(5, -1, -1), chances, color=BLUE)
        axis.bar_label(bars, fmt="%.3f", padding=3)
        pairs = zip(names, chances, strict=True)
        listed = ", ".join(f"{name} {chance:.3f}" for name, chance in pairs)
        return (
            f"With scores {a:.1f}, {b:.1f} and {c:.1f}: {listed}; "
            f"the six sum to {sum(chances):.3f}."
        )

    return Scene.of(draw, around, height=2.9)


def poll(probability: Callable = preference_probability) -> Scene:
    """What a number of people said, beside the chance with which each of them said it.

    probability: of preferring A, from the two rewards
    sliders: difference, r_A − r_B in logits; people, how many are asked; town, the seed
    """
    zero = torch.zeros(1, dtype=torch.float64)
    title = "The more people a poll asks, the narrower the band of its error"
    x, y = ("share that prefers A", 0, 1), ("", -0.6, 1.6)
    around = panel(title, x, y, grid="x", ynames=["the poll", "the formula"])

    def draw(axis: Axes, difference: float, people: float, town: int) -> str:
        chance = float(probability(zero + difference, zero))
        random = torch.Generator().manual_seed(int(town))
        votes = torch.rand(int(people), generator=random) < chance
        share = float(votes.double().mean())
        error = (chance * (1 - chance) / int(people)) ** 0.5
        axis.barh([1, 0], [chance, share], color=[BLUE, ORANGE])
        axis.axvspan(chance - 2 * error, chance + 2 * error, color=GREY, alpha=0.25)
        return (
            f"Each of {int(people):,} people prefers A with chance {chance:.3f}; "
            f"{int(votes.sum()):,} did, a share of {share:.3f}. The grey band is the "
            f"chance ± two standard errors of {error:.3f}."
        )

    return Scene.of(draw, around, height=1.9)


def magnitude_losses() -> Scene:
    """Three ways to use an annotated magnitude, against the reward difference.

    slider: magnitude, g of the pair, 0 to 3
    """
    grid = torch.linspace(-4, 6, 201, dtype=torch.float64)
    zero = torch.zeros_like(grid)
    lines = {"margin": (ORANGE, "--"), "scaled": (BLUE, "-.")}
    title = "A margin shifts the curve, a scale stretches it"
    x, y = ("chosen minus rejected reward (logits)", -4, 6), ("loss (nats)", 0, 8)

    def still(axis: Axes):
        plain = reward_model_loss(grid, zero, reduction="none")
        axis.plot(grid, plain, color=GREY, label="bt")
        for kind, (color, line) in lines.items():
            axis.plot([], [], line, color=color, label=kind)
        axis.legend(loc="upper right")

    def draw(axis: Axes, magnitude: float) -> str:
        size = torch.full_like(grid, magnitude)
        at_zero = {}
        for kind, (color, line) in lines.items():
            how = {"magnitude": size, "kind": kind, "reduction": "none"}
            loss = reward_model_loss(grid, zero, **how)
            axis.plot(grid, loss, line, color=color)
            at_zero[kind] = float(loss[80])
        return (
            f"With magnitude {magnitude:.1f} a pair of equal rewards costs 0.69 nats "
            f"as plain Bradley–Terry, {at_zero['margin']:.2f} with the curve moved "
            f"right by it, and {at_zero['scaled']:.2f} with the curve multiplied by it."
        )

    return Scene.of(draw, panel(title, x, y), still=still)


def uncertain_scores() -> Scene:
    """The choice curve when the difference of the scores is itself uncertain.

    slider: std, the difference's standard deviation, ≥ 0, in logits
    """
    grid = torch.linspace(-6, 6, 121, dtype=torch.float64)
    zero = torch.zeros_like(grid)
    title = "Doubt about the scores flattens the choice"
    x = "difference of the mean scores (logits)", -6, 6
    y = "P(first is preferred)", 0, 1

    def still(axis: Axes):
        axis.plot(grid, torch.sigmoid(grid), "--", color=GREY, label="certain scores")
        axis.plot([], [], color=BLUE, label="uncertain scores")
        axis.legend(loc="upper left")

    def draw(axis: Axes, std: float) -> str:
        doubt = gaussian_preference_probability(grid, zero + std, zero, zero)
        at_two = float(doubt[(grid - 2).abs().argmin()])
        axis.plot(grid, doubt, color=BLUE)
        axis.plot(2, at_two, "o", color=ORANGE, ms=8)
        label(axis, 2, at_two, f"{at_two:.1%}")
        return (
            f"A mean difference of 2 with standard deviation {std:.1f} wins "
            f"{at_two:.1%} of the time; with certain scores it would be 88.1%."
        )

    return Scene.of(draw, panel(title, x, y), still=still)
