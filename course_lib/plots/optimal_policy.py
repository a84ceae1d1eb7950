"""Chapter 02: the best policy that a reward and a leash allow."""

import math
from collections.abc import Callable, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.metrics import shortfall
from course_lib.plots.marks import beside_bars, dot, name, names, number
from course_lib.plots.palette import (
    DASHES,
    DOTTED,
    FAINT,
    INK,
    OUTLINE,
    QUIET,
    REFERENCE,
    beta_color,
)
from course_lib.plots.style import Picture, Scene, panel
from course_lib.policies import (
    best_of_n,
    expected_reward,
    kl_divergence,
    log_partition,
    optimal_policy,
    rlhf_objective,
)
from course_lib.worlds import World


def kl_both_ways(kl: Callable = kl_divergence) -> Scene:
    """KL(p‖q) and KL(q‖p) of two policies over two answers, against p.

    kl: the function to draw
    slider: q, the chance that the second policy gives the first answer, inside (0, 1);
        its point can be dragged
    """
    grid = torch.sigmoid(torch.linspace(-6.9068, 6.9068, 161, dtype=torch.float64))
    ps = torch.stack([grid, 1 - grid], -1)
    x = "p, probability of the first answer", -0.15, 1.15
    ticks = {"xticks": [0, 0.25, 0.5, 0.75, 1], "yticks": range(5)}
    around = panel("KL, nats", x, (0, 4), **ticks)

    def draw(axis: Axes, q: float) -> str:
        qs = torch.tensor([q, 1 - q], dtype=torch.float64).expand_as(ps)
        edge, side = (-1, 6) if q <= 0.5 else (0, -6)  # the edge that is farther off
        for text, curve, line in (
            ("KL(p‖q)", kl(ps, qs), "-"),
            ("KL(q‖p)", kl(qs, ps), DASHES),
        ):
            axis.plot(grid, curve, color=INK, ls=line)
            height = min(float(curve[edge]), 3.9)
            name(axis, float(grid[edge]), height, text, at=(side, 0))
        dot(axis, q, 0, "reference", gid="q")
        name(axis, q, 0, "p = q", QUIET, at=(0, 14), ha="center")
        nine = torch.tensor([0.9, 0.1], dtype=torch.float64)
        there, back = float(kl(nine, qs[0])), float(kl(qs[0], nine))
        return (
            f"With q = {q:g} both curves are 0 at p = {q:g}. At p = 0.9, KL(p‖q) is "
            f"{there:.3f} nats and KL(q‖p) is {back:.3f}; at the edges only the dashed "
            "curve grows without end."
        )

    return Scene.of(
        draw,
        around,
        says="KL is not symmetric: only KL(q‖p) grows without bound",
        shows="Two policies over two answers: p and q are their probabilities of the "
        "first one.",
    )


def objective_of_two(objective: Callable = rlhf_objective) -> Scene:
    """The objective over all policies with two answers, and its highest point.

    The reference gives the second answer, which earns 1, with chance 0.2; the first
    earns 0.

    objective: the function to draw, called as objective(policy, ref, rewards, beta)
    slider: beta, reward per nat
    """
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)
    policies = torch.stack([1 - grid, grid], -1)
    ref = torch.tensor([0.8, 0.2], dtype=torch.float64)
    rewards = torch.tensor([0.0, 1.0], dtype=torch.float64)
    rows = ref.expand_as(policies), rewards.expand_as(policies)
    x = "probability of the better answer", 0, 1.1
    ticks = {"xticks": [0, 0.2, 0.4, 0.6, 0.8, 1], "yticks": [-0.5, 0, 0.5, 1]}
    around = panel("Reward, its price, and J", x, (-0.7, 1.1), **ticks)

    def still(axis: Axes):
        axis.plot([0, 1], [0, 1], color=INK, lw=1.2)
        dot(axis, 0.2, 0.2, "reference", ms=8)
        name(axis, 0.2, 0.2, "reference", QUIET, at=(0, 17), ha="center")

    def draw(axis: Axes, beta: float) -> str:
        value = objective(policies, *rows, beta)
        top = int(value.argmax())
        best, height = float(grid[top]), float(value[top])
        price, violet = grid - value, beta_color(beta)
        _named_curves(axis, grid, (price, "β KL", violet), (value, "J", INK))
        if best < 0.99:  # there the price has the slope of the reward
            ends = torch.tensor([-0.18, 0.18])
            axis.plot(best + ends, best - height + ends, color=INK, lw=1.2)
        axis.plot([best, best], [best - height, best], lw=1, **DOTTED)
        dot(axis, best, height)
        formula = float(optimal_policy(ref, rewards, beta)[1])
        return (
            f"At β = {beta:.3g} the curve of J is highest where the better answer has "
            f"chance {best:.3f}; tilting and normalising gives {formula:.3f}. What is "
            f"left there is J = {height:.3f}."
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="The best policy is where marginal reward equals marginal cost",
        shows="Two answers, worth 0 and 1. J = E[r] − β KL, in the unit of the reward; "
        "◆ is its highest point.\nThere the price, β KL, is as steep as the reward.",
    )


def _named_curves(axis: Axes, grid: Tensor, *curves: tuple[Tensor, str, str]):
    """Curves with their names where they leave the panel; E[r] ends at (1, 1)."""
    ends = [(1.0, 1.0, "E[r]", INK)]
    for curve, text, color in curves:
        inside = (curve > -0.66) & (curve < 1.06)
        axis.plot(grid[::5], curve[::5], color=color)
        ends.append((float(grid[inside][-1]), float(curve[inside][-1]), text, color))
    names(axis, ends, gap=0.18)


def tilt_and_normalise(
    world: World,
    beta: float,
    policy: Callable = optimal_policy,
    log_z: Callable = log_partition,
) -> Scene:
    """From the reference to the best policy in two motions, with the sum beside it.

    beta: reward per nat; policy, log_z: the functions to draw with
    slider: step, 0 to 1 tilts (multiply by e^{step·r/β}), 1 to 2 divides by Z
    """
    answers, ref, rewards = world
    places = [*range(len(answers)), len(answers) + 0.4]
    top = log_z(ref, rewards, beta).exp().item()
    before = [*ref.tolist(), 1.0]
    pairs = zip(answers, rewards.tolist(), strict=True)
    labels = [f"{answer}\nr = {number(reward, 'g')}" for answer, reward in pairs]
    ticks = dict(zip(places, [*labels, "sum"], strict=True))
    x, weight = ("answer, and its reward",), (0, 1.3 * max(top, 1))
    around = panel("Weight", x, weight, xticks=ticks, yticks=[0, 1, 2])

    def still(axis: Axes):
        axis.bar(places, before, 0.76, **OUTLINE)
        axis.axhline(1, lw=1.2, **DOTTED)

    def draw(axis: Axes, step: float) -> str:
        heights = _weights(world, beta, step, policy, log_z)
        whole = sum(heights)
        now = [*heights, whole]
        axis.bar(places, now, 0.46, color=INK)
        for place, new, old in zip(places, now, before, strict=True):
            _above(axis, place, max(new, old), number(new), new > old + 1e-9)
        _motions(axis, step, 0.93 * weight[1])
        pairs = zip(answers, heights, strict=True)
        listed = ", ".join(f"{answer} {height:.3f}" for answer, height in pairs)
        second = f"Tilted, and {step - 1:.0%} of the way to being normalised"
        done = f"Tilted by {step:.0%}" if step <= 1 else second
        return f"{done}: {listed}. Together they weigh {whole:.3f}."

    return Scene.of(
        draw,
        around,
        still=still,
        says="Tilting changes the sum; normalising brings it back to 1",
        shows=f"From the reference (outlines) to π*, in two motions, at β = {beta:g}. "
        "Bold: more than in the reference.",
    )


def _weights(
    world: World, beta: float, step: float, policy: Callable, log_z: Callable
) -> list[float]:
    """What each answer weighs on the way to the tilt, step 1, and to π*, step 2."""
    _, ref, rewards = world
    if step == 0:
        return ref.tolist()
    now = ref, rewards, beta / min(step, 1.0)
    logs = policy(*now).log() + log_z(*now)
    log_whole = log_z(ref, rewards, beta)
    return (logs - max(step - 1.0, 0.0) * log_whole).exp().tolist()


def _motions(axis: Axes, step: float, height: float):
    """The names of the two motions, the one under way in bold."""
    for x, text, on in (
        (-0.38, "1. tilt: × exp(r/β)", 0 < step <= 1),
        (1.62, "2. normalise: ÷ Z", step > 1),
    ):
        name(axis, x, height, text, INK if on else QUIET, at=(0, 0), bold=on)


def _above(axis: Axes, x: float, y: float, text: str, strong: bool):
    """Words above a bar; strong for what grows."""
    look = {"ha": "center", "va": "bottom", "bold": strong}
    name(axis, x, y, text, INK if strong else QUIET, at=(0, 4), **look)


def _bars(axis: Axes, ref: Tensor, best: Tensor):
    """The best policy within the reference, with the factor between the two."""
    ref, best, places = ref.tolist(), best.tolist(), range(len(ref))
    axis.bar(places, ref, 0.76, **OUTLINE)
    axis.bar(places, best, 0.46, color=INK)
    for place, old, new in zip(places, ref, best, strict=True):
        factor = new / old if old > 0 else 0
        factor = f"×{number(factor)}" if factor >= 0.005 else "< ×0.01"
        _above(axis, place, max(old, new), factor if old > 0 else "stays 0", new > old)


def _strip(axis: Axes, answers: Sequence[str], rewards: Tensor, gains: Tensor, up=-13):
    """The rewards on a line: filled for those that gain, hollow for the rest."""
    for answer, reward, gain in zip(answers, rewards, gains, strict=True):
        look = {} if gain else {"mfc": "white", "mec": INK, "mew": 1.2}
        dot(axis, float(reward), 0.5, ms=8, **look)
        words = {"at": (0, up), "ha": "center", "bold": bool(gain), "halo": True}
        name(axis, float(reward), 0.5, answer, INK if gain else QUIET, **words)


def _clear(axis: Axes, bar: float, **more: str):
    """The bar that a reward must clear; beyond it the strip is shaded."""
    axis.axvspan(bar, axis.get_xlim()[1], color=FAINT, lw=0, zorder=0)
    axis.plot([bar, bar], [0, 1], color=INK, **more)
    name(axis, bar, 0.88, "β log Z", at=(-5, 0), bold=True)


def _bars_and_strip(
    draw: Callable, answers: Sequence[str], reach: tuple, **words: str
) -> Scene:
    """Panels for `_bars` and, below it, for `_strip`, whose rewards lie in `reach`."""
    ticks, rewards = {0: "0", 0.5: "0.5", 1: "1"}, ("reward", *reach)
    below = "answer", *beside_bars(len(answers), 0.76)
    return Scene.of(
        draw,
        panel("Probability", below, (0, 1.15), xnames=answers, yticks=ticks),
        panel("The bar to clear", rewards, (0, 1), yticks=[]),
        height=4.8,
        mosaic="a;b",
        height_ratios=(3, 1.15),
        **words,
    )


def tilted_bars(world: World, policy: Callable = optimal_policy) -> Scene:
    """Reference and best policy, and who gains.

    policy: the function to draw, called as policy(ref, rewards, beta)
    slider: beta, reward per nat; its bar, β log Z, can be dragged
    """
    answers, ref, rewards = world

    def draw(axes: tuple[Axes, Axes], beta: float) -> str:
        bars, strip = axes
        best = policy(ref, rewards, beta)
        bar = beta * float(log_partition(ref, rewards, beta))
        _bars(bars, ref, best)
        _clear(strip, bar, gid="beta")
        _strip(strip, answers, rewards, best > ref)
        gaining = [a for a, gain in zip(answers, best > ref, strict=True) if gain]
        return (
            f"At β = {beta:.3g} the bar to clear is β log Z = {bar:.3f}. Gaining mass: "
            f"{', '.join(gaining) or 'none'}. The best policy spends "
            f"{kl_divergence(best, ref):.4f} nats of KL and expects a reward of "
            f"{expected_reward(best, rewards):.3f}."
        )

    low, high = float(rewards.min()), float(rewards.max())
    room = 0.1 * (high - low)
    return _bars_and_strip(
        draw,
        answers,
        (low - room, high + room),
        says="An answer gains exactly if its reward is above β log Z",
        shows="Outline: the reference; solid: π*, the best policy at this β; the "
        "number: their ratio.\nBold and filled: the answers that gain.",
    )


def one_answer(world: World, answer: int, policy: Callable = optimal_policy) -> Scene:
    """The same bars while the reward and the reference's share of one answer move.

    answer: its position in the world; policy: the function to draw
    sliders: reward of that answer, from −2 to 8; share, its probability under the
        reference, below 1, the others keep their proportions; beta, reward per nat
    """
    answers, base, rewards = world
    moved = answers[answer]
    others = torch.arange(len(answers)) != answer
    rest = [each for each in answers if each != moved]

    def draw(axes: tuple[Axes, Axes], reward: float, share: float, beta: float) -> str:
        bars, strip = axes
        ref = torch.where(others, base * (1 - share) / base[others].sum(), share)
        changed = torch.where(others, rewards, reward)
        best = policy(ref, changed, beta)
        bar = beta * float(log_partition(ref, changed, beta))
        _bars(bars, ref, best)
        _clear(strip, bar)
        gains = best > ref
        _strip(strip, rest, changed[others], gains[others])
        _strip(strip, [moved], changed[~others], gains[~others], up=12)
        if share == 0:
            fate = f"stays at 0, whatever its reward of {number(reward, 'g')}"
        else:
            fate = f"goes from {share:.3f} to {float(best[answer]):.3f}"
        return (
            f"{moved} {fate}; the bar to clear is β log Z = {number(bar, '.3f')} "
            f"(β = {beta:.3g}, reward of {moved} {number(reward, 'g')})."
        )

    return _bars_and_strip(
        draw,
        answers,
        (-2.5, 8.5),
        says="What the reference never says, no reward can buy",
        shows=f"Outline: the reference, with {moved}’s share as you set it; solid: π*; "
        "the number: their ratio.\nBold and filled: the answers that gain.",
    )


def _plane(world: World, policy: Callable, left: float, right: float):
    """Expected reward against KL: the panel, and the curve that no policy can cross."""
    _, ref, rewards = world
    betas = torch.logspace(-2, 3, 160, dtype=torch.float64)
    points = [policy(ref, rewards, float(beta)) for beta in betas]
    spent = torch.stack([kl_divergence(p, ref) for p in points]).tolist()
    earned = torch.stack([expected_reward(p, rewards) for p in points]).tolist()
    low, high = float(expected_reward(ref, rewards)), float(rewards.max())
    x = "KL from the reference, nats", left, right
    y = low - 0.14 * (high - low), high + 0.12 * (high - low)
    return panel("Expected reward", x, y), (spent, earned)


def frontier_curve(world: World, policy: Callable = optimal_policy) -> Scene:
    """Reward against KL at every β, and the tangent at one of them.

    policy: the function to draw, called as policy(ref, rewards, beta)
    slider: beta, reward per nat; its point can be dragged
    """
    _, ref, rewards = world
    around, (kl, best_rewards) = _plane(world, policy, -0.24, 1.75)
    around["xticks"] = [0, 0.5, 1, 1.5]
    top = around["ylim"][1]

    def still(axis: Axes):
        axis.axvline(0, color=REFERENCE, lw=1)
        axis.plot([1.75, *kl], [best_rewards[0], *best_rewards], color=INK)
        dot(axis, 0, best_rewards[-1], "reference", ms=8)
        name(axis, 0, best_rewards[-1], "reference", QUIET, at=(9, -3))
        middle = len(kl) // 2
        name(axis, kl[middle], best_rewards[middle], "frontier", at=(12, -8))

    def draw(axis: Axes, beta: float) -> str:
        best, violet = policy(ref, rewards, beta), beta_color(beta)
        spent = float(kl_divergence(best, ref))
        earned = float(expected_reward(best, rewards))
        start = earned - beta * spent
        end = min(1.6, (top - start) / beta)
        axis.plot([0, end], [start, start + beta * end], color=violet, ls=DASHES)
        words = {"at": (8, -2), "va": "top"} if end < 1.2 else {"at": (-10, 8)}
        name(axis, end, start + beta * end, "slope β", violet, **words)
        dot(axis, 0, start, color=violet, ms=7)
        name(axis, 0, start, f"J = {number(start)}", violet, at=(-8, 0))
        dot(axis, spent, earned, gid="beta")
        return (
            f"At β = {beta:.3g} the best policy spends {spent:.4f} nats and earns "
            f"{earned:.4f}. Its tangent has slope {beta:.3g} and meets the left edge "
            f"at J = {start:.4f}, the value of the objective."
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="The slope of the frontier is β: reward per nat",
        shows="Solid: the best reward for each KL. Dashed: the tangent at the best "
        "policy for β, ◆,\nwhich meets KL = 0 at J, the value of the objective.",
    )


def best_of_n_race(world: World, best: Callable = best_of_n) -> Scene:
    """Best-of-n on the plane of reward and KL, and its KL against the usual bound.

    best: the function to draw, called as best(ref, rewards, n)
    slider: n, how many answers are sampled, 1 to 32; its points can be dragged
    """
    _, ref, rewards = world
    counts = range(1, 33)
    policies = {n: best(ref, rewards, n) for n in counts}
    spent = {n: abs(float(kl_divergence(p, ref))) for n, p in policies.items()}
    earned = {n: float(expected_reward(p, rewards)) for n, p in policies.items()}
    bounds = {n: math.log(n) - (n - 1) / n for n in counts}
    plane, frontier = _plane(world, optimal_policy, -0.1, 2.7)
    plane["xticks"] = [0, 1, 2]
    ticks = {"xticks": [1, 8, 16, 24, 32], "yticks": [0, 1, 2]}
    cost = panel("KL, nats", ("n, answers drawn", 0, 40), (-0.1, 2.7), **ticks)

    def still(axes: tuple[Axes, Axes]):
        left, right = axes
        left.plot(*frontier, color=INK, lw=1.2)
        left.locator_params(axis="y", nbins=4)
        spots = zip(*frontier, strict=True)  # from the highest KL down
        spot = next(spot for spot in spots if spot[0] < 0.6 * frontier[0][0])
        name(left, *spot, "frontier", at=(-6, 8))
        right.plot(counts, spent.values(), color=INK, lw=1.2)
        right.plot(counts, bounds.values(), **DOTTED)
        name(right, 32, bounds[32], "as quoted", QUIET, at=(0, 12), ha="center")
        name(right, 32, spent[32], "exact", at=(0, -12), ha="center")

    def draw(axes: tuple[Axes, Axes], n: float) -> str:
        n, (left, right) = int(n), axes
        xs, ys = ([of[i] for i in range(1, n + 1)] for of in (spent, earned))
        left.plot(xs, ys, ls="none", marker="D", ms=3.5, color=INK)
        left.plot([spent[n], bounds[n]], [earned[n]] * 2, **DOTTED)
        dot(left, bounds[n], earned[n], "reference", ms=8)
        dot(left, spent[n], earned[n])
        words = {"bold": True, "at": (9, -10)}
        name(left, spent[n], earned[n], f"n = {n}{' (reference)' * (n == 1)}", **words)
        dot(right, n, bounds[n], "reference", ms=8, gid="n")
        dot(right, n, spent[n], gid="n")
        short = shortfall(world, policies[n]) if n > 1 else 0.0  # 1: the reference
        return (
            f"Best of {n} earns {earned[n]:.4f} and spends {spent[n]:.4f} nats; the "
            f"bound says at most {bounds[n]:.4f}. With the same KL the frontier earns "
            f"{earned[n] + short:.4f}."
        )

    return Scene.of(
        draw,
        plane,
        cost,
        still=still,
        says="Best-of-n never passes the frontier; its quoted KL is a bound",
        shows="◆ its exact KL.  □ log n − (n − 1)/n, a bound that is often quoted.",
    )


def tradeoff_peaks(betas: Sequence[float] = (0.05, 0.1, 0.2, 0.5)) -> Picture:
    """2√KL − β KL for several β, on an axis that reaches all peaks.

    betas: reward per nat, each > 0
    """
    grid = torch.logspace(-1, 3, 400, dtype=torch.float64)
    top = 1 / min(betas)
    peaks = [1 / beta**2 for beta in betas]
    outside = sum(peak > 5 for peak in peaks)

    def draw(axis: Axes) -> str:
        axis.axvspan(grid[0], 5, color=FAINT, lw=0)
        name(axis, 0.12, 1.1 * top, "KL from 0 to 5", QUIET, at=(0, 0), ha="left")
        for beta, peak in zip(betas, peaks, strict=True):
            color = beta_color(beta)
            axis.plot(grid, 2 * grid.sqrt() - beta * grid, color=color)
            axis.plot(peak, 1 / beta, "o", color=color, ms=8)
            words = {"at": (0, -8), "ha": "center", "va": "top"}
            name(axis, peak, 1 / beta, f"β = {beta:g}", color, **words)
        pairs = zip(peaks, betas, strict=True)
        listed = ", ".join(f"{peak:g} for β = {beta:g}" for peak, beta in pairs)
        return (
            f"Humps of 2√KL − β KL over a logarithmic axis. They peak at KL = "
            f"{listed}; a grey band from 0 to 5 holds {len(peaks) - outside} of the "
            "peaks."
        )

    x, y = ("KL, nats", 0.1, 1000), (-0.12 * top, 1.2 * top)
    return Picture.of(
        draw,
        panel("2√KL − β KL", x, y, xscale="log"),
        says=f"{outside} of {len(peaks)} curves still climb where KL = 5",
        shows="A reward of 2√KL less its price, β KL. A dot: the highest point of a "
        "curve.",
    )
