"""`python3 -m course_lib train PAIRS`: train a model on one's own preferences."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

import torch

from course_lib.config import add_settings
from course_lib.distributed import one_of_many, rank
from course_lib.finetuning.plan import examples_of
from course_lib.finetuning.run import begin, finetune
from course_lib.finetuning.settings import Finetuning
from course_lib.variants import METHODS

__all__ = ["main"]

STORY = """Read a file of preferences as `inspect` reads it, train a model on it, and
save the model in a new folder, with a log that `diagnose` reads. The same command goes
on with a run that was interrupted."""
EXAMPLES = """examples:
  python3 -m course_lib train pairs.jsonl --model smollm2 --out run --chat --lora 8
  python3 -m course_lib train pairs.jsonl --model FOLDER --out run --lora 8
  python3 -m course_lib train pairs.jsonl --model FOLDER --out run --processes 2

smollm2 needs `python3 -m course_lib add instruct`, a folder of Hugging Face
`python3 -m course_lib add production`. Nothing is downloaded but by `add`."""
MEMORY = """the GPU has too little memory: --accumulate 4, --recompute, --lora 8, or a
smaller --max-length or --batch-size need less"""


def main(argv: Sequence[str]) -> int:
    """Train as the words say; 0, or 2 for what cannot be, or 130 if interrupted."""
    asked = Finetuning(**vars(_parser().parse_args(argv)))
    try:
        if asked.processes > 1 and "WORLD_SIZE" not in os.environ:
            begin(asked)  # what is wrong is said once, before there are many
            examples_of(asked)
            return _spread(asked.processes, argv)
        with one_of_many():
            finetune(asked, say=lambda words: print(words, flush=True))
    except (ValueError, OSError, FloatingPointError) as error:
        if rank() == 0:
            print(f"error: {_told(error)}", file=sys.stderr)
        return 2
    except torch.OutOfMemoryError:
        print(f"error: {MEMORY}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _spread(processes: int, argv: Sequence[str]) -> int:
    """The same words in several processes, which torchrun starts."""
    many = ["--nproc-per-node", str(processes), "--standalone"]
    command = ["-m", "torch.distributed.run", *many, "-m", "course_lib", "train", *argv]
    done = subprocess.run([sys.executable, *command], check=False)
    return 2 if done.returncode else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m course_lib train",
        usage="%(prog)s PAIRS --model MODEL --out FOLDER [settings]",
        description=STORY,
        epilog=EXAMPLES,
        formatter_class=_Shape,
        allow_abbrev=False,
    )
    add_settings(parser, Finetuning, {"method": ", ".join(METHODS)}, first="pairs")
    return parser


class _Shape(argparse.RawDescriptionHelpFormatter):
    """Help that tells each default, if there is one to tell."""

    def _get_help_string(self, action):
        unsaid = (None, "", argparse.SUPPRESS)
        silent = action.default is False or action.default in unsaid
        return action.help + ("" if silent else " (default: %(default)s)")
