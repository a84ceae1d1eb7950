"""How marks become points: which attempt, what an exercise is worth, what is late."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, time
from pathlib import Path

from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError
from course_tools.grading.folder import write
from course_tools.grading.merging import TAKE
from course_tools.grading.tables import read

__all__ = ["KEPT", "Rules", "amount", "days_late", "is_date", "meant", "weights"]

KEPT = "gradebook.json"


@dataclass(frozen=True)
class Rules:
    """What a teacher decides once for a report; it stays with the report.

    take: the attempt that counts, "best" or "latest"
    worth: points for all of an exercise, by name; one that is not named is worth as
        many points as it has properties
    all_or_nothing: whether an exercise counts in full or not at all
    due: date, or date and time, in ISO form; a date alone means the end of that day
    assignment: what the total is called where a platform imports it
    """

    take: str = "best"
    worth: Mapping[str, float] = field(default_factory=dict)
    all_or_nothing: bool = False
    due: str = ""
    assignment: str = ""

    @classmethod
    def kept(cls, report: Path) -> "Rules":
        """Those of an earlier call, or the usual ones."""
        try:
            told = json.loads((report / KEPT).read_text(encoding="utf-8"))
            rules = cls(**told)
            days_late("2000-01-01", rules.due)
            if rules.take not in TAKE or not all(
                map(math.isfinite, rules.worth.values())
            ):
                raise ValueError
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, AttributeError):
            raise CourseError(
                f"{report / KEPT} cannot be read.",
                "Delete it and call gradebook with the options that you want.",
                code=2,
            ) from None
        return rules

    def keep(self, report: Path):
        """For the next call, and for a regrade."""
        write(report / KEPT, json.dumps(asdict(self), indent=1) + "\n")

    def __str__(self) -> str:
        words = [f"{self.take} attempt"]
        if self.worth:
            words.append(f"{len(self.worth)} exercises weighted")
        words += ["all or nothing"] * self.all_or_nothing
        words += [f"due {self.due}"] * bool(self.due)
        return ", ".join(words)


def weights(path: Path) -> dict[str, float]:
    """What exercises are worth, from a CSV with the columns `exercise` and `weight`.

    A chapter's line stands for one for each of its exercises; of two lines for one
    exercise the later holds.
    raises: CourseError that names the line
    """
    try:
        rows = read(path)
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error}", code=2) from None
    found: dict[str, float] = {}
    for line, row in rows:
        names, worth = meant(row.get("exercise", "")), amount(row.get("weight", ""))
        if not names or worth is None or worth < 0:
            raise CourseError(
                f"{path}, line {line}: no exercise with a weight of 0 or more.",
                "It wants the columns exercise and weight, as in 4.1,10 or 04,5.",
                code=2,
            )
        found |= dict.fromkeys(names, worth)
    if not found:
        raise CourseError(f"{path} gives no exercise a weight.", code=2)
    return found


def meant(word: str) -> list[str]:
    """The exercises that a name, a number such as 4.1 or a chapter such as 04 means."""
    word = word.strip().partition(" ")[0]  # "4.1 dpo_loss" heads a column
    chapter = word.lstrip("0") or "0"
    return [
        name
        for name, exercise in EXERCISES.items()
        if word in (name, exercise.number)
        or (word.isdigit() and exercise.number.split(".")[0] == chapter)
    ]


def amount(word: str) -> float | None:
    """A number as people write it, with a point or a comma; None if it is none."""
    try:
        value = float(word.strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def is_date(word: str) -> bool:
    """Is it a date, or a date with a time, in ISO form?"""
    try:
        datetime.fromisoformat(word)
    except ValueError:
        return False
    return True


def days_late(handed_in: str, due: str) -> int | None:
    """Days begun after the time that was due; None if one of the two is not known.

    >>> days_late("2026-11-03T09:00", due="2026-11-01")
    2
    """
    if not handed_in or not due:
        return None
    end = datetime.fromisoformat(due)
    if len(due) == len("2026-11-01"):
        end = datetime.combine(end, time.max)
    try:
        came = datetime.fromisoformat(handed_in)
    except ValueError:
        return None
    if came.tzinfo is None or end.tzinfo is None:
        came, end = came.replace(tzinfo=None), end.replace(tzinfo=None)
    return max(0, math.ceil((came - end).total_seconds() / 86400))
