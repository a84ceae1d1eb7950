"""Tables: the same cells as HTML and as text, aligned, and told to a screen reader."""

import re
from html.parser import HTMLParser

import pytest

from course_lib.table import Table

TABLE = Table(
    "Reward at 0.5 nats",
    ["method", "clean", "20 % wrong", "knob"],
    [("DPO", 0.571, -0.49, "β < 1"), ("NCA", 0.612, 12.5, None)],
    form=[".2f", ".1f", "g"],
    marks={(1, 1): "best", (0, 1): "tie"},
)


class Cells(HTMLParser):
    """Every row's cells, as (tag, scope, alignment, text)."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.caption, self._tag = [], "", None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            told = dict(attrs)
            self.rows[-1].append([tag, told.get("scope"), told["style"], ""])
        self._tag = self._tag if tag == "strong" else tag

    def handle_data(self, data):
        if self._tag == "caption":
            self.caption += data
        elif self._tag in ("th", "td") and self.rows[-1]:
            self.rows[-1][-1][3] += data.strip("\n")


def test_html_has_a_caption_scopes_and_the_cells_of_the_text():
    read = Cells(TABLE._repr_html_())
    assert read.caption.startswith("Reward at 0.5 nats (◆ best")
    assert [cell[:2] for cell in read.rows[0]] == [["th", "col"]] * 4
    assert [cell[:2] for cell in read.rows[1]] == [["th", "row"]] + [["td", None]] * 3
    told = [[cell[3] for cell in row] for row in read.rows]
    assert told[1:] == [
        ["DPO", "0.57 =", "−0.5", "β < 1"],
        ["NCA", "0.61 ◆", "12.5", ""],
    ]
    lines = str(TABLE).splitlines()[2:4]
    assert [re.split(r"\s{2,}", line) for line in lines] == [
        [cell for cell in row if cell] for row in told[1:]
    ]
    sides = [cell[2].removeprefix("text-align:") for cell in read.rows[2]]
    assert sides == ["left", "right", "right", "left"]


def test_digits_of_a_column_stand_below_each_other():
    lines = str(TABLE).splitlines()
    assert lines[0] == "Reward at 0.5 nats"
    assert lines[2].index("0.57") == lines[3].index("0.61")
    assert lines[-1].startswith("◆ best of its column")


def test_bad_rows_and_forms_are_refused():
    with pytest.raises(ValueError, match="row 1 has 1 cells for 2 columns"):
        Table("t", ["a", "b"], [(1, 2), (1,)])
    with pytest.raises(ValueError, match="form has 2 entries for 1 columns"):
        Table("t", ["a", "b"], [(1, 2)], form=[".1f", ".2f"])
    assert str(Table("none", ["a", "b"], [])).splitlines() == ["none", "a  b"]


def test_words_give_way_until_a_line_fits_the_page():
    long = "a sentence that nobody could read in one line of a page " * 3
    table = Table("t", ["bug", "does", "met", "n"], [("x", long, long, 12345)], "d")
    lines = str(table).splitlines()
    assert max(map(len, lines)) <= 88
    assert lines[2].endswith("  12345")
    told = " ".join(line[3:] for line in lines[2:]).split()
    assert sorted(told) == sorted([*long.split(), *long.split(), "12345"])
