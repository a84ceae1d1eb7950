"""The house stands: floors, pins, tidy code, and no word of where it was built."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest

from course_lib.workspace import repository

ROOT = repository()
OURS = ["course_lib", "tests", "notebooks", "solutions"]  # not a learner's own files

# From the ground up. A module imports only modules that stand before it.
FLOORS = {
    "mathematics": [
        "arguments",
        "preferences",
        "policies",
        "logprobs",
        "losses",
        "beta",
        "clinic",
    ],
    "worlds": ["datasets", "models", "batches", "worlds"],
    "training": [
        "tabular",
        "evaluation",
        "objectives",
        "optima",
        "guide",
        "machinery",
        "baselines",
        "training",
        "reviews",
        "instruct",
    ],
    "pictures": [
        "figures.style",
        "figures.bradley_terry",
        "figures.optimal_policy",
        "figures.partition_function",
        "figures.dpo_loss",
        "figures.beta",
        "figures.frontier",
        "figures.variants",
        "figures.shapes",
        "figures.guide",
        "figures.training",
        "figures.reviews",
        "figures",
        "sliders.controls",
        "sliders.painting",
        "sliders.filmstrip",
        "sliders.live",
        "sliders",
    ],
    "teaching": [
        "workspace",
        "observing",
        "loading",
        "exercises.specification",
        "exercises.start_here",
        "exercises.bradley_terry",
        "exercises.optimal_policy",
        "exercises.partition_function",
        "exercises.pairs",
        "exercises.dpo_loss",
        "exercises.response_logprobs",
        "exercises.clinic",
        "exercises.beta",
        "exercises.ipo",
        "exercises.without_reference",
        "exercises.unpaired",
        "exercises.label_noise",
        "exercises.rankings",
        "exercises.divergences",
        "exercises.sentence_tree",
        "exercises.shared_rows",
        "exercises.policy_gradient",
        "exercises",
        "judging",
        "cards",
        "checking",
    ],
    "staff": [
        "environment",
        "doctor",
        "authoring",
        "grading.wire",
        "grading.scratch",
        "grading.harness",
        "grading.zygote",
        "grading.launching",
        "grading.talking",
        "grading.sandbox",
        "grading.isolation",
        "grading.submissions",
        "grading.marking",
        "grading.batch",
        "grading.statistics",
        "grading.pages",
        "grading.report",
        "grading.options",
        "grading.command",
        "grading",
        "browser",
        "remaking.references",
        "remaking.frontier",
        "remaking.variants",
        "remaking.corpus",
        "remaking.reviews",
        "remaking",
        "bench.alternatives",
        "bench.sliders",
        "bench.metering",
        "bench.classes",
        "bench.rivals",
        "bench.grading",
        "bench.trainer_steps",
        "bench.trainer_trl",
        "bench.trainer_memory",
        "bench.trainer_gpu",
        "bench.trainer",
        "bench",
        "__main__",
    ],
}
ORDER = [module for floor in FLOORS.values() for module in floor]


def imports_of(module: str) -> set[str]:
    """Modules of the course that this one's source imports, wherever it does so."""
    path = ROOT / "course_lib" / (module.replace(".", "/") + ".py")
    if not path.exists():
        path = path.with_suffix("") / "__init__.py"
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {f"course_lib.{name}" for name in ORDER}
            found |= (inside & known) or {node.module}
    return {n.removeprefix("course_lib.") for n in found if n.startswith("course_lib.")}


def test_every_module_stands_on_a_floor():
    files = (ROOT / "course_lib").rglob("*.py")
    names = {
        ".".join(f.relative_to(ROOT / "course_lib").with_suffix("").parts)
        for f in files
    }
    names = {name.removesuffix(".__init__") for name in names} - {"__init__"}
    assert names == set(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_imports_go_down_only(module):
    below = set(ORDER[: ORDER.index(module)])
    assert imports_of(module) <= below


def test_imports_are_seen_at_all():
    assert "preferences" in imports_of("losses")
    assert "exercises" in imports_of("checking")


def test_the_package_alone_imports_nothing_heavy():
    code = "import sys, course_lib, course_lib.__main__; print('torch' in sys.modules)"
    run = [sys.executable, "-c", code]
    answer = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_every_public_name_can_be_imported_from_the_package():
    import course_lib
    from course_lib import checking, losses, preferences

    assert course_lib.check is checking.check
    assert course_lib.dpo_loss is losses.dpo_loss
    assert course_lib.preference_probability is preferences.preference_probability
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = course_lib.no_such_name


def pins(file: str = "requirements.txt") -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    pinned = (line.partition(";")[0] for line in lines)  # without its platform
    return dict(line.split("==") for line in pinned if "==" in line)


def test_requirements_are_pinned_exactly_and_installed():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-e"))]
    assert len(wanted) == len(pins())
    assert pins()["torch"] == "2.13.0"
    for name, pin in pins().items():
        assert version(name).split("+")[0] == pin


def test_everything_imported_is_a_declared_dependency():
    files = ("requirements.txt", "requirements-browser.txt", "requirements-trl.txt")
    packages = {package for file in files for package in pins(file)}
    declared = {package.replace("-", "_") for package in packages}
    declared |= {"course_lib", "IPython", "nbclient", "sitecustomize"}
    helpers = {path.stem for path in (ROOT / "tests").iterdir()}
    for path in [p for f in ("course_lib", "tests") for p in (ROOT / f).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in {n.split(".")[0] for n in names}:
                known = name in sys.stdlib_module_names or name in declared | helpers
                assert known, f"{path.name} imports {name}"


@pytest.mark.parametrize("words", [["check"], ["format", "--check"]])
def test_ruff_is_content(words):
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *words, *OURS],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:]


def tracked_texts():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png", ".pt"):
            yield name, path.read_text(encoding="utf-8")


def test_no_path_of_a_machine_and_no_host_of_a_registry():
    # built from pieces, so that this file does not find itself
    words = [
        "/ro" + "ot/",
        "/wo" + "rk/",
        "/ho" + "me/",
        "C:" + "\\Users",
        "py" + "pi.org",
    ]
    words += ["files.python" + "hosted", "../sha" + "red"]
    found = [(n, w) for n, text in tracked_texts() for w in words if w in text]
    assert not found


def test_the_readme_names_the_two_commands_and_the_version_is_one():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python3 -m course_lib lab" in readme
    assert "python3 -m course_lib test" in readme
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(project['version'])}$", citation, re.M)
    assert project["version"] in changelog


def test_continuous_integration_calls_the_readme_s_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    assert "python3 -m course_lib test" in script
