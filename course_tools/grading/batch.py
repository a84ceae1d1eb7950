"""A whole class: several sandboxes at work, and a journal that survives a power cut."""

import contextlib
import json
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from course_lib.checking.verdict import Examination
from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError, write_whole
from course_tools.grading.learners import Upload
from course_tools.grading.marking import STATUSES, Mark, Marked, lost, mark
from course_tools.grading.sandbox.sandbox import Sandbox
from course_tools.grading.submissions import Submission

__all__ = ["Journal", "Terms", "mark_all"]

BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
OPENING = 2.5  # seconds, of a core too: a Python that imports torch in a sandbox


@dataclass(frozen=True)
class Terms:
    """What has to be the same for marks to be comparable."""

    seed: str
    exercises: tuple[str, ...]  # asked for by name; empty: what is found
    timeout: float
    memory: int


class Journal:
    """The marks so far, a line for each submission, written as they come.

    Whatever ends the grader, at most the submissions in hand are lost.
    """

    def __init__(self, path: Path):
        self.path = path

    def begin(self, terms: Terms):
        """Start afresh."""
        self._rewrite([json.dumps({"terms": asdict(terms)})])

    def read(self) -> tuple[Terms, list[Marked]]:
        """What an earlier run had come to; a last line that breaks off is cut away.

        raises: CourseError if there is no journal, or it is none of ours
        """
        if not self.path.is_file():
            raise CourseError(f"There is nothing to resume: no {self.path}.", code=2)
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")
            terms = _terms(lines[0])
        except BROKEN:
            sentence = f"{self.path} cannot be read as this course's journal."
            raise CourseError(sentence, code=2) from None
        marked = []
        for number, line in enumerate(lines[1:], 2):
            try:
                marked.append(_marked(line))
            except BROKEN:
                if number < len(lines):
                    raise CourseError(
                        f"{self.path}, line {number}: this is no line of grade's.",
                        "Take it out, or grade afresh without --resume.",
                        code=2,
                    ) from None
        if lines[-1]:
            self._rewrite(lines[:1] + [json.dumps(asdict(one)) for one in marked])
        return terms, marked

    def add(self, marked: Marked):
        """Note one submission, so that not even a power cut takes it away."""
        with open(self.path, "a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(asdict(marked)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _rewrite(self, lines: Sequence[str]):
        text = ("\n".join(lines) + "\n").encode()
        write_whole(self.path, lambda draft: draft.write_bytes(text))


def _terms(line: str) -> Terms:
    told = json.loads(line)["terms"]
    terms = Terms(**{**told, "exercises": tuple(told["exercises"])})
    if not (_fits(terms) and set(terms.exercises) <= set(EXERCISES)):
        raise ValueError
    return terms


def _marked(line: str) -> Marked:
    marked = Marked.from_json(json.loads(line))
    marks = marked.marks
    known = all(m.exercise in EXERCISES or not m.exercise for m in marks)
    if not (known and marks and {mark.status for mark in marks} <= set(STATUSES)):
        raise ValueError
    if not all(map(_fits, (marked, marked.upload, *marks))):
        raise ValueError
    return marked


def _fits(one: Terms | Marked | Upload | Mark) -> bool:
    """Is each of its fields of the type that it should be?"""
    values = [(field.type, getattr(one, field.name)) for field in fields(one)]
    return all(
        isinstance(value, (int, float) if kind is float else kind)
        for kind, value in values
        if isinstance(kind, type)
    )


def mark_all(
    work: Sequence[tuple[Submission, Mapping[str, Examination]]],
    first: Sandbox,
    jobs: int,
) -> Iterator[Marked]:
    """Mark submissions side by side; each comes as it is done, in whatever order.

    work: submissions with their examinations; first: a sandbox that is open already;
    jobs: how many there may be, if there is more to do than opening another takes
    """
    todo = deque(work)
    done: queue.SimpleQueue[Marked] = queue.SimpleQueue()
    boxes: list[Sandbox] = []
    threads: list[threading.Thread] = []

    def worker(sandbox: Sandbox):
        with sandbox, contextlib.suppress(IndexError):
            while True:
                done.put(_certainly(*todo.popleft(), sandbox))

    def hire(sandbox: Sandbox):
        boxes.append(sandbox)
        threads.append(threading.Thread(target=worker, args=(sandbox,), daemon=True))
        threads[-1].start()

    began, left = time.monotonic(), len(work)
    hire(first)
    try:
        while left:
            with contextlib.suppress(queue.Empty):
                marked = done.get(timeout=OPENING)
                left -= 1
                yield marked
            passed, more = time.monotonic() - began, len(boxes) + 1
            rest = passed * len(todo) / max(len(work) - len(todo), 1)
            if more <= jobs and passed > OPENING and rest > more * OPENING:
                hire(first.another())
    except BaseException:
        todo.clear()
        for box in boxes:
            box.close()
        raise
    finally:
        for thread in threads:
            thread.join(5.0)


def _certainly(
    submission: Submission, exams: Mapping[str, Examination], sandbox: Sandbox
) -> Marked:
    """Mark it; should that fail, it is our fault and costs the learner nothing."""
    try:
        return mark(submission, exams, sandbox)
    except Exception as error:
        marks = [lost(name, len(exam.titles), error) for name, exam in exams.items()]
        return Marked(submission.name, submission.upload, "", tuple(marks))
