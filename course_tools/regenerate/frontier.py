"""Runs in World S, scored exactly: every method at every β, and what limits DPO."""

import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch import Tensor

from course_lib.datasets import Run
from course_lib.metrics import exact_metrics, shortfall
from course_lib.policies import best_of_n
from course_lib.training import Config, run
from course_lib.transformer import SHIPPED, Transformer, load
from course_lib.worlds import SentenceWorld, World, sample_preferences, world_s
from course_tools.regenerate._runs import in_parallel, write_table

__all__ = ["exact_world", "make", "scored", "trained_and_scored"]

SEEDS = (0, 1, 2, 3, 4)
BETAS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
BASE = Config(quiet=True, layout="distinct")  # few sentences, many times
EXACT = dataclasses.replace(BASE, steps=400, lr=4e-3)
ROLLOUTS = dataclasses.replace(BASE, steps=100)
DRAWS = (1, 2, 4, 8, 16, 64, 256)  # of best-of-n, which needs no training
RUNS = {  # what each method runs with, and the values of its knob
    "dpo": (BASE, BETAS),
    "ipo": (BASE, BETAS),
    "kto": (BASE, BETAS),
    "ppo": (ROLLOUTS, BETAS),
    "ppo_learned": (ROLLOUTS, BETAS),
    "expected": (EXACT, BETAS),
    "orpo": (BASE, (0.1, 0.5, 2.0, 10.0)),  # its weight
    "simpo": (BASE, (0.5, 2.0, 10.0)),
    "sft": (BASE, (BASE.beta,)),  # on the chosen responses; it has no knob
}
LIMITS = {  # from what the model can be to what a thousand pairs tell, 500 steps each
    "π* itself": {"method": "imitate", "lr": 4e-3},
    "all pairs": {"method": "expected", "lr": 4e-3},
    "64,000 pairs": {"pairs": 64_000},  # each of them seen once
    "10,000 pairs": {"pairs": 10_000},
    "1,000 pairs": {"pairs": 1_000},
}
LIMITS_BETAS = (0.1, 0.5)


def make(folder: Path = SHIPPED) -> str:
    """Train and score everything above; about 17 minutes on two cores."""
    rows = [*_best_of_all(), *in_parallel(_run, list(_configs()))]
    return write_table(Run._fields, rows, folder / "frontier.csv")


@functools.cache
def exact_world() -> tuple[SentenceWorld, World, Transformer]:
    """World S, with its reference, in float64 as all shipped runs."""
    sentences, ref = world_s(), load("S").double()
    return sentences, sentences.exact(ref), ref


def _run(experiment: str, arm: str, config: Config) -> Run:
    called = (experiment, arm, config.method, config.beta, config.seed)
    known = config.beta if config.beta_prices_kl else None
    return trained_and_scored(called, lambda: run(config, watch_at=()).model, known)


def _configs() -> Iterator[tuple[str, str, Config]]:
    for method, (base, knobs) in RUNS.items():
        for beta, seed in itertools.product(knobs, SEEDS):
            config = dataclasses.replace(base, method=method, beta=beta, seed=seed)
            if method != "expected" or seed == 0:  # which no seed changes
                yield "frontier", "", config
    for arm, change in LIMITS.items():
        for beta, seed in itertools.product(LIMITS_BETAS, SEEDS):
            if seed == 0 or "pairs" in change:
                config = dataclasses.replace(BASE, beta=beta, seed=seed, steps=500)
                yield "limits", arm, dataclasses.replace(config, **change)


def _best_of_all() -> Iterator[Run]:
    _, world, _ = exact_world()
    for n in DRAWS:
        numbers = scored(best_of_n(world.ref, world.rewards, n), None)
        yield Run("frontier", "", "best_of_n", float(n), 0, *numbers, 0.0)


def trained_and_scored(
    called: Sequence, trained: Callable[[], Transformer], beta: float | None
) -> Run:
    """The `Run` of a model that is trained by a call, which is timed.

    called: what stands in it before the reward; beta: as for `scored`
    """
    begun = time.process_time()
    model = trained()
    seconds = round(time.process_time() - begun, 1)
    return Run(*called, *scored(exact_world()[0].exact(model).ref, beta), seconds)


def scored(policy: Tensor, beta: float | None) -> list[float]:
    """What stands in a `Run` from its reward to its log-ratios, to six decimals.

    policy: in World S; beta: of the π* that it is measured against, None if its knob
        is none
    """
    sentences, world, _ = exact_world()
    exact = exact_metrics(world, policy, beta or 1.0)
    lost = shortfall(world, policy)
    distance = exact["distance"] if beta else math.nan
    spoken = (sentences.tokens < sentences.end).sum(-1)
    length = (policy @ spoken.to(policy)).mean().item()
    held_out = sample_preferences(world, 4_000, seed=12_345)
    logratios = policy.log() - world.ref.log()
    sides = [logratios[held_out.prompts, side].mean().item() for side in held_out[1:]]
    sides = [side if math.isfinite(side) else math.nan for side in sides]
    numbers = [exact["reward"], exact["kl"], lost, distance, exact["entropy"], length]
    return [round(value, 6) for value in (*numbers, *sides)]
