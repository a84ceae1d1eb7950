"""The shapes that preference data comes in, and which of them a file has."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from course_lib.inspection.dialogue import is_dialogue

__all__ = ["ANSWERS", "FORMS", "Form", "form_of", "layout", "renamed"]


@dataclass(frozen=True)
class Form:
    """A shape of row.

    name: as it is told; fields: name → the type that it must have
    answers: which fields hold what the model said; turns: do they hold messages?
    """

    name: str
    fields: dict[str, type]
    answers: tuple[str, ...] = ("chosen", "rejected")

    @cached_property
    def turns(self) -> bool:
        return self.fields[self.answers[0]] is list

    @cached_property
    def paired(self) -> bool:
        return len(self.answers) == 2


_TEXTS = {"chosen": str, "rejected": str}
_TURNS = {"chosen": list, "rejected": list}
ANSWERS = "responses"  # what a ranking's list of answers is called in here
FORMS = {
    form.name: form
    for form in (
        Form("standard explicit", {"prompt": str, **_TEXTS}),
        Form("standard implicit", _TEXTS),
        Form("HH dialogue strings", _TEXTS),
        Form("conversational explicit", {"prompt": list, **_TURNS}),
        Form("conversational implicit", _TURNS),
        Form("UltraFeedback-like", {"prompt": str, **_TURNS}),
        Form(
            "KTO unpaired",
            {"prompt": str, "completion": str, "label": bool},
            ("completion",),
        ),
        Form(
            "KTO unpaired conversational",
            {"prompt": list, "completion": list, "label": bool},
            ("completion",),
        ),
        Form("ranking", {"prompt": str, ANSWERS: list}, (ANSWERS,)),
        Form("ranking conversational", {"prompt": list, ANSWERS: list}, (ANSWERS,)),
    )
}
ALIASES = {  # what others call it: never used where the right name is there as well
    "prompt": "question instruction input query user_prompt prompt_text context",
    "chosen": "chosen_response response_chosen accepted preferred chosen_text winner "
    "chosen_answer answer_chosen better positive response_accepted chosen_completion",
    "rejected": "rejected_response response_rejected dispreferred rejected_text loser "
    "rejected_answer answer_rejected worse negative unpreferred rejected_completion",
    "completion": "response answer output generation",
    ANSWERS: "completions answers candidates generations outputs replies",
}


def form_of(row: dict) -> Form | None:
    """The shape that a row seems to have by its names and types, or None.

    >>> form_of({"chosen": "It's noon. Yes.", "rejected": "It's noon. No."}).name
    'standard implicit'
    """
    if isinstance(row.get(ANSWERS), list):
        listed = isinstance(row.get("prompt"), list)
        return FORMS["ranking conversational" if listed else "ranking"]
    if "chosen" in row or "rejected" in row:
        return _pair(row)
    if "completion" in row and "label" in row:
        both = (row.get("prompt"), row["completion"])
        listed = any(isinstance(value, list) for value in both)
        return FORMS["KTO unpaired conversational" if listed else "KTO unpaired"]
    return None


def _pair(row: dict) -> Form:
    sides = [row.get("chosen"), row.get("rejected")]
    listed = sum(isinstance(side, list) for side in sides)
    if listed and not any(isinstance(side, str) for side in sides):
        if "prompt" not in row:
            return FORMS["conversational implicit"]
        text = isinstance(row["prompt"], str)
        return FORMS["UltraFeedback-like" if text else "conversational explicit"]
    if "prompt" in row:
        return FORMS["standard explicit"]
    if any(isinstance(side, str) and is_dialogue(side) for side in sides):
        return FORMS["HH dialogue strings"]
    return FORMS["standard implicit"]


def layout(rows: list[dict]) -> tuple[Form | None, dict[str, str]]:
    """The shape of a file by its first rows, and what to rename: theirs → ours.

    A name counts as another's alias only if most rows have it and few the right one.
    """
    names = Counter(name for row in rows for name in row)
    few, most = 0.1 * len(rows), 0.5 * len(rows)
    rename = {}
    for ours, theirs in ALIASES.items():
        if names[ours] > few:
            continue
        if ours == "completion" and names["label"] <= most:
            continue
        wanted = {*theirs.split(), ours.title(), ours.upper()}
        found = [name for name in names if name in wanted and names[name] > most]
        if ours == ANSWERS:
            found = [n for n in found if any(type(r.get(n)) is list for r in rows)]
        if found:
            rename[found[0]] = ours
    if "rejected" not in rename.values() and names["rejected"] <= few:
        rename = {t: o for t, o in rename.items() if o != "chosen"}
    shapes = Counter(
        form.name for row in rows if (form := form_of(renamed(row, rename)))
    )
    return (FORMS[shapes.most_common(1)[0][0]] if shapes else None), rename


def renamed(row: dict, rename: dict[str, str]) -> dict:
    """The row under the names that are used here; an instruction with its input."""
    told = {rename.get(name, name): value for name, value in row.items()}
    parts = row.get("instruction"), row.get("input")
    if rename.get("instruction") == "prompt" and all(map(_is_said, parts)):
        told["prompt"] = "\n\n".join(parts)
    return told


def _is_said(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def text_of(answer: Any) -> Any:
    """The text of an answer that is an object of its own, as in a ranking."""
    if type(answer) is dict:
        for name in ("response", "text", "answer", "content", "completion", "output"):
            if name in answer:
                return answer[name]
    return answer
