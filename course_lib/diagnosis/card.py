"""What is shown of a verdict: a run card on a page, and the same words as text."""

import textwrap
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_lib.diagnosis.verdict import Verdict

__all__ = ["as_html", "as_page", "as_text"]

WIDTH = 88
MARKS = {"healthy": "✓", "healthy_start": "✓", "suspicious": "?", "sick": "✗"}
ACCENT = {"healthy": "#1a8f5a", "healthy_start": "#1a8f5a", "sick": "#b5452c"}
CARD = (
    '<section aria-label="Run card: {{ status }}" style="border:1px solid {{ accent }};'
    "border-left-width:6px;border-radius:4px;padding:.5em .9em;max-width:46em;"
    'color:inherit;background:transparent;line-height:1.45">'
    "<strong>{{ title }} · {{ status }}</strong>"
    '<div style="opacity:.8">{{ about }}</div>'
    '<ul style="list-style:none;margin:.5em 0;padding:0">'
    "{% for mark, name, says, rows in findings %}"
    '<li style="margin:.35em 0">{{ mark }} <code>{{ name }}</code>'
    "{% if rows %} <span>({{ rows }})</span>{% endif %}"
    "<div>{{ says }}</div></li>{% endfor %}</ul>"
    "{% if it.experiment %}<div><strong>What would settle it:</strong> "
    "{{ it.experiment }}</div>{% endif %}"
    "{% if it.missing %}<div><strong>Not in this log:</strong> "
    "{{ it.missing | join('; ') }}.</div>{% endif %}"
    "{% for note in it.case.log.notes %}<div>{{ note }}</div>{% endfor %}"
    "{{ picture | safe }}</section>"
)
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width">'
    "<title>Run card: {{ status }}</title>"
    "<style>:root{color-scheme:light dark}@media(prefers-color-scheme:dark){"
    ".course-picture{filter:invert(0.89) hue-rotate(180deg)}}</style>"
    '<body style="font-family:system-ui,sans-serif;margin:2em">{{ card | safe }}'
    "</body></html>"
)


def as_text(verdict: "Verdict") -> str:
    """The card for a terminal."""
    lines = [f"Run card · {_status(verdict)}", _about(verdict), ""]
    for mark, name, says, rows in _findings(verdict):
        where = f" ({rows})" if rows else ""
        lines.append(f" {mark} {name}{where}")
        lines += _wrap(says, "     ")
    if verdict.experiment:
        lines += ["", *_wrap(f"What would settle it: {verdict.experiment}")]
    if verdict.missing:
        lines += _wrap(f"Not in this log: {'; '.join(verdict.missing)}.")
    for note in verdict.case.log.notes:
        lines += _wrap(note)
    return "\n".join(lines)


def as_html(verdict: "Verdict") -> str:
    """The card for a notebook, with its six panels."""
    from course_lib.diagnosis.panels import run_picture  # figures only for a page
    from course_lib.plots.style import PAGE_STYLE, WIDTH, image

    words = f"This run: {_status(verdict)} ({verdict.classes[0].replace('_', ' ')})"
    marked = tuple(row for finding in verdict.findings for row in finding.rows)
    faulty = verdict.status in ("sick", "suspicious")
    picture = run_picture(verdict.case, words, marked if faulty else ())
    width = round(WIDTH * picture.figure.get_figwidth())
    shown = (
        f'{PAGE_STYLE}<div class="course-picture" style="max-width:{width}px">'
        f"{image(picture.png(), picture.alt)}</div>"
    )
    return _template(CARD).render(
        it=verdict,
        title="Run card",
        status=_status(verdict),
        about=_about(verdict),
        accent=ACCENT.get(verdict.status, "#c77700"),
        findings=_findings(verdict),
        picture=shown,
    )


def as_page(verdict: "Verdict") -> str:
    """The card as a page of its own."""
    card = as_html(verdict)
    return _template(PAGE).render(card=card, status=_status(verdict))


def _status(verdict: "Verdict") -> str:
    return verdict.status.replace("_", " ")


def _about(verdict: "Verdict") -> str:
    case = verdict.case
    train, held = len(case.train), len(case.eval)
    counted = [f"{train} training row{'s' * (train != 1)}"] if train else []
    counted += [f"{held} evaluation{'s' * (held != 1)}"] if held else []
    loss = case.loss or "sigmoid, as nothing says otherwise"
    return (
        f"{case.log.library} · {', '.join(counted)} · loss: {loss} · "
        f"β {case.beta:g} ({case.beta_from})"
    )


def _findings(verdict: "Verdict") -> list[tuple[str, str, str, str]]:
    return [
        (MARKS.get(f.status, "·"), f.name, f.says, _span(f.rows))
        for f in verdict.findings
        if f.says and (f.name in verdict.classes or f.name == "healthy")
    ]


def _span(rows: tuple[int, ...]) -> str:
    """Rows as text: single ones, or the ends of a long stretch."""
    if len(rows) < 2:
        return "".join(f"row {row}" for row in rows)
    few = ", ".join(map(str, rows)) if len(rows) <= 6 else f"{rows[0]} … {rows[-1]}"
    return f"rows {few}"


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


@cache
def _template(source: str):
    from jinja2 import Environment

    return Environment(autoescape=True).from_string(source)
