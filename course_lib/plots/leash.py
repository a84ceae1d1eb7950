"""Chapter 00: what a language model says on a shorter and a longer leash."""

import math
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.plots.marks import THIN, dot, name, number, percent, percents
from course_lib.plots.palette import MARK, OUTLINE, QUIET, beta_color
from course_lib.plots.style import BARE, Scene, panel
from course_lib.policies import expected_reward, kl_divergence, optimal_policy
from course_lib.worlds import World

BABBLE = 1e-4  # of the reference: what it says less often is foreign to it
SIGNS = {"chosen": "●", "rejected": "○", "faulty": "✕"}  # what is said, by its meaning
GUESTS = 12
SEATS = 5, 0, 9, 3, 7, 10, 1, 11, 6, 2, 8, 4  # who sits where, the least pleased apart
TIGHT, LOOSE = 5.0, 0.05  # β, reward per nat
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class _Answers(NamedTuple):
    """All answers to one prompt: as the reference gives them, and what they are."""

    names: tuple[str, ...]
    ref: Tensor  # (answers,)
    rewards: Tensor  # (answers,)

    @property
    def liked(self) -> Tensor:
        return self.rewards > 0

    @property
    def babble(self) -> Tensor:
        return self.ref < BABBLE

    def best(self, beta: float) -> Tensor:
        return optimal_policy(self.ref, self.rewards, beta)

    def meaning(self, answer: int) -> str:
        """Its mark in the language of the figures."""
        if self.babble[answer]:
            return "faulty"
        return "chosen" if self.liked[answer] else "rejected"

    def told(self, answer: int, form: str = "{}") -> tuple[str, str]:
        """Its words, with their sign, and their colour."""
        meaning = self.meaning(answer)
        words = form.format(self.names[answer])
        return f"{SIGNS[meaning]} {words}", MARK[meaning]["color"]

    def by_quantile(self, policy: Tensor, count: int) -> list[int]:
        """Answers at the quantiles (k + ½)/count of the reward under a policy.

        None of them earns less when β falls: more mass lies above every reward.
        """
        order = torch.argsort(self.rewards, stable=True)
        quantiles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        places = torch.searchsorted(policy[order].cumsum(0), quantiles)
        return order[places.clamp(max=len(order) - 1)].tolist()

    def rows(self, betas: Tensor, usual: int = 4, raised: int = 3) -> list[int]:
        """What the reference says most, and what β raises highest, by reward."""
        rows = torch.argsort(self.ref, descending=True)[:usual].tolist()
        peaks = torch.stack([self.best(float(beta)) for beta in betas]).amax(0)
        peaks[rows] = 0
        rows += torch.argsort(peaks, descending=True)[:raised].tolist()
        return sorted(rows, key=lambda row: float(self.rewards[row]))


def leash(world: World) -> Scene:
    """Twelve answers of the best policy at a β, its probabilities, and where it bends.

    The guests are the quantiles (k + ½)/12 of the answers in the order of their reward,
    so that no guest earns less as β falls.

    world: World S with its reference; its first prompt asks about a film
    slider: beta, reward per nat, from 0.05 to 5; its points can be dragged
    """
    answers = _Answers(world.names, world.ref[0], world.rewards[0])
    betas = torch.linspace(math.log(LOOSE), math.log(TIGHT), 121).double().exp()
    rows = answers.rows(betas)

    def still(axes: tuple[Axes, Axes, Axes]):
        axes[1].barh(range(len(rows)), answers.ref[rows].tolist(), 0.76, **OUTLINE)
        for tick, row in zip(axes[1].get_yticklabels(), rows, strict=True):
            tick.set_color(answers.told(row)[1])
        _set_strip(axes[2], answers, betas)

    def draw(axes: tuple[Axes, Axes, Axes], beta: float) -> str:
        said, bars, strip = axes
        best = answers.best(beta)
        _seat(said, answers, best)
        _fill(bars, answers, rows, best)
        _mark(strip, answers, best, beta)
        return _say(answers, best, beta)

    told = [answers.told(row)[0] for row in rows]
    shares = {"xscale": "log", "xticks": TICKS, "yticks": percents(0, 0.5, 1)}
    return Scene.of(
        draw,
        panel("They say", ("", 0, 2), (5.6, -0.6), **BARE),
        panel("How often", ("", 0, 1.45), (len(rows) - 0.4, -0.6), ynames=told, **BARE),
        panel("Share of all answers", ("", LOOSE, TIGHT), (0, 1.3), **shares),
        still=still,
        says="Loosen the leash, and honest guests learn to praise, then to babble",
        shows="“How was the film?” Twelve answers of the model that earns most from "
        "raters who like praise.\nβ is its leash: drag it to the left. All "
        f"{len(answers.names)} possible answers are counted.\n● praise: reward above 0 "
        f"   ○ no praise    ✕ babble: under 1 in 10{THIN}000 in the reference    "
        "□ reference",
        height=5.9,
        mosaic="ab;cc",
        height_ratios=(5, 3.4),
        width_ratios=(17, 9),
    )


def _say(answers: _Answers, best: Tensor, beta: float) -> str:
    (praise, earned), (praised, before) = (
        (
            percent(float(policy[answers.liked].sum())),
            number(float(expected_reward(policy, answers.rewards))),
        )
        for policy in (best, answers.ref)
    )
    babble = percent(float(best[answers.babble].sum()))
    spent = number(float(kl_divergence(best, answers.ref)))
    return (
        f"At β = {beta:g}, {praise} of the answers praise (reference: {praised}) and "
        f"{babble} are babble. The mean reward is {earned} (reference: {before}), and "
        f"the KL from the reference is {spent} nats."
    )


def _set_strip(axis: Axes, answers: _Answers, betas: Tensor):
    best = torch.stack([answers.best(float(beta)) for beta in betas])
    for meaning, kind in (("chosen", answers.liked), ("faulty", answers.babble)):
        look = {key: MARK[meaning][key] for key in ("color", "ls")}
        axis.plot(betas, best[:, kind].sum(-1), **look)
    name(axis, LOOSE, 1.17, "babble", MARK["faulty"]["color"], at=(0, 0), bold=True)
    name(axis, 0.2, 1.17, "praise", MARK["chosen"]["color"], at=(0, 0), bold=True)
    axis.tick_params(axis="y", pad=9)  # room for the point at the left end
    axis.set_xlabel("β, reward per nat", loc="center")
    for x, side, text in (
        (LOOSE, "left", "← longer leash"),
        (TIGHT, "right", "shorter leash →"),
    ):
        name(axis, x, 0, text, QUIET, at=(0, -22), ha=side, va="top")


def _seat(axis: Axes, answers: _Answers, best: Tensor):
    guests = answers.by_quantile(best, GUESTS)
    for seat, guest in enumerate(SEATS):
        words = answers.told(guests[guest], "“{}”")
        name(axis, seat // 6, seat % 6, *words, at=(0, 0))


def _fill(axis: Axes, answers: _Answers, rows: list[int], best: Tensor):
    for place, row in enumerate(rows):
        share, meaning = float(best[row]), answers.meaning(row)
        hatch = "////" if meaning == "faulty" else None
        look = {"color": MARK[meaning]["color"], "ec": "white", "lw": 0}
        axis.barh(place, share, 0.46, hatch=hatch, **look)
        end = max(share, float(answers.ref[row]))
        name(axis, end, place, percent(share), QUIET, at=(5, 0))


def _mark(axis: Axes, answers: _Answers, best: Tensor, beta: float):
    liked, babble = (
        float(best[kind].sum()) for kind in (answers.liked, answers.babble)
    )
    axis.plot([beta, beta], [0, 1], color=beta_color(beta), lw=1.4)
    dot(axis, beta, liked, "chosen", gid="beta")
    dot(axis, beta, babble, "faulty", gid="beta")
    left = beta > TIGHT / 2 or 0.01 < babble < 0.95  # where no curve runs
    look = {"at": (-6 if left else 6, 0), "bold": True}
    name(axis, beta, 0.14, f"β = {beta:g}", beta_color(beta), **look)
