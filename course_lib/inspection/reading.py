"""The rows of a data file, whatever kind of file it is, as a stream."""

from collections.abc import Iterator
from pathlib import Path

from course_lib.inspection.findings import Findings
from course_lib.inspection.jsonrows import WRAPPERS, json_array, json_lines
from course_lib.inspection.lines import head, lines
from course_lib.inspection.tables import csv_rows, parquet_rows

__all__ = ["rows"]


def rows(path: Path, findings: Findings) -> Iterator[tuple[int, dict]]:
    """Each row with the line it begins on; what cannot be read is a finding.

    The name's ending decides for CSV and Parquet; JSON is told from JSONL by its text.
    raises: OSError if the file cannot be opened; ValueError if its kind is not known
    """
    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if ending.lower() in (".parquet", ".pq"):
        return parquet_rows(path)
    first = head(path)
    numbered = lines(path, findings)
    if ending.lower() in (".csv", ".tsv"):
        return csv_rows(numbered, findings)
    if first and first[0][0] not in "{[\"'0123456789ntf-":
        if ending.lower() in (".json", ".jsonl", ".ndjson"):
            return json_lines(numbered, findings)
        raise ValueError(
            "its kind is not known: JSONL, JSON, CSV or Parquet is read, by the "
            "ending .jsonl, .json, .csv or .parquet"
        )
    if _one_a_line(first):
        return json_lines(numbered, findings)
    return json_array(numbered, findings)


def _one_a_line(first: list[str]) -> bool:
    """Is it JSONL? A line that is an object of its own says so."""
    if not first or first[0][0] == "[":
        return not first
    if WRAPPERS.match(" ".join(first)):
        return False
    whole = [line for line in first if line[0] == "{" and line.rstrip(",")[-1] == "}"]
    return len(first) == 1 or (bool(whole) and len(whole) * 2 >= len(first) - 1)
