"""The files of a report: for gradebooks and programs, each learner, the class."""

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from course_lib.exercises import EXERCISES
from course_tools.grading import pages
from course_tools.grading.batch import Terms
from course_tools.grading.marking import STATUSES, Mark, Marked
from course_tools.grading.sandbox.isolation import Isolation
from course_tools.grading.statistics import figures

__all__ = ["write"]

COLUMNS = ("submission", "learner", "exercise", "status")
COLUMNS += ("score", "max_score", "message")


def write(
    out: Path, marked: Sequence[Marked], terms: Terms, isolation: Isolation
) -> None:
    """Write everything; each file appears whole or not at all.

    out: a folder that is there; marked: in the order of the gradebook's rows
    """
    slugs = _slugs([one.submission for one in marked])
    found = figures(marked)
    made = _made(terms, isolation)
    for one in marked:
        slug = slugs[one.submission]
        _write(out / "feedback" / f"{slug}.html", pages.feedback(one))
        _write(out / "gradescope" / slug / "results.json", _json(_gradescope(one)))
    _write(out / "report.html", pages.class_report(marked, found, made, slugs))
    told = {
        "made": made,
        "statuses": STATUSES,
        "exercises": found,
        "submissions": [asdict(one) for one in marked],
    }
    _write(out / "report.json", _json(told))
    _write(out / "grades.csv", _csv(marked))


def _csv(marked: Sequence[Marked]) -> str:
    text = io.StringIO()
    book = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    book.writeheader()
    for one in marked:
        for mark in one.marks:
            row = {"learner": one.learner, **vars(one), **vars(mark)}
            book.writerow({column: _cell(row[column]) for column in COLUMNS})
    return text.getvalue()


def _cell(value: str | int) -> str:
    """A text that no spreadsheet takes for a formula."""
    text = str(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text


def _gradescope(one: Marked) -> dict:
    """Gradescope's results.json: a test for each exercise."""
    return {
        "score": sum(m.score for m in one.marks),
        "execution_time": round(sum(m.seconds for m in one.marks), 3),
        "stdout_visibility": "hidden",
        "tests": [_test(mark, one.submission) for mark in one.marks],
    }


def _test(mark: Mark, submission: str) -> dict:
    exercise = EXERCISES.get(mark.exercise)
    return {
        "name": exercise.title if exercise else "submission",
        "number": exercise.number if exercise else "",
        "score": mark.score,
        "max_score": mark.max_score,
        "status": "passed" if mark.status == "passed" else "failed",
        "output": repr(pages.card(mark, submission)),
        "output_format": "text",
        "visibility": "visible",
    }


def _made(terms: Terms, isolation: Isolation) -> dict:
    """How the report came to be: all that another run would need."""
    return {
        "course": version("dpo-from-first-principles"),
        "torch": version("torch"),
        "isolation": isolation.level,
        "by": isolation.means,
        "enforced": isolation.enforced,
        "not_enforced": isolation.missing,
        "timeout": terms.timeout,
        "memory": terms.memory,
        "seed": terms.seed,
        "seed_hash": hashlib.sha256(terms.seed.encode()).hexdigest()[:12],
    }


def _json(told: dict) -> str:
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def _slugs(names: Sequence[str]) -> dict[str, str]:
    """A file's name for each submission, safe on every system, and no two alike."""
    slugs, taken = {}, set()
    for name in names:
        slug = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._")[:80]
        if slug.lower() in taken or slug != name or not slug:
            slug += "_" + hashlib.sha256(name.encode()).hexdigest()[:8]
        slugs[name] = slug
        taken.add(slug.lower())
    return slugs


def _write(path: Path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    os.replace(draft, path)
