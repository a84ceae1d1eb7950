"""Chapter 08: how a run looks when it fails, and how sure a measurement is."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.datasets import LoggedRun
from course_lib.failures import FAILURES, Effect, effect
from course_lib.failures import number as number_of
from course_lib.metrics import (
    kl_estimates,
    least_loss,
    prompts_needed,
    reference_kl_terms,
    wilson_interval,
)
from course_lib.plots.marks import dot, name, names, number, percent, percents
from course_lib.plots.palette import DOTTED, INK, MARK, POLICY, QUIET, REFERENCE
from course_lib.plots.style import Picture, Scene, panel
from course_lib.policies import frontier, kl_divergence, optimal_policy
from course_lib.worlds import World

LN2 = math.log(2)


# ── what a log can convict of ─────────────────────────────────────────────────────────


def least_losses(
    runs: Sequence[LoggedRun], floor: Callable[[Tensor, Tensor], Tensor] = least_loss
) -> Scene:
    """The least loss that a mean margin and an accuracy allow, and logged rows.

    runs: of `shipped_failures`, whose training rows are drawn
    floor: floor(margin, accuracy), the function to draw
    slider: accuracy, within 0.5 to 1
    """
    grid = torch.linspace(-0.5, 3.5, 161, dtype=torch.float64)
    rows = torch.tensor(
        [[r[n] for n in ("margin", "loss", "accuracy")] for u in runs for r in u.rows],
        dtype=torch.float64,
    )

    def still(axis: Axes):
        axis.plot(grid, (-grid).exp().log1p(), color=INK, lw=1.2)
        axis.axhline(LN2, lw=1.2, **DOTTED)
        name(axis, 3.5, LN2, "ln 2: margin 0", QUIET, at=(0, 7), ha="right")
        name(axis, 1.55, 0.11, "log(1 + e^−m)", INK, at=(0, 0), ha="right")

    def draw(axis: Axes, accuracy: float) -> str:
        share = torch.full_like(grid, accuracy)
        kept = grid > 0 if accuracy == 1 else grid > -1
        curve = floor(grid[kept], share[kept])
        axis.fill_between(grid[kept], 0, curve, color=REFERENCE, alpha=0.2, lw=0)
        axis.plot(grid[kept], curve, color=INK)
        margin, loss, exact = rows[(rows[:, 2] - accuracy).abs() < 0.026].T
        axis.plot(margin, loss, **MARK["policy"] | {"ms": 4, "ls": "none"})
        least = floor(margin, exact) if len(loss) else loss
        below = int((loss < least - 1e-3).sum())  # but for rounding
        at_one = float(floor(grid.new_tensor([1.0]), grid.new_tensor([accuracy]))[0])
        words = f"with an accuracy of {percent(accuracy)}"
        name(axis, 3.5, float(curve[-1]), words, at=(0, 8), ha="right", halo=True)
        return (
            f"With {percent(accuracy)} of the pairs right and a mean margin of 1, the "
            f"loss is at least {at_one:.3f}. Of {len(loss)} rows with an accuracy near "
            f"that, {below or 'none'} lie below what margin and accuracy allow."
        )

    return Scene.of(
        draw,
        panel("Loss of a row, nats", ("mean margin, with β", -0.5, 3.5), (0, 1.1)),
        still=still,
        says="No row of a sound log falls into the shaded region",
        shows="Loss against margin of training rows: ●, those of nearly the chosen "
        "accuracy. Thin line: the bound\nwithout the accuracy; thick line and "
        "shading: with it.",
    )


# ── failures beside healthy runs ──────────────────────────────────────────────────────

STEPS = 120  # of a shipped run
LEAST = 0.01  # a gradient norm at the lower edge of its panel, or 0
CURVES = {  # title: the columns, the axis's ends, where a bound lies
    "Loss, nats": (("loss",), (0, 1.4), LN2),
    "Rewards, with β": (("chosen", "rejected"), (-3.2, 1.6), 0),
    "Accuracy": (("accuracy",), (0, 1.08), 0.5),
    "Log-probs, nats": (("chosen_logps", "rejected_logps"), (-14, 0.8), 0),
    "Gradient norm": (("grad_norm",), (LEAST, 60), None),
}
TICKS = {
    "Accuracy": {"yticks": percents(0, 0.5, 1)},
    "Gradient norm": {
        "yscale": "log",
        "yticks": {LEAST: "0", 0.1: "0.1", 1: "1", 10: "10"},
    },
}
KINDS = {"sound": MARK["policy"], "broken": MARK["faulty"]}
WORDS = {  # how the sentence calls a number of `failures.number`
    "first": "{} in the first row",
    "late": "{} in the last rows",
    "spread": "scatter of {}",
    "end": "{} at the end",
}


def failing_runs(world: World, runs: Sequence[LoggedRun]) -> Scene:
    """The curves of a failure beside those of healthy runs, and the truth about both.

    world: with the reference and true rewards; runs: of `shipped_failures`
    slider: failure, of `FAILURES`, whose runs and those beside it are in `runs`
    """

    def still(axes: tuple[Axes, ...]):
        for axis, (_, _, bound) in zip(axes, CURVES.values(), strict=False):
            if bound is not None:
                axis.plot((0, STEPS), (bound, bound), lw=1.2, **DOTTED)
        best = frontier(world.ref, world.rewards, np.geomspace(0.1, 50, 60).tolist())
        limit = best.kl.mean(0), best.expected_reward.mean(0)
        axes[5].plot(*limit, color=INK, lw=1.2)

    def draw(axes: tuple[Axes, ...], failure: str) -> str:
        shown = effect(failure, runs)
        names_of = {"sound": FAILURES[failure].beside, "broken": failure}
        for kind, called in names_of.items():
            mine = [run for run in runs if run.name == called]
            for axis, (columns, ends, _) in zip(axes, CURVES.values(), strict=False):
                _curves(axis, mine, columns, ends, kind)
            _truth(axes[5], mine, kind)
        return _told(failure, shown, [run for run in runs if run.name == failure])

    panels = [
        panel(title, ("", 0, 162), ends, xticks=(), **TICKS.get(title, {}))
        for title, (_, ends, _) in CURVES.items()
    ]
    for lower in panels[3:]:
        lower |= {"xlabel": "step", "xticks": (0, 60, 120)}
    truth = ("KL, nats", -0.2, 7), (-1.2, 2.2)
    return Scene.of(
        draw,
        *panels,
        panel("Truth: reward for KL", *truth, yticks=(-1, 0, 1, 2)),
        still=still,
        mosaic="abc;def",
        says="A log holds five of these panels; only the sixth shows the truth",
        shows="Solid green: five healthy runs. Dash-dotted magenta: five that fail; "
        "mean and range over the seeds.\nThick: chosen; thin: rejected. The sixth: "
        "true reward for the KL spent, up to each run’s end; ink: the limit.",
        height=4.9,
    )


def _told(failure: str, shown: Effect, mine: list[LoggedRun]) -> str:
    """What shows a failure, and what is true of its runs at their end."""
    word, _, column = shown.number.partition(" ")
    called, beside = (n.replace("_", " ") for n in (failure, FAILURES[failure].beside))
    reward, kl = (
        statistics.fmean(number_of(run, f"end {name}") for run in mine)
        for name in ("reward", "kl")
    )
    verdict = "It shows" if shown.shows else "The spread hides it"
    return (
        f"{called}: {WORDS[word].format(column.replace('_', ' '))} "
        f"{_spread(shown.broken)}; {beside}: {_spread(shown.sound)}. {verdict}. "
        f"The true reward ends at {number(reward)} for {kl:.2f} nats."
    )


def _spread(values: Sequence[float]) -> str:
    """A mean with the range, in three digits."""
    low, mean, high = (
        number(value, ".3g")
        for value in (min(values), statistics.fmean(values), max(values))
    )
    return mean if low == high else f"{mean} ({low} to {high})"


def _curves(axis: Axes, runs: list[LoggedRun], columns: tuple, ends: tuple, kind: str):
    """Mean and range over the seeds, and for those that fail the number at the end."""
    color, line = KINDS[kind]["color"], KINDS[kind]["ls"]
    steps, last = [row["step"] for row in runs[0].rows], []
    log = axis.get_yscale() == "log"
    room = 0.05 * (ends[1] - ends[0])
    for column, width in zip(columns, (2.2, 1.1), strict=False):
        values = np.array([[row[column] for row in run.rows] for run in runs])
        drawn = np.maximum(values, LEAST) if log else values
        low, high = drawn.min(0), drawn.max(0)
        axis.fill_between(steps, low, high, color=color, alpha=0.16, lw=0)
        axis.plot(steps, drawn.mean(0), color=color, ls=line, lw=width)
        mean = float(values[:, -3:].mean())
        lowest, highest = (0.016, ends[1]) if log else (ends[0] + room, ends[1] - room)
        off = "↑" if mean > ends[1] else "↓" if mean < ends[0] and not log else ""
        told = number(round(mean, 2) + 0.0, ".2f" if abs(mean) < 9.995 else ".0f") + off
        last.append((STEPS, min(max(mean, lowest), highest), told, color))
    if kind == "broken":
        names(axis, last, gap=0.4 if log else 2.4 * room)


def _truth(axis: Axes, runs: list[LoggedRun], kind: str):
    """The way of each seed from the reference, with a mark at its end."""
    mark = KINDS[kind]
    line = {"color": mark["color"], "ls": mark["ls"], "lw": 0.8}
    end = {"color": mark["color"], "marker": mark["marker"], "ms": 5}
    for run in runs:
        way = [(look["kl"], look["reward"]) for look in run.looks]
        axis.plot(*zip(*way, strict=True), **line)
        axis.plot(*way[-1], mec="white", mew=0.6, **end)


# ── measuring right ───────────────────────────────────────────────────────────────────

ACCURACIES = (  # numbers of a run, how each is drawn, and how far below its line
    ("late accuracy", {"color": POLICY, "mfc": "white", "mew": 1.6}, -0.22),
    ("end eval_accuracy", MARK["reference"] | {"mew": 1.6}, 0),
    ("end held_out", {"color": POLICY, "mec": "white"}, 0.22),
)


def accuracies(runs: Sequence[LoggedRun], called: Sequence[str]) -> Picture:
    """Implicit-reward accuracy as it is logged, and on healthy pairs, by its ceiling.

    runs: of `shipped_failures`; called: names of runs, a row each
    """
    ceiling = runs[0].looks[-1]["ceiling"]

    def draw(axis: Axes) -> str:
        axis.axvline(0.5, **DOTTED)
        axis.axvline(ceiling, color=INK, lw=1.2)
        name(axis, 0.5, -0.85, "coin", QUIET, at=(4, 0))
        name(axis, ceiling, -0.85, f"ceiling {percent(ceiling)}", at=(4, 0))
        said = [
            _accuracies_of(axis, row, [run for run in runs if run.name == one])
            for row, one in enumerate(called)
        ]
        return (
            f"Ceiling {percent(ceiling)}. Training, evaluation, healthy pairs: "
            f"{'; '.join(said)}."
        )

    x = "implicit-reward accuracy", 0.2, 1.03
    ticks = percents(0.2, 0.4, 0.6, 0.8, 1.0)
    labels = [one.replace("_", " ") for one in called]
    y = len(called) - 0.4, -1.2
    return Picture.of(
        draw,
        panel("Runs", x, y, ynames=labels, grid=False, xticks=ticks),
        height=4.4,
        says="Above the ceiling, a logged accuracy measures its pairs",
        shows="○ last training rows    □ the run’s own evaluation    ● healthy "
        "held-out pairs\nMeans of five seeds and their range. Line: what the true "
        "reward itself gets right.",
    )


def _accuracies_of(axis: Axes, row: int, runs: list[LoggedRun]) -> str:
    """Three accuracies of a kind of run, with their ranges; says them."""
    means = []
    for field, look, aside in ACCURACIES:
        values = [number_of(run, field) for run in runs]
        means.append(statistics.fmean(values))
        ends = [min(values), max(values)], [row + aside] * 2
        axis.plot(*ends, color=look["color"], lw=1)
        point = {"marker": "o", "ms": 6.5} | look | {"ls": "none"}
        axis.plot(means[-1], row + aside, **point)
    return f"{runs[0].name.replace('_', ' ')} {' / '.join(map(percent, means))}"


REPEATS = 400  # of a measurement, to see how it scatters
ESTIMATORS = ("k1", "k2", "k3", "from the reference")


def kl_estimators(
    ref: Tensor,
    rewards: Tensor,
    terms: Callable[[Tensor, Tensor], dict[str, Tensor]] = kl_estimates,
) -> Scene:
    """Where estimates of KL(π‖π_ref) fall, by four ways of averaging.

    ref, rewards: of one prompt, shape (responses,); π is the optimum at β
    terms: terms(policy_logps, ref_logps), the first three ways
    sliders: beta, within 0.1 to 5; n, the responses in a sample, within 10 to 10,000
    """
    x = "estimate over exact KL", -1.0, 3.0

    def still(axis: Axes):
        axis.axvline(1, color=INK, lw=1.2)
        name(axis, 1, 3.62, "exact", INK, at=(4, 0))
        axis.axvline(0, lw=1.2, **DOTTED)

    def draw(axis: Axes, beta: float, n: int) -> str:
        policy = optimal_policy(ref, rewards, beta)
        exact = kl_divergence(policy, ref).item()
        said = []
        for row, (way, found) in enumerate(
            _estimates(policy, ref, terms, int(n)).items()
        ):
            low, high = np.quantile(found, [0.025, 0.975]) / exact
            mean = found.mean() / exact
            ends = [min(max(end, x[1]), x[2]) for end in (low, high)]
            axis.plot(ends, [row, row], color=POLICY, lw=4, alpha=0.45)
            dot(axis, min(mean, x[2]), row, "policy")
            beyond = " →" if max(mean, high) > x[2] else ""
            words = f"{number(mean)}{beyond}", POLICY
            side = "right" if mean > x[2] - 0.2 else "center"
            name(axis, min(mean, x[2]), row, *words, at=(0, 13), ha=side, halo=True)
            said.append(f"{way} {number(mean)} ({number(low)} to {number(high)})")
        return (
            f"At β = {beta:g} the KL is {exact:.2f} nats. Estimates from "
            f"{number(int(n), ',d')} responses, over it; mean and 95 % of them: "
            f"{'; '.join(said)}."
        )

    return Scene.of(
        draw,
        panel("How it is averaged", x, (3.8, -0.7), ynames=ESTIMATORS, grid=False),
        still=still,
        says="Near the reference k3 scatters less than k1, far from it more",
        shows="Estimates of KL(π‖π_ref) for π* at β, over the exact value. A dot: the "
        f"mean of {REPEATS} estimates;\nits bar: 95 % of them. The last row averages "
        "over responses that the reference wrote.",
    )


def _estimates(
    policy: Tensor, ref: Tensor, terms: Callable, n: int
) -> dict[str, np.ndarray]:
    """Means over n responses, drawn again and again, by the way of averaging."""
    random = np.random.default_rng(0)
    values = terms(policy.log(), ref.log())
    values |= {ESTIMATORS[-1]: reference_kl_terms(policy.log(), ref.log())}
    found = {}
    for way in ESTIMATORS:
        source = ref if way == ESTIMATORS[-1] else policy
        counts = random.multinomial(n, (source / source.sum()).numpy(), size=REPEATS)
        found[way] = counts @ values[way].numpy() / n
    return found


PROMPTS = 30, 10_000  # the ends of the axis


class Rates(NamedTuple):
    """Two win rates against one opponent; the share of prompts on which both win."""

    ours: float
    theirs: float
    both: float

    @property
    def apart(self) -> "Rates":
        """The same rates on prompts of their own."""
        return self._replace(both=self.ours * self.theirs)

    def error(self, n: Any) -> Any:
        """1.96 standard errors of the difference, for n prompts: a number or more."""
        variance = self.ours + self.theirs - 2 * self.both
        return 1.96 * ((variance - (self.ours - self.theirs) ** 2) / n) ** 0.5

    def needed(self) -> str:
        """How many prompts tell them apart, to tens."""
        found = prompts_needed(*torch.tensor(self, dtype=torch.float64)[:, None])
        return number(round(found.item(), -1), ",.0f")


def prompts_to_tell(
    ours: float,
    theirs: float,
    both: float,
    interval: Callable[[Tensor, Tensor], Tensor] = wilson_interval,
) -> Scene:
    """Two win rates and their difference, with their intervals, by number of prompts.

    ours, theirs: shares won against one opponent; both: of prompts on which both win
    interval: interval(share, count), the function to draw
    slider: n, prompts, within 30 to 10,000
    """
    rates, gain = Rates(ours, theirs, both), ours - theirs

    def draw(axes: tuple[Axes, Axes], n: int) -> str:
        told = []
        for rate, meaning, aside in (
            (ours, "policy", 1.04),
            (theirs, "reference", 0.96),
        ):
            share = torch.tensor([rate, n], dtype=torch.float64)
            ends = interval(share[:1], share[1:])[0].tolist()
            axes[0].plot([aside * n] * 2, ends, color=MARK[meaning]["color"], lw=3)
            dot(axes[0], aside * n, rate, meaning, gid="n")
            told.append(f"{percent(rate)} ({' to '.join(map(percent, ends))})")
        shared, own = rates.error(n), rates.apart.error(n)
        axes[1].plot([n, n], [gain - shared, gain + shared], color=POLICY, lw=3)
        dot(axes[1], n, gain, "policy", gid="n")
        return (
            f"With {number(int(n), ',d')} prompts: {' and '.join(told)}. They differ "
            f"by {number(100 * gain, '.0f')} points, give or take "
            f"{number(100 * shared, '.1f')} on the same prompts and "
            f"{number(100 * own, '.1f')} on prompts of their own."
        )

    return Scene.of(
        draw,
        *_rate_panels(),
        still=lambda axes: _by_prompts(axes, rates, interval),
        says=f"{percent(ours)} against {percent(theirs)} takes {rates.apart.needed()} "
        f"prompts, or {rates.needed()} shared ones",
        shows="95 % intervals against the number of prompts. Left: Wilson’s, for each "
        "rate by itself.\nRight: of the difference, judged on the same prompts (solid) "
        "or on prompts of their own (dotted).",
    )


def _rate_panels() -> tuple[dict[str, Any], dict[str, Any]]:
    """Win rates, and their difference, against the number of prompts."""
    counts = {count: number(count, ",d") for count in (100, 1000, 10_000)}
    look, x = {"xscale": "log", "xticks": counts}, ("prompts", 26, 30_000)
    shares = percents(0.4, 0.5, 0.6, 0.7, 0.8)
    points = {p: number(100 * p, "+.0f") if p else "0" for p in (-0.1, 0, 0.1, 0.2)}
    return (
        panel("Win rate", x, (0.37, 0.8), yticks=shares, **look),
        panel("Difference, points", x, (-0.16, 0.24), yticks=points, **look),
    )


def _by_prompts(axes: tuple[Axes, Axes], rates: Rates, interval: Callable):
    """The intervals of both rates and of their difference for any number of prompts."""
    for axis in axes:
        axis.xaxis.minorticks_on()
    counts = torch.logspace(*(math.log10(end) for end in PROMPTS), 61).double()
    for rate, color, words in (
        (rates.ours, POLICY, POLICY),
        (rates.theirs, REFERENCE, QUIET),
    ):
        low, high = interval(torch.full_like(counts, rate), counts).T
        axes[0].fill_between(counts, low, high, color=color, alpha=0.25, lw=0)
        name(axes[0], PROMPTS[1], rate, percent(rate), words)
    axes[1].axhline(0, lw=1.2, **DOTTED)
    gain = rates.ours - rates.theirs
    for each, meaning in ((rates.apart, "reference"), (rates, "policy")):
        color, line = MARK[meaning]["color"], MARK[meaning]["ls"]
        for edge in (gain - each.error(counts), gain + each.error(counts)):
            axes[1].plot(counts, edge, color=color, ls=line)
    name(axes[1], 3300, 0.175, "own prompts", QUIET, at=(0, 0), ha="center")
    name(axes[1], 3300, -0.06, "same prompts", POLICY, at=(0, 0), ha="center")
