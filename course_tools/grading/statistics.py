"""What a class's marks say: about each property, each misconception, each exercise."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import StatisticsError, correlation, mean, median

from course_lib.exercises import EXERCISES
from course_tools.grading.marking import Mark, Marked

__all__ = ["ExerciseFigures", "figures"]

UNTOUCHED = ("not_attempted", "missing", "load_error", "refused", "grader_error")
FEWEST = 5  # learners, for a correlation to mean anything


@dataclass(frozen=True)
class ExerciseFigures:
    """One exercise in a class.

    asked, attempted, passed: numbers of learners
    checks: for each property its title, how many reached it, in how many it held
    misconceptions: for each its name, what it says and how many learners have it, the
        most frequent first
    average: mean share of properties that hold, among those who attempted it
    discrimination: correlation of that share with the learner's share in all other
        exercises; None for fewer than five learners or where all are alike
    seconds: median time of a run
    """

    name: str
    number: str
    title: str
    asked: int
    attempted: int
    passed: int
    statuses: dict[str, int]
    checks: list[dict]
    misconceptions: list[dict]
    average: float
    discrimination: float | None
    seconds: float


def figures(marked: Sequence[Marked]) -> list[ExerciseFigures]:
    """The figures of each exercise that was marked, in the course's order."""
    names = {m.exercise for one in marked for m in one.marks}
    return [_figures(name, marked) for name in EXERCISES if name in names]


def _figures(name: str, marked: Sequence[Marked]) -> ExerciseFigures:
    exercise = EXERCISES[name]
    marks = [m for one in marked for m in one.marks if m.exercise == name]
    tried = [m for m in marks if m.status not in UNTOUCHED]
    said = {wrong.name: wrong.says for wrong in exercise.misconceptions}
    seen = Counter(m.misconception for m in tried if m.misconception in said)
    return ExerciseFigures(
        name,
        exercise.number,
        exercise.title,
        asked=len(marks),
        attempted=len(tried),
        passed=sum(m.status == "passed" for m in tried),
        statuses=dict(sorted(Counter(m.status for m in marks).items())),
        checks=[
            {
                "title": check.title,
                "reached": sum(m.score >= place for m in tried),
                "held": sum(m.score > place for m in tried),
            }
            for place, check in enumerate(exercise.checks)
        ],
        misconceptions=[
            {"name": name, "says": said[name], "learners": count}
            for name, count in seen.most_common()
        ],
        average=mean(map(_share, tried)) if tried else 0.0,
        discrimination=_discrimination(name, marked),
        seconds=median(m.seconds for m in tried) if tried else 0.0,
    )


def _share(mark: Mark) -> float:
    return mark.score / mark.max_score if mark.max_score else 0.0


def _discrimination(name: str, marked: Sequence[Marked]) -> float | None:
    pairs = []
    for one in marked:
        here = [_share(m) for m in one.marks if m.exercise == name]
        rest = [_share(m) for m in one.marks if m.exercise not in (name, "")]
        if here and rest:
            pairs.append((here[0], mean(rest)))
    if len(pairs) < FEWEST:
        return None
    try:
        return correlation(*zip(*pairs, strict=True))
    except StatisticsError:
        return None
