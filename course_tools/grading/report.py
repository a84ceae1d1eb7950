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

COLUMNS = (
    "submission",
    "learner",
    "exercise",
    "status",
    "score",
    "max_score",
    "message",
)


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
        told = json.dumps(_gradescope(one), indent=1, ensure_ascii=False)
        _write(out / "gradescope" / slug / "results.json", told + "\n")
    _write(out / "report.html", pages.class_report(marked, found, made, slugs))
    _write(out / "report.json", _json(marked, found, made))
    _write(out / "grades.csv", _csv(marked))


def _csv(marked: Sequence[Marked]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for one in marked:
        for m in one.marks:
            told = (m.exercise, m.status, m.score, m.max_score, _cell(m.message))
            rows.writerow((_cell(one.submission), _cell(one.learner), *told))
    return text.getvalue()


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text


def _gradescope(one: Marked) -> dict:
    """Gradescope's results.json: a test for each exercise."""
    return {
        "score": sum(m.score for m in one.marks),
        "execution_time": round(sum(m.seconds for m in one.marks), 3),
        "stdout_visibility": "hidden",
        "tests": [
            {
                "name": _title(m),
                "number": EXERCISES[m.exercise].number if m.exercise else "",
                "score": m.score,
                "max_score": m.max_score,
                "status": "passed" if m.status == "passed" else "failed",
                "output": pages.card(m, one.submission).__repr__(),
                "output_format": "text",
                "visibility": "visible",
            }
            for m in one.marks
        ],
    }


def _title(mark: Mark) -> str:
    return EXERCISES[mark.exercise].title if mark.exercise else "submission"


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


def _json(marked: Sequence[Marked], found: Sequence, made: dict) -> str:
    exercises = {
        f.exercise.name: {
            "number": f.exercise.number,
            "title": f.exercise.title,
            "asked": f.asked,
            "attempted": f.attempted,
            "passed": f.passed,
            "statuses": f.statuses,
            "checks": [
                {"title": title, "reached": reached, "held": held}
                for title, reached, held in f.checks
            ],
            "misconceptions": {name: count for name, _, count in f.misconceptions},
            "average": round(f.average, 4),
            "discrimination": f.discrimination and round(f.discrimination, 4),
            "seconds": f.seconds,
        }
        for f in found
    }
    told = {
        "made": made,
        "statuses": STATUSES,
        "exercises": exercises,
        "submissions": [asdict(one) for one in marked],
    }
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
