"""The gradebook as a table: for people, for Canvas, for Moodle, for a mail program."""

import html
from collections.abc import Mapping, Sequence

from course_lib.exercises import EXERCISES
from course_tools.grading.points import Book, Standing
from course_tools.grading.tables import number, table

__all__ = ["FORMS", "forms"]

FORMS = ("gradebook.csv", "mail_merge.csv")
FORMS += ("gradebook_canvas.csv", "gradebook_moodle.csv")

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("Identifier", "Full name", "Grade", "Maximum Grade")
MOODLE += ("Last modified (grade)", "Feedback comments")


def forms(book: Book, pages: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """The tables by their files' names.

    pages: each learner's page, by who they are. A platform's form has the learners that
    handed in there; if no platform is known of anybody, all are in both, for a teacher
    who adds the numbers; if only others are known, there is none.
    """
    files = {
        "gradebook.csv": _gradebook(book),
        "mail_merge.csv": table(
            ("learner", "id", "points", "max", "file"),
            [
                {**_person(one), "points": one.total, "file": pages[one.learner.who]}
                for one in book.lines
            ],
        ),
    }
    known = {one.learner.platform for one in book.lines} - {""}
    for platform, form in (("canvas", _canvas), ("moodle", _moodle)):
        lines = [o for o in book.lines if not known or o.learner.platform == platform]
        if lines:
            files[f"gradebook_{platform}.csv"] = form(book, lines)
    return files


def _person(one: Standing) -> dict:
    return {"learner": one.learner.name, "id": one.learner.id, "max": one.most}


def _gradebook(book: Book) -> str:
    """A row for each learner; a cell is empty where there is no mark.

    late: "yes" or "", with the days begun since the date that was due if it is known
    bonus: points by hand on top of the exercises', in the total
    """
    heads = {name: f"{EXERCISES[name].number} {name}" for name in book.worth}
    columns = ["learner", "id", "platform", "late", "days_late", "attempts"]
    columns += [*heads.values(), *(f"chapter {c}" for c in book.chapters)]
    columns += ["bonus", "total", "max"]
    return table(columns, [_row(book, heads, one) for one in book.lines])


def _row(book: Book, heads: Mapping[str, str], one: Standing) -> dict:
    chapters = {
        f"chapter {chapter}": sum(one.points.get(name) or 0.0 for name in names)
        for chapter, names in book.chapters.items()
    }
    return {
        **_person(one),
        "platform": one.learner.platform,
        "late": "yes" if one.late else "",
        "days_late": one.days,
        "attempts": one.learner.attempts,
        **{heads[name]: points for name, points in one.points.items()},
        **chapters,
        "bonus": one.bonus or None,
        "total": one.total,
    }


def _canvas(book: Book, lines: Sequence[Standing]) -> str:
    """For "Import" in Canvas's gradebook: the total, as one assignment.

    Canvas finds people by ID, or else by login or name. An assignment of the title that
    `--assignment` gives is filled in; otherwise Canvas offers to make one. A learner to
    whom the grader owes a mark has an empty cell, which changes nothing there. Canvas's
    reader refuses a byte order mark before a quoted cell, so there is none.
    """
    title = book.rules.assignment or "Exercises " + " ".join(book.chapters)
    most = max(one.most for one in lines)
    rows = [
        {
            "Student": one.learner.name,
            "ID": one.learner.id,
            "SIS Login ID": "" if one.learner.platform else one.learner.name,
            title: None if one.open else one.total,
        }
        for one in lines
    ]
    possible = {"Student": "Points Possible", title: most}
    return table((*CANVAS, title), [possible, *rows], bom=False)


def _moodle(book: Book, lines: Sequence[Standing]) -> str:
    """For "Upload grading worksheet" in an assignment of Moodle.

    Moodle finds people by their number in that assignment, and passes over a grade that
    is above the assignment's maximum. A learner to whom the grader owes a mark has no
    grade. The comments are the teacher's, as HTML, which is what Moodle takes them for.
    """
    rows = [
        {
            "Identifier": f"Participant {one.learner.id}" if one.learner.id else "",
            "Full name": one.learner.name,
            "Grade": None if one.open else one.total,
            "Maximum Grade": one.most,
            "Feedback comments": html.escape(_said(one), quote=False),
        }
        for one in lines
    ]
    return table(MOODLE, rows)


def _said(one: Standing) -> str:
    """Points and the teacher's comments, in one line."""
    told = [f"{number(one.total)} of {number(one.most)} points."]
    for name, comments in one.comments.items():
        about = f"{EXERCISES[name].number}: " if name else ""
        told += [about + comment for comment in comments]
    return " ".join(told)
