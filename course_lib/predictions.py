"""Predictions: made before the answer is seen, kept, and compared with what comes."""

from collections.abc import Sequence
from html import escape

from ipywidgets import HTML, Button, FloatText, HBox, VBox

from course_lib.workspace import read, work_folder, write

__all__ = ["Prediction", "predict", "predicted"]

FILE = "predictions.json"  # in `my_work/`; delete it to predict anew
NOTED = "You predicted {}. Read on."


def predict(
    name: str, question: str, choices: Sequence[str] | None = None, noted: str = NOTED
) -> "Prediction":
    """A question that is answered once, before the page answers it.

    name: under which the answer is kept, in `my_work/predictions.json`; `predicted`
        asks for it
    choices: the possible answers; None: the answer is a number
    noted: what is said of the answer, which stands in place of {}
    returns: buttons, or a field for the number; the answer that was given, once it is
    raises: ValueError for choices of fewer than two
    """
    if choices is not None and len(choices) < 2:
        raise ValueError(f"choices must be at least two, got {list(choices)}")
    return Prediction(name, question, choices, noted)


def predicted(name: str, truth: str | float, near: float = 0.1) -> "Told":
    """What was predicted under this name, beside what is true.

    truth: one of the choices, or a number
    near: how far a number may be off, as a share of the truth, to count as right
    """
    known = (read(work_folder() / FILE) or {}).get(name)
    wanted = truth if isinstance(truth, str) else f"{truth:g}"
    if known is None:
        return Told(f"The answer: {wanted}. (No prediction was made.)")
    if isinstance(truth, str):
        right, said = known == truth, str(known)
    else:
        right = abs(float(known) - truth) <= near * abs(truth)
        said = f"{float(known):g}"
    if right:
        return Told(f"You predicted {said}. Right: {wanted}.")
    return Told(
        f"You predicted {said}. The answer: {wanted}. What made you expect that?"
    )


class Told(str):
    """A sentence that a notebook shows as text, and prints without quotes."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<p>{escape(self)}</p>"


class Prediction(VBox):
    """A question with its answers; made by `predict`."""

    def __init__(
        self, name: str, question: str, choices: Sequence[str] | None, noted: str
    ):
        self.name, self.question, self.noted = name, question, noted
        self.choices = None if choices is None else list(choices)
        self._says = HTML()
        super().__init__([])
        known = (read(work_folder() / FILE) or {}).get(name)
        if known is None:
            self._ask()
        else:
            self._show(known)

    def answer(self, value: str | float):
        """Give the answer; it is kept, and cannot be changed afterwards.

        raises: ValueError if it is none of the choices, or no number
        """
        if self.choices is not None and value not in self.choices:
            raise ValueError(f"answer must be one of {self.choices}, got {value!r}")
        value = value if self.choices is not None else float(value)
        path = work_folder() / FILE
        known = read(path) or {}
        known.setdefault(self.name, value)
        write(path, known)
        self._show(known[self.name])

    def _ask(self):
        if self.choices is None:
            field = FloatText(description="answer")
            button = Button(description="Lock it")
            button.on_click(lambda _: self.answer(field.value))
            answers = [field, button]
        else:
            answers = [Button(description=choice) for choice in self.choices]
            for button in answers:
                button.layout.width = "auto"
                button.on_click(lambda pressed: self.answer(pressed.description))
        self._says.value = f"<p>{escape(self.question)}</p>"
        row = HBox(answers)
        row.layout.flex_flow = "row wrap"
        self.children = [self._says, row]

    def _show(self, known: str | float):
        said = escape(known if isinstance(known, str) else f"{known:g}")
        self._says.value = (
            f"<p>{escape(self.question)}</p>"
            f"<p>{escape(self.noted).format(f'<strong>{said}</strong>')}</p>"
        )
        self.children = [self._says]

    def __repr__(self) -> str:
        answers = " · ".join(self.choices or ["a number"])
        return f"{self.question}\n{answers}\n(Run this cell to answer.)"

    def _repr_mimebundle_(self, **kwargs) -> dict:
        return {**super()._repr_mimebundle_(**kwargs), "text/plain": repr(self)}
