"""How much memory scoring takes, with and without chunks, each time in a new process.

Logits are tokens × vocabulary, and the gradient needs them several times over. With
`response_logps(..., chunk=)` only a chunk of them is there at any time. What is
measured is how far the process's peak rises above what model, gradients and batch take
already.

glibc keeps for later what a program has given back, in pieces that later needs do not
fit, so that its peak tells more of its habits than of the program's needs. Here it is
told to return large pieces at once; by default, chunks save less.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import torch

from course_lib.batches import collate, pairs, response_logps
from course_lib.transformer import Shape, Transformer
from course_lib.workspace import CourseError

__all__ = ["CHUNK", "VOCABULARIES", "growth", "main", "measure"]

VOCABULARIES = (512, 8_192, 32_768)
TOKENS, CHUNK = 2_048, 128  # response tokens, in all and at a time


def measure(vocab: int, chunk: int | None) -> float:
    """MiB by which the peak grows; a fresh process measures.

    raises: CourseError if that process fails
    """
    command = [sys.executable, "-m", __spec__.name, json.dumps([vocab, chunk])]
    told = {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **told}
    )
    if run.returncode:
        raise CourseError(f"Memory could not be measured:\n{run.stderr[-2000:]}")
    return json.loads(run.stdout)


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
    response_logps(
        model, small, chunk=chunk
    ).sum().backward()  # what is loaded at first use
    before = _peak()
    response_logps(model, batch, chunk=chunk).sum().backward()
    return _peak() - before


def _peak() -> float:
    """MiB, of this program alone: Linux's maxrss would count who started it, too."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(line) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(argv: list[str]):
    print(json.dumps(growth(*json.loads(argv[0]))))


if __name__ == "__main__":
    main(sys.argv[1:])
