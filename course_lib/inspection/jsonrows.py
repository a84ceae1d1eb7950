"""Rows out of JSON: one object a line, an array, or objects one after another."""

import json
import re
from collections.abc import Iterator
from json import JSONDecodeError
from typing import Any

from course_lib.inspection.findings import Findings

__all__ = ["WRAPPERS", "json_array", "json_lines"]

Numbered = Iterator[tuple[int, str]]
WRAPPERS = re.compile(
    r'\{\s*"(data|rows|examples|train|test|validation|records|items|instances)"'
    r"\s*:\s*(?=\[)"
)


class _NotJson(ValueError):
    """NaN or Infinity, which Python reads and JSON does not know."""


def _refuse(constant: str):
    raise _NotJson(constant)


DECODER = json.JSONDecoder(parse_constant=_refuse)
SCAN = DECODER.scan_once  # the C scanner: the value that begins at a place, its end


def json_lines(numbered: Numbered, findings: Findings) -> Iterator[tuple[int, dict]]:
    """The rows of a JSONL file and their lines; blank lines are skipped."""
    for line, text in numbered:
        text = text.strip()
        if not text:
            continue
        try:
            row, end = SCAN(text, 0)
        except (ValueError, StopIteration, RecursionError):
            end = -1
        if end != len(text):
            findings.add("invalid_json", line, _cause(text)[1])
            continue
        if type(row) is not dict:
            findings.add("wrong_type", line, _not_an_object(row))
            continue
        if text.count('":') != _keys(row):
            _repeated(text, line, findings)
        yield line, row


def json_array(numbered: Numbered, findings: Findings) -> Iterator[tuple[int, dict]]:
    """The objects of an array, or one after another, and the lines they begin on.

    Memory: one object and one line; an array without line ends is held whole.
    """
    tape = _Tape(numbered)
    wrapped = WRAPPERS.match(tape.text) if tape.more() else None
    tape.at = wrapped.end() if wrapped else 0
    comma = None  # where a comma promised another object
    while tape.skip(" \t\r\n[,"):
        if tape.text[tape.at] != "{":
            if not _closed(tape, comma, bool(wrapped), findings):
                return
            continue
        start, line = tape.at, tape.line
        row = _object(tape, findings)
        if row is not None:
            text = tape.text[start : tape.at]
            if text.count('":') != _keys(row):
                _repeated(text, line, findings)
            follows = tape.skip(" \t\r\n") and tape.text[tape.at] == ","
            comma = tape.line if follows else None
            tape.shorten()
            yield line, row


def _closed(
    tape: "_Tape", comma: int | None, wrapped: bool, findings: Findings
) -> bool:
    """Whether to read on at what is not an object, after saying what it is.

    comma: the line of one that promised another object; wrapped: is the array a part of
        an object, of which more may follow?
    """
    if tape.text[tape.at] in "]}":
        if comma:
            findings.add(
                "invalid_json", comma, "a comma stands before the closing ]: delete it"
            )
        bracket = tape.text[tape.at]
        tape.at += 1
        if not wrapped and tape.skip(" \t\r\n"):
            says = f"more text follows the closing {bracket}, and nobody reads it"
            findings.add("invalid_json", tape.line, f"{says}: a file holds one list")
        return False
    findings.add(
        "invalid_json",
        tape.line,
        f"an object was expected, and {tape.text[tape.at : tape.at + 20]!r} is there: "
        "a data set is a list of objects, one a row",
    )
    following = tape.text.find("{", tape.at)
    tape.at = following if following >= 0 else len(tape.text)
    return following >= 0 or tape.more()


class _Tape:
    """Text that is read as far as it is needed, and its line numbers."""

    def __init__(self, numbered: Numbered):
        self._numbered = numbered
        self.text, self.at, self._first = "", 0, 1
        self._counted, self._line = 0, 1  # a place whose line is known, and its line

    def more(self) -> bool:
        """Read on, at least as much as there is; False at the end of the file."""
        pieces, size = [], 0
        for _, piece in self._numbered:
            pieces.append(piece)
            size += len(piece)
            if size > max(4096, len(self.text) - self.at):
                break
        self.text += "".join(pieces)
        return bool(pieces)

    def skip(self, idle: str) -> bool:
        """Go to the next character that is not idle; False if there is none."""
        while True:
            while self.at < len(self.text):
                if self.text[self.at] not in idle:
                    return True
                self.at += 1
            if not self.more():
                return False

    def line_of(self, at: int) -> int:
        if at < self._counted:
            return self._line - self.text.count("\n", at, self._counted)
        self._line += self.text.count("\n", self._counted, at)
        self._counted = at
        return self._line

    @property
    def line(self) -> int:
        return self.line_of(self.at)

    def shorten(self) -> None:
        """Forget what is read, once that is more than half."""
        if self.at > 4096 and self.at > len(self.text) // 2:
            _ = self.line
            self.text, self.at, self._counted = self.text[self.at :], 0, 0


def _object(tape: _Tape, findings: Findings) -> dict | None:
    """The object that begins here. Where it is broken, go to the next that is like it.

    What breaks off at the end of what is read may go on in the lines after it.
    """
    size = 0
    while True:
        try:
            row, tape.at = SCAN(tape.text, tape.at)
            return row
        except (ValueError, StopIteration, RecursionError) as error:
            cut = getattr(error, "pos", len(tape.text))
            unfinished = cut > len(tape.text) - 16 or "Unterminated" in str(error)
            size = len(tape.text)
            if unfinished and size - tape.at < 2**24 and tape.more():
                continue
        break
    text = tape.text[tape.at : tape.at + 2**20]
    at, says = _cause(text, part=True)
    findings.add("invalid_json", tape.line_of(tape.at + at), says)
    name = re.match(r'\{\s*("[^"]*")', text)
    again = name and re.compile(r"\{\s*" + re.escape(name[1]))
    found = again and again.search(tape.text, tape.at + max(at, 1))
    while again and not found and tape.more():
        found = again.search(tape.text, tape.at + max(at, 1))
    tape.at = found.start() if found else len(tape.text)
    return None


def _keys(value: Any) -> int:
    """How many names a JSON value has, at any depth."""
    if type(value) is dict:
        count = len(value)
        for part in value.values():
            if type(part) is not str:
                count += _keys(part)
        return count
    return sum(map(_keys, value)) if type(value) is list else 0


def _repeated(text: str, line: int, findings: Findings) -> None:
    """Name what is there twice in one object: a dict would keep the last alone."""

    def look(pairs: list[tuple[str, Any]]) -> dict:
        names = [name for name, _ in pairs]
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            findings.add(
                "duplicate_json_key",
                line,
                f'"{twice[0]}" is there twice in one object, and readers keep only '
                "the last: delete or rename one",
            )
        return dict(pairs)

    json.loads(text, object_pairs_hook=look)


HINTS = [  # (what the text looks like, what is wrong and how to fix it)
    (r",\s*[}\]]", "a comma stands before a closing bracket: delete it"),
    (r"^\{.*\},$", "a comma stands after the object, as in an array: delete it"),
    (r"\}\s*\{", "two objects share a line: put each on its own"),
    (r"^\{\s*'", "single quotes are Python, not JSON: write the file with json.dumps"),
    (r":\s*(None|True|False)\b", "None, True and False are Python: json.dumps it"),
    (r":\s*-?(NaN|Infinity)\b", "NaN and Infinity are not JSON: use null or a number"),
]


def _cause(text: str, part: bool = False) -> tuple[int, str]:
    """Where a text stops being one JSON object; why, and how to fix it."""
    try:
        end = DECODER.raw_decode(text)[1]
        where, what = end, "more text follows the end of the object"
    except JSONDecodeError as error:
        where, what = error.pos, f"{error.msg[0].lower()}{error.msg[1:]}"
    except _NotJson as constant:
        return 0, f"{constant} is not JSON: use null or a number"
    except RecursionError:
        return 0, "the value is nested too deeply to be read: flatten it"
    except ValueError as error:  # a number of more than 4,300 digits
        return 0, f"not readable ({error}): write it as text"
    near = text[max(0, where - 30) : where + 30]
    for pattern, advice in HINTS:
        if re.search(pattern, near if part else (near if "^" not in pattern else text)):
            return where, f"not JSON at character {where + 1}: {advice}"
    if where >= len(text) - 1 or what.startswith("unterminated"):
        what = f"it breaks off ({what}); write the row again, on one line"
        return where, f"not JSON: {what}"
    what = f"{what}; write rows with json.dumps"
    return where, f"not JSON at character {where + 1}: {what}"


def _not_an_object(value: Any) -> str:
    kind = {list: "a list", str: "a string", type(None): "null"}.get(
        type(value), "a number or truth value"
    )
    return f"the line holds {kind}, and a row is an object {{...}} with named fields"
