"""The command `python3 -m course_lib grade SUBMISSIONS`."""

import contextlib
import os
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import torch
from tqdm import tqdm

from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError
from course_tools.grading import report
from course_tools.grading.batch import Journal, Terms, mark_all
from course_tools.grading.marking import Marked, examinations, glance, nothing_to_mark
from course_tools.grading.options import parser
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
    out = _out_folder(options.out, path)
    journal, known = Journal(out / JOURNAL), []
    seed = options.seed or secrets.token_hex(16)
    names = tuple(name for name in EXERCISES if name in options.exercise)
    terms = Terms(seed, names, options.timeout, options.memory)
    if options.resume:
        terms, known = journal.read()
        if options.seed not in (None, terms.seed):
            raise CourseError("The run to be resumed had another seed.", code=2)
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
    return _summary(marked, out)


def _grade(
    submissions: Sequence[Submission],
    known: Sequence[Marked],
    terms: Terms,
    journal: Journal,
    first: Sandbox,
    jobs: int,
) -> list[Marked]:
    """Mark what has no mark yet; return all marks, in the order of the submissions."""
    glances = {one.name: glance(one) for one in submissions}
    wanted = _wanted({name: held for name, (held, _) in glances.items()}, terms)
    done = {
        one.submission: one
        for one in known
        if one.submission in glances
        and one.digest == glances[one.submission][1]
        and [m.exercise for m in one.marks] == (wanted[one.submission] or [""])
        and all(m.status != "grader_error" for m in one.marks)
    }
    if done:
        print(f"{len(done)} of {len(submissions)} are marked already.", flush=True)
    exams = examinations(set().union(*wanted.values()), terms.seed)
    work = []
    for submission in submissions:
        asked = {name: exams[name] for name in wanted[submission.name]}
        if submission.name not in done and asked:
            work.append((submission, asked))
        elif submission.name not in done:
            done[submission.name] = nothing_to_mark(submission)
            journal.add(done[submission.name])
    bar = tqdm(
        total=len(submissions),
        initial=len(done),
        desc="grading",
        unit="submission",
        mininterval=0.5 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    )
    with bar, contextlib.closing(mark_all(work, first, jobs)) as marks:
        for marked in marks:
            journal.add(marked)
            done[marked.submission] = marked
            _tell(marked, bar)
            bar.update()
    return [done[submission.name] for submission in submissions]


def _wanted(held: dict[str, set[str]], terms: Terms) -> dict[str, list[str]]:
    """What each submission is to be marked in.

    Without names it is what at least half of the class hands in, and for each learner
    what else is there.
    """
    if terms.exercises:
        return {name: list(terms.exercises) for name in held}
    counts = Counter(name for names in held.values() for name in names)
    least = sum(map(bool, held.values())) / 2
    common = {name for name, count in counts.items() if count >= least}
    print("marking", ", ".join(n for n in EXERCISES if n in common) or "what is found")
    return {
        submission: [n for n in EXERCISES if n in names | common]
        for submission, names in held.items()
    }


def _tell(marked: Marked, bar: tqdm):
    """One line for a submission that something is wrong with."""
    for mark in [m for m in marked.marks if m.status in TROUBLES][:1]:
        line = f"{marked.submission}: {mark.status}: {mark.message[:200]}"
        bar.write(f"\033[31m{line}\033[0m" if sys.stderr.isatty() else line, sys.stderr)


def _summary(marked: Sequence[Marked], out: Path) -> int:
    """Say how it went; return the exit code."""
    counts = Counter(mark.status for one in marked for mark in one.marks)
    print(f"{len(marked)} submissions, {counts.total()} marks:", end=" ")
    print(", ".join(f"{n} {status}" for status, n in counts.most_common()))
    print(f"The report is in {out}: open report.html; the marks are in grades.csv.")
    return 1 if counts["grader_error"] else 0


def _out_folder(chosen: str | None, path: Path) -> Path:
    out = Path(os.path.abspath(chosen or path.with_name(f"{path.stem}_report")))
    if path.is_dir() and out.is_relative_to(path):
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
        names = (out.with_name(f"{out.name}.backup-{n}") for n in count(1))
        kept = next(name for name in names if not name.exists())
        os.replace(out, kept)
        print(f"The earlier report is kept in {kept.name}.")
    out.mkdir(parents=True, exist_ok=True)
