"""Chapter 04: the loss, its gradient, and the bugs that shipped."""

from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from course_lib.bugs import BUGGY, END, PADDING, treat
from course_lib.logprobs import response_logprobs
from course_lib.losses import dpo_gradients, dpo_loss
from course_lib.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    Picture,
    Scene,
    still_figure,
)

__all__ = [
    "counted_tokens",
    "displacement",
    "four_numbers",
    "gap_curves",
    "sick_runs",
]


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
    sliders: gap in nats, from −10 to 40; beta, from 0.02 to 0.5 in reward per nat
    """
    grid = torch.linspace(-10, 40, 51, dtype=torch.float64)
    known: dict[float, tuple] = {}

    def setup(figure: Figure) -> list[Axes]:
        figure.set_size_inches(6.5, 2.9)
        left, right = figure.subplots(1, 2)
        for axis in (left, right):
            axis.axvline(0, color=GREY, lw=1, ls=":")
            axis.set(xlim=(-10, 40), xlabel="gap h (nats)")
        left.axhline(0.6931, color=GREY, lw=1, ls="--")
        left.text(40, 0.74, "ln 2", color=GREY, ha="right", va="bottom")
        left.set(ylim=(0, 5.2), ylabel="loss (nats)", title="The loss falls for ever")
        right.set(ylim=(0, 1.03), ylabel="weight σ(−βh)")
        right.set_title("The weight fades, slowly for small β")
        return [left, right]

    def draw(axes: list[Axes], gap: float, beta: float) -> str:
        if beta not in known:
            known[beta] = _loss_and_weight(loss, grid, beta)
        here = _loss_and_weight(loss, grid.new_tensor([gap]), beta)
        for axis, curve, (point,) in zip(axes, known[beta], here, strict=True):
            axis.plot(grid, curve, color=BLUE)
            axis.plot(gap, point, "o", color=ORANGE, ms=9, clip_on=False)
        value, weight = here[0][0], here[1][0]
        return (
            f"At β = {beta:.3g} a pair with a gap of {gap:+.1f} nats costs {value:.3f} "
            f"nats and pushes with weight {weight:.3f}, which is {beta * weight:.4f} "
            "per nat once β is multiplied in."
        )

    return Scene(draw, setup)


def four_numbers(
    loss: Callable = dpo_loss, gradients: Callable = dpo_gradients
) -> Scene:
    """One pair as four log-probabilities, and what loss and gradient make of them.

    loss, gradients: the functions to draw with
    sliders: policy_chosen, policy_rejected, ref_chosen, ref_rejected in nats, −30 to 0;
        beta in reward per nat
    """

    def setup(figure: Figure) -> Axes:
        figure.set_size_inches(6.5, 2.3)
        axis = figure.subplots()
        axis.grid(visible=False, axis="y")
        axis.set_yticks([1, 0], ["chosen", "rejected"])
        axis.plot([], [], "o", color=BLUE, ms=9, label="policy")
        axis.plot([], [], "s", color=GREY, ms=7, label="reference")
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        axis.set(
            xlim=(-31, 1),
            ylim=(-0.6, 1.6),
            xlabel="log-probability of the whole answer (nats)",
            title="The loss sees two arrows, and of them only the difference",
        )
        return axis

    def draw(
        axis: Axes,
        policy_chosen: float,
        policy_rejected: float,
        ref_chosen: float,
        ref_rejected: float,
        beta: float,
    ) -> str:
        rows = ((1, policy_chosen, ref_chosen), (0, policy_rejected, ref_rejected))
        for row, policy, ref in rows:
            arrow = {"arrowstyle": "->", "color": ORANGE, "lw": 2}
            if policy != ref:
                axis.annotate("", (policy, row), (ref, row), arrowprops=arrow)
            axis.plot(ref, row, "s", color=GREY, ms=7)
            axis.plot(policy, row, "o", color=BLUE, ms=9, clip_on=False)
            middle = min(max((policy + ref) / 2, -29), -1)
            axis.text(middle, row + 0.2, f"{policy - ref:+.1f}", ha="center")
        four = (policy_chosen, policy_rejected, ref_chosen, ref_rejected)
        four = [torch.tensor([x], dtype=torch.float64) for x in four]
        value = float(loss(*four, beta))
        up, down = gradients(*four, beta)[0].tolist()
        u, v = policy_chosen - ref_chosen, policy_rejected - ref_rejected
        return (
            f"Log-ratios {u:+.1f} and {v:+.1f} make a gap of {u - v:+.1f} nats and, at "
            f"β = {beta:.3g}, a margin of {beta * (u - v):+.3f}. The loss is "
            f"{value:.4f}; a nat more for the chosen answer changes it at a rate of "
            f"{up:+.4f}, a nat more for the rejected one at {down:+.4f}."
        )

    return Scene(draw, setup)


def sick_runs(loss: Callable = dpo_loss) -> Scene:
    """What each sick loss logs during a small run, and what really happens.

    loss: the sound loss to compare with
    slider: bug, the name of a patient that concerns the loss
    """
    steps, sound = 60, treat(loss)
    far = [torch.tensor([x], dtype=torch.float64) for x in (-5000.0, 0.0, 0.0, 0.0)]

    def setup(figure: Figure) -> list[Axes]:
        figure.set_size_inches(6.5, 2.9)
        left, right = figure.subplots(1, 2)
        for axis, curve in ((left, sound.logged), (right, sound.gaps)):
            axis.plot(curve, "--", color=GREY, label="sound")
            axis.plot([], [], color=ORANGE, label="patient")
            axis.set(xlim=(0, steps), xlabel="step")
        left.legend(frameon=False, loc="upper right")
        left.set(ylim=(0, 2.2), ylabel="loss as it is logged", title="What you see")
        right.set(ylim=(-7, 18), ylabel="true mean gap (nats)", title="What happens")
        return [left, right]

    def draw(axes: list[Axes], bug: str) -> str:
        sick = BUGGY[bug].function
        run = treat(sick, steps)
        for axis, curve in zip(axes, (run.logged, run.gaps), strict=True):
            axis.plot(curve, color=ORANGE)
        says, ought = (float(one(*far, 0.5)) + 0.0 for one in (sick, loss))
        axes[1].text(1.5, 16, f"at h = −5,000: {says:.4g}", color=ORANGE, va="center")
        was, ends = sound.logged[0], sound.logged[-1]
        return (
            f"{bug}: logs {run.logged[0]:.3f} at first and {run.logged[-1]:.3f} after "
            f"{steps} steps (sound: {was:.3f}, {ends:.3f}); the true gap ends at "
            f"{run.gaps[-1]:+.2f} nats (sound: {sound.gaps[-1]:+.2f}). On a pair wrong "
            f"by 5,000 nats at β = 0.5 it says {says:.4g} (sound: {ought:.4g})."
        )

    return Scene(draw, setup)


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

    def setup(figure: Figure) -> Axes:
        figure.set_size_inches(6.5, 2.9)
        axis = figure.subplots()
        axis.grid(visible=False, axis="x")
        axis.bar(places - 0.2, right, 0.4, color=BLUE)
        hatched = Patch(facecolor=ORANGE, hatch="//", edgecolor="white")
        handles = [axis.containers[0], hatched]
        axis.legend(handles, ["sound", "patient"], frameon=False, loc="upper right")
        axis.set_xticks(places, WORDS)
        axis.set(
            xlim=(-0.6, len(WORDS) - 0.4),
            ylim=(0, 6),
            xlabel="position, by the token that stands there (two words of prompt)",
            ylabel="Σ |∂ / ∂ logit|",
            title="The token before speaks for the one that follows",
        )
        return axis

    def draw(axis: Axes, bug: str) -> str:
        heard, value = _listening(BUGGY[bug].function)
        axis.bar(places + 0.2, heard, 0.4, color=ORANGE, hatch="//", edgecolor="white")
        where = ", ".join(str(i + 1) for i, x in enumerate(heard) if x > 1e-9)
        ought = ", ".join(str(i + 1) for i, x in enumerate(right) if x > 1e-9)
        return (
            f"{bug}: {value:.2f} nats where {sound:.2f} is right. It listens at "
            f"positions {where}; the sound function listens at {ought}. "
            f"{BUGGY[bug].does}"
        )

    return Scene(draw, setup)


def displacement(history: Tensor) -> Picture:
    """Probabilities of three answers during training: chosen, rejected, a third one.

    history: shape (steps, 3), in that order
    """
    figure, axis = still_figure(2.9)
    names = ("chosen", "rejected", "the third")
    styles = ((BLUE, "-"), (GREY, ":"), (ORANGE, "--"))
    for column, name, (color, line) in zip(history.T, names, styles, strict=True):
        axis.plot(column, line, color=color, label=name)
    axis.legend(frameon=False, loc="center right")
    axis.set(
        xlim=(0, len(history) - 1),
        ylim=(0, 1),
        xlabel="step",
        ylabel="probability",
        title="Both answers of the pair fall, and a third one takes it all",
    )
    first, last = history[0].tolist(), history[-1].tolist()
    moves = ", ".join(
        f"{name} from {a:.3f} to {b:.3f}"
        for name, a, b in zip(names, first, last, strict=True)
    )
    return Picture(figure, f"Three curves over {len(history) - 1} steps: {moves}.")
