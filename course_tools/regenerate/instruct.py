"""The instruction model's runs: settings chosen on other prompts than those reported.

What is in the file is kept, so that an interrupted run goes on where it was; to make
all of it again, remove the file first.
"""

import dataclasses
import json
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch

from course_lib.distributed import peak_memory, sixteen_bits_pay
from course_lib.instruct.story import (
    DEPTH,
    RECIPE,
    TEMPERATURE,
    Answers,
    Speaker,
    best_of,
    by_prompt,
    first_words,
    improve,
    kl_of,
)
from course_lib.instruct.tasks import TASKS
from course_lib.instruct.weights import load
from course_lib.transformer import SHIPPED
from course_lib.trunk import Trunk
from course_lib.workspace import write_whole

__all__ = ["make"]

TRIED = ((0.1, 2e-4), (0.3, 5e-4), (0.1, 5e-5), (0.3, 1e-4))  # β and learning rate
MOST = 2.0  # nats: of the settings below it the one with the most reward is taken
SEEDS = (0, 1, 2)
PRACTICE, CHOOSING, REPORTED = 24, 8, 8  # answers to each prompt


def make(path: Path = SHIPPED / "instruct.json") -> str:
    """Train on every task from three seeds; an hour or two of one core."""
    told = json.loads(path.read_text("utf-8")) if path.exists() else {"rows": []}
    told |= _machine()
    model, tokenizer, end = load(temperature=TEMPERATURE)
    for task in TASKS:
        _Runs(TASKS[task](), (model, tokenizer, end), told, path).make()
    return f"{path.name}: {len(told['rows'])} rows"


def _machine() -> dict[str, Any]:
    """Where it is measured."""
    cpu = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.exists():
        lines = about.read_text("utf-8").splitlines()
        cpu = next((x.split(": ")[1] for x in lines if "model name" in x), cpu)
    return {
        "date": date.today().isoformat(),
        "machine": f"{cpu}, {torch.get_num_threads()} threads",
        "precision": "bfloat16" if sixteen_bits_pay() else "float32",
        "torch": torch.__version__,
        "depth": DEPTH,
        "temperature": TEMPERATURE,
        "steps": RECIPE.steps,
        "batch_size": RECIPE.batch_size,
    }


class _Runs:
    """All runs of a task; each is a row of the file as soon as it is done."""

    def __init__(self, task, model, told: dict, path: Path):
        self.task, self.told, self.path = task, told, path
        self.model, self.tokenizer, self.end = model
        self.trunk = Trunk(self.model, DEPTH)
        self._practice = None, None  # a seed, and the answers drawn with it

    def make(self):
        speaker = self.speaker(self.model)
        for beta, lr in TRIED:
            self.row(("tried", beta, lr, 100), self.tried, speaker)
        beta, lr = self.chosen()
        self.row(("before", 0.0, 0.0, 0), self.before, speaker)
        for seed in SEEDS:
            self.row(("dpo", beta, lr, seed), self.dpo, speaker)

    def row(self, key: tuple, make: Callable, speaker: Speaker):
        """Make what is not there yet, and write the file: whole, or as it was."""
        names = dict(zip(("method", "beta", "lr", "seed"), key, strict=True))
        names = {"task": self.task.name, **names}
        if any(row | names == row for row in self.told["rows"]):
            return
        begun = time.perf_counter(), time.process_time()
        found = make(speaker, *key[1:])
        seconds = time.perf_counter() - begun[0], time.process_time() - begun[1]
        spent = dict(zip(("seconds", "cpu_seconds"), seconds, strict=True))
        row = _rounded({**names, **found, **spent, "peak_gb": peak_memory() / 1e9})
        self.told["rows"].append(row)
        text = json.dumps(self.told, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.path, lambda part: part.write_text(text, encoding="utf-8"))
        print({k: v for k, v in row.items() if k != "words"}, flush=True)

    def speaker(self, model) -> Speaker:
        return Speaker(model, self.tokenizer, self.end, self.task)

    def practice(self, speaker: Speaker, seed: int) -> Answers:
        """The model's own answers, kept for the settings that are tried on them."""
        if self._practice[0] != seed:
            self._practice = seed, speaker.write("practice", PRACTICE, seed=seed)
        return self._practice[1]

    def trained(self, speaker: Speaker, beta: float, lr: float, seed: int):
        config = dataclasses.replace(RECIPE, beta=beta, lr=lr, seed=seed)
        return improve(self.trunk, self.practice(speaker, seed), config)

    def tried(self, speaker: Speaker, beta: float, lr: float, seed: int) -> dict:
        top, pairs = self.trained(speaker, beta, lr, seed)
        return {"pairs": pairs, **self.after(top, "choosing", CHOOSING, 2_000)}

    def dpo(self, speaker: Speaker, beta: float, lr: float, seed: int) -> dict:
        top, pairs = self.trained(speaker, beta, lr, seed)
        return {"pairs": pairs, **self.after(top, "reported", REPORTED, 3_000 + seed)}

    def after(self, top, asked: str, each: int, seed: int) -> dict:
        answers = self.speaker(top.whole()).write(asked, each, seed=seed)
        kl = kl_of(top, self.trunk, answers)
        measured = by_prompt(kl, len(answers.asked))
        return {**_measured(answers), "kl": measured}

    def before(self, speaker: Speaker, *_) -> dict:
        answers = speaker.write("reported", REPORTED, seed=4_000)
        count = len(answers.asked)
        best = {
            f"best_of_{n}": by_prompt(best_of(answers.rewards, n), count)
            for n in (2, 4, 8)
        }
        return {**_measured(answers), **best}

    def chosen(self) -> tuple[float, float]:
        """β and learning rate with the most reward of those within MOST nats."""
        tried = {"task": self.task.name, "method": "tried"}
        rows = [row for row in self.told["rows"] if row | tried == row]
        least = min(rows, key=lambda row: row["kl"][0])
        near = [row for row in rows if row["kl"][0] <= MOST] or [least]
        best = max(near, key=lambda row: row["reward"][0])
        return best["beta"], best["lr"]


def _measured(answers: Answers) -> dict:
    tokens = sum(map(len, answers.responses)) / len(answers.responses)
    reward = by_prompt(answers.rewards, len(answers.asked))
    return {"reward": reward, "tokens": tokens, "words": first_words(answers)}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
