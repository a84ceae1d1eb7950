"""Chapters 00 and 01: choices, scores, rankings, and what noise does to them."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.plots.marks import arrow, dot, name, names, number, percent, percents
from course_lib.plots.palette import (
    CHOSEN,
    DASHES,
    DOTS,
    DOTTED,
    FAINT,
    INK,
    MARK,
    POLICY,
    QUIET,
    REFERENCE,
    REJECTED,
)
from course_lib.plots.style import Picture, Scene, panel
from course_lib.preferences import (
    accuracy_ceiling,
    gaussian_preference_probability,
    plackett_luce_log_prob,
    preference_probability,
    reward_model_loss,
)


def _beside(difference: float, chance: float) -> tuple[float, int]:
    """Where the first answer's share is written: how high, and on which side."""
    if difference < -3.9:
        return 0.28, 8
    if difference < -1.7:
        return chance + 0.09, -8
    return chance / 2, 8 if difference < 3.9 else -8


def choice_curve(probability: Callable = preference_probability) -> Scene:
    """P(first preferred) against the difference of two rewards, one point marked.

    probability: the function to draw
    slider: difference, r_w − r_l in logits, within ±6; its point can be dragged
    """
    x = "reward of the first answer minus that of the second, logits", -6.3, 6.3
    y, ticks = (0, 1.02), percents(0, 0.5, 1)
    around = panel("How often each is preferred", x, y, yticks=ticks)
    grid = torch.linspace(-6, 6, 161, dtype=torch.float64)

    def still(axis: Axes):
        axis.plot(grid, probability(grid, torch.zeros_like(grid)), color=INK)

    def draw(axis: Axes, difference: float) -> str:
        here = torch.tensor([difference], dtype=torch.float64)
        chance = float(probability(here, torch.zeros_like(here)))
        told, other = percent(chance, 1), percent(1 - chance, 1)
        for ends, color, line in (
            ((0, chance), CHOSEN, "-"),
            ((chance, 1), REJECTED, DASHES),
        ):
            axis.plot([difference] * 2, ends, color=color, ls=line)
        up, side = _beside(difference, chance)
        name(axis, difference, up, f"first: {told}", CHOSEN, at=(side, 0))
        down, side = _beside(-difference, 1 - chance)
        name(axis, difference, 1 - down, f"second: {other}", REJECTED, at=(-side, 0))
        dot(axis, difference, chance, gid="difference")
        return (
            f"A difference of {number(difference, '+.1f')} wins {told} of the time: "
            f"the S-shaped curve is at {chance:.3f} there."
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="A higher reward wins more often, but never every time",
        shows="The curve: the probability that the first answer is preferred. At the "
        "point, the solid line\nis its share of the wins, the dashed line that of the "
        "second.",
    )


def loss_curve(loss: Callable = reward_model_loss) -> Scene:
    """The loss of one pair against its reward difference, with the tangent at a point.

    loss: the function to draw
    slider: difference, chosen minus rejected in logits, within ±6; its point can be
        dragged
    """
    x = "reward of the chosen answer minus that of the rejected, logits", -6.3, 8
    ticks = {"xticks": [-6, -3, 0, 3, 6], "yticks": [0, 2, 4, 6]}
    around = panel("Loss, nats", x, (-0.2, 7), **ticks)
    zero = torch.zeros(1, dtype=torch.float64)

    def still(axis: Axes):
        grid = torch.linspace(-6, 8, 121, dtype=torch.float64)
        axis.plot(grid, [float(loss(h.reshape(1), zero)) for h in grid], color=INK)

    def draw(axis: Axes, difference: float) -> str:
        here = torch.tensor([difference], dtype=torch.float64, requires_grad=True)
        value = loss(here, zero)
        (slope,) = torch.autograd.grad(value.sum(), here)
        height, slope = float(value.detach()), float(slope)
        told = number(slope, ".3f")
        ends = torch.tensor([-1.5, 1.5])
        axis.plot(difference + ends, height + slope * ends, **DOTTED)
        tip = difference + 1.5, height + 1.5 * slope
        arrow(axis, (difference, height), tip, color=CHOSEN)
        words = {"at": (8, 12), "ha": "left" if difference < 4.5 else "right"}
        name(axis, difference, height, f"slope {told}", CHOSEN, **words)
        dot(axis, difference, height, gid="difference")
        return (
            f"At {number(difference, '+.1f')} the falling curve is at {height:.3f} "
            f"nats with slope {told}: a step of one logit is worth {-slope:.2f} nats."
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="The worse the order of a pair, the steeper its loss",
        shows="One pair; right of 0 it is in the right order. The arrow shows what a "
        "step of the chosen\nanswer’s reward does: its slope is in nats per logit.",
    )


def strengths(
    names: Sequence[str],
    scores: Tensor,
    errors: Tensor | None = None,
    published: Sequence[float] | None = None,
    title: str = "The highest score stands at the top",
) -> Picture:
    """Fitted scores from strongest to weakest, with 95 % intervals if errors are given.

    names, scores, errors, published: one entry each item, scores in logits. Errors are
        those of the difference from the first item: they compare it with each other
        one, and no two others with one another
    title: the headline: what these scores say
    """
    order = scores.argsort().tolist()
    rows = range(len(names))
    near = (scores - scores[0]).abs() <= 1.96 * errors if errors is not None else []

    def draw(axis: Axes) -> str:
        if published is not None:
            given = MARK["reference"] | {"ls": "none", "ms": 11, "mew": 1.4}
            axis.plot([published[i] for i in order], rows, **given)
        if errors is not None:
            half = 1.96 * errors[order]
            axis.axvline(0, color=REFERENCE, lw=1)
            axis.hlines(rows, scores[order] - half, scores[order] + half, color=POLICY)
            for row, i in enumerate(order):
                if i and near[i]:
                    name(axis, scores[i] + half[row], row, "may be equal", QUIET)
        axis.plot(scores[order], rows, **(MARK["policy"] | {"ls": "none", "ms": 6}))
        low, high = axis.get_xlim()
        axis.set(xlim=(low, high + 0.18 * (high - low)), ylim=(-0.6, len(names) - 0.4))
        pairs = [f"{names[i]} {number(float(scores[i]))}" for i in reversed(order)]
        words = f"{title}. From strongest to weakest: {', '.join(pairs)}."
        if errors is None:
            return words
        with_0 = [names[i] for i in reversed(order) if i and near[i]]
        listed = ", ".join(with_0) or "none"
        return f"{words} Bars of 1.96 standard errors that include 0: {listed}."

    shows = "● fitted score"
    shows += "" if published is None else "    □ published score"
    if errors is not None:
        shows += f"    bar: 95 % interval of the difference from {names[0]}"
    x, rising = (f"logits above {names[0]}",), [names[i] for i in order]
    around = panel("Score", x, ynames=rising)
    height = 1.5 + 0.29 * len(names)
    return Picture.of(draw, around, says=title, shows=shows, height=height)


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
    ticks = {"xticks": percents(0.5, 0.6, 0.7, 0.8)}
    ticks |= {"yticks": percents(0, 0.25, 0.5, 0.75, 1)}
    x = "share predicted by the fitted scores", 0.49, 0.88
    around = panel("Wins of the stronger side", x, (0, 1.05), **ticks)

    def draw(axis: Axes) -> str:
        order = predicted.argsort()
        low, high = ((predicted + side * error)[order] for side in (-2, 2))
        axis.fill_between(predicted[order], low, high, color=FAINT, lw=0)
        axis.plot([0.5, 0.86], [0.5, 0.86], color=POLICY)
        name(axis, 0.86, 0.86, "predicted", POLICY, at=(4, -12), ha="right", va="top")
        axis.plot(predicted, observed, **(MARK["exact"] | {"ls": "none", "ms": 5}))
        return (
            f"{len(games)} points around the diagonal, {inside} of them in a band of "
            "two binomial standard errors around the prediction."
        )

    return Picture.of(
        draw,
        around,
        says=f"{inside} of {len(games)} pairs lie within two standard errors",
        shows="◆ one pair: the share of games that the stronger side won. Line: the "
        "prediction.\nGrey: two binomial standard errors on either side of it.",
        height=4.0,
    )


def noise_ceiling(scores: Tensor, ceiling: Callable = accuracy_ceiling) -> Scene:
    """All pairs of items on the choice curve, their scores multiplied by `scale`.

    scores: in logits, shape (items,); ceiling: the function that gives the dotted line
    slider: scale, 0 makes every choice a coin, large values make it certain
    """
    first, second = torch.triu_indices(len(scores), len(scores), 1)
    difference = (scores[first] - scores[second]).abs()
    end = 1.07 * float(difference.max())
    grid = torch.linspace(0, end, 100)
    x = "difference of the true scores before scaling, logits", -0.01 * end, end
    title, ticks = "How often the better one wins", percents(0.5, 0.75, 1)
    around = panel(title, x, (0.43, 1.03), yticks=ticks)

    def draw(axis: Axes, scale: float) -> str:
        chance = torch.sigmoid(scale * difference)
        best = float(ceiling(chance))
        told = percent(best, 1)
        axis.axhline(best, **DOTTED)
        axis.plot(grid, torch.sigmoid(scale * grid), color=INK, lw=1.2)
        axis.plot(difference, chance, **(MARK["exact"] | {"ls": "none", "ms": 5}))
        words = f"ceiling {told}", QUIET
        name(axis, end, best, *words, at=(0, -10), ha="right", bold=True)
        return (
            f"With scores × {scale:.2g}, no model can be right more than {told} of the "
            f"time: the mean of {len(chance)} pairs on a curve that rises from one "
            "half."
        )

    return Scene.of(
        draw,
        around,
        says="Noise puts a ceiling over every model",
        shows="◆ one pair: the probability that its better side wins. Dotted: their "
        "mean, the accuracy of\na model that knows all true scores.",
    )


def rankings(log_prob: Callable = plackett_luce_log_prob) -> Scene:
    """Probabilities of all six orders of three items A, B, C.

    log_prob: the function to draw with
    sliders: a, b, c, the items' scores in logits
    """
    orders = list(itertools.permutations(range(3)))
    called = [" > ".join("ABC"[i] for i in order) for order in orders]
    title, y = "Probability of the order", (-0.6, 5.6)
    around = panel(title, ("", 0, 1.12), y, grid=False, ynames=called[::-1], xticks=[])

    def draw(axis: Axes, a: float, b: float = 0.5, c: float = 0.0) -> str:
        scores = torch.tensor([a, b, c], dtype=torch.float64)
        chances = [float(log_prob(scores, torch.tensor(o)).exp()) for o in orders]
        top = max(chances)
        axis.barh(range(5, -1, -1), chances, 0.6, color=INK)
        for row, chance in enumerate(reversed(chances)):
            name(axis, chance, row, number(chance), bold=math.isclose(chance, top))
        pairs = zip(called, chances, strict=True)
        listed = ", ".join(f"{name} {chance:.3f}" for name, chance in pairs)
        told = ", ".join(number(score, ".1f") for score in (a, b))
        return (
            f"With scores {told} and {number(c, '.1f')}: {listed}; "
            f"the six sum to {sum(chances):.3f}."
        )

    return Scene.of(
        draw,
        around,
        says="No order is likelier than the one by falling scores",
        shows="All six orders of three items, best item first; together they have "
        "probability 1.\nBold: the likeliest.",
        height=3.2,
    )


def poll(probability: Callable = preference_probability) -> Scene:
    """What a number of people said, beside the probability with which each said it.

    probability: of preferring A, from the two rewards
    sliders: difference, r_A − r_B in logits; people, how many are asked; town, the seed
    """
    zero = torch.zeros(1, dtype=torch.float64)
    x, y = ("share of the people", 0, 1.16), (-0.6, 1.6)
    rows = {"grid": False, "ynames": ["the poll", "the formula"]}
    around = panel("Who prefers A", x, y, xticks=percents(0, 0.5, 1), **rows)

    def draw(axis: Axes, difference: float, people: float, town: int) -> str:
        chance = float(probability(zero + difference, zero))
        random = torch.Generator().manual_seed(int(town))
        votes = torch.rand(int(people), generator=random) < chance
        share = float(votes.double().mean())
        error = (chance * (1 - chance) / int(people)) ** 0.5
        low, high = chance - 2 * error, chance + 2 * error
        axis.axvspan(low, high, color=FAINT, lw=0)
        axis.vlines([low, high], *axis.get_ylim(), color=REFERENCE, ls=DOTS, lw=1.4)
        axis.barh(1, chance, 0.5, color=INK)
        axis.barh(0, share, 0.5, color=CHOSEN)
        axis.barh(0, 1 - share, 0.5, share, color="none", ec=REJECTED, ls=DASHES)
        for row, part in ((1, chance), (0, share)):
            name(axis, 1, row, f"A: {percent(part, 1)}", at=(8, 0))
        asked, did = (number(int(n), ",d") for n in (people, votes.sum()))
        return (
            f"Each of {asked} people prefers A with probability {chance:.3f}; "
            f"{did} did, a share of {share:.3f}. The grey band is the probability ± "
            f"two standard errors of {error:.3f}."
        )

    return Scene.of(
        draw,
        around,
        says="The more people a poll asks, the narrower its band of error",
        shows="Solid: the share that prefers A, by the formula and in one poll; "
        "dashed: the rest, for B.\nGrey: two standard errors on either side of the "
        "formula.",
        height=2.6,
    )


def magnitude_losses() -> Scene:
    """Three ways to use an annotated magnitude, against the reward difference.

    slider: magnitude, g of the pair, 0 to 3; its point can be dragged
    """
    grid = torch.linspace(-4, 6, 101, dtype=torch.float64)
    zero, start, top = torch.zeros_like(grid), (0, math.log(2)), 8
    lines = {"margin": "-", "scaled": DASHES}
    x = "reward of the chosen answer minus that of the rejected, logits", -5.6, 6
    ticks = {"xticks": [-4, -2, 0, 2, 4, 6], "yticks": [0, 2, 4, 6, 8]}
    around = panel("Loss, nats", x, (-0.2, top), **ticks)
    plain = reward_model_loss(grid, zero, reduction="none")

    def draw(axis: Axes, magnitude: float) -> str:
        size = torch.full_like(grid, magnitude)
        ends, at_zero = [(-4.0, float(plain[0]), "plain", QUIET)], {}
        for kind, line in lines.items():
            how = {"magnitude": size, "kind": kind, "reduction": "none"}
            loss = reward_model_loss(grid, zero, **how)
            axis.plot(grid, loss, color=INK, ls=line)
            first = int((loss > top).sum())  # of the grid below the top
            ends.append((float(grid[first]), float(loss[first]), kind, INK))
            at_zero[kind] = float(loss[40])
        names(axis, sorted(ends), 0.65, at=(-6, 0))
        arrow(axis, start, (magnitude - 0.2, start[1]))  # up to the edge of the point
        arrow(axis, start, (0, at_zero["scaled"]))
        dot(axis, magnitude, start[1], gid="magnitude")
        return (
            f"With magnitude {magnitude:.1f} a pair of equal rewards costs 0.69 nats "
            f"as plain Bradley–Terry, {at_zero['margin']:.2f} with the curve moved "
            f"right by it, and {at_zero['scaled']:.2f} with the curve multiplied by it."
        )

    return Scene.of(
        draw,
        around,
        still=lambda axis: axis.plot(grid, plain, **DOTTED),
        says="A margin shifts the curve, a scale stretches it",
        shows="Loss of one pair of magnitude g. Arrows: where the point (0, 0.69) of "
        "the plain loss goes,\ng to the right for the margin, g times as high for the "
        "scale.",
    )


def uncertain_scores() -> Scene:
    """The choice curve when the difference of the scores is itself uncertain.

    slider: std, the difference's standard deviation, ≥ 0, in logits
    """
    grid = torch.linspace(-6, 6, 121, dtype=torch.float64)
    zero, sure = torch.zeros_like(grid), torch.sigmoid(grid)
    here = int((grid - 2).abs().argmin())
    x = "mean reward of the first answer minus that of the second, logits", -6, 8.2
    ticks = {"xticks": range(-6, 7, 2), "yticks": percents(0, 0.5, 1)}
    around = panel("How often the first is preferred", x, (0, 1.05), **ticks)

    def draw(axis: Axes, std: float) -> str:
        doubt = gaussian_preference_probability(grid, zero + std, zero, zero)
        at_two = float(doubt[here])
        axis.plot(grid, doubt, color=INK)
        last = (doubt[-1], "uncertain", INK), (sure[-1], "certain", QUIET)
        names(axis, [(6, *end) for end in last], 0.095)
        arrow(axis, (2, float(sure[here])), (2, at_two + 0.03))
        dot(axis, 2, at_two)
        name(axis, 2, at_two, percent(at_two, 1), at=(10, -9), bold=True)
        return (
            f"A mean difference of 2 with standard deviation {std:.1f} wins "
            f"{percent(at_two, 1)} of the time; with certain scores it would be "
            f"{percent(float(sure[here]), 1)}."
        )

    return Scene.of(
        draw,
        around,
        still=lambda axis: axis.plot(grid, sure, **DOTTED),
        says="Doubt about the scores pulls every choice towards a coin",
        shows="Dotted: the two scores are certain. Solid: their difference has the "
        "standard deviation of\nthe slider. Arrow: what that does to a mean difference "
        "of 2.",
    )
