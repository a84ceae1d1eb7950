"""Chapter 07: where trained policies stand against the exact limit, and why."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.scale import FuncScale
from torch import Tensor

from course_lib.datasets import Run
from course_lib.metrics import exact_metrics
from course_lib.plots.marks import THIN, dot, name, names, number, percent, spread
from course_lib.plots.palette import (
    DASHES,
    DOTS,
    DOTTED,
    FAINT,
    INK,
    MARK,
    POLICY,
    QUIET,
    REFERENCE,
    beta_color,
)
from course_lib.plots.style import Picture, Scene, panel
from course_lib.policies import frontier, optimal_policy
from course_lib.training import Log
from course_lib.worlds import World

LOOKS = {  # what a method is told, and how its runs are drawn
    "reward": {"color": INK, "marker": "D"},
    "labels": {"color": POLICY, "marker": "o"},
    "no reference": {"color": POLICY, "marker": "o", "mfc": "white", "mew": 1.6},
}
NEAR, TOP = 3.0, 2.4  # nats, where most runs are, and reward: what one_method shows


class Method(NamedTuple):
    name: str
    knob: str = "β"
    told: str = "labels"

    @property
    def look(self) -> dict:
        return LOOKS[self.told]


METHODS = {
    "best_of_n": Method("best of n", "n", "reward"),
    "ppo": Method("PPO, true reward", told="reward"),
    "ppo_learned": Method("PPO, learned reward"),
    "dpo": Method("DPO"),
    "ipo": Method("IPO", "τ"),
    "kto": Method("KTO"),
    "orpo": Method("ORPO", "λ", "no reference"),
    "simpo": Method("SimPO", told="no reference"),
    "sft": Method("SFT on chosen", "", "no reference"),
}


def _by_knob(runs: Sequence[Run], method: str) -> dict[float, list[Run]]:
    mine = sorted((r for r in runs if r.method == method), key=lambda r: r.beta)
    return {k: list(g) for k, g in itertools.groupby(mine, lambda r: r.beta)}


def _mean(runs: Sequence[Run], field: str) -> float:
    return sum(getattr(run, field) for run in runs) / len(runs)


def _cross(
    axis: Axes, runs: list[Run], field: str, look: dict, reach: float = math.inf
) -> tuple[float, float]:
    """The mean of some seeds with the full spread, to `reach`; returns the mean."""
    at = _mean(runs, "kl"), _mean(runs, field)
    kls, values = ([getattr(run, of) for run in runs] for of in ("kl", field))
    x, y = at
    bars = (
        [min(kls), min(max(kls), reach), math.nan, x, x],
        [y, y, math.nan, min(values), max(values)],
    )
    axis.plot(*bars, color=look["color"], lw=1, zorder=2)
    axis.plot(*at, ls="none", clip_on=False, **({"mec": look["color"]} | look))
    return at


def methods_on_frontier(runs: Sequence[Run]) -> Picture:
    """What every method leaves below the exact frontier, at every setting of its knob.

    runs: of the experiment "frontier" in `datasets.shipped_runs("frontier")`
    """
    groups = {method: [*_by_knob(runs, method).values()] for method in METHODS}

    def draw(axes: tuple[Axes, ...]) -> str:
        for axis, method in zip(axes, METHODS, strict=True):
            _below(axis, groups, method)
        worst = [
            f"{METHODS[method].name} {max(_mean(g, 'shortfall') for g in mine):.2f}"
            for method, mine in groups.items()
            if mine
        ]
        return (
            "Nine panels of reward below the exact limit against KL; marks are means "
            "over seeds. The most that a method leaves at its own KL: "
            f"{', '.join(worst)}."
        )

    roots = FuncScale(None, (lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    lows = {low: number(-low, "g") for low in (0.1, 0.5, 1, 2)}
    look = {"xscale": roots, "yscale": roots, "yticks": {0: "limit"} | lows}
    kls = {kl: f"{kl:g}" for kl in (0, 0.5, 2, 5, 10)}
    upper = panel("", ("", 0, 11.5), (2.6, 0), xticks=(), **look)
    lowest = panel("", ("KL, nats", 0, 11.5), (2.6, 0), xticks=kls, **look)
    return Picture.of(
        draw,
        *[upper] * 6,
        *[lowest] * 3,
        mosaic="abc;def;ghi",
        sharey=True,
        says="Past 2 nats, only methods told the true reward stay near the limit",
        shows="Reward below the exact limit at the same KL, against KL from the "
        "reference in nats.\nA mark: the mean of a setting’s seeds; bars: all of them; "
        "pale: the other methods.\n◆ told the true reward    ● learns from labels    "
        "○ and uses no reference",
        height=5.7,
    )


def _below(axis: Axes, groups: dict[str, list[list[Run]]], method: str):
    """One method's reward below the limit against its KL, both on axes of roots."""
    mine, called = groups[method], METHODS[method].name
    look = {"ms": 6} | METHODS[method].look
    axis.tick_params("y", pad=8)  # room for the mark at KL 0
    axis.axhline(0, color=INK, lw=2.4)
    for other in itertools.chain(*groups.values()):
        at = _mean(other, "kl"), _mean(other, "shortfall")
        axis.plot(*at, "o", color=FAINT, ms=5, zorder=1)
    axis.set_title(called[0].upper() + called[1:], color=look["color"])
    spots = [_cross(axis, runs, "shortfall", look) for runs in mine]
    axis.plot(*zip(*spots, strict=True), color=look["color"], lw=0.8, zorder=1.5)
    (x, most), runs = max(zip(spots, mine, strict=True), key=lambda pair: pair[0][1])
    words = {"at": (0, -13), "ha": "center", "bold": True}
    lowest = max(run.shortfall for run in runs)
    name(axis, x, lowest, number(-most), look["color"], **words)


def one_method(world: World, runs: Sequence[Run]) -> Scene:
    """One method's runs, the optimum at a β, and the line of slope β through it.

    sliders: method, a name of METHODS; beta, of the optimum, within 0.05 to 2, which
        can be dragged
    """
    x, y = ("KL from the reference, nats", -0.1, 4.4), (-0.75, TOP)

    def still(axis: Axes):
        betas = torch.logspace(-1.6, 1.5, 120).tolist()
        points = frontier(world.ref, world.rewards, betas)
        spent, earned = (part.mean(0) for part in (points.kl, points.expected_reward))
        earned = earned[spent <= NEAR]
        axis.plot(spent[spent <= NEAR], earned, color=INK, lw=1.4)
        end = 2.95, float(earned.max())
        name(axis, *end, "exact limit", at=(1, -12), ha="right", halo=True)
        axis.axvspan(NEAR, 4.4, color=FAINT, lw=0, zorder=0)
        name(axis, NEAR, -0.6, "beyond 3 nats", QUIET)

    def draw(axis: Axes, method: str, beta: float) -> str:
        shown, groups = METHODS[method], _by_knob(runs, method)
        best = optimal_policy(world.ref, world.rewards, beta)
        exact = exact_metrics(world, best, beta)
        _tangent(axis, beta, exact["reward"] - beta * exact["kl"])
        look = {"at": (0, 0), "ha": "right", "bold": True}
        called = f"{shown.name}: {shown.knob}" if shown.knob else shown.name
        name(axis, 2.95, -0.6, called, shown.look["color"], **look)
        far = _knobs(axis, groups, shown)
        names(axis, far + _optimum(axis, exact["kl"], exact["reward"]), gap=0.2)
        near = min(groups, key=lambda knob: abs(math.log(knob / beta)))
        lost = _mean(groups[near], "shortfall")
        setting = f" at {shown.knob} = {near:g}" if shown.knob else ""
        return (
            f"π* at β = {beta:.3g}: reward {exact['reward']:.2f} for {exact['kl']:.2f} "
            f"nats, slope β. {shown.name}{setting} leaves {lost:.2f} of reward at its "
            "own KL."
        )

    return Scene.of(
        draw,
        panel("Expected reward", x, y, xticks=(0, 1, 2, 3), yticks=(0, 1, 2)),
        still=still,
        height=4.6,
        says="No run rises above the exact limit, whose slope at π* is β",
        shows="One method’s runs, each named by its knob; means over seeds, bars all "
        "of them.\n◆ told the true reward    ● learns from labels    ○ and uses no "
        "reference",
    )


def _optimum(axis: Axes, kl: float, reward: float) -> list[tuple]:
    """π* on the frontier, or beyond NEAR at the edge, with words for `names`."""
    dot(axis, kl if kl <= NEAR else 3.12, reward, gid="beta")
    if kl > NEAR:
        return [(3.34, reward, f"π*: {kl:.1f} nats", INK)]
    name(axis, kl, reward, "π*", at=(-5, 11), bold=True)
    return []


def _tangent(axis: Axes, beta: float, start: float):
    """The line of slope β that meets the left edge of the nats at `start`."""
    color, x = beta_color(beta), min(NEAR, (TOP - start) / beta)
    y = start + beta * x
    axis.plot([-0.1, x], [start - 0.1 * beta, y], color=color, ls=DASHES, lw=1.6)
    if beta < 0.2:  # π* is near the right end
        x, y, look = 0, start, {"at": (0, 12), "ha": "left"}
    elif x < NEAR:
        look = {"at": (-max(14, 24 / beta), -2), "va": "top"}
    else:
        look = {"at": (-4, 5), "va": "bottom"}
    name(axis, x, y, f"β = {beta:.3g}", color, **look)


def _knobs(axis: Axes, groups: dict[float, list[Run]], method: Method) -> list:
    """Runs within NEAR, named by leader lines; of those beyond, `names` at the edge."""
    color, near, far = method.look["color"], [], []
    for setting, group in groups.items():
        kl, reward = (_mean(group, field) for field in ("kl", "reward"))
        if kl <= NEAR:
            _cross(axis, group, "reward", {"ms": 7} | method.look, NEAR)
            if method.knob:
                near.append((99 * kl + 74 * reward, kl, reward, f"{setting:g}"))
        else:
            look = {"mec": color} | method.look
            axis.plot(3.22, reward, ls="none", ms=7, **look)
            far.append(
                (3.34, reward, f"{method.knob} = {setting:g}: {kl:.1f} nats", color)
            )
    near.sort()
    line = {"arrowstyle": "-", "color": REFERENCE, "shrinkA": 10, "shrinkB": 5}
    places = spread([u for u, *_ in near], 32)
    for (u, *spot, words), place in zip(near, places, strict=True):
        aside = (place - u) / 2  # along the diagonal, the way that the runs go
        at = 26 + aside, aside - 26
        axis.annotate("", spot, at, textcoords="offset points", arrowprops=line)
        name(axis, *spot, words, color, at=at, ha="center")
    return far


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
            seen, ends = steps[: len(excess)], []
            for values, look, words in (
                (distance, MARK["policy"] | {"ms": 5}, "KL(π‖π*)"),
                (excess, {"color": INK}, "loss − floor"),
            ):
                axis.plot(seen, values, **look)
                told = f"{words}\n{number(float(values[-1]), '#.2g')}"
                ends.append((seen[-1], float(values[-1]), told, look["color"]))
            names(axis, ends, gap=0.9)
            said.append(
                f"β = {beta:g}, {seen[-1]} steps: loss {excess[-1]:.4f} above its "
                f"floor, KL(π‖π*) {distance[-1]:.3f} nats"
            )
        return f"Trained on all pairs. {'; '.join(said)}."

    x = "training step", 0.8, 12 * steps[-1]
    look = {"xscale": "log", "xticks": [10**k for k in range(6) if 10**k <= steps[-1]]}
    look |= {"yscale": "log", "yticks": (1e-3, 0.01, 0.1, 1, 10)}
    return Picture.of(
        draw,
        *[panel(f"β = {beta:g}", x, (3e-4, 60), **look) for beta in runs],
        sharey=True,
        says="A loss close to its floor does not say how close π is to π*",
        shows="Both in nats, as DPO trains on all pairs. Each grid line is ten times "
        "the one below.",
    )


def limits(runs: Sequence[Run]) -> Picture:
    """What stands between DPO and the optimum: the model, the steps, the pairs.

    runs: of the experiment "limits" in `datasets.shipped_runs("frontier")`
    """
    arms = {run.arm: run.arm.replace(",", THIN) for run in runs}
    betas = sorted({run.beta for run in runs}, reverse=True)

    def draw(axes: tuple[Axes, ...]) -> str:
        said = []
        for axis, beta in zip(axes, betas, strict=True):
            for row, arm in enumerate(arms):
                mine = [r.distance for r in runs if (r.arm, r.beta) == (arm, beta)]
                mean, most = sum(mine) / len(mine), max(mine)
                axis.plot([min(mine), most], [row] * 2, color=POLICY, lw=1)
                axis.plot(mean, row, **MARK["policy"], ms=8)
                name(axis, most, row, number(mean, "#.2g"), POLICY, at=(8, 0))
                said.append(f"{'' if row else f'β = {beta:g}: '}{arms[arm]} {mean:.2g}")
        return f"Distance to the optimum after 500 steps, means. {', '.join(said)}."

    x, y = ("KL(π‖π*), nats", 3e-4, 60), (len(arms) - 0.5, -0.5)
    look = {"xscale": "log", "xticks": (1e-3, 0.01, 0.1, 1, 10)}
    return Picture.of(
        draw,
        *[panel(f"β = {b:g}", x, y, ynames=arms.values(), **look) for b in betas],
        sharey=True,
        says="More pairs bring DPO near π* at β = 0.5, and hardly at β = 0.1",
        shows="How far from π* 500 steps end, by what they trained on. A dot: the mean "
        "of five seeds;\nits bar: all of them. π* itself and all pairs are without "
        "sampling: one run each.",
    )


ESTIMATORS = {
    "table": "table with a prior",
    "tilt": "reward model, tilt",
    "ppo_learned": "reward model, PPO",
    "dpo": "DPO",
}


def _by_pairs(axis: Axes, runs: Sequence[Run], **look) -> list[float]:
    """Mean distances of one estimator by its pairs; in green, with all seeds' range."""
    arms = {run.arm: [r.distance for r in runs if r.arm == run.arm] for run in runs}
    at = [int(arm.split()[0]) / 1000 for arm in arms]
    means = [sum(values) / len(values) for values in arms.values()]
    axis.plot(at, means, **look)
    if look["color"] == POLICY:
        ends = map(min, arms.values()), map(max, arms.values())
        axis.vlines(at, *map(list, ends), color=POLICY, lw=1)
    return means


def estimators_by_pairs(world: World, runs: Sequence[Run]) -> Picture:
    """How far from π* four estimators end, against the number of their pairs.

    Marks are means over seeds, with their range; the same pairs for all. Hollow: each
    run stopped where it was nearest to π*, which nobody can know in practice.

    world: with the reference; runs: of `datasets.shipped_runs("estimators")`
    """
    start = exact_metrics(world, world.ref, runs[0].beta)["distance"]
    counts = sorted({int(run.arm.split()[0]) for run in runs})
    groups = {}
    for run in runs:
        groups.setdefault((run.experiment, run.method), []).append(run)

    def draw(axes: tuple[Axes, ...]) -> str:
        said = []
        best = {"color": POLICY, "ls": DOTS, "marker": "o", "mfc": "white", "lw": 1.4}
        for axis, (method, called) in zip(axes, ESTIMATORS.items(), strict=True):
            axis.axhline(start, lw=1.2, **DOTTED)
            for other in ESTIMATORS:
                _by_pairs(axis, groups["end", other], color=FAINT, lw=4, zorder=1)
            _by_pairs(axis, groups.get(("best", method), []), **best)
            ends = _by_pairs(axis, groups["end", method], **MARK["policy"])
            said.append(f"{called} {ends[0]:.2f} → {ends[-1]:.3f}")
        name(axes[0], 0.07, start, "reference", QUIET, at=(0, 8), halo=True)
        return (
            f"Distance from π*, from {counts[0]} to {number(counts[-1], ',d')} pairs, "
            f"at the end of training: {'; '.join(said)} nats. Dotted: the reference, "
            "where all begin."
        )

    titles = [called[0].upper() + called[1:] for called in ESTIMATORS.values()]
    x, y = ("thousand pairs", 0.05, 250), (0.01, 8)
    look = {"xscale": "log", "xticks": (0.1, 1, 10, 100)}
    look |= {"yscale": "log", "yticks": (0.01, 0.1, 1)}
    return Picture.of(
        draw,
        *[panel(title, x, y, **look) for title in titles],
        sharey=True,
        says="From the same pairs, DPO ends farthest from π*, however many",
        shows="KL(π‖π*) in nats, against the number of pairs. ● after 500 steps: the "
        "mean of five seeds;\nbars: all of them. ○ stopped where it was nearest. Pale: "
        "the other three after 500 steps.",
    )


CURVES = (  # of a run: its panel, its name in the log, its meaning, its word's place
    (0, "loss", "exact", -16),
    (1, "chosen_logratio", "chosen", 15),
    (1, "rejected_logratio", "rejected", -16),
    (2, "accuracy", "policy", 15),
)


def run_so_far(log: Log) -> Scene:
    """Loss, log-ratios and accuracy of a run, up to a step; means of ten steps.

    log: of a preference method, 40 steps or more
    slider: step, within 20 to the run's last; its points can be dragged
    """
    count = len(log.history["loss"]) // 10
    smooth = {
        field: torch.tensor(values[: 10 * count]).view(count, 10).mean(1)
        for field, values in log.history.items()
    }
    steps = 10 * torch.arange(1, count + 1)
    sides = torch.cat((smooth["chosen_logratio"], smooth["rejected_logratio"]))
    says = "Nothing in a log says how far the policy is from π*"
    if (sides < 0).all() and (smooth["loss"][1:] < math.log(2)).all():
        says = "The loss falls, while both answers become less likely"

    def still(axes: tuple[Axes, ...]):
        axes[0].locator_params("y", nbins=5)
        bounds = (math.log(2), "ln 2: unchanged"), (0, ""), (0.5, "a coin")
        for axis, (level, words) in zip(axes, bounds, strict=True):
            axis.locator_params("x", nbins=3)
            axis.axhline(level, lw=1.2, **DOTTED)
            name(axis, 10.7 * count, level, words, QUIET, at=(0, 7), ha="right")

    def draw(axes: tuple[Axes, ...], step: int) -> str:
        seen = max(2, int(step) // 10)
        last = {n: float(values[seen - 1]) for n, values in smooth.items()}
        told = {"loss": number(last["loss"]), "accuracy": percent(last["accuracy"])}
        for place, field, meaning, up in CURVES:
            text = told.get(field, meaning), (0, up)
            _so_far(axes[place], steps, smooth[field][:seen], meaning, *text)
        return (
            f"By step {10 * seen}: loss {last['loss']:.3f}, accuracy "
            f"{last['accuracy']:.2f}; log-ratio of chosen responses "
            f"{number(last['chosen_logratio'], '+.2f')}, of rejected ones "
            f"{number(last['rejected_logratio'], '+.2f')} (dashed)."
        )

    return Scene.of(
        draw,
        *_log_panels(10.7 * count, smooth["loss"], sides),
        still=still,
        says=says,
        shows="Means of ten steps. A log-ratio below 0: less likely than under the "
        "reference.",
    )


def _so_far(
    axis: Axes, steps: Tensor, values: Tensor, meaning: str, text: str, at: tuple
):
    """A curve up to where it has come; there, its point and its words."""
    look, end = MARK[meaning], (int(steps[len(values) - 1]), float(values[-1]))
    axis.plot(steps[: len(values)], values, color=look["color"], ls=look["ls"])
    dot(axis, *end, meaning, ms=8, gid="step")
    side = "left" if 2 * len(values) < len(steps) else "right"
    name(axis, *end, text, look["color"], at=at, ha=side, bold=True, halo=True)


def _log_panels(end: float, loss: Tensor, sides: Tensor) -> tuple[dict, ...]:
    """Of a run's loss, its log-ratios, of which `sides` are all, and its accuracy."""
    x, shares = ("step", 0, end), {s: percent(s) for s in (0.4, 0.6, 0.8, 1)}
    low, high = min(0.0, float(sides.min())), max(0.0, float(sides.max()))
    room = 0.15 * (high - low) + 0.05
    highest = max(0.8, 1.1 * float(loss.max()))
    return (
        panel("Loss, nats", x, (0, highest)),
        panel("Log-ratios, nats", x, (low - room, high + room)),
        panel("Accuracy", x, (0.3, 1), yticks=shares),
    )
