"""Chapter 07: where trained policies stand against the exact limit, and why."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.datasets import Run
from course_lib.metrics import exact_metrics
from course_lib.plots.style import (
    BLUE,
    GREEN,
    GREY,
    OCHRE,
    ORANGE,
    PURPLE,
    Picture,
    Scene,
    panel,
)
from course_lib.policies import frontier, optimal_policy
from course_lib.training import Log
from course_lib.worlds import World

MARKS = {  # method: name, colour, marker
    "best_of_n": ("best of n", GREY, "D"),
    "ppo": ("PPO, true reward", GREEN, "^"),
    "ppo_learned": ("PPO, learned reward", PURPLE, "v"),
    "dpo": ("DPO", BLUE, "o"),
    "ipo": ("IPO", OCHRE, "s"),
    "kto": ("KTO", ORANGE, "P"),
    "orpo": ("ORPO", OCHRE, "X"),
    "simpo": ("SimPO", PURPLE, "<"),
    "sft": ("SFT on chosen", BLUE, "*"),
}
PANELS = (
    ("With a reference, or no training", tuple(MARKS)[:6]),
    ("Without a reference", tuple(MARKS)[6:]),
)
BESIDE = ((8, -10), (6, 7), (-20, 8), (8, -10))  # where a mark's knob is written
KL = "KL from the reference (nats)"
REWARD = "expected reward"


def _by_knob(runs: Sequence[Run], method: str) -> dict[float, list[Run]]:
    mine = sorted((r for r in runs if r.method == method), key=lambda r: r.beta)
    return {k: list(g) for k, g in itertools.groupby(mine, lambda r: r.beta)}


def _curve(world: World, axis: Axes):
    """The exact frontier, means over prompts: nothing can lie above it."""
    points = frontier(world.ref, world.rewards, torch.logspace(-1.6, 1.5, 120).tolist())
    axis.plot(points.kl.mean(0), points.expected_reward.mean(0), color="black", lw=1.2)


def _mean(runs: Sequence[Run], field: str) -> float:
    return sum(getattr(run, field) for run in runs) / len(runs)


def _cross(axis: Axes, runs: list[Run], method: str, **more):
    """The mean of some seeds with the full spread, both ways."""
    _, color, marker = MARKS[method]
    bars = {}
    for name, field in (("xerr", "kl"), ("yerr", "reward")):
        values, mean = [getattr(run, field) for run in runs], _mean(runs, field)
        bars[name] = [[mean - min(values)], [max(values) - mean]]
    style = {"color": color, "marker": marker, "ls": "none", "elinewidth": 1}
    axis.errorbar(_mean(runs, "kl"), _mean(runs, "reward"), **bars, **style, **more)


def methods_on_frontier(world: World, runs: Sequence[Run]) -> Picture:
    """Every method at every setting of its knob against the exact frontier.

    world: with the reference; runs: of `datasets.shipped_runs("frontier")`
    """

    def draw(axes: tuple[Axes, ...]) -> str:
        for axis, (_, methods) in zip(axes, PANELS, strict=True):
            _curve(world, axis)
            for method in methods:
                for number, group in enumerate(_by_knob(runs, method).values()):
                    name = None if number else MARKS[method][0]
                    _cross(axis, group, method, ms=6, label=name)
            axis.set_xscale("function", functions=(np.sqrt, np.square))
            axis.set_xlim(0, 11.5)
            labels = ("0", ".1", ".5", *"1247", "11")
            axis.set_xticks((0, 0.1, 0.5, 1, 2, 4, 7, 11), labels)
            corner = "upper left" if len(methods) == 3 else "lower right"
            axis.legend(loc=corner, fontsize=9)
        axes[0].set_ylabel(REWARD)
        return _said(runs)

    panels = [panel(title, (KL,), ("", -0.35, 2.3)) for title, _ in PANELS]
    return Picture.of(draw, *panels, height=4.0)


def _said(runs: Sequence[Run]) -> str:
    worst = {
        method: max(_mean(group, "shortfall") for group in knobs.values())
        for method in MARKS
        if (knobs := _by_knob(runs, method))
    }
    listed = ", ".join(f"{MARKS[m][0]} {lost:.2f}" for m, lost in worst.items())
    return (
        "Reward against KL. A black curve is the exact limit; marks are means over "
        f"seeds. The most that a method leaves at its own KL: {listed}."
    )


def one_method(world: World, runs: Sequence[Run]) -> Scene:
    """One method's runs, the optimum at a β, and the line of slope β through it.

    sliders: method, a name of MARKS; beta, of the optimum, within 0.05 to 2
    """
    title = "The exact frontier bounds every run"
    around = panel(title, (KL, -0.3, 12), (REWARD, -0.4, 2.4))

    def still(axis: Axes):
        _curve(world, axis)
        axis.text(9.2, 2.26, "exact limit", ha="right")

    def draw(axis: Axes, method: str, beta: float) -> str:
        name, color, _ = MARKS[method]
        best = optimal_policy(world.ref, world.rewards, beta)
        exact = exact_metrics(world, best, beta)
        kl, reward = exact["kl"], exact["reward"]
        line = [reward + beta * (x - kl) for x in (-0.3, 12)]
        axis.plot([-0.3, 12], line, "--", color=GREY, lw=1)
        axis.plot(kl, reward, "o", color="black", ms=8)
        groups = _by_knob(runs, method)
        beside = {"textcoords": "offset points", "color": color, "fontsize": 9}
        for number, (knob, group) in enumerate(groups.items()):
            _cross(axis, group, method, ms=7)
            at = _mean(group, "kl"), _mean(group, "reward")
            axis.annotate(f"{knob:g}", at, BESIDE[number % len(BESIDE)], **beside)
        near = min(groups, key=lambda knob: abs(math.log(knob / beta)))
        lost = _mean(groups[near], "shortfall")
        return (
            f"π* at β = {beta:.3g}: reward {reward:.2f} for {kl:.2f} nats, slope β. "
            f"{name}, knob {near:g}, leaves {lost:.2f} of reward at its own KL."
        )

    return Scene.of(draw, around, still=still, height=3.8)


def blind_loss(
    steps: Sequence[int], runs: dict[float, tuple[Tensor, Tensor]]
) -> Picture:
    """How far a loss is above its floor, and the policy from the optimum, as it trains.

    steps: after which something was measured, > 0; runs: for each β the loss less its
        floor and KL(π‖π*), nats, both (records,), as many as that run has
    """

    def draw(axes: tuple[Axes, ...]) -> str:
        said = []
        for axis, (beta, (excess, distance)) in zip(axes, runs.items(), strict=True):
            seen = steps[: len(excess)]
            axis.plot(seen, distance, color=ORANGE)
            axis.plot(seen, excess, "--", color=BLUE)
            axis.text(1, distance[0] * 1.6, "KL(π‖π*)", color=ORANGE)
            axis.text(1, excess[0] / 8, "loss above\nits floor", color=BLUE)
            said.append(
                f"β = {beta:g}, {seen[-1]} steps: loss {excess[-1]:.4f} above its "
                f"floor, KL(π‖π*) {distance[-1]:.3f} nats"
            )
        axes[0].set_ylabel("nats")
        return f"Trained on all pairs. {'; '.join(said)}."

    x, scales = ("steps", 0.8, 1.2 * steps[-1]), {"xscale": "log", "yscale": "log"}
    panels = [panel(f"β = {b:g}", x, ("", 1e-4, 60), **scales) for b in runs]
    return Picture.of(draw, *panels, height=3.4)


def limits(runs: Sequence[Run]) -> Picture:
    """What stands between DPO and the optimum: the model, the steps, the pairs.

    runs: of the experiment "limits" in `datasets.shipped_runs("frontier")`
    """
    arms = list(dict.fromkeys(run.arm for run in runs))
    betas = sorted({run.beta for run in runs})

    def draw(axes: tuple[Axes, ...]) -> str:
        said = []
        for axis, beta in zip(axes, betas, strict=True):
            for row, arm in enumerate(arms):
                mine = [r for r in runs if (r.arm, r.beta) == (arm, beta)]
                mean = _mean(mine, "distance")
                values = [run.distance for run in mine]
                axis.plot(values, [row] * len(mine), "o", color=BLUE, alpha=0.6)
                axis.plot(mean, row, "|", color="black", ms=16)
                said.append(f"{'' if row else f'β = {beta:g}: '}{arm} {mean:.2g}")
        return f"Distance to the optimum after 500 steps, means. {', '.join(said)}."

    x, y = ("KL(π‖π*) in nats", 3e-4, 40), ("", len(arms) - 0.5, -0.5)
    more = {"xscale": "log", "ynames": arms}
    return Picture.of(draw, *[panel(f"β = {beta:g}", x, y, **more) for beta in betas])


ESTIMATORS = {  # method: name, colour, marker
    "table": ("a table with a prior", GREY, "s"),
    "tilt": ("reward model, tilted", PURPLE, "v"),
    "ppo_learned": ("reward model, PPO", OCHRE, "^"),
    "dpo": ("DPO", BLUE, "o"),
}


def estimators_by_pairs(world: World, runs: Sequence[Run]) -> Picture:
    """How far from π* four estimators end, against the number of their pairs.

    Marks are means over seeds, with their range; the same pairs for all. On the right
    each run was stopped where it was nearest to π*, which nobody can know in practice.

    world: with the reference; runs: of `datasets.shipped_runs("estimators")`
    """
    start = exact_metrics(world, world.ref, runs[0].beta)["distance"]
    counts = list(dict.fromkeys(run.arm for run in runs))
    at = [int(arm.split()[0]) for arm in counts]

    def draw(axes: tuple[Axes, ...]) -> str:
        said = []
        for axis, when in zip(axes, ("end", "best"), strict=True):
            for number, (method, (name, color, mark)) in enumerate(ESTIMATORS.items()):
                mine = [r for r in runs if (r.experiment, r.method) == (when, method)]
                if not mine:
                    continue
                each = [[r.distance for r in mine if r.arm == arm] for arm in counts]
                means = [sum(values) / len(values) for values in each]
                x = [count * 1.06 ** (number - 1.5) for count in at]
                axis.plot(x, means, marker=mark, color=color, label=name)
                axis.vlines(x, [*map(min, each)], [*map(max, each)], color=color)
                if when == "end":
                    ends = f"{means[0]:.2f} → {means[-1]:.3f}"
                    said.append(f"{name} {ends}")
            axis.axhline(start, color=GREY, lw=0.8, ls=":")
        axes[0].set_ylabel("KL(π‖π*) (nats)")
        axes[0].legend(fontsize=9, loc="lower left")
        return (
            f"Distance from π*, from {counts[0]} to {counts[-1]}, at the end of "
            f"training: {'; '.join(said)} nats. Dotted: the reference, where all begin."
        )

    x = "pairs", at[0] / 1.5, at[-1] * 1.5
    titles = "After 500 steps", "Stopped where it was nearest"
    scales = {"xscale": "log", "yscale": "log"}
    panels = [panel(title, x, ("", 0.01, 8), **scales) for title in titles]
    return Picture.of(draw, *panels, height=3.8)


def run_so_far(log: Log) -> Scene:
    """Loss, log-ratios and accuracy of a run, up to a step; means of ten steps.

    log: of a preference method, 40 steps or more
    slider: step, within 20 to the run's last
    """
    history = {name: torch.tensor(values) for name, values in log.history.items()}
    count = len(history["loss"]) // 10
    smooth = {n: v[: 10 * count].view(count, 10).mean(1) for n, v in history.items()}
    steps = 10 * torch.arange(1, count + 1)
    sides = torch.cat((smooth["chosen_logratio"], smooth["rejected_logratio"]))
    low, high = float(sides.min()), float(sides.max())
    room = 0.15 * (high - low) + 0.05
    x, top = ("steps", 0, 10 * count), 1.1 * float(smooth["loss"].max())
    panels = (
        panel("loss (nats)", x, ("", 0, max(0.75, top))),
        panel("log-ratios (nats)", x, ("", low - room, high + room)),
        panel("accuracy", x, ("", 0.3, 1)),
    )

    def still(axes: tuple[Axes, ...]):
        for axis, level in zip(axes, (math.log(2), 0, 0.5), strict=True):
            axis.axhline(level, color=GREY, lw=0.8)

    def draw(axes: tuple[Axes, ...], step: int) -> str:
        loss, ratios, accuracy = axes
        seen = max(2, int(step) // 10)
        upto = slice(0, seen)
        loss.plot(steps[upto], smooth["loss"][upto], color=BLUE)
        ratios.plot(steps[upto], smooth["chosen_logratio"][upto], color=BLUE)
        ratios.plot(steps[upto], smooth["rejected_logratio"][upto], "--", color=ORANGE)
        accuracy.plot(steps[upto], smooth["accuracy"][upto], color=BLUE)
        last = {name: float(values[seen - 1]) for name, values in smooth.items()}
        return (
            f"By step {10 * seen}: loss {last['loss']:.3f}, accuracy "
            f"{last['accuracy']:.2f}; log-ratio of chosen responses "
            f"{last['chosen_logratio']:+.2f}, of rejected ones "
            f"{last['rejected_logratio']:+.2f} (dashed)."
        )

    return Scene.of(draw, *panels, still=still, height=3.0)
