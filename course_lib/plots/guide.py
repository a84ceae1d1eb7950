"""Chapter 06: which variant, on the evidence of which runs."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from course_lib.datasets import Run
from course_lib.guide import NAMES, QUESTIONS, Advice, Evidence, advise
from course_lib.plots.marks import name, number
from course_lib.plots.palette import INK, POLICY, QUIET, REFERENCE
from course_lib.plots.style import BARE, Scene, panel
from course_lib.variants import REFERENCE_FREE

ANSWERS = [answer for answers in QUESTIONS.values() for answer in answers]
LABELS = {"distance": "KL(π‖π*), nats", "shortfall": "Shortfall, reward"}
UNIT = {"distance": "nats from π*", "shortfall": "of reward left"}
FAR = 1.5  # where a longer bar is cut
LEFT, RIGHT = -1.0, 1.85  # room for names and numbers


def decision_guide(runs: Sequence[Run], field: str = "distance") -> Scene:
    """The variants that can be used, the best first, and what another answer changes.

    A variant that is not on the left cannot be used, or was not measured.

    runs: of `datasets.shipped_runs("variants")`; field: as for `guide.advise`
    sliders: data, noise, reference, length, ask: answers of `guide.QUESTIONS`; the
        first of them where there is no slider
    """
    title, rows = f"{LABELS[field]}, on the worst of your data", (12.7, -1.6)

    def still(axes: tuple[Axes, Axes]):
        for row, answer in enumerate(ANSWERS):
            name(axes[1], 0, row, answer, QUIET, at=(0, 0))

    def draw(axes: tuple[Axes, Axes], **given: str) -> str:
        advice = advise(runs, field=field, **given)
        name(axes[0], LEFT, -1.1, _verdict(advice), at=(0, 0), bold=True)
        for row, cell in enumerate(advice.ranking):
            _bar(axes[0], row, cell, cell.variant in (advice.variant, *advice.tied))
        _changes(axes[1], advice)
        return _said(advice, field)

    return Scene.of(
        draw,
        panel(title, ("", LEFT, RIGHT), rows, **BARE),
        panel("Another answer changes it to", ("", 0, 1), rows, **BARE),
        still=still,
        says="Which loss is best depends on the data that you have",
        shows="Bars: mean of the seeds, with their range; shorter is better. Outlined: "
        "uses no reference.\nShaded: a tie: the best, and all whose ranges overlap "
        "with its own.",
        height=4.8,
        width_ratios=(4, 3),
    )


def _verdict(advice: Advice) -> str:
    """What comes first, and with how many it ties."""
    if not advice.ranking:
        return "Best here: none can be used"
    few = {0: "no other ties", 1: "one other ties"}
    others = few.get(len(advice.tied), f"{len(advice.tied)} others tie")
    return f"Best here: {NAMES[advice.variant]}; {others}"


def _bar(axis: Axes, row: int, cell: Evidence, leads: bool):
    """A variant, its mean, and the range of its seeds."""
    if leads:
        shade = {"color": REFERENCE, "alpha": 0.3, "lw": 0}
        axis.add_patch(Rectangle((LEFT, row - 0.5), RIGHT - LEFT, 1, **shade))
    name(axis, 0, row, NAMES[cell.variant], at=(-7, 0), bold=leads)
    fill = "white" if cell.variant in REFERENCE_FREE else POLICY
    end = min(cell.mean, FAR)
    axis.barh(row, end, 0.62, color=fill, ec=POLICY, lw=1.2)
    told, high = number(cell.mean), min(cell.high, FAR)
    if cell.mean > FAR:
        look = {"at": (-6, 0), "color": INK if fill == "white" else "white"}
        name(axis, FAR, row, f"{told} »", **look)
        return
    axis.plot([cell.low, high], [row, row], color=INK, lw=1.4)
    name(axis, max(end, high), row, told, at=(5, 0), bold=leads)


def _changes(axis: Axes, advice: Advice):
    """What would come first with another answer, where that is something else."""
    for row, answer in enumerate(ANSWERS):
        best = advice.instead.get(answer)
        if answer not in advice.instead:
            name(axis, 0.46, row, "yours", QUIET, at=(0, 0))
        elif (best and best.variant) != advice.variant:
            told = NAMES[best.variant] if best else "none"
            name(axis, 0.46, row, f"→ {told}", at=(0, 0), bold=True)


def _said(advice: Advice, field: str) -> str:
    """The variant, its cells, who ties with it, and what would change the answer."""
    changes = {
        answer: NAMES[best.variant] if best else "none"
        for answer, best in advice.instead.items()
        if (best and best.variant) != advice.variant
    }
    if not advice.ranking:
        usable = [f"“{answer}”" for answer, name in changes.items() if name != "none"]
        return (
            "None of the variants that ran can be used with these answers. One other "
            f"answer is enough: {' or '.join(usable) or 'but no single one'}."
        )
    name, best = NAMES[advice.variant], advice.ranking[0]
    cells = ", ".join(f"{c.data} {c.mean:.2f}" for c in advice.because)
    said = f"{name}: {cells} {UNIT[field]}, seeds {best.low:.2f} to {best.high:.2f}"
    if advice.tied:
        others = [NAMES[v] for v in advice.tied]
        more = f" and {len(others) - 2} more" if len(others) > 2 else ""
        said += f". A tie in these runs with {', '.join(others[:2])}{more}"
    elif advice.ranking[1:]:
        second = advice.ranking[1]
        said += f"; next {NAMES[second.variant]}, {second.mean:.2f}, in no seed as good"
    if not advice.together:
        said += ". No run has all of this at once: the worst single cell decides"
    if advice.missing:
        said += f". No run has: {', '.join(advice.missing)}"
    if changes:
        answer, other = next(iter(changes.items()))
        also = len(changes) - 1
        more = f"; {also} other answers change it too" if also else ""
        more = "; one other answer changes it too" if also == 1 else more
        said += f". With “{answer}” it would be {other}{more}"
    return said + "."
