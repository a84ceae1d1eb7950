"""The answers of one row against one another, against their prompt and their scores."""

import math
import re
import unicodedata

from course_lib.inspection.fields import Found
from course_lib.inspection.formats import Form

__all__ = ["check_answer", "check_pair", "check_ranking", "check_scores", "is_blank"]

CODE = re.compile(r"[=(){}\[\]<>|*/\\_`+#&^%$@]")
SOFT = re.compile(r"[\s.,;:!?'\"…\u2010-\u2015-]+")
ALIKE = str.maketrans(
    "‘’‚“”„«»\u00a0", '\'\'\'""""" ', "\u200b\u200c\u200d\u2060\ufeff"
)
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
TURN = re.compile(r"(?:\A|\n)\s*(Human|User|Assistant) ?: ")


def is_blank(text: str) -> bool:
    """Is there nothing to be seen?"""
    if text.isascii():
        return not text.strip()
    return not text.strip(INVISIBLE + " \t\r\n\u00a0\u3000")


def check_answer(name: str, prompt: str, answer: str, found: Found) -> None:
    """One answer by itself: empty, with its prompt inside, or a whole conversation."""
    if is_blank(answer):
        found["empty_answer"] = f'"{name}" is empty: write an answer or delete the row'
        return
    if len(prompt) >= 12 and len(answer) > len(prompt):
        start = answer[:8].lower() == prompt[:8].lower() or answer[0].isspace()
        if prompt in answer or (start and _repeats(prompt, answer)):
            found["prompt_repeated_in_answer"] = (
                f'"{name}" has the prompt inside it, which then counts twice: '
                "cut it and keep the answer alone"
            )
            return
    if "ssistant" in answer or "uman:" in answer or "ser:" in answer:
        marks = TURN.findall(answer)
        roles = {mark.lower() for mark in marks}
        if len(roles) > 1 or (marks and TURN.match(answer)):
            found["conversation_in_answer"] = (
                f'"{name}" holds the marks of a conversation ("{marks[0]}:"), so the '
                "model learns both sides: keep only the last answer"
            )


def _repeats(prompt: str, answer: str) -> bool:
    squeezed = " ".join(prompt.split()).casefold()
    start = " ".join(answer[: 2 * len(prompt) + 20].split()).casefold()
    return start.startswith(squeezed) and len(squeezed) >= 12


def check_pair(chosen: str, rejected: str, found: Found) -> None:
    """Two answers, neither of them empty: the same, nearly so, or told by a space."""
    if chosen == rejected:
        found["chosen_equals_rejected"] = (
            "chosen and rejected are the same text, so the pair teaches nothing: "
            "delete the row"
        )
        return
    if _begin_alike(chosen, rejected):
        what = _only(chosen, rejected)
        if what:
            found["near_identical_pair"] = (
                f"chosen and rejected differ only in {what}: delete the row, unless "
                "that is what you want to teach"
            )
            return
    padded = len(chosen.strip()) < len(chosen) or len(rejected.strip()) < len(rejected)
    if not padded or "prompt_repeated_in_answer" in found:
        return
    for at, where in ((0, "begins"), (-1, "ends")):
        one = chosen[at].isspace()
        if one != rejected[at].isspace():
            found["inconsistent_boundary_whitespace"] = (
                f"only {'chosen' if one else 'rejected'} {where} with white space, "
                "which changes its tokens and gives the label away: strip both"
            )


def _begin_alike(one: str, other: str) -> bool:
    """Could two texts be nearly the same? Most pairs differ in their first letters."""
    if abs(len(one) - len(other)) > 9 + len(one) // 10:
        return False
    one, other = one.lstrip()[:3].lower(), other.lstrip()[:3].lower()
    return one == other or not (one.isalnum() and other.isalnum())


def _only(one: str, other: str) -> str | None:
    """In what alone two texts differ, if it is nothing that matters."""
    if "".join(one.split()) == "".join(other.split()):
        return "white space"
    if _numbers(one) != _numbers(other):  # a sign, or the decimal point
        return None
    one, other = (
        unicodedata.normalize("NFKC", text).translate(ALIKE).casefold()
        for text in (one, other)
    )
    if "".join(one.split()) == "".join(other.split()):
        return "case, quotation marks or invisible characters"
    if CODE.search(one) or len(one.split()) < 3:
        return None
    if SOFT.sub("", one) == SOFT.sub("", other):
        return "punctuation"
    return None


def _numbers(text: str) -> list[str]:
    return [found.rstrip(".,:") for found in NUMBER.findall(text)]


NUMBER = re.compile(r"[-−+]?\d[\d.,:]*")
LOWER = ("rank", "toxic", "harm", "loss", "perplex", "error")  # is better
MEASURE = ("score", "rating", "reward", "rank", "grade", "quality", "elo", "votes")
DECIDED = ("winner", "preference", "better", "choice", "preferred", "label", "verdict")
TIES = {"tie", "tied", "equal", "draw", "both", "same", "tie (bothbad)", "neither"}
MARGINS = ("margin", "score_margin", "score_diff", "reward_margin", "score_difference")


def check_scores(row: dict, found: Found) -> None:
    """Do the scores beside the answers say what the label says?"""
    for name, value in row.items():
        if "chosen" in name and type(value) in (int, float):
            other = row.get(name.replace("chosen", "rejected"))
            if any(m in name for m in MEASURE) and type(other) in (int, float):
                lower = any(word in name for word in LOWER)
                _compare((value, other), name, lower, found)
        elif name in DECIDED and (
            value == 0.5 or (type(value) is str and value.strip().lower() in TIES)
        ):
            found["tie"] = f'"{name}" is {value!r}, no preference: delete the row'
        elif name in MARGINS and type(value) in (int, float):
            _compare((value, 0), name, False, found)
        elif type(value) is dict and {"chosen", "rejected"} <= value.keys():
            both = (value["chosen"], value["rejected"])
            if all(type(v) in (int, float) for v in both):
                _compare(both, name, "rank" in name, found)


def _compare(scores: tuple[float, float], name: str, lower: bool, found: Found) -> None:
    one, other = scores
    if math.isnan(one) or math.isnan(other):
        found["null_field"] = f'"{name}" is not a number: fill it or delete the row'
    elif one == other:
        found["tie"] = (
            f'"{name}" is {one:g} for both answers, a tie with a label: delete the row'
        )
    elif (one > other) == lower:
        found["label_contradicts_score"] = (
            f'"{name}" rates the rejected answer higher ({other:g} against {one:g}): '
            "exchange the answers, or delete the row"
        )


def check_ranking(
    answers: tuple[str, ...], scores: dict[str, list], found: Found
) -> None:
    """A list of answers and its scores or ranks, by name."""
    if len(answers) < 2:
        found["too_few_answers"] = (
            "a ranking needs two answers at least: add one or delete the row"
        )
        return
    if len(set(answers)) < len(answers):
        found["chosen_equals_rejected"] = (
            "two of the answers are the same text, so they cannot be ranked: delete one"
        )
    for name, values in scores.items():
        if len(values) != len(answers):
            found["wrong_type"] = (
                f'"{name}" has {len(values)} entries and there are {len(answers)} '
                "answers: give one to each"
            )
        elif any(value is None for value in values):
            found["null_field"] = f'"{name}" holds null: fill it or delete the row'
        elif len(set(map(str, values))) == 1 or (
            "rank" in name and len(set(map(str, values))) < len(values)
        ):
            found["tie"] = (
                f'"{name}" gives answers the same place, a tie: break it or delete them'
            )


def scores_of(row: dict, form: Form) -> dict[str, list]:
    """The lists of numbers beside a ranking's answers, by name."""
    listed = {
        name: value
        for name, value in row.items()
        if type(value) is list
        and name not in form.fields
        and any(m in name for m in MEASURE)
        and all(type(v) in (int, float, type(None)) for v in value)
    }
    answers = row[form.answers[0]]
    if answers and all(type(answer) is dict for answer in answers):
        for name in answers[0]:
            values = [answer.get(name) for answer in answers]
            numbers = all(type(v) in (int, float) for v in values)
            if numbers and any(m in name for m in MEASURE):
                listed[name] = values
    return listed
