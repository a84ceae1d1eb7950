"""Ways to let one figure follow one slider, each in a notebook of its own.

The figure carries a mark whose colour says which position of the slider it was drawn
for, so what a picture shows can be read from its pixels, however it was made.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from course_lib.sliders import LogSlider
from course_tools.benchmarks._pages import page

__all__ = ["ALTERNATIVES", "MARK", "SLIDER", "draw", "move", "position", "setup"]
__all__ += ["write"]

SLIDER = LogSlider(0.01, 10, 61)
VALUES = SLIDER.values
WIDTH, HEIGHT = 900, 300  # pixels of the figure
MARK = 12  # pixels of a side of the mark, in the lower left corner
GAPS = np.linspace(-6, 6, 241)
REWARDS = np.array([0, 0.3, 0.5, 0.9, 1.4, 2])


class Alternative(NamedTuple):
    """One way to show the figure.

    code: the notebook's; slider, picture: CSS selectors of what is moved and looked at
    margin: pixels that the way adds around the figure
    before: what goes before each drag: "" nothing, "second" a second in which the
        kernel may paint ahead, "cell" a cell, as when a function is defined anew
    """

    code: str
    slider: str
    picture: str
    margin: int = 0
    before: str = ""


OURS = """\
from course_tools.benchmarks.sliders.alternatives import SLIDER, draw, setup
from course_lib.sliders import slider_plot

slider_plot(draw, setup, beta=SLIDER"""
PYPLOT = """
import matplotlib.pyplot as plt
from ipywidgets import SelectionSlider, VBox, interact
from course_tools.benchmarks.sliders.alternatives import VALUES, draw, move, setup

slider = SelectionSlider(options=VALUES, layout={"width": "600px"})
"""
LAYER = ".course-picture svg[role='img']"
LIVE = OURS + ", live=True)"
ALTERNATIVES = {
    "slider_plot": Alternative(OURS + ")", "input", LAYER),
    "in_picture": Alternative(OURS + ', drag="beta")', "input", LAYER),
    "interact": Alternative(
        f"""%matplotlib inline{PYPLOT}
def show(beta):
    figure = plt.figure(figsize=(9, 3), dpi=100)
    draw(setup(figure), beta)
    plt.show()

interact(show, beta=slider);""",
        ".noUi-handle",
        ".widget-output img",
        margin=10,
    ),
    "ipympl": Alternative(
        f"""%matplotlib widget{PYPLOT}
with plt.ioff():
    figure = plt.figure(figsize=(9, 3), dpi=100)
axes = setup(figure)
draw(axes, slider.value)

def follow(change):
    move(axes, change["new"])
    figure.canvas.draw_idle()

slider.observe(follow, "value")
VBox([slider, figure.canvas])""",
        ".noUi-handle",
        ".jupyter-matplotlib canvas",
    ),
    "live": Alternative(LIVE, ".noUi-handle", LAYER, before="second"),
    "live_at_once": Alternative(LIVE, ".noUi-handle", LAYER, before="cell"),
}


def write(folder: Path):
    """Write each alternative's notebook, NAME.ipynb."""
    for name, way in ALTERNATIVES.items():
        (folder / f"{name}.ipynb").write_text(page([way.code]), encoding="utf-8")


def setup(figure: Figure) -> list[Axes]:
    """What stands still: loss, weight of the gradient and policy, without curves."""
    figure.set_size_inches(WIDTH / 100, HEIGHT / 100)
    figure.set_layout_engine("none")
    margins = {"left": 0.05, "right": 0.99, "bottom": 0.22, "top": 0.88}
    axes = figure.subplots(1, 3, gridspec_kw=margins)
    axes[0].set(title="DPO loss", xlim=(-6, 6), ylim=(0, 4), xlabel="gap")
    axes[1].set(title="gradient weight", xlim=(-6, 6), ylim=(0, 2), xlabel="gap")
    axes[2].set(title="policy", xlim=(-0.6, 5.6), ylim=(0, 1), xlabel="answer")
    for axis in axes:
        axis.grid(alpha=0.25)
    return list(axes)


def draw(axes: list[Axes], beta: float) -> str:
    """What moves, drawn anew for this β."""
    loss, weight, policy = _curves(beta)
    axes[0].plot(GAPS, loss, color="#0072B2")
    axes[0].plot(*_point(beta), "o", color="#D55E00", gid="beta")
    axes[1].plot(GAPS, weight, color="#D55E00")
    axes[2].bar(range(6), policy, color="#0072B2")
    size, like = (MARK / WIDTH, MARK / HEIGHT), {"color": color(beta), "lw": 0}
    in_figure = {"transform": axes[0].figure.transFigure, "clip_on": False}
    axes[0].add_patch(Rectangle((0, 0), *size, **like, **in_figure))
    return f"With β = {beta} the best answer has probability {policy[-1]:.3f}."


def move(axes: list[Axes], beta: float):
    """The same picture by changing what `draw` has drawn."""
    loss, weight, policy = _curves(beta)
    axes[0].lines[0].set_ydata(loss)
    axes[0].lines[1].set_data(*_point(beta))
    axes[1].lines[0].set_ydata(weight)
    for bar, height in zip(axes[2].patches, policy, strict=True):
        bar.set_height(height)
    axes[0].patches[0].set_color(color(beta))


def _curves(beta: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    policy = np.exp((REWARDS - REWARDS.max()) / beta)
    loss, weight = np.logaddexp(0, -beta * GAPS), beta / (1 + np.exp(beta * GAPS))
    return loss, weight, policy / policy.sum()


def _point(beta: float) -> tuple[list[float], list[float]]:
    """What can be dragged: it goes through the panel as the slider goes."""
    gap = -6 + 12 * VALUES.index(beta) / (len(VALUES) - 1)
    return [gap], [float(np.logaddexp(0, -beta * gap))]


def color(beta: float) -> tuple[float, float, float]:
    """The mark's: four levels of red for each position, green for the rest."""
    red = 4 * VALUES.index(beta)
    return red / 255, (255 - red) / 255, 0.0


def position(rgb: np.ndarray) -> int | None:
    """Which position a mark of this colour says; None if it is none."""
    red, green, blue = np.round(255 * rgb).astype(int).tolist()
    return round(red / 4) if abs(red + green - 255) < 3 and blue < 3 else None
