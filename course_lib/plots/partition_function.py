"""Chapter 03: the sum that nobody can compute and nobody needs."""

import math
from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from matplotlib.scale import SymmetricalLogScale
from torch import Tensor

from course_lib.losses import implicit_preference_probability
from course_lib.plots.marks import THIN, dot, name, names, number, percent, percents
from course_lib.plots.palette import DOTS, DOTTED, INK, MARK, POLICY, QUIET, beta_color
from course_lib.plots.style import Scene, panel
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
TRUE, READ = ({**MARK[kind], "ls": "none", "ms": 8} for kind in ("exact", "policy"))


def answer_counts() -> Scene:
    """How many terms Z has, as a power of ten, for three sizes of vocabulary.

    slider: length, words or tokens in an answer, 1 to 100; its points can be dragged
    """
    sizes = {
        50_000: f"50{THIN}000 tokens",
        1_000: f"1{THIN}000 tokens",
        8: "8 words",
    }
    listed = math.log10(SECONDS * 1e9)
    x = "length of the answer, tokens or words", 0, 138
    ticks = {"xticks": [1, 20, 40, 60, 80, 100], "yticks": [0, 100, 200, 300, 400, 500]}
    around = panel("Terms of the sum, as a power of ten", x, (0, 500), **ticks)

    def still(axis: Axes):
        for size in sizes:
            axis.plot([1, 100], [math.log10(size), 100 * math.log10(size)], color=INK)
        axis.axhline(listed, **DOTTED)
        words = {"at": (0, 7), "ha": "right"}
        name(axis, 138, listed, "listed since the Big Bang", QUIET, **words)

    def draw(axis: Axes, length: float) -> str:
        powers = {size: length * math.log10(size) for size in sizes}
        for size, power in powers.items():
            dot(axis, length, power, ms=8, gid="length")
            words = f"{sizes[size]}: {power:.1f}"
            name(axis, 100, 100 * math.log10(size), words, at=(9, 0))
        return (
            f"Length {length:.0f}: 10^{powers[8]:.1f} answers in a language of 8 "
            f"words, 10^{powers[50_000]:.1f} in one of {number(50_000, ',d')} tokens. "
            f"A billion a second since the Big Bang would have listed 10^{listed:.1f}."
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="The sum for Z outgrows every list of its terms",
        shows="One term for each possible answer, by size of the vocabulary. Each line "
        "tells its power of\nten at the point. Dotted: a billion a second for 13.8 "
        "billion years.",
        height=4.0,
    )


def partition_estimates(
    estimate: Callable = estimate_log_partition, length: int = 10
) -> Scene:
    """Thirty estimates of log Z in the language of eight words, with their error bars.

    estimate: of log Z from sampled rewards and beta; length: words in an answer
    sliders: n, answers in a sample; beta; seed, of the samples
    """
    world = eight_words()
    runs = torch.arange(1, RUNS + 1)
    x = "number of the sample", 0, RUNS + 1
    levels = {y: number(y, "g") for y in (-10, -1, -0.1, 0, 0.1, 1, 10)}
    look = {"yscale": SymmetricalLogScale(None, linthresh=0.1, linscale=0.5)}
    look |= {"xticks": [1, 10, 20, 30], "yticks": levels}
    around = panel("Estimate minus log Z, nats", x, (-100, 100), **look)

    def draw(axis: Axes, n: float, beta: float, seed: float) -> str:
        rewards = sample_rewards(world, length, RUNS, int(n), seed=int(seed))
        truth = length * float(log_partition(world.ref, world.rewards, beta))
        miss = estimate(rewards, beta) - truth
        error = log_partition_error(rewards, beta)
        holds = miss.abs() <= 2 * error
        for which, meaning in ((holds, "reference"), (~holds, "faulty")):
            look = {**MARK[meaning], "ls": "none", "ms": 6, "elinewidth": 1.4}
            if which.any():
                axis.errorbar(runs[which], miss[which], 2 * error[which], **look)
        words = f"{int(holds.sum())} of {RUNS} bars reach log Z"
        name(axis, RUNS + 1, 40, words, at=(0, 0), ha="right", bold=True)
        mean = number(float(miss.mean()), "+.3f")
        return (
            f"{RUNS} samples of {number(int(n), ',d')} answers at β = {beta:.3g}: "
            f"{int(holds.sum())} of {RUNS} bars of two standard errors reach "
            f"log Z = {truth:.2f}. The estimates are off by {mean} nats on average, "
            f"and claim an error of {float(error.mean()):.3f}."
        )

    return Scene.of(
        draw,
        around,
        still=lambda axis: axis.axhline(0, color=INK, lw=1.2),
        says="No estimate of log Z sees what its sample did not draw",
        shows="Thirty samples of the reference. Bars: two of the standard errors that "
        "each claims.\n□ the bar reaches log Z, the line at 0    ✕ it misses. "
        "Logarithmic beyond ±0.1",
        height=4.0,
    )


def rewards_read_back(implicit: Callable = implicit_rewards) -> Scene:
    """True rewards, and those that the optimal policy implies, over five answers.

    implicit: of a policy, the reference and beta
    slider: beta, KL strength in reward per nat
    """
    x, y = ("answer", -0.5, 5.6), (-4.2, 5.2)
    around = panel("Reward", x, y, xnames=NAMES, yticks=[-4, -2, 0, 2, 4])

    def draw(axis: Axes, beta: float) -> str:
        implied = implicit(optimal_policy(REF, REWARDS, beta), REF, beta)
        drop = float(REWARDS[0] - implied[0])
        axis.vlines(PLACES, implied, REWARDS, color=POLICY, lw=1.2, ls=DOTS)
        axis.plot(PLACES, REWARDS, **TRUE)
        axis.plot(PLACES, implied, **READ)
        last = (
            (float(REWARDS[-1]), "true r", INK),
            (float(implied[-1]), "read r̂", POLICY),
        )
        names(axis, [(4.1, *end) for end in last], gap=0.7)
        told = f"β = {beta:.3g}: each lies {number(drop)} lower", beta_color(beta)
        name(axis, 5.6, 4.9, *told, at=(0, 0), ha="right", bold=True)
        reads = [number(float(implied[k]), "+.3f") for k in (1, 4)]
        return (
            f"At β = {beta:.3g} the circles lie {drop:.3f} below the diamonds, which "
            f"is β log Z: B is worth 3.0 and reads {reads[0]}, E is worth −0.5 and "
            f"reads {reads[1]}."
        )

    return Scene.of(
        draw,
        around,
        says="The policy knows every reward but for one constant",
        shows="◆ the true reward r of five answers. ● what the best policy for β "
        "implies,\nr̂ = β log π*/π_ref. All five lie β log Z below the truth.",
    )


def shifted_rewards(canonical: Callable = canonical_rewards) -> Scene:
    """A constant added to all five rewards, and what moves with it.

    canonical: of the reference, rewards and beta
    slider: shift, f(x), in the unit of the rewards, within ±3
    """
    ticks = {"xnames": NAMES, "yticks": [-4, -2, 0, 2, 4, 6]}
    left = panel("Reward", ("answer", -0.5, 6.4), (-4, 6.4), **ticks)

    def draw(axes: tuple[Axes, Axes], shift: float) -> str:
        left, right = axes
        rewards = REWARDS + shift
        level = BETA * float(log_partition(REF, rewards, BETA))
        best = optimal_policy(REF, rewards, BETA)
        fixed = canonical(REF, rewards, BETA)
        chance = float(torch.sigmoid(rewards[1] - rewards[4]))
        left.plot([-0.5, 4.4], [level] * 2, **DOTTED)
        left.plot(PLACES, rewards, **TRUE)
        left.plot(PLACES, fixed, **READ)
        ends = (
            (level, "β log Z", QUIET),
            (float(rewards[4]), "r + f", INK),
            (float(fixed[4]), "canonical", POLICY),
        )
        names(left, [(4.4, *end) for end in ends], gap=0.95)
        _bars(right, best, INK)
        return (
            f"With f = {number(shift, '+.1f')}, β log Z is {number(level, '.3f')} and "
            f"B is worth {number(float(rewards[1]), '.1f')}. Where they were: "
            f"π*(B) = {best[1]:.3f}, P(B ≻ E) = {chance:.3f}, the canonical reward of "
            f"B {number(float(fixed[1]), '.3f')}."
        )

    return Scene.of(
        draw,
        left,
        _bar_panel("π*, probability"),
        says="Add a constant to all rewards, and the policy stands still",
        shows="f is added to the rewards of five answers. β log Z takes all of it up, "
        "so the canonical\nrewards r + f − β log Z and the best policy stay as they "
        "are.",
        width_ratios=(3, 2),
    )


def _bar_panel(title: str) -> dict:
    """A panel of probabilities, one for each answer."""
    x, y = ("answer", -0.6, 4.6), (0, 1.05)
    return panel(title, x, y, xnames=NAMES, grid=False, yticks=[])


def _bars(axis: Axes, policy: Tensor, color: str):
    axis.bar(PLACES, policy.tolist(), 0.6, color=color)
    for place, share in enumerate(policy.tolist()):
        name(axis, place, share, percent(share), color, at=(0, 8), ha="center")


def preferences_read(probability: Callable = implicit_preference_probability) -> Scene:
    """The ten preferences of five answers, read out of the policy with some β.

    probability: of the four log-probabilities and beta
    slider: beta, with which a policy that is optimal for β = 0.5 is read
    """
    first, second = torch.combinations(REWARDS.argsort(descending=True)).T
    best = optimal_policy(REF, REWARDS, BETA)
    four = [table.log()[i] for table in (best, REF) for i in (first, second)]
    true = torch.sigmoid(REWARDS[first] - REWARDS[second])
    ticks = dict.fromkeys(("xticks", "yticks"), percents(0.5, 0.75, 1))
    x = "P(better one preferred), from the true rewards", 0.49, 1.12
    title = "P(better one preferred), read from the policy"
    around = panel(title, x, (0.46, 1.03), **ticks)

    def still(axis: Axes):
        axis.plot([0.5, 1], [0.5, 1], color=INK, lw=1.2)
        name(axis, 0.68, 0.68, "truth", at=(-4, 9))

    def draw(axis: Axes, beta: float) -> str:
        read = probability(*four, beta)
        axis.vlines(true, true, read, color=POLICY, lw=1.2)
        axis.plot(true, read, **READ)
        at = (9, -7) if float(read[7]) < float(true[7]) else (-9, 6)  # off the line
        name(axis, float(true[3]), float(read[3]), "B over E", POLICY, at=(26, 0))
        name(axis, float(true[7]), float(read[7]), "A over C", POLICY, at=at)
        told = f"read with β = {beta:.3g}", beta_color(beta)
        name(axis, 1.12, 0.5, *told, at=(0, 0), ha="right", bold=True)
        worst = float((read - true).abs().max())
        return (
            f"Read with β = {beta:.3g}: B over E {read[3]:.3f}, in truth {true[3]:.3f}"
            f"; A over C {read[7]:.3f}, in truth {true[7]:.3f}. The largest of ten "
            f"errors is {worst:.3f}."
        )

    return Scene.of(
        draw,
        around,
        still=still,
        says="Read with its own β, a policy knows all ten preferences",
        shows="● one pair of five answers. The policy is the best one for β = 0.5. A "
        "smaller β reads\nit as too unsure, a larger one as too sure; the order is "
        "always right.",
    )


def uncovered_answer() -> Scene:
    """Policies with the least possible loss on all pairs of A to D, and any share of E.

    slider: share, π(E), in (0, 1); its point can be dragged
    """
    best = optimal_policy(REF, REWARDS, BETA)
    others = best[:4] / best[:4].sum()

    def policy(share: float) -> Tensor:
        return torch.cat([(1 - share) * others, others.new_tensor([share])])

    pairs = AllPairs(REF[:4], REWARDS[:4])
    x = "share of E, which no pair mentions", -0.03, 1
    right = panel("Expected reward", x, (-0.6, 3.6), xticks=percents(0, 0.5, 1))

    def still(axes: tuple[Axes, Axes]):
        ends = [float(expected_reward(policy(s), REWARDS)) for s in (0.0, 1.0)]
        axes[1].plot([0, 1], ends, color=INK)

    def draw(axes: tuple[Axes, Axes], share: float) -> str:
        left, right = axes
        now = policy(share)
        cost = pairs.loss(now[:4].log(), torch.tensor(BETA))
        worth = float(expected_reward(now, REWARDS))
        _bars(left, now, POLICY)
        dot(right, share, worth, "policy", gid="share")
        name(right, 1, 3.4, f"loss {cost:.4f} nats", at=(0, 0), ha="right", bold=True)
        return (
            f"With π(E) = {share:.3g} the loss on the six pairs of A to D is "
            f"{cost:.4f} nats, the least there is, and the expected reward is "
            f"{number(worth, '.3f')}."
        )

    return Scene.of(
        draw,
        _bar_panel("π, probability"),
        right,
        still=still,
        says="The loss does not notice an answer that no pair mentions",
        shows="Policies with the ratios of π* among A to D and any share of E. The "
        "loss on all pairs of\nA to D is the least possible for each, whatever reward "
        "it earns.",
    )
