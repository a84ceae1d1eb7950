"""TRL's DPOTrainer and the course's loop, from the same weights on the same pairs."""

from functools import cache

import torch

from course_lib.batches import batch_order
from course_lib.config import Config
from course_lib.production.trl_runs import (
    as_ours,
    as_texts,
    logged,
    quiet,
    tiny_llama,
    trl_run,
    word_tokenizer,
    world_rows,
)
from course_lib.training import train

BETA, STEPS, PAIRS = 0.5, 10, 8


@cache
def trl_parity(ref_seed: int = 0) -> dict[str, float]:
    """The largest differences over ten steps of eight pairs.

    ref_seed: of the reference; 0: the policy itself at the start
    returns: `first`, of the first loss; `losses`, of all ten; `norms`, of the gradient
        norms; `rewards`, of the margins; `weights`, of any weight at the end; and
        `start`, TRL's first loss
    """
    quiet()
    words, rows = word_tokenizer(), world_rows(STEPS * PAIRS, seed=0)
    llama, ref = tiny_llama(words, 0), tiny_llama(words, ref_seed)
    texts = as_texts(rows, words)
    order = map(batch_order(texts, PAIRS, 0), range(STEPS))
    trainer = trl_run(llama, [rows[i] for i in torch.cat([*order])], words, ref=ref)
    model = as_ours(llama)
    how = Config(
        beta=BETA, steps=STEPS, batch_size=PAIRS, lr=1e-3, clip=1.0, quiet=True
    )
    ours = train(model, texts, how, ref=as_ours(ref)).history
    theirs = logged(trainer)

    def apart(name: str, other: str) -> list[float]:
        both = zip([row[name] for row in theirs], ours[other], strict=True)
        return [abs(one - two) for one, two in both]

    final = as_ours(trainer.model).state_dict()
    weights = [
        (value - final[name]).abs().max() for name, value in model.state_dict().items()
    ]
    return {
        "start": theirs[0]["loss"],
        "first": apart("loss", "loss")[0],
        "losses": max(apart("loss", "loss")),
        "norms": max(apart("grad_norm", "gradient_norm")),
        "weights": max(weights).item(),
    }
