"""A run in six small panels: what its log holds, and what it does not."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.diagnosis.case import LN2, Case, lowest_loss
from course_lib.diagnosis.runlog import Part
from course_lib.plots.marks import number
from course_lib.plots.palette import LANGUAGE, MARK, QUIET
from course_lib.plots.style import Picture, headline

__all__ = ["run_picture"]

MOST = 800  # points a line: more cannot be seen
PANELS = (  # title, columns with their meanings
    ("Loss", {"loss": "policy"}),
    ("Rewards", {"chosen_reward": "chosen", "rejected_reward": "rejected"}),
    ("Margin", {"margin": "policy"}),
    ("Accuracy", {"accuracy": "policy"}),
    ("Log-probs (nats)", {"chosen_logps": "chosen", "rejected_logps": "rejected"}),
    ("Gradient norm", {"grad_norm": "policy"}),
)
OWN = {"chosen_logratio": "chosen", "rejected_logratio": "rejected"}


def run_picture(case: Case, says: str, marked: tuple[int, ...] = ()) -> Picture:
    """Loss, rewards, margin, accuracy, log-probs and gradient norm of a run.

    says: the headline; marked: rows of the log that are evidence
    returns: a Picture; a panel of a column that was not logged says so
    """
    panels = list(PANELS)
    if case.own:
        panels[4] = ("Log-ratios (nats)", OWN)
    with matplotlib.rc_context(LANGUAGE):
        figure = Figure(figsize=(6.5, 4.6))
        axes = figure.subplots(2, 3)
        kinds = ["solid: training"] if len(case.train) else []
        kinds += ["diamonds: held-out"] if len(case.eval) else []
        kinds += ["chosen blue, rejected orange"]
        kinds += ["dotted: 0, ln 2, the least loss"]
        kinds += ["crosses: evidence"] if marked else []
        headline(figure, says, f"{case.log.library}; {'; '.join(kinds)}")
        seen = [
            _panel(axis, case, title, columns, marked)
            for axis, (title, columns) in zip(axes.flat, panels, strict=True)
        ]
        for axis in axes[1]:
            axis.set_xlabel("step" if _has_steps(case) else "row of the log")
    return Picture(figure, f"{says}. Six panels. {' '.join(seen)}")


def _has_steps(case: Case) -> bool:
    return all("step" in part for _, part in case.parts())


def _panel(
    axis: Axes, case: Case, title: str, columns: dict[str, str], marked: tuple
) -> str:
    axis.set_title(title, fontsize=9.5)
    axis.tick_params(labelsize=8.5)
    axis.locator_params(nbins=4)
    told = []
    for name, meaning in columns.items():
        told += _line(axis, case, case.train, name, MARK[meaning], marked)
        look = MARK[meaning] if len(columns) > 1 else MARK["exact"]
        held = look | {"marker": "D", "ls": ":", "lw": 1.0}
        told += _line(axis, case, case.eval, name, held, marked, "held-out ")
    if not told:
        where = {"transform": axis.transAxes, "ha": "center"}
        axis.text(0.5, 0.5, "not logged", color=QUIET, **where)
        axis.set(xticks=[], yticks=[])
        return f"{title}: not logged."
    if title == "Loss" and case.plain:
        axis.axhline(LN2, **_bound())
        _floor(axis, case)
    if title in ("Rewards", "Margin"):
        axis.axhline(0.0, **_bound())
    return f"{title}: {'; '.join(told)}."


def _bound() -> dict:
    look = MARK["reference"]
    return {"color": look["color"], "ls": look["ls"], "lw": 1.3, "zorder": 1}


def _at(case: Case, part: Part) -> np.ndarray:
    return part["step"] if _has_steps(case) else part.numbers.astype(float)


def _line(
    axis: Axes,
    case: Case,
    part: Part,
    name: str,
    look: dict,
    marked: tuple[int, ...],
    word: str = "",
) -> list[str]:
    kept = part.with_all(name)
    x, y, rows = _at(case, part)[kept], part[name][kept], part.numbers[kept]
    if not len(y):
        return []
    every = max(1, len(y) // MOST)
    style = {"lw": 1.5} | look | {"ms": 3.5}
    style |= {"marker": ""} if len(y) > 12 else {}
    axis.plot(x[::every], y[::every], **style)
    evidence = np.isin(rows, marked)
    if name == "loss" and evidence.any() and len(marked) < len(y):
        cross = {"color": MARK["faulty"]["color"], "ls": "none"}
        axis.plot(x[evidence], y[evidence], marker="X", ms=5, zorder=5, **cross)
    side = name.split("_")[0]
    side = f"{side} " if side in ("chosen", "rejected") else ""
    ends = f"from {number(y[0], '.3g')} to {number(y[-1], '.3g')}"
    return [f"{word}{side}{ends if len(y) > 1 else number(y[0], '.3g')}"]


def _floor(axis: Axes, case: Case):
    """The least loss that the margins allow."""
    part = case.train if "margin" in case.train else case.eval
    kept = part.with_all("margin")
    if kept.sum() > 1:
        least = lowest_loss(part["margin"][kept], smoothing=case.smoothing)
        every = max(1, len(least) // MOST)
        axis.plot(_at(case, part)[kept][::every], least[::every], **_bound())
