"""`finetune`: from a file of pairs and the name of a model to a folder with another."""

import dataclasses
import json
import os
from pathlib import Path

import torch

from course_lib.config import Config
from course_lib.distributed import place, processes, rank, sixteen_bits_pay, threads
from course_lib.finetuning.languages import HuggingFace, language_of
from course_lib.finetuning.plan import (
    config_of,
    data_of,
    examples_of,
    in_words,
    reference_of,
)
from course_lib.finetuning.record import Record
from course_lib.finetuning.settings import FREE, Finetuning, check_settings
from course_lib.production import huggingface
from course_lib.production.lora import adapter_off, add_lora
from course_lib.training import Log, responses_read, train
from course_lib.variants import REFERENCE_FREE
from course_lib.workspace import write_whole

__all__ = ["begin", "finetune"]

NOTE = "run.json"  # the settings, in the folder of a run
DTYPES = {"auto": None, "bf16": torch.float32}
DTYPES |= {"float32": torch.float32, "float64": torch.float64}


def finetune(asked: Finetuning, say=print) -> Log:
    """Train a model on a file of preferences; a folder holds what comes of it.

    asked: the settings. If its folder holds an unfinished run of the same settings,
        that run goes on, to the bit as if it had never stopped
    say: is given each sentence about what happens, in one process
    returns: the trainer's Log; in the folder lie log.jsonl, samples.jsonl, run.json and
        the model, whole or not there: that of the least held-out loss
    raises: ValueError for a setting, a row of the file or a model that cannot be, and
        for a folder that holds anything else; OSError if a file cannot be read
    """
    say = say if rank() == 0 else lambda *words: None
    folder = begin(asked)
    examples, said = examples_of(asked)
    language = language_of(asked.model, DTYPES[asked.precision])
    data = data_of(asked, examples, language)
    model = language.model.to(place(language.model))
    cores = max(1, (os.cpu_count() or 1) // processes())
    with threads(model, asked.threads or cores):
        config = config_of(asked, data, language, folder)
        said += data.said + _adapters(asked, model)
        if config.bf16 and not sixteen_bits_pay():
            said.append(
                "This processor is slower in bf16 than in float32: leave it out."
            )
        _make(folder, asked)
        for sentence in (*said, in_words(config, data, model)):
            say(sentence)
        record = _record(asked, folder, config, language, data, say)
        given = None if config.method in REFERENCE_FREE else record.ref
        log = train(model, data.train, config, ref=given, after=record)
        _finish(asked, language, record, log, say)
    return log


def _adapters(asked: Finetuning, model) -> list[str]:
    """Put them on the model, if any are asked for; what there is to say of them."""
    if not asked.lora:
        return []
    names = [name for name in asked.lora_on.split(",") if name]
    alpha = asked.lora_alpha or 2 * asked.lora
    layers = add_lora(model, names, asked.lora, alpha, seed=asked.seed)
    return [f"Adapters of rank {asked.lora} on {len(layers)} layers."]


def _record(asked, folder: Path, config: Config, language, data, say) -> Record:
    """What is done after each step, once the reference has read all examples."""
    texts = responses_read(data.train, config)
    held = None if data.held is None else responses_read(data.held, config)
    with adapter_off(language.model) as ref:
        logps, held_logps = reference_of(folder, config, ref, texts, held, say)

    def ask() -> list[list[str]]:
        prompts = data.prompts if rank() == 0 else []
        kind = next(language.model.parameters()).device.type
        with torch.autocast(kind, enabled=False):  # a token a time, casts cost the most
            limits = (asked.sample_tokens, asked.temperature, asked.seed)
            said = language.write(prompts, *limits)
        return [[language.decode(p), a] for p, a in zip(prompts, said, strict=True)]

    judged = None if held is None else (held, held_logps)
    return Record(folder, config, texts, logps, judged, ask, asked.patience)


def begin(asked: Finetuning) -> Path:
    """The folder that a run may have: a new one, or that of this very run. Makes none.

    raises: ValueError if a setting is out of its range, if the folder holds anything
        but an unfinished run of these settings; FileNotFoundError for a missing file
    """
    check_settings(asked)
    for name in filter(None, (asked.pairs, asked.eval_file)):
        if not Path(name).is_file():
            raise FileNotFoundError(2, "there is no such file", name)
    folder = Path(asked.out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"out: {folder} is a file, and a folder is to be made there")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if there and NOTE not in there:
        raise ValueError(f"out: {folder} is not empty: name a folder that is not there")
    if there:
        before = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        for name, value in _settings(asked).items():
            if before.get(name) != value:
                raise ValueError(
                    f"out: {folder} holds a run with {name} = {before.get(name)}, not "
                    f"{value}: name another folder, or delete it"
                )
    if "model" in there:
        raise ValueError(
            f"out: this run is finished, and its model is {folder / 'model'}: name "
            "another folder for another run"
        )
    return folder


def _settings(asked: Finetuning) -> dict:
    told = dataclasses.asdict(asked)
    return {name: told[name] for name in told if name not in FREE}


def _make(folder: Path, asked: Finetuning):
    """The folder with its note; what is there already stays."""
    if rank() == 0 and not (folder / NOTE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_settings(asked), indent=1, ensure_ascii=False) + "\n"
        write_whole(folder / NOTE, lambda p: p.write_text(text, encoding="utf-8"))


def _finish(asked: Finetuning, language, record: Record, log: Log, say):
    """Put the best weights back, save the model, and take away what is not needed."""
    folder, done = record.folder, len(log.history["loss"])
    best, file = record.best(log), folder / "best.pt"
    if done < record.config.steps:
        say(
            f"Stopped after {done} of {record.config.steps} steps: the held-out loss "
            "no longer falls."
        )
    if record.held and best != done:
        state = torch.load(file, map_location="cpu", weights_only=True)
        if state["steps"] != best:
            raise ValueError(f"{file} is of step {state['steps']}, and not of {best}")
        language.model.load_state_dict(state["model"], strict=False)
        say(f"The model is that of step {best}, where the held-out loss was least.")
    looks = [look["eval_loss"] for look in log.watched if "eval_loss" in look]
    if looks and min(looks[1:], default=looks[0]) >= looks[0]:
        say(
            "The held-out loss never fell below its start: the pairs taught nothing "
            "that holds for others, or the rate is wrong."
        )
    if rank() > 0:
        return
    if asked.adapter:
        if not isinstance(language, HuggingFace):
            raise ValueError("adapter: peft reads those of Hugging Face models alone")
        target = folder / "adapter"
        if not target.exists():
            huggingface.save_adapter(language.model, target, asked.model)
    language.save(folder / "model")
    for name in ("checkpoint.pt", "best.pt", "reference.pt"):
        (folder / name).unlink(missing_ok=True)
    say(f"Saved: {folder / 'model'}")
    config = record.config
    say(
        f"Look at the run: python3 -m course_lib diagnose {folder / 'log.jsonl'} "
        f"--beta {config.beta:g} --lr {config.lr:g} --loss {config.method}"
    )
