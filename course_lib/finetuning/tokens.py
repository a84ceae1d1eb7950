"""From examples to token ids: where a prompt ends, one end token, nothing too long."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from course_lib.batches import Texts, pairs, with_thumbs
from course_lib.finetuning.pairs import Example, shared

__all__ = ["Encoded", "as_texts", "encode", "encode_all"]


class Encoded(NamedTuple):
    """An example as ids; the prompt is what both answers have before them."""

    line: int
    prompt: list[int]
    answers: list[list[int]]
    desirable: bool | None


def encode(example: Example, language, *, chat: bool = False) -> Encoded:
    """The ids of a prompt and of its answers, each closed by one end token.

    Prompt and answer are encoded together, as the model would read them, and the prompt
    ends where the sequences of prompt, chosen and rejected first differ: a token that
    would lie across the boundary belongs to the answers.

    language: of `languages`; chat: a plain prompt is the user's turn
    raises: ValueError if a word is not known, if the model has no chat for messages, if
        the prompt has no token, or if both answers have the same ones
    """
    prompt, answers = example.prompt, example.answers
    if chat and isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
        answers = tuple([{"role": "assistant", "content": a}] for a in answers)
    if isinstance(prompt, str):
        begun = language.encode(prompt)
        whole = [language.encode(prompt, answer) for answer in answers]
    elif not language.has_chat:
        raise ValueError(
            f"the rows are chats, and {language.name} has no chat template"
        )
    else:
        begun = language.chat(prompt, opened=True)
        whole = [language.chat([*prompt, *answer]) for answer in answers]
    at = shared([begun, *whole])
    if not at:
        raise ValueError("the prompt has no token: an answer must follow something")
    closed = [language.closed(ids[at:]) for ids in whole]
    if len(closed) == 2 and closed[0] == closed[1]:
        raise ValueError("chosen and rejected have the same tokens: delete the row")
    return Encoded(example.line, whole[0][:at], closed, example.desirable)


def encode_all(
    examples: Sequence[Example],
    language,
    file: str,
    *,
    longest: int,
    chat: bool = False,
) -> tuple[list[Encoded], list[int]]:
    """Every example that fits, and the lines of those that are too long.

    longest: tokens of a prompt with the longer of its answers
    raises: ValueError with file and line, as `encode`; or if no example fits
    """
    kept, long = [], []
    for example in examples:
        try:
            found = encode(example, language, chat=chat)
        except ValueError as error:
            raise ValueError(f"{file}: line {example.line}: {error}") from None
        size = len(found.prompt) + max(map(len, found.answers))
        if size > longest:
            long.append(example.line)
        else:
            kept.append(found)
    if not kept:
        raise ValueError(
            f"{file}: every row is longer than max_length, {longest} tokens"
        )
    return kept, long


def as_texts(encoded: Sequence[Encoded]) -> Texts:
    """What the trainer reads: tensors, padded on the right."""
    prompts = [found.prompt for found in encoded]
    sides = zip(*(found.answers for found in encoded), strict=True)
    texts = pairs(prompts, *map(list, sides))
    if encoded[0].desirable is None:
        return texts
    return with_thumbs(texts, torch.tensor([found.desirable for found in encoded]))
