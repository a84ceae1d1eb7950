"""What a training on one's own pairs depends on, with a default for most of it."""

import dataclasses

from course_lib import validate
from course_lib.variants import METHODS

__all__ = ["FREE", "Finetuning", "check_settings"]

PRECISIONS = ("auto", "float32", "bf16", "float64")
FREE = ("out", "processes", "threads", "quiet")  # may differ when a run is continued


@dataclasses.dataclass(frozen=True)
class Finetuning:
    """All settings of `finetune`; 0 stands for a value that depends on the rest.

    >>> Finetuning("pairs.jsonl", "S", "run").method
    'dpo'
    """

    pairs: str  # the file of preferences: JSONL, JSON, CSV or Parquet
    model: str  # S or L, of this course; smollm2; or a folder that holds a model
    out: str  # the folder to make: log, samples, checkpoint, and at the end the model
    method: str = "dpo"  # the loss
    beta: float = 0.1  # KL strength in reward per nat; IPO's τ, ORPO's λ
    gamma: float = 0.5  # SimPO's target margin
    label_smoothing: float = 0.0  # the share of flipped labels, for dpo and robust
    nll_weight: float = 1.0  # of the NLL term in dpo_nll and cpo
    lr: float = 0.0  # the highest learning rate; 0: 5e-6, with LoRA 1e-4, S and L 2e-3
    epochs: float = 3.0  # how often each pair is seen
    steps: int = 0  # updates of the model; 0: as `epochs` says
    batch_size: int = 0  # pairs a step, of all processes together; 0: 16, or fewer
    accumulate: int = 1  # equal parts of a step that go through the model in turn
    warmup: float = 0.1  # the share of the steps in which the rate rises first
    clip: float = 1.0  # the gradient's norm is held to this
    weight_decay: float = 0.0  # of AdamW
    lora: int = 0  # rank of an adapter on frozen weights; 0: all weights are trained
    lora_alpha: float = 0.0  # its scale is this over the rank; 0: twice the rank
    lora_on: str = ""  # layers for it, such as q_proj,v_proj; none: every linear one
    adapter: bool = False  # save the adapter too, as peft reads it
    chat: bool = False  # a plain prompt is the user's turn in a chat
    max_length: int = 0  # tokens of a row, longer ones are left out; 0: 1024
    layout: str = "auto"  # shared (a prompt and both answers in one row), padded
    held_out: float = 0.1  # the share of the prompts that is kept for evaluation
    eval_file: str = ""  # or a file of pairs for it
    skip_bad: bool = False  # leave out the rows that `inspect` calls an error
    eval_every: int = 0  # steps between evaluations and checkpoints; 0: a tenth of all
    patience: int = 3  # evaluations without a lower held-out loss, then stop; 0: never
    samples: int = 2  # held-out prompts that the model answers at each evaluation
    sample_tokens: int = 48  # the longest of these answers
    temperature: float = 0.7  # at which they are drawn
    seed: int = 0  # of the split, the order, the adapter and the samples
    recompute: bool = False  # compute blocks again for the gradient: less memory
    precision: str = "auto"  # float32, bf16 (products only) or float64
    processes: int = 1  # how many train together here; torchrun starts them
    threads: int = 0  # CPU threads of each process; 0: all cores. S and L have one
    quiet: bool = False  # no progress bar


def check_settings(asked: Finetuning):
    """Refuse values out of range.

    raises: ValueError that names the setting
    """
    validate.choice("method", asked.method, tuple(METHODS))
    validate.choice("precision", asked.precision, PRECISIONS)
    validate.choice("layout", asked.layout, ("auto", "shared", "padded"))
    above = ("epochs", "accumulate", "sample_tokens", "temperature", "processes")
    for name in (*above, "beta", "clip"):
        validate.number(name, getattr(asked, name))
    for name in ("held_out", "warmup", "label_smoothing"):
        below = 0.5 if name == "label_smoothing" else 1.0
        validate.fraction(name, getattr(asked, name), below=below)
    zero = ("lr", "steps", "batch_size", "lora", "lora_alpha", "max_length", "threads")
    for name in (*zero, "eval_every", "patience", "samples"):
        validate.fraction(name, getattr(asked, name))
    if asked.adapter and not asked.lora:
        raise ValueError("adapter: there is none to save without lora, its rank")
