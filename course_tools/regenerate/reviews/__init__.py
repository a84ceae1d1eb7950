"""The model that has read film reviews, the judge of tone, and what DPO makes of them.

A file that is there is kept: to make one again, remove it first.
"""

import copy
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from course_lib.reviews import (
    RECIPE,
    Outcome,
    Reviews,
    align,
    best_of_each,
    compare,
    evaluate,
    load,
    policy_gradient,
    write,
)
from course_lib.training import Config, train
from course_lib.transformer import SHIPPED, Transformer
from course_tools.regenerate._runs import in_parallel, write_table
from course_tools.regenerate.reviews.corpus import read_reviews
from course_tools.regenerate.reviews.reading import learn

__all__ = ["Effort", "best_of_n", "make", "on_stored_pairs", "table", "while_asking"]

SEEDS = (0, 1, 2)
ASKING = {"draws": 4, "temperature": 0.3}  # best and worst of four, by a judge who errs
BASE = dataclasses.replace(RECIPE, quiet=True)
# a method's name, with its β
RUNS = (("dpo", 0.5), ("dpo_nll", 0.3), ("dpo_nll", 0.5), ("dpo_nll", 1.0))
ROUNDS = 4  # of asking, with RECIPE's loss and as many comparisons in all
NS = (1, 2, 4, 8, 16)


class Effort(NamedTuple):
    """How much is done: prompts asked for comparisons by each seed, responses that a
    policy is measured by, and how DPO and REINFORCE train."""

    asked: int = 12_000
    judged: int = 2_000
    dpo: Config = BASE
    gradient: Config = dataclasses.replace(BASE, lr=4e-4, steps=60, beta=0.4)


FULL = Effort()


def make(folder: Path = SHIPPED) -> str:
    """Train the model and the judge, then DPO on what they write and say.

    Minutes for the former, on one core, and for the latter, on all
    """
    torch.set_num_threads(1)
    told = []
    if not (folder / "reviews.pt").exists():
        told.append(learn(read_reviews(), folder))
    model, reviews = load()
    path = folder / "reviews.csv"
    if not path.exists():
        rows = best_of_n(model, reviews)
        jobs = list(itertools.product(SEEDS, (on_stored_pairs, while_asking)))
        rows += itertools.chain(*in_parallel(_outcomes, jobs))
        told.append(table(rows, path))
    return "\n".join(told) or f"{folder}: reviews.pt and reviews.csv are there"


def best_of_n(
    model: Transformer, reviews: Reviews, count: int = 1_000
) -> list[Outcome]:
    """What the best of n responses earns; n = 1 is the reference itself.

    The KL is its bound, log n − (n − 1)/n, which is nearly tight for many responses.
    `distinct` is of all the responses
    """
    begun = time.process_time()
    prompts = reviews.prompts(count, seed=0, held_out=True)
    drawn = write(model, reviews, prompts.repeat_interleave(max(NS), 0), seed=0)
    distinct = len(drawn.tokens.unique(dim=0)) / len(drawn.tokens)
    seconds = time.process_time() - begun
    rows = []
    for n in NS:
        best = best_of_each(drawn, n).view(count, -1).mean(1)  # of each prompt
        error = best.std().item() / count**0.5
        kl = math.log(n) - (n - 1) / n
        numbers = best.mean().item(), error, kl, 0.0, distinct
        rows.append(Outcome("best_of_n", float(n), 0, *numbers, seconds))
    return rows


def on_stored_pairs(
    model: Transformer, reviews: Reviews, seed: int, effort: Effort = FULL
) -> list[Outcome]:
    """All of RUNS from the same comparisons of what the reference wrote."""
    begun = time.process_time()
    texts = compare(model, reviews, effort.asked, seed=1_000 * seed, **ASKING)
    sampling = time.process_time() - begun

    def trained(config: Config) -> Transformer:
        return train(copy.deepcopy(model), texts, config, ref=model).model

    rows = []
    for method, beta in RUNS:
        config = dataclasses.replace(effort.dpo, method=method, beta=beta, seed=seed)
        row = _outcome(method, config, trained, model, reviews, effort)
        rows.append(row._replace(seconds=sampling + row.seconds))
    return rows


def while_asking(
    model: Transformer, reviews: Reviews, seed: int, effort: Effort = FULL
) -> list[Outcome]:
    """As many comparisons, but in ROUNDS of what the policy writes by then; and
    REINFORCE, which asks the judge for numbers."""

    def in_rounds(config: Config) -> Transformer:
        about = {"count": effort.asked // ROUNDS, "rounds": ROUNDS}
        return align(model, reviews, config, **about, **ASKING).model

    def reinforced(config: Config) -> Transformer:
        return policy_gradient(model, reviews, config).model

    steps = effort.dpo.steps // ROUNDS
    few = dataclasses.replace(effort.dpo, seed=seed, steps=steps)
    config = dataclasses.replace(effort.gradient, seed=seed)
    return [
        _outcome("rounds", few, in_rounds, model, reviews, effort),
        _outcome("reinforce", config, reinforced, model, reviews, effort),
    ]


def _outcomes(seed: int, measured: Callable) -> list[Outcome]:
    return measured(*load(), seed)


def _outcome(
    method: str,
    config: Config,
    trained: Callable[[Config], Transformer],
    ref: Transformer,
    reviews: Reviews,
    effort: Effort,
) -> Outcome:
    """Train a policy and measure it."""
    begun = time.process_time()
    policy = trained(config)
    seconds = time.process_time() - begun
    about = {"count": effort.judged, "seed": 10_000 + config.seed}
    scores = evaluate(policy, ref, reviews, **about)
    known = {name: value for name, value in scores.items() if name in Outcome._fields}
    return Outcome(method, config.beta, config.seed, **known, seconds=seconds)


def table(rows: Sequence[Outcome], path: Path) -> str:
    """The rows as a CSV file, to four decimals."""
    rounded = (
        (*row[:3], *(round(value, 4) for value in row[3:-1]), round(row.seconds, 1))
        for row in rows
    )
    return write_table(Outcome._fields, rounded, path)
