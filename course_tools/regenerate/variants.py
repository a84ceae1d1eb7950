"""Every variant on the same kinds of data in World S, where nothing is asserted."""

import copy
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import torch

from course_lib.batches import sentence_texts, with_thumbs
from course_lib.datasets import Run
from course_lib.guide import SWEEPS
from course_lib.training import Config, train
from course_lib.transformer import SHIPPED, Transformer
from course_lib.variants import REFERENCE_FREE
from course_lib.worlds import (
    Preferences,
    sample_preferences,
    sample_single_thumbs,
    sample_thumbs,
)
from course_tools.regenerate._runs import in_parallel, write_table
from course_tools.regenerate.frontier import exact_world, trained_and_scored

__all__ = ["jobs", "make"]

SEEDS = (0, 1, 2, 3, 4)
LABELS = 10_000  # comparisons, each of two answers
BETA = 0.5  # every method is measured against this π*, whatever its own knob
SWEPT = {  # where every value of a knob is tried, and of which variants
    "clean": set(SWEEPS) - {"apo_zero"},
    "20 % noise": set(SWEEPS) - {"apo_zero", "kto", "hinge", "simpo", "cpo"},
}
DATA = {  # how its comparisons are asked for, besides
    "clean": {},
    "20 % noise": {"label_noise": 0.2},
    "long is liked": {"bonus": 0.5},  # reward for each word
    "thumbs": {},  # which are no comparisons, and are matched
    "wrong reference": {},
}
SINGLE = {"single thumbs": {}, "single, 20 % noise": {"label_noise": 0.2}}  # for KTO
TWIN = "apo_zero"  # KTO's loss at z = 0, twice: run where it takes to show that
ROUNDS = {"offline": 1, "5 rounds": 5}  # of asking, with the same number of labels


def jobs() -> Iterator[tuple]:
    """Every run: experiment, arm, variant, the value of its knob, seed."""
    for arm, (name, sweep) in itertools.product(DATA, SWEEPS.items()):
        values = sweep.values if name in SWEPT.get(arm, ()) else (sweep.usual,)
        if name == TWIN and arm not in SWEPT:
            values = ()
        if arm == "wrong reference" and name in REFERENCE_FREE:
            values = ()  # they are as on clean labels
        yield from itertools.product(["data"], [arm], [name], values, SEEDS)
    kto = SWEEPS["kto"].usual
    yield from itertools.product(["data"], SINGLE, ["kto"], [kto], SEEDS)
    yield from itertools.product(["online"], ROUNDS, ["dpo"], [0.1, BETA], SEEDS)


def make(folder: Path = SHIPPED) -> str:
    """Train and score every variant on all data; some 18 minutes on two cores."""
    return write_table(
        Run._fields, in_parallel(_run, [*jobs()]), folder / "variants.csv"
    )


def _run(*job) -> Run:
    experiment, arm, name, value, seed = job
    sweep = SWEEPS[name]
    method = "dpo" if name == "cdpo" else name
    settings = {"method": method, **sweep.fixed, sweep.knob: value}
    config = Config(**settings, seed=seed, quiet=True, layout="distinct")
    online = experiment == "online"
    train_it = _in_rounds if online else _on_data
    target = config.beta if online else BETA
    return trained_and_scored(job, lambda: train_it(config, arm), target)


def _on_data(config: Config, arm: str) -> Transformer:
    """Any method on one kind of data."""
    sentences, world, ref = exact_world()
    told = _uniform(ref) if arm == "wrong reference" else ref
    if arm in SINGLE:  # as many thumbs, in all and in a batch, as answers in pairs
        asked = {"seed": config.seed, **SINGLE[arm]}
        thumbs = sample_single_thumbs(world, 2 * LABELS, **asked)
        texts = sentence_texts(sentences, thumbs.prompts, thumbs.answers)
        texts = with_thumbs(texts, thumbs.desirable)
        config = dataclasses.replace(config, batch_size=2 * config.batch_size)
    else:
        texts = sentence_texts(sentences, *_asked(arm, config.seed))
    return train(copy.deepcopy(ref), texts, config, ref=told).model


def _asked(arm: str, seed: int) -> Preferences:
    sentences, world, _ = exact_world()
    if arm == "thumbs":
        return sample_thumbs(world, LABELS, seed=seed)
    told = dict(DATA[arm])
    if "bonus" in told:
        told["bonus"] *= (sentences.tokens < sentences.end).sum(-1)
    return sample_preferences(world, LABELS, seed=seed, **told)


def _in_rounds(config: Config, arm: str) -> Transformer:
    """DPO with its labels asked for in rounds, each about the policy of that moment."""
    sentences, world, ref = exact_world()
    model, rounds = copy.deepcopy(ref), ROUNDS[arm]
    part = dataclasses.replace(config, steps=config.steps // rounds)
    for turn in range(rounds):
        about = {"seed": 100 * config.seed + turn}
        about["sampler"] = sentences.exact(model).ref
        asked = sample_preferences(world, LABELS // rounds, **about)
        model = train(model, sentence_texts(sentences, *asked), part, ref=ref).model
    return model


def _uniform(ref: Transformer) -> Transformer:
    """A reference to which every next token is as likely as any other."""
    blank = copy.deepcopy(ref)
    torch.nn.init.zeros_(blank.embedding.weight)
    return blank
