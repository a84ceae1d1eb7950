"""Every variant on the same kinds of data in World S, where nothing is asserted."""

import copy
import dataclasses
import itertools
from pathlib import Path

import torch

from course_lib.batches import sentence_texts
from course_lib.datasets import Run
from course_lib.training import Config, train
from course_lib.transformer import SHIPPED, Transformer
from course_lib.worlds import Preferences, sample_preferences, sample_thumbs
from course_tools.regenerate._runs import in_parallel, write_table
from course_tools.regenerate.frontier import exact_world, trained_and_scored

__all__ = ["make"]

SEEDS = (0, 1, 2)
PAIRS = 10_000
BETA = 0.5  # every method is measured against this π*, whatever its own knob
EPSILON = 0.2  # the label noise that cDPO and robust DPO believe in, on any data
VARIANTS = {  # its loss, and one setting of its knob
    "dpo": Config(method="dpo", beta=BETA),
    "cdpo": Config(method="dpo", beta=BETA, label_smoothing=EPSILON),
    "robust": Config(method="robust", beta=BETA, label_smoothing=EPSILON),
    "ipo": Config(method="ipo", beta=0.1),
    "hinge": Config(method="hinge", beta=BETA),
    "dpo_norm": Config(method="dpo_norm", beta=1.5),
    "dpo_nll": Config(method="dpo_nll", beta=BETA),
    "nca": Config(method="nca", beta=BETA),
    "apo_zero": Config(method="apo_zero", beta=BETA),
    "kto": Config(method="kto", beta=BETA),
    "orpo": Config(method="orpo", beta=2.0),
    "simpo": Config(method="simpo", beta=2.0, gamma=0.5),
    "cpo": Config(method="cpo", beta=BETA),
}
DATA = {  # how its comparisons are asked for, besides
    "clean": {},
    "20 % noise": {"label_noise": 0.2},
    "30 % noise": {"label_noise": 0.3},
    "long is liked": {"bonus": 0.5},  # reward for each word
    "thumbs": {},  # which are no comparisons
    "wrong reference": {},
}
ROUNDS = {"offline": 1, "5 rounds": 5}  # of asking, with the same number of labels


def make(folder: Path = SHIPPED) -> str:
    """Train and score every variant on every kind of data; minutes on two cores."""
    jobs = [
        *itertools.product(["data"], DATA, VARIANTS, [None], SEEDS),
        *itertools.product(["online"], ROUNDS, ["dpo"], [0.1, BETA], SEEDS),
    ]
    return write_table(Run._fields, in_parallel(_run, jobs), folder / "variants.csv")


def _run(job: tuple) -> Run:
    experiment, arm, name, beta, seed = job
    config = dataclasses.replace(VARIANTS[name], seed=seed, quiet=True)
    online = experiment == "online"
    if online:
        config = dataclasses.replace(config, beta=beta)
    called = (experiment, arm, name, config.beta, seed)
    train_it = _in_rounds if online else _on_data
    target = config.beta if online else BETA
    return trained_and_scored(called, lambda: train_it(config, arm), target)


def _on_data(config: Config, arm: str) -> Transformer:
    """Any method on one kind of data."""
    sentences, _, ref = exact_world()
    told = _uniform(ref) if arm == "wrong reference" else ref
    texts = sentence_texts(sentences, *_asked(arm, config.seed))
    return train(copy.deepcopy(ref), texts, config, ref=told).model


def _asked(arm: str, seed: int) -> Preferences:
    sentences, world, _ = exact_world()
    if arm == "thumbs":
        return sample_thumbs(world, PAIRS, seed=seed)
    told = dict(DATA[arm])
    if "bonus" in told:
        told["bonus"] *= (sentences.tokens < sentences.end).sum(-1)
    return sample_preferences(world, PAIRS, seed=seed, **told)


def _in_rounds(config: Config, arm: str) -> Transformer:
    """DPO with its labels asked for in rounds, each about the policy of that moment."""
    sentences, world, ref = exact_world()
    model, rounds = copy.deepcopy(ref), ROUNDS[arm]
    part = dataclasses.replace(config, steps=config.steps // rounds)
    for turn in range(rounds):
        about = {"seed": 100 * config.seed + turn}
        about["sampler"] = sentences.exact(model).ref
        asked = sample_preferences(world, PAIRS // rounds, **about)
        model = train(model, sentence_texts(sentences, *asked), part, ref=ref).model
    return model


def _uniform(ref: Transformer) -> Transformer:
    """A reference to which every next token is as likely as any other."""
    blank = copy.deepcopy(ref)
    torch.nn.init.zeros_(blank.embedding.weight)
    return blank
