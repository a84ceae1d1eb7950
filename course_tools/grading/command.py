"""The command `python3 -m course_lib grade SUBMISSIONS`."""

import argparse
import contextlib
import os
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError
from course_tools.grading import report
from course_tools.grading.batch import Journal, Terms, mark_all
from course_tools.grading.marking import (
    Marked,
    examinations,
    glance,
    nothing_to_mark,
)
from course_tools.grading.options import exercises, parser
from course_tools.grading.sandbox.isolation import choose
from course_tools.grading.sandbox.sandbox import Sandbox
from course_tools.grading.submissions import Submission, find

__all__ = ["main"]

TROUBLES = ("timeout", "memory", "crashed", "load_error", "refused", "grader_error")
JOURNAL = "report.jsonl"


def main(argv: Sequence[str]) -> int:
    """Grade a class; see `grade --help`.

    returns: 0 if every submission has its marks; 1 if some could not be graded through
        our fault (status grader_error)
    raises: CourseError, code 2 for what is asked wrongly, 3 for isolation not to be had
    """
    options = parser().parse_args(argv)
    torch.set_num_threads(1)
    # whoever ends us politely leaves no scratch folder behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.probe:
        isolation, sandbox = choose(options.isolation, timeout=10, memory=1024)
        sandbox.close()
        print(isolation)
        return 0
    if options.submissions is None:
        raise CourseError("grade needs the folder, zip or file to be graded.", code=2)
    path = Path(os.path.abspath(options.submissions))
    submissions = find(path)
    out = _out_folder(options, path)
    journal = Journal(out / JOURNAL)
    terms, known = _terms(options, journal), []
    if options.resume:
        before, known = journal.read()
        if options.seed_file and before.seed != terms.seed:
            raise CourseError("The run to be resumed had another seed.", code=2)
        terms = before
    isolation, sandbox = choose(
        options.isolation, timeout=terms.timeout, memory=terms.memory
    )
    print(isolation, flush=True)
    try:
        if not options.resume:
            _make_room(out)
            journal.begin(terms)
        marked = _grade(submissions, known, terms, journal, sandbox, options.jobs)
    except KeyboardInterrupt:
        print("\nStopped; with --resume the same command goes on.", file=sys.stderr)
        return 130
    finally:
        sandbox.close()
    report.write(out, marked, terms, isolation)
    _print_summary(marked, out)
    lost = any(m.status == "grader_error" for one in marked for m in one.marks)
    return 1 if lost else 0


def _grade(
    submissions: Sequence[Submission],
    known: Sequence[Marked],
    terms: Terms,
    journal: Journal,
    first: Sandbox,
    jobs: int,
) -> list[Marked]:
    """Mark what has no mark yet; return all marks, in the order of the submissions."""
    wanted, digests = _wanted(submissions, terms)
    done = {
        one.submission: one
        for one in known
        if digests.get(one.submission) == one.digest
        and [m.exercise for m in one.marks] == (wanted[one.submission] or [""])
        and all(m.status != "grader_error" for m in one.marks)
    }
    names = [n for n in EXERCISES if any(n in names for names in wanted.values())]
    exams = examinations(names, terms.seed)
    work = []
    for submission in submissions:
        asked = wanted[submission.name]
        if submission.name not in done and asked:
            work.append((submission, {name: exams[name] for name in asked}))
        elif submission.name not in done:
            done[submission.name] = nothing_to_mark(submission)
            journal.add(done[submission.name])
    if done and known:
        print(f"{len(done)} of {len(submissions)} are marked already.", flush=True)

    def another() -> Sandbox:
        return Sandbox(first.plan, timeout=terms.timeout, memory=terms.memory)

    bar = tqdm(
        total=len(submissions),
        initial=len(done),
        desc="grading",
        unit="submission",
        mininterval=0.5 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    )
    with bar, contextlib.closing(mark_all(work, first, jobs, another=another)) as marks:
        for marked in marks:
            journal.add(marked)
            done[marked.submission] = marked
            _tell(marked, bar)
            bar.update()
    return [done[submission.name] for submission in submissions]


def _wanted(
    submissions: Sequence[Submission], terms: Terms
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """What each submission is to be marked in, and its digest.

    Without names it is what at least half of the class hands in, and for each learner
    what else is there.
    """
    held, digests = {}, {}
    for submission in submissions:
        held[submission.name], digests[submission.name] = glance(submission)
    if terms.exercises:
        return {name: list(terms.exercises) for name in held}, digests
    counts = Counter(name for names in held.values() for name in names)
    holding = sum(1 for names in held.values() if names)
    common = {name for name, count in counts.items() if 2 * count >= holding}
    print("marking", ", ".join(n for n in EXERCISES if n in common) or "what is found")
    return {
        name: [n for n in EXERCISES if n in names | common]
        for name, names in held.items()
    }, digests


def _tell(marked: Marked, bar: tqdm):
    """One line for a submission that something is wrong with."""
    told = {m.message: m for m in marked.marks if m.status in TROUBLES}
    for mark in list(told.values())[:1]:
        line = f"{marked.submission}: {mark.status}: {mark.message[:200]}"
        bar.write(f"\033[31m{line}\033[0m" if sys.stderr.isatty() else line, sys.stderr)


def _print_summary(marked: Sequence[Marked], out: Path):
    marks = [mark for one in marked for mark in one.marks]
    counts = Counter(mark.status for mark in marks)
    print(f"{len(marked)} submissions, {len(marks)} marks:", end=" ")
    print(", ".join(f"{n} {status}" for status, n in counts.most_common()))
    print(f"The report is in {out}: open report.html; the marks are in grades.csv.")


def _terms(options: argparse.Namespace, journal: Journal) -> Terms:
    seed = secrets.token_hex(16)
    if options.seed_file:
        try:
            seed = Path(options.seed_file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise CourseError(f"--seed-file cannot be read: {error}", code=2) from None
        if not seed:
            raise CourseError(f"--seed-file {options.seed_file} is empty.", code=2)
    names = tuple(exercises(options.exercise))
    return Terms(seed, names, options.timeout, options.memory)


def _out_folder(options: argparse.Namespace, path: Path) -> Path:
    chosen = options.out or path.with_name(f"{path.stem}_report")
    out = Path(os.path.abspath(chosen))
    if path.is_dir() and (out == path or path in out.parents):
        raise CourseError(
            f"The report cannot lie among the submissions: {out}.",
            "Choose another folder with --out.",
            code=2,
        )
    return out


def _make_room(out: Path):
    """An empty folder for the report; an earlier report there gets another name."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / JOURNAL).is_file():
            raise CourseError(
                f"{out} holds something that is no report.",
                "Choose another folder with --out.",
                code=2,
            )
        number = 1
        while out.with_name(f"{out.name}.backup-{number}").exists():
            number += 1
        kept = out.with_name(f"{out.name}.backup-{number}")
        os.replace(out, kept)
        print(f"The earlier report is kept in {kept.name}.")
    out.mkdir(parents=True, exist_ok=True)
