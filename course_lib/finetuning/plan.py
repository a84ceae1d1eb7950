"""Before the first step: data as tokens, all settings, the log-probs under π_ref."""

import contextlib
from pathlib import Path
from typing import NamedTuple

import torch

from course_lib.batches import Texts, batch_order
from course_lib.checkpoint import fingerprint
from course_lib.config import Config, require
from course_lib.distributed import processes, rank, toy
from course_lib.finetuning.languages import HuggingFace, WorldWords
from course_lib.finetuning.pairs import Example, held_apart, read_examples
from course_lib.finetuning.settings import Finetuning
from course_lib.finetuning.tokens import Encoded, as_texts, encode_all
from course_lib.production import huggingface
from course_lib.training import all_logps, scoring_settings
from course_lib.variants import METHODS, REFERENCE_FREE
from course_lib.workspace import write_whole

__all__ = ["Data", "config_of", "data_of", "examples_of", "in_words", "reference_of"]

AS_ASKED = ("method", "gamma", "label_smoothing", "nll_weight", "accumulate", "clip")
AS_ASKED += ("weight_decay", "seed", "recompute", "quiet")  # the trainer's settings


class Data(NamedTuple):
    """What is trained on and what is held out."""

    train: Texts
    held: Texts | None
    prompts: list[list[int]]  # of the samples
    said: list[str]  # about the file


def examples_of(
    asked: Finetuning,
) -> tuple[tuple[list[Example], list[Example]], list[str]]:
    """Examples for training and for evaluation, and what there is to say of them."""
    found, report = read_examples(asked.pairs, skip_bad=asked.skip_bad)
    warned = sum(finding.severity == "warning" for finding in report.findings)
    said = [f"{asked.pairs}: {len(found)} examples, {report.format}."]
    if warned:
        said.append(
            f"`inspect` has {warned} warnings about it: python3 -m course_lib inspect "
            f"{asked.pairs}"
        )
    if len(found[0].answers) == 1 and asked.method != "kto":
        raise ValueError(f"{asked.pairs}: single answers with labels need --method kto")
    if not asked.eval_file:
        return held_apart(found, asked.held_out, asked.seed), said
    held, _ = read_examples(asked.eval_file, skip_bad=asked.skip_bad)
    known = {example.asked for example in found}
    both = [example.line for example in held if example.asked in known]
    if both:
        raise ValueError(
            f"{asked.eval_file}: the prompt of line {both[0]} is in {asked.pairs} too "
            f"({len(both)} such rows): what is trained on proves nothing"
        )
    return (found, held), said


def data_of(asked: Finetuning, examples, language) -> Data:
    """Examples in tokens, as tensors; what is too long is left out, and said."""
    longest = min(asked.max_length or 1024, language.context)
    files, encoded, said = (asked.pairs, asked.eval_file or asked.pairs), [], []
    parts: list[list[Example]] = [part for part in examples if part]
    for file, part in zip(files, parts, strict=False):
        kept, long = encode_all(part, language, file, longest=longest, chat=asked.chat)
        encoded.append(kept)
        if long:
            told = ", ".join(map(str, long[:10])) + (" …" if len(long) > 10 else "")
            said.append(
                f"{file}: {len(long)} rows are longer than {longest} tokens and are "
                f"left out: lines {told}"
            )
    if language.has_chat and not asked.chat and isinstance(parts[0][0].prompt, str):
        said.append(
            "The prompts are plain text and are read as they are; --chat makes each "
            "the user's turn."
        )
    shown: dict[tuple, Encoded] = {tuple(e.prompt): e for e in encoded[-1]}
    prompts = [e.prompt for e in list(shown.values())[: asked.samples]]
    texts = [as_texts(part) for part in encoded]
    return Data(texts[0], texts[1] if len(texts) > 1 else None, prompts, said)


def config_of(asked: Finetuning, data: Data, language, folder: Path) -> Config:
    """The trainer's settings, with values for all that was left open."""
    size, steps = _sizes(asked, data)
    beta = asked.beta
    if "beta" not in METHODS[asked.method].reads and beta == Finetuning.beta:
        beta = Config.beta  # nobody asked for it
    rate = 1e-4 if asked.lora else 5e-6
    if isinstance(language, WorldWords):
        rate = 2e-3
    config = Config(
        **{name: getattr(asked, name) for name in AS_ASKED},
        beta=beta,
        steps=steps,
        batch_size=size,
        lr=asked.lr or rate,
        warmup=round(asked.warmup * steps),
        layout=_layout(asked, data, language),
        chunk=0 if toy(language.model) else 512,
        bf16=asked.precision == "bf16",
        every=asked.eval_every or max(1, steps // 10),
        checkpoint=str(folder / "checkpoint.pt"),
    )
    require(config)
    return config


def _sizes(asked: Finetuning, data: Data) -> tuple[int, int]:
    """Pairs a step, and steps."""
    count, together = len(data.train), processes() * asked.accumulate
    size = asked.batch_size or max(1, min(16, count) // together) * together
    batch_order(data.train, size, asked.seed)  # refuses more than there are
    if size % together:
        raise ValueError(
            f"batch_size {size} must be a multiple of {together}, the processes times "
            "accumulate"
        )
    return size, asked.steps or max(1, round(asked.epochs * (count // size)))


def _layout(asked: Finetuning, data: Data, language) -> str:
    """How rows are laid out: a model from elsewhere must agree with its own logits."""
    if not isinstance(language, HuggingFace):
        return "shared" if asked.layout == "auto" else asked.layout
    longest = int((data.train.prompt_lengths + data.train.lengths.max(1).values).max())
    wide = language.window < longest
    tried = {"auto": ("shared", "padded")}.get(asked.layout, (asked.layout,))
    for layout in tried:
        if layout == "shared" and wide:
            continue
        # a model that takes no mask of four dimensions says so in one of these ways
        with contextlib.suppress(RuntimeError, TypeError, ValueError, IndexError):
            if huggingface.agreement(language.model, data.train, layout) < 0.01:
                return layout
    raise ValueError(
        f"model: {language.name} cannot be trained here: with rows that are "
        f"{' or '.join(tried)} its log-probs are not those of its own logits"
    )


def reference_of(folder: Path, config: Config, ref, texts: Texts, held, say):
    """Log-probs under the reference, computed once and kept beside the checkpoint.

    ref: the model before its first step; texts, held: as the method reads them
    returns: those of the texts, and of what is held out; zeros for a method without a
        reference
    raises: ValueError if the folder has those of another model or of other texts
    """
    key = fingerprint(ref, texts, held) + str(config.bf16)
    path = folder / "reference.pt"
    if path.exists():
        known = torch.load(path, map_location="cpu", weights_only=True)
        if known["key"] != key:
            raise ValueError(
                f"out: {folder} holds a run of another model or other pairs than now: "
                "name another folder, or delete it"
            )
        return known["train"], known["held"]
    found = []
    for part in (texts, held):
        if part is None or config.method in REFERENCE_FREE:
            found.append(None if part is None else torch.zeros(part.lengths.shape))
        else:
            say(f"The reference reads {len(part)} examples once.")
            found.append(all_logps(ref, part, **scoring_settings(config)))
    if rank() == 0:
        state = {"key": key, "train": found[0], "held": found[1]}
        write_whole(path, lambda part: torch.save(state, part))
    return found


def in_words(config: Config, data: Data, model) -> str:
    """What is about to be trained, in a sentence."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    held = 0 if data.held is None else len(data.held)
    return (
        f"{config.method.upper()}, β {config.beta:g}: {config.steps} steps of "
        f"{config.batch_size} from {len(data.train)} examples, {held} held out; rate "
        f"{config.lr:g}; {trained:,} weights are trained; {config.layout} layout."
    )
