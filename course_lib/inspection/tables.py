"""Rows out of CSV and Parquet, in the types that JSON would have given."""

import ast
import csv
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from course_lib.inspection.findings import Findings

__all__ = ["csv_rows", "parquet_rows"]

TRUTH = {"true": True, "false": False, "1": True, "0": False}


def csv_rows(
    numbered: Iterator[tuple[int, str]], findings: Findings
) -> Iterator[tuple[int, dict]]:
    """The records of a CSV file and the physical lines they begin on.

    The first record names the columns; commas, semicolons and tabs may part them.
    """
    csv.field_size_limit(2**27)
    first = next(numbered, (1, ""))[1]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(
        (text for part in ([(1, first)], numbered) for _, text in part),
        delimiter=delimiter,
        strict=True,
    )
    names, line = None, 1
    while True:
        try:
            record = next(reader, None)
        except csv.Error as error:
            findings.add("invalid_csv", line, _broken(error))
            line = reader.line_num + 1
            continue
        if record is None:
            return
        if names is None:
            names = _header(record, findings)
        elif record and len(record) != len(names):
            _ragged(record, names, line, findings)
        elif record:  # and no blank line
            yield line, {n: _cell(n, c) for n, c in zip(names, record, strict=True)}
        line = reader.line_num + 1


def _header(record: list[str], findings: Findings) -> list[str]:
    names = [name.strip() for name in record]
    for name in {name for name in names if names.count(name) > 1 and name}:
        findings.add(
            "duplicate_column",
            1,
            f'two columns are named "{name}", and readers keep one: rename or delete',
        )
    return names


def _ragged(record: list[str], names: list[str], line: int, findings: Findings):
    if len(record) < len(names):
        absent = ", ".join(f'"{name}"' for name in names[len(record) :])
        cells = f"the record has {len(record)} of {len(names)} cells"
        says = f"{absent} is missing: {cells}; fill it or delete the row"
        findings.add("missing_field", line, says)
    else:
        says = f"the record has {len(record)} cells and the header {len(names)} names"
        findings.add("invalid_csv", line, f"{says}: put quotes round text with a comma")


def _broken(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "a quote is opened here and never closed: close it, or double it"
    return f"the record is not CSV ({error}): write a quote inside a cell twice"


TEXTS = ("prompt", "chosen", "rejected", "completion", "instruction", "response")


def _cell(name: str, text: str) -> Any:
    """What a cell means: lists, truth values and scores come as text."""
    if text[:1] in "[{" and text[-1:] in "]}" and text:
        held = _listed(text)
        first = held[0] if isinstance(held, list) else held
        message = isinstance(first, dict) and "content" in first
        return held if message or name not in TEXTS else text
    if name == "label":
        return TRUTH.get(text.strip().lower(), text)
    if any(word in name for word in ("score", "rating", "reward", "rank", "margin")):
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _listed(text: str) -> Any:
    """A list or an object that was written into a cell, as JSON or as Python."""
    for reader in (json.loads, ast.literal_eval):
        try:
            value = reader(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if type(value) is dict or (value and type(value[0]) in (dict, str, float, int)):
            return value
    return text


def parquet_rows(path: Path) -> Iterator[tuple[int, dict]]:
    """The rows of a Parquet file, counted from 1: it has no lines.

    raises: ValueError if pyarrow is missing, or cannot read the file
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ValueError(
            "Parquet needs pyarrow, which is not installed: pip install pyarrow, or "
            "save the data as JSONL"
        ) from None
    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (OSError, ValueError) as error:
        raise ValueError(f"not readable as Parquet: {error}") from None
