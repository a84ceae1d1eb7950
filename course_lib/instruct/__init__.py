"""DPO of a real instruction model, SmolLM2-135M-Instruct, on the CPU of a laptop.

    python3 -m course_lib add instruct
    python3 -m course_lib.instruct

The model answers, a judge that is one readable rule says which answer is better, and
the last blocks of the model learn from that.
"""

from course_lib.instruct.story import Speaker
from course_lib.instruct.tasks import TASKS
from course_lib.instruct.weights import Instruct, chat_ids, load, missing

__all__ = ["TASKS", "Instruct", "Speaker", "chat_ids", "load", "missing"]
