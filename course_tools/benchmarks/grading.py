"""What it costs to grade a submission, here and with otter-grader and nbgrader.

The same functions `dpo_loss`, seven of ten right, go to every grader, one grader after
another. Each must find right what is right and wrong what is wrong, or there are no
figures. CPU is user and system time of all processes that a grader starts, start-up
included, divided by the submissions; `one more` is what a submission adds to a class
that is being graded already: the difference between two classes, divided by theirs.
Memory is the largest sum of PSS over those processes, looked at ten times a second.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from course_lib.workspace import CourseError, repository
from course_tools.benchmarks.classes import write_chapter, write_losses
from course_tools.benchmarks.metering import Cost, metered
from course_tools.benchmarks.rivals import RIVALS, child_env, home

__all__ = ["Row", "main", "measure", "result", "table"]

OURS, THEIRS, MORE = 40, 10, 5  # submissions; MORE times OURS is the larger class
EACH = 3  # submissions for `otter run`, which starts afresh for every one
CHAPTER = "04"  # of --class
ABSENT = (
    "otter-grader and nbgrader are not measured: make an environment for them with "
    "python3 -m venv .rivals && .rivals/bin/python -m pip install -r "
    "requirements/rivals.txt, or let COURSE_RIVALS name one."
)


class Row(NamedTuple):
    """A grader's figures. `more`: CPU seconds of one more submission."""

    count: int
    cost: Cost
    more: float

    @property
    def cpu(self) -> float:
        return self.cost.cpu / self.count

    @property
    def wall(self) -> float:
        return self.cost.wall / self.count


def main(argv: Sequence[str]) -> int:
    """Measure and print a table; with --json, the numbers as one last line.

    raises: CourseError if two graders disagree, or if one fails
    """
    options = _parser().parse_args(argv)
    if os.name == "nt":
        raise CourseError("This bench reads processor times as Linux and macOS do.")
    if options.learners:
        told = _class(options.learners)
        said = "{learners} pages of chapter {chapter}: {wall:.0f} s, {cpu:.0f} s of CPU"
        print((said + ", at most {peak_mib:.0f} MiB at once").format(**told))
        print(*(f"  {mib:6.0f} MiB  {name}" for name, mib in told["parts"]), sep="\n")
    else:
        rows = measure(options.submissions)
        print(table(rows))
        told = result(rows)
    if options.json:
        print(json.dumps(told))
    return 0


def measure(count: int | None = None) -> dict[str, Row]:
    """Each grader's figures, by its name; count: submissions, for all the same."""
    rows = {}
    with TemporaryDirectory(prefix="course-bench-") as place:
        folder = Path(place)
        _ours(folder / "first", 1)  # files that nobody has read yet cost more
        ours = count or OURS
        once = _ours(folder / "ours", ours)
        many = _ours(folder / "more", MORE * ours)
        rows["ours"] = Row(ours, once, (many.cpu - once.cpu) / ((MORE - 1) * ours))
        rivals = home()
        for name in RIVALS if rivals else ():
            number = EACH if name == "otter run" else max(count or THEIRS, 2)
            first = _rival(folder / f"{name} first", name, 1, rivals)
            whole = _rival(folder / name, name, number, rivals)
            more = (whole.cpu - first.cpu) / (number - 1)
            rows[name] = Row(number, whole, more)
    return rows


def table(rows: dict[str, Row]) -> str:
    """The figures for people."""
    head = ("submissions", "CPU s each", "ratio", "one more", "ratio", "wall s each")
    widths = (12, 12, 8, 10, 8, 12, 10)
    columns = zip((*head, "peak MiB"), widths, strict=True)
    lines = [" " * 10 + "".join(f"{word:>{width}}" for word, width in columns)]
    ours = rows["ours"]
    for name in ("ours", *RIVALS):
        if name not in rows:
            lines.append(f"{name:<10}{'not measured':>24}")
            continue
        row = rows[name]
        lines.append(
            f"{name:<10}{row.count:12}{row.cpu:12.3f}{row.cpu / ours.cpu:8.1f}"
            f"{row.more:10.3f}{row.more / ours.more:8.1f}"
            f"{row.wall:12.3f}{row.cost.peak:10.0f}"
        )
    lines.append(f"{date.today()}, {os.cpu_count()} cores; PSS of all processes")
    return "\n".join(lines + [ABSENT] * (len(rows) == 1))


def result(rows: dict[str, Row]) -> dict:
    """The figures for programs; what was not measured is None."""
    ours, told = rows["ours"], {}
    for name in RIVALS:
        key, row = name.replace(" ", "_"), rows.get(name)
        told[f"cpu_ratio_{key}"] = row and row.cpu / ours.cpu
        told[f"cpu_ratio_one_more_{key}"] = row and row.more / ours.more
    return {
        **told,
        "cpu_per_submission": {name: row.cpu for name, row in rows.items()},
        "cpu_of_one_more": {name: row.more for name, row in rows.items()},
        "wall_per_submission": {name: row.wall for name, row in rows.items()},
        "peak_mib": {name: row.cost.peak for name, row in rows.items()},
        "submissions": {name: row.count for name, row in rows.items()},
        "date": str(date.today()),
        "cores": os.cpu_count(),
    }


def _ours(folder: Path, count: int) -> Cost:
    """Grade a class of so many with the course's own grader."""
    known = write_losses(folder / "class", count)
    cost = _graded(folder, "dpo_loss")
    with open(folder / "out" / "grades.csv", encoding="utf-8") as file:
        marks = {row["submission"]: row["status"] for row in csv.DictReader(file)}
    found = {Path(n).stem: status == "passed" for n, status in marks.items()}
    _demand("ours", found, known, cost)
    return cost


def _graded(folder: Path, *exercises: str) -> Cost:
    command = [sys.executable, "-m", "course_lib", "grade", str(folder / "class")]
    command += ["--out", str(folder / "out")]
    for name in exercises:
        command += ["--exercise", name]
    there = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository())}
    cost = metered(command, cwd=folder, env=there)
    if cost.code:
        raise CourseError(f"The grader failed:\n{cost.said}")
    return cost


def _rival(folder: Path, name: str, count: int, rivals: Path) -> Cost:
    """Let a rival grade a class of so many."""
    folder.mkdir()
    rival, env = RIVALS[name], child_env(folder, rivals)
    command = rival.prepare(folder, count)
    _aside(rival.before, folder, env)
    cost = metered(command, cwd=folder, env=env)
    _aside(rival.after, folder, env)
    known = write_losses(folder / "known", count)
    _demand(name, rival.right(folder), known, cost)
    return cost


def _aside(command: Sequence[str], folder: Path, env: dict[str, str]):
    """Run what has to be run and is not measured."""
    if command:
        run = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if run.returncode:
            said = run.stdout.decode(errors="replace")[-2000:]
            raise CourseError(f"{' '.join(command)} failed:\n{said}")


def _demand(name: str, found: dict, known: dict[str, bool], cost: Cost):
    """Right is right and wrong is wrong, or the figures mean nothing."""
    wrong = [n for n, right in known.items() if found.get(n) is not right]
    if wrong:
        raise CourseError(
            f"{name} does not say what is so of {', '.join(wrong[:5])} "
            f"({len(wrong)} of {len(known)}), exit code {cost.code}:\n{cost.said}"
        )


def _class(learners: int) -> dict:
    """Grade a whole chapter's pages, and nothing else."""
    with TemporaryDirectory(prefix="course-bench-") as place:
        folder = Path(place)
        write_chapter(folder / "class", learners, CHAPTER)
        cost = _graded(folder)
        print(*(line for line in cost.said.splitlines() if " marks: " in line))
    parts = sorted(cost.parts, key=lambda part: -part[1])
    told = {"learners": learners, "chapter": CHAPTER, "wall": cost.wall}
    return told | {"cpu": cost.cpu, "peak_mib": cost.peak, "parts": parts}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m course_lib bench grading",
        description="Measure what it costs to grade a submission, beside "
        "otter-grader and nbgrader if they are there: some minutes.",
    )
    add = parser.add_argument
    add("--json", action="store_true", help="the figures as one last line")
    add(
        "--submissions",
        type=int,
        metavar="N",
        help=f"of each grader (default: {OURS} for ours, {THEIRS} for the others)",
    )
    add(
        "--class",
        type=int,
        dest="learners",
        metavar="N",
        help=f"only grade N pages of chapter {CHAPTER} with ours, all its exercises",
    )
    return parser
