"""Train a language model on a file of one's own preferences, from reading to saving.

    python3 -m course_lib train pairs.jsonl --model smollm2 --out run

`pairs` reads the file, `languages` the model and its tokens, `tokens` turns the one
into what the other reads; `record` evaluates, logs and stops; `run` does all of it.
"""

from course_lib.finetuning.run import finetune
from course_lib.finetuning.settings import Finetuning

__all__ = ["Finetuning", "finetune"]
