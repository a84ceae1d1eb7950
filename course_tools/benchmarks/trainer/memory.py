"""How much memory scoring takes, with and without chunks, each time in a new process.

Logits are tokens × vocabulary, and the gradient needs them several times over. With
`response_logps(..., chunk=)` only a chunk of them is there at any time. What is
measured is how far the process's peak rises above what model, gradients and batch take
already.

glibc keeps for later what a program has given back, in pieces that later needs do not
fit, so that its peak tells more of its habits than of the program's needs. Here it is
told to return large pieces at once; by default, chunks save less.
"""

import sys
from collections.abc import Sequence
from multiprocessing import get_context

import torch

from course_lib.batches import collate, pairs, response_logps
from course_lib.distributed import peak_memory
from course_lib.transformer import Shape, Transformer
from course_tools.benchmarks._processes import call

__all__ = ["CHUNK", "VOCABULARIES", "growth", "measure"]

VOCABULARIES = (512, 8_192, 32_768)
TOKENS, CHUNK = 2_048, 128  # response tokens, in all and at a time


def measure(vocabularies: Sequence[int] = VOCABULARIES) -> dict[str, dict[str, float]]:
    """MiB by which the peak grows, by vocabulary, whole and in chunks.

    raises: CourseError if a process that measures fails
    """
    ways = {"whole": None, "chunked": CHUNK}
    cases = [(vocab, chunk) for vocab in vocabularies for chunk in ways.values()]
    env = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    found = iter(call(sys.executable, f"{__name__}.each", cases, env=env))
    return {str(vocab): {way: next(found) for way in ways} for vocab in vocabularies}


def each(cases: Sequence[tuple[int, int | None]]) -> list[float]:
    """The growth of a process for every case: forks of this one, which has torch."""
    with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        return pool.starmap(growth, cases, chunksize=1)


def growth(vocab: int, chunk: int | None) -> float:
    """MiB by which one forward and backward pass raises this process's peak so far."""
    torch.manual_seed(0)
    shape = Shape(vocab, vocab, width=128, layers=1, heads=4, kv_heads=4, hidden=128)
    model = Transformer(shape)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)  # written, so that it is there
    words = torch.randint(vocab, (TOKENS // 32, 33)).tolist()
    batch = collate(pairs([row[:1] for row in words], [row[1:] for row in words]))
    small = collate(pairs([[0]], [[1]]))
    # what is loaded at first use
    response_logps(model, small, chunk=chunk).sum().backward()
    before = peak_memory()
    response_logps(model, batch, chunk=chunk).sum().backward()
    return (peak_memory() - before) / 2**20
