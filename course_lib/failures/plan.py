"""What can be changed about a run in World S, and what a planted failure is."""

from typing import Any, NamedTuple

__all__ = ["CALM", "STUCK", "Failure", "Plan", "Truth"]

STUCK = ("sick", "suspicious")  # statuses that `diagnose` gives
CALM = ("healthy", "healthy_start", "inconclusive")


class Plan(NamedTuple):
    """A run in World S. As it stands it is the healthy one."""

    beta: float = 0.5  # reward per nat
    lr: float = 2e-3  # at the start; it falls in a line to zero
    warmup: int = 0  # steps in which it rises first
    batch_size: int = 64  # pairs a step
    pairs: int = 10_000
    # the annotators, and what they are shown
    label_noise: float = 0.0  # the share of labels that is flipped
    bonus: float = 0.0  # reward a word, which annotators give and nobody wanted
    sampler: str = "reference"  # who writes the answers: or "anything"
    data: str = ""  # what is wrong with the pairs, see `failures.data`
    # the policy, the reference and their log-probs
    reference: str = "frozen"  # or "uniform", "other", "moving", "shared", "none"
    frozen: bool = False  # no gradient reaches the policy
    dropout: float = 0.0  # of the policy's last features, in training
    ref_dropout: float = 0.0  # of the reference's
    logps: str = "sum"  # or "mean", "unmasked", "bfloat16"
    weights: str = "float64"  # or "bfloat16"
    # the loss, and what is printed
    loss: str = "dpo"  # or "per token", log-ratios divided by lengths
    label_smoothing: float = 0.0
    nll_weight: float = 0.0  # of the chosen answer's NLL a token
    logs: str = ""  # or "summed", "one rank", "last batch"


class Truth(NamedTuple):
    """What a reader of the log may answer: any of these classes and statuses."""

    classes: tuple[str, ...]  # names that `diagnose` uses
    statuses: tuple[str, ...]


class Failure(NamedTuple):
    """One thing that is wrong with a run, and how its log tells, if it does."""

    change: dict[str, Any]  # of the healthy Plan
    what: str  # was done, in a few words
    cause: str
    cure: str
    look: str  # at what, and what is to be seen
    number: str  # which number shows it: see `failures.number`
    truth: Truth
    beside: str = "healthy"  # the run to compare it with
