"""The command `python3 -m course_lib grade SUBMISSIONS`."""

import contextlib
import os
import re
import secrets
import signal
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError
from course_tools.grading import elsewhere, report
from course_tools.grading.asking import Plan, merged, planned
from course_tools.grading.batch import Journal, Terms, mark_all
from course_tools.grading.comments import MANUAL
from course_tools.grading.folder import JOURNAL, alone, make_room, out_folder, sweep
from course_tools.grading.marking import Marked, examinations, nothing_to_mark
from course_tools.grading.options import MEMORY, TIMEOUT, parser
from course_tools.grading.rules import KEPT
from course_tools.grading.sandbox.isolation import choose
from course_tools.grading.sandbox.sandbox import Sandbox
from course_tools.grading.similarity import alike
from course_tools.grading.submissions import Submission, find

__all__ = ["main"]

LATE = "torch.fx.experimental.symbolic_shapes"  # imported for slopes that are given
SLOPES = re.compile(
    r"grad_outputs|gradient=|\bbackward\(\w|\b(vjp|jvp|jacrev|jacfwd|hessian)\b"
    r"|\bgrad\([^,]+,\s*([(\[][^)\]]*[)\]]|[^,(\[]+),(?!\s*\w+=)"
)
TROUBLES = ("timeout", "memory", "crashed", "load_error", "refused", "grader_error")


def main(argv: Sequence[str]) -> int:
    """Grade a class; see `grade --help`.

    returns: 0 if every submission has its marks; 1 if some could not be graded through
        our fault (status grader_error)
    raises: CourseError, code 2 for what is asked wrongly, 3 for isolation not to be
        had, 1 for a report that cannot be written
    """
    options = parser().parse_args(argv)
    torch.set_num_threads(1)
    _end_cleanly()
    sweep()
    if options.probe:
        isolation, sandbox = choose(options.isolation, timeout=10, memory=1024)
        sandbox.close()
        print(isolation)
        return 0
    if not options.submissions:
        raise CourseError("grade needs the folder, zip or file to be graded.", code=2)
    path = Path(os.path.abspath(options.submissions))
    submissions = find(path)
    try:
        return _report(options, submissions, out_folder(options.out, path))
    except KeyboardInterrupt:
        print("\nStopped; with --resume the same command goes on.", file=sys.stderr)
        return 130
    except OSError as error:
        raise CourseError(
            f"The report cannot be written: {error}.",
            "What is marked is kept: see to that, and go on with --resume.",
            code=1,
        ) from None


def _end_cleanly():
    """Whoever ends us politely leaves no scratch folder behind."""

    def end(number: int, _):
        signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, end)


def _report(options: Namespace, submissions: Sequence[Submission], out: Path) -> int:
    """Grade into a folder that is nobody else's meanwhile; return the exit code."""
    journal, known = Journal(out / JOURNAL), []
    going_on = options.resume or options.again
    with contextlib.ExitStack() as held:
        if going_on:
            if journal.path.is_file():
                held.enter_context(alone(out))
            terms, known = journal.read()
            _same(options, terms)
        else:
            terms = _terms(options)
        isolation, sandbox = choose(
            options.isolation,
            timeout=options.timeout or terms.timeout,
            memory=options.memory or terms.memory,
            modules=_wanted(submissions),
        )
        held.callback(sandbox.close)
        print(isolation, flush=True)
        if not going_on:
            make_room(out, stay=(MANUAL, KEPT))
            held.enter_context(alone(out))
            journal.begin(terms)
        plan = planned(submissions, known, terms.exercises, options.again)
        marked = _grade(plan, terms, journal, sandbox, options.jobs)
        pages = [(one.upload, one.pages()) for one in submissions]
        report.write(out, marked, terms, isolation, alike(pages, marked))
    return _summary(marked, out)


def _wanted(submissions: Sequence[Submission]) -> list[str]:
    """What torch imports late, if the class uses it: not on a learner's time."""
    pages = [page for one in submissions for page in one.pages()]
    return [LATE] * any(SLOPES.search(cell) for page in pages for cell in page.cells)


def _terms(options: Namespace) -> Terms:
    names = tuple(name for name in EXERCISES if name in options.exercise)
    return Terms(
        options.seed or secrets.token_hex(16),
        names,
        options.timeout or TIMEOUT,
        options.memory or MEMORY,
    )


def _same(options: Namespace, terms: Terms):
    """Refuse to go on with a report on terms that are not its own."""
    named = ", ".join(terms.exercises) or "what the class has handed in"
    fixed = not options.again  # what is marked anew may have more
    for option, asked, own, told in (
        ("--exercise", set(options.exercise), set(terms.exercises), named),
        ("--timeout", fixed and options.timeout, terms.timeout, terms.timeout),
        ("--memory", fixed and options.memory, terms.memory, terms.memory),
        ("--seed-file", options.seed, terms.seed, "another secret"),
    ):
        if asked and asked != own:
            raise CourseError(
                f"The report was begun with another {option}: {told}.",
                f"Leave {option} out, or grade afresh: without --resume and --again.",
                code=2,
            )


def _grade(
    plan: Plan, terms: Terms, journal: Journal, first: Sandbox, jobs: int
) -> list[Marked]:
    """Do what is planned; return all marks, in the order of the submissions."""
    exams = examinations(sorted(plan.exercises), terms.seed)
    if any(exam.gives_functions for exam in exams.values()):
        elsewhere.start_fork_server()
    done = dict(plan.earlier)
    work = []
    for submission in plan.submissions:
        asked = {name: exams[name] for name in plan.todo[submission.name]}
        if asked:
            work.append((submission, asked))
        elif submission.name not in done:
            done[submission.name] = nothing_to_mark(submission)
            journal.add(done[submission.name])
    finished = len(plan.submissions) - len(work)
    if plan.earlier:
        print(f"{finished} of {len(plan.submissions)} are marked already.", flush=True)
    bar = tqdm(
        total=len(plan.submissions),
        initial=finished,
        desc="grading",
        unit="submission",
        mininterval=0.5 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    )
    with bar, contextlib.closing(mark_all(work, first, jobs)) as marks:
        for now in marks:
            marked = merged(plan.earlier.get(now.submission), now)
            journal.add(marked)
            done[marked.submission] = marked
            _tell(marked, bar)
            bar.update()
    return [done[one.name] for one in plan.submissions] + plan.others


def _tell(marked: Marked, bar: tqdm):
    """One line for a submission that something is wrong with."""
    for mark in [m for m in marked.marks if m.status in TROUBLES][:1]:
        line = f"{marked.submission}: {mark.status}: {mark.message[:200]}"
        bar.write(f"\033[31m{line}\033[0m" if sys.stderr.isatty() else line, sys.stderr)


def _summary(marked: Sequence[Marked], out: Path) -> int:
    """Say how it went; return the exit code."""
    counts = Counter(mark.status for one in marked for mark in one.marks)
    number = f"{len(marked)} submission{'s' * (len(marked) != 1)}"
    print(f"{number}, {counts.total()} marks:", end=" ")
    print(", ".join(f"{n} {status}" for status, n in counts.most_common()))
    print(f"The report is in {out}: open report.html.")
    print("The points are in gradebook.csv, the marks in grades.csv.")
    return 1 if counts["grader_error"] else 0
