"""Chapter 04: the loss, its gradient, and the bugs that shipped."""

from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from torch import Tensor

from course_lib.bugs import BUGGY, END, PADDING, treat
from course_lib.logprobs import response_logprobs
from course_lib.losses import dpo_gradients, dpo_loss
from course_lib.plots.style import BLUE, GREY, ORANGE, Picture, Scene, panel

POLICY = {"marker": "o", "color": BLUE, "ms": 9, "ls": "none"}
REFERENCE = {"marker": "s", "color": GREY, "ms": 7, "ls": "none"}


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

    x = "gap h (nats)", -10, 40
    left = panel("The loss falls for ever", x, ("loss (nats)", 0, 5.2))
    right = panel("The weight fades, slowly for small β", x, ("weight σ(−βh)", 0, 1.03))

    def still(axes: tuple[Axes, Axes]):
        for axis in axes:
            axis.axvline(0, color=GREY, lw=1, ls=":")
        axes[0].axhline(0.6931, color=GREY, lw=1, ls="--")
        axes[0].text(40, 0.74, "ln 2", color=GREY, ha="right", va="bottom")

    def draw(axes: tuple[Axes, Axes], gap: float, beta: float) -> str:
        if beta not in known:
            known[beta] = _loss_and_weight(loss, grid, beta)
        here = _loss_and_weight(loss, grid.new_tensor([gap]), beta)
        for axis, curve, (point,) in zip(axes, known[beta], here, strict=True):
            axis.plot(grid, curve, color=BLUE)
            look = {"color": ORANGE, "ms": 9, "clip_on": False}
            axis.plot(gap, point, "o", **look, gid="gap")
        value, weight = here[0][0], here[1][0]
        return (
            f"At β = {beta:.3g} a pair with a gap of {gap:+.1f} nats costs {value:.3f} "
            f"nats and pushes with weight {weight:.3f}, which is {beta * weight:.4f} "
            "per nat once β is multiplied in."
        )

    return Scene.of(draw, left, right, still=still, height=2.9)


def four_numbers(
    loss: Callable = dpo_loss, gradients: Callable = dpo_gradients
) -> Scene:
    """One pair as four log-probabilities, and what loss and gradient make of them.

    loss, gradients: the functions to draw with
    sliders: policy_chosen, policy_rejected, ref_chosen, ref_rejected in nats, −30 to 0;
        beta in reward per nat
    """
    title = "The loss sees two arrows, and of them only the difference"
    x = "log-probability of the whole answer (nats)", -31, 1
    y, rows = ("", -0.6, 1.6), ["rejected", "chosen"]
    around = panel(title, x, y, grid="x", ynames=rows)

    def still(axis: Axes):
        axis.plot([], [], **POLICY, label="policy")
        axis.plot([], [], **REFERENCE, label="reference")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    def draw(
        axis: Axes,
        policy_chosen: float,
        policy_rejected: float,
        ref_chosen: float,
        ref_rejected: float,
        beta: float,
    ) -> str:
        _arrow(axis, 1, ref_chosen, policy_chosen)
        _arrow(axis, 0, ref_rejected, policy_rejected)
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

    return Scene.of(draw, around, still=still, height=2.3)


def _arrow(axis: Axes, row: int, ref: float, policy: float):
    """From the reference's log-probability of an answer to the policy's."""
    if policy != ref:
        arrow = {"arrowstyle": "->", "color": ORANGE, "lw": 2}
        axis.annotate("", (policy, row), (ref, row), arrowprops=arrow)
    axis.plot(ref, row, **REFERENCE)
    axis.plot(policy, row, **POLICY, clip_on=False)
    middle = min(max((policy + ref) / 2, -29), -1)
    axis.text(middle, row + 0.2, f"{policy - ref:+.1f}", ha="center")


def sick_runs(loss: Callable = dpo_loss) -> Scene:
    """What each sick loss logs during a small run, and what really happens.

    loss: the sound loss to compare with
    slider: bug, the name of a patient that concerns the loss
    """
    steps, sound = 60, treat(loss)
    far = [torch.tensor([x], dtype=torch.float64) for x in (-5000.0, 0.0, 0.0, 0.0)]
    x = "step", 0, steps
    left = panel("What you see", x, ("loss as it is logged", 0, 2.2))
    right = panel("What happens", x, ("true mean gap (nats)", -7, 18))

    def still(axes: tuple[Axes, Axes]):
        for axis, curve in zip(axes, (sound.logged, sound.gaps), strict=True):
            axis.plot(curve, "--", color=GREY, label="sound")
            axis.plot([], [], color=ORANGE, label="patient")
        axes[0].legend(loc="upper right")

    def draw(axes: tuple[Axes, Axes], bug: str) -> str:
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

    return Scene.of(draw, left, right, still=still, height=2.9)


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
    title = "The token before speaks for the one that follows"
    x = "position, by the token that stands there (two words of prompt)", -0.6, 7.6
    around = panel(title, x, ("Σ |∂ / ∂ logit|", 0, 6), grid="y", xnames=WORDS)
    hatched = {"facecolor": ORANGE, "hatch": "//", "edgecolor": "white"}

    def still(axis: Axes):
        bars = axis.bar(places - 0.2, right, 0.4, color=BLUE)
        axis.legend([bars, Patch(**hatched)], ["sound", "patient"], loc="upper right")

    def draw(axis: Axes, bug: str) -> str:
        heard, value = _listening(BUGGY[bug].function)
        axis.bar(places + 0.2, heard, 0.4, **hatched)
        where = ", ".join(str(i + 1) for i, x in enumerate(heard) if x > 1e-9)
        ought = ", ".join(str(i + 1) for i, x in enumerate(right) if x > 1e-9)
        return (
            f"{bug}: {value:.2f} nats where {sound:.2f} is right. It listens at "
            f"positions {where}; the sound function listens at {ought}. "
            f"{BUGGY[bug].does}"
        )

    return Scene.of(draw, around, still=still, height=2.9)


def displacement(history: Tensor) -> Picture:
    """Probabilities of three answers during training: chosen, rejected, a third one.

    history: shape (steps, 3), in that order
    """
    names = ("chosen", "rejected", "the third")
    styles = ((BLUE, "-"), (GREY, ":"), (ORANGE, "--"))

    def draw(axis: Axes) -> str:
        moves = []
        for curve, name, (color, line) in zip(history.T, names, styles, strict=True):
            axis.plot(curve, line, color=color, label=name)
            moves.append(f"{name} from {curve[0]:.3f} to {curve[-1]:.3f}")
        axis.legend(loc="center right")
        return f"Three curves over {len(history) - 1} steps: {', '.join(moves)}."

    title = "Both answers of the pair fall, and a third one takes it all"
    around = panel(title, ("step", 0, len(history) - 1), ("probability", 0, 1))
    return Picture.of(draw, around, height=2.9)
