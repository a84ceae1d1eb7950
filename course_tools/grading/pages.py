"""Two kinds of page: what a learner reads, and what the one who teaches reads.

What they say is in `templates/`; text of a submission is escaped there.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from statistics import median

from jinja2 import Environment, PackageLoader

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


def card(mark: Mark, submission: str) -> Card:
    """What `check` would have shown, or what kept it from showing anything."""
    if mark.finding or mark.status in ("passed", "not_attempted"):
        shown = verdict_card(mark.verdict)
        return replace(shown, closing="") if mark.status == "passed" else shown
    summary = f"{mark.score} of {mark.max_score} properties hold"
    state = mark.status.replace("_", " ")
    rows = (Row("✗", mark.message),) if mark.message else ()
    closing = "" if mark.status == "missing" else STATUSES[mark.status]
    return Card(mark.exercise or submission, state, summary, rows, closing)


def feedback(one: Marked) -> str:
    """A learner's page: the messages first, and nothing of how they were found."""
    return _page("feedback.html", one=one, card=card)


def class_report(
    marked: Sequence[Marked],
    found: Sequence[ExerciseFigures],
    made: Mapping,
    slugs: Mapping[str, str],
) -> str:
    """The class's page: what it has not understood, exercise by exercise, and who."""
    stuck = max(((c, f) for f in found for c in f.checks), key=_lost, default=None)
    wrong = [(m, f) for f in found for m in f.misconceptions]
    seconds = [m.seconds for one in marked for m in one.marks if m.seconds > 0]
    return _page(
        "report.html",
        marked=marked,
        found=found,
        made=made,
        slugs=slugs,
        stuck=stuck if stuck and _lost(stuck) else None,
        frequent=max(wrong, key=lambda pair: pair[0]["learners"], default=None),
        short=SHORT,
        seconds=seconds,
        times=_times(seconds),
    )


def _lost(place: tuple[dict, ExerciseFigures]) -> int:
    """How many of those who came to a property did not get past it."""
    return place[0]["reached"] - place[0]["held"]


def _times(seconds: Sequence[float]) -> list[tuple[str, int]]:
    """How many runs took how long."""
    edges = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, float("inf"))
    counts = Counter(next(edge for edge in edges if s <= edge) for s in seconds)
    return [
        (f"up to {edge:g} s" if edge < float("inf") else "more than 10 s", counts[edge])
        for edge in edges
        if edge <= max(counts, default=0)
    ]


def _count_of(things: Collection | int, what: str) -> str:
    number = things if isinstance(things, int) else len(things)
    return f"{number} {what}{'' if number == 1 else 's'}"


def _page(template: str, **data) -> str:
    return _templates.get_template(template).render(data, exercises=EXERCISES)


_templates = Environment(
    loader=PackageLoader(__package__),
    autoescape=True,
    trim_blocks=True,
    keep_trailing_newline=True,
)
_templates.filters.update(count_of=_count_of, median=median)
