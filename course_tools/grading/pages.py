"""Two kinds of page: what a learner reads, and what the one who teaches reads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from statistics import median

from course_lib.checking.card import Card, Row, verdict_card
from course_lib.exercises import EXERCISES
from course_tools.grading.marking import STATUSES, Mark, Marked
from course_tools.grading.statistics import ExerciseFigures

__all__ = ["card", "class_report", "feedback"]

SHORT = {  # for a cell of the table, where there is no score to show
    "load_error": "file",
    "refused": "file",
    "timeout": "time",
    "memory": "memory",
    "crashed": "crash",
    "error": "error",
    "grader_error": "ours",
}
STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def card(mark: Mark, submission: str) -> Card:
    """What `check` would have shown, or what kept it from showing anything."""
    if mark.finding or mark.status in ("passed", "not_attempted"):
        shown = verdict_card(mark.verdict)
        passed = mark.status == "passed"
        return replace(shown, closing="") if passed else shown
    summary = f"{mark.score} of {mark.max_score} properties hold"
    state = mark.status.replace("_", " ")
    rows = (Row("✗", mark.message),) if mark.message else ()
    closing = "" if mark.status == "missing" else STATUSES[mark.status]
    return Card(mark.exercise or submission, state, summary, rows, closing)


def feedback(one: Marked) -> str:
    """A learner's page: the messages first, and nothing of how they were found."""
    score = sum(m.score for m in one.marks)
    most = sum(m.max_score for m in one.marks)
    passed = sum(m.status == "passed" for m in one.marks)
    parts = [
        f"<h1>{escape(one.learner)}</h1>",
        f"<p>{passed} of {_count(len(one.marks), 'exercise')} passed; {score} of "
        f"{most} properties hold. <span class=dim>{escape(one.submission)}</span></p>",
    ]
    for mark in one.marks:
        exercise = EXERCISES.get(mark.exercise)
        if exercise:
            parts.append(f"<h2>{exercise.number} {escape(exercise.title)}</h2>")
        parts.append(card(mark, one.submission)._repr_html_())
    parts.append(
        "<p class=dim>The inputs were drawn for this grading. In your notebook, "
        "<code>check(…)</code> tries your function on others of the same kind, and "
        "<code>hint(…)</code> helps on.</p>"
    )
    return _page(f"Feedback for {one.learner}", parts)


def class_report(
    marked: Sequence[Marked],
    found: Sequence[ExerciseFigures],
    made: Mapping,
    slugs: Mapping[str, str],
) -> str:
    """The class's page: what it has not understood, exercise by exercise, and who."""
    parts = [
        "<h1>Class report</h1>",
        f"<p>{_count(len(marked), 'submission')}, "
        f"{_count(len(found), 'exercise')}. <span class=dim>Marks are in <code>"
        "grades.csv</code>, everything else in <code>report.json</code>.</span></p>",
        *_headline(found),
        *_overview(found),
    ]
    for figures in found:
        parts += _exercise(figures)
    parts += _learners(marked, found, slugs)
    parts += _time(marked)
    parts += _how(made)
    return _page("Class report", parts)


def _headline(found: Sequence[ExerciseFigures]) -> list[str]:
    """Where most of those who tried got stuck, and the most frequent misconception."""
    stuck = [
        (reached - held, reached, title, f.exercise)
        for f in found
        for title, reached, held in f.checks
        if reached > held
    ]
    if not stuck:
        return []
    lost, reached, title, exercise = max(stuck, key=lambda entry: entry[0])
    told = (
        f"Most often stopped at: <strong>{escape(title)}</strong> "
        f"({exercise.number} {escape(exercise.title)}), "
        f"{lost} of the {reached} who came to it."
    )
    wrong = [(k, name, says, f) for f in found for name, says, k in f.misconceptions]
    if wrong:
        count, name, says, f = max(wrong, key=lambda entry: entry[0])
        told += (
            f" Most frequent misconception: <strong>{escape(name)}</strong> in "
            f"{f.exercise.number} ({_count(count, 'learner')}): {escape(says)}."
        )
    return ["<h2>What to talk about next</h2>", f"<p class=note>{told}</p>"]


def _overview(found: Sequence[ExerciseFigures]) -> list[str]:
    hardest = sorted(found, key=lambda f: (f.average, f.exercise.number))
    rows = [
        (
            f"{f.exercise.number} {escape(f.exercise.title)}",
            _bar(f.average),
            _n(f"{f.average:.0%}"),
            _n(f"{f.passed} of {f.attempted}"),
            _n(f"{f.asked - f.attempted}"),
            _n("—" if f.discrimination is None else f"{f.discrimination:+.2f}"),
            _n(f"{f.seconds:.2f} s"),
        )
        for f in hardest
    ]
    heads = ("exercise", "", "hold", "passed", "not tried", "discrimination", "time")
    return [
        "<h2>Exercises, hardest first</h2>",
        _table(
            heads,
            rows,
            "hold: mean share of properties among those who tried; discrimination: "
            "correlation with the share in all other exercises; time: median of a run",
        ),
    ]


def _exercise(f: ExerciseFigures) -> list[str]:
    parts = [f"<h2>{f.exercise.number} {escape(f.exercise.title)}</h2>"]
    others = {s: n for s, n in f.statuses.items() if s not in ("passed", "failed")}
    told = [f"{n} {s.replace('_', ' ')}" for s, n in others.items()]
    parts.append(
        f"<p>{f.passed} passed, {f.statuses.get('failed', 0)} failed"
        f"{''.join(', ' + text for text in told)}.</p>"
    )
    rows = [
        (
            escape(title),
            _bar(held / reached if reached else 0),
            _n(f"{held} of {reached}"),
        )
        for title, reached, held in f.checks
    ]
    caption = (
        "properties, in their order: in how many it holds, of those who came to it"
    )
    parts.append(_table(("property", "", "holds"), rows, caption))
    if f.misconceptions:
        most = max(count for *_, count in f.misconceptions)
        rows = [
            (
                f"<strong>{escape(name)}</strong>: {escape(says)}",
                _bar(count / most),
                _n(str(count)),
            )
            for name, says, count in f.misconceptions
        ]
        parts.append("<h3>Misconceptions, by name</h3>")
        parts.append(_table(("what the answers equal", "", "learners"), rows))
    return parts


def _learners(
    marked: Sequence[Marked],
    found: Sequence[ExerciseFigures],
    slugs: Mapping[str, str],
) -> list[str]:
    names = [f.exercise.name for f in found]
    rows = []
    for one in marked:
        by_name = {m.exercise: m for m in one.marks}
        link = (
            f'<a href="feedback/{slugs[one.submission]}.html">{escape(one.learner)}</a>'
        )
        cells = [_mark_cell(by_name.get(name)) for name in names]
        total = _n(str(sum(m.score for m in one.marks)))
        rows.append((link, *cells, total))
    heads = ("learner", *(f.exercise.number for f in found), "sum")
    caption = (
        "properties that hold, ✓ for all; a dot: not tried; a word: why none holds"
    )
    table = _table(heads, rows, caption)
    return ["<h2>Learners</h2>", f"<div class=wide>{table}</div>"]


def _mark_cell(mark: Mark | None) -> tuple[str, str]:
    if mark is None:
        return "mark dim", ""
    said = f'title="{escape(mark.status)}"'
    if mark.status in ("not_attempted", "missing"):
        return "mark dim", f"<span {said}>·</span>"
    kind = "passed" if mark.status == "passed" else "zero" if not mark.score else ""
    text = "✓" if mark.status == "passed" else mark.score or SHORT.get(mark.status, 0)
    return f"mark {kind}", f"<span {said}>{text}</span>"


def _time(marked: Sequence[Marked]) -> list[str]:
    seconds = [m.seconds for one in marked for m in one.marks if m.seconds > 0]
    if not seconds:
        return []
    edges = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, float("inf"))
    counts = Counter(next(edge for edge in edges if s <= edge) for s in seconds)
    most = max(counts.values())
    rows = [
        (
            f"up to {edge:g} s" if edge < float("inf") else "more than 10 s",
            _bar(counts[edge] / most),
            _n(str(counts[edge])),
        )
        for edge in edges
        if edge <= max(counts)
    ]
    caption = (
        f"runs of one exercise of one submission: median {median(seconds):.2f} s, "
        f"longest {max(seconds):.1f} s, together {sum(seconds):.0f} s"
    )
    return ["<h2>Time</h2>", _table(("a run took", "", "runs"), rows, caption)]


def _how(made: Mapping) -> list[str]:
    on = "".join(f"<li>{escape(text)}" for text in made["enforced"])
    off = "".join(f"<li>{escape(text)}" for text in made["not_enforced"])
    missing = f"<p>Not enforced on this computer:</p><ul>{off}</ul>" if off else ""
    return [
        "<h2>How it was graded</h2>",
        f"<p>Isolation: <strong>{escape(made['isolation'])}</strong> "
        f"({escape(made['by'])}).</p><ul>{on}</ul>{missing}",
        f"<p class=dim>Limits: {made['timeout']:g} s and {made['memory']} MiB for one "
        f"exercise. Course {escape(made['course'])}, torch {escape(made['torch'])}. "
        f"The seed's hash is {made['seed_hash']}; the seed is in report.json.</p>",
    ]


# ── small parts ───────────────────────────────────────────────────────────────────────

Cell = str | tuple[str, str]  # HTML, or a class and HTML


def _table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], caption="") -> str:
    first = rows[0] if rows else [""] * len(heads)
    kinds = [cell[0].split()[0] if isinstance(cell, tuple) else "" for cell in first]
    head = "".join(
        f'<th scope=col class="{kind}">{escape(text)}</th>'
        for text, kind in zip(heads, kinds, strict=True)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{said}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"<td>{cell}</td>"
    return f'<td class="{cell[0]}">{cell[1]}</td>'


def _bar(share: float) -> Cell:
    width = f"{100 * share:.1f}%"
    return "bar", f'<div aria-hidden=true><span style="width:{width}"></span></div>'


def _n(text: str) -> Cell:
    return "n", text


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _page(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )
