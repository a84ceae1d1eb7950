"""Chapter 06: what each variant pulls a log-ratio towards, and what came of it."""

import math
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Rectangle

from course_lib.datasets import Run
from course_lib.guide import NAMES, SWEEPS, Evidence, evidence, leaders, reward_at_kl
from course_lib.losses import ipo_loss, kto_loss
from course_lib.plots.style import BLUE, GREY, ORANGE, Scene, panel
from course_lib.policies import frontier
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
    title = "One τ, two targets: for an answer, or for each of its tokens"
    x, y = ("gap h of the sums (nats)", 0, 55), ("loss (nats²)", -1, 30)

    def curve(tau: float, tokens: int) -> list[float]:
        zero, both = torch.zeros(1, dtype=torch.float64), torch.tensor([tokens])
        lengths = {"chosen_lengths": both, "rejected_lengths": both} if tokens else {}
        return [float(loss(zero + h, zero, zero, zero, tau, **lengths)) for h in gaps]

    def still(axis: Axes):
        axis.plot([], [], color=BLUE, marker="o", label="sums")
        axis.plot([], [], color=ORANGE, ls="--", marker="s", label="averages per token")
        axis.figure.legend(loc="outside lower center", ncols=2)

    def draw(axis: Axes, tau: float, tokens: int) -> str:
        lowest = []
        kinds = ((0, BLUE, "-", "o"), (tokens, ORANGE, "--", "s"))
        for length, color, line, mark in kinds:
            losses = curve(tau, length)
            best = min(range(len(gaps)), key=losses.__getitem__)
            lowest.append(gaps[best])
            axis.plot(gaps, losses, color=color, ls=line)
            axis.plot(gaps[best], losses[best], mark, color=color)
        return (
            f"With τ = {tau:g}, tried at every half nat, the loss from sums is lowest "
            f"at a gap of {lowest[0]:g} nats, and the loss from averages, for answers "
            f"of length {tokens:g}, at {lowest[1]:g} nats."
        )

    return Scene.of(draw, panel(title, x, y), still=still, height=3.4)


def kto_curves(loss: Callable = kto_loss) -> Scene:
    """KTO's loss of one answer against its log-ratio, beside one that never saturates.

    loss: loss(policy_logps, ref_logps, desirable, kl, beta), the function to draw
    sliders: z, the reference point, 0 to 4 nats; beta, within 0.1 to 2
    """
    grid = torch.linspace(-12, 12, 97, dtype=torch.float64)

    def of_one(ratio, good: bool, z: float, beta: float):
        zero = torch.zeros(1, dtype=torch.float64)
        return loss(ratio.reshape(1), zero, torch.tensor([good]), z, beta)

    title = "KTO's loss is bounded: a hopeless answer pushes no more"
    x = "log-ratio u (nats)", -12, 12
    y = "loss (no unit; dotted: nats)", -0.05, 1.55

    def still(axis: Axes):
        axis.plot([], [], color=BLUE, label="desirable")
        axis.plot([], [], color=ORANGE, ls="--", label="undesirable")
        axis.plot([], [], ":", color=GREY, label="desirable, by −log σ")
        axis.figure.legend(loc="outside lower center", ncols=3)

    def draw(axis: Axes, z: float, beta: float) -> str:
        axis.axvline(z, color=GREY, lw=1)
        for good, color, line in ((True, BLUE, "-"), (False, ORANGE, "--")):
            losses = [float(of_one(ratio, good, z, beta)) for ratio in grid]
            axis.plot(grid, losses, color=color, ls=line)
        axis.plot(grid, -F.logsigmoid(beta * (grid - z)), ":", color=GREY)
        below = torch.tensor(z - 8, dtype=torch.float64, requires_grad=True)
        value = of_one(below, True, z, beta)
        (slope,) = torch.autograd.grad(value, below)
        other = beta / (1 + math.exp(-8 * beta))
        sentence = (
            f"With the reference point at z = {z:g} nats and β = {beta:g}, a desirable "
            f"answer 8 nats below the point loses {value.item():.3f} and is pushed up "
            f"by {-slope.item():.4f} a nat; by −log σ it would be {other:.4f}."
        )
        return sentence.replace("-", "−")

    return Scene.of(draw, panel(title, x, y), still=still, height=3.4)


def variant_table(runs: Sequence[Run]) -> Scene:
    """Every variant at its usual setting, on every kind of data: mean, half the range.

    Framed are the best mean of a column and all that tie with it (`Evidence.ties`).

    runs: of `datasets.shipped_runs("variants")`
    sliders: field, one of FIELDS
    """
    methods = [name for name in SWEEPS if name in NAMES]
    title = "Each setting on each kind of data"
    x = "framed: the best and its ties; ±: half the range of seeds"
    broken = ["\n".join(kind.rsplit(" ", 1)) for kind in KINDS]
    down = [f"{NAMES[m]}, {SWEEPS[m].describe(SWEEPS[m].usual)}" for m in methods]
    y = "", len(methods) - 0.5, -0.5
    x = x, -0.5, len(KINDS) - 0.5
    around = panel(title, x, y, grid="", xnames=broken, ynames=down)

    def still(axis: Axes):
        axis.tick_params("x", labelsize=9)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)

    def draw(axis: Axes, field: str) -> str:
        called, better = FIELDS[field]
        cells = evidence(runs, field)
        means = [cell.mean for (_, kind), cell in cells.items() if kind in KINDS]
        ends = min(means), max(means)
        norm = (LogNorm if ends[0] > 0 and ends[1] > 10 * ends[0] else Normalize)(*ends)
        said = []
        for x, kind in enumerate(KINDS):
            column = {m: cells[m, kind] for m in methods if (m, kind) in cells}
            for method, cell in column.items():
                fill = matplotlib.colormaps["cividis"](norm(cell.mean))
                _cell(axis, (x, methods.index(method)), cell, fill)
            if better:
                best, *ties = leaders(column.values(), better)
                for cell in (best, *ties):
                    corner = (x - 0.47, methods.index(cell.variant) - 0.46)
                    frame = {"fill": False, "ec": ORANGE, "lw": 2.5}
                    axis.add_patch(Rectangle(corner, 0.94, 0.92, **frame))
                tied = f" (ties: {len(ties)})" if ties else ""
                said.append(f"{kind}: {NAMES[best.variant]} {best.mean:.2f}{tied}")
        low, high = (f"{end:.2f}".replace("-", "−") for end in ends)
        spread = f"{called}: means over seeds from {low} to {high}."
        return spread + (
            f" The best of each column: {'; '.join(said)}." if said else ""
        )

    return Scene.of(draw, around, still=still, height=4.4)


def variants_at_kl(runs: Sequence[Run], world: World) -> Scene:
    """What each variant earns at one KL, on clean and on noisy labels, and the limit.

    A dot is the mean over seeds, with their range; variants without one spend more, or
    less, at every value of their knob.

    runs: of `datasets.shipped_runs("variants")`; world: with the reference
    sliders: kl, within 0.1 to 1.5 nats
    """
    methods = [name for name in SWEEPS if name in NAMES]
    arms = {"clean": (BLUE, "o"), "20 % noise": (ORANGE, "s")}
    betas = torch.logspace(-1.5, 1.5, 121).tolist()
    limit = frontier(world.ref, world.rewards, betas)
    spent, earned = (part.mean(0).numpy() for part in (limit.kl, limit.expected_reward))
    order = spent.argsort()
    y = "", len(methods) - 0.5, -0.5
    title = "At equal KL: clean labels ●, a fifth of them flipped ■"
    down = [*map(NAMES.get, methods)]
    around = panel(title, ("expected reward", -0.1, 1.15), y, ynames=down)

    def draw(axis: Axes, kl: float) -> str:
        most = float(np.interp(kl, spent[order], earned[order]))
        axis.axvline(most, color="black", lw=1.2)
        axis.text(most + 0.01, len(methods) - 0.6, "exact limit", fontsize=9)
        said = []
        for shift, (arm, (color, mark)) in zip(
            (-0.15, 0.15), arms.items(), strict=True
        ):
            cells = [c for n, c in reward_at_kl(runs, arm, kl).items() if n in NAMES]
            rows = [methods.index(cell.variant) + shift for cell in cells]
            ends = [x for c in cells for x in (c.low, c.high, math.nan)]
            axis.plot(ends, np.repeat(rows, 3), color=color, lw=1.5)
            axis.plot([cell.mean for cell in cells], rows, mark, color=color)
            said += [f"{arm}: {_leader(cells)}"] if cells else []
        return f"At {kl:.2f} nats π* earns {most:.2f}. " + "; ".join(said) + "."

    return Scene.of(draw, around, height=4.4)


def _leader(cells: list[Evidence]) -> str:
    """The highest of them, and all that tie with it, in words."""
    best, *ties = leaders(cells, max)
    more = ", a tie with " + ", ".join(NAMES[c.variant] for c in ties) if ties else ""
    return f"{NAMES[best.variant]} {best.mean:.2f}{more}"


def _cell(axis: Axes, at: tuple[int, int], cell: Evidence, fill):
    """A mean, and half of the range of its seeds, on its colour."""
    x, y = at
    axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=fill, lw=0))
    text = {"color": _ink(fill), "va": "center_baseline"}
    half = (cell.high - cell.low) / 2
    told = f"{cell.mean:.2f}".replace("-", "−")
    axis.text(x + 0.02, y, told, ha="right", fontsize=9, **text)
    axis.text(x + 0.06, y, f"±{half:.2f}", ha="left", fontsize=7.5, **text)


def _ink(fill: tuple[float, ...]) -> str:
    """Black or white, whichever stands out more (WCAG's relative luminance)."""
    linear = [((c + 0.055) / 1.055) ** 2.4 for c in fill[:3]]
    return "black" if np.dot((0.2126, 0.7152, 0.0722), linear) > 0.179 else "white"
