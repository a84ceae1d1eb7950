"""DPO of a real instruction model, SmolLM2-135M-Instruct, on the CPU of a laptop.

    python3 -m course_lib add instruct
    python3 -m course_lib.instruct

The model answers, a judge that is one readable rule says which answer is better, and
the last blocks of the model learn from that.
"""

from course_lib.instruct.command import main, tell
from course_lib.instruct.story import (
    RECIPE,
    Answers,
    Speaker,
    best_of,
    by_prompt,
    first_words,
    improve,
    kl_of,
    ranked_pairs,
    sixteen_bits_pay,
)
from course_lib.instruct.tasks import TASKS, Task, times_you, tone
from course_lib.instruct.weights import Instruct, chat_ids, load, missing

__all__ = [
    "RECIPE",
    "TASKS",
    "Answers",
    "Instruct",
    "Speaker",
    "Task",
    "best_of",
    "by_prompt",
    "chat_ids",
    "first_words",
    "improve",
    "kl_of",
    "load",
    "main",
    "missing",
    "ranked_pairs",
    "sixteen_bits_pay",
    "tell",
    "times_you",
    "tone",
]
