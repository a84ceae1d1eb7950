"""What a learner sees: the same card as HTML in a notebook and as text elsewhere."""

import html
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from course_lib.checking.answers import Answer, answer
from course_lib.checking.verdict import NOT_ATTEMPTED, NOT_YET, PASSED, Verdict
from course_lib.exercises.spec import Exercise

__all__ = [
    "Badge",
    "Card",
    "Row",
    "hint_card",
    "progress_card",
    "verdict_card",
]

WIDTH = 88
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
SAID = {"✓": "holds", "✗": "does not hold", "·": "open"}  # of a mark, to those who hear
# Borders that show on light and on dark pages; text takes the page's own colour.
ACCENT = {NOT_ATTEMPTED: "#7a7a7a", NOT_YET: "#c77700", PASSED: "#1a8f5a"}
CARD = (
    '<section aria-label="{{ it.heading }}: {{ it.state or it.summary }}" '
    'style="border:1px solid {{ accent }};border-left-width:6px;border-radius:4px;'
    "padding:.5em .9em;max-width:46em;color:inherit;background:transparent;"
    'line-height:1.45">'
    '<div style="display:flex;justify-content:space-between;gap:2em">'
    "<strong>{{ it.heading }}{% if it.state %} · {{ it.state }}{% endif %}</strong>"
    "<span>{{ it.summary }}</span></div>"
    '{% if it.lead %}<div style="margin:.3em 0">{{ it.lead | code | safe }}</div>'
    "{% endif %}"
    '{% if it.rows %}<ul style="list-style:none;margin:.4em 0;padding:0">'
    "{% for row in it.rows %}"
    '<li><span role="img" aria-label="{{ said.get(row.mark, row.mark) }}">'
    "{{ row.mark }}</span> {{ row.text | code | safe }}"
    "{% for label, text in row.details %}"
    '<div style="display:grid;grid-template-columns:6em 1fr;margin-left:1.6em">'
    "<span>{{ label }}</span><span>{{ text | code | safe }}</span></div>"
    "{% endfor %}</li>{% endfor %}</ul>{% endif %}"
    "{% if it.closing %}<div>{{ it.closing | code | safe }}</div>{% endif %}"
    "{% if it.answer %}<details><summary>One answer, and why it is right</summary>"
    '<pre style="overflow-x:auto"><code>{{ it.answer.code }}</code></pre>'
    "<div>{{ it.answer.why | code | safe }}</div></details>{% endif %}</section>"
)
BADGE = (
    '<span role="status" style="border:1px solid {{ accent }};border-left-width:6px;'
    'border-radius:4px;padding:.1em .6em"><code>{{ it.name }}</code> · '
    "<strong>{{ it.state }}</strong> · {{ it.note }}</span>"
)


@dataclass(frozen=True)
class Row:
    """One line: a mark, a text, and (label, text) details below it."""

    mark: str
    text: str
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Card:
    """A heading, a state, a summary, what it looks like, rows, and what to do next.

    diagnosis: why it is wrong, as far as that can be told: a sentence, or ""
    answer: one that is right, folded away on a page and left out of the text
    """

    heading: str
    state: str
    summary: str
    rows: tuple[Row, ...] = ()
    closing: str = ""
    lead: str = ""
    diagnosis: str = ""
    answer: Answer | None = None

    def __repr__(self) -> str:
        head = f"{self.heading} · {self.state}" if self.state else self.heading
        lines = [head + self.summary.rjust(WIDTH - len(head)) if self.summary else head]
        lines += _wrap(" ", self.lead) if self.lead else []
        for row in self.rows:
            lines += _wrap(f" {row.mark} ", row.text)
            width = max((len(label) for label, _ in row.details), default=0)
            for label, text in row.details:
                lines += _wrap(f"     {label.ljust(min(width, 6))}  ", text)
        if self.closing:
            lines += _wrap(" ", self.closing)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        accent = ACCENT.get(self.state, "#4a78b5")
        return _template(CARD).render(it=self, said=SAID, accent=accent)


@dataclass(frozen=True)
class Badge:
    """Which function a picture is drawn with."""

    name: str
    state: str
    note: str

    def __repr__(self) -> str:
        return f"{self.name} · {self.state} · {self.note}"

    def _repr_html_(self) -> str:
        accent = ACCENT.get(self.state, "#b5452c")
        return _template(BADGE).render(it=self, accent=accent)


def verdict_card(verdict: Verdict) -> Card:
    """The card of `check`."""
    name, titles = verdict.exercise.name, verdict.titles
    if verdict.state == NOT_ATTEMPTED:
        return Card(
            name,
            verdict.state,
            f"{len(titles)} properties to hold",
            tuple(Row("·", title) for title in titles),
            f"Replace `raise NotImplementedError`, run the cell, then `check({name})`. "
            f"Stuck? `hint({name})`",
        )
    rows = [Row("✓", title) for title in titles[: verdict.holding]]
    lead, closing = "", f"All {len(titles)} public checks passed."
    if verdict.finding:
        label = verdict.finding.label
        lead = f"{label}: {verdict.diagnosis}" if verdict.diagnosis else ""
        failing = titles[verdict.holding]
        rows.append(Row("✗", failing, tuple(verdict.finding.lines())))
        waiting = len(titles) - verdict.holding - 1
        if waiting:
            count = COUNTS[waiting] if waiting < len(COUNTS) else waiting
            wait = "property waits" if waiting == 1 else "properties wait"
            rows.append(Row("·", f"{count} more {wait} for this one"))
        closing = f"next: `hint({name})`"
    return Card(
        name,
        verdict.state,
        f"{verdict.holding} of {len(titles)} properties hold",
        tuple(rows),
        closing,
        lead,
        verdict.diagnosis,
        answer(name) if verdict.state == PASSED else None,
    )


def hint_card(name: str, number: int, hints: tuple[str, ...]) -> Card:
    """The card of `hint`: all hints up to `number`."""
    rows = tuple(Row(f"{i + 1}", hints[i]) for i in range(number))
    left = len(hints) - number
    closing = "That was the last one." if not left else ""
    last = None if left else answer(name)
    return Card(name, "", f"hint {number} of {len(hints)}", rows, closing, answer=last)


def progress_card(
    states: dict[str, tuple[str, int]], exercises: list[Exercise]
) -> Card:
    """The card of `progress`: a row for each chapter, and below it its exercises.

    states: by exercise, its best state and the number of attempts
    """
    marks = {PASSED: "✓", NOT_YET: "✗", NOT_ATTEMPTED: "·"}
    rows, following, total = [], "", 0
    for chapter, some in groupby(exercises, lambda one: one.number.split(".")[0]):
        details, done = [], 0
        for exercise in some:
            state, attempts = states.get(exercise.name, (NOT_ATTEMPTED, 0))
            tries = f", {attempts} attempt{'s' * (attempts > 1)}" if attempts else ""
            label = f"{marks[state]} {exercise.number}"
            details.append((label, f"{exercise.title}: {state}{tries}"))
            done += state == PASSED
            if state != PASSED and not following:
                page = f"{chapter.zfill(2)}_exercises.ipynb"
                following = f"next: {exercise.number} {exercise.title}, in `{page}`"
        mark = marks[PASSED if done == len(details) else NOT_ATTEMPTED]
        text = f"Chapter {chapter.zfill(2)}: {done} of {len(details)} passed"
        rows.append(Row(mark, text, tuple(details)))
        total += done
    summary = f"{total} of {len(exercises)} passed"
    return Card("Your exercises", "", summary, tuple(rows), following)


def _wrap(prefix: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=prefix,
        subsequent_indent=" " * len(prefix),
        break_long_words=False,
    )


@cache
def _template(source: str):
    from jinja2 import Environment  # when a card is first shown, not when it is made

    environment = Environment(autoescape=True)
    environment.filters["code"] = _code
    return environment.from_string(source)


def _code(text: str) -> str:
    """Escape for HTML; `backticks` become code, **asterisks** bold."""
    parts = html.escape(text).split("`")
    text = "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
