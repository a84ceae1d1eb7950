"""Where each topic of a full course on DPO is taught: `notebooks/coverage.csv`.

A row has the topic's number, its name, a chapter and a passage of that chapter's lesson
or exercises that teaches it (or corrects what is said of it elsewhere). Topics of
chapters that are not written yet have no chapter.
"""

import csv

import pytest
from reading import read

from course_lib.workspace import notebooks, repository

TABLE = repository() / "notebooks" / "coverage.csv"
with open(TABLE, encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))
TAUGHT = [row for row in ROWS if row["chapter"]]


def text(chapter: str) -> str:
    pages = [p for f in ("notebooks", "solutions") for p in notebooks(f)]
    pages = [read(path) for path in pages if path.name.startswith(chapter)]
    return " ".join(" ".join(cell.source.split()) for p in pages for cell in p.cells)


TEXTS = {chapter: text(chapter) for chapter in {row["chapter"] for row in TAUGHT}}


def test_every_topic_is_listed_once_in_order():
    assert [int(row["topic"]) for row in ROWS] == list(range(1, 139))
    assert len({row["what"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", TAUGHT, ids=lambda row: row["topic"])
def test_a_topic_is_taught_where_the_table_says(row):
    assert len(row["passage"]) >= 12
    assert row["passage"] in TEXTS[row["chapter"]]


def test_the_chapters_that_are_written_teach_their_share():
    by_chapter = {c: sum(r["chapter"] == c for r in TAUGHT) for c in TEXTS}
    assert set(by_chapter) == {path.name[:2] for path in notebooks("notebooks")}
    assert len(TAUGHT) >= 90
