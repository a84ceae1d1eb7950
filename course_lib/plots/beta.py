"""Chapter 05: what β does at a fixed gap, at the optimum, and on the way there."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.beta import beta_for_kl, dpo_slope, smoothed_optimal_gap, steepest_beta
from course_lib.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    QUIET,
    REFERENCE,
    Picture,
    Scene,
    beta_color,
    dot,
    headline,
    in_language,
    name,
    names,
    panel,
)
from course_lib.policies import expected_reward, kl_divergence, optimal_policy
from course_lib.preferences import accuracy_ceiling
from course_lib.tabular import AllPairs, TabularRun, train_tabular
from course_lib.worlds import World, five_responses, random_world

BETAS = {0.01: ":", 0.1: "--", 0.5: "-.", 1.0: "-"}
RATES = {"SGD": 3.0, "Adam": 0.05}  # learning rates of the chapter


def pair_slopes(slope: Callable = dpo_slope) -> Scene:
    """Loss and slope of one pair against its gap, for four β.

    slope: slope(gap, beta), the function to draw on the right
    slider: gap, h in nats, within −10 to 30
    """
    grid = torch.linspace(-10, 30, 401, dtype=torch.float64)

    @in_language
    def setup(figure: Figure) -> tuple[Axes, Axes]:
        figure.set_size_inches(6.5, 3.9)
        left, right = figure.subplots(1, 2)
        headline(
            figure,
            "A large β pushes hardest at first, and lets go first",
            "One pair; h > 0: it is in the right order. Each line is named by its β.",
        )
        for axis in (left, right):
            axis.set(xlim=(-10, 30), xlabel="gap h, nats")
        left.set(title="Loss, nats", ylim=(0, 3))
        right.set(title="Push |dL/dh|", ylim=(1e-5, 2), yscale="log")
        for beta, line in BETAS.items():
            style = {"ls": line, "color": beta_color(beta)}
            left.plot(grid, -F.logsigmoid(beta * grid), **style)
            right.plot(grid, slope(grid, beta), **style)
        left.axhline(math.log(2), color=REFERENCE, lw=1, ls=":")
        name(left, 30, 0.80, "ln 2: no opinion", QUIET, at=(0, 0), ha="right")
        for beta, x, y, below in ((0.01, 30, 4e-3, -9), (0.1, 24, 1e-2, 9)):
            words = f"β = {beta:g}", beta_color(beta)
            name(right, x, y, *words, at=(0, below), ha="right" if x == 30 else "left")
        for beta, x, y in ((0.5, 19, 1e-4), (1.0, 9.4, 1e-4)):
            name(right, x, y, f"{beta:g}", beta_color(beta))
        return left, right

    @in_language
    def draw(axes: tuple[Axes, Axes], gap: float) -> str:
        left, right = axes
        here = torch.tensor([gap], dtype=torch.float64)
        pushes = {beta: float(slope(here, beta)[0]) for beta in BETAS}
        for axis in axes:
            axis.axvline(gap, color=REFERENCE, lw=1)
        for beta, push in pushes.items():
            look = {"color": beta_color(beta), "ms": 8, "clip_on": True}
            dot(left, gap, float(-F.logsigmoid(beta * here)), **look)
            dot(right, gap, max(push, 1e-5), **look)
        first = max(pushes, key=pushes.get)
        chances = ", ".join(f"{1 / (1 + math.exp(-b * gap)):.2f}" for b in BETAS)
        listed = ", ".join(f"{push:.4f}" for push in pushes.values())
        return (
            f"At a gap of {gap:g} nats the pushes are {listed} for β = 0.01, 0.1, 0.5, "
            f"1: β = {first:g} pushes hardest. σ(βh) says {chances}."
        )

    return Scene(draw, setup)


def slope_against_beta(steepest: Callable = steepest_beta) -> Scene:
    """The push on one pair against β, its gap held still.

    steepest: steepest(gap), where the dotted line is drawn for a gap > 0
    slider: gap, h in nats, within −10 to 30
    """
    betas = torch.logspace(-2, 1, 301, dtype=torch.float64)
    title = "Above a gap of 0, more β is more push only up to u/h"
    x, y = ("β (reward per nat)", 0.01, 10), ("push |dL/dh| on one pair", 1e-4, 15)
    around = panel(title, x, y, xscale="log", yscale="log")

    def still(axis: Axes):
        axis.plot(betas, betas / 2, "--", color=GREY)
        axis.text(0.02, 0.016, "β/2, the push at h = 0", color=GREY, rotation=19)

    def draw(axis: Axes, gap: float) -> str:
        here = torch.tensor([gap], dtype=torch.float64)
        push = betas * torch.sigmoid(-betas * gap)
        axis.plot(betas, push, color=BLUE)
        if gap <= 0:
            return (
                f"At a gap of {gap:g} nats the curve rises without end: from "
                f"{float(push[0]):.4f} at β = 0.01 to {float(push[-1]):.2f} at β = 10, "
                "more β is more push."
            )
        top = float(steepest(here)[0])
        height = float(dpo_slope(here, top)[0])
        axis.axvline(top, ls=":", color=ORANGE)
        axis.plot(top, height, "o", color=ORANGE, ms=8)
        return (
            f"At a gap of {gap:g} nats the marked point, β = {top:.3f}, gives a push "
            f"of {height:.4f}; β = 10 gives {float(push[-1]):.2g}."
        )

    return Scene.of(draw, around, still=still)


def push_and_rest(probability: float = 0.8) -> Scene:
    """One curve, two faces: the expected push on a pair against its gap.

    probability: P, the chance that the first answer is preferred
    slider: beta
    """
    grid = torch.linspace(0, 40, 401, dtype=torch.float64)
    log_odds = math.log(probability / (1 - probability))
    title = "The curve that starts higher ends sooner"
    x = "gap h of the pair (nats)", -1, 40
    y = "expected push β (P − σ(βh))", -0.12, 0.33

    def push(gap: Tensor, beta: float) -> Tensor:
        return beta * (probability - torch.sigmoid(beta * gap))

    def still(axis: Axes):
        for beta in (0.05, 0.1, 0.2, 0.5, 1.0):
            axis.plot(grid, push(grid, beta), color=GREY, lw=0.8)
        axis.axhline(0, color=GREY, lw=1)
        axis.plot([], [], color=BLUE, label="this β")
        axis.plot([], [], color=GREY, lw=0.8, label="other β: 0.05, 0.1, 0.2, 0.5, 1")
        axis.plot([], [], "o", color=ORANGE, ms=8, label="face one: push at the start")
        axis.plot([], [], "s", color=ORANGE, ms=8, label="face two: the pair at rest")
        axis.legend(loc="upper right")

    def draw(axis: Axes, beta: float) -> str:
        start, rest = beta * (probability - 0.5), log_odds / beta
        axis.plot(grid, push(grid, beta), color=BLUE)
        axis.plot(0, start, "o", color=ORANGE, ms=8)
        if rest <= 40:
            axis.plot(rest, 0, "s", color=ORANGE, ms=8)
        where = "at" if rest <= 40 else "outside the picture at"
        return (
            f"With β = {beta:g} and P = {probability:g} the push begins at "
            f"{start:.3f} and comes to rest {where} h = {rest:.2f} nats."
        )

    return Scene.of(draw, panel(title, x, y), still=still)


@in_language
def paths(runs: dict[str, TabularRun], betas: Sequence[float]) -> Picture:
    """KL from the reference against the training step, a panel for each optimiser.

    runs: by the optimiser's name; each of one world, with records from step 1 on
    betas: those of the runs
    """
    figure = Figure(figsize=(6.5, 3.7))
    panels = figure.subplots(1, len(runs), sharey=True)
    headline(
        figure,
        "SGD shows both faces of β, one after the other",
        "KL(π‖π_ref) in nats against the training step. Each line is named by its β.",
    )
    told = []
    for axis, (optimiser, run) in zip(panels, runs.items(), strict=True):
        for column, beta in enumerate(betas):
            axis.plot(run.steps, run.kl[:, column], color=beta_color(beta))
        axis.set(xscale="log", xlabel="training step", ylim=(0, 1.5))
        axis.set_title(f"{optimiser}, learning rate {RATES[optimiser]:g}")
        told.append(
            f"{optimiser}: after {run.steps[0]} step(s) β = {betas[-1]:g} is at "
            f"{run.kl[0, -1]:.4f} nats and β = {betas[0]:g} at {run.kl[0, 0]:.4f}, "
            f"after {run.steps[-1]} at {run.kl[-1, -1]:.3f} and {run.kl[-1, 0]:.3f}"
        )
    last = [float(kl) for kl in run.kl[-1]]
    ends = zip(last, betas, strict=True)
    names(
        panels[-1],
        [(run.steps[-1], kl, f"β = {beta:g}", beta_color(beta)) for kl, beta in ends],
        gap=0.1,
    )
    return Picture(figure, "; ".join(told) + ".")


def destination(
    betas: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0),
    steps: Sequence[int] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
) -> Scene:
    """Where training stands, and where it is bound for, in the world of five answers.

    betas, steps: what the sliders offer; both optimisers are trained when it is made
    sliders: beta; optimiser, "SGD" or "Adam"; step, one of `steps`
    """
    world = five_responses()
    runs = {
        name: train_tabular(world, betas, optimiser=name, lr=rate, steps=steps)
        for name, rate in RATES.items()
    }
    rows = range(len(world.names))
    x, y = ("training step", 0.8, steps[-1] * 1.4), ("KL(π‖π_ref) (nats)", 5e-5, 3)
    left = _shares("The policy on its way", world, -0.6, 4.6)
    right = panel("Its distance, among all β", x, y, xscale="log", yscale="log")

    def still(axes: tuple[Axes, Axes]):
        left, _ = axes
        _outlines(left, world, label="reference")
        left.bar([-9], [0], 0.55, color=BLUE, label="now")
        left.plot([-9], [0], "D", color=ORANGE, ms=7, label="destination")
        left.legend(loc="upper right")

    def draw(axes: tuple[Axes, Axes], beta: float, optimiser: str, step: int) -> str:
        left, right = axes
        run, column, record = runs[optimiser], betas.index(beta), steps.index(step)
        goal = optimal_policy(world.ref, world.rewards, beta)
        far = float(kl_divergence(goal, world.ref))
        left.bar(rows, run.policy[record, column].tolist(), 0.55, color=BLUE)
        left.plot(rows, goal, "D", color=ORANGE, ms=7)
        right.plot(run.steps, run.kl, color=GREY, lw=0.8)
        right.plot(run.steps, run.kl[:, column], color=BLUE)
        right.axhline(far, ls="--", color=ORANGE, lw=1.2)
        right.plot(step, run.kl[record, column], "o", color=BLUE, ms=8)
        order = int((run.kl[record] > run.kl[record, column]).sum())
        return (
            f"{optimiser}, β = {beta:g}, step {step}: KL {run.kl[record, column]:.4f} "
            f"of {far:.4f} nats at the destination; {order} of the {len(betas) - 1} "
            "other β are farther from the reference. The best answer has "
            f"{run.policy[record, column, 1]:.1%}."
        )

    return Scene.of(draw, left, right, still=still, height=3.3)


def _shares(title: str, world: World, *ends: float) -> dict:
    """A panel of probabilities, one for each answer."""
    x, y = ("answer", *ends), ("probability", 0, 1.05)
    return panel(title, x, y, xnames=world.names)


def _outlines(axis: Axes, world: World, **more: str):
    """The reference's probabilities, to be filled."""
    style = {"color": "none", "edgecolor": GREY, **more}
    axis.bar(range(len(world.names)), world.ref.tolist(), 0.8, **style)


def training_log() -> Scene:
    """Loss, gap and accuracy of one exact run, with the bounds that each must keep.

    sliders: beta; lr; optimiser, "SGD" or "Adam"; steps, how many; seed, of the world
    """
    x = "share of the run", 0, 1
    panels = (
        panel("Loss and its floor", x, ("nats", 0, 1.05)),
        panel("Mean margin βh", x, ("reward", 0, 3)),
        panel("Accuracy, its ceiling", x, ("share of labels", 0.4, 1.02)),
    )

    def still(axes: tuple[Axes, ...]):
        axes[0].axhline(math.log(2), color=GREY, lw=0.8)

    def draw(
        axes: tuple[Axes, ...],
        beta: float,
        lr: float,
        optimiser: str,
        steps: int,
        seed: int,
    ) -> str:
        world, steps = random_world(int(seed)), int(steps)
        records = sorted({round(steps * i / 60) for i in range(61)})
        run = train_tabular(world, [beta], optimiser=optimiser, lr=lr, steps=records)
        best = optimal_policy(world.ref, world.rewards, beta)
        pairs = AllPairs(world.ref, world.rewards)
        floor = float(pairs.loss(best.log(), torch.tensor(beta)))
        _log(axes, run, beta, (floor, accuracy_ceiling(pairs.wins)))
        return (
            f"World {int(seed)}, {steps} steps of {optimiser}, lr {lr:g}, "
            f"β = {beta:g}: loss 0.693 to {run.loss[-1, 0]:.3f} "
            f"(floor {floor:.3f}), margin 0 to {beta * float(run.gap[-1, 0]):.2f}, "
            f"accuracy 0.50 to {run.accuracy[-1, 0]:.2f}. KL spent "
            f"{run.kl[-1, 0]:.3f} of {kl_divergence(best, world.ref):.3f} nats."
        )

    return Scene.of(draw, *panels, still=still, height=2.9)


def _log(
    axes: tuple[Axes, ...], run: TabularRun, beta: float, bounds: tuple[float, float]
):
    """Loss, margin and accuracy of a run of one β; floor and ceiling are dashed."""
    loss, gap, accuracy = axes
    share = [step / run.steps[-1] for step in run.steps]
    margin = beta * run.gap[:, 0]
    below = F.softplus(-margin)  # Jensen: no mean loss lies under it
    loss.plot(share, run.loss[:, 0].clamp(max=1.05), color=BLUE)
    gap.plot(share, margin.clamp(0, 3), color=BLUE)
    accuracy.plot(share, run.accuracy[:, 0], color=BLUE)
    for axis, bound in zip((loss, accuracy), bounds, strict=True):
        axis.axhline(bound, ls="--", color=ORANGE, lw=1.2)
    loss.plot(share, below.clamp(max=1.05), ":", color=GREY)


def kl_budget(choose: Callable = beta_for_kl) -> Scene:
    """What a budget of nats buys: β, the optimal policy and its reward.

    choose: choose(ref, rewards, kl), which finds β
    slider: kl, the budget in nats, above 0 and below ln 4
    """
    world = five_responses()
    betas = torch.logspace(math.log10(0.03), 1.2, 120, dtype=torch.float64)
    tilted = [optimal_policy(world.ref, world.rewards, float(b)) for b in betas]
    spent = torch.stack([kl_divergence(policy, world.ref) for policy in tilted])
    rows = range(len(world.names))
    x, y = ("β (reward per nat)", 0.03, 15.8), ("KL(π*‖π_ref) (nats)", 0, 1.58)
    left = panel("More β spends less", x, y, xscale="log")
    right = _shares("What it buys", world)

    def still(axes: tuple[Axes, Axes]):
        left, right = axes
        left.plot(betas, spent, color=BLUE)
        left.axhline(math.log(4), ls=":", color=GREY)
        left.text(15, 1.40, "all there is: ln 4", ha="right", va="bottom", color=GREY)
        _outlines(right, world)

    def draw(axes: tuple[Axes, Axes], kl: float) -> str:
        left, right = axes
        beta = float(choose(world.ref, world.rewards, kl))
        policy = optimal_policy(world.ref, world.rewards, beta)
        left.plot([0.03, beta, beta], [kl, kl, 0], ":", color=ORANGE)
        left.plot(beta, kl, "o", color=ORANGE, ms=8)
        right.bar(rows, policy.tolist(), 0.55, color=BLUE)
        return (
            f"A budget of {kl:g} nats asks for β = {beta:.3f}. The policy then spends "
            f"{kl_divergence(policy, world.ref):.4f} nats and earns "
            f"{expected_reward(policy, world.rewards):.3f}; the reference earns 1.475."
        )

    return Scene.of(draw, left, right, still=still)


def smoothed_loss(optimal_gap: Callable = smoothed_optimal_gap) -> Scene:
    """The loss of one pair with smoothed labels at β = 0.1, its lowest point marked.

    optimal_gap: optimal_gap(label_smoothing, beta), where the mark is put
    slider: rate, ε above 0 and at most ½
    """
    grid = torch.linspace(-20, 80, 401, dtype=torch.float64)
    title = "Smoothing gives the gap a place to stop"
    x, y = ("gap h (nats), β = 0.1", -20, 80), ("loss (nats)", 0, 1.6)

    def loss(gap: Tensor, rate: float) -> Tensor:
        margin = 0.1 * gap
        return -(1 - rate) * F.logsigmoid(margin) - rate * F.logsigmoid(-margin)

    def still(axis: Axes):
        axis.plot(grid, loss(grid, 0.0), "--", color=GREY)
        axis.text(30, 0.09, "no smoothing: falls for ever", color=GREY)

    def draw(axis: Axes, rate: float) -> str:
        best = float(optimal_gap(torch.tensor([rate], dtype=torch.float64), 0.1)[0])
        low = float(loss(torch.tensor(best, dtype=torch.float64), rate))
        axis.plot(grid, loss(grid, rate), color=BLUE)
        axis.plot(best, low, "o", color=ORANGE, ms=8, clip_on=False)
        return (
            f"With ε = {rate:g} the curve is lowest at the marked gap of {best:.2f} "
            f"nats, where the loss is {low:.4f}; the dashed one has no lowest point."
        )

    return Scene.of(draw, panel(title, x, y), still=still)
