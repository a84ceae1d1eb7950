"""One set of names for what the libraries log, and numbers from whatever they print."""

import re
from functools import cache
from typing import Any

__all__ = ["SUMMARY", "canonical", "number"]

EVAL = {"eval", "evaluation", "val", "valid", "validation", "test", "dev"}
TRAIN = {"train", "training", "trainer", "metrics", "mean", "avg", "average", "global"}
ALIKE = {  # our word: others that mean the same
    "reward": "rewards",
    "accuracy": "accuracies acc",
    "margin": "margins",
    "logp": "logps logprob logprobs",
    "rejected": "reject",
    "grad": "gradient",
    "grad norm": "gradnorm",
    "step": "steps iteration iterations iter iters updates update",
    "length": "lengths len",
    "logratio": "logratios",
    "ref": "reference",
    "response": "completions completion",
}
SAME = {word: ours for ours, words in ALIKE.items() for word in words.split()}
# canonical name: the sets of words that mean it; the first that is in a row counts
# {} is each of the two sides
NAMES = {
    "step": ("step", "current step", "counters step", "step max", "optimizer step"),
    "epoch": ("epoch",),
    "loss": ("loss", "loss loss", "reduced loss", "total loss"),
    "dpo_loss": ("dpo loss", "preference loss", "pref loss"),
    "nll_loss": ("nll loss", "sft loss", "gpt loss", "loss rpo", "nll"),
    "{}_reward": ("{} reward",),
    "margin": ("margin", "margin reward", "reward gap"),
    "accuracy": ("accuracy reward", "accuracy", "accuracy preference"),
    "{}_logps": ("{} logp", "{} logp policy", "{} logp response"),
    "ref_{}_logps": ("{} logp ref",),
    "{}_logits": ("{} logits",),
    "{}_logratio": ("{} logratio",),
    "gap": ("gap",),
    "grad_norm": ("grad norm",),
    "lr": ("learning rate", "lr", "learningrate"),
    "kl": ("kl", "kl logs", "kl policy"),
    "entropy": ("entropy",),
    "{}_length": ("{} length", "{} length response"),
    "length": ("length", "length response", "length response sampled"),
    "log_odds": ("log odds ratio", "chosen log odds"),
    "run": ("run",),
}
MEANS = {
    frozenset(words.format(side).split()): (name.format(side), rank)
    for side in ("chosen", "rejected")
    for name, ways in NAMES.items()
    for rank, words in enumerate(ways)
}
SUMMARY = re.compile(r"train_runtime|train_samples_per_second|total_flos")
NUMBER = re.compile(
    r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)\b", re.I
)


@cache
def canonical(key: str) -> tuple[str, str, int] | None:
    """What a column of any library holds, or None if it is nothing that we read.

    key: as it is printed, such as "train/rewards/chosen" or "Val chosen reward"
    returns: the course's name, the part ("train", "eval", or "" if the key leaves it
        open), and a rank: of two columns that mean the same, the lower one counts

    >>> canonical("eval_rewards/accuracies")
    ('accuracy', 'eval', 0)
    >>> canonical("run-7 - train/logps/chosen")
    ('chosen_logps', 'train', 0)
    """
    key = key.rpartition(" - ")[2].strip().strip("'\"")
    if re.search(r"__(MIN|MAX)$|train/train_loss|std|/s$|per_", key):
        return None
    key = re.sub(r"([a-z])([A-Z])", r"\1 \2", key)
    key = re.sub(r"(?i)log[ _-]?probs?|log[ _]ps", "logps", key)
    key = re.sub(r"(?i)log[ _]ratios?(?![a-z])", "logratio", key)
    words = re.findall(r"[a-z]+", key.lower())
    words = " ".join(SAME.get(word, word) for word in words).split()
    part = "eval" if EVAL & {*words} else "train" if "train" in words else ""
    part = "train" if "training" in words else part
    left = frozenset(words) - EVAL - TRAIN
    if left not in MEANS:
        return None
    name, rank = MEANS[left]
    own = name == "step" and key.startswith("_")  # wandb's own count of its rows
    return name, part, rank + 5 * own


def number(value: Any) -> float | None:
    """A number from what a library prints for it, or None where there is none.

    >>> number("tensor(0.6931, device='cuda:0')"), number("75%"), number("1/100")
    (0.6931, 0.75, 1.0)
    >>> number("No log"), number("-inf"), number(True)
    (None, -inf, None)
    """
    if value is None or isinstance(value, bool | list | dict):
        return None
    if isinstance(value, str):
        text = value.strip().strip("'\"")
        try:  # most of them
            return float(text.replace("−", "-"))
        except ValueError:
            pass
        if re.fullmatch(r"[-+]?(0|\d+),\d+", text):  # a decimal comma, or thousands
            whole = re.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}", text)
            return float(text.replace(",", "" if whole else "."))
        found = NUMBER.search(text.replace("−", "-").removeprefix("tensor("))
        if not found or (found.start() > 0 and not text.startswith("tensor")):
            return None
        value = float(found.group())
        return value / 100 if text.endswith("%") else value
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
