"""Conversations: who speaks, in which order, and do both answers have one prompt?"""

from difflib import get_close_matches
from itertools import pairwise

from course_lib.inspection.fields import Found

__all__ = ["check_turns", "same_start", "spoken"]

Messages = list[dict]
ROLES = ("system", "user", "assistant", "tool", "developer", "function", "ipython")
OTHERS = {  # what other programs call them
    "human": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "prompter": "user",
}
SYSTEM = ("system", "developer")


def check_turns(where: str, prompt: Messages, said: Messages, found: Found) -> None:
    """Roles and their order in a prompt and what was said to it.

    where: the field that `said` is; with an empty `prompt` it is a whole conversation
    """
    if not said:
        found.setdefault("empty_answer", f'"{where}" has no message: delete the row')
        return
    if prompt and len(said) > len(prompt) and said[: len(prompt)] == prompt:
        found.setdefault(
            "prompt_repeated_in_answer",
            f'"{where}" begins with the messages of "prompt", which then count twice: '
            "keep only the answer's messages",
        )
        prompt = []
    last = said[-1]
    silent = not spoken([last]).strip() and not last.get("tool_calls")
    if silent and last["role"] == "assistant":
        found["empty_answer"] = f'"{where}" is empty: write it or delete the row'
    whole = prompt + said
    for message in whole:
        role = message["role"]
        if role not in ROLES:
            near = get_close_matches(role.lower().strip(), ROLES, 1, 0.6)
            right = OTHERS.get(role.lower()) or (near[0] if near else "assistant")
            says = f'"{role}" is no role that chat templates know'
            found.setdefault("wrong_role", f'{says}: write "{right}"')
            return
    if prompt and len(said) == 1 and said[0]["role"] != "assistant":
        says = f'"{where}" is the answer and its role is "{said[0]["role"]}"'
        found.setdefault("wrong_role", f'{says}: write "assistant"')
        return
    _order(where, whole, found)


def _order(where: str, whole: Messages, found: Found) -> None:
    roles = [message["role"] for message in whole]
    if any(role in SYSTEM for role in roles[1:]):
        found.setdefault(
            "wrong_role",
            "a system message stands after another message: it must be the first",
        )
        return
    talk = [role for role in roles if role not in SYSTEM]
    if talk and talk[0] != "user":
        found.setdefault(
            "wrong_role",
            f'the conversation in "{where}" begins with "{talk[0]}": most chat '
            'templates need "user" first',
        )
    for one, other in pairwise(talk):
        if one == other and one in ("user", "assistant"):
            found.setdefault(
                "consecutive_same_role",
                f'two messages of "{one}" follow one another up to "{where}": join '
                "them, or put back the turn that is missing",
            )
            break
    if talk and talk[-1] != "assistant":
        found.setdefault(
            "does_not_end_with_assistant",
            f'"{where}" ends with the turn of "{talk[-1]}", so the answer is not its '
            "end: cut what follows the answer",
        )


def same_start(chosen: Messages, rejected: Messages, found: Found) -> None:
    """Do two whole conversations differ first where the assistant speaks?"""
    for one, other in zip(chosen, rejected, strict=False):
        if one == other:
            continue
        if one["role"] in SYSTEM or other["role"] in SYSTEM:
            if _rest(chosen)[:1] != _rest(rejected)[:1]:
                break
            found.setdefault(
                "system_prompt_mismatch",
                "chosen and rejected have different system messages, so the model "
                "compares two prompts: give both the same",
            )
            return
        if {one["role"], other["role"]} & {"user", "tool"}:
            break
        return
    else:
        return
    found.setdefault(
        "different_prompts_in_pair",
        "chosen and rejected answer different prompts, and a pair compares two "
        "answers to one: give both the same, or delete the row",
    )


def _rest(messages: Messages) -> Messages:
    return [message for message in messages if message["role"] not in SYSTEM]


def spoken(messages: Messages) -> str:
    """The text of messages, one after another, with a NUL between two."""
    return "\0".join(_content(message) for message in messages)


def _content(message: dict) -> str:
    content = message.get("content") if type(message) is dict else None
    if type(content) is list:  # parts, as for pictures
        parts = (p.get("text") for p in content if type(p) is dict)
        return " ".join(part for part in parts if type(part) is str)
    return content if type(content) is str else ""
