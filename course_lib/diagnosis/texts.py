"""Rows in a text: dicts between other words, tables, and lines of keys and values."""

import csv
import json
import re
from collections.abc import Iterable, Iterator

from course_lib.diagnosis.columns import canonical

__all__ = ["found_in"]

CHUNK = re.compile(r"\{[^{}]*\}|\{[^{}\n]*$", re.M)  # the second was cut off
PAIR = re.compile(
    r"""(['"])(?P<key>[^'"{}]+?)\1\s*:\s*"""
    r"""(?P<value>'[^']*'|"[^"]*"|[a-z.]+\([^)]*\)|[^,{}\s]+)"""
)
WORDED = re.compile(  # Train loss 0.061, loss:0.69, acc=0.5, Loss: nan
    r"(?P<key>[A-Za-z][A-Za-z_ ]*(?:[/.][A-Za-z_]+)*)\s*[:=]?\s*"
    r"(?P<value>[-+−]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan\b|inf\b)%?)(?=$|[\s,;:|)\]/])",
    re.I,
)


def found_in(text: str, name: str = "") -> list[dict]:
    """All rows of the form of which the text holds most.

    text: with newlines only; name: of its file, for TensorBoard's files of one column
    returns: rows under the names that stand in the text; empty if there are none

    >>> found_in("Iter 10: Train loss 0.061, Val loss nan")
    [{'Iter': '10', 'Train loss': '0.061', 'Val loss': 'nan'}]
    """
    ways = (_dicts(text), _markdown(text), _delimited(text, name))
    best = max((_kept(rows) for rows in ways), key=_amount)
    return best or _kept(_worded(text))


def _kept(rows: Iterable[dict]) -> list[dict]:
    """Those in which something is known that is more than a step or an epoch."""
    shared = {"step", "epoch", "lr", "run", "length"}
    return [
        row
        for row in rows
        if any((canonical(key) or ("step",))[0] not in shared for key in row)
    ]


def _amount(rows: list[dict]) -> int:
    return sum(sum(map(bool, map(canonical, row))) for row in rows)


def _dicts(text: str) -> Iterator[dict]:
    for chunk in CHUNK.findall(text):
        if ":" not in chunk:
            continue
        try:  # a printed dict without NaN is JSON but for its quotes
            yield json.loads(chunk.replace("'", '"'))
        except ValueError:
            yield {m["key"]: m["value"].strip("'\"") for m in PAIR.finditer(chunk)}


def _markdown(text: str) -> Iterator[dict]:
    head: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip(" *`") for cell in line.strip().strip("|").split("|")]
        if line.count("|") < 2 or "%|" in line:
            head = []
        elif not head:
            head = cells
        elif len(cells) == len(head) and not set("".join(cells)) <= set("-: "):
            yield dict(zip(head, cells, strict=True))


def _delimited(text: str, name: str) -> Iterator[dict]:
    """CSV and its like; the table may begin below other words."""
    lines = text.splitlines()
    for at, line in enumerate(lines[:200]):
        for mark in ("\t", ",", ";"):
            if line.count(mark) < 1 or "{" in line:
                continue
            head = [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
            if head == ["Wall time", "Step", "Value"]:
                head[2] = name
            known = sum(map(bool, map(canonical, head)))
            # names have no digits behind them: a line of values is no head
            if known >= 2 and not re.search(r"[:=]\s*[-\d.]|\s\d+\.\d", line):
                rows = csv.reader(lines[at + 1 :], delimiter=mark)
                for cells in rows:
                    if len(cells) > 1:
                        yield dict(zip(head, cells, strict=False))
                return


def _worded(text: str) -> Iterator[dict]:
    """A row a line, or of several lines with one value each, until a name repeats."""
    row: dict[str, str] = {}
    judged = ""  # a model card's list of results
    for line in text.splitlines():
        if "evaluation set" in line.lower():
            judged = "eval "
        line = re.sub(r"\d+%\|.*?\|", "", line)  # a progress bar
        found = {}
        for match in WORDED.finditer(line):
            key = match["key"].strip()
            if canonical(key):
                found.setdefault(judged + key, match["value"].replace("−", "-"))
        if not found:
            continue
        if len(found) > 2 or {*found} & {*row}:
            if row:
                yield row
            row = {}
        row |= found
    if row:
        yield row
