"""Ours beside TRL's DPOTrainer: same weights, same data, one step of each in turn.

This runs in an environment that holds TRL; the bench starts it there. TRL computes in
float32, without dropout, checkpointing or clipping, with its own default optimiser; its
real `train()` is what is timed, batches and bookkeeping included.
"""

import copy
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from course_lib.batches import Texts
from course_lib.production.trl_runs import (
    ON_A_CPU,
    as_ours,
    random_llama,
    word_tokenizer,
)
from course_tools.benchmarks.trainer import steps
from course_tools.benchmarks.trainer.steps import LADDER, Pause, Sizes, Tricks

__all__ = ["ASKED", "COMPILED", "PLAIN", "SAME", "TOP", "compare"]

PACKAGES = ("torch", "transformers", "trl", "datasets")
WARM = 2  # rounds that are not counted
PLAIN, ASKED = "TRL", "TRL, reference precomputed"
SAME, TOP = "ours on TRL's batches", list(LADDER)[-1]
COMPILED = "compiled blocks"
OURS = {
    **LADDER,
    COMPILED: LADDER[TOP],
    SAME: Tricks(answers=True, cached=True, shared=True),
}


def compare(told: dict) -> dict:
    """Train side by side: first TRL and the course's trainer alone, then all of them.

    told: Sizes, as a dict
    returns: `tokens_per_second`, the median over steps of real tokens a CPU second, and
        `milliseconds` of a step, by name; `before` and `total`, CPU seconds before the
        first step and in all steps; `alone`, three times those four of TRL and ours,
        when no other empties the caches between their steps;
        `trajectory_max_diff`, the largest difference of a loss from TRL's among those
        who see TRL's batches; `weights_max_diff`, of a weight in the end; `losses`,
        TRL's
    """
    warnings.simplefilter("ignore")
    sizes = Sizes(**told)
    texts, llama = steps.texts_of(sizes), random_llama(sizes.shape, word_tokenizer(), 0)
    alone = []
    for _ in range(3):
        _, loops = _trainers(texts, llama, sizes)
        two = {name: loops[name] for name in (PLAIN, TOP)}
        alone.append(_costs(texts, sizes, *steps.interleave(two, sizes.steps)[:2]))
    models, loops = _trainers(texts, llama, sizes)
    seconds, before, losses = steps.interleave(loops, sizes.steps)
    follow = [name for name, tricks in OURS.items() if not tricks.buckets]
    final = parameters_to_vector(as_ours(models[PLAIN]).parameters())
    return {
        **_costs(texts, sizes, seconds, before),
        "alone": alone,
        "trajectory_max_diff": max(
            np.abs(np.subtract(losses[name], losses[PLAIN])).max().item()
            for name in follow
        ),
        "weights_max_diff": max(
            (parameters_to_vector(models[name].parameters()) - final).abs().max().item()
            for name in follow
        ),
        "losses": losses[PLAIN],
        "tokens_a_step": steps.tokens_of(texts) / sizes.steps,
        "sizes": sizes._asdict(),
        "torch_threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _trainers(texts: Texts, llama: nn.Module, sizes: Sizes) -> tuple[dict, dict]:
    """A model of the same weights for each, and the loops that train them."""
    models = {name: copy.deepcopy(llama) for name in (PLAIN, ASKED)}
    loops: dict[str, Callable] = {
        PLAIN: partial(_trl, models[PLAIN], texts, sizes, False),
        ASKED: partial(_trl, models[ASKED], texts, sizes, True),
    }
    for name, tricks in OURS.items():
        models[name] = as_ours(llama)
        loops[name] = partial(steps.tricked, models[name], texts, sizes, tricks)
    for name, compiled in ((TOP, False), (COMPILED, True)):
        loops[name] = partial(steps.ours, models[name], texts, sizes, compile=compiled)
    return models, loops


def _costs(texts: Texts, sizes: Sizes, seconds: dict, before: dict) -> dict:
    """Rates, and CPU seconds of a step, before the first one, and in all, by name."""
    rates, middle = {}, {}
    for name, spent in seconds.items():
        order = steps.batches_of(texts, sizes, OURS.get(name, Tricks()))
        tokens = np.array([steps.tokens_of(texts.take(rows)) for rows in order])
        rates[name] = np.median((tokens / spent)[WARM:]).item()
        middle[name] = 1e3 * np.median(spent[WARM:]).item()
    told = {"tokens_per_second": rates, "milliseconds": middle, "before": before}
    return told | {"total": {name: sum(spent) for name, spent in seconds.items()}}


def _trl(
    model: nn.Module, texts: Texts, sizes: Sizes, precompute: bool, pause: Pause
) -> list[float]:
    """TRL's trainer as it is, one epoch in the order of the texts; each step's loss."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import DPOTrainer

    losses = []

    class Remembering(DPOTrainer):
        def training_step(self, *args, **kwargs):
            loss = super().training_step(*args, **kwargs)
            losses.append(loss.item())
            return loss

        def _prepare_dataset(self, dataset, *args):
            return dataset  # tokens, not words

    class Pausing(TrainerCallback):
        def on_train_begin(self, *args, **kwargs):
            pause()

        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step < sizes.steps:
                pause()

    with tempfile.TemporaryDirectory() as folder:
        trainer = Remembering(
            model=model,
            ref_model=None if precompute else copy.deepcopy(model),
            args=_config(sizes, precompute, folder),
            train_dataset=Dataset.from_dict(_ids(texts)),
            processing_class=word_tokenizer(),  # for its padding: it reads no text
            callbacks=[Pausing()],
        )
        trainer.train()
    return losses


def _config(sizes: Sizes, precompute: bool, folder: str):
    from trl import DPOConfig

    told = ON_A_CPU | {
        "max_steps": -1,
        "num_train_epochs": 1,
        "per_device_train_batch_size": sizes.pairs,
        "learning_rate": steps.RATE,
        "lr_scheduler_type": "linear",
        "beta": steps.BETA,
        "max_grad_norm": 0,
        "precompute_ref_log_probs": precompute,
        "logging_strategy": "no",
    }
    return DPOConfig(output_dir=folder, **told)


def _ids(texts: Texts) -> dict[str, list[list[int]]]:
    """The tokens of each text, as TRL's own tokenisation would call them."""
    sides = {"prompt_ids": (texts.prompts, texts.prompt_lengths)}
    for k, side in enumerate(("chosen_ids", "rejected_ids")):
        sides[side] = texts.responses[:, k], texts.lengths[:, k]
    return {
        side: [row[:n].tolist() for row, n in zip(*of, strict=True)]
        for side, of in sides.items()
    }
