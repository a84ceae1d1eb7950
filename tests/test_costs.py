"""What a chapter costs to run: measured for every chapter, and as its head says."""

import re

import pytest
from reading import read

from course_lib.workspace import notebooks
from course_tools.benchmarks import pages

MEASURED = {row["chapter"]: row for row in pages.stored()}
CHAPTERS = notebooks("notebooks")


def test_every_chapter_is_measured_once():
    assert list(MEASURED) == [path.name[:2] for path in CHAPTERS]
    assert len(pages.stored()) == len(MEASURED)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_head_says_about_what_was_measured(path):
    """Rounded up to what a laptop takes, and by no more than a half."""
    head = read(path).cells[0].source
    said = int(re.search(r"(\d+) s to run", " ".join(head.split()))[1])
    row = MEASURED[path.name[:2]]
    assert 0.5 * said < float(row["cpu_seconds"]) <= said
    assert 100 < float(row["peak_mib"]) < 8_000


def test_what_is_measured_is_kept_and_other_chapters_stay(monkeypatch, tmp_path):
    monkeypatch.setattr(pages, "FILE", tmp_path / "costs.csv")
    costs = {"cpu": 8.04, "wall": 9.0, "peak": 300.2, "parts": [], "said": ""}
    for seconds, chapters in ((8.04, ["00", "01"]), (7.0, ["01"])):
        cost = pages._processes.Cost(**{**costs, "cpu": seconds}, code=0)
        metered = lambda *_, cost=cost, **__: cost  # noqa: E731
        monkeypatch.setattr(pages._processes, "metered", metered)
        figures = pages.measure(only=chapters, write=True)
    kept = [(row["chapter"], row["cpu_seconds"]) for row in pages.stored()]
    assert kept == [("00", "8"), ("01", "7")]
    assert pages.table(figures).splitlines()[2].split()[:4] == ["01", "7", "9", "300"]
    failed = pages._processes.Cost(**costs, code=1)
    monkeypatch.setattr(pages._processes, "metered", lambda *_, **__: failed)
    assert pages.measure(only=["00"]) == figures  # what does not run here stays
