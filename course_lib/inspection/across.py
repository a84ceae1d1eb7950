"""Row against row and file against file: repeated, contradicting and leaked pairs.

Each row leaves up to four 64-bit hashes, which are sorted at the end: 32 bytes a row,
and as much again for the sorting, so 64 MB for a million rows. Two different pairs
share a hash in one of 18 million files of a million rows. Rows that differ in a word
are looked for among the first 2,000.
"""

import re
from array import array
from collections.abc import Iterator

import numpy as np

from course_lib.inspection.findings import Findings

__all__ = ["Across", "plain"]

DROPPED = b" \t\r\n.,;:!?'\"-"
WIDE = dict.fromkeys(map(ord, "…’‘“”–—\u00a0"), None)
NEAR = 2000  # rows that are compared word by word
DIGITS = re.compile(r"\d")


def plain(text: str) -> bytes:
    """A text without case, white space and punctuation.

    >>> plain("Is it so?") == plain(" is it so")
    True
    """
    if not text.isascii():
        text = text.translate(WIDE)
    return text.lower().encode(errors="replace").translate(None, DROPPED)


class Across:
    """What the rows have in common: `note` each, then `close`."""

    def __init__(self, leaks_wanted: bool = False) -> None:
        self.leaks_wanted = leaks_wanted  # are prompts to be found in another file?
        self.lines = array("q")
        self.pairs = array("q")  # the answers in any order; the last bit is the order
        self.loose = array("q")  # the row without case, white space and punctuation
        self.prompts = array("q")
        self._few: list[tuple[int, tuple[str, ...]]] = []

    def note(self, line: int, texts: tuple[str, ...], whole: str, label: object):
        """Remember a row.

        texts: prompt and answers; whole: the same in one
        label: "pair" for a prompt, the chosen and the rejected answer; of a single
            answer its label; None for a ranking
        """
        if label == "pair":
            self.note_pair(line, *texts)
        else:
            self.lines.append(line)
            self.pairs.append(hash(texts) & ~1 | bool(label))
        self.loose.append(hash((label, plain(whole))))
        if self.leaks_wanted:
            self.prompts.append(hash(plain(texts[0])))
        if len(self._few) < NEAR:
            self._few.append((line, texts))

    def note_pair(self, line: int, prompt: str, chosen: str, rejected: str) -> None:
        """Remember a pair by its exact texts alone, which takes a third of the time."""
        one, other = hash(chosen), hash(rejected)
        self.lines.append(line)
        self.pairs.append(hash((prompt, one ^ other)) & ~1 | (one < other))

    def close(self, findings: Findings) -> None:
        """Say which rows are there twice, nearly so, or with the label reversed."""
        lines = np.frombuffer(self.lines, np.int64)
        pairs = np.frombuffer(self.pairs, np.int64)
        told: set[int] = set()
        for group in _groups(pairs >> 1):
            told.update(lines[group].tolist())
            sides = [[at for at in group if pairs[at] & 1 == bit] for bit in (0, 1)]
            for same, reverse in (sides, sides[::-1]):
                _same(lines[same].tolist(), lines[reverse[:1]].tolist(), findings)
        for group in _groups(np.frombuffer(self.loose, np.int64)):
            fresh = [int(lines[at]) for at in group if int(lines[at]) not in told]
            for line in fresh if len(fresh) > 1 else []:
                other = fresh[0] if line != fresh[0] else fresh[1]
                _near(line, other, told, findings)
        for one, other in _alike(self._few, told):
            _near(one, other, told, findings)
            _near(other, one, told, findings)

    def leaks(self, train: "Across", findings: Findings) -> None:
        """Say which prompts of this file are in the training file too."""
        theirs = np.frombuffer(train.prompts, np.int64)
        if not len(theirs) or not len(self.prompts):
            return
        order = np.argsort(theirs, kind="stable")
        ours = np.frombuffer(self.prompts, np.int64)
        at = np.searchsorted(theirs, ours, sorter=order).clip(max=len(theirs) - 1)
        whole = set(train.loose)
        has_prompt = ours != hash(plain(""))
        for row in np.flatnonzero((theirs[order[at]] == ours) & has_prompt):
            there = train.lines[order[at[row]]]
            what = "row" if self.loose[row] in whole else "prompt"
            findings.add(
                "leaked_from_train",
                self.lines[row],
                f"its {what} is in the training file too, on line {there}, so the test "
                "flatters the model: delete it from one of the two",
            )


def _groups(keys: np.ndarray) -> Iterator[list[int]]:
    """The places of equal keys, for every key that is there more than once."""
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    for run in np.split(same, np.flatnonzero(np.diff(same) > 1) + 1):
        if len(run):
            yield order[run[0] : run[-1] + 2].tolist()


def _same(lines: list[int], against: list[int], findings: Findings) -> None:
    """Rows that say the same, and one that says the reverse, if there is one."""
    for at, line in enumerate(lines):
        if len(lines) > 1:
            findings.add(
                "duplicate_row",
                line,
                f"the same row is on line {lines[0 if at else 1]}, so it counts twice: "
                "keep one",
            )
        if against:
            findings.add(
                "contradicting_pairs",
                line,
                f"line {against[0]} has the same answers with the label reversed: "
                "keep the one that is right",
            )


def _near(line: int, other: int, told: set, findings: Findings) -> None:
    if line not in told:
        told.add(line)
        findings.add(
            "near_duplicate_row",
            line,
            f"nearly the same row is on line {other}: keep one of the two",
        )


def _alike(rows: list, told: set) -> Iterator[tuple[int, int]]:
    """Pairs of rows that share a text and hardly differ in the others."""
    places: dict[tuple[int, int], list[int]] = {}
    words = [[plain_words(text) for text in texts] for _, texts in rows]
    for at, (line, texts) in enumerate(rows):
        if line in told or len(texts) > 9:
            continue
        seen = set()
        for part in range(len(texts)):
            key = (part, hash(tuple(words[at][part])))
            for before in places.setdefault(key, [])[-6:]:
                if before not in seen and _hardly_differ(words[at], words[before]):
                    yield rows[before][0], line
                seen.add(before)
            places[key].append(at)


def plain_words(text: str) -> list[str]:
    """The words of a text without case and punctuation.

    >>> plain_words("Well, yes!")
    ['well', 'yes']
    """
    return re.findall(r"\w+", text.lower())


def _hardly_differ(one: list[list[str]], other: list[list[str]]) -> bool:
    """At most a tenth of all words differ, a fifth of any text's, and no number."""
    if len(one) != len(other) or sum(map(len, one)) < 12:
        return False
    common = different = 0
    for here, there in zip(one, other, strict=True):
        if here == there:
            common += len(here)
            continue
        shared, apart = set(here) & set(there), set(here) ^ set(there)
        if len(apart) > 0.4 * len(shared) or any(map(DIGITS.search, apart)):
            return False
        common, different = common + len(shared), different + len(apart)
    return different <= 0.2 * common
