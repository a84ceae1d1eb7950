"""From anything that holds a log to rows of numbers under the course's names."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_lib.diagnosis.columns import SUMMARY, canonical, number
from course_lib.diagnosis.runlog import RunLog
from course_lib.diagnosis.texts import found_in

__all__ = ["read"]

LISTS = ("log_history", "rows", "history", "logs", "log", "data", "metrics")
SETTINGS = {  # ours: how libraries call it
    "beta": ("beta", "pref_beta", "dpo_beta", "reference_policy_kl_penalty"),
    "lr": ("lr", "learning_rate"),
    "loss": ("loss_type", "pref_loss", "method", "dpo_loss_type"),
    "label_smoothing": ("label_smoothing", "dpo_label_smoothing"),
}
MEASURES = {"loss", "dpo_loss", "chosen_reward", "rejected_reward", "margin"}
MEASURES |= {"accuracy", "chosen_logratio", "gap", "chosen_logps", "grad_norm"}
SOUGHT = (
    "printed dicts, JSON, JSON lines, CSV, a table or `key: value` lines with a column "
    "such as loss, rewards/chosen, rewards/margins, rewards/accuracies or logps/chosen"
)


def read(log: Any) -> RunLog:
    """The rows of a log, whoever wrote it, under one set of names.

    log: a path, the text itself, a list of dicts, a mapping from names to columns, or
        what the course's trainer returns (`training.Log`)
    returns: a RunLog
    raises: ValueError if no row of a log is found, or the path leads nowhere;
        TypeError for another kind of thing

    >>> read("noise {'loss': '0.6931', 'rewards/chosen': nan} noise").rows
    [{'loss': 0.6931, 'chosen_reward': nan}]
    """
    settings: dict[str, Any] = {}
    library = ""
    if isinstance(log, RunLog):
        return log
    if hasattr(log, "history") and hasattr(log, "watched"):
        raw, library = _own(log), "this course"
    elif isinstance(log, str | Path):
        raw, settings = _from_text(*_text(log))
    elif isinstance(log, Mapping):
        raw, settings = _from_mapping(log)
    elif isinstance(log, Sequence):
        raw = [row for row in log if isinstance(row, Mapping)]
    else:
        raise TypeError(
            "log must be a path, text, a list of dicts, a mapping of columns or a "
            f"training.Log, got {type(log).__name__}"
        )
    if any("mean_token_accuracy" in row for row in raw) and not any(
        "reward" in str(key) for row in raw for key in row
    ):
        settings.setdefault("loss", "sft")
    rows = [
        row
        for row in map(_row, raw)
        if MEASURES & {name.removeprefix("eval_") for name in row}
    ]
    if not rows:
        raise ValueError(f"no row of a training log was found. Looked for {SOUGHT}")
    return RunLog.of(rows, library or _library(raw), settings)


def _text(log: str | Path) -> tuple[str, str]:
    """The text, and the name of its file."""
    if isinstance(log, str) and (len(log) >= 1000 or re.search(r"[\n{|\t]", log)):
        return log, ""
    path = Path(log)
    if path.is_dir():
        path = path / "trainer_state.json"
    if not path.is_file():
        if isinstance(log, str) and re.search(r"\d", log) and " " in log.strip():
            return log, ""
        raise ValueError(f"there is no file {str(path)!r} to read")
    data = path.read_bytes()
    code = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(code, errors="replace"), path.stem


def _from_text(text: str, name: str) -> tuple[list[Mapping], dict[str, Any]]:
    text = text.replace("\r\n", "\n")
    if text.lstrip()[:1] in ("{", "["):
        try:
            whole = json.loads(text)
        except ValueError:
            whole = None
        if isinstance(whole, Mapping):
            return _from_mapping(whole)
        if isinstance(whole, list):
            return [row for row in whole if isinstance(row, Mapping)], {}
    return found_in(text, name), {}


def _from_mapping(log: Mapping) -> tuple[list[Mapping], dict[str, Any]]:
    """Rows and settings of trainer_state.json and its like, of columns, or of a row."""
    given = [log, *(log[k] for k in ("settings", "config", "args") if k in log)]
    settings = {}
    for name, ways in SETTINGS.items():
        for place in filter(lambda p: isinstance(p, Mapping), given):
            for way in ways:
                value = place.get(way)
                if name == "loss":
                    exact = value if isinstance(value, str) else None
                else:  # beside the rows such a name is that of a column
                    exact = number(value) if place is not log else None
                if exact is not None:
                    settings[name] = exact
    for name in LISTS:
        inner = log.get(name)
        if isinstance(inner, list) and any(isinstance(row, Mapping) for row in inner):
            return [row for row in inner if isinstance(row, Mapping)], settings
        if isinstance(inner, Mapping) and (columns := _columns(inner)):
            return _transposed(columns), settings
    columns = _columns(log)
    return _transposed(columns) if columns else [log], settings


def _columns(log: Mapping) -> dict[str, list]:
    """What a mapping has that is a list and bears a name that we read."""
    return {
        key: column.tolist() if hasattr(column, "tolist") else list(column)
        for key, column in log.items()
        if hasattr(column, "__len__")
        and not isinstance(column, str | Mapping)
        and canonical(str(key))
    }


def _transposed(columns: dict[str, list]) -> list[dict]:
    lengths = {key: len(column) for key, column in columns.items()}
    if len({*lengths.values()}) > 1:
        told = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise ValueError(f"the columns of a log must be equally long, got {told}")
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _own(log: Any) -> list[dict]:
    """The rows of the course's own trainer: a step each, counted from 1."""
    columns = {name: list(map(float, values)) for name, values in log.history.items()}
    length = max(map(len, columns.values()), default=0)
    whole = {name: c for name, c in columns.items() if len(c) == length}
    return [{"step": n, **row} for n, row in enumerate(_transposed(whole), 1)]


def _row(raw: Mapping) -> dict[str, float]:
    """A row under our names; those of an evaluation begin with eval_."""
    if any(SUMMARY.search(str(key)) for key in raw):
        raw = {k: v for k, v in raw.items() if str(k).startswith("eval_")}
    known = [(w, raw[key]) for key in raw if (w := canonical(str(key)))]
    validated = any(
        w[:2] == ("loss", "eval") and number(value) is not None for w, value in known
    )
    trained = any(w[0] == "loss" and w[1] == "train" for w, _ in known)
    judged = any(w[1] == "eval" for w, _ in known)
    row, ranks = {}, {}
    for (name, part, rank), value in known:
        if name == "run":
            row["run"] = value
            continue
        exact = number(value)
        if exact is None:
            continue
        shared = name in ("step", "epoch", "lr")
        # In a model card's table only the training loss is of the training data.
        table = validated and trained and not part
        lone = name == "dpo_loss" and judged
        if (part == "eval" or table or lone) and not shared:
            name = f"eval_{name}"
        if name not in row or rank < ranks[name]:
            row[name], ranks[name] = exact, rank
    for part in ("", "eval_"):
        if f"{part}dpo_loss" in row and f"{part}loss" not in row:
            row[f"{part}loss"] = row.pop(f"{part}dpo_loss")
    return row


LIBRARIES = (  # a key that only this library writes
    ("`train` of this course", r"^pairs_seen$"),
    ("ms-swift", r"global_step/max_steps|memory\(GiB\)"),
    ("LLaMA-Factory", r"^current_steps$|^predict_loss$"),
    (
        "the original DPO repository",
        r"^(rewards|logps)_(train|eval)/|^loss/(train|eval)",
    ),
    ("torchtune", r"^log_probs/|tokens_per_second_per_gpu"),
    ("NeMo-RL", r"rewards_chosen_mean|^preference_loss$|^sft_loss$"),
    ("OpenRLHF", r"^(chosen|reject)_reward$|^acc_mean$|^loss_mean$"),
    ("open-instruct", r"^rewards/(accuracy|margin)$|^training_step$"),
    ("mlx-lm", r"(?i)^(train |val )?(chosen|rejected) reward$"),
    ("ORPO in TRL", r"log_odds"),
    ("TRL", r"(?i)rewards ?/ ?(chosen|accuracies|margins)"),
    ("Weights & Biases", r"^_step$|__MIN$"),
)


def _library(raw: Sequence[Mapping]) -> str:
    keys = {str(key).strip() for row in raw[:50] for key in row}
    for library, way in LIBRARIES:
        if any(re.search(way, key) for key in keys):
            return library
    return "an unknown library"
