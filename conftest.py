"""The surroundings of every test: no network, one thread, a work folder of its own."""

import atexit
import os
import sys
import tempfile
import time
from functools import cached_property
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "tests"
_work = tempfile.TemporaryDirectory(prefix="course-work-")
atexit.register(_work.cleanup)

# Kernels and commands that a test starts inherit these.
os.environ["COURSE_WORK"] = _work.name
os.environ["COURSE_PLAIN_FIGURES"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PYTHONPATH"] = str(TESTS / "offline")
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"  # or transformers would ask before it looks
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
sys.path[:0] = [str(TESTS / "offline"), str(TESTS)]
import sitecustomize  # noqa: E402, F401  (the same wall for this process)

from course_lib.optional import missing_packages  # noqa: E402
from course_tools.browser import trouble  # noqa: E402

pytest_plugins = ["pages", "progress"]
collect_ignore = ["tests/trl_losses.py"]  # a program for another environment

# Where the minutes go, the longest first: no core shall end up with one of these when
# the others have nothing left to do. The rest takes under half a minute a file.
BROWSER = "tests/test_browser.py"
LESSONS = f"{BROWSER}::test_every_chapter_runs_and_its_sliders_move"
LONG = ["test_browser", "07_training.ipynb", "notebooks/09", "notebooks/10"]
LONG += ["test_exercises", "notebooks/0"]
LONG += ["test_red_team", "test_marking", "test_training", "test_contributing"]
LONG += ["test_style", "test_plots", "test_failures", "test_remaking", "test_grade.py"]
LONG += ["test_handout", "test_sliders", "test_teaching_guide"]
WORKERS = 8  # at most: a file is not divided, and the longest is an eighth of the whole


def slowness() -> float:
    """How much slower than on an idle computer a fixed sum is just now; at least 1."""
    began = time.monotonic()
    sum(number * number for number in range(3_000_000))
    return max(1.0, (time.monotonic() - began) / 0.25)


def pytest_addoption(parser):
    words = "also what is marked thorough: more seeds, mutants and levels of isolation"
    parser.addoption("--thorough", action="store_true", help=words)


def pytest_configure(config):
    config.option.patience = slowness()
    if config.option.thorough:
        os.environ["COURSE_THOROUGH"] = (
            "1"  # for kernels: see tests/offline/watching.py
        )
    config.option.nbval_cell_timeout *= config.option.patience


def pytest_xdist_auto_num_workers(config) -> int | None:
    """A process for each core, if there are files for them; none for one file.

    Tests also wait, for a browser or a limit, but a process more costs what it imports.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    if config.option.capture == "no" or config.option.trace:
        return 0  # what is printed, and a debugger, need the process that was started
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    asked = {Path(arg.partition("::")[0]) for arg in config.args}
    files = len(asked) if all(path.is_file() for path in asked) else WORKERS
    return min(cores, files, WORKERS) if files > 1 else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Divide by files; the lessons go with the browser that runs them."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduler(LoadFileScheduling):
        @cached_property
        def browsed(self) -> set[str]:
            """The lessons that a browser runs, and nbval then only compares."""
            asked = [test for test in self.collection if test.startswith(LESSONS)]
            names = {test.partition("[")[2].rstrip("]") for test in asked}
            return set() if trouble() else {f"notebooks/{name}.ipynb" for name in names}

        def _split_scope(self, test):
            file = super()._split_scope(test)
            return BROWSER if file in self.browsed else file

    return Scheduler(config, log) if config.option.dist == "loadfile" else None


def pytest_collection_modifyitems(config, items):
    """Pages, run by nbval, are slow by nature; what takes longest is begun first."""
    if not config.option.thorough:
        left = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in {*left}]

    def rank(item):
        return next((n for n, name in enumerate(LONG) if name in item.nodeid), 99)

    items.sort(key=rank)
    lacking = missing_packages("production") or missing_packages("instruct")
    for item in items:
        if lacking and "09_production" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason=lacking))
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def patience(pytestconfig) -> float:
    """By what a limit of seconds is multiplied on this computer."""
    return pytestconfig.option.patience


@pytest.fixture
def work_folder(tmp_path, monkeypatch) -> Path:
    """An empty `my_work/` for one test."""
    folder = tmp_path / "my_work"
    folder.mkdir()
    monkeypatch.setenv("COURSE_WORK", str(folder))
    return folder
