"""A figure that follows its sliders.

`slider_plot(draw, setup, beta=LogSlider(0.01, 10))` paints every position when the cell
runs and lets the page swap them: the kernel is not in the loop, so the picture follows
the hand, also while a cell trains and on a page without a kernel. With `live=True` the
sliders are ipywidgets and Python draws the newest value, then those beside it while it
has nothing else to do: for what cannot be listed beforehand.
"""

from collections.abc import Callable
from inspect import signature

from ipywidgets import Widget as Control

from course_lib.sliders.controls import Choice, LinSlider, LogSlider, Slider
from course_lib.sliders.filmstrip import SliderPlot
from course_lib.sliders.live import LivePlot

__all__ = ["Choice", "LinSlider", "LivePlot", "LogSlider", "SliderPlot", "slider_plot"]


def slider_plot(
    draw: Callable,
    setup: Callable | None = None,
    *,
    live: bool = False,
    alt: str = "",
    play: str | None = None,
    drag: str | None = None,
    **sliders: Slider | Control,
) -> "SliderPlot | LivePlot":
    """A figure that follows sliders.

    draw: draw(axes, beta=...) draws what moves for one value, as in matplotlib, and may
        return a sentence that says what is to be seen; it stands below the picture
    setup: setup(figure) draws what stands still (limits, labels, legend) and returns
        the axes; without it there is one axes, with limits that hold every value
    live: ipywidgets whose values Python reads; draw runs in the kernel for the newest
        value, and ahead of the hand for those beside it if it takes 50 ms at most
    alt: what the figure is about, for whoever does not see it
    play: the slider that a play button moves, once from its value to its end
    drag: the slider that also moves when a hand takes its point in the picture: what
        draw gave the slider's name as gid, as in axes.plot(gap, loss, "o", gid="gap")
    sliders: `LogSlider`, `LinSlider` or `Choice` by the name of draw's argument; with
        live=True also any ipywidget that has a `value`
    returns: a figure that shows itself; `set(beta=...)` moves it from Python
    raises: TypeError if draw does not take the sliders' names, ValueError if it changes
        what must stand still, has more than 256 positions, or would store over 1 MB,
        or if play or drag name no slider, or draw gives nothing to drag

    >>> def draw(axes, beta):
    ...     axes.plot([0, 1], [0, beta])
    ...     return f"A line up to {beta}."
    >>> plot = slider_plot(draw, beta=LinSlider(0, 2, count=3))
    >>> plot.set(beta=2.0)
    A line up to 2.0.
    """
    if not sliders:
        raise TypeError("slider_plot needs a slider, such as beta=LogSlider(0.01, 10)")
    _names_agree(draw, sliders)
    for name, slider in sliders.items():
        is_control = live and isinstance(slider, Control) and hasattr(slider, "value")
        if not isinstance(slider, Slider) and not is_control:
            also = (
                "or an ipywidget with a value" if live else "or live=True must be set"
            )
            raise TypeError(
                f"{name} must be a LogSlider, LinSlider or Choice, {also}; "
                f"got {type(slider).__name__}"
            )
    ours = [name for name, slider in sliders.items() if isinstance(slider, Slider)]
    for argument, name in (("play", play), ("drag", drag)):
        if name is not None and name not in ours:
            raise ValueError(
                f"{argument} must name a slider, one of {', '.join(ours)}: got {name!r}"
            )
    return (LivePlot if live else SliderPlot)(draw, setup, alt, play, drag, sliders)


def _names_agree(draw: Callable, sliders: dict):
    """Refuse a draw that cannot be called as draw(axes, **sliders)."""
    if not callable(draw):
        raise TypeError(f"draw must be a function, got {type(draw).__name__}")
    try:
        takes = signature(draw)
    except ValueError:  # written in C: it will say so itself
        return
    try:
        takes.bind(None, **dict.fromkeys(sliders))
    except TypeError as error:
        called = ", ".join(f"{name}=..." for name in sliders)
        raise TypeError(
            f"draw{takes} cannot be called as draw(axes, {called}): {error}"
        ) from None
