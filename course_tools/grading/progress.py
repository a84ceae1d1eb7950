"""Progress over weeks: several reports of one class, side by side."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean

from course_tools.grading import pages
from course_tools.grading.folder import write
from course_tools.grading.points import Book, Standing
from course_tools.grading.tables import table

__all__ = ["Row", "side_by_side", "write_progress"]


@dataclass(frozen=True)
class Row:
    """One learner in all reports; None where there is nothing of them."""

    name: str
    id: str
    lines: tuple[Standing | None, ...]

    @property
    def shares(self) -> list[float | None]:
        """Of the points that there were, in percent."""
        return [100 * o.total / o.most if o and o.most else None for o in self.lines]

    @property
    def changes(self) -> list[float | None]:
        """To the report before, in percentage points; None for the first."""
        shares = self.shares
        pairs = pairwise(shares)
        return [None, *(None if None in pair else pair[1] - pair[0] for pair in pairs)]


def write_progress(out: Path, names: Sequence[str], books: Sequence[Book]):
    """Write progress.csv and progress.html.

    names: of the reports, the earliest first, as `books`
    """
    rows = side_by_side(books)
    shares = zip(*(row.shares for row in rows), strict=True)
    means = [mean([s for s in each if s is not None] or [0]) for each in shares]
    columns = ["learner", "id"]
    for place, name in enumerate(names):
        columns += [f"{name} total", f"{name} max", f"{name} %"]
        columns += [f"{name} change"] * bool(place)
    write(out / "progress.csv", table(columns, [_cells(names, row) for row in rows]))
    write(out / "progress.html", pages.progress(names, rows, means))


def _cells(names: Sequence[str], row: Row) -> dict:
    found = {"learner": row.name, "id": row.id}
    for name, one, share, change in zip(
        names, row.lines, row.shares, row.changes, strict=True
    ):
        found[f"{name} total"] = one.total if one else None
        found[f"{name} max"] = one.most if one else None
        found[f"{name} %"] = share
        found[f"{name} change"] = change
    return found


def side_by_side(books: Sequence[Book]) -> list[Row]:
    """Everybody once, in the order of their first report.

    People are known again by name and number. Moodle gives the same person another
    number in each assignment, and a file's name gives none; there the name alone will
    do, if no two people in these reports share it.
    """
    twice = {
        name
        for book in books
        for name, count in Counter(one.learner.name for one in book.lines).items()
        if count > 1
    }
    people: dict[tuple[str, str], list[Standing | None]] = {}
    for place, book in enumerate(books):
        for one in book.lines:
            who = one.learner.who
            if who not in people and one.learner.name not in twice:
                who = next((w for w in people if _alike(people[w], one)), who)
            people.setdefault(who, [None] * len(books))[place] = one
    return [Row(*who, tuple(lines)) for who, lines in people.items()]


def _alike(lines: Sequence[Standing | None], other: Standing) -> bool:
    """Whether a person without a stable number may be the one of these lines."""
    return any(
        one.learner.name == other.learner.name
        and (
            {one.learner.platform, other.learner.platform} == {"moodle"}
            or not (one.learner.id and other.learner.id)
        )
        for one in lines
        if one
    )
