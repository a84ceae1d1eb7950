"""Tables for spreadsheets: what they open without a question, and what they save."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

__all__ = ["BOM", "cell", "number", "read", "table"]

BOM = "\ufeff"  # without it Excel takes UTF-8 for the computer's own code page
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def table(columns: Sequence[str], rows: Iterable[Mapping], *, bom: bool = True) -> str:
    """A CSV with every cell in quotes.

    rows: by column; what is no column is left out, and a column that is not there is ""
    bom: whether it begins with the mark that Excel needs and Ruby's reader chokes on
    """
    text = io.StringIO()
    book = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    book.writerow(columns)
    for row in rows:
        book.writerow([cell(row.get(column, "")) for column in columns])
    return BOM * bom + text.getvalue()


def cell(value: str | float | None) -> str:
    """A number as one reads it, or a text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return number(value)
    return "'" + value if value.startswith(FORMULA) else value


def number(value: float) -> str:
    """At most two decimals, and none that say nothing.

    >>> number(7.0), number(2 / 3), number(-0.001)
    ('7', '0.67', '0')
    """
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def read(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV, each with its line in the file, as a spreadsheet saved it.

    The separator is what the first line has most of: a comma, a semicolon or a tab.
    Names of columns are read in small letters. Empty rows are left out.
    raises: OSError
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    first = text.lstrip().partition("\n")[0]
    rows = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count)
    )
    columns, found = [], []
    for row in rows:
        words = [word.strip() for word in row]
        if not any(words):
            continue
        if not columns:
            columns = [word.lower() for word in words]
        else:
            found.append((rows.line_num, dict(zip(columns, words, strict=False))))
    return found
