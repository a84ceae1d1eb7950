"""An earlier report, read back from its report.json."""

import json
from pathlib import Path

from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError
from course_tools.grading.marking import Marked

__all__ = ["stored"]


def stored(report: Path) -> tuple[list[Marked], dict]:
    """The marks of a report, and how they were made.

    raises: CourseError if there is no report, or it is none of this course's
    """
    path = report / "report.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return [_marked(one) for one in told["submissions"]], dict(told["made"])
    except FileNotFoundError:
        raise CourseError(
            f"There is no report in {report}.",
            "Give the folder that grade has written: it holds report.json.",
            code=2,
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        sentence = f"{path} cannot be read as a report of this course."
        raise CourseError(sentence, code=2) from None


def _marked(told: dict) -> Marked:
    """Without marks for exercises that there are no longer; `holding` is newer."""
    marks = [
        {"holding": mark["score"], **mark}
        for mark in told["marks"]
        if mark["exercise"] in EXERCISES or not mark["exercise"]
    ]
    return Marked.from_json({**told, "marks": marks})
