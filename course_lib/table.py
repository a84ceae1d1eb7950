"""Tables that a notebook shows as HTML, and everything else as aligned text."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["Table"]

MARKS = {"best": "◆", "tie": "="}  # behind a number; the caption says what they mean
PAGE, LEAST = 88, 12  # letters in a line of text, and in a column of words
KEY = "◆ best of its column, = as good within the spread"


class Table:
    """Rows under a caption: an HTML table in a notebook, plain text elsewhere.

    caption: what the numbers are, in which unit
    head: the names of the columns; the first column names the rows
    rows: one sequence of cells a row; a number is written as its column's form says
        and set to the right, None leaves a cell empty, all else is written by `str`
    form: how numbers are written, as for `format`; one for all columns, or one for
        each column but the first
    marks: by (row, column), each from 0: "best" or "tie"
    fold: a line behind which a notebook folds the table away, "" for none
    raises: ValueError for a row, or for forms, of another length than the head

    >>> print(Table("KL, nats", ["β", "SGD", "Adam"], [(0.5, 0.894, -1)], form=".2f"))
    KL, nats
      β   SGD   Adam
    0.5  0.89  −1.00
    """

    def __init__(
        self,
        caption: str,
        head: Sequence[str],
        rows: Sequence[Sequence[Any]],
        form: str | Sequence[str] = ".3f",
        marks: Mapping[tuple[int, int], str] | None = None,
        fold: str = "",
    ):
        forms = [form] * (len(head) - 1) if isinstance(form, str) else list(form)
        if len(forms) != len(head) - 1:
            raise ValueError(
                f"form has {len(forms)} entries for {len(head) - 1} columns"
            )
        self.caption, self.head, self.fold = caption, [*map(str, head)], fold
        self.cells: list[list[str]] = []
        given = [list(row) for row in rows]
        for number, row in enumerate(given):
            if len(row) != len(head):
                raise ValueError(
                    f"row {number} has {len(row)} cells for {len(head)} columns"
                )
            self.cells.append(
                [_written(c, f) for c, f in zip(row, ["g", *forms], strict=True)]
            )
        columns = zip(*given, strict=True) if given else [[] for _ in head]
        self._right = [any(map(_is_number, column)) for column in columns]
        self.marks = dict(marks or {})
        for (row, column), mark in self.marks.items():
            self.cells[row][column] += f" {MARKS[mark]}"

    @classmethod
    def of_columns(
        cls, caption: str, columns: Mapping[str, Any], *more: Any
    ) -> "Table":
        """Of columns by name: lists or tensors, all of one length; the rest as above.

        >>> print(Table.of_columns("Push", {"h": [0, 3], "β = 1": [0.5, 0.047]}))
        Push
        h  β = 1
        0  0.500
        3  0.047
        """
        lists = [getattr(c, "tolist", lambda c=c: [*c])() for c in columns.values()]
        return cls(caption, list(columns), [*zip(*lists, strict=True)], *more)

    def __str__(self) -> str:
        marked = {column for _, column in self.marks}
        lines = [list(self.head), *([*row] for row in self.cells)]
        for column in marked:  # so that the digits of a column stay below each other
            for line in lines:
                line[column] += "" if line[column][-1:] in MARKS.values() else "  "
        widths = self._widths(lines)
        told = [line for cells in lines for line in self._lines(cells, widths)]
        caption = textwrap.fill(self.caption, PAGE)
        return "\n".join([caption, *told, *([KEY] if self.marks else [])])

    def _widths(self, lines: list[list[str]]) -> list[int]:
        """Of the columns; those of words give way until a line fits the page."""
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        words = [at for at, right in enumerate(self._right) if not right]
        while words and sum(widths) + 2 * len(widths) - 2 > PAGE:
            widest = max(words, key=widths.__getitem__)
            if widths[widest] <= LEAST:
                break
            widths[widest] -= 1
        return widths

    def _lines(self, cells: list[str], widths: list[int]) -> list[str]:
        """One row as text: more than one line where words had to give way."""
        parts = [
            textwrap.wrap(cell, width) if len(cell) > width else [cell]
            for cell, width in zip(cells, widths, strict=True)
        ]
        return [
            "  ".join(
                part.rjust(width) if right else part.ljust(width)
                for part, width, right in zip(row, widths, self._right, strict=True)
            ).rstrip()
            for row in itertools.zip_longest(*parts, fillvalue="")
        ]

    __repr__ = __str__

    def _repr_html_(self) -> str:
        side = ["right" if right else "left" for right in self._right]

        def line(cells: Sequence[str], tag: str, scope: str) -> str:
            made = []
            for at, cell in enumerate(cells):
                name, more = (tag, "") if at else ("th", f' scope="{scope}"')
                if tag == "th":
                    more = ' scope="col"'
                text = escape(cell)
                if cell.endswith(MARKS["best"]):
                    text = f"<strong>{text}</strong>"
                made.append(
                    f'<{name}{more} style="text-align:{side[at]}">{text}</{name}>'
                )
            return f"<tr>{''.join(made)}</tr>"

        caption = escape(self.caption) + (f" ({KEY})" if self.marks else "")
        body = "\n".join(line(row, "td", "row") for row in self.cells)
        table = (
            f'<table>\n<caption style="text-align:left">{caption}</caption>\n'
            f"<thead>{line(self.head, 'th', 'col')}</thead>\n"
            f"<tbody>\n{body}\n</tbody>\n</table>"
        )
        if not self.fold:
            return table
        summary = f"<summary>{escape(self.fold)}</summary>"
        return f"<details>{summary}\n{table}\n</details>"


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _written(cell: Any, form: str) -> str:
    if cell is None:
        return ""
    return format(cell, form).replace("-", "−") if _is_number(cell) else str(cell)
