"""Chapter 09: what a real model earned from its own answers, and for how many nats."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from course_lib.datasets import InstructRun
from course_lib.plots.marks import dot, name, number
from course_lib.plots.palette import DOTTED, INK, MARK, POLICY, QUIET, REFERENCE
from course_lib.plots.style import Picture, panel

TITLES = {"films": "Praise, log-odds", "you": "“You” an answer"}


def instruct_outcomes(**runs: Sequence[InstructRun]) -> Picture:
    """Reward against KL of each task: the model before, best of n, and DPO by seed.

    runs: by task, as `shipped_instruct` gives them; each seed is a mark, its bars are
        95 % intervals over prompts
    """

    def draw(axes: Axes | tuple[Axes, ...]) -> str:
        axes = axes if isinstance(axes, tuple) else (axes,)
        told = zip(axes, runs.items(), strict=True)
        return "Reward against KL on prompts that were not trained on. " + " ".join(
            _task(axis, task, rows) for axis, (task, rows) in told
        )

    drawn = [run for rows in runs.values() for run in rows if run.method in METHODS]
    longest = max(run.kl[2] for run in drawn)
    across = ("KL, nats an answer", -0.12, 1.08 * max(longest, 1.5))
    return Picture.of(
        draw,
        *[panel(TITLES[task], across) for task in runs],
        says="The model learned from its own answers; best of n pays less for as much",
        shows="□ before   ◆ best of n of its answers, at the upper bound of its KL\n"
        "● DPO, one seed each: reward and KL on new prompts, with 95 % intervals",
        height=3.7,
    )


def _task(axis: Axes, task: str, rows: Sequence[InstructRun]) -> str:
    """One panel, and what is seen in it."""
    by_method = {m: [row for row in rows if row.method == m] for m in METHODS}
    (before,), best = by_method["before"], by_method["best_of_n"]
    axis.axhline(before.reward[0], lw=1, **DOTTED)
    low, high = before.reward[1:]
    axis.plot([0, 0], [low, high], color=REFERENCE, lw=1, zorder=2)
    line = [(0.0, before.reward[0]), *((row.kl[0], row.reward[0]) for row in best)]
    axis.plot(*zip(*line, strict=True), **MARK["exact"], ms=5)
    dot(axis, 0, before.reward[0], "reference", ms=7)
    for row in best:
        told = f"best of {row.beta:g}" if row is best[-1] else f"{row.beta:g}"
        name(axis, row.kl[0], row.reward[0], told, INK, at=(-7, 5), halo=True)
    for row in by_method["dpo"]:
        _seed(axis, row)
    trained = by_method["dpo"]
    right = max(trained, key=lambda row: row.kl[2])
    name(axis, right.kl[2], right.reward[0], "DPO", POLICY, at=(5, 0))
    name(axis, 0, before.reward[0], "before", QUIET, at=(8, -9))
    earned = " and ".join(
        f"{number(row.reward[0])} at {number(row.kl[0])} nats" for row in trained
    )
    steps = ", ".join(f"{row.beta:g}: {number(row.reward[0])}" for row in best)
    return (
        f"{TITLES[task]}: {number(before.reward[0])} before; best of {steps}; "
        f"DPO {earned}."
    )


METHODS = ("before", "best_of_n", "dpo")


def _seed(axis: Axes, row: InstructRun):
    """A trained model, with its intervals."""
    line = {"color": POLICY, "lw": 1, "zorder": 2}
    axis.plot(row.kl[1:], [row.reward[0]] * 2, **line)
    axis.plot([row.kl[0]] * 2, row.reward[1:], **line)
    axis.plot(row.kl[0], row.reward[0], "o", color=POLICY, ms=6, mec="white", zorder=6)
