"""Is every field of a row there, not null, and of the right type?"""

import math
from difflib import get_close_matches
from typing import Any

from course_lib.inspection.formats import FORMS, Form, form_of

__all__ = ["fields_hold"]

TOLD = {
    str: "text",
    list: "a list of messages",
    bool: "true or false",
    dict: "an object",
    int: "a number",
    float: "a number",
}
Found = dict[str, str]  # kind: sentence; of each kind one finding a row


def fields_hold(row: dict, form: Form, found: Found) -> bool:
    """Note what is wrong with the fields of a row; True if it can be looked into."""
    asked_too = "prompt" in row and "prompt" not in form.fields
    for name, wanted in form.fields.items():  # most rows need no closer look
        if wanted is list or type(row.get(name)) is not wanted:
            break
    else:
        if not asked_too:
            return True
    problems = _problems(row, form)
    if not problems and not asked_too:
        return True
    other = form_of(row)
    if other and other is not form and _whole(row, form, other):
        found["mixed_formats"] = (
            f"the row is {other.name} in a file that is {form.name}: "
            "convert it, so that all rows have one format"
        )
        return False
    if not problems:
        says = 'the row has a "prompt" of another type, and the other rows have none'
        found["wrong_type"] = f"{says}: write all rows alike"
    for kind, says in problems:
        found.setdefault(kind, says)
    return False


def _problems(row: dict, form: Form) -> list[tuple[str, str]]:
    return [
        problem
        for name, wanted in form.fields.items()
        if (problem := _problem(row, name, wanted, form))
    ]


def _problem(row: dict, name: str, wanted: type, form: Form):
    if name not in row:
        return "missing_field", f'"{name}" is missing{_misspelt(row, name, form)}'
    value = row[name]
    if value is None or (type(value) is float and math.isnan(value)):
        return "null_field", f'"{name}" is null: fill it or delete the row'
    if type(value) is not wanted:
        has = TOLD.get(type(value), "something else")
        if wanted is str and type(value) is list:
            has = "a list"
        need = "a list of answers" if name not in TURNS and wanted is list else ""
        says = f'"{name}" is {has} and must be {need or TOLD[wanted]}'
        return "wrong_type", f"{says}: convert it{_advice(value, wanted)}"
    if wanted is list and name in TURNS:
        return _bad_message(name, value)
    return None


TURNS = ("prompt", "chosen", "rejected", "completion")


def _advice(value: Any, wanted: type) -> str:
    if wanted is bool:
        return ", without quotes" if type(value) is str else " (1 is true, 0 is false)"
    if wanted is list and type(value) is str and value[:2] in ("[{", "{'"):
        return "; it is a printed list, so write the list itself"
    return ""


def _bad_message(name: str, messages: list):
    """The first message that is no message: {"role": …, "content": …}."""
    for at, message in enumerate(messages, 1):
        where = f'message {at} of "{name}"'
        if type(message) is not dict:
            says = f"{where} is {TOLD.get(type(message), 'not an object')}"
            return "wrong_type", f'{says} and must be {{"role": …, "content": …}}'
        if "from" in message and "value" in message and "role" not in message:
            says = f'{where} has "from" and "value"'
            return "missing_field", f'{says}: rename them to "role" and "content"'
        calls = message.get("tool_calls")
        for part in ("role", "content"):
            if part not in message and not (part == "content" and calls):
                return "missing_field", f'{where} has no "{part}": add it'
        content = message.get("content")
        if content is None and not calls:
            return "null_field", f'{where}: its "content" is null: fill it'
        read = isinstance(content, str | list | None)
        if type(message["role"]) is not str or not read:
            return "wrong_type", f'{where}: "role" and "content" must be text'
    return None


def _misspelt(row: dict, name: str, form: Form) -> str:
    spare = [other for other in row if other not in form.fields]
    near = get_close_matches(name, [s.lower().strip() for s in spare], 1, 0.7)
    if near:
        theirs = next(s for s in spare if s.lower().strip() == near[0])
        return f', and there is "{theirs}": rename it'
    return ": add it or delete the row"


def _whole(row: dict, form: Form, other: Form) -> bool:
    """Is the row as it should be, but in another format than its file?"""
    if _problems(row, other):
        return False
    if "prompt" not in other.fields and "prompt" in form.fields:
        if other is FORMS["standard implicit"]:
            return False  # its prompt is missing
        if other.turns:
            return all(len(row[name]) > 1 for name in other.answers)
    return True
