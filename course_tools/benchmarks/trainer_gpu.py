"""How fast the trainer is on a GPU, beside what the GPU could do.

The course's own `train` runs, batches and bookkeeping included; between two steps an
event is put on the GPU's own clock. Real tokens are the same in both layouts: those of
both rows of a pair, its prompt counting twice, padding never. The FLOPs that a step
needs, a backward pass counting as two forward passes, are

    6 · weights · tokens  +  12 · layers · width · (pairs of a token and one it sees)

where a shared prompt counts once, and weights are those of matrix products: at every
token but those of the last block's output and feed-forward part and of the head, which
are needed only where an answer is predicted. The reference was asked before, and does
not count. MFU is those FLOPs, divided by the time and by the maker's peak for dense
bfloat16.
"""

import copy
import statistics
import time
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_lib.batches import LAYOUTS, Texts, collate, pairs, schedule
from course_lib.training import Config, train
from course_lib.transformer import Shape, Transformer
from course_tools.benchmarks.trainer_steps import tokens_of

__all__ = ["PEAKS", "Load", "Work", "flops", "measure", "timed", "work"]

PEAKS = {  # by a part of the name: FLOP/s in dense bfloat16, from the data sheets
    "H200": 989e12,
    "H100 80GB HBM3": 989e12,
    "H100 PCIe": 756e12,
    "A100": 312e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}


class Load(NamedTuple):
    """What is trained, on what, and for how long. The default has 30 million weights
    besides the embedding."""

    shape: Shape = Shape(8192, 8192, 512, 10, 8, 8, 1408)
    pairs: int = 64  # a step
    shortest: int = 96  # tokens in a prompt and in an answer
    longest: int = 256
    warm: int = 20  # steps before the first that counts
    steps: int = 50


LOAD = Load()


def measure(load: Load = LOAD, device: str = "cuda") -> dict:
    """Speed and memory in both layouts; on a CPU too, with that clock's times.

    returns: the device's name, and for each layout milliseconds a step (median, p10,
        p90), real tokens a step and a second, the share of places that hold a real
        token, `mfu` ("unknown device" for one that is not in PEAKS), and the most
        memory that was allocated, MiB ("not measured" on a CPU)
    """
    gpu = torch.device(device).type == "cuda"
    name = torch.cuda.get_device_name(device) if gpu else "CPU"
    texts = _texts(load)
    return {"device": name} | {
        layout: timed(load, texts, layout, device, _peak(name)) for layout in LAYOUTS
    }


def timed(
    load: Load, texts: Texts, layout: str, device: str, peak: float | None
) -> dict:
    """One layout's numbers; `peak`: the device's FLOP/s, None if not known."""
    torch.manual_seed(0)
    model = Transformer(load.shape).to(device)
    ref = copy.deepcopy(model)
    gpu, steps = torch.device(device).type == "cuda", load.warm + load.steps
    ticks: list = []

    def watch(_: nn.Module) -> dict[str, float]:
        if gpu and len(ticks) == load.warm:
            torch.cuda.reset_peak_memory_stats(device)
        ticks.append(_now(gpu))
        return {}

    config = Config(
        method="dpo", layout=layout, steps=steps, batch_size=load.pairs, quiet=True
    )
    at = tuple(range(steps + 1))
    train(model, texts, config, ref=ref, watch=watch, watch_at=at)
    seconds = _between(ticks, gpu)[load.warm :]
    order = schedule(texts, load.pairs, config.seed, epoch=0)[load.warm :]
    seen = [texts.take(rows) for rows in order]
    places = [collate(batch, layout).ids.numel() for batch in seen]
    held = [work(batch, layout).tokens for batch in seen]
    real = [tokens_of(batch) for batch in seen]
    needed = [flops(load.shape, work(batch, layout)) for batch in seen]
    cuts = statistics.quantiles(seconds, n=10)
    most = torch.cuda.max_memory_allocated(device) / 2**20 if gpu else "not measured"
    return {
        "milliseconds": 1e3 * statistics.median(seconds),
        "p10": 1e3 * cuts[0],
        "p90": 1e3 * cuts[-1],
        "tokens_a_step": statistics.mean(real),
        "tokens_per_second": _median_ratio(real, seconds),
        "real_share": sum(held) / sum(places),
        "mfu": _median_ratio(needed, seconds) / peak if peak else "unknown device",
        "peak_mib": most,
    }


class Work(NamedTuple):
    """What the rows of a batch hold: real tokens, how many of them predict one of an
    answer, and how many pairs there are of a token and one that it sees."""

    tokens: int
    predict: int
    sees: int


def work(texts: Texts, layout: str) -> Work:
    """The work that pairs are in a layout, padding left out."""
    prompts, answers = texts.prompt_lengths, texts.lengths
    rows = 1 if layout == "shared" else answers.shape[1]
    read = answers - 1  # of each answer: its last token predicts nothing
    inside = read * prompts[:, None] + read * (read + 1) // 2
    return Work(
        int(rows * prompts.sum() + read.sum()),
        int(answers.sum()),
        int(rows * (prompts * (prompts + 1) // 2).sum() + inside.sum()),
    )


def flops(shape: Shape, work: Work) -> float:
    """Of a step, forward and backward, as this module's head says."""
    each = shape.width // shape.heads
    query_key_value = shape.width * each * (shape.heads + 2 * shape.kv_heads)
    end = shape.width**2 + 3 * shape.width * shape.hidden  # of a block
    everywhere = shape.layers * query_key_value + (shape.layers - 1) * end
    at_answers = end + shape.outputs * shape.width
    products = everywhere * work.tokens + at_answers * work.predict
    return 6 * products + 12 * shape.layers * shape.width * work.sees


def _texts(load: Load) -> Texts:
    random = torch.Generator().manual_seed(0)
    count = load.pairs * (load.warm + load.steps)

    def some() -> list[Tensor]:
        among = (load.shortest, load.longest + 1, (count,))
        lengths = torch.randint(*among, generator=random).tolist()
        ids = (load.shape.outputs, (sum(lengths),))
        return list(torch.randint(*ids, generator=random).split(lengths))

    return pairs(*([row.tolist() for row in some()] for _ in range(3)))


def _peak(name: str) -> float | None:
    return next((peak for known, peak in PEAKS.items() if known in name), None)


def _now(gpu: bool) -> Any:
    if not gpu:
        return time.process_time()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(ticks: list, gpu: bool) -> list[float]:
    """Seconds from each tick to the next."""
    if gpu:
        torch.cuda.synchronize()
        return [a.elapsed_time(b) / 1e3 for a, b in pairwise(ticks)]
    return [b - a for a, b in pairwise(ticks)]


def _median_ratio(amounts: list[float], seconds: list[float]) -> float:
    return statistics.median(a / s for a, s in zip(amounts, seconds, strict=True))
