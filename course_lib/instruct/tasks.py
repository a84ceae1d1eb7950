"""Two tasks for the instruction model, each with a judge that can be read."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from course_lib import reviews
from course_lib.instruct.prompts import BEGINNINGS, QUESTIONS
from course_lib.instruct.weights import chat_ids

__all__ = ["TASKS", "Task", "times_you", "tone"]


class Task(NamedTuple):
    """What is asked, and who judges the answers."""

    name: str
    unit: str  # what the judge's number is
    prompts: Mapping[str, Sequence[str]]  # by what they are for
    judge: Callable[[str], float]
    longest: int  # tokens of an answer
    chat: bool  # is a prompt a user's turn, or the beginning of a text?
    settings: Mapping[str, float]  # β and lr that did best on the prompts for choosing

    def ids(self, tokenizer, prompt: str) -> list[int]:
        """A prompt as the model reads it."""
        if self.chat:
            return chat_ids(tokenizer, [{"role": "user", "content": prompt}])
        return tokenizer.encode(prompt).ids


def tone(known: reviews.Reviews, text: str) -> float:
    """The judge's log-odds of any text: words that it does not know count nothing."""
    words = reviews.numbers(known.words)
    found = re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*|[.,!?]", text.lower())
    ids = torch.tensor([words[w] for w in found if w in words], dtype=torch.long)
    return known.reward(ids).item()


def times_you(text: str) -> float:
    """How often an answer speaks to the reader: "you", "your", "yours", "yourself".

    >>> times_you("You boil your egg; yourself, if you like. Youth is no match.")
    4.0
    """
    return float(len(re.findall(r"\byou(?:r|rs|rself)?\b", text.lower())))


def _film() -> Task:
    judge = functools.partial(tone, reviews.load()[1])
    unit, settings = "log-odds of praise", {"beta": 0.3, "lr": 1e-4}
    return Task("films", unit, BEGINNINGS, judge, 24, False, settings)


def _chat() -> Task:
    unit, settings = "“you” an answer", {"beta": 0.1, "lr": 5e-5}
    return Task("you", unit, QUESTIONS, times_you, 32, True, settings)


TASKS = {"films": _film, "you": _chat}
