"""Public preference data: how much there is, who judged, and in what form."""

from typing import NamedTuple

from course_lib.datasets import table_rows
from course_lib.table import Table

__all__ = ["PreferenceSet", "preference_sets", "preference_sets_table"]


class PreferenceSet(NamedTuple):
    """One published data set. What a row of it is differs: see `unit`."""

    name: str
    train: int
    test: int | None
    unit: str  # of a row: pairs, rankings, answers, messages
    labels: str  # who judged
    form: str
    checked: str  # where the counts were read, and how exact they are


def preference_sets() -> list[PreferenceSet]:
    """The sets that tutorials name most, with counts that were looked up.

    >>> [s.name for s in preference_sets() if s.unit == "messages"]
    ['OpenAssistant/oasst1']
    """
    rows = table_rows("preference_sets")
    for row in rows:
        row["train"] = int(row["train"])
        row["test"] = int(row["test"]) if row["test"] else None
    return [PreferenceSet(**row) for row in rows]


def preference_sets_table(column: str = "form") -> Table:
    """Counts and judges, and one more column.

    column: "form" or "checked"
    raises: ValueError for another column
    """
    if column not in ("form", "checked"):
        raise ValueError(f"column must be 'form' or 'checked', got {column!r}")
    found = preference_sets()
    rows = [(s.name, s.train, s.test, s.unit, s.labels) for s in found]
    if column == "form":
        head = ["data set", "train", "test", "a row is", "judged by"]
        return Table("Public preference data", head, rows, ",d")
    told = [(s.name, s.form, s.checked) for s in found]
    head = ["data set", "what a row looks like", "where the counts were read"]
    return Table("What is in a row", head, told)
