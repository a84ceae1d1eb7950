"""Chapter 09: text as a real tokenizer reads it, and TRL's trainer on World S.

The data are small enough to be read and the models learn in a second; the tokenizer,
the chat template and the trainer are those that practitioners use. Nothing asks the
network.
"""

import copy
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from course_lib.batches import Texts, pairs
from course_lib.instruct import Instruct
from course_lib.instruct.folder import SIZES
from course_lib.optional import needed
from course_lib.transformer import Shape, Transformer, from_llama, load
from course_lib.worlds import PROMPTS, WORDS, sample_preferences, world_s

__all__ = [
    "answer_of",
    "as_ours",
    "as_texts",
    "logged",
    "pieces",
    "quiet",
    "random_llama",
    "smollm_tokenizer",
    "tiny_llama",
    "trl_run",
    "word_tokenizer",
    "world_rows",
]

PAD, END = "<pad>", "</s>"
ON_A_CPU = {  # what a DPOConfig is told here beside what a run asks for
    "max_steps": 10,
    "per_device_train_batch_size": 8,
    "beta": 0.5,
    "learning_rate": 1e-3,
    "train_sampling_strategy": "sequential",
    "bf16": False,
    "activation_checkpointing": False,
    "use_cpu": True,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}


def quiet() -> None:
    """No network, no progress bars, no warnings: outputs that can be compared.

    raises: ValueError that says how to add the packages, if they are not there
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["TQDM_DISABLE"] = "1"  # TRL looks at it; our own bars stay
    needed("datasets").disable_progress_bars()
    told = needed("transformers.utils.logging")
    told.set_verbosity_error()
    told.disable_progress_bar()
    logging.getLogger("trl").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)


@cache
def smollm_tokenizer() -> Any:
    """SmolLM2's tokenizer with its chat template, as transformers would load it."""
    file = Instruct()
    words = file.fact("tokenizer.ggml.tokens")
    named = {
        f"{role}_token": words[file.fact(f"tokenizer.ggml.{key}_token_id")]
        for role, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
    }
    return needed("transformers").PreTrainedTokenizerFast(
        tokenizer_object=file.tokenizer(),
        chat_template=file.fact("tokenizer.chat_template"),
        **named,
    )


def pieces(tokenizer: Any, text: str | Sequence[int]) -> str:
    """The tokens of a text with gaps between: a space in one is ·, a line's end ⏎.

    tokenizer: of transformers; text: in words, or the ids of its tokens
    """
    ids = text
    if isinstance(text, str):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    shown = [tokenizer.decode([i]) for i in ids]
    return " ".join(s.replace(" ", "·").replace("\n", "⏎") for s in shown)


def word_tokenizer() -> Any:
    """A tokenizer of World S: each of its words and prompts is one token."""
    parts = needed("tokenizers", "instruct")
    words = [PAD, END, *WORDS, *PROMPTS]
    numbers = {word: number for number, word in enumerate(words)}
    made = parts.Tokenizer(parts.models.WordLevel(numbers, unk_token=PAD))
    made.pre_tokenizer = parts.pre_tokenizers.WhitespaceSplit()
    return needed("transformers").PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=PAD, eos_token=END
    )


def world_rows(count: int, *, seed: int) -> list[dict[str, str]]:
    """Pairs of World S as a data set of text has them: prompt, chosen, rejected.

    count: of pairs; seed: the same ones again

    >>> world_rows(1, seed=0)
    [{'prompt': 'film', 'chosen': ' good !', 'rejected': ' bad'}]
    """
    sentences, prompts = world_s(), list(PROMPTS)
    world = sentences.exact(load("S").double())
    drawn = sample_preferences(world, count, seed=seed)
    said = [[*map(_text, part.tolist())] for part in drawn[1:]]
    return [
        {"prompt": prompts[prompt], "chosen": chosen, "rejected": rejected}
        for prompt, chosen, rejected in zip(drawn[0].tolist(), *said, strict=True)
    ]


def _text(number: int) -> str:
    return f" {world_s().text(number)}".replace(" (nothing)", "")


def tiny_llama(tokenizer: Any, seed: int) -> Any:
    """A Llama of transformers, 20,000 weights that have learned nothing yet."""
    words = len(tokenizer)
    return random_llama(Shape(words, words, hidden=64), tokenizer, seed)


def random_llama(shape: Shape, tokenizer: Any, seed: int) -> Any:
    """A Llama of transformers, of any shape, with weights drawn at random."""
    kit = needed("transformers")
    torch.manual_seed(seed)
    config = kit.LlamaConfig(
        **{theirs: getattr(shape, ours) for ours, theirs in SIZES.items()},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return kit.LlamaForCausalLM(config)


def as_ours(llama: Any) -> Transformer:
    """The same weights as a model of this course."""
    known = llama.config.to_dict()
    known |= known["rope_parameters"]
    shape = Shape(**{ours: known[theirs] for ours, theirs in SIZES.items()})
    return from_llama(llama.state_dict(), shape)


def as_texts(rows: Sequence[dict[str, str]], tokenizer: Any) -> Texts:
    """The same pairs as token ids, each answer with one end token.

    rows: as from `world_rows`; tokenizer: one in which no token spans the boundary
    """

    def ids(text: str, end: int | None = None) -> list[int]:
        made = tokenizer(text, add_special_tokens=False)["input_ids"]
        return made if end is None else [*made, end]

    answers = (
        [ids(row[side], tokenizer.eos_token_id) for row in rows]
        for side in ("chosen", "rejected")
    )
    return pairs([ids(row["prompt"]) for row in rows], *answers)


def trl_run(
    model: Any,
    rows: Sequence[dict],
    tokenizer: Any,
    *,
    ref: Any = "copy",
    peft_config: Any = None,
    **settings: Any,
) -> Any:
    """Train a copy of a model by TRL's DPOTrainer.

    rows: as from `world_rows`
    ref: a model, None to leave it out, or "copy" for the model as it is now
    settings: of DPOConfig; ... takes the library's own default
    returns: the trainer, with its `model` and its `state`; see `logged`
    raises: what TRL raises
    """
    trl, callbacks = needed("trl"), needed("transformers.trainer_callback")
    told = {k: v for k, v in (ON_A_CPU | settings).items() if v is not ...}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        trainer = trl.DPOTrainer(
            model=copy.deepcopy(model),
            ref_model=copy.deepcopy(model) if isinstance(ref, str) else ref,
            args=trl.DPOConfig(output_dir=folder, **told),
            train_dataset=needed("datasets").Dataset.from_list([*rows]),
            processing_class=tokenizer,
            peft_config=peft_config,
        )
        trainer.remove_callback(callbacks.PrinterCallback)
        trainer.train()
    return trainer


def logged(trainer: Any) -> list[dict[str, float]]:
    """What a run of TRL logged: a dict a row, with loss, grad_norm, rewards/chosen …"""
    return [row for row in trainer.state.log_history if "loss" in row]


def answer_of(call: Callable[[], Any]) -> str:
    """What a library answers to a call: its first sentence if it refuses, else "runs".

    >>> answer_of(lambda: {}["tokenizer"])
    "KeyError: 'tokenizer'"
    """
    try:
        call()
    except Exception as error:
        said = re.split(r"(?<=[a-z\d`])\. ", str(error).strip().partition("\n")[0])[0]
        return f"{type(error).__name__}: {said.rstrip('.')}"
    return "runs"
