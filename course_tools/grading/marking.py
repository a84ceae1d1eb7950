"""From one submission to its marks: which function, what it did, how much holds."""

import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from course_lib.checking.verdict import (
    NOT_ATTEMPTED,
    NOT_YET,
    PASSED,
    Examination,
    Finding,
    Verdict,
    titles,
)
from course_lib.exercises import EXERCISES
from course_lib.submission.observing import Observation, TimeUp
from course_tools.grading.elsewhere import Elsewhere
from course_tools.grading.learners import Upload
from course_tools.grading.sandbox.asked import functions_in
from course_tools.grading.sandbox.sandbox import Sandbox
from course_tools.grading.sandbox.talking import Job, Outcome, slowly
from course_tools.grading.submissions import Page, Submission

__all__ = [
    "STATUSES",
    "Mark",
    "Marked",
    "examinations",
    "glance",
    "lost",
    "mark",
    "nothing_to_mark",
]

STATUSES = {
    "passed": "every property holds",
    "failed": "a property does not hold",
    "error": "the function raised an error",
    "timeout": "it did not end in time",
    "memory": "it took more memory than there is for it",
    "crashed": "its process ended before it had answered",
    "not_attempted": "the starter is as it was handed out",
    "missing": "no function of that name was handed in",
    "load_error": "the file cannot be read, or the function cannot be made from it",
    "refused": "not a notebook or Python file: it was not looked into",
    "grader_error": "our fault: it could not be graded, and no point is lost",
}
ENDINGS = {TimeUp.__name__: "timeout", "MemoryError": "memory", "Stopped": "crashed"}
NO_ANSWER = ("not_attempted", "missing", "load_error")
MESSAGE = 1500  # bytes
TOGETHER = 3  # given functions that one process comes to see, one after the other
FOLDERS = re.compile(r"(?<![\w./:<)\]])(?:/|[A-Za-z]:\\)(?:[^\s/\\'\"():,;]+[/\\])+")


@dataclass(frozen=True)
class Mark:
    """What one exercise of one submission came to.

    holding: how many of the exercise's properties hold, in their order, before the
        first that does not; max_score: how many there are
    score: what they are worth, see `Examination.worth`
    misconception: the name of the fault, slip or symptom; diagnosis: its sentence, and
        whether the answer does just that (`likeness`) or it is merely noticed
    finding: (label, text) lines on what is wrong, as `check` shows them
    """

    exercise: str
    status: str
    score: float
    max_score: int
    message: str
    holding: int = 0
    misconception: str = ""
    diagnosis: str = ""
    likeness: bool = False
    finding: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """As `check` would have given it: for its card."""
        states = {"passed": PASSED, "not_attempted": NOT_ATTEMPTED}
        state, rows = states.get(self.status, NOT_YET), dict(self.finding)
        shown = [rows.get(label, "") for label in ("input", "yours", "must")]
        why = self.misconception, self.diagnosis, self.likeness
        found = Finding(*shown, *why) if rows else None
        return Verdict(
            EXERCISES[self.exercise], state, titles(self.exercise), self.holding, found
        )


@dataclass(frozen=True)
class Marked:
    """A submission with its marks; `digest` stands for what was handed in."""

    submission: str
    upload: Upload
    digest: str
    marks: tuple[Mark, ...]

    @classmethod
    def from_json(cls, told: dict) -> "Marked":
        """What `dataclasses.asdict` and JSON have made of one."""
        marks = []
        for one in told["marks"]:
            finding = tuple((str(label), str(text)) for label, text in one["finding"])
            marks.append(Mark(**{**one, "finding": finding}))
        more = {"upload": Upload(**told["upload"]), "marks": tuple(marks)}
        return cls(**{**told, **more})


def examinations(names: Sequence[str], seed: str) -> dict[str, Examination]:
    """An examination for each exercise; who has not the seed cannot know its inputs."""

    def number(name: str) -> int:
        digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
        return int.from_bytes(digest[:4]) >> 1

    return {n: Examination(EXERCISES[n], seed=number(n), tell=False) for n in names}


def glance(submission: Submission) -> tuple[set[str], str]:
    """The exercises that it seems to hold, and a digest of it; nothing is run.

    A notebook is held to its whole chapter: whoever deletes a cell has not done it.
    """
    pages = submission.pages()
    defined = set().union(*(page.defines for page in pages)) & set(EXERCISES)
    chapters = {
        EXERCISES[name].number.split(".")[0]
        for page in pages
        if page.name.endswith(".ipynb")
        for name in page.defines & defined
    }
    whole = {n for n, e in EXERCISES.items() if e.number.split(".")[0] in chapters}
    return defined | whole, _digest(pages)


def mark(
    submission: Submission, exams: Mapping[str, Examination], sandbox: Sandbox
) -> Marked:
    """Mark one submission in every exercise of `exams`."""
    pages = submission.pages()
    marks = [_certainly(pages, exam, sandbox) for exam in exams.values()]
    return Marked(submission.name, submission.upload, _digest(pages), tuple(marks))


def lost(name: str, most: int, error: Exception) -> Mark:
    """The mark of what failed through our fault: it costs the learner nothing."""
    told = f"the grader failed: {type(error).__name__}: {error}"[:500]
    return Mark(name, "grader_error", 0, most, told)


def nothing_to_mark(submission: Submission) -> Marked:
    """For one that asks for no exercise: a mark that says so."""
    pages = submission.pages()
    mark = Mark("", "missing", 0, 0, "defines no function that an exercise asks for")
    if all(page.trouble for page in pages):
        mark = _unreadable(pages, "", 0)
    return Marked(submission.name, submission.upload, _digest(pages), (mark,))


def _certainly(pages: Sequence[Page], exam: Examination, sandbox: Sandbox) -> Mark:
    try:
        return _mark(pages, exam, sandbox)
    except Exception as error:
        return lost(exam.exercise.name, len(exam.titles), error)


def _mark(pages: Sequence[Page], exam: Examination, sandbox: Sandbox) -> Mark:
    name = exam.exercise.name
    holding = [page for page in pages if name in page.defines]
    if not holding:
        holding = [page for page in pages if not page.trouble][-1:]
    if not holding:
        return _unreadable(pages, name, len(exam.titles))
    found, left = None, sandbox.timeout
    for page in reversed(holding):  # the last is meant, unless it holds no function
        now, left = _best(page, exam, sandbox, left, len(pages) > 1)
        if found is None or now.status not in NO_ANSWER:
            found = now
        if now.status not in NO_ANSWER or left <= 0:
            break
    assert found is not None
    if found.status == "missing":
        told = "; ".join([found.message, *_troubles(pages)])
        found = replace(found, message=_clean(told))
    return found


def _best(
    page: Page, exam: Examination, sandbox: Sandbox, left: float, named: bool
) -> tuple[Mark, float]:
    """The best mark that a page gets, and the seconds that are left after it.

    As it stands; with all that works on what the function needs; and as it stood when
    the function was checked, if later cells have changed something.
    """
    outcome = _asked(page, exam, sandbox, left)
    found, left = _marked(exam, outcome, page, named), left - outcome.seconds
    written = _written(page, exam.exercise.name)
    later = max(outcome.cells, default=0) > written or not outcome.seen
    ways = [(page, True)] * outcome.more
    if later and written + 1 < len(page.cells):
        ways.append((replace(page, cells=page.cells[: written + 1]), False))
    for other, whole in ways:
        if found.status not in ("passed", "not_attempted") and left > 0:
            outcome = _asked(other, exam, sandbox, left, whole)
            left -= outcome.seconds
            again = _marked(exam, outcome, other, named)
            told = again.score == found.score and again.status in ("failed", "error")
            found = again if told or again.score > found.score else found
    return found, left


def _written(page: Page, name: str) -> int:
    """The place of the last cell that defines the function, or of the last at all."""
    defines = re.compile(rf"^(?:async +)?def +{re.escape(name)}\b", re.MULTILINE)
    places = [n for n, cell in enumerate(page.cells) if defines.search(cell)]
    return places[-1] if places else len(page.cells) - 1


def _asked(
    page: Page,
    exam: Examination,
    sandbox: Sandbox,
    within: float,
    whole: bool = False,
) -> Outcome:
    """What the page's function did, in the order of the checks."""
    exercise, calls = exam.exercise, exam.calls
    job = Job(page.cells, exercise.name, calls, exercise.offers, whole)
    if not exam.gives_functions:
        # once it has passed, nobody needs the probes, which say why it has not
        job = replace(job, settled=exam.is_passed, told=_told(exam))
        return sandbox.run(job, within)
    # few given functions in one process, that no vote can be taken among them
    first, seen, cells, left = None, {}, page.cells, within
    for start in range(0, len(calls), TOGETHER):
        places = exam.order[start : start + TOGETHER]
        keys = [(exercise.name, exam.seed, place) for place in places]
        beside = _beside().ready(keys)
        ask = [partial(beside.reply, key) for key in keys]
        asked = [calls[place] for place in places]
        now = sandbox.run(replace(job, cells=cells, calls=asked, ask=ask), left)
        left, first = left - now.seconds, first or now
        seen |= dict(zip(places, now.seen, strict=False))
        if now.ended or not now.seen or left <= 0:
            break
        if now.cells:  # the others need not be read again
            used = set(now.cells)
            cells = [
                cell if n in used or "__future__" in cell else ""
                for n, cell in enumerate(cells)
            ]
    now = replace(now, seconds=within - left)
    if not seen or not (now.seen or now.ended):  # it could not be loaded
        return now
    now = replace(now, more=first.more, cells=first.cells)
    return replace(now, seen=_every(seen, now, len(calls), sandbox.timeout))


def _every(
    seen: Mapping[int, Observation], last: Outcome, count: int, timeout: float
) -> tuple[Observation, ...]:
    """An observation for each call, from those that were made before it ended.

    last: what came of the last process; what ended it is why the others were not asked
    """
    late = last.ended in ("", TimeUp.__name__)
    made = {p: one for p, one in seen.items() if not (late and _is_late(one))}
    if late and made:
        error = TimeUp.__name__, slowly(len(made), count, timeout), ""
    else:
        error = last.seen[-1].error if last.seen else (last.ended, last.trouble, "")
        made = seen
    rest = Observation("error", error=error)
    return tuple(made.get(place, rest) for place in range(count))


def _is_late(seen: Observation) -> bool:
    return bool(seen.error) and seen.error[0] == TimeUp.__name__


@cache
def _told(exam: Examination) -> tuple:
    """Its inputs as they are sent, the same for every submission."""
    return functions_in(exam.calls, exam.exercise.offers)


def _beside() -> Elsewhere:
    """The process that answers for given functions: one for each of our threads."""
    if not hasattr(_of_thread, "elsewhere"):
        _of_thread.elsewhere = Elsewhere()
    return _of_thread.elsewhere


_of_thread = threading.local()


def _marked(exam: Examination, outcome: Outcome, page: Page, named: bool) -> Mark:
    exercise, most = exam.exercise, len(exam.titles)
    mark = Mark(exercise.name, "", 0, most, "", seconds=round(outcome.seconds, 3))
    if not outcome.seen:
        status = "missing" if outcome.missing else "load_error"
        told = f"{page.name}: {outcome.trouble}" if named else outcome.trouble
        return _with(mark, ENDINGS.get(outcome.ended, status), told)
    verdict = exam.verdict(outcome.seen)
    if verdict.state == NOT_ATTEMPTED:
        return _with(mark, "not_attempted", STATUSES["not_attempted"])
    if verdict.finding is None:
        told = f"{most} of {most} properties hold"
        return _with(mark, "passed", told, score=most, holding=most)
    wrong = outcome.seen[exam.first_wrong(outcome.seen) or 0]
    rows = {label: _clean(text) for label, text in verdict.finding.lines()}
    diagnosis = _explained(wrong, outcome) or _clean(verdict.diagnosis)
    told = [
        f"does not hold: {verdict.titles[verdict.holding]}",
        f"yours: {rows['yours']}",
        f"must {rows['must']}",
    ]
    if diagnosis:
        told.append(f"{verdict.finding.label}: {diagnosis}")
    return _with(
        mark,
        _status_of(wrong, outcome.ended),
        "; ".join(told),
        score=_rounded(most * exam.worth(verdict.holding)),
        holding=verdict.holding,
        misconception=verdict.finding.name,
        diagnosis=diagnosis,
        likeness=verdict.finding.likeness,
        finding=tuple(rows.items()),
    )


def _rounded(score: float) -> float:
    score = round(score, 2)
    return int(score) if score == int(score) else score


def _with(mark: Mark, status: str, message: str, **more) -> Mark:
    return replace(mark, status=status, message=_clean(message), **more)


def _unreadable(pages: Sequence[Page], name: str, most: int) -> Mark:
    """No file of the submission can be read."""
    status = "refused" if all(page.refused for page in pages) else "load_error"
    return Mark(name, status, 0, most, _clean("; ".join(_troubles(pages))))


def _troubles(pages: Sequence[Page]) -> list[str]:
    return [f"{page.name} {page.trouble}" for page in pages if page.trouble][:3]


def _status_of(wrong: Observation, ended: str) -> str:
    if not wrong.error:
        return "failed"
    kind, message, _ = wrong.error
    if "allocate memory" in message:
        return "memory"
    if kind == "Stopped" and not ended:  # an error of the learner's own
        return "error"
    return ENDINGS.get(kind, "error")


def _explained(wrong: Observation, outcome: Outcome) -> str:
    """What to say of errors that a learner does not meet in a notebook."""
    kind, message, _ = wrong.error or ("", "", "")
    if kind == "EOFError":
        return "a call of input(): there is nobody to answer while grading"
    if kind == "NameError" and "get_ipython" in message:
        return "a notebook's own command: grading runs the function without a notebook"
    if kind == "NameError" and outcome.trouble:
        return f"a line that could not be run: {outcome.trouble}"
    if kind == "PermissionError" or "Read-only file system" in message:
        return (
            "files outside the scratch folder, connections and other processes are not "
            "to be had while grading"
        )
    return ""


def _clean(text: str) -> str:
    """One line, the same on every computer, of a length that can be read."""
    text = re.sub(r"0x[0-9a-f]{6,}", "0x…", " ".join(text.split()))
    text = FOLDERS.sub("…/", text)
    text = "".join(c if c.isprintable() else "�" for c in text)
    short = text.encode()[:MESSAGE].decode(errors="ignore")
    return text if short == text else short + "…"


def _digest(pages: Sequence[Page]) -> str:
    content = repr([(page.name, page.cells, page.trouble) for page in pages])
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()
