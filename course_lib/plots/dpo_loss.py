"""Chapter 04: the loss, its gradient, and the bugs that shipped."""

import math
from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.bugs import BUGGY, END, PADDING, treat
from course_lib.logprobs import response_logprobs
from course_lib.losses import dpo_gradients, dpo_loss
from course_lib.plots.marks import THIN, arrow, dot, name, names, number
from course_lib.plots.palette import (
    DASH_DOT,
    DASHES,
    DOTTED,
    FAINT,
    FAULTY,
    HATCHED,
    INK,
    MARK,
    QUIET,
    REFERENCE,
    beta_color,
)
from course_lib.plots.style import Picture, Scene, panel

SICK = {"color": FAULTY, "ls": DASH_DOT}


def _loss_and_weight(loss: Callable, gaps: Tensor, beta: float):
    """Each pair's loss, and its slope in the gap as a share of β, by autograd."""
    zero = torch.zeros(1, dtype=torch.float64)
    values, weights = [], []
    for gap in gaps.tolist():
        chosen = (zero + gap).requires_grad_()
        value = loss(chosen, zero, zero, zero, beta)
        (slope,) = torch.autograd.grad(value, chosen)
        values.append(value.item())
        weights.append(-slope.item() / beta)
    return values, weights


def gap_curves(loss: Callable = dpo_loss) -> Scene:
    """The loss of one pair and its gradient's weight, against the gap.

    loss: the function to draw
    sliders: gap in nats, from −10 to 40, which can be dragged (drag="gap"); beta, from
        0.02 to 0.5 in reward per nat
    """
    grid = torch.linspace(-10, 40, 51, dtype=torch.float64)
    known: dict[float, tuple] = {}
    x, ticks = ("gap h, nats", -10, 48), {"xticks": range(-10, 50, 10)}
    top = 2.4
    left = panel("Loss, nats", x, (0, top), yticks=[0, 1, 2], **ticks)
    right = panel("Weight σ(−βh)", x, (0, 1.16), yticks=[0, 0.5, 1], **ticks)

    def still(axes: tuple[Axes, Axes]):
        for beta in (0.02, 0.5):
            curves = _loss_and_weight(loss, grid, beta)
            for axis, curve in zip(axes, curves, strict=True):
                axis.plot(grid, curve, color=beta_color(beta), lw=1)
        _name_ends(axes)

    def draw(axes: tuple[Axes, Axes], gap: float, beta: float) -> str:
        if beta not in known:
            known[beta] = _loss_and_weight(loss, grid, beta)
        here = _loss_and_weight(loss, grid.new_tensor([gap]), beta)
        violet = beta_color(beta)
        for axis, curve, (value,) in zip(axes, known[beta], here, strict=True):
            axis.plot(grid, curve, color=violet)
            outside = axis is axes[0] and value > top
            look = {"marker": "^" if outside else "o", "gid": "gap"}
            dot(axis, gap, min(value, top), color=violet, **look)
        value, weight = here[0][0], here[1][0]
        place = {"at": (0, -9), "ha": "right", "bold": True}
        name(axes[1], 48, 1.16, f"β = {beta:.3g}", violet, **place)
        return (
            f"At β = {beta:.3g} a pair with a gap of {number(gap, '+.1f')} nats costs "
            f"{_least(value, 3)} nats and pushes with weight {_least(weight, 3)}, "
            f"which is {_least(beta * weight, 4)} per nat once β is multiplied in."
        )

    return Scene.of(
        draw,
        left,
        right,
        still=still,
        says="Loss and push never reach 0, and fade slowly if β is small",
        shows="One pair, against its gap: above 0 it is in the right order. Drag the "
        "point.\nThin: the least and the largest β of the slider. ▲: above the panel.",
    )


def _name_ends(axes: tuple[Axes, Axes]):
    """The names of the lines of β = 0.02 and 0.5, and the marks at h = 0 and ln 2."""
    left, right = axes
    small, large = ("0.02", beta_color(0.02)), ("0.5", beta_color(0.5))
    name(left, 40, 0.371, *small, at=(8, 0))  # log(1 + e^−0.8)
    name(right, 40, 0.31, *small, at=(8, 0))  # σ(−0.8)
    name(left, -4.4, 2.25, *large, at=(4, 0))
    name(right, -5.5, 0.98, *large, at=(0, 11), ha="center")
    for axis in axes:
        axis.axvline(0, 0, 0.75, lw=1, **DOTTED)
        axis.tick_params(axis="y", pad=9)  # room for the point at the left end
    left.axhline(math.log(2), lw=1, **DOTTED)
    name(left, 48, math.log(2), "ln 2: unchanged", QUIET, at=(0, 9), ha="right")


def _least(value: float, digits: int) -> str:
    """A positive number with so many digits; one that rounds to 0 says so."""
    told = number(value, f".{digits}f")
    return told if float(told) else f"under {10.0**-digits:.{digits}f}"


def four_numbers(
    loss: Callable = dpo_loss, gradients: Callable = dpo_gradients
) -> Scene:
    """One pair as four log-probabilities, and what loss and gradient make of them.

    loss, gradients: the functions to draw with
    sliders: policy_chosen, policy_rejected, ref_chosen, ref_rejected in nats, −30 to 0;
        beta in reward per nat
    """

    def draw(
        axes: tuple[Axes, Axes],
        policy_chosen: float,
        policy_rejected: float,
        ref_chosen: float,
        ref_rejected: float,
        beta: float,
    ) -> str:
        u, v = policy_chosen - ref_chosen, policy_rejected - ref_rejected
        _span(axes[1], u, v)
        _move(axes, "chosen", ref_chosen, policy_chosen)
        _move(axes, "rejected", ref_rejected, policy_rejected)
        four = (policy_chosen, policy_rejected, ref_chosen, ref_rejected)
        four = [torch.tensor([x], dtype=torch.float64) for x in four]
        value = float(loss(*four, beta))
        up, down = gradients(*four, beta)[0].tolist()
        margin = number(beta * (u - v), "+.3f")
        u, v, h = (number(nats, "+.1f") for nats in (u, v, u - v))
        return (
            f"Log-ratios {u} and {v} make a gap of {h} nats and, at β = {beta:.3g}, a "
            f"margin of {margin}. The loss is {value:.4f}; a nat more for the chosen "
            f"answer changes it at a rate of {number(up, '+.4f')}, a nat more for the "
            f"rejected one at {number(down, '+.4f')}."
        )

    def still(axes: tuple[Axes, Axes]):
        for axis in axes:
            for tick in axis.get_yticklabels():
                tick.set_color(MARK[tick.get_text()]["color"])
        axes[1].axvline(0, 0.3, lw=1, **DOTTED)

    title, x = "Log-probability of the answer, nats", ("nats", -31, 1)
    below, ratios = "The same arrows from one start", ("log-ratio, nats", -31, 31)
    rows = {"ynames": ("rejected", "chosen")}
    return Scene.of(
        draw,
        panel(title, x, (-0.6, 1.7), **rows),
        panel(below, ratios, (-1.2, 1.6), **rows),
        still=still,
        mosaic="a;b",
        says="The loss sees only the difference between the two arrows",
        shows="□ reference, ● ○ policy. An arrow is how far an answer has moved: its "
        "log-ratio.\nThe gap h is what lies between the two tips.",
        height=4.3,
    )


def _span(axis: Axes, u: float, v: float, upright: bool = False):
    """The gap: what lies between the tips of the two arrows."""
    shade, line = axis.axvspan, axis.axvline
    middle, look = (u + v) / 2, {"at": (0, 0), "ha": "center", "bold": True}
    place, ends = (min(max(middle, -24), 24), -0.75), (0.3, 1)
    if upright:
        shade, line = axis.axhspan, axis.axhline
        place, ends = (2, middle), (0, 0.63)
    shade(min(u, v), max(u, v), *ends, color=FAINT, lw=0, zorder=0)
    for tip in (u, v):
        line(tip, *ends, color=REFERENCE, lw=1)
    name(axis, *place, f"gap h = {number(u - v, '+.1f')}", **look)


def _move(axes: tuple[Axes, Axes], answer: str, ref: float, policy: float):
    """From the reference's log-probability of an answer to the policy's, twice."""
    row, color = int(answer == "chosen"), MARK[answer]["color"]
    moves, gaps = axes
    short = math.copysign(min(0.4, abs(policy - ref)), policy - ref)  # of the dot
    arrow(moves, (ref, row), (policy - short, row), color=color)
    dot(moves, ref, row, "reference", ms=8)
    dot(moves, policy, row, answer)
    middle = min(max((policy + ref) / 2, -29), -1)
    told = number(policy - ref, "+.1f")
    name(moves, middle, row, told, color, at=(0, 13), ha="center")
    arrow(gaps, (0, row), (policy - ref, row), color=color)


def sick_runs(loss: Callable = dpo_loss) -> Scene:
    """What each sick loss logs during a small run, and what really happens.

    loss: the sound loss to compare with
    slider: bug, the name of a patient that concerns the loss
    """
    steps, sound = 60, treat(loss)
    far = [torch.tensor([x], dtype=torch.float64) for x in (-5000.0, 0.0, 0.0, 0.0)]
    x, ticks = ("step", 0, 76), {"xticks": [0, 20, 40, 60]}
    left = panel("Loss as it is logged, nats", x, (0, 2.2), **ticks)
    right = panel("True mean gap, nats", x, (-7, 18), **ticks)

    def still(axes: tuple[Axes, Axes]):
        for axis, curve in zip(axes, (sound.logged, sound.gaps), strict=True):
            axis.plot(curve, color=INK, lw=1.2)

    def draw(axes: tuple[Axes, Axes], bug: str) -> str:
        sick = BUGGY[bug].function
        run = treat(sick, steps)
        for axis, curve, right, gap, low in (
            (axes[0], run.logged, sound.logged, 0.2, 0.2),
            (axes[1], run.gaps, sound.gaps, 2.2, -7),
        ):
            axis.plot(curve, **SICK)
            ends = (curve[-1], "bug", FAULTY), (right[-1], "sound", INK)
            names(axis, [(steps, max(y, low), *look) for y, *look in ends], gap)
        says, ought = (float(one(*far, 0.5)) + 0.0 for one in (sick, loss))
        told, right = (
            number(cost, ",.4g").replace("inf", "∞") for cost in (says, ought)
        )
        words = f"A pair at h = −5{THIN}000 nats costs\n{told} (sound: {right})"
        name(axes[1], 1, 18, words, FAULTY, at=(0, 0), va="top", halo=True)
        was, ends = sound.logged[0], sound.logged[-1]
        true, ought_to = (number(run.gaps[-1], "+.2f"), number(sound.gaps[-1], "+.2f"))
        return (
            f"{bug}: logs {run.logged[0]:.3f} at first and {run.logged[-1]:.3f} after "
            f"{steps} steps (sound: {was:.3f}, {ends:.3f}); the true gap ends at "
            f"{true} nats (sound: {ought_to}). On a pair wrong by 5,000 nats at "
            f"β = 0.5 it says {says:.4g} (sound: {ought:.4g})."
        )

    return Scene.of(
        draw,
        left,
        right,
        still=still,
        says="A log can look sound while the training goes wrong",
        shows="A run on three pairs with the bug, dash-dotted, and with a sound loss, "
        "solid.\nA log holds the left panel only.",
    )


WORDS = ("sky", "?", "it", "is", "blue", "END", "pad", "pad")


def _conversation():
    """Two rows; the second, with the shorter prompt, is the one that is shown."""
    labels = torch.tensor(
        [
            [3, 2, 5, 4, 3, END, PADDING, PADDING],
            [2, 3, 4, 5, 2, END, PADDING, PADDING],
        ]
    )
    mask = torch.tensor([[0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0]])
    logits = torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(3))
    return logits.double(), labels, mask


def _listening(function: Callable) -> tuple[list[float], float]:
    """How much each position's logits matter for the second row, and its number."""
    logits, labels, mask = _conversation()
    logits.requires_grad_()
    value = function(logits, labels, mask)[1]
    (slope,) = torch.autograd.grad(value, logits)
    return slope[1].abs().sum(-1).tolist(), value.item()


def counted_tokens(function: Callable = response_logprobs) -> Scene:
    """At which positions a function of logits listens, beside a patient's.

    function: the sound one, of logits, labels and mask
    slider: bug, the name of a patient that concerns log-probabilities
    """
    right, sound = _listening(function)
    places = torch.arange(len(WORDS))
    x = "position, by its token", -0.6, 7.6
    y, ticks = (0, 7.4), {"yticks": [0, 2, 4, 6]}
    title = "Weight of the position’s logits, Σ |∂ / ∂ logit|"
    around = panel(title, x, y, xnames=WORDS, **ticks)

    def still(axis: Axes):
        axis.axvspan(1.5, 5.5, color=FAINT, lw=0, zorder=0)
        for x, part in ((0.5, "prompt"), (3.5, "response"), (6.5, "padding")):
            name(axis, x, 6.9, part, QUIET, at=(0, 0), ha="center")
        axis.bar(places - 0.2, right, 0.4, color=INK)

    def draw(axis: Axes, bug: str) -> str:
        heard, value = _listening(BUGGY[bug].function)
        axis.bar(places + 0.2, heard, 0.4, **HATCHED)
        where = ", ".join(str(i + 1) for i, x in enumerate(heard) if x > 1e-9)
        ought = ", ".join(str(i + 1) for i, x in enumerate(right) if x > 1e-9)
        return (
            f"{bug}: {number(value)} nats where {number(sound)} is right. It listens "
            f"at positions {where}; the sound function listens at {ought}. "
            f"{BUGGY[bug].does}"
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="A token is scored one position before its own",
        shows="How much each position counts in the log-probability of the response.\n"
        "Solid: the sound function; hatched: with the bug.",
    )


def displacement(history: Tensor) -> Picture:
    """Probabilities of three answers during training: chosen, rejected, a third one.

    history: shape (steps, 3), in that order
    """
    answers, last = ("chosen", "rejected", "third"), len(history) - 1
    colors = [*(MARK[answer]["color"] for answer in answers[:2]), INK]
    ratios = (history[-1].clamp(min=1e-30) / history[0]).log().tolist()

    def draw(axes: tuple[Axes, Axes]) -> str:
        left, right = axes
        _span(right, *ratios[:2], upright=True)
        right.axhline(0, lw=1, **DOTTED)
        right.locator_params(axis="y", nbins=4)
        ends, moves = [], []
        for place, (answer, color) in enumerate(zip(answers, colors, strict=True)):
            first, *_, now = curve = history[:, place].tolist()
            left.plot(curve, color=color, ls=DASHES if answer == "rejected" else "-")
            ends.append((last, max(now, 0.1 - 0.01 * place), answer, color))
            moves.append(f"{answer} from {first:.3f} to {now:.3f}")
            if place < 2:
                told = f"{number(ratios[place], '+.1f')}\n{answer}"
                words = {"at": (0, -4), "ha": "center", "va": "top"}
                arrow(right, (place, 0), (place, ratios[place]), told, color, **words)
        names(left, ends, gap=0.09)
        return f"Three curves over {last} steps: {', '.join(moves)}."

    x, low = ("step", 0, 1.3 * last), 1.35 * min(ratios)
    ends, steps = (("", -0.6, 2.5), (low, -0.05 * low)), [0, last // 2, last]
    return Picture.of(
        draw,
        panel("Probability", x, (0, 1.05), xticks=steps, yticks=[0, 0.5, 1]),
        panel("Log-ratio at the end, nats", *ends, xticks=[]),
        says="The gap grows while both answers fall: a third one gains it all",
        shows="Training on one pair. Right: how far its two answers have moved, from "
        "one start;\nthe gap h is what lies between the tips.",
        width_ratios=(3, 2),
    )
