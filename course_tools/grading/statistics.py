"""What a class's marks say: about each property, each misconception, each exercise."""

from collections import Counter
from collections.abc import Sequence
from statistics import StatisticsError, correlation, mean, median

from course_lib.checking.verdict import titles
from course_lib.exercises import EXERCISES
from course_tools.grading.marking import Mark

__all__ = ["UNTOUCHED", "figures"]

# statuses of what was not tried; the later ones say more of why
UNTOUCHED = ("missing", "refused", "not_attempted", "load_error", "grader_error")
FEWEST = 5  # learners, for a correlation to mean anything


def figures(learners: Sequence[Sequence[Mark]]) -> dict[str, dict]:
    """The figures of each exercise that was marked, by name, in the course's order.

    learners: for each, the marks that count, one an exercise
    asked, attempted, passed: numbers of learners
    checks: for each property its title, how many reached it, in how many it held
    misconceptions: faults, slips and symptoms by name, and in how many answers each was
        found, most frequent first; says: what was said of each
    average: mean share of the points, among those who attempted it; None if nobody did
    discrimination: among those who attempted it, correlation of that share with their
        mean share in the other exercises that they attempted; None for fewer than five
        learners or where all are alike
    seconds: median time of a run
    """
    names = {mark.exercise for marks in learners for mark in marks}
    return {name: _figures(name, learners) for name in EXERCISES if name in names}


def _figures(name: str, learners: Sequence[Sequence[Mark]]) -> dict:
    exercise = EXERCISES[name]
    marks = [m for one in learners for m in one if m.exercise == name]
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
                "reached": sum(m.holding >= place for m in tried),
                "held": sum(m.holding > place for m in tried),
            }
            for place, title in enumerate(titles(name))
        ],
        "misconceptions": dict(wrong.most_common()),
        "says": {m.misconception: m.diagnosis for m in tried if m.misconception},
        "average": round(mean(map(_share, tried)), 4) if tried else None,
        "discrimination": _discrimination(name, learners),
        "seconds": median(m.seconds for m in tried) if tried else 0.0,
    }


def _share(mark: Mark) -> float:
    return mark.score / mark.max_score if mark.max_score else 0.0


def _discrimination(name: str, learners: Sequence[Sequence[Mark]]) -> float | None:
    pairs = []
    for marks in learners:
        shares = {m.exercise: _share(m) for m in marks if m.status not in UNTOUCHED}
        here = shares.pop(name, None)
        if here is not None and shares:
            pairs.append((here, mean(shares.values())))
    if len(pairs) < FEWEST:
        return None
    try:
        return round(correlation(*zip(*pairs, strict=True)), 4)
    except StatisticsError:
        return None
