"""The lines of a text file, decoded, with what is wrong with the encoding."""

import gzip
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from course_lib.inspection.findings import Findings

__all__ = ["head", "lines"]

BOM = b"\xef\xbb\xbf"


def lines(path: Path, findings: Findings) -> Iterator[tuple[int, str]]:
    """Each physical line with its number, from 1, and its line end.

    Only a line feed ends a line. What is not UTF-8 is a finding, and is then read as
    Windows-1252, or byte for byte, so that the other checks can go on.
    """
    with _open(path) as file:
        encoding = _utf16(file.peek(4)[:4])
        if encoding:
            yield from _wide(path, encoding, findings)
            return
        for number, raw in enumerate(file, 1):
            try:
                text = raw.decode()
            except UnicodeDecodeError as error:
                text = _rescued(raw, error, number, findings)
            if text[:1] == "\ufeff":
                text = text.lstrip("\ufeff")
                findings.add(
                    "bom",
                    number,
                    "a byte order mark stands before the text, and many readers take "
                    'it for part of the first name: save as "UTF-8 without BOM"',
                )
            yield number, text


def head(path: Path, rows: int = 8) -> list[str]:
    """The first lines that are not blank, for a look at what kind of file it is."""
    stripped = (line.strip() for _, line in lines(path, Findings(0)))
    return list(itertools.islice(filter(None, stripped), rows))


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    return path.open("rb")


def _utf16(first: bytes) -> str | None:
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(first) >= 2 and 0 in first[:2] and first[:2] != b"\0\0":
        return "utf-16-le" if first[1] == 0 else "utf-16-be"
    return None


def _wide(path: Path, encoding: str, findings: Findings) -> Iterator[tuple[int, str]]:
    findings.add(
        "not_utf8",
        1,
        "the file is UTF-16, and JSON and trainers need UTF-8: convert it",
    )
    with path.open(encoding=encoding, errors="replace", newline="\n") as file:
        yield from enumerate(file, 1)


def _rescued(
    raw: bytes, error: UnicodeDecodeError, number: int, findings: Findings
) -> str:
    findings.add(
        "not_utf8",
        number,
        f"byte {error.start + 1} of the line, 0x{raw[error.start]:02x}, is not UTF-8: "
        "find out the encoding (often Windows-1252) and convert the file",
    )
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
