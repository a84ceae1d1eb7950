"""The files of a report: for gradebooks and programs, each learner, the class.

What a program reads of it, `stored` reads back.
"""

import csv
import hashlib
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError
from course_tools.grading import pages, similarity
from course_tools.grading.batch import Terms
from course_tools.grading.comments import prepare
from course_tools.grading.folder import write as put
from course_tools.grading.forms import FORMS, forms
from course_tools.grading.marking import STATUSES, Mark, Marked
from course_tools.grading.merging import by_learner
from course_tools.grading.parcels import PARCELS, parcels
from course_tools.grading.points import Book, book
from course_tools.grading.rules import Rules
from course_tools.grading.sandbox.isolation import Isolation
from course_tools.grading.statistics import figures
from course_tools.grading.tables import cell

__all__ = ["renew", "stored", "write"]

COLUMNS = ("submission", "learner", "exercise", "status")
COLUMNS += ("score", "max_score", "message")


def write(
    out: Path,
    marked: Sequence[Marked],
    terms: Terms,
    isolation: Isolation,
    groups: Sequence[similarity.Group] = (),
) -> None:
    """Write everything; each file appears whole or not at all.

    out: a folder that is there; its manual.csv and the gradebook's rules are heeded
    marked: in the order of the rows of grades.csv; groups: of learners who are alike
    """
    made = {**_made(terms, isolation), "alike": similarity.section(groups)}
    similarity.write(out / "similarity.csv", groups)
    folders = _slugs([one.submission for one in marked])
    for one in marked:
        results = out / "gradescope" / folders[one.submission] / "results.json"
        put(results, _json(_gradescope(one)))
    told = {
        "made": made,
        "statuses": STATUSES,
        "exercises": figures([one.marks for one in by_learner(marked)]),
        "submissions": [asdict(one) for one in marked],
    }
    put(out / "report.json", _json(told))
    put(out / "grades.csv", _csv(marked))
    for sentence in renew(out, marked, made, Rules.kept(out)).unclear:
        print(sentence, file=sys.stderr)


def renew(out: Path, marked: Sequence[Marked], made: Mapping, rules: Rules) -> Book:
    """Write what depends on the gradebook's rules and on manual.csv.

    That is the gradebook in all its forms, the learners' pages and the class's, and the
    zips of feedback; marks, and what programs read, stay as they are.
    made: how the marks came to be, as in report.json
    """
    prepare(out)
    found = book(out, marked, rules)
    learners = [one.learner for one in found.lines]
    labels = {one.who: "\0".join(filter(None, one.who)) for one in learners}
    names = _slugs(list(labels.values()))
    files = {who: f"{names[label]}.html" for who, label in labels.items()}
    written = {
        one.learner.who: (files[one.learner.who], pages.feedback(one, found.worth))
        for one in found.lines
    }
    for file, page in written.values():
        put(out / "feedback" / file, page)
    whole = pages.class_report(
        found.lines, figures([one.marks for one in learners]), made, files
    )
    put(out / "report.html", whole)
    derived = {
        **parcels(found.lines, written),
        **forms(found, {who: f"feedback/{file}" for who, file in files.items()}),
    }
    for file, content in derived.items():
        put(out / file, content)
    for file in {*FORMS, *PARCELS} - {*derived}:  # of an earlier state of the report
        (out / file).unlink(missing_ok=True)
    return found


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


def _slugs(names: Sequence[str]) -> dict[str, str]:
    """A file's name for each of these, safe on every system, and no two alike."""
    found, taken = {}, set()
    for name in names:
        slug = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._")[:80]
        if slug.lower() in taken or slug != name or not slug:
            slug += "_" + hashlib.sha256(name.encode()).hexdigest()[:8]
        found[name] = slug
        taken.add(slug.lower())
    return found


def _csv(marked: Sequence[Marked]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for one in marked:
        for mark in one.marks:
            row = {**vars(one.upload), **vars(one), **vars(mark)}
            rows.writerow([cell(row[column]) for column in COLUMNS])
    return text.getvalue()


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
