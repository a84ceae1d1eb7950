"""What a class's marks say: about each property, each misconception, each exercise."""

from collections import Counter
from collections.abc import Sequence
from statistics import StatisticsError, correlation, mean, median

from course_lib.checking.verdict import titles
from course_lib.exercises import EXERCISES
from course_tools.grading.marking import Mark, Marked

__all__ = ["figures"]

UNTOUCHED = ("not_attempted", "missing", "load_error", "refused", "grader_error")
FEWEST = 5  # learners, for a correlation to mean anything


def figures(marked: Sequence[Marked]) -> dict[str, dict]:
    """The figures of each exercise that was marked, by name, in the course's order.

    asked, attempted, passed: numbers of learners
    checks: for each property its title, how many reached it, in how many it held
    misconceptions: faults, slips and symptoms by name, and in how many answers each was
        found, most frequent first; says: what was said of each
    average: mean share of properties that hold, among those who attempted it
    discrimination: correlation of that share with the learner's share in all other
        exercises; None for fewer than five learners or where all are alike
    seconds: median time of a run
    """
    names = {m.exercise for one in marked for m in one.marks}
    return {name: _figures(name, marked) for name in EXERCISES if name in names}


def _figures(name: str, marked: Sequence[Marked]) -> dict:
    exercise = EXERCISES[name]
    marks = [m for one in marked for m in one.marks if m.exercise == name]
    tried = [m for m in marks if m.status not in UNTOUCHED]
    wrong = Counter(m.misconception for m in tried if m.misconception)
    return {
        "number": exercise.number,
        "title": exercise.title,
        "asked": len(marks),
        "attempted": len(tried),
        "passed": sum(m.status == "passed" for m in tried),
        "statuses": dict(sorted(Counter(m.status for m in marks).items())),
        "checks": [
            {
                "title": title,
                "reached": sum(m.score >= place for m in tried),
                "held": sum(m.score > place for m in tried),
            }
            for place, title in enumerate(titles(name))
        ],
        "misconceptions": dict(wrong.most_common()),
        "says": {m.misconception: m.diagnosis for m in tried if m.misconception},
        "average": round(mean(map(_share, tried)) if tried else 0.0, 4),
        "discrimination": _discrimination(name, marked),
        "seconds": median(m.seconds for m in tried) if tried else 0.0,
    }


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
        return round(correlation(*zip(*pairs, strict=True)), 4)
    except StatisticsError:
        return None
