"""`inspect`: read a file row by row and gather what is wrong with it."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from course_lib.inspection import turns
from course_lib.inspection.across import Across
from course_lib.inspection.bias import Bias
from course_lib.inspection.dialogue import turns_of
from course_lib.inspection.endings import Boundaries, Endings, Starts
from course_lib.inspection.fields import Found, fields_hold
from course_lib.inspection.findings import Findings
from course_lib.inspection.formats import ANSWERS, Form, layout, renamed, text_of
from course_lib.inspection.pairs import (
    check_answer,
    check_pair,
    check_ranking,
    check_scores,
    is_blank,
    scores_of,
)
from course_lib.inspection.reading import rows
from course_lib.inspection.report import Report
from course_lib.inspection.texts import check_texts, remarkable
from course_lib.inspection.tokens import Tokens

__all__ = ["inspect"]

ENDLESS = {"does_not_end_with_assistant", "degenerate_repetition"}
SAME = {"chosen_equals_rejected", "near_identical_pair"}
FIRST = 200  # rows that decide which format a file has


def inspect(
    file: str | os.PathLike,
    *,
    train: str | os.PathLike | None = None,
    tokenizer: Any = None,
    max_length: int | None = None,
    limit: int = 1000,
    quick: bool = False,
) -> Report:
    """Read a preference data set and report every fault with its line and its cure.

    file: JSONL, JSON, CSV or Parquet (also .gz), in any of the formats in `FORMS`
    train: the training file, when `file` is for testing: finds prompts in both
    tokenizer: a function from text to ids, an object with `encode`, or a local name;
        max_length: with it, the length in tokens at which a trainer cuts prompt and
        answer
    limit: findings kept of each kind; all are counted
    quick: only fields, empty and equal answers, repeated and contradicting rows and
        length, at several times the speed
    returns: a Report; what is held at once grows by at most 64 bytes a row, except that
        a JSON array without line ends is held whole
    raises: OSError if a file cannot be opened; ValueError if its kind is not known, if
        a package is missing that it needs, or for an argument out of range

    >>> import tempfile
    >>> row = '{"prompt": "Is ice cold?", "chosen": "Yes.", "rejected": "Yes."}'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "pairs.jsonl")
    ...     _ = path.write_text(row)
    ...     report = inspect(path)
    >>> [(f.line, f.kind) for f in report.findings]
    [(1, 'chosen_equals_rejected')]
    """
    if max_length is not None and tokenizer is None:
        raise ValueError("max_length counts tokens, so it needs a tokenizer")
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    tokens = None if tokenizer is None else Tokens(tokenizer, max_length)
    leaks = train is not None
    whole = _Inspection(Path(file), Findings(limit), tokens, leaks)
    whole.read("quick" if quick and not leaks else "all")
    if leaks:
        other = _Inspection(Path(train), Findings(0), None, leaks)
        other.read("texts")
        whole.across.leaks(other.across, whole.findings)
    return whole.report()


class _Inspection:
    """One file: what was read of it so far, and what was found."""

    def __init__(
        self, path: Path, findings: Findings, tokens: Tokens | None, leaks: bool
    ):
        self.path, self.findings, self.tokens = path, findings, tokens
        self.form: Form | None = None
        self.rows = 0
        self.scored = False
        self.across, self.bias = Across(leaks), Bias()
        self.endings, self.starts, self.boundaries = Endings(), Starts(), Boundaries()

    def read(self, what: str) -> None:
        """what: "all", "quick", or "texts" to remember them and say nothing."""
        stream = rows(self.path, self.findings)
        first = list(itertools.islice(stream, FIRST))
        self.form, rename = layout([row for _, row in first])
        rename and self._tell_names(rename)
        if not first and not self.findings.counts:
            says = "the file holds no row: nothing to train on"
            self.findings.add("empty_file", None, says)
        elif first and self.form is None:
            self._unknown(first)
            self.rows = len(first) + sum(1 for _ in stream)
        elif first:
            self._look(itertools.chain(first, stream), rename, what)
        if what == "texts":
            return
        of_all = (self.across, self.bias, self.endings, self.starts, self.boundaries)
        for part in of_all:
            part.close(self.findings)

    def report(self) -> Report:
        name = self.form.name if self.form else "unknown"
        return Report(
            file=str(self.path),
            format=name + (" + scores" if self.scored else ""),
            rows=self.rows,
            findings=self.findings.sorted(),
            counts=dict(self.findings.counts),
        )

    def _look(
        self, stream: Iterator[tuple[int, dict]], rename: dict[str, str], what: str
    ) -> None:
        form, findings = self.form, self.findings
        found: Found = {}
        look = self._texts if what == "texts" else self._row
        if what == "quick" and form.fields.get("chosen") is str:
            look = self._quick
        for line, row in stream:
            self.rows += 1
            if rename:
                row = renamed(row, rename)
            if fields_hold(row, form, found):
                look(line, row, found)
            if found:
                for kind, says in found.items():
                    findings.add(kind, line, says)
                found.clear()

    def _row(self, line: int, row: dict, found: Found) -> None:
        form = self.form
        prompt, answers, names = _texts(row, form, found)
        if form.name == "standard implicit":
            self.starts.note(line, prompt)
        elif "prompt" in form.fields and is_blank(prompt):
            found["empty_prompt"] = '"prompt" is empty: write it or delete the row'
        asked = prompt.rpartition("\0")[2]  # the last message of a conversation
        for name, answer in zip(names, answers, strict=True):
            if answer or not _calls_tools(row.get(name)):
                check_answer(name, asked, answer, found)
        sound = "empty_answer" not in found
        if form.paired and sound:
            check_pair(*answers, found)
        if len(row) > len(form.fields) or not form.paired:
            self._beside(row, answers, found)
        texts = (prompt, *answers)
        whole = "\0".join(texts)
        if remarkable(whole, answers):
            check_texts(dict(zip(("prompt", *names), texts, strict=True)), names, found)
        if self.tokens and sound:
            named = dict(zip(names, answers, strict=True))
            self.tokens.check(prompt, named, found)
        if sound and (not found or not found.keys() & SAME):
            self.across.note(line, texts, whole, self._label(row))
            self._count(line, names, texts, row, found)

    def _texts(self, line: int, row: dict, found: Found) -> None:
        """A row of the training file: what it says, whatever is wrong with it."""
        prompt, answers, _ = _texts(row, self.form, found)
        texts = (prompt, *answers)
        self.across.note(line, texts, "\0".join(texts), self._label(row))

    def _label(self, row: dict) -> object:
        if self.form.paired:
            return "pair"
        return row["label"] if "label" in self.form.fields else None

    def _quick(self, line: int, row: dict, found: Found) -> None:
        """A pair of texts, as far as comparing and counting goes."""
        chosen, rejected = row["chosen"], row["rejected"]
        if chosen == rejected:
            check_pair(chosen, rejected, found)
        elif is_blank(chosen) or is_blank(rejected):
            for name in ("chosen", "rejected"):
                check_answer(name, "", row[name], found)
        else:
            self.across.note_pair(line, row.get("prompt", ""), chosen, rejected)
            self.bias.note(chosen, rejected, words=False)

    def _beside(self, row: dict, answers: tuple[str, ...], found: Found) -> None:
        """Scores, ranks and the like."""
        if self.form.paired:
            check_scores(row, found)
            self.scored |= any("score" in name or "rating" in name for name in row)
        elif self.form.answers == (ANSWERS,):
            scores = scores_of(row, self.form)
            check_ranking(answers, scores, found)
            self.scored |= bool(scores)

    def _count(
        self, line: int, names: tuple, texts: tuple, row: dict, found: Found
    ) -> None:
        """What is judged at the end, by all rows."""
        form, answers = self.form, texts[1:]
        if form.paired:
            self.bias.note(*answers)
        elif form.answers == ("completion",):
            self.bias.single(answers[0], row["label"])
        if not found and form.fields.get("prompt") is str and not form.turns:
            self.boundaries.note(line, texts[0], answers)
        if not found.keys() & ENDLESS:
            for name, answer in zip(names, answers, strict=True):
                self.endings.note(line, name, answer)

    def _unknown(self, first: list[tuple[int, dict]]) -> None:
        names = ", ".join(f'"{name}"' for name in dict.fromkeys(first[0][1]))
        self.findings.add(
            "unknown_format",
            None,
            f"the rows have {names or 'no field'}, and preference data needs prompt, "
            "chosen and rejected, or prompt, completion and label, or prompt and "
            "responses: rename the fields",
        )

    def _tell_names(self, rename: dict[str, str]) -> None:
        if self.form is None or self.form.answers == (ANSWERS,):
            return  # a ranking's fields have no names that all agree on
        for theirs, ours in rename.items():
            self.findings.add(
                "misnamed_field",
                None,
                f'the rows say "{theirs}" where trainers read "{ours}": rename it',
            )


def _texts(row: dict, form: Form, found: Found):
    """The prompt of a row, its answers, and the answers' names, all as text."""
    if form.name == "standard explicit":
        return row["prompt"], (row["chosen"], row["rejected"]), form.answers
    if form.name == "KTO unpaired":
        return row["prompt"], (row["completion"],), form.answers
    if form.name == "standard implicit":
        return split_prompt(row["chosen"], row["rejected"])
    if form.answers == (ANSWERS,):
        return _ranked(row, found)
    if form.name == "HH dialogue strings":
        sides = [turns_of(row[name]) for name in form.answers]
        return _talk([], sides, form, found)
    sides = [row[name] for name in form.answers]
    prompt = row["prompt"] if form.fields.get("prompt") is list else []
    if form.name == "UltraFeedback-like":
        return _with_prompt_text(row["prompt"], sides, form, found)
    return _talk(prompt, sides, form, found)


def split_prompt(chosen: str, rejected: str):
    """A prompt that both texts begin with, as far as whole words go."""
    both = enumerate(zip(chosen, rejected, strict=False))
    least = min(len(chosen), len(rejected))
    size = next((at for at, (one, other) in both if one != other), least)
    if size < least:
        size = max(chosen.rfind(" ", 0, size), chosen.rfind("\n", 0, size)) + 1
    if chosen == rejected:
        size = 0
    return chosen[:size], (chosen[size:], rejected[size:]), ("chosen", "rejected")


def _ranked(row: dict, found: Found):
    prompt = row["prompt"]
    if type(prompt) is list:
        prompt = turns.spoken(prompt)
    texts = [text_of(answer) for answer in row[ANSWERS]]
    texts = [turns.spoken(t) if type(t) is list else t for t in texts]
    if not all(type(text) is str for text in texts):
        null = any(text is None for text in texts)
        kind = "null_field" if null else "wrong_type"
        found[kind] = "an answer is null or no text: write it or delete it"
    texts = tuple(text for text in texts if type(text) is str)
    names = tuple(f"answer {at}" for at in range(1, len(texts) + 1))
    return prompt, texts, names


def _talk(prompt: list, sides: list[list], form: Form, found: Found):
    """Conversations: their turns are checked, and the prompt is what comes before."""
    for name, side in zip(form.answers, sides, strict=True):
        turns.check_turns(name, prompt, side, found)
    if not prompt and form.paired and all(sides):
        turns.same_start(*sides, found)
    if "different_prompts_in_pair" in found:
        return "", tuple(turns.spoken(side[-1:]) for side in sides), form.answers
    if prompt:
        said = [turns.spoken(side) for side in sides]
        return turns.spoken(prompt), tuple(said), form.answers
    shared = 0
    for one, other in zip(*(side[:-1] for side in sides), strict=False):
        if one != other:
            break
        shared += 1
    said = tuple(turns.spoken(side[shared:]) for side in sides)
    return turns.spoken(sides[0][:shared]), said, form.answers


def _with_prompt_text(prompt: str, sides: list[list], form: Form, found: Found):
    """A prompt as text, and conversations that repeat it or hold the answer alone."""
    asked = [{"role": "user", "content": prompt}]
    if all(len(side) == 1 for side in sides):
        return _talk(asked, sides, form, found)
    _, answers, names = _talk([], sides, form, found)
    for name, side in zip(form.answers, sides, strict=True):
        asks = [turns.spoken([m]) for m in side if m["role"] in ("user", "human")]
        if asks and not any(prompt.strip() in text for text in asks):
            found.setdefault(
                "different_prompts_in_pair",
                f'the messages of "{name}" ask something else than "prompt": '
                "give both the same",
            )
    return prompt, answers, names


def _calls_tools(value: object) -> bool:
    """Messages whose last one asks for a tool, and so may have no text."""
    last = value[-1] if isinstance(value, list) and value else None
    return isinstance(last, dict) and bool(last.get("tool_calls"))
