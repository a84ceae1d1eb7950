"""Every method at every β, three seeds each, in World S: the frontier figure."""

import csv
import dataclasses
import itertools
import time
from pathlib import Path

import torch
from tqdm.auto import tqdm

from course_lib.datasets import Run
from course_lib.evaluation import exact_scores
from course_lib.models import SHIPPED, load
from course_lib.policies import best_of_n
from course_lib.training import WORLDS, Config, run
from course_lib.worlds import SentenceWorld, World, sample_preferences

__all__ = ["RUNS", "make", "scored", "write"]

BETAS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
SEEDS = (0, 1, 2)
BASE = Config(quiet=True)
POLICY_GRADIENT = dataclasses.replace(BASE, steps=100)
RUNS = {  # method: what it runs with, and the values of its knob
    "dpo": (BASE, BETAS),
    "ipo": (BASE, BETAS),
    "kto": (BASE, BETAS),
    "ppo": (POLICY_GRADIENT, BETAS),
    "ppo_learned": (POLICY_GRADIENT, BETAS),
    "orpo": (BASE, (0.1, 0.5, 2.0, 10.0)),  # its weight
    "simpo": (BASE, (0.5, 2.0, 10.0)),
    "sft": (BASE, (1.0,)),  # on the chosen responses; it has no knob
    "expected": (BASE, BETAS),
}
DRAWS = (1, 2, 4, 8, 16, 64, 256)


def make(folder: Path = SHIPPED) -> str:
    """Train and score all of RUNS and best-of-n; about ten minutes on one core."""
    torch.set_num_threads(1)
    todo = [
        (method, beta, seed)
        for method, (_, knobs) in RUNS.items()
        for beta, seed in itertools.product(knobs, SEEDS)
    ]
    rows = [*best_of_all()]
    for method, beta, seed in tqdm(todo, "runs"):
        config = dataclasses.replace(
            RUNS[method][0], method=method, beta=beta, seed=seed
        )
        begun = time.process_time()
        model = run(config, watch_at=()).model
        seconds = time.process_time() - begun
        sentences, world = _world(config.world)
        policy = sentences.exact(model).ref
        row = scored(sentences, world, policy, beta)
        rows.append(Run("frontier", "", method, beta, seed, *row, round(seconds, 1)))
    return write(rows, folder / "frontier.csv")


def best_of_all():
    """Best-of-n, exactly; its knob is n."""
    sentences, world = _world("S")
    for n in DRAWS:
        policy = best_of_n(world.ref, world.rewards, n)
        row = scored(sentences, world, policy, 1.0)
        yield Run("frontier", "", "best_of_n", float(n), 0, *row, 0.0)


def scored(sentences: SentenceWorld, world: World, policy, beta: float) -> list[float]:
    """What stands in a Run from `reward` on, without the seconds; six decimals."""
    exact = exact_scores(world, policy, beta)
    words = (sentences.tokens < sentences.end).sum(-1)
    held_out = sample_preferences(world, 4_000, seed=12_345)
    logratios = (policy.log() - world.ref.log()).clamp(min=-1e3)  # best-of-n has zeros
    chosen, rejected = (
        logratios[held_out.prompts, side].mean().item() for side in held_out[1:]
    )
    length = (policy @ words.to(policy)).mean().item()
    numbers = [exact[name] for name in ("reward", "kl", "distance", "entropy")]
    return [round(value, 6) for value in (*numbers, length, chosen, rejected)]


def write(rows: list[Run], path: Path) -> str:
    """The table as a CSV file; whole, or as it was before."""
    beside = path.with_suffix(".part")
    with beside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Run._fields)
        table.writerows(rows)
    beside.replace(path)
    return f"{path.name}: {len(rows)} runs"


def _world(name: str) -> tuple[SentenceWorld, World]:
    sentences = WORLDS[name]()
    return sentences, sentences.exact(load(name))
