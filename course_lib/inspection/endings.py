"""Where texts begin and end, judged by what is usual in the file.

Answers that break off, in a file whose answers end in full stops; pairs that begin with
no common prompt, in a file whose pairs do; and white space where others have none.
"""

import re
from collections import Counter

from course_lib.inspection.findings import Findings

__all__ = ["Endings", "Starts"]

CODE = re.compile(r"[=(){}\[\]<>|*/\\_`#&^%$@~]|\n")
OPEN = re.compile(  # words that no sentence ends in
    "the|an?|and|or|of|with|your|its|their|our|my|because|which|whose|than|into|from"
    "|between|during|although|while|if|but|very"
)
KEPT = 1000  # lines that may have to be told at the end


class Endings:
    """`note` every answer; `close` says which break off."""

    def __init__(self) -> None:
        self.long = self.open = 0  # answers of a sentence's length; without an end
        self._strong: list[tuple[int, str, str]] = []
        self._weak: list[tuple[int, str, str]] = []

    def note(self, line: int, name: str, text: str) -> None:
        last = text[-1:]
        if last.isspace():
            text = text.rstrip()
            last = text[-1:]
        if len(text) >= 40:
            self.long += 1
        if not (last.isalnum() or last in ",-–—("):
            return
        if len(text) >= 40:
            self.open += 1
        end = text[-300:]
        words = end.split()
        # in a script with small and capital letters sentences end in a full stop
        cased = end.isascii() or any(map(str.islower, end))
        if len(words) < 4 or CODE.search(end) or not cased:
            return
        if last in ",(" or OPEN.fullmatch(words[-1].lower()):
            kept = self._strong
        elif last.islower() and len(words) > 5 and not _title(words):
            kept = self._weak
        else:
            return
        if len(kept) < KEPT:
            kept.append((line, name, " ".join(words[-4:])))

    def close(self, findings: Findings) -> None:
        share = self.open / max(1, self.long)
        told = list(self._strong) if share <= 0.5 else []
        if self.long >= 8 and share <= 0.25:
            told += self._weak
        seen = set()
        for line, name, end in sorted(told):
            if line not in seen:
                seen.add(line)
                findings.add(
                    "truncated_answer",
                    line,
                    f'"{name}" breaks off ("… {end}"): complete it, or delete the row',
                )


def _title(words: list[str]) -> bool:
    large = [word for word in words if len(word) > 3]
    return bool(large) and sum(word[0].isupper() for word in large) > len(large) / 2


class Starts:
    """Pairs whose prompt is what both answers begin with; `close` says who has none."""

    def __init__(self) -> None:
        self.rows = self.whole = self.bare = 0
        self._loose: list[tuple[int, bool]] = []

    def note(self, line: int, common: str) -> None:
        """common: what both texts begin with, up to a word's end."""
        self.rows += 1
        whole = any(end in common for end in "?.!:\n。？！：")
        bare = len(common.split()) < 2 and len(common.strip()) < 12
        self.whole += whole
        self.bare += bare
        if not whole and len(self._loose) < KEPT:
            self._loose.append((line, bare))

    def close(self, findings: Findings) -> None:
        if self.rows and self.bare > 0.5 * self.rows:
            findings.add(
                "missing_field",
                None,
                'there is no "prompt", and the two answers of a pair do not begin with '
                'one: add the field "prompt"',
            )
            return
        strict = self.whole >= 0.8 * self.rows
        for line, bare in self._loose:
            if bare or strict:
                findings.add(
                    "different_prompts_in_pair",
                    line,
                    "chosen and rejected do not begin with one prompt, as in the other "
                    'rows: give both the same, or add the field "prompt"',
                )


class Boundaries:
    """Where the space between prompt and answer is; `close` says who departs."""

    def __init__(self) -> None:
        ways = [(end, start) for end in (True, False) for start in (True, False)]
        self.rows = Counter(dict.fromkeys(ways, 0))
        self._first: dict[tuple[bool, bool], list[int]] = {way: [] for way in ways}

    def note(self, line: int, prompt: str, answers: tuple[str, ...]) -> None:
        """Remember a row by whether its prompt ends, and its answers begin, with it."""
        first = answers[0][:1].isspace() and answers[-1][:1].isspace()
        key = prompt[-1:].isspace(), first
        self.rows[key] += 1
        if self.rows[key] <= KEPT:
            self._first[key].append(line)

    def close(self, findings: Findings) -> None:
        total = self.rows.total()
        if total < 8:
            return
        usual, times = self.rows.most_common(1)[0]
        if times < 0.6 * total:
            findings.add(
                "inconsistent_boundary_whitespace",
                None,
                f"only {times:,} of {total:,} rows agree on whether white space ends "
                "the prompt or begins the answer, and it changes the tokens: write all "
                "rows alike",
            )
            return
        for key in self.rows.keys() - {usual}:
            where = "the prompt ends" if key[0] != usual[0] else "the answers begin"
            how = "with" if (key[0] if key[0] != usual[0] else key[1]) else "without"
            for line in self._first[key]:
                findings.add(
                    "inconsistent_boundary_whitespace",
                    line,
                    f"{where} {how} white space, unlike in the other rows, and that "
                    "changes the tokens: write all rows alike",
                )
