"""One answer to an exercise, and why it is right, from the course's solutions."""

import json
from functools import cache
from typing import NamedTuple

from course_lib import workspace

__all__ = ["Answer", "answer"]

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


class Answer(NamedTuple):
    """The code of one answer, and why it is right, in Markdown."""

    code: str
    why: str


@cache
def answer(name: str) -> Answer | None:
    """The answer of `solutions/` to the exercise of this name.

    returns: None where the solutions are not: a class may have been given none

    >>> answer("dpo_loss").why[:22]
    '**Why this is right.**'
    """
    for path in workspace.notebooks("solutions"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells]
        tags = [cell["metadata"].get("tags", []) for cell in cells]
        for place, text in enumerate(texts):
            if "exercise" in tags[place] and f"def {name}(" in text:
                lines = [x for x in text.splitlines() if x.strip() not in (BEGIN, END)]
                after = range(place + 1, len(texts))
                why = next((i for i in after if "solution" in tags[i]), None)
                return Answer("\n".join(lines), "" if why is None else texts[why])
    return None
