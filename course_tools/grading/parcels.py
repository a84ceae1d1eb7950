"""Feedback to send: a zip for each platform, as the platform wants it uploaded."""

import io
import re
import zipfile
from collections.abc import Mapping, Sequence

from course_tools.grading.learners import PATTERNS
from course_tools.grading.points import Standing

__all__ = ["PARCELS", "parcels"]

PARCELS = ("feedback_moodle.zip", "feedback_canvas.zip", "feedback_brightspace.zip")
PARCELS += ("feedback.zip",)
UNFIT = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')


def parcels(
    lines: Sequence[Standing], pages: Mapping[tuple[str, str], tuple[str, str]]
) -> dict[str, bytes]:
    """The zips by their files' names; the same pages give the same bytes.

    pages: each learner's file and page, by who they are

    feedback_moodle.zip: a folder for each learner, named as in Moodle's own export, for
        "Upload multiple feedback files in a zip"
    feedback_canvas.zip: a page named as the file that was handed in last, for "Upload
        submissions"; Canvas finds its learner by the numbers in the name
    feedback_brightspace.zip: a page where the download has what was handed in last, for
        "Add Feedback Files", which finds its learner by the beginning of the name
    feedback.zip: all others, a page for each under the learner's name
    """
    zips: dict[str, dict[str, str]] = {}
    for one in lines:
        file, page = pages[one.learner.who]
        parcel, name = _address(one, file)
        inside = zips.setdefault(parcel, {})
        inside[file if name in inside else name] = page
    return {parcel: _zipped(inside) for parcel, inside in zips.items()}


def _address(one: Standing, file: str) -> tuple[str, str]:
    """The zip in which a learner's page goes, and where in it."""
    learner = one.learner
    last = learner.submissions[-1].submission.rpartition("/")[2]  # within its export
    handed_in = UNFIT.sub(" ", last)
    if learner.platform == "moodle" and learner.id:
        name = UNFIT.sub(" ", learner.name).replace("_", " ").strip() or "learner"
        folder = f"{name}_{learner.id}_assignsubmission_file_"
        return "feedback_moodle.zip", f"{folder}/feedback.html"
    if learner.platform == "canvas":
        stem = re.sub(r"[.]\w{1,5}$", "", handed_in)
        return "feedback_canvas.zip", f"{stem}.html"
    if learner.platform == "brightspace":
        found = re.match(PATTERNS["brightspace"], handed_in)
        start = handed_in[: found.end("when")] if found else handed_in
        between = "/" if start == handed_in else " - "  # a folder, or a file's own name
        return "feedback_brightspace.zip", f"{start}{between}feedback.html"
    return "feedback.zip", file


def _zipped(inside: Mapping[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, page in inside.items():
            member = zipfile.ZipInfo(name)  # its date is that of no clock
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, page)
    return content.getvalue()
