"""Two kinds of page: what a learner reads, and what the teacher reads.

What they say is in `templates/`; text of a submission is escaped there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from jinja2 import Environment, PackageLoader

from course_lib.checking.card import Card, Row, verdict_card
from course_lib.checking.verdict import titles
from course_lib.exercises import EXERCISES
from course_tools.grading.marking import STATUSES, Mark
from course_tools.grading.points import Standing
from course_tools.grading.tables import number

__all__ = ["card", "class_report", "feedback", "progress"]

SHORT = {  # for a cell of the table, where there is no score to show
    "load_error": "file",
    "refused": "file",
    "timeout": "time",
    "memory": "memory",
    "crashed": "crash",
    "error": "error",
    "grader_error": "ours",
}
TIMES = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, float("inf"))


def card(mark: Mark, submission: str) -> Card:
    """What `check` would have shown, or what kept it from showing anything."""
    # a report of an earlier course may count other properties than there are now
    same = mark.exercise and mark.max_score == len(titles(mark.exercise))
    if same and (mark.finding or mark.status in ("passed", "not_attempted")):
        shown = verdict_card(mark.verdict)
        return replace(shown, closing="") if mark.status == "passed" else shown
    summary = f"{mark.holding} of {mark.max_score} properties hold"
    state = mark.status.replace("_", " ")
    sign = "✓" if mark.status == "passed" else "✗"
    rows = (Row(sign, mark.message),) if mark.message else ()
    closing = "" if mark.status == "missing" else STATUSES[mark.status]
    return Card(mark.exercise or submission, state, summary, rows, closing)


def feedback(one: Standing, worth: Mapping[str, float]) -> str:
    """A learner's page: the messages first, and nothing of how they were found.

    worth: the most that each exercise can earn
    """
    return _page("feedback.html", one=one, worth=worth, card=card)


def class_report(
    lines: Sequence[Standing],
    figures: Mapping[str, dict],
    made: Mapping,
    files: Mapping[tuple[str, str], str],
) -> str:
    """The class's page: what it has not understood, exercise by exercise, and who.

    files: the name of each learner's page, by who they are
    """
    stops = [(f, check) for f in figures.values() for check in f["checks"]]
    submissions = [one for line in lines for one in line.learner.submissions]
    seconds = [m.seconds for one in submissions for m in one.marks if m.seconds > 0]
    names = Counter(line.learner.name for line in lines)
    return _page(
        "report.html",
        lines=lines,
        submissions=submissions,
        shared={name for name, count in names.items() if count > 1},
        figures=figures,
        hardest=sorted(
            figures.values(),
            key=lambda f: (f["average"] is None, f["average"], f["number"]),
        ),
        made=made,
        files=files,
        short=SHORT,
        stop=max(stops, key=lambda s: s[1]["reached"] - s[1]["held"], default=None),
        wrong=[
            (f, name, count)
            for f in figures.values()
            for name, count in f["misconceptions"].items()
        ],
        seconds=seconds,
        times=Counter(next(t for t in TIMES if s <= t) for s in seconds),
        edges=TIMES,
    )


def _count_of(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def progress(names: Sequence[str], rows: Sequence, means: Sequence) -> str:
    """Several reports side by side.

    names: of the reports; rows: of `progress.Row`; means: the class's share in each
    """
    return _page("progress.html", names=names, rows=rows, means=means)


def _page(template: str, **data) -> str:
    return _templates.get_template(template).render(data, exercises=EXERCISES)


_templates = Environment(
    loader=PackageLoader(__package__), autoescape=True, trim_blocks=True
)
_templates.filters.update(count_of=_count_of, median=median, number=number)
