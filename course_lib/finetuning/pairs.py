"""A file of preferences as examples, once `inspect` has nothing against its rows."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from course_lib.inspection import Report, inspect
from course_lib.inspection.dialogue import turns_of
from course_lib.inspection.fields import fields_hold
from course_lib.inspection.findings import Findings
from course_lib.inspection.formats import ANSWERS, Form, layout, renamed
from course_lib.inspection.inspecting import FIRST, split_prompt
from course_lib.inspection.reading import rows

__all__ = ["Example", "held_apart", "read_examples", "shared"]

Said = str | list[dict]  # plain text, or the messages of a chat
TOLD = 10  # how many rows with errors are listed


class Example(NamedTuple):
    """A prompt and what was said to it: chosen and rejected, or one with its thumb."""

    line: int  # in its file, from 1
    prompt: Said
    answers: tuple[Said, ...]
    desirable: bool | None = None

    @property
    def asked(self) -> str:
        """The prompt as one text, by which examples of one prompt are known."""
        prompt = self.prompt
        if not isinstance(prompt, str):
            prompt = " ".join(f"{m['role']}: {m['content']}" for m in prompt)
        return " ".join(prompt.split()).casefold()


def read_examples(file: str | os.PathLike, *, skip_bad: bool = False):
    """The examples of a file, in any format that `inspect` knows but rankings.

    skip_bad: leave out the rows in which `inspect` finds an error
    returns: the examples, and the report of `inspect`
    raises: OSError if the file cannot be read; ValueError that lists the rows with
        errors, or says that the file as a whole cannot be trained on
    """
    report = inspect(file, limit=1_000_000)
    wrong = [found for found in report.findings if found.severity == "error"]
    whole = [found for found in wrong if found.line is None]
    if wrong and (whole or not skip_bad):
        raise ValueError(_refusal(file, report, whole or wrong))
    stream = rows(Path(file), Findings(0))
    first = list(itertools.islice(stream, FIRST))
    form, rename = layout([row for _, row in first])
    if form.answers == (ANSWERS,):
        raise ValueError(f"{file}: rows hold a ranking: write its pairs, one a row")
    bad = {found.line for found in wrong}
    examples = []
    for line, row in itertools.chain(first, stream):
        row = renamed(row, rename)
        if line not in bad and fields_hold(row, form, {}):
            examples.append(_example(line, row, form))
    if not examples:
        raise ValueError(f"{file}: no row is left to train on")
    return examples, report


def _refusal(file, report: Report, wrong: list) -> str:
    rows = len({found.line for found in wrong})
    told = [f"{file}: {rows} rows with errors; nothing was trained."]
    for found in wrong[:TOLD]:
        where = "the file" if found.line is None else f"line {found.line}"
        told.append(f"  {where}: {found.kind}: {found.says}")
    if len(wrong) > TOLD:
        told.append(f"  and {len(wrong) - TOLD} more")
    told.append(f"All of it: python3 -m course_lib inspect {file}")
    if report.rows > rows and not any(found.line is None for found in wrong):
        told.append("Mend the rows, or leave them out with --skip-bad.")
    return "\n".join(told)


def _example(line: int, row: dict, form: Form) -> Example:
    """A row whose fields are as its form says."""
    if not form.paired:
        return Example(line, row["prompt"], (row["completion"],), row["label"])
    sides = row["chosen"], row["rejected"]
    if form.name in ("standard explicit", "conversational explicit"):
        return Example(line, row["prompt"], sides)
    if form.name == "standard implicit":
        prompt, answers, _ = split_prompt(*sides)
        return Example(line, prompt, answers)
    if form.name == "HH dialogue strings":
        sides = tuple(turns_of(side) for side in sides)
    elif form.name == "UltraFeedback-like" and all(len(side) == 1 for side in sides):
        return Example(line, [{"role": "user", "content": row["prompt"]}], sides)
    at = shared([side[:-1] for side in sides])
    return Example(line, sides[0][:at], tuple(side[at:] for side in sides))


def shared(sequences: Sequence[Sequence]) -> int:
    """How many parts all begin with.

    >>> shared(["abc", "abd", "ab"])
    2
    """
    columns = zip(*sequences, strict=False)
    same = itertools.takewhile(lambda parts: all(p == parts[0] for p in parts), columns)
    return len(list(same))


def held_apart(
    examples: list[Example], share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """For training and for evaluation: no prompt is in both.

    share: of the prompts that is held out, in [0, 1); one at least unless it is 0
    seed: of which prompts these are
    raises: ValueError if there is one prompt only

    >>> one, two = Example(1, "a", ("b", "c")), Example(2, "A ", ("d", "e"))
    >>> held_apart([one, two], 0.0, seed=0)[1]
    []
    """
    if not share:
        return examples, []
    prompts = list(dict.fromkeys(example.asked for example in examples))
    if len(prompts) == 1:
        raise ValueError("held_out: all pairs have one prompt; set it to 0")
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(prompts), generator=random).tolist()
    many = min(max(1, round(share * len(prompts))), len(prompts) - 1)
    kept = {prompts[place] for place in order[:many]}
    train = [example for example in examples if example.asked not in kept]
    return train, [example for example in examples if example.asked in kept]
