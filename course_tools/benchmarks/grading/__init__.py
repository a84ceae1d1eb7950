"""What it costs to grade a submission, beside other graders.

The same functions `dpo_loss`, seven of ten right, go to every grader, one grader after
another. Each must find right what is right and wrong what is wrong, or there are no
figures. CPU is user and system time of all processes that a grader starts, start-up
included, divided by the submissions; `one more` is what a submission adds to a class
that is being graded already: the difference between two classes, divided by theirs.
Memory is the largest sum of PSS over those processes, looked at ten times a second.
"""

import os
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from course_lib.workspace import CourseError
from course_tools.benchmarks import columns
from course_tools.benchmarks._processes import Cost, aside, metered
from course_tools.benchmarks.grading.classes import write_chapter, write_losses
from course_tools.benchmarks.grading.graders import GRADERS, child_env, grade, home

__all__ = ["OPTIONS", "measure", "table"]

CHAPTER = "04"  # of --class
SIZES = {  # submissions: of the class that is told of, and of another, for `one more`
    "ours": (300, 40),
    "otter": (10, 1),
    "otter run": (3, 1),  # which starts afresh for every one
    "nbgrader": (10, 1),
}
RATIOS = {"cpu_ratio": "cpu_per_submission", "cpu_ratio_one_more": "cpu_of_one_more"}
ABSENT = (
    "otter-grader and nbgrader are not measured: make an environment for them with "
    "python3 -m venv .rivals && .rivals/bin/python -m pip install -r "
    "requirements/rivals.txt, or let COURSE_RIVALS name one."
)
OPTIONS = {
    "--submissions": {
        "type": int,
        "metavar": "N",
        "help": "of each grader (default: a class of 300 for ours, 10 for the others)",
    },
    "--class": {
        "type": int,
        "dest": "learners",
        "metavar": "N",
        "help": f"only grade N pages of chapter {CHAPTER} with ours, all its exercises",
    },
}


def measure(submissions: int | None = None, learners: int | None = None) -> dict:
    """Each grader's figures, by its name; what was not measured is None.

    submissions: for all the same; learners: grade so many whole pages with ours instead
    raises: CourseError if two graders disagree, or if one fails
    """
    with TemporaryDirectory(prefix="course-bench-") as place:
        folder = Path(place)
        if learners:
            return _chapter(folder, learners)
        graded(folder / "warm", "ours", 1)  # files that nobody has read yet cost more
        rows = {}
        for name in GRADERS if home() else ("ours",):
            count, other = SIZES[name]
            if submissions and name == "ours":
                count, other = submissions, 5 * submissions
            elif submissions and name != "otter run":
                count = max(submissions, 2)
            costs = {
                size: graded(folder / f"{name} {size}", name, size)
                for size in sorted((count, other))
            }
            cost, beside = costs[count], costs[other]
            rows[name] = {
                "cpu_per_submission": cost.cpu / count,
                "cpu_of_one_more": (cost.cpu - beside.cpu) / (count - other),
                "wall_per_submission": cost.wall / count,
                "peak_mib": cost.peak,
                "submissions": count,
            }
    return result(rows)


def result(rows: dict[str, dict[str, float]]) -> dict:
    """The figures of all graders, each figure by grader, and their ratios to ours."""
    told = {key: {name: rows[name][key] for name in rows} for key in rows["ours"]}
    for ratio, of in RATIOS.items():
        for name in list(GRADERS)[1:]:
            known = told[of].get(name)
            key = f"{ratio}_{name.replace(' ', '_')}"
            told[key] = known and known / told[of]["ours"]
    return told | {"date": str(date.today()), "cores": os.cpu_count()}


def table(told: dict) -> str:
    """The figures for people."""
    if "learners" in told:
        said = "{learners} pages of chapter {chapter}: {wall:.0f} s, {cpu:.0f} s of CPU"
        head = (said + ", at most {peak_mib:.0f} MiB at once").format(**told)
        parts = [f"  {mib:6.0f} MiB  {name}" for name, mib in told["parts"]]
        return "\n".join([*told["marks"], head, *parts])
    head = ("", "submissions", "CPU s each", "ratio", "one more", "ratio")
    rows = [(*head, "wall s each", "peak MiB")]
    cpu, more = told["cpu_per_submission"], told["cpu_of_one_more"]
    for name in GRADERS:
        if name not in cpu:
            rows.append((name, "not measured"))
            continue
        costs = f"{cpu[name]:.3f}", f"{cpu[name] / cpu['ours']:.1f}"
        costs += f"{more[name]:.3f}", f"{more[name] / more['ours']:.1f}"
        wall, peak = told["wall_per_submission"][name], told["peak_mib"][name]
        count = str(told["submissions"][name])
        rows.append((name, count, *costs, f"{wall:.3f}", f"{peak:.0f}"))
    foot = f"{told['date']}, {told['cores']} cores; PSS of all processes"
    return "\n".join([columns(rows), foot, *[ABSENT] * (len(cpu) == 1)])


def graded(folder: Path, name: str, count: int) -> Cost:
    """What a grader costs that grades a class of so many.

    raises: CourseError if it does not find right what is right, and wrong the rest
    """
    grader = GRADERS[name]
    known, env = write_losses(folder / "class", count), child_env(folder, name)
    command = grader.prepare(folder, count)
    if grader.before:
        aside(grader.before, cwd=folder, env=env)
    cost = metered(command, cwd=folder, env=env)
    if grader.after:
        aside(grader.after, cwd=folder, env=env)
    demand(name, {} if cost.code else grader.right(folder), known, cost)
    return cost


def demand(name: str, found: dict, known: dict[str, bool], cost: Cost):
    """Right is right and wrong is wrong, or the figures mean nothing."""
    wrong = [n for n, right in known.items() if found.get(n) is not right]
    if wrong:
        raise CourseError(
            f"{name} does not say what is so of {', '.join(wrong[:5])} "
            f"({len(wrong)} of {len(known)}), exit code {cost.code}:\n{cost.said}"
        )


def _chapter(folder: Path, learners: int) -> dict:
    """Grade a whole chapter's pages, and nothing else."""
    write_chapter(folder / "class", learners, CHAPTER)
    cost = metered(grade(folder), cwd=folder, env=child_env(folder, "ours"))
    if cost.code:
        raise CourseError(f"The grader failed:\n{cost.said}")
    told = {"learners": learners, "chapter": CHAPTER, "wall": cost.wall}
    told |= {"cpu": cost.cpu, "peak_mib": cost.peak}
    told["marks"] = [line for line in cost.said.splitlines() if " marks: " in line]
    return told | {"parts": sorted(cost.parts, key=lambda part: -part[1])}
