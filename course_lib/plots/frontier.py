"""Chapter 07: where trained policies stand against the exact limit, and why."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.datasets import Run
from course_lib.plots.style import BLUE, GREY, ORANGE, Picture, Scene, still_figure
from course_lib.policies import expected_reward, frontier, kl_divergence, optimal_policy
from course_lib.training import Log
from course_lib.worlds import World

__all__ = ["blind_loss", "limits", "methods_on_frontier", "one_method", "run_so_far"]

GREEN, PURPLE, OCHRE = "#00795B", "#A8548A", "#8A6D00"
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


def _cross(axis: Axes, runs: list[Run], **style):
    """The mean of some seeds with the full spread, both ways."""
    x, y = ([getattr(run, name) for run in runs] for name in ("kl", "reward"))
    at = sum(x) / len(x), sum(y) / len(y)
    ends = [[[a - min(v)], [max(v) - a]] for a, v in zip(at, (x, y), strict=True)]
    axis.errorbar(*at, xerr=ends[0], yerr=ends[1], elinewidth=1, **style)


def methods_on_frontier(world: World, runs: Sequence[Run]) -> Picture:
    """Every method at every setting of its knob against the exact frontier.

    world: with the reference; runs: of `datasets.shipped_runs("frontier")`
    """
    figure, panels = still_figure(4.0, panels=2)
    for axis, (title, methods) in zip(panels, PANELS, strict=True):
        _curve(world, axis)
        for method in methods:
            name, color, marker = MARKS[method]
            for number, group in enumerate(_by_knob(runs, method).values()):
                style = {"color": color, "marker": marker, "ms": 6, "ls": "none"}
                _cross(axis, group, label=None if number else name, **style)
        axis.set_xscale("function", functions=(np.sqrt, np.square))
        axis.set(xlim=(0, 11.5), ylim=(-0.35, 2.3), xlabel=KL, title=title)
        axis.set_xticks((0, 0.1, 0.5, 1, 2, 4, 7, 11), ("0", ".1", ".5", *"1247", "11"))
        corner = "upper left" if len(methods) == 3 else "lower right"
        axis.legend(loc=corner, frameon=False, fontsize=9)
    panels[0].set_ylabel(REWARD)
    return Picture(figure, _said(runs))


def _said(runs: Sequence[Run]) -> str:
    worst = {
        method: max(sum(r.shortfall for r in g) / len(g) for g in knobs.values())
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

    def setup(figure: Figure) -> Axes:
        figure.set_size_inches(6.5, 3.8)
        axis = figure.subplots()
        _curve(world, axis)
        axis.set(xlim=(-0.3, 12), ylim=(-0.4, 2.4), xlabel=KL, ylabel=REWARD)
        axis.set_title("The exact frontier bounds every run")
        axis.text(9.2, 2.26, "exact limit", ha="right")
        return axis

    def draw(axis: Axes, method: str, beta: float) -> str:
        name, color, marker = MARKS[method]
        best = optimal_policy(world.ref, world.rewards, beta)
        kl = kl_divergence(best, world.ref).mean().item()
        reward = expected_reward(best, world.rewards).mean().item()
        axis.plot(
            [-0.3, 12],
            [reward + beta * (x - kl) for x in (-0.3, 12)],
            "--",
            color=GREY,
            lw=1,
        )
        axis.plot(kl, reward, "o", color="black", ms=8)
        groups = _by_knob(runs, method)
        style = {"color": color, "marker": marker, "ms": 7, "ls": "none"}
        for number, (knob, group) in enumerate(groups.items()):
            _cross(axis, group, **style)
            x, y = (
                sum(getattr(r, k) for r in group) / len(group) for k in ("kl", "reward")
            )
            axis.annotate(
                f"{knob:g}",
                (x, y),
                BESIDE[number % len(BESIDE)],
                textcoords="offset points",
                color=color,
                fontsize=9,
            )
        near = min(groups, key=lambda knob: abs(math.log(knob / beta)))
        lost = sum(r.shortfall for r in groups[near]) / len(groups[near])
        return (
            f"π* at β = {beta:.3g}: reward {reward:.2f} for {kl:.2f} nats, slope β. "
            f"{name}, knob {near:g}, leaves {lost:.2f} of reward at its own KL."
        )

    return Scene(draw, setup)


def blind_loss(
    steps: Sequence[int], runs: dict[float, tuple[Tensor, Tensor]]
) -> Picture:
    """How far a loss is above its floor, and the policy from the optimum, as it trains.

    steps: after which something was measured, > 0; runs: for each β the loss less its
        floor and KL(π‖π*), nats, both (records,), as many as that run has
    """
    figure, panels = still_figure(3.4, panels=2)
    said = []
    for axis, (beta, (excess, distance)) in zip(panels, runs.items(), strict=True):
        seen = steps[: len(excess)]
        axis.plot(seen, distance, color=ORANGE, label="KL(π‖π*)")
        axis.plot(seen, excess, "--", color=BLUE, label="loss above its floor")
        axis.set(xscale="log", yscale="log", ylim=(1e-4, 60), xlabel="steps")
        axis.set_xlim(0.8, 1.2 * steps[-1])
        axis.set_title(f"β = {beta:g}")
        axis.text(1, distance[0] * 1.6, "KL(π‖π*)", color=ORANGE)
        axis.text(1, excess[0] / 8, "loss above\nits floor", color=BLUE)
        said.append(
            f"β = {beta:g}, {seen[-1]} steps: loss {excess[-1]:.4f} above its floor, "
            f"KL(π‖π*) {distance[-1]:.3f} nats"
        )
    panels[0].set_ylabel("nats")
    return Picture(figure, "Trained on all pairs. " + "; ".join(said) + ".")


def limits(runs: Sequence[Run]) -> Picture:
    """What stands between DPO and the optimum: the model, the steps, the pairs.

    runs: of the experiment "limits" in `datasets.shipped_runs("frontier")`
    """
    arms = list(dict.fromkeys(run.arm for run in runs))
    betas = sorted({run.beta for run in runs})
    figure, panels = still_figure(3.2, panels=len(betas))
    said = []
    for axis, beta in zip(panels, betas, strict=True):
        for row, arm in enumerate(arms):
            mine = [r.distance for r in runs if (r.arm, r.beta) == (arm, beta)]
            mean = sum(mine) / len(mine)
            axis.plot(mine, [row] * len(mine), "o", color=BLUE, alpha=0.6)
            axis.plot(mean, row, "|", color="black", ms=16)
            said.append(
                f"{arm} {mean:.2g}" if row else f"β = {beta:g}: {arm} {mean:.2g}"
            )
        axis.set(xscale="log", xlim=(3e-4, 40), title=f"β = {beta:g}")
        axis.set(xlabel="KL(π‖π*) in nats", yticks=range(len(arms)), yticklabels=arms)
        axis.set_ylim(len(arms) - 0.5, -0.5)
    words = "Distance to the optimum after 500 steps, means. " + ", ".join(said) + "."
    return Picture(figure, words)


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

    def setup(figure: Figure) -> tuple[Axes, ...]:
        figure.set_size_inches(6.5, 3.0)
        loss, ratios, accuracy = figure.subplots(1, 3)
        for axis in (loss, ratios, accuracy):
            axis.set(xlim=(0, 10 * count), xlabel="steps")
        loss.axhline(math.log(2), color=GREY, lw=0.8)
        top = float(smooth["loss"].max())
        loss.set(ylim=(0, max(0.75, 1.1 * top)), title="loss (nats)")
        low, high = float(sides.min()), float(sides.max())
        room = 0.15 * (high - low) + 0.05
        ratios.axhline(0, color=GREY, lw=0.8)
        ratios.set(ylim=(low - room, high + room), title="log-ratios (nats)")
        accuracy.axhline(0.5, color=GREY, lw=0.8)
        accuracy.set(ylim=(0.3, 1), title="accuracy")
        return loss, ratios, accuracy

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

    return Scene(draw, setup)
