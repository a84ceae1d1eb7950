"""Graders of the exercise `dpo_loss`: ours, and two with plain torch as tests.

The others live in an environment of their own: what they need conflicts with the
course's. Each grader here writes the files that it needs, and says afterwards who was
right.
"""

import csv
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from course_lib.workspace import repository
from course_tools.benchmarks._pages import page
from course_tools.benchmarks._processes import side_environment
from course_tools.benchmarks.grading.classes import IMPORTS, losses
from course_tools.build import BEGIN, END

__all__ = ["CHECKS", "GRADERS", "Grader", "child_env", "grade", "home"]

CHECKS = {  # six properties of the exercise, in words that every grader understands
    "at_the_start": """
four = torch.tensor([[-4.0, -9.0], [-7.0, -2.0], [-4.0, -9.0], [-7.0, -2.0]])
assert abs(dpo_loss(*four, 0.1).item() - 0.6931472) < 1e-5
""",
    "worked_example": """
four = torch.tensor([[-1.0, -6.0], [-3.0, -2.0], [-2.0, -3.0], [-2.0, -4.0]])
assert abs(dpo_loss(*four, 0.5).item() - 1.4460807) < 1e-5
""",
    "beta_once": """
four = torch.tensor([[-1.0], [-3.0], [-2.0], [-2.0]])
assert abs(dpo_loss(*four, 0.1).item() - 0.5981389) < 1e-5
assert abs(dpo_loss(*four, 0.5).item() - 0.3132617) < 1e-5
""",
    "large_margin": """
four = torch.tensor([[-5000.0], [0.0], [0.0], [0.0]], requires_grad=True)
value = dpo_loss(*four, 0.5)
slope = torch.autograd.grad(value, four)[0][0]
assert abs(value.item() - 2500) < 0.01
assert abs(slope.item() + 0.5) < 1e-5
""",
    "gradient": """
four = torch.tensor([[-1.0, -6.0], [-3.0, -2.0], [-2.0, -3.0], [-2.0, -4.0]])
four = four.requires_grad_()
slopes = torch.autograd.grad(dpo_loss(*four, 0.5), four)[0]
push = 0.25 * torch.sigmoid(torch.tensor([-1.0, 2.5]))
assert torch.allclose(slopes[0], -push)
assert torch.allclose(slopes[1], push)
""",
    "random_values": """
_ = torch.manual_seed(11)
four = 4 * torch.randn(4, 7, dtype=torch.float64) - 20
gap = (four[0] - four[2]) - (four[1] - four[3])
must = torch.nn.functional.softplus(-1.5 * gap).mean()
assert torch.allclose(dpo_loss(*four, 1.5), must)
""",
}
AT_ONCE = """
from pathlib import Path
import otter.run

for path in Path("class").iterdir():
    out = Path("out", path.stem)
    out.mkdir(parents=True)
    otter.run.main(str(path), autograder="otter.zip", output_dir=str(out), no_logo=True)
"""
EACH = """
for path in class/*.ipynb; do
    out=out/$(basename $path .ipynb)
    mkdir -p $out
    otter run --no-logo -a otter.zip -o $out $path || exit 1
done
"""
NBGRADER = """
c = get_config()
c.CourseDirectory.course_id = "course"
c.ExecutePreprocessor.timeout = 300
"""


def home() -> Path | None:
    """The others' environment: COURSE_RIVALS or `.rivals`; None if it lacks one."""
    programs = ("bin/otter", "bin/nbgrader")
    return side_environment("COURSE_RIVALS", ".rivals", *programs)


def child_env(folder: Path, name: str) -> dict[str, str]:
    """Variables for a grader's commands; for the others, also empty settings."""
    if name == "ours":
        return {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository())}
    settings = folder / "settings"
    settings.mkdir(exist_ok=True)
    own = ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")
    own += ("JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR")
    return {
        **dict.fromkeys(own, str(settings)),
        "PATH": f"{home() / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": "",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


class Grader(NamedTuple):
    """prepare: write what it needs beside `class/`, where the notebooks of so many are,
    and give the command to be measured there; right: who was right, after that command

    before, after: other commands that have to be run, and are not measured
    """

    prepare: Callable[[Path, int], list[str]]
    right: Callable[[Path], dict[str, bool]]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


# ── ours ──────────────────────────────────────────────────────────────────────────────


def grade(folder: Path, *exercises: str) -> list[str]:
    """The command that grades the class in a folder, in all exercises or in some."""
    command = [sys.executable, "-m", "course_lib", "grade", str(folder / "class")]
    chosen = [word for name in exercises for word in ("--exercise", name)]
    return [*command, "--out", str(folder / "out"), *chosen]


def _ours_right(folder: Path) -> dict[str, bool]:
    with open(folder / "out" / "grades.csv", encoding="utf-8") as file:
        return {
            Path(row["submission"]).stem: row["status"] == "passed"
            for row in csv.DictReader(file)
        }


# ── otter-grader ──────────────────────────────────────────────────────────────────────


def _otter(*command: str) -> Callable[[Path, int], list[str]]:
    """Write the autograder that `otter run` wants, and run this command."""

    def prepare(folder: Path, count: int) -> list[str]:
        settings = {"print_summary": False, "print_score": False}
        with zipfile.ZipFile(folder / "otter.zip", "w") as archive:
            archive.writestr("otter_config.json", json.dumps(settings))
            for name, code in CHECKS.items():
                archive.writestr(f"tests/{name}.py", _otter_test(name, code))
        return list(command)

    return prepare


def _otter_test(name: str, code: str) -> str:
    shell = "\n".join(f">>> {line}" for line in code.strip().splitlines())
    case = {"code": shell, "hidden": False, "locked": False}
    suite = {"cases": [case], "scored": True, "setup": "", "teardown": ""}
    test = {"name": name, "points": 1, "suites": [{**suite, "type": "doctest"}]}
    return f"OK_FORMAT = True\ntest = {test!r}\n"


def _otter_right(folder: Path) -> dict[str, bool]:
    found = {}
    for path in (folder / "out").glob("*/results.json"):
        tests = json.loads(path.read_text())["tests"]
        scores = [t["score"] == t["max_score"] for t in tests if t.get("max_score")]
        found[path.parent.name] = len(scores) == len(CHECKS) and all(scores)
    return found


# ── nbgrader ──────────────────────────────────────────────────────────────────────────


def _nbgrader(folder: Path, count: int) -> list[str]:
    """A course with one assignment, already handed out and handed in."""
    (folder / "nbgrader_config.py").write_text(NBGRADER)
    made = losses(count)
    region = f"def dpo_loss(a, b, c, d, beta):\n    {BEGIN}\n    pass\n    {END}"
    _put(folder / "source" / "one", region)
    for name, (code, _) in made.items():
        _put(folder / "submitted" / name / "one", code)
    return ["nbgrader", "autograde", "one", "--create", "--log-level=ERROR"]


def _put(folder: Path, code: str):
    kind = {"locked": False, "schema_version": 3, "task": False}
    answer = {**kind, "grade": False, "solution": True, "grade_id": "answer"}
    test = {**kind, "grade": True, "solution": False, "locked": True, "points": 1}
    metadata = [{"nbgrader": answer}]
    metadata += [{"nbgrader": {**test, "grade_id": name}} for name in CHECKS]
    cells = [IMPORTS, code, *(text.strip() for text in CHECKS.values())]
    folder.mkdir(parents=True)
    (folder / "dpo_loss.ipynb").write_text(page(cells, [{}, *metadata]))


def _nbgrader_right(folder: Path) -> dict[str, bool]:
    with open(folder / "grades.csv", encoding="utf-8") as file:
        return {
            row["student_id"]: float(row["score"]) == float(row["max_score"]) > 0
            for row in csv.DictReader(file)
        }


GRADERS = {
    "ours": Grader(lambda folder, _: grade(folder, "dpo_loss"), _ours_right),
    "otter": Grader(_otter("python", "-c", AT_ONCE), _otter_right),
    "otter run": Grader(_otter("sh", "-c", EACH), _otter_right),
    "nbgrader": Grader(
        _nbgrader,
        _nbgrader_right,
        ("nbgrader", "generate_assignment", "one", "--create", "--log-level=ERROR"),
        ("nbgrader", "export", "--to=grades.csv", "--log-level=ERROR"),
    ),
}
