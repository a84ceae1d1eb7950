"""Spaced review: the chapters' own questions, and your own mistakes, a few a day.

A question that you knew comes again after 1, 3, 7, 21 and 60 days; one that you did not
know comes again tomorrow. What is due is kept in `my_work/review.json`: delete it to
begin anew. A chapter's questions come once you have tried one of its exercises, and
those of chapters that cost you most attempts come first.
"""

import datetime
import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from ipywidgets import HTML, Button, HBox, VBox

from course_lib.exercises import EXERCISES
from course_lib.workspace import notebooks, read, work_folder, write

__all__ = ["Review", "review"]

FILE = "review.json"
DAYS = (1, 3, 7, 21, 60)  # until a question that was known comes again
FOLD = re.compile(r"<details><summary>(.*?)</summary>(.*?)</details>", re.S)


class Question(NamedTuple):
    """A question, its answer, and how hard its chapter was for this learner."""

    name: str  # "05.2": the second of chapter 05; "dpo_loss: swapped": a mistake
    asks: str
    answer: str
    attempts: int = 0


def questions() -> list[Question]:
    """What can be asked of this learner: the chapters begun, and the mistakes made.

    source: the last cell of each chapter, and `my_work/progress.json`
    """
    notes = read(work_folder() / "progress.json") or {}
    attempts: dict[str, int] = {}
    made = []
    for name, note in notes.items():
        if name not in EXERCISES or not note.get("attempts"):
            continue
        chapter = EXERCISES[name].number.partition(".")[0].zfill(2)
        attempts[chapter] = attempts.get(chapter, 0) + note["attempts"]
        made += _mistakes(name, note)
    for path in notebooks("notebooks"):
        chapter = path.name[:2]
        if chapter in attempts:
            cells = (read(path) or {}).get("cells", [])
            folds = FOLD.findall("".join(cells[-1]["source"])) if cells else []
            for number, (asks, answer) in enumerate(folds, 1):
                asks = re.sub(r"^\d\. ", "", " ".join(asks.split()))
                name = f"{chapter}.{number}"
                made.append(Question(name, asks, answer.strip(), attempts[chapter]))
    return made


def _mistakes(name: str, note: dict) -> list[Question]:
    """A question for each mistake that a check once found in an answer."""
    exercise, made = EXERCISES[name], []
    says = {fault.name: fault.says for fault in exercise.faults}
    for mistake in note.get("mistakes", []):
        if mistake in says:
            asks = (
                f"Exercise {exercise.number}, {name}: your answer once looked like "
                f"“{mistake}”. What was wrong with it?"
            )
            known = f"{name}: {mistake}"
            made.append(Question(known, asks, says[mistake], note["attempts"]))
    return made


def due(today: datetime.date | None = None) -> list[Question]:
    """What is to be asked today: what costs most attempts first.

    today: by default the computer's date
    """
    now = str(today or datetime.date.today())
    known = read(work_folder() / FILE) or {}
    asked = [q for q in questions() if known.get(q.name, {}).get("due", now) <= now]
    return sorted(asked, key=lambda q: (-q.attempts, q.name))


def remember(name: str, knew: bool, today: datetime.date | None = None) -> None:
    """Note whether a question was known, and when it comes again."""
    path = work_folder() / FILE
    known = read(path) or {}
    times = known.get(name, {}).get("known", 0) + 1 if knew else 0
    days = DAYS[min(times, len(DAYS)) - 1] if knew else 1
    again = (today or datetime.date.today()) + datetime.timedelta(days)
    write(path, {**known, name: {"known": times, "due": str(again)}})


def review() -> "Review":
    """The questions that are due today, one after the other, in a notebook."""
    return Review(due())


class Review(VBox):
    """One question, its answer when it is asked for, then the next."""

    def __init__(self, asked: Sequence[Question]):
        self.asked = list(asked)
        super().__init__([])
        self._next()

    def _next(self) -> None:
        if not self.asked:
            self.children = [HTML("<p>Nothing is due today.</p>")]
            return
        question, left = self.asked[0], len(self.asked)
        show = Button(description="Show the answer")
        show.on_click(lambda _: self._show())
        asks = f"<p><b>{escape(question.name)}</b> ({left} due)</p><p>{question.asks}"
        self.children = [HTML(asks + "</p>"), show]

    def _show(self) -> None:
        buttons = []
        for says, knew in (("I knew it", True), ("Not yet", False)):
            button = Button(description=says)
            button.on_click(lambda _, knew=knew: self.answer(knew))
            buttons.append(button)
        told = HTML(f"<p>{self.asked[0].answer}</p>")
        self.children = [self.children[0], told, HBox(buttons)]

    def answer(self, knew: bool) -> None:
        """Say whether the question shown was known; the next one is shown."""
        remember(self.asked.pop(0).name, knew)
        self._next()

    def __repr__(self) -> str:
        asked = [f"{question.name}  {question.asks}" for question in self.asked]
        return "\n".join(asked or ["Nothing is due today."])


def main(argv: Sequence[str]) -> int:
    """`python3 -m course_lib review`: the same in a terminal."""
    if argv:
        print("review takes no words: it asks what is due today")
        return 0 if argv[0] in ("-h", "--help") else 2
    asked = due()
    print(f"{len(asked)} due today." if asked else "Nothing is due today.")
    try:
        for question in asked:
            print(f"\n{question.name}  {_plain(question.asks)}")
            input("Enter shows the answer: ")
            print(_plain(question.answer))
            knew = input("Did you know it? [y/n] ").strip().lower().startswith("y")
            remember(question.name, knew)
    except EOFError:  # the end of what was typed: the rest stays due
        print()
    return 0


def _plain(text: str) -> str:
    return re.sub(r"</?\w+[^>]*>", "", text)
