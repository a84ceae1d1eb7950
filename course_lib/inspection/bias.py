"""Can the label be read from the surface: from length alone, or from one word?"""

import math
import re
from collections import Counter, deque

from course_lib.inspection.findings import Findings

__all__ = ["Bias", "tail"]

SAMPLE = 2000  # pairs whose words are looked at
FEWEST = 10  # below that many pairs nothing is said
LONGER = 0.7  # a length-only judge that is right as often is worth a word
ONE_SIDED = 0.8  # the same for a judge that sees how answers begin and end
ONE_WORD = 0.9  # the same for one that sees words anywhere
SURE = 3e-3  # the probability of as much in fair data, at most
SURE_OF_ONE = 2e-2  # the same over all marks that are tried


def tail(wins: int, trials: int) -> float:
    """The probability of `wins` or more of one side in tosses of a fair coin.

    >>> tail(5, 5), tail(3, 4)
    (0.0625, 0.625)
    """
    wins = max(wins, trials - wins)
    if trials > 1000:
        return math.erfc((wins - 0.5 - trials / 2) / math.sqrt(trials / 2))
    ways = sum(math.comb(trials, k) for k in range(wins, trials + 1))
    return min(1.0, 2 * ways / 2**trials)


class Bias:
    """`note` pairs, or single answers with their labels; then `close`."""

    def __init__(self) -> None:
        self.longer = self.shorter = self.pairs = self.sampled = 0
        self.only_chosen: Counter[str] = Counter()
        self.only_rejected: Counter[str] = Counter()
        self._waiting: dict[bool, deque[str]] = {True: deque(), False: deque()}
        self.labels: Counter[bool] = Counter()

    def note(self, chosen: str, rejected: str, words: bool = True) -> None:
        """Count a pair: who is longer, and, in the first pairs, who has which words."""
        self.pairs += 1
        if len(chosen) > len(rejected):
            self.longer += 1
        elif len(chosen) < len(rejected):
            self.shorter += 1
        if words and self.sampled < SAMPLE:
            self.sampled += 1
            one, other = marks(chosen), marks(rejected)
            self.only_chosen.update(one - other)
            self.only_rejected.update(other - one)

    def single(self, answer: str, label: bool) -> None:
        """Count a single answer: it is paired with the next that has another label."""
        self.labels[label] += 1
        if self._waiting[not label]:
            other = self._waiting[not label].popleft()
            self.note(*((answer, other) if label else (other, answer)))
        elif len(self._waiting[label]) < 256:
            self._waiting[label].append(answer)

    def close(self, findings: Findings) -> None:
        """Say what gives the labels away, and how often a judge of that is right."""
        self._length(findings)
        self._words(findings)
        self._balance(findings)

    def _length(self, findings: Findings) -> None:
        decided = self.longer + self.shorter
        if self.pairs < FEWEST or not decided:
            return
        share = (self.longer + (self.pairs - decided) / 2) / self.pairs
        accuracy = max(share, 1 - share)
        if accuracy >= LONGER and tail(self.longer, decided) < SURE:
            which = "longer" if share > 0.5 else "shorter"
            findings.add(
                "length_bias",
                None,
                f"the {which} answer is chosen in {max(self.longer, self.shorter):,} "
                f"of {self.pairs:,} pairs, so a judge that sees only length is right "
                f"in {accuracy:.0%} of them: add pairs that go the other way, or use a "
                "loss that controls for length",
            )

    def _words(self, findings: Findings) -> None:
        total = self.sampled
        if total < FEWEST:
            return
        tried = [
            (mark, self.only_chosen[mark], self.only_rejected[mark])
            for mark in {**self.only_chosen, **self.only_rejected}
            if self.only_chosen[mark] + self.only_rejected[mark] >= total / 2
        ]
        length = 0.5 + abs(self.longer - self.shorter) / 2 / self.pairs
        ways = len({mark[1:] for mark in tried})  # equal counts: one mark
        told = []
        for mark, ours, theirs in tried:
            accuracy = 0.5 + abs(ours - theirs) / 2 / total
            at_end = mark[0] in "^$" and len(mark) > 1
            least = ONE_SIDED if at_end else max(ONE_WORD, length + 1e-9)
            chance = tail(ours, ours + theirs) * ways
            if accuracy >= least and chance < SURE_OF_ONE:
                told.append((accuracy, mark, ours > theirs))
        if told:
            accuracy, mark, chosen = max(told)
            side = "chosen" if chosen else "rejected"
            findings.add(
                "label_readable_from_surface",
                None,
                f"{_told(mark)} marks the {side} answer, so a judge that sees only "
                f"that is right in {accuracy:.0%} of {total:,} pairs: remove it from "
                "all answers, or the model learns the mark",
            )

    def _balance(self, findings: Findings) -> None:
        good, bad = self.labels[True], self.labels[False]
        if good + bad >= 2 and not (good and bad):
            findings.add(
                "one_label_only",
                None,
                f"all {good + bad:,} labels are {str(bool(good)).lower()}, so nothing "
                "is compared: add answers with the other label",
            )
        elif good + bad >= 100 and max(good, bad) > 10 * min(good, bad):
            findings.add(
                "label_imbalance",
                None,
                f"{good:,} labels are true and {bad:,} false: set the weights of the "
                "two so that both count alike",
            )


def marks(text: str) -> set[str]:
    """What a glance can see of a text: its words, how it begins and how it ends.

    >>> sorted(marks("Sure!"))
    ['$!', '+!', '^sure', 'sure']
    """
    words = re.findall(r"\w+", text.lower())
    seen = set(words)
    if words:
        seen.add("^" + words[0])
    last = text.rstrip()[-1:]
    seen.add("$a letter or digit" if last.isalnum() else "$" + last)
    if text[:1].isspace():
        seen.add("^ ")
    if text[-1:].isspace():
        seen.add("$ ")
    for sign in ("\n", "**", "#", "!", "?", "- ", ":"):
        if sign in text:
            seen.add("+" + sign)
    return seen


def _told(mark: str) -> str:
    if mark == "$a letter or digit":
        return "an end without punctuation"
    where = {"^": "at the start", "$": "at the end", "+": "anywhere"}.get(mark[0])
    if not where or len(mark) == 1:
        return f'the word "{mark}"'
    what = {" ": "white space", "\n": "a line break"}.get(mark[1:], f'"{mark[1:]}"')
    return f"{what} {where}"
