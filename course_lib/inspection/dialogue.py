"""Dialogues in one string, as HH has them: `\\n\\nHuman: …\\n\\nAssistant: …`."""

import re

__all__ = ["is_dialogue", "turns_of"]

ROLES = {"human": "user", "user": "user", "assistant": "assistant", "ai": "assistant"}
MARK = re.compile(r"(?:\A\s*|\n\n)(Human|User|Assistant|AI) ?:")


def is_dialogue(text: str) -> bool:
    """Does it begin with somebody's turn, and is there an answer?

    >>> is_dialogue("\\n\\nHuman: Hi\\n\\nAssistant: Hello")
    True
    """
    first = MARK.match(text)
    return bool(first) and MARK.search(text, first.end()) is not None


def turns_of(text: str) -> list[dict[str, str]]:
    """The messages of a dialogue; what comes before the first mark is dropped.

    >>> turns_of("\\n\\nHuman: Hi\\n\\nAssistant: Hello")[-1]
    {'role': 'assistant', 'content': 'Hello'}
    """
    parts = MARK.split(text)[1:]
    return [
        {"role": ROLES[role.lower()], "content": said.removeprefix(" ")}
        for role, said in zip(parts[::2], parts[1::2], strict=True)
    ]
