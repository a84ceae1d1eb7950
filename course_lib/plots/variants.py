"""Chapter 06: what each variant pulls a log-ratio towards, and what came of it."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Rectangle

from course_lib.datasets import Run
from course_lib.guide import NAMES, SWEEPS, Evidence, evidence, leaders, reward_at_kl
from course_lib.losses import ipo_loss, kto_loss
from course_lib.plots.marks import THIN, dot, name, number
from course_lib.plots.palette import DASHES, DOTTED, INK, MARK, POLICY, QUIET, REFERENCE
from course_lib.plots.style import BARE, Scene, panel
from course_lib.policies import frontier
from course_lib.variants import REFERENCE_FREE
from course_lib.worlds import World

FIELDS = {  # what is measured, and which end of it is the better
    "distance": ("KL(π‖π*), nats", min),
    "reward": ("Expected true reward", max),
    "kl": ("KL(π‖π_ref), nats", None),
    "shortfall": ("Reward left at its own KL", min),
    "chosen": ("Log-ratio of held-out chosen answers, nats", None),
    "rejected": ("Log-ratio of held-out rejected answers, nats", None),
    "length": ("Expected words", None),
}
KINDS = ("clean", "20 % noise", "long is liked", "thumbs", "wrong reference")


def target_parabolas(loss: Callable = ipo_loss) -> Scene:
    """IPO's loss against the gap of sums, from sums and from averages per token.

    loss: loss(policy_chosen_logps, policy_rejected_logps, ref_chosen_logps,
        ref_rejected_logps, tau, chosen_lengths=…, rejected_lengths=…), to be drawn
    sliders: tau, within 0.1 to 1; tokens of either answer, within 1 to 10
    """
    gaps = [step / 2 for step in range(111)]
    x, y = ("gap h of the sums, nats", 0, 55), (-9, 30)
    around = panel("Loss, nats²", x, y, yticks=(0, 10, 20, 30), foot=False)

    def curve(tau: float, tokens: int) -> list[float]:
        zero, both = torch.zeros(1, dtype=torch.float64), torch.tensor([tokens])
        lengths = {"chosen_lengths": both, "rejected_lengths": both} if tokens else {}
        return [float(loss(zero + h, zero, zero, zero, tau, **lengths)) for h in gaps]

    def draw(axis: Axes, tau: float, tokens: int) -> str:
        lowest = []
        hollow = {"mfc": "white", "mec": INK, "mew": 1.6}
        kinds = ((tokens, "averages", DASHES, -26, hollow), (0, "sums", "-", -13, {}))
        for length, told, line, down, look in kinds:
            losses = curve(tau, length)
            best = min(range(len(gaps)), key=losses.__getitem__)
            lowest.append(gaps[best])
            axis.plot(gaps, losses, color=INK, ls=line)
            dot(axis, gaps[best], losses[best], ms=10 if look else 7, **look)
            side = "left" if gaps[best] < 10 else "center"
            side = "right" if gaps[best] > 45 else side
            told = f"from {told}: {number(gaps[best], 'g')}"
            name(axis, gaps[best], losses[best], told, at=(0, down), ha=side)
        return (
            f"With τ = {tau:g}, tried at every half nat, the loss from sums is lowest "
            f"at a gap of {lowest[1]:g} nats, and the loss from averages, for answers "
            f"of length {tokens:g}, at {lowest[0]:g} nats."
        )

    return Scene.of(
        draw,
        around,
        says="One τ, two targets: 1/(2τ) nats in all, or for each token",
        shows="Solid, ◆: IPO’s loss from sums of log-probabilities. Dashed, ◇: from "
        "averages per token.\nThe number is the gap with the least loss.",
    )


def kto_curves(loss: Callable = kto_loss) -> Scene:
    """KTO's loss of one answer against its log-ratio, beside one that never saturates.

    loss: loss(policy_logps, ref_logps, desirable, kl, beta), the function to draw
    sliders: z, the reference point, 0 to 4 nats, which can be dragged; beta, within 0.1
        to 2
    """
    grid = torch.linspace(-12, 12, 97, dtype=torch.float64)

    def of_one(ratio, good: bool, z: float, beta: float):
        zero = torch.zeros(1, dtype=torch.float64)
        return loss(ratio.reshape(1), zero, torch.tensor([good]), z, beta)

    x, y = ("log-ratio u, nats", -12, 17), (0, 1.6)
    ticks = {"xticks": range(-12, 13, 4), "yticks": (0, 0.5, 1, 1.5)}
    around = panel("Loss of one answer; that of −log σ in nats", x, y, **ticks)

    def draw(axis: Axes, z: float, beta: float) -> str:
        axis.plot([z, z], [0, 1.45], lw=1.2, **DOTTED)
        for good, meaning in ((True, "chosen"), (False, "rejected")):
            losses = [float(of_one(ratio, good, z, beta)) for ratio in grid]
            look = {key: MARK[meaning][key] for key in ("color", "ls")}
            axis.plot(grid, losses, **look)
            told = "desirable" if good else "undesirable", look["color"]
            name(axis, 12, max(losses[-1], 0.05), *told)
        endless = -F.logsigmoid(beta * (grid - z))
        axis.plot(grid, endless, color=INK, lw=1.2)
        end = int((endless < 1.52).nonzero()[0])
        name(axis, grid[end], endless[end], "−log σ", at=(-7, 0) if end else (7, 4))
        dot(axis, z, 0, "reference", gid="z")
        name(axis, z, 1.4, f"z = {number(z, 'g')}", QUIET)
        below = torch.tensor(z - 8, dtype=torch.float64, requires_grad=True)
        value = of_one(below, True, z, beta)
        (slope,) = torch.autograd.grad(value, below)
        other = beta / (1 + math.exp(-8 * beta))
        dot(axis, z - 8, value.item(), "chosen", ms=9)
        push = f"push {number(-slope.item(), '.4f')}", MARK["chosen"]["color"]
        name(axis, z - 8, value.item(), *push, at=(0, -16), ha="center", halo=True)
        sentence = (
            f"With the reference point at z = {z:g} nats and β = {beta:g}, a desirable "
            f"answer 8 nats below the point loses {value.item():.3f} and is pushed up "
            f"by {-slope.item():.4f} a nat; by −log σ it would be {other:.4f}."
        )
        return sentence.replace("-", "−")

    return Scene.of(
        draw,
        around,
        says="KTO’s loss is bounded, so far from z its push fades",
        shows="Coloured: KTO’s loss. Thin: the loss −log σ of a desirable answer.\n"
        "● a desirable answer 8 nats below z, and its push per nat of u.",
        height=3.8,
    )


def variant_table(runs: Sequence[Run]) -> Scene:
    """Every variant at its usual setting, on every kind of data: mean, half the range.

    Framed is the best mean of a column, and bold are all that tie with it
    (`Evidence.ties`).

    runs: of `datasets.shipped_runs("variants")`
    sliders: field, one of FIELDS
    """
    methods = [name for name in SWEEPS if name in NAMES]
    down = [f"{NAMES[m]}, {SWEEPS[m].describe(SWEEPS[m].usual)}" for m in methods]
    x, y = ("", -0.52, len(KINDS) - 0.48), (len(methods) - 0.45, -2.5)
    title = "Mean of the seeds ± half of their range"
    around = panel(title, x, y, ynames=down, **BARE)

    def still(axis: Axes):
        axis.tick_params(length=0)
        axis.tick_params("y", labelcolor=INK)
        for column, kind in enumerate(KINDS):
            words = "\n".join(kind.rsplit(" ", 1))
            name(axis, column, -0.6, words, at=(0, 0), ha="center", va="bottom")

    def draw(axis: Axes, field: str) -> str:
        called, better = FIELDS[field]
        cells = evidence(runs, field)
        norm = _shades(cell.mean for (_, kind), cell in cells.items() if kind in KINDS)
        order = {min: ": less is better", max: ": more is better", None: ""}[better]
        name(axis, -0.52, -2.5, f"{called}{order}", at=(0, 0), va="top")
        said = []
        for x, kind in enumerate(KINDS):
            column = {m: cells[m, kind] for m in methods if (m, kind) in cells}
            best, *ties = leaders(column.values(), better) if better else [None]
            for method, cell in column.items():
                share = float(norm(cell.mean))
                dark = 1 - share if better is max else share
                led = (cell is best) + (cell in (best, *ties))
                _cell(axis, (x, methods.index(method)), cell, dark, led)
            if best:
                tied = f" (ties: {len(ties)})" if ties else ""
                said.append(f"{kind}: {NAMES[best.variant]} {best.mean:.2f}{tied}")
        low, high = number(norm.vmin), number(norm.vmax)
        spread = f"{called}: means over seeds from {low} to {high}."
        return spread + (
            f" The best of each column: {'; '.join(said)}." if said else ""
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="Which variant is best depends on the measure and the data",
        shows="A stronger shade is worse, or larger where no end is better. Framed: "
        "the best of its column.\n"
        "Bold: all that tie with it: the ranges of their seeds overlap.",
        height=5.4,
    )


def _shades(means: Iterable[float]) -> Normalize:
    """From the least to the greatest, by their logarithms where these are far apart."""
    means = [*means]
    low, high = min(means), max(means)
    return (LogNorm if low > 0 and high > 10 * low else Normalize)(low, high)


def variants_at_kl(runs: Sequence[Run], world: World) -> Scene:
    """What each variant earns at one KL, on clean and on noisy labels, and the limit.

    A dot is the mean over seeds, with their range; variants without one spend more, or
    less, at every value of their knob.

    runs: of `datasets.shipped_runs("variants")`; world: with the reference
    sliders: kl, within 0.1 to 1.5 nats; the limit can be dragged
    """
    methods = [name for name in SWEEPS if name in NAMES]
    end = len(methods) - 0.4
    arms = {"clean": "Clean labels", "20 % noise": f"20{THIN}% of labels flipped"}
    betas = torch.logspace(-1.5, 1.5, 121).tolist()
    limit = frontier(world.ref, world.rewards, betas)
    spent, earned = (part.mean(0).numpy() for part in (limit.kl, limit.expected_reward))
    order = spent.argsort()
    x, y = ("expected reward", 0, 1.15), (end, -1.1)
    ticks = {"ynames": [*map(NAMES.get, methods)], "xticks": (0, 0.5, 1)}
    panels = [panel(title, x, y, **ticks) for title in arms.values()]

    def still(axes: tuple[Axes, Axes]):
        for axis in axes:
            axis.tick_params("y", labelcolor=INK, pad=8)

    def draw(axes: tuple[Axes, Axes], kl: float) -> str:
        most, said = float(np.interp(kl, spent[order], earned[order])), []
        for axis, arm in zip(axes, arms, strict=True):
            axis.plot([most, most], [-0.5, end], color=INK, lw=1.2, gid="kl")
            side = {"at": (0, 0), "ha": "right" if most > 0.8 else "center"}
            name(axis, most, -0.8, f"limit {number(most)}", bold=True, **side)
            cells = [c for n, c in reward_at_kl(runs, arm, kl).items() if n in NAMES]
            if not cells:
                continue
            best, *_ = leaders(cells, max)
            wide = [best.low, best.high, best.high, best.low]
            axis.fill(wide, [-0.5, -0.5, end, end], color=REFERENCE, alpha=0.3, lw=0)
            for cell in cells:
                row, free = methods.index(cell.variant), cell.variant in REFERENCE_FREE
                axis.plot([cell.low, cell.high], [row, row], color=POLICY, lw=1.8)
                look = {"mfc": "white", "mec": POLICY} if free else {}
                dot(axis, cell.mean, row, "policy", ms=6, mew=1, **look)
            said.append(f"{arm}: {_leader(cells)}")
        return f"At {kl:.2f} nats π* earns {most:.2f}. " + "; ".join(said) + "."

    return Scene.of(
        draw,
        *panels,
        still=still,
        says="At equal KL every variant earns less than the limit allows",
        shows="Mean and range of the seeds; ○ uses no reference. Line: what π* earns "
        "for this KL.\nShaded: the range of the best; who reaches into it ties. "
        "Empty: spends more, or less.",
        height=4.8,
        sharey=True,
    )


def _leader(cells: list[Evidence]) -> str:
    """The highest of them, and all that tie with it, in words."""
    best, *ties = leaders(cells, max)
    more = ", a tie with " + ", ".join(NAMES[c.variant] for c in ties) if ties else ""
    return f"{NAMES[best.variant]} {best.mean:.2f}{more}"


def _cell(axis: Axes, at: tuple[int, int], cell: Evidence, dark: float, led: int):
    """A mean, and half of the range of its seeds, on its shade.

    dark: from 0 to 1
    led: 2 for the best of its column, which is framed; 1 for a tie with it; 0
    """
    x, y = at
    axis.add_patch(
        Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, color=REFERENCE, alpha=dark, lw=0)
    )
    if led == 2:
        frame = {"fill": False, "ec": INK, "lw": 2.2, "zorder": 4}
        axis.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, **frame))
    half = f"±{number((cell.high - cell.low) / 2)}"
    name(axis, x, y, number(cell.mean), at=(0, 0), ha="right", bold=led > 0)
    name(axis, x, y, half, at=(3, 0), fontsize=8.5)
