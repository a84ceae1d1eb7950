"""What only a tokenizer can tell: cut answers, and a boundary that moves."""

import importlib
import os
from collections.abc import Callable
from typing import Any

from course_lib.inspection.fields import Found

__all__ = ["Tokens", "encoder"]

Encode = Callable[[str], list[int]]


def encoder(tokenizer: Any) -> Encode:
    """A function from text to token ids.

    tokenizer: such a function, an object with `encode`, or the name or folder of one
    raises: ValueError if it cannot be loaded; nothing is downloaded

    >>> encoder(lambda text: [len(word) for word in text.split()])("one three")
    [3, 5]
    """
    if isinstance(tokenizer, str | os.PathLike):
        tokenizer = _load(os.fspath(tokenizer))
    if hasattr(tokenizer, "encode"):
        encode = tokenizer.encode

        def ids(text: str) -> list[int]:
            try:
                found = encode(text, add_special_tokens=False)
            except TypeError:
                found = encode(text)
            return list(getattr(found, "ids", found))

        return ids
    if callable(tokenizer):
        return lambda text: list(tokenizer(text))
    raise ValueError(f"a tokenizer needs encode(text), and {tokenizer!r} has none")


def _load(name: str) -> Any:
    file = os.path.join(name, "tokenizer.json") if os.path.isdir(name) else name
    try:
        if os.path.isfile(file):
            return importlib.import_module("tokenizers").Tokenizer.from_file(file)
        transformers = importlib.import_module("transformers")
        return transformers.AutoTokenizer.from_pretrained(name, local_files_only=True)
    except ImportError as missing:
        raise ValueError(
            f"the tokenizer {name} needs the package {missing.name}, which is not "
            f"installed: pip install {missing.name}"
        ) from None
    except Exception as error:  # whatever the library makes of a broken file
        raise ValueError(f"the tokenizer {name} cannot be loaded: {error}") from None


class Tokens:
    """The checks of a row with a tokenizer and, if given, the longest row in tokens."""

    def __init__(self, tokenizer: Any, max_length: int | None):
        if max_length is not None and max_length < 1:
            raise ValueError(f"max_length must be at least 1 token, got {max_length}")
        self._encode, self._longest = encoder(tokenizer), max_length

    def check(self, prompt: str, answers: dict[str, str], found: Found) -> None:
        """prompt and answers as text; what is cut is cut at its end."""
        prompt = prompt.replace("\0", "\n")  # between the messages of a conversation
        answers = {name: text.replace("\0", "\n") for name, text in answers.items()}
        before = self._encode(prompt)
        rows = {name: self._encode(prompt + text) for name, text in answers.items()}
        for name, ids in rows.items():
            if prompt and answers[name] and ids[: len(before)] != before:
                found.setdefault(
                    "inconsistent_boundary_whitespace",
                    f'the last tokens of "prompt" change when "{name}" follows: end '
                    "the prompt where a token ends, with the space before the answer",
                )
        if self._longest is None:
            return
        long = [name for name, ids in rows.items() if len(ids) > self._longest]
        if long:
            most = max(len(ids) for ids in rows.values())
            found.setdefault(
                "truncated_answer",
                f'"{long[0]}" with its prompt is cut at {self._longest} tokens (the '
                f"longest has {most}): raise max_length or drop the row",
            )
            kept = {tuple(ids[: self._longest]) for ids in rows.values()}
            if len(kept) < len(rows):
                found.setdefault(
                    "identical_after_truncation",
                    f"after the cut at {self._longest} tokens the answers are equal "
                    "and teach nothing: raise max_length or drop the row",
                )
