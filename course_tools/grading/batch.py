"""A whole class: several sandboxes at work, and a journal that survives a power cut."""

import contextlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from course_lib.checking.verdict import Examination
from course_lib.workspace import CourseError
from course_tools.grading.marking import Mark, Marked, mark
from course_tools.grading.sandbox.sandbox import Sandbox
from course_tools.grading.submissions import Submission

__all__ = ["Journal", "Terms", "mark_all"]

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
        """What an earlier run had come to; a line that breaks off is cut away.

        raises: CourseError if there is no journal, or it is none of ours
        """
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")
            told = json.loads(lines[0])["terms"]
            terms = Terms(**{**told, "exercises": tuple(told["exercises"])})
        except FileNotFoundError:
            raise CourseError(
                f"There is nothing to resume: no {self.path}.", code=2
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise CourseError(f"{self.path} cannot be read.", code=2) from None
        whole, marked = [lines[0]], []
        for line in lines[1:]:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                marked.append(_from_json(json.loads(line)))
                whole.append(line)
        self._rewrite(whole)
        return terms, marked

    def add(self, marked: Marked):
        """Note one submission, so that not even a power cut takes it away."""
        with open(self.path, "a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(asdict(marked)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _rewrite(self, lines: Sequence[str]):
        draft = self.path.with_name(self.path.name + ".new")
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        os.replace(draft, self.path)


def mark_all(
    work: Sequence[tuple[Submission, Mapping[str, Examination]]],
    first: Sandbox,
    jobs: int,
    *,
    another: Callable[[], Sandbox],
) -> Iterator[Marked]:
    """Mark submissions side by side; each comes as it is done, in whatever order.

    work: submissions with their examinations; first: a sandbox that is open already;
    another: opens one more
    """
    todo: queue.SimpleQueue = queue.SimpleQueue()
    done: queue.SimpleQueue = queue.SimpleQueue()
    stop = threading.Event()
    for item in work:
        todo.put(item)

    def is_wanted(number: int) -> bool:
        """Wait until more is left to do than opening another sandbox takes."""
        began, left = time.monotonic(), len(work)
        while number and left and not stop.wait(OPENING):
            left = todo.qsize()
            pace = (time.monotonic() - began) / max(len(work) - left, 1)
            if left * pace > (number + 1) * OPENING:
                return True
        return number == 0

    def worker(sandbox: Sandbox, number: int):
        with sandbox:
            wanted = is_wanted(number)
            while wanted and not stop.is_set():
                try:
                    submission, exams = todo.get_nowait()
                except queue.Empty:
                    return
                done.put(_certainly(submission, exams, sandbox))

    boxes = [first, *(another() for _ in range(min(jobs, len(work)) - 1))]
    threads = [
        threading.Thread(target=worker, args=(box, number), daemon=True)
        for number, box in enumerate(boxes)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in work:
            yield done.get()
    except BaseException:
        stop.set()
        for box in boxes:
            box.close()
        raise
    finally:
        stop.set()
        for thread in threads:
            thread.join(5.0)


def _certainly(
    submission: Submission, exams: Mapping[str, Examination], sandbox: Sandbox
) -> Marked:
    """Mark it; should that fail, it is our fault and costs the learner nothing."""
    try:
        return mark(submission, exams, sandbox)
    except Exception as error:
        told = f"the grader failed: {type(error).__name__}: {error}"[:500]
        lost = [
            Mark(name, "grader_error", 0, len(exam.exercise.checks), told)
            for name, exam in exams.items()
        ]
        return Marked(submission.name, submission.learner, "", tuple(lost))


def _from_json(told: dict) -> Marked:
    marks = [
        Mark(**{**mark, "finding": tuple(tuple(row) for row in mark["finding"])})
        for mark in told["marks"]
    ]
    return Marked(told["submission"], told["learner"], told["digest"], tuple(marks))
