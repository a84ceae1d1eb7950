"""Chapter 06: the shape of every loss, and where it stops pushing."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.scale import AsinhScale
from torch import Tensor

from course_lib.guide import NAMES
from course_lib.losses import apo_down_loss
from course_lib.plots.marks import dot, name, number
from course_lib.plots.palette import DASHES, DOTTED, INK, QUIET, REFERENCE
from course_lib.plots.style import Scene, panel
from course_lib.variants import METHODS, Losses, LossSettings, PairLogps

TOKENS, LOGP = 8, -16.0  # of either answer: its length, and its log π_ref in nats
REACH = 15.0  # nats of gap on either side of the picture
FAR = 320.0  # /β: how far a minimum is looked for
DPO = {"color": REFERENCE, "ls": DASHES, "lw": 1.8}
CENTRED = {"ha": "center", "bold": True, "halo": True}
TIED = "dpo_nll", "orpo", "cpo"  # they look at log π(y_w) itself, which ends at 0


class Shape(NamedTuple):
    """A loss, and what its numbers are called."""

    losses: Losses
    knob: str = "β"
    more: str = ""  # the other knob that it reads


SHAPES = {
    "dpo": Shape(METHODS["dpo"]),
    "cdpo": Shape(METHODS["dpo"], more="ε"),
    "robust": Shape(METHODS["robust"], more="ε"),
    "ipo": Shape(METHODS["ipo"], knob="τ"),
    "hinge": Shape(METHODS["hinge"]),
    "dpo_norm": Shape(METHODS["dpo_norm"]),
    "dpo_nll": Shape(METHODS["dpo_nll"]),
    "nca": Shape(METHODS["nca"]),
    "apo_zero": Shape(METHODS["apo_zero"]),
    "apo_down": Shape(lambda s, k: apo_down_loss(*s.four, k.beta, reduction="none")),
    "kto": Shape(METHODS["kto"]),  # at z = 0
    "orpo": Shape(METHODS["orpo"], knob="λ"),
    "simpo": Shape(METHODS["simpo"], more="γ"),
    "cpo": Shape(METHODS["cpo"]),
}
CALLED = NAMES | {"apo_down": "APO-down", "apo_zero": "APO-zero", "kto": "KTO at z = 0"}


def loss_shapes() -> Scene:
    """Any loss of the family, and its push −dL/dh, against the gap h; DPO behind it.

    The chosen answer moves, h = u, and the rejected one stays at v = 0; for APO-down,
    which is flat there, the rejected one moves, h = −v. Either answer has 8 tokens and
    −16 nats under the reference, which only losses per token and with an NLL read.
    Both scales are linear near 0 and logarithmic far from it.
    sliders: variant, a name of SHAPES; beta (IPO's τ, ORPO's λ), within 0.05 to 2;
        epsilon of cDPO and robust DPO, 0 to 0.45; gamma of SimPO, 0 to 2
    """

    def draw(
        axes: tuple[Axes, Axes],
        variant: str,
        beta: float,
        epsilon: float = 0.2,
        gamma: float = 0.5,
    ) -> str:
        grid = torch.linspace(-REACH, REACH, 121, dtype=torch.float64)
        settings = LossSettings(
            beta, gamma, epsilon if SHAPES[variant].more == "ε" else 0.0
        )
        shape, plain = _shape(variant, settings), _shape("dpo", LossSettings(beta))
        for one, style in ((plain, DPO), (shape, {"color": INK})):
            for axis, values in zip(axes, one(grid), strict=True):
                axis.plot(grid, values, **style)
        if variant != "dpo":
            over, under = (float(one(grid[:1])[0]) for one in (shape, plain))
            way = (4, -9 if over > under else 9)
            name(axes[0], -REACH, under, "DPO", QUIET, at=way, halo=True)
        name(axes[0], 0, 330, CALLED[variant], at=(0, 0), **CENTRED)
        lowest = _lowest(shape, beta, variant in TIED)
        if lowest.at is not None and abs(lowest.at) <= REACH:
            for axis, height in zip(axes, (lowest.loss, 0.0), strict=True):
                dot(axis, lowest.at, height)
        zero = torch.zeros(1, dtype=torch.float64)
        starts = [float(one(zero)[1]) for one in (shape, plain)]
        return _said(variant, settings, lowest, *starts)

    losses, pushes = (-3, -1, 0, 1, 3, 10, 100), (-10, -1, -0.1, 0, 0.1, 1, 10)
    return Scene.of(
        draw,
        _panel("Loss, in its own unit", (-6, 700), 0.3, losses),
        _panel("Push −dL/dh, per nat", (-12, 60), 0.03, pushes),
        still=_zeros,
        says="Some losses have a lowest point, where their push is 0",
        shows="Solid: your loss; ◆ is its lowest point. Dashed: DPO at the same β.\n"
        "Both scales are logarithmic far from 0.",
        height=4.0,
    )


def _panel(title: str, y: tuple, near: float, ticks: Iterable[float]) -> dict:
    """Its y is linear within `near` of 0, and logarithmic far from it."""
    x, scale = ("gap h, nats", -REACH, REACH), AsinhScale(None, linear_width=near)
    ticks = {"yticks": {tick: number(tick, "g") for tick in ticks}}
    return panel(title, x, y, xticks=range(-15, 16, 5), yscale=scale, **ticks)


def _zeros(axes: tuple[Axes, Axes]):
    for axis in axes:
        axis.axvline(0, lw=1, **DOTTED)
        axis.axhline(0, color=REFERENCE, lw=1)


def _shape(
    variant: str, settings: LossSettings
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """From gaps to losses and pushes, each of the gaps' shape."""

    def of(gaps: Tensor) -> tuple[Tensor, Tensor]:
        gaps = gaps.clone().requires_grad_()
        still, told = torch.zeros_like(gaps), torch.full_like(gaps, LOGP)
        u, v = (still, -gaps) if variant == "apo_down" else (gaps, still)
        lengths = torch.full_like(gaps, TOKENS)
        scores = PairLogps(told + u, told + v, told, told, lengths, lengths, 0.0)
        losses = SHAPES[variant].losses(scores, settings)
        (slopes,) = torch.autograd.grad(losses.sum(), gaps)
        return losses.detach(), -slopes

    return of


class Lowest(NamedTuple):
    at: float | None  # nats; None: nowhere
    loss: float  # there, or far to the right
    flat: bool  # from there on
    bounded: bool


def _lowest(shape: Callable, beta: float, tied: bool) -> Lowest:
    """Where the push turns from up to down: looked for on a grid, then closer twice."""
    end = -LOGP - 1e-9 if tied else FAR / beta
    low, high = -FAR / beta, end
    for _ in range(3):
        gaps = torch.linspace(low, high, 401, dtype=torch.float64)
        losses, pushes = shape(gaps)
        turned = ((pushes[:-1] > 0) & (pushes[1:] <= 0)).nonzero()
        if not len(turned):
            still_falling = not tied and pushes[-1] > 1e-6 * pushes.max()
            return Lowest(None, float(losses[-1]), False, not still_falling)
        at = int(turned[0])
        low, high = float(gaps[at]), float(gaps[at + 1])
    before, after = float(pushes[at]), float(pushes[at + 1])
    where = low + (high - low) * before / (before - after) if after else high
    here, further = torch.tensor([where, where + 1 / beta], dtype=torch.float64)
    (loss, _), (_, push) = shape(here[None]), shape(further[None])
    return Lowest(where, float(loss), float(push) == 0, True)


def _said(
    variant: str, settings: LossSettings, lowest: Lowest, start: float, dpo: float
) -> str:
    shape = SHAPES[variant]
    more = {
        "": "",
        "ε": f", ε = {settings.label_smoothing:g}",
        "γ": f", γ = {settings.gamma:g}",
    }
    called = f"{CALLED[variant]}, {shape.knob} = {settings.beta:g}{more[shape.more]}"
    if variant == "apo_down":
        called += " (here y_l falls: h = −v, u = 0)"
    if lowest.at is not None:
        away = ", outside the picture" if abs(lowest.at) > REACH else ""
        kind = "and from there on flat" if lowest.flat else "and pulled back beyond"
        where = f"lowest, {lowest.loss:.3f}, at h = {lowest.at:.2f} nats{away}, {kind}"
    elif variant in TIED:
        where = (
            f"no minimum: it falls to {lowest.loss:.3f} at h = {-LOGP:g} nats, where "
            "the chosen answer is certain"
        )
    elif lowest.bounded:
        where = f"no minimum: it falls towards {lowest.loss + 0:.3f} for ever"
    else:
        where = "no minimum, and no lower bound: it falls without end"
    beside = "" if variant == "dpo" else f", DPO with {dpo:.3f}"
    return f"{called}: {where}. At h = 0 it pushes with {start:.3f} a nat{beside}."
