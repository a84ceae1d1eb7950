"""The command `python3 -m course_lib grade SUBMISSIONS`."""

import argparse
import contextlib
import os
import secrets
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from course_lib.exercises import EXERCISES
from course_lib.grading import report
from course_lib.grading.batch import Journal, Terms, mark_all
from course_lib.grading.isolation import MODES, choose
from course_lib.grading.marking import (
    Marked,
    examinations,
    glance,
    nothing_to_mark,
)
from course_lib.grading.sandbox import Sandbox
from course_lib.grading.submissions import Submission, find
from course_lib.workspace import CourseError

__all__ = ["main"]

TROUBLES = ("timeout", "memory", "crashed", "load_error", "refused", "grader_error")
JOURNAL = "report.jsonl"


def main(argv: Sequence[str]) -> int:
    """Grade a class; see `grade --help`.

    returns: 0 if every submission has its marks; 1 if some could not be graded through
        our fault (status grader_error)
    raises: CourseError, code 2 for what is asked wrongly, 3 for isolation not to be had
    """
    options = _parser().parse_args(argv)
    torch.set_num_threads(1)
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
    names = tuple(_exercises(options.exercise))
    return Terms(seed, names, options.timeout, options.memory)


def _exercises(words: Sequence[str]) -> list[str]:
    """Names, numbers such as 4.1, or chapters such as 04, as names in their order."""
    found = set()
    for word in words:
        chapter = word.lstrip("0") or "0"
        fitting = {
            name
            for name, exercise in EXERCISES.items()
            if word in (name, exercise.number)
            or (word.isdigit() and exercise.number.split(".")[0] == chapter)
        }
        if not fitting:
            raise CourseError(
                f'There is no exercise "{word}".',
                "There are " + ", ".join(EXERCISES) + "; numbers such as 4.1 and "
                "chapters such as 04 will do too.",
                code=2,
            )
        found |= fitting
    return [name for name in EXERCISES if name in found]


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m course_lib grade",
        description="Grade a class: notebooks (.ipynb) and Python files (.py) in a "
        "folder, in folders or zips of learners, or in a course platform's zip.",
        epilog="exit code: 0 every submission has its marks; 1 some could not be "
        "graded through the grader's fault (they lose no points); 2 usage; 3 the "
        "isolation that was asked for is not to be had",
    )
    add = parser.add_argument
    add("submissions", nargs="?", metavar="SUBMISSIONS", help="folder, zip or file")
    add(
        "--out",
        metavar="DIR",
        help="where the report goes (default: SUBMISSIONS_report beside them); an "
        "earlier report there is kept under another name",
    )
    add(
        "--exercise",
        action="append",
        default=[],
        metavar="NAME",
        help="mark this one: dpo_loss, 4.1, or a whole chapter: 04; may be repeated "
        "(default: what the class has handed in)",
    )
    add(
        "--jobs",
        type=_whole(1),
        default=os.cpu_count() or 1,
        metavar="N",
        help="submissions at a time (default: one for each core)",
    )
    add(
        "--timeout",
        type=_positive,
        default=10.0,
        metavar="SECONDS",
        help="for one exercise of one submission (default 10)",
    )
    add(
        "--memory",
        type=_whole(64),
        default=1024,
        metavar="MIB",
        help="for one exercise of one submission, beside PyTorch's own (default 1024)",
    )
    add(
        "--isolation",
        choices=MODES,
        default="auto",
        help="auto takes the best that works here and says what it is; strict refuses "
        "to grade with less than the best there is",
    )
    add("--probe", action="store_true", help="try the isolation here, say it, and end")
    add(
        "--seed-file",
        metavar="FILE",
        help="a secret that the inputs are drawn from; with the same one, the same "
        "submissions get the same marks, byte for byte (default: drawn, and noted in "
        "report.json)",
    )
    add("--resume", action="store_true", help="go on with the report in DIR")
    return parser


def _whole(least: int):
    def number(word: str) -> int:
        value = int(word)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
        return value

    number.__name__ = "whole number"
    return number


def _positive(word: str) -> float:
    value = float(word)
    if not 0 < value < 86400:
        raise argparse.ArgumentTypeError(f"must be seconds above 0, got {word}")
    return value
