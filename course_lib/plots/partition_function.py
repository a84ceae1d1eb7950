"""Chapter 03: the sum that nobody can compute and nobody needs."""

import math
from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.losses import implicit_preference_probability
from course_lib.plots.style import BLUE, GREY, ORANGE, Scene, panel
from course_lib.policies import (
    canonical_rewards,
    estimate_log_partition,
    expected_reward,
    implicit_rewards,
    log_partition,
    log_partition_error,
    optimal_policy,
)
from course_lib.tabular import AllPairs
from course_lib.worlds import eight_words, five_responses, sample_rewards

NAMES, REF, REWARDS = five_responses()
BETA = 0.5
PLACES = range(len(NAMES))
SECONDS = 13.8e9 * 365.25 * 86400  # since the Big Bang
RUNS = 30


def answer_counts() -> Scene:
    """How many terms Z has, as a power of ten, for three sizes of vocabulary.

    slider: length, words or tokens in an answer, 1 to 100
    """
    sizes = {50_000: (ORANGE, "-"), 1_000: (BLUE, "--"), 8: (GREY, "-.")}
    names = {50_000: "50,000 tokens", 1_000: "1,000 tokens", 8: "8 words"}
    listed = math.log10(SECONDS * 1e9)
    title = "The sum for Z outgrows every list of its terms"
    x = "length of the answer (tokens)", 0, 122
    y = "terms of the sum (power of ten)", 0, 500

    def still(axis: Axes):
        for size, (color, line) in sizes.items():
            end = 100 * math.log10(size)
            axis.plot([0, 100], [0, end], line, color=color)
            axis.text(102, end, names[size], color=color, va="center")
        axis.axhline(listed, color=GREY, lw=1, ls=":")
        axis.text(121, listed + 4, "listed since the Big Bang", ha="right", va="bottom")

    def draw(axis: Axes, length: float) -> str:
        powers = [length * math.log10(size) for size in sizes]
        axis.plot([length] * 3, powers, "o", color=ORANGE, ms=8, clip_on=False)
        axis.plot([length] * 3, powers, ":", color=GREY, lw=1)
        large, _, small = powers
        return (
            f"Length {length:.0f}: 10^{small:.1f} answers in a language of 8 words, "
            f"10^{large:.1f} in one of 50,000 tokens. A billion a second since the Big "
            f"Bang would have listed 10^{listed:.1f}."
        )

    return Scene.of(draw, panel(title, x, y), still=still)


def partition_estimates(
    estimate: Callable = estimate_log_partition, length: int = 10
) -> Scene:
    """Thirty estimates of log Z in the language of eight words, with their error bars.

    estimate: of log Z from sampled rewards and beta; length: words in an answer
    sliders: n, answers in a sample; beta; seed, of the samples
    """
    world = eight_words()
    runs = torch.arange(1, RUNS + 1)
    title = "A sample does not know what it did not draw"
    x = "number of the sample", 0, RUNS + 1
    y = "estimate minus log Z (nats)", -100, 40

    def still(axis: Axes):
        axis.axhline(0, color=GREY, ls="--", lw=1.5)
        axis.set_yscale("symlog", linthresh=0.1, linscale=0.5)
        ticks = [-10, -1, -0.1, 0, 0.1, 1, 10]
        axis.set_yticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
        axis.set_yticks([], minor=True)

    def draw(axis: Axes, n: float, beta: float, seed: float) -> str:
        rewards = sample_rewards(world, length, RUNS, int(n), seed=int(seed))
        truth = length * float(log_partition(world.ref, world.rewards, beta))
        miss = estimate(rewards, beta) - truth
        error = log_partition_error(rewards, beta)
        holds = miss.abs() <= 2 * error
        for which, color, marker in ((holds, BLUE, "o"), (~holds, ORANGE, "X")):
            if which.any():
                points = runs[which], miss[which], 2 * error[which]
                axis.errorbar(*points, fmt=marker, color=color, ms=6, lw=1.2)
        return (
            f"{RUNS} samples of {int(n):,} answers at β = {beta:.3g}: "
            f"{int(holds.sum())} of {RUNS} bars of two standard errors reach "
            f"log Z = {truth:.2f}. The estimates are off by {float(miss.mean()):+.3f} "
            f"nats on average, and claim an error of {float(error.mean()):.3f}."
        )

    return Scene.of(draw, panel(title, x, y), still=still)


def rewards_read_back(implicit: Callable = implicit_rewards) -> Scene:
    """True rewards, and those that the optimal policy implies, over five answers.

    implicit: of a policy, the reference and beta
    slider: beta, KL strength in reward per nat
    """
    title = "The policy knows every reward but for one constant"
    x, y = ("answer", -0.5, 4.9), ("reward", -4.2, 4.4)

    def still(axis: Axes):
        axis.plot(PLACES, REWARDS, "o", color=BLUE, ms=9, label="true reward r")
        axis.plot([], [], "X", color=ORANGE, ms=9, label="β log π*/π_ref")
        axis.legend(loc="upper right", ncols=2)

    def draw(axis: Axes, beta: float) -> str:
        implied = implicit(optimal_policy(REF, REWARDS, beta), REF, beta)
        drop = (REWARDS - implied).tolist()
        axis.vlines(PLACES, implied, REWARDS, color=GREY, lw=1, ls=":")
        axis.plot(PLACES, implied, "X", color=ORANGE, ms=9)
        for place, height, fall in zip(PLACES, implied.tolist(), drop, strict=True):
            axis.text(place + 0.1, height + fall / 2, f"−{fall:.3f}", va="center")
        return (
            f"At β = {beta:.3g} the crosses lie {drop[0]:.3f} below the circles, which "
            f"is β log Z: B is worth 3.0 and reads {float(implied[1]):+.3f}, E is "
            f"worth −0.5 and reads {float(implied[4]):+.3f}."
        )

    return Scene.of(draw, panel(title, x, y, xnames=NAMES), still=still)


def shifted_rewards(canonical: Callable = canonical_rewards) -> Scene:
    """A constant added to all five rewards, and what moves with it.

    canonical: of the reference, rewards and beta
    slider: shift, f(x), in the unit of the rewards, within ±3
    """
    x, y = ("answer", -0.5, 4.5), ("reward", -4, 8.2)
    left = panel("Rewards and β log Z rise together", x, y, xnames=NAMES)
    right = _shares("The policy stands still", "π* (probability)")

    def still(axes: tuple[Axes, Axes]):
        left, _ = axes
        left.plot([], [], "o", color=BLUE, label="r + f")
        left.plot([], [], "--", color=BLUE, lw=1.5, label="β log Z")
        left.plot([], [], "X", color=ORANGE, label="canonical")
        left.legend(loc="upper center", ncols=3, columnspacing=1)

    def draw(axes: tuple[Axes, Axes], shift: float) -> str:
        left, right = axes
        rewards = REWARDS + shift
        level = BETA * float(log_partition(REF, rewards, BETA))
        best = optimal_policy(REF, rewards, BETA)
        fixed = canonical(REF, rewards, BETA)
        chance = float(torch.sigmoid(rewards[1] - rewards[4]))
        left.axhline(level, color=BLUE, ls="--", lw=1.5)
        left.plot(PLACES, rewards, "o", color=BLUE, ms=8)
        left.plot(PLACES, fixed, "X", color=ORANGE, ms=8)
        _bars(right, best)
        return (
            f"With f = {shift:+.1f}, β log Z is {level:.3f} and B is worth "
            f"{rewards[1]:.1f}. Where they were: π*(B) = {best[1]:.3f}, "
            f"P(B ≻ E) = {chance:.3f}, the canonical reward of B {fixed[1]:.3f}."
        )

    return Scene.of(draw, left, right, still=still, width_ratios=(3, 2))


def _shares(title: str, called: str) -> dict:
    """A panel of probabilities, one for each answer."""
    x, y = ("answer", -0.6, 4.6), (called, 0, 1)
    return panel(title, x, y, xnames=NAMES, grid="y")


def _bars(axis: Axes, policy: Tensor):
    bars = axis.bar(PLACES, policy.tolist(), color=BLUE)
    axis.bar_label(bars, fmt="%.3f", padding=2)


def preferences_read(
    probability: Callable = implicit_preference_probability,
) -> Scene:
    """The ten preferences of five answers, read out of the policy with some β.

    probability: of the four log-probabilities and beta
    slider: beta, with which a policy that is optimal for β = 0.5 is read
    """
    first, second = torch.combinations(REWARDS.argsort(descending=True)).T
    best = optimal_policy(REF, REWARDS, BETA)
    four = [table.log()[i] for table in (best, REF) for i in (first, second)]
    true = torch.sigmoid(REWARDS[first] - REWARDS[second])
    title = "Read with its own β, a policy knows all ten preferences"
    x = "P(better one preferred), from the true rewards", 0.5, 1.005
    y = "the same, from the policy", 0.48, 1.02

    def still(axis: Axes):
        axis.plot([0.5, 1], [0.5, 1], color=GREY, lw=1, ls="--")

    def draw(axis: Axes, beta: float) -> str:
        read = probability(*four, beta)
        axis.vlines(true, true, read, color=ORANGE, lw=1)
        axis.plot(true, read, "o", color=ORANGE, ms=8)
        worst = float((read - true).abs().max())
        return (
            f"Read with β = {beta:.3g}: B over E {read[3]:.3f}, in truth {true[3]:.3f}"
            f"; A over C {read[7]:.3f}, in truth {true[7]:.3f}. The largest of ten "
            f"errors is {worst:.3f}."
        )

    return Scene.of(draw, panel(title, x, y), still=still)


def uncovered_answer() -> Scene:
    """Policies with the least possible loss on all pairs of A to D, and any share of E.

    slider: share, π(E), in (0, 1)
    """
    best = optimal_policy(REF, REWARDS, BETA)
    others = best[:4] / best[:4].sum()

    def policy(share: float) -> Tensor:
        return torch.cat([(1 - share) * others, others.new_tensor([share])])

    pairs = AllPairs(REF[:4], REWARDS[:4])
    x, y = ("share of E, which no pair mentions", 0, 1), ("expected reward", -0.6, 3.2)
    left = _shares("Nothing decides the share of E", "probability")
    right = panel("The loss does not see it", x, y)

    def still(axes: tuple[Axes, Axes]):
        ends = [float(expected_reward(policy(s), REWARDS)) for s in (0.0, 1.0)]
        axes[1].plot([0, 1], ends, color=BLUE)

    def draw(axes: tuple[Axes, Axes], share: float) -> str:
        left, right = axes
        now = policy(share)
        cost = pairs.loss(now[:4].log(), torch.tensor(BETA))
        worth = float(expected_reward(now, REWARDS))
        _bars(left, now)
        right.plot(share, worth, "o", color=ORANGE, ms=9, clip_on=False)
        right.text(0.97, 2.9, f"loss {cost:.4f} nats", ha="right", va="center")
        return (
            f"With π(E) = {share:.3g} the loss on the six pairs of A to D is "
            f"{cost:.4f} nats, the least there is, and the expected reward is "
            f"{worth:.3f}."
        )

    return Scene.of(draw, left, right, still=still)
