"""`python3 -m course_lib.instruct`: the whole story of one task, told as it happens."""

import argparse
import dataclasses
import math
import sys
import time

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
from course_lib.instruct.tasks import TASKS, Task
from course_lib.instruct.weights import load, missing
from course_lib.metrics import Interval
from course_lib.table import Table
from course_lib.transformer import Transformer
from course_lib.trunk import Trunk

__all__ = ["Told", "main", "tell"]

FEW = 200  # pairs; below, the gain is hardly larger than its interval
MEASURED = 8  # answers to each prompt that is reported
Told = tuple[Transformer, object, int]  # model, tokenizer, end: as `load` gives them


def main(argv: list[str] | None = None) -> int:
    """DPO of SmolLM2-135M-Instruct on its own answers, in five minutes of two cores.

    Reward and KL are measured on prompts that it was not trained on.
    """
    shape = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python3 -m course_lib.instruct",
        description=main.__doc__,
        formatter_class=shape,
        allow_abbrev=False,
    )
    tasks = "films: praise in film reviews; you: answers that speak to the reader"
    parser.add_argument("--task", choices=tuple(TASKS), default="films", help=tasks)
    own = argparse.SUPPRESS  # the task's
    beta = "reward a nat (default: what did best on other prompts)"
    parser.add_argument("--beta", type=float, default=own, help=beta)
    rate = "learning rate (default: likewise)"
    parser.add_argument("--lr", type=float, default=own, help=rate)
    steps = f"updates, of {RECIPE.batch_size} pairs each"
    parser.add_argument("--steps", type=int, default=RECIPE.steps, help=steps)
    each = "answers to each of 16 prompts, a multiple of 8"
    parser.add_argument("--each", type=int, default=40, help=each)
    parser.add_argument("--seed", type=int, default=0, help="of answers and batches")
    built = "built into the model"
    parser.add_argument("--temperature", type=float, default=TEMPERATURE, help=built)
    asked = parser.parse_args(argv)
    if missing():
        print(missing())
        return 0
    task, begun = TASKS[asked.task](), time.perf_counter()
    names = ("beta", "lr", "steps", "seed")
    given = {name: value for name, value in vars(asked).items() if name in names}
    config = dataclasses.replace(RECIPE, **{**task.settings, **given}, quiet=False)
    try:
        told = load(temperature=asked.temperature)
        tell(task, told, config, each=asked.each)
    except ValueError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    seconds = time.perf_counter() - begun
    print(f"\n{seconds:.0f} s, {peak_memory() / 1e9:.1f} GB at most")
    return 0


def tell(task: Task, told: Told, config, *, each: int) -> None:
    """Answers, pairs, DPO, and what it brought; printed."""
    if each < 8 or each % 8:
        raise ValueError(f"each must be a multiple of 8, got {each}")
    model, tokenizer, end = told
    trunk, speaker = Trunk(model, DEPTH), Speaker(model, tokenizer, end, task)
    prompts = len(task.prompts["practice"])
    kind = "bfloat16" if sixteen_bits_pay() else "float32"
    threads = torch.get_num_threads()
    print(f"Writing {prompts * each} answers ({kind}, {threads} threads) …", flush=True)
    begun = time.perf_counter()
    practice = speaker.write("practice", each, seed=config.seed)
    rate = sum(map(len, practice.responses)) / (time.perf_counter() - begun)
    print(f"… {rate:.0f} tokens/s. Training the last {DEPTH} blocks …", flush=True)
    top, count = improve(trunk, practice, config)
    if count < FEW:
        print(f"Only {count} pairs: with fewer than {FEW} little is learned.")
    print("Measuring on prompts that were not trained on …", flush=True)
    before = speaker.write("reported", MEASURED, seed=1_000_000 + config.seed)
    after = Speaker(top.whole(), tokenizer, end, task)
    after = after.write("reported", MEASURED, seed=2_000_000 + config.seed)
    kl = by_prompt(kl_of(top, trunk, after), len(after.asked))
    print(_table(task, before, after, kl, count), "\n")
    _print_words(before, after)


def _table(task: Task, before: Answers, after: Answers, kl: Interval, pairs: int):
    """Reward and KL of everything, with intervals."""
    prompts = len(before.asked)
    rows = [("before", _said(by_prompt(before.rewards, prompts)), "0")]
    for n in (2, 4):
        reward = by_prompt(best_of(before.rewards, n), prompts)
        bound = math.log(n) - (n - 1) / n
        rows.append((f"best of {n}", _said(reward), f"at most {bound:.2f}"))
    reward = by_prompt(after.rewards, prompts)
    rows.append((f"DPO, {pairs} pairs", _said(reward), _said(kl)))
    caption = f"{task.unit}; means over {prompts} prompts, with 95 % intervals"
    return Table(caption, ["", "reward", "KL, nats"], rows)


def _said(interval: Interval) -> str:
    return f"{interval.estimate:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _print_words(before: Answers, after: Answers):
    """The first four answers, before and after, each after its reward."""
    both = zip(before.asked, first_words(before), first_words(after), strict=True)
    for prompt, was, now in [*both][:4]:
        print(prompt)
        for name, (reward, words) in (("before", was), ("after", now)):
            print(f"  {name:<6} {reward:+5.1f}  {words}")
