"""The surroundings of every test: no network, one thread, a work folder of its own."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

OFFLINE = Path(__file__).parent / "offline"
_work = tempfile.TemporaryDirectory(prefix="course-work-")

# Kernels and commands that a test starts inherit these.
os.environ["COURSE_WORK"] = _work.name
os.environ["COURSE_PLAIN_FIGURES"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PYTHONPATH"] = str(OFFLINE)
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
sys.path.insert(0, str(OFFLINE))
import sitecustomize  # noqa: E402, F401  (the same wall for this process)
import torch  # noqa: E402

torch.set_num_threads(1)
collect_ignore = ["trl_losses.py"]  # a program for another environment


def pytest_collection_modifyitems(items):
    """Notebook cells, run by nbval, are slow by nature."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def work_folder(tmp_path, monkeypatch) -> Path:
    """An empty `my_work/` for one test."""
    folder = tmp_path / "my_work"
    folder.mkdir()
    monkeypatch.setenv("COURSE_WORK", str(folder))
    return folder
