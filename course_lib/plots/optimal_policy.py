"""Chapter 02: the best policy that a reward and a leash allow."""

from collections.abc import Callable, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.metrics import shortfall
from course_lib.plots.style import (
    BLUE,
    FAINT,
    GREY,
    ORANGE,
    QUIET,
    Picture,
    Scene,
    beta_color,
    headline,
    in_language,
    name,
    panel,
)
from course_lib.policies import (
    best_of_n,
    expected_reward,
    kl_divergence,
    log_partition,
    optimal_policy,
    rlhf_objective,
)
from course_lib.worlds import World

BARS = {"grid": "y", "axisbelow": True}


def kl_both_ways(kl: Callable = kl_divergence) -> Scene:
    """KL(p‖q) and KL(q‖p) of two policies over two answers, against p.

    kl: the function to draw
    slider: q, the chance that the second policy gives the first answer, inside (0, 1)
    """
    grid = torch.linspace(0.001, 0.999, 400, dtype=torch.float64)
    ps = torch.stack([grid, 1 - grid], -1)
    title = "Which of the two policies draws the answers makes a difference"
    x = "p, chance of the first answer under the first policy", 0, 1

    def still(axis: Axes):
        axis.plot([], [], color=BLUE, label="KL(p‖q)")
        axis.plot([], [], "--", color=ORANGE, label="KL(q‖p)")
        axis.legend(loc="upper center", ncols=2)

    def draw(axis: Axes, q: float) -> str:
        qs = torch.tensor([q, 1 - q], dtype=torch.float64).expand_as(ps)
        axis.plot(grid, kl(ps, qs), color=BLUE)
        axis.plot(grid, kl(qs, ps), "--", color=ORANGE)
        axis.axvline(q, color=GREY, lw=1, ls=":")
        nine = torch.tensor([0.9, 0.1], dtype=torch.float64)
        there, back = float(kl(nine, qs[0])), float(kl(qs[0], nine))
        return (
            f"With q = {q:g} both curves are 0 at p = {q:g}. At p = 0.9, KL(p‖q) is "
            f"{there:.3f} nats and KL(q‖p) is {back:.3f}; at the edges only the dashed "
            "curve grows without end."
        )

    return Scene.of(draw, panel(title, x, ("nats", 0, 4)), still=still)


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
    title = "The best policy is where marginal reward equals marginal cost"
    x = "chance of the better answer (reference: 0.2)", 0, 1
    y = "unit of the reward", -0.75, 1.35

    def still(axis: Axes):
        axis.plot(grid, grid, ":", color=GREY, label="E[r]")
        axis.plot([], [], "--", color=ORANGE, label="β KL, its price")
        axis.plot([], [], color=BLUE, label="J, what is left")
        axis.legend(loc="upper center", ncols=3)

    def draw(axis: Axes, beta: float) -> str:
        value = objective(policies, *rows, beta)
        top = int(value.argmax())
        best, height = float(grid[top]), float(value[top])
        price = grid - value
        axis.plot(grid, price.where(price < 1.05, torch.nan), "--", color=ORANGE)
        axis.plot(grid, value, color=BLUE)
        axis.plot(best, height, "o", color=BLUE, ms=9, clip_on=False)
        formula = float(optimal_policy(ref, rewards, beta)[1])
        return (
            f"At β = {beta:.3g} the solid curve is highest where the better answer has "
            f"chance {best:.3f}; tilting and normalising gives {formula:.3f}. What is "
            f"left there is J = {height:.3f}."
        )

    return Scene.of(draw, panel(title, x, y), still=still)


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
    names, ref, rewards = world
    rows = range(len(names) + 1)
    log_whole = float(log_z(ref, rewards, beta))
    top = torch.tensor(log_whole).exp().item()
    before = [*ref.tolist(), 1.0]
    title = "Tilting changes the sum; normalising brings it back to 1"
    x = (f"answer, its reward (β = {beta:g}); dashed: the reference",)
    weight, answers = ("weight", 0, 1.15 * top), [*_with_rewards(world), "sum"]
    around = panel(title, x, weight, xnames=answers, **BARS)

    def weights(step: float) -> list[float]:
        tilt = min(step, 1.0)
        if tilt == 0:
            return ref.tolist()
        now = ref, rewards, beta / tilt
        logs = policy(*now).log() + log_z(*now)
        return (logs - max(step - 1.0, 0.0) * log_whole).exp().tolist()

    def still(axis: Axes):
        axis.bar(rows, before, color="none", edgecolor=GREY, ls="--", lw=1)
        axis.axhline(1, color=GREY, lw=1)

    def draw(axis: Axes, step: float) -> str:
        heights = weights(step)
        whole = sum(heights)
        now = [*heights, whole]
        axis.bar(rows, now, color=[BLUE] * len(names) + [ORANGE], alpha=0.85)
        for row, ends in enumerate(zip(now, before, strict=True)):
            above = max(ends) + 0.02 * top
            axis.text(row, above, f"{now[row]:.3f}", ha="center", va="bottom")
        pairs = zip(names, heights, strict=True)
        listed = ", ".join(f"{name} {height:.3f}" for name, height in pairs)
        second = f"Tilted, and {step - 1:.0%} of the way to being normalised"
        done = f"Tilted by {step:.0%}" if step <= 1 else second
        return f"{done}: {listed}. Together they weigh {whole:.3f}."

    return Scene.of(draw, around, still=still)


def _with_rewards(world: World) -> list[str]:
    pairs = zip(world.names, world.rewards.tolist(), strict=True)
    return [f"{name}\nr = {reward:g}".replace("-", "−") for name, reward in pairs]


def _bars(axis: Axes, ref: Tensor, best: Tensor):
    """Reference and best policy side by side, with the factor between the two."""
    ref, best, places = ref.tolist(), best.tolist(), range(len(ref))
    axis.bar([place - 0.2 for place in places], ref, 0.38, color=GREY, alpha=0.6)
    axis.bar([place + 0.2 for place in places], best, 0.38, color=BLUE)
    for place, old, new in zip(places, ref, best, strict=True):
        sign = "▲" if new > old else "▼"
        factor = new / old if old > 0 else 0
        factor = f"×{factor:.2f}" if factor >= 0.005 else "×<0.01"
        text = f"{sign} {factor}" if old > 0 else "stays 0"
        axis.text(place, max(old, new) + 0.02, text, ha="center", va="bottom")


def _side_by_side(draw: Callable, names: Sequence[str], title: str) -> Scene:
    """Panels for `_bars`."""
    x, y = ("answer", -0.6, len(names) - 0.4), ("probability", 0, 1.3)

    def still(axis: Axes):
        axis.bar(0, 0, color=GREY, alpha=0.6, label="reference")
        axis.bar(0, 0, color=BLUE, label="best policy")
        axis.legend(loc="upper right", ncols=2)

    return Scene.of(draw, panel(title, x, y, xnames=names, **BARS), still=still)


def tilted_bars(world: World, policy: Callable = optimal_policy) -> Scene:
    """Reference and best policy side by side, and who gains.

    policy: the function to draw, called as policy(ref, rewards, beta)
    slider: beta, reward per nat
    """
    names, ref, rewards = world

    def draw(axis: Axes, beta: float) -> str:
        best = policy(ref, rewards, beta)
        _bars(axis, ref, best)
        gaining = [n for n, old, new in zip(names, ref, best, strict=True) if new > old]
        bar = beta * float(log_partition(ref, rewards, beta))
        return (
            f"At β = {beta:.3g} the bar to clear is β log Z = {bar:.3f}. Gaining mass: "
            f"{', '.join(gaining) or 'none'}. The best policy spends "
            f"{kl_divergence(best, ref):.4f} nats of KL and expects a reward of "
            f"{expected_reward(best, rewards):.3f}."
        )

    title = "Who gains has a reward above β log Z"
    return _side_by_side(draw, _with_rewards(world), title)


def one_answer(world: World, answer: int, policy: Callable = optimal_policy) -> Scene:
    """The same bars while the reward and the reference's share of one answer move.

    answer: its position in the world; policy: the function to draw
    sliders: reward of that answer; share, its probability under the reference, below 1,
        the others keep their proportions; beta, reward per nat
    """
    names, base, rewards = world
    name = names[answer]

    def draw(axis: Axes, reward: float, share: float, beta: float) -> str:
        others = torch.arange(len(names)) != answer
        ref = torch.where(others, base * (1 - share) / base[others].sum(), share)
        changed = torch.where(others, rewards, reward)
        best = policy(ref, changed, beta)
        _bars(axis, ref, best)
        bar = beta * float(log_partition(ref, changed, beta))
        if share == 0:
            fate = f"stays at 0, whatever its reward of {reward:g}"
        else:
            fate = f"goes from {share:.3f} to {float(best[answer]):.3f}"
        return (
            f"{name} {fate}; the bar to clear is β log Z = {bar:.3f} "
            f"(β = {beta:.3g}, reward of {name} {reward:g})."
        )

    title = f"Reward, reference and β decide together what {name} becomes"
    return _side_by_side(draw, names, title)


def _plane(world: World, policy: Callable, title: str, right: float):
    """Expected reward against KL: the panel, and the curve that no policy can cross."""
    _, ref, rewards = world
    betas = torch.logspace(-2, 3, 200, dtype=torch.float64)
    points = [policy(ref, rewards, float(beta)) for beta in betas]
    spent = torch.stack([kl_divergence(p, ref) for p in points]).tolist()
    earned = torch.stack([expected_reward(p, rewards) for p in points]).tolist()
    low, high = float(expected_reward(ref, rewards)), float(rewards.max())
    x = "KL from the reference (nats)", -0.03 * right, right
    y = "expected reward", low - 0.1 * (high - low), high + 0.12 * (high - low)
    return panel(title, x, y), ([right, *spent], [earned[0], *earned])


def frontier_curve(world: World, policy: Callable = optimal_policy) -> Scene:
    """Reward against KL at every β, and the tangent at one of them.

    policy: the function to draw, called as policy(ref, rewards, beta)
    slider: beta, reward per nat
    """
    _, ref, rewards = world
    title = "The slope of the frontier is β: reward per nat"
    around, curve = _plane(world, policy, title, 1.6)
    tangent = {"color": ORANGE, "lw": 1.5, "label": "slope β, from J at KL = 0"}

    def still(axis: Axes):
        axis.plot(*curve, color=BLUE)
        axis.plot([], [], color=BLUE, label="best reward for this KL")
        axis.plot([], [], "D--", **tangent)
        axis.legend(loc="lower right")

    def draw(axis: Axes, beta: float) -> str:
        best = policy(ref, rewards, beta)
        spent = float(kl_divergence(best, ref))
        earned = float(expected_reward(best, rewards))
        start = earned - beta * spent
        ends = torch.tensor([0.0, 1.6], dtype=torch.float64)
        axis.plot(ends, start + beta * ends, "--", **tangent)
        axis.plot(spent, earned, "o", color=BLUE, ms=9)
        axis.plot(0, start, "D", color=ORANGE, ms=7)
        return (
            f"At β = {beta:.3g} the best policy spends {spent:.4f} nats and earns "
            f"{earned:.4f}. Its tangent has slope {beta:.3g} and meets the left edge "
            f"at J = {start:.4f}, the value of the objective."
        )

    return Scene.of(draw, around, still=still)


def best_of_n_race(world: World, best: Callable = best_of_n) -> Scene:
    """Best-of-n on the plane of reward and KL, against the frontier and its bound.

    best: the function to draw, called as best(ref, rewards, n)
    slider: n, how many answers are sampled, 1 to 32
    """
    _, ref, rewards = world
    policies = {n: best(ref, rewards, n) for n in range(1, 33)}
    spent = {n: abs(float(kl_divergence(p, ref))) for n, p in policies.items()}
    earned = {n: float(expected_reward(p, rewards)) for n, p in policies.items()}
    title = "Best-of-n never passes the frontier, nor its bound on the KL"
    around, curve = _plane(world, optimal_policy, title, 2.6)

    def still(axis: Axes):
        axis.plot(*curve, color=BLUE)
        axis.plot([], [], "o", color=ORANGE, label="best-of-n, exact KL")
        axis.plot([], [], "x", color=GREY, mew=2, label="log n − (n − 1)/n")
        axis.legend(loc="lower right")

    def draw(axis: Axes, n: float) -> str:
        n = int(n)
        path = range(1, n + 1)
        xs, ys = [spent[i] for i in path], [earned[i] for i in path]
        axis.plot(xs, ys, "o", color=ORANGE, ms=4, alpha=0.6)
        bound = float(torch.tensor(float(n)).log()) - (n - 1) / n
        axis.plot([spent[n], bound], [earned[n]] * 2, ":", color=GREY, lw=1)
        axis.plot(bound, earned[n], "x", color=GREY, ms=9, mew=2)
        axis.plot(spent[n], earned[n], "o", color=ORANGE, ms=9)
        left = shortfall(world, policies[n]) if n > 1 else 0.0  # 1: the reference
        return (
            f"Best of {n} earns {earned[n]:.4f} and spends {spent[n]:.4f} nats; the "
            f"bound says at most {bound:.4f}. With the same KL the frontier earns "
            f"{earned[n] + left:.4f}."
        )

    return Scene.of(draw, around, still=still)


@in_language
def tradeoff_peaks(betas: Sequence[float] = (0.05, 0.1, 0.2, 0.5)) -> Picture:
    """2√KL − β KL for several β, on an axis that reaches all peaks.

    betas: reward per nat, each > 0
    """
    grid = torch.logspace(-1, 3, 400, dtype=torch.float64)
    top = 1 / min(betas)
    peaks = [1 / beta**2 for beta in betas]
    outside = sum(peak > 5 for peak in peaks)
    figure = Figure(figsize=(6.5, 3.6))
    axis = figure.subplots()
    headline(
        figure,
        f"{outside} of {len(peaks)} curves still climb where KL = 5",
        "A reward of 2√KL less its price, β KL. A dot: the highest point of a curve.",
    )
    axis.set(xscale="log", xlim=(0.1, 1000), ylim=(-0.12 * top, 1.2 * top))
    axis.set(xlabel="KL, nats", title="2√KL − β KL")
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
    return Picture(
        figure,
        f"Humps of 2√KL − β KL over a logarithmic axis. They peak at KL = {listed}; a "
        f"grey band from 0 to 5 holds {len(peaks) - outside} of the peaks.",
    )
