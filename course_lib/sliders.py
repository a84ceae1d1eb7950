"""A picture that follows ipywidgets controls, drawn anew for each of their values."""

from collections.abc import Callable
from html import escape

from ipywidgets import HTML, Image, VBox, Widget

from course_lib.figures import Picture

__all__ = ["LivePicture"]


class LivePicture(VBox):
    """Controls, the picture for their values, and below it in words what it shows.

    draw: a pure function of the controls' values that returns a `Picture`
    controls: ipywidgets with a `value`, by the name of draw's argument
    raises: whatever draw raises for the first values; later errors stand below the
        picture, and the controls go on working
    source: where no widget can be shown, the picture stands still with its words

    >>> from ipywidgets import FloatSlider
    >>> from course_lib.figures import choice_curve
    >>> live = LivePicture(choice_curve, difference=FloatSlider(1.0, min=-6, max=6))
    >>> live.controls["difference"].value = 2.0
    >>> "0.881" in live.picture.alt
    True
    """

    def __init__(self, draw: Callable[..., Picture], **controls: Widget):
        self.draw, self.controls = draw, controls
        self.picture = self._drawn()
        # as wide as it was drawn: a picture stretched to the page would be a blur
        width = f"{100 * self.picture.figure.get_figwidth():.0f}px"
        layout = {"width": width, "max_width": "100%", "align_self": "flex-start"}
        self._image, self._words = Image(format="png", layout=layout), HTML()
        for name, control in controls.items():
            control.description = control.description or name
            control.layout.width = control.layout.width or "26em"
            control.observe(self._follow, names="value")
        super().__init__([*controls.values(), self._image, self._words])
        self._show()

    def _drawn(self) -> Picture:
        values = {name: control.value for name, control in self.controls.items()}
        return self.draw(**values)

    def _follow(self, _change):
        try:
            self.picture = self._drawn()
        except Exception as error:
            self._say(f"{type(error).__name__}: {error}")
        else:
            self._show()

    def _show(self):
        self._image.value = self.picture.png()
        self._say(self.picture.alt)

    def _say(self, words: str):
        self._words.value = (
            f'<div role="status" aria-live="polite">{escape(words)}</div>'
        )

    def __repr__(self) -> str:
        return self.picture.alt

    def _repr_mimebundle_(self, **kwargs) -> dict:
        return {
            **super()._repr_mimebundle_(**kwargs),
            **self.picture._repr_mimebundle_(),
        }
