"""The references of the exact worlds: small transformers that have read a language."""

from pathlib import Path

import torch

from course_lib.training import Config, train
from course_lib.transformer import SHIPPED, Shape, Transformer, save
from course_lib.worlds import END, PROMPTS, SentenceWorld, corpus, world_l, world_s

__all__ = ["make", "reference"]


def reference(
    sentences: SentenceWorld, *, seed: int = 0, steps: int = 400
) -> Transformer:
    """A small transformer that has read 20,000 sentences of a world's language.

    returns: the model that `load` has under the world's name, for the defaults
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Transformer(Shape(vocab=END + 1 + len(PROMPTS), outputs=END + 1))
        model.double()  # so that another processor makes the same
    config = Config(method="sft", steps=steps, lr=4e-3, seed=seed, quiet=True)
    return train(model, corpus(sentences, 20_000, seed=seed), config).model


def make(folder: Path = SHIPPED) -> str:
    """Train both worlds' references and write them; say what was written."""
    for name, sentences in (("S", world_s()), ("L", world_l())):
        save(reference(sentences).float(), folder / f"reference_{name}.pt")
    return f"{folder}: reference_S.pt, reference_L.pt"
