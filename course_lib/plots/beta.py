"""Chapter 05: what β does at a fixed gap, at the optimum, and on the way there."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.scale import AsinhScale
from torch import Tensor

from course_lib.beta import beta_for_kl, dpo_slope, smoothed_optimal_gap, steepest_beta
from course_lib.plots.marks import beside_bars, dot, name, names, number, percents
from course_lib.plots.palette import (
    DOTTED,
    INK,
    OUTLINE,
    POLICY,
    QUIET,
    REFERENCE,
    beta_color,
)
from course_lib.plots.style import Picture, Scene, panel
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

    x = "gap h, nats", -10, 30

    def still(axes: tuple[Axes, Axes]):
        left, right = axes
        for beta, line in BETAS.items():
            style = {"ls": line, "color": beta_color(beta)}
            left.plot(grid, -F.logsigmoid(beta * grid), **style)
            right.plot(grid, slope(grid, beta), **style)
        left.axhline(math.log(2), color=REFERENCE, lw=1, ls=":")
        name(left, 30, 0.80, "ln 2: unchanged", QUIET, at=(0, 0), ha="right")
        for beta, x, y, below in ((0.01, 30, 4e-3, -9), (0.1, 24, 1e-2, 9)):
            words = f"β = {beta:g}", beta_color(beta)
            name(right, x, y, *words, at=(0, below), ha="right" if x == 30 else "left")
        for beta, x, y in ((0.5, 19, 1e-4), (1.0, 9.4, 1e-4)):
            name(right, x, y, f"{beta:g}", beta_color(beta))

    def draw(axes: tuple[Axes, Axes], gap: float) -> str:
        left, right = axes
        here = torch.tensor([gap], dtype=torch.float64)
        pushes = {beta: float(slope(here, beta)[0]) for beta in BETAS}
        for axis in axes:
            axis.axvline(gap, color=REFERENCE, lw=1)
        for beta, push in pushes.items():
            look = {"color": beta_color(beta), "ms": 8, "clip_on": True, "gid": "gap"}
            dot(left, gap, float(-F.logsigmoid(beta * here)), **look)
            dot(right, gap, max(push, 1e-5), **look)
        first = max(pushes, key=pushes.get)
        chances = ", ".join(f"{1 / (1 + math.exp(-b * gap)):.2f}" for b in BETAS)
        listed = ", ".join(f"{push:.4f}" for push in pushes.values())
        return (
            f"At a gap of {gap:g} nats the pushes are {listed} for β = 0.01, 0.1, 0.5, "
            f"1: β = {first:g} pushes hardest. σ(βh) says {chances}."
        )

    return Scene.of(
        draw,
        panel("Loss, nats", x, (0, 3)),
        panel("Push |dL/dh|", x, (1e-5, 2), yscale="log"),
        still=still,
        says="A large β pushes hardest at first, and lets go first",
        shows="One pair; h > 0: it is in the right order. Each line is named by its β.",
        height=3.9,
    )


def slope_against_beta(steepest: Callable = steepest_beta) -> Scene:
    """The push on one pair against β, its gap held still.

    steepest: steepest(gap), where the point is drawn for a gap > 0
    slider: gap, h in nats, within −10 to 30; the point can be dragged
    """
    betas = torch.logspace(-2, 1, 121, dtype=torch.float64)
    title = "Push |dL/dh|, nats of loss per nat of gap"
    x, y = ("β, reward per nat", 0.01, 10), (1e-4, 15)
    look = {"xscale": "log", "yscale": "log", "xticks": (0.01, 0.1, 1, 10)}
    around = panel(title, x, y, yticks=(1e-4, 1e-3, 0.01, 0.1, 1, 10), **look)

    def still(axis: Axes):
        axis.plot(betas, betas / 2, **DOTTED)
        name(axis, 0.56, 0.28, "β/2, at h = 0", QUIET, at=(9, -6))

    def draw(axis: Axes, gap: float) -> str:
        here = torch.tensor([gap], dtype=torch.float64)
        push = betas * torch.sigmoid(-betas * gap)
        axis.plot(betas, push, color=INK)
        shown = f"h = {number(gap, 'g')}"
        if gap <= 0:
            name(axis, 2, 6, shown, at=(-12, 0), bold=True)
            return (
                f"At a gap of {number(gap, 'g')} nats the curve rises without end: "
                f"from {float(push[0]):.4f} at β = 0.01 to {float(push[-1]):.2f} at "
                "β = 10, more β is more push."
            )
        top = float(steepest(here)[0])
        height = float(dpo_slope(here, top)[0])
        dot(axis, top, height, gid="gap")
        words = f"β = {number(top)}"
        name(axis, top, height, words, at=(0, -16), ha="center", bold=True)
        end = int((push > 1.4e-4).nonzero()[-1])
        name(axis, betas[end], push[end], shown, at=(8, 6), bold=True)
        return (
            f"At a gap of {number(gap, 'g')} nats the marked point, β = {top:.3f}, "
            f"gives a push of {height:.4f}; β = 10 gives {float(push[-1]):.2g}."
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="Once a pair is in the right order, one β pushes it hardest",
        shows="The push on one pair whose gap h you set, against β. ◆ is the hardest.\n"
        "While h is 0 or below, a larger β always pushes harder, and there is no ◆.",
    )


def push_and_rest(probability: float = 0.8) -> Scene:
    """One curve, two faces: the expected push on a pair against its gap.

    probability: P, above ½: the probability that the first answer is preferred
    slider: beta; the point where the pair rests can be dragged
    """
    grid = torch.linspace(0, 40, 161, dtype=torch.float64)
    log_odds = math.log(probability / (1 - probability))
    end, levels = 40.0, (-0.2, -0.1, -0.03, 0, 0.03, 0.1, 0.3)
    x, title = ("gap h, nats", -8, end), "Expected push β (P − σ(βh)), stretched near 0"
    ticks = {level: number(level, "g") for level in levels}
    near = {"yscale": AsinhScale(None, linear_width=0.03), "yticks": ticks}
    around = panel(title, x, (-0.24, 0.36), xticks=range(0, 50, 10), **near)

    def push(gap: Tensor, beta: float) -> Tensor:
        return beta * (probability - torch.sigmoid(beta * gap))

    def still(axis: Axes):
        ends = []
        for beta in (0.05, 0.1, 0.2, 0.5, 1.0):
            curve, violet = push(grid, beta), beta_color(beta)
            axis.plot(grid, curve, color=violet, lw=1)
            dot(axis, log_odds / beta, 0, color=violet, ms=5, mew=0.8)
            ends.append((end, float(curve[-1]), f"β = {beta:g}", violet))
        names(axis, ends, gap=0.014)
        axis.axhline(0, color=REFERENCE, lw=1)

    def draw(axis: Axes, beta: float) -> str:
        start, rest = beta * (probability - 0.5), log_odds / beta
        violet, bold = beta_color(beta), {"bold": True, "halo": True}
        axis.plot(grid, push(grid, beta), color=violet)
        dot(axis, 0, start, color=violet, marker="o")
        name(axis, 0, start, f"push {number(start, '.3f')}", violet, at=(-9, 0), **bold)
        if rest <= end:
            dot(axis, rest, 0, color=violet, gid="beta")
            way = (7, 14) if rest < 27 else (0, 16)
            side = "left" if rest < 27 else "right"
            told = f"rests at h = {number(rest)}"
            name(axis, rest, 0, told, violet, at=way, ha=side, **bold)
        where = "at" if rest <= end else "outside the picture at"
        return (
            f"With β = {beta:g} and P = {probability:g} the push begins at "
            f"{start:.3f} and comes to rest {where} h = {rest:.2f} nats."
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="A larger β pushes harder at first and rests at a smaller gap",
        shows=f"One pair whose first answer is preferred with P = {probability:g}, "
        "against its gap. Thick: your β.\n● the push at the start, ◆ the gap at which "
        "the pair rests. Below 0 the gap shrinks.",
    )


def paths(runs: dict[str, TabularRun], betas: Sequence[float]) -> Picture:
    """KL from the reference against the training step, a panel for each optimiser.

    runs: by the optimiser's name; each of one world, with records from step 1 on
    betas: those of the runs
    """

    def draw(axes: tuple[Axes, ...]) -> str:
        told = []
        for axis, (optimiser, run) in zip(axes, runs.items(), strict=True):
            ends = []
            for column, beta in enumerate(betas):
                curve, violet = run.kl[:, column], beta_color(beta)
                axis.plot(run.steps, curve, color=violet)
                ends.append((run.steps[-1], float(curve[-1]), f"β = {beta:g}", violet))
            told.append(
                f"{optimiser}: after {run.steps[0]} step(s) β = {betas[-1]:g} is at "
                f"{run.kl[0, -1]:.4f} nats and β = {betas[0]:g} at {run.kl[0, 0]:.4f}, "
                f"after {run.steps[-1]} at {run.kl[-1, -1]:.3f} and {run.kl[-1, 0]:.3f}"
            )
        names(axis, ends, gap=0.1)
        return "; ".join(told) + "."

    x, y = ("training step",), (0, 1.5)
    titles = [f"{optimiser}, learning rate {RATES[optimiser]:g}" for optimiser in runs]
    return Picture.of(
        draw,
        *[panel(title, x, y, xscale="log") for title in titles],
        sharey=True,
        says="With SGD a large β leads first, and a small β in the end",
        shows="KL(π‖π_ref) in nats against the training step. Each line is named by "
        "its β.",
        height=3.7,
    )


def destination(
    betas: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0),
    steps: Sequence[int] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
) -> Scene:
    """Where training is, and where it is bound for, in the world of five answers.

    betas, steps: what the sliders offer; both optimisers are trained when it is made
    sliders: beta; optimiser, "SGD" or "Adam"; step, one of `steps`, by drag too
    """
    world = five_responses()
    runs = {
        name: train_tabular(world, betas, optimiser=name, lr=rate, steps=steps)
        for name, rate in RATES.items()
    }
    rows = range(len(world.names))
    last = steps[-1]
    counts = {10**k: number(10**k, ",") for k in range(4) if 10**k <= last}
    look = {"xscale": "log", "xticks": counts, "yticks": (0, 0.5, 1, 1.5)}

    def draw(axes: tuple[Axes, Axes], beta: float, optimiser: str, step: int) -> str:
        left, right = axes
        run, column, record = runs[optimiser], betas.index(beta), steps.index(step)
        goal = optimal_policy(world.ref, world.rewards, beta)
        far = float(kl_divergence(goal, world.ref))
        left.bar(rows, run.policy[record, column].tolist(), 0.5, color=POLICY)
        for row, height in zip(rows, goal.tolist(), strict=True):
            dot(left, row, height, ms=7, mew=1)
        right.plot([0.8, last], [far, far], color=INK, lw=1.2)
        name(right, 0.8, far, "π* of this β", at=(3, 7))
        _ways(right, run, betas, column)
        dot(right, step, float(run.kl[record, column]), "policy", gid="step")
        order = int((run.kl[record] > run.kl[record, column]).sum())
        return (
            f"{optimiser}, β = {beta:g}, step {step}: KL {run.kl[record, column]:.4f} "
            f"of {far:.4f} nats at the destination; {order} of the {len(betas) - 1} "
            "other β are farther from the reference. The best answer has "
            f"{run.policy[record, column, 1]:.1%}."
        )

    return Scene.of(
        draw,
        _shares("Probability", world),
        panel("KL(π‖π_ref), nats", ("training step", 0.8, last * 9), (0, 1.5), **look),
        still=lambda axes: _outlines(axes[0], world),
        says="A large β heads for a nearer place and arrives in fewer steps",
        shows="Green: the policy at this step. ◆: π*, its destination. Outline: the "
        "reference.\nRight: its way, thick, among those of the other β.",
        height=3.8,
        width_ratios=(4, 5),
    )


def _ways(axis: Axes, run: TabularRun, betas: Sequence[float], column: int):
    """The KL of every β along a run; that of one column is thick."""
    ends = []
    for at, beta in enumerate(betas):
        thick, color = at == column, beta_color(beta)
        axis.plot(run.steps, run.kl[:, at], color=color, lw=2.2 if thick else 1)
        told = f"β = {beta:g}" if thick else f"{beta:g}"
        ends.append((run.steps[-1], float(run.kl[-1, at]), told, color))
    names(axis, ends, gap=0.1)


def _shares(title: str, world: World) -> dict:
    """A panel of probabilities, one for each answer."""
    ticks, names = {0: "0", 0.5: "0.5", 1: "1"}, world.names
    below = "answer", *beside_bars(len(names), 0.8)
    return panel(title, below, (0, 1.08), xnames=names, yticks=ticks)


def _outlines(axis: Axes, world: World):
    """The reference's probabilities, to be filled."""
    axis.bar(range(len(world.names)), world.ref.tolist(), 0.8, **OUTLINE)


def training_log() -> Scene:
    """Loss, gap and accuracy of one exact run, with the bounds that each must keep.

    sliders: beta; lr; optimiser, "SGD" or "Adam"; steps, how many; seed, of the world
    """
    x = "share of the run", 0, 1
    ticks = {"xticks": percents(0, 0.5, 1)}
    shares = percents(0.5, 0.75, 1)

    def still(axes: tuple[Axes, ...]):
        for axis, start in zip(axes, (math.log(2), 0, 0.5), strict=True):
            dot(axis, 0, start, "reference", ms=7, zorder=3)
            axis.tick_params(axis="y", pad=8)  # room for it
        name(axes[0], 0, math.log(2), "ln 2", QUIET, at=(5, 10))

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

    return Scene.of(
        draw,
        panel("Loss, nats", x, (0, 1.05), yticks=(0, 0.5, 1), **ticks),
        panel("Mean margin βh, reward", x, (0, 3), yticks=(0, 1, 2, 3), **ticks),
        panel("Accuracy", x, (0.4, 1.02), yticks=shares, **ticks),
        still=still,
        says="No run goes below its floor or above its ceiling",
        shows="Green: means over all pairs, at each step of one run. □: the start.\n"
        "Dotted: the loss of the mean margin, which the mean loss is never below.",
    )


def _log(
    axes: tuple[Axes, ...], run: TabularRun, beta: float, bounds: tuple[float, float]
):
    """Loss, margin and accuracy of a run of one β, with its floor and its ceiling."""
    share = [step / run.steps[-1] for step in run.steps]
    margin = beta * run.gap[:, 0]
    below = F.softplus(-margin).clamp(max=1.05)  # Jensen: no mean loss lies under it
    curves = run.loss[:, 0].clamp(max=1.05), margin.clamp(0, 3), run.accuracy[:, 0]
    axes[0].plot(share, below, **DOTTED)
    for axis, curve in zip(axes, curves, strict=True):
        axis.plot(share, curve, color=POLICY)
    floor, ceiling = bounds
    for axis, bound in ((axes[0], floor), (axes[2], ceiling)):
        axis.axhline(bound, color=INK, lw=1.2)
    right = {"ha": "right", "halo": True}
    told = (floor, "floor", INK), (float(below[-1]), "of the mean margin", QUIET)
    ends = [(1, max(0.06, y - 0.06), *words) for y, *words in told]
    names(axes[0], ends, gap=0.11, at=(0, 0), **right)
    name(axes[2], 1, ceiling, "ceiling", at=(0, 9), **right)


def kl_budget(choose: Callable = beta_for_kl) -> Scene:
    """What a budget of nats buys: β, the optimal policy and its reward.

    choose: choose(ref, rewards, kl), which finds β
    slider: kl, the budget in nats, above 0 and below ln 4; the point can be dragged
    """
    world = five_responses()
    betas = torch.logspace(math.log10(0.03), 1.2, 120, dtype=torch.float64)
    tilted = [optimal_policy(world.ref, world.rewards, float(b)) for b in betas]
    spent = torch.stack([kl_divergence(policy, world.ref) for policy in tilted])
    rows, ticks = range(len(world.names)), (0.05, 0.1, 0.5, 1, 5, 10)
    x, y = ("β, reward per nat", 0.03, 15.8), (0, 1.62)
    look = {"xscale": "log", "xticks": ticks, "yticks": (0, 0.5, 1)}
    left = panel("KL(π*‖π_ref), nats", x, y, **look)
    right = _shares("Probability of each answer", world)

    def still(axes: tuple[Axes, Axes]):
        left, right = axes
        left.plot(betas, spent, color=INK)
        left.axhline(math.log(4), lw=1, **DOTTED)
        all_ = "ln 4: all that can be spent"
        name(left, 15.8, math.log(4), all_, QUIET, at=(0, 9), ha="right")
        _outlines(right, world)

    def draw(axes: tuple[Axes, Axes], kl: float) -> str:
        left, right = axes
        beta = float(choose(world.ref, world.rewards, kl))
        policy = optimal_policy(world.ref, world.rewards, beta)
        left.plot([0.03, beta, beta], [kl, kl, 0], color=REFERENCE, lw=1.2)
        dot(left, beta, kl, gid="kl")
        y, words = kl, {"at": (9, 7)}
        if kl > 1.1:  # there the limit is in the way
            y, words = 0, {"at": (7, 12)}
        elif kl < 0.04:  # there the panel ends
            words = {"at": (0, 16), "ha": "center"}
        name(left, beta, y, f"β = {number(beta)}", bold=True, **words, halo=True)
        right.bar(rows, policy.tolist(), 0.5, color=INK)
        return (
            f"A budget of {kl:g} nats asks for β = {beta:.3f}. The policy then spends "
            f"{kl_divergence(policy, world.ref):.4f} nats and earns "
            f"{expected_reward(policy, world.rewards):.3f}; the reference earns 1.475."
        )

    return Scene.of(
        draw,
        left,
        right,
        still=still,
        says="The more nats you may spend, the smaller the β to choose",
        shows="Left: what the best policy spends at each β; ◆ is your budget.\n"
        "Right: that policy (solid) and the reference (outlines).",
    )


def smoothed_loss(optimal_gap: Callable = smoothed_optimal_gap) -> Scene:
    """The loss of one pair with smoothed labels at β = 0.1, its lowest point marked.

    optimal_gap: optimal_gap(label_smoothing, beta), where the mark is put
    slider: rate, ε above 0 and at most ½; the lowest point can be dragged
    """
    grid = torch.linspace(-20, 80, 201, dtype=torch.float64)
    x, y = ("gap h, nats", -20, 80), (0, 1.6)
    around = panel("Loss of one pair at β = 0.1, nats", x, y, yticks=(0, 0.5, 1, 1.5))

    def loss(gap: Tensor, rate: float) -> Tensor:
        margin = 0.1 * gap
        return -(1 - rate) * F.logsigmoid(margin) - rate * F.logsigmoid(-margin)

    def still(axis: Axes):
        axis.plot(grid, loss(grid, 0.0), **DOTTED)
        name(axis, -9.5, 1.24, "ε = 0: falls without end", QUIET, at=(9, 0))

    def draw(axis: Axes, rate: float) -> str:
        best = float(optimal_gap(torch.tensor([rate], dtype=torch.float64), 0.1)[0])
        low = float(loss(torch.tensor(best, dtype=torch.float64), rate))
        axis.plot(grid, loss(grid, rate), color=INK)
        dot(axis, best, low, gid="rate")
        told = f"ε = {rate:.3g}: h = {number(best)}"
        high = low > 0.35  # there the dotted line is in the way
        words = {"at": (-6, -16)} if high else {"at": (0, 15), "ha": "center"}
        name(axis, best, low, told, bold=True, **words, halo=True)
        return (
            f"With ε = {rate:g} the curve is lowest at the marked gap of {best:.2f} "
            f"nats, where the loss is {low:.4f}; the dotted one has no lowest point."
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="Smoothed labels give the gap a finite place to stop",
        shows="Solid: with a share ε of labels believed to be flipped. Dotted: none.\n"
        "◆ is the lowest point of the loss, where the gap stops.",
    )
