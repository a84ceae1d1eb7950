"""How fast the trainer is on a GPU, beside what the GPU could do.

The course's own `train` runs, batches and bookkeeping included; the clock is read when
the GPU has done a step. Real tokens are the same in both layouts: those of
both rows of a pair, its prompt counting twice, padding never. The FLOPs that a step
needs, a backward pass counting as two forward passes, are

    6 · weights · tokens  +  12 · layers · width · (pairs of a token and one it sees)

where a shared prompt counts once, and weights are those of matrix products: at every
token but those of the last block's output and feed-forward part and of the head, which
are needed only where an answer is predicted. The reference was asked before, and does
not count. MFU is those FLOPs, divided by the time and by the maker's peak for dense
bfloat16.
"""

import time
from typing import NamedTuple

import numpy as np
import torch

from course_lib.batches import Texts, collate, schedule
from course_lib.transformer import Shape, Transformer
from course_tools.benchmarks.trainer.steps import Sizes, ours, texts_of, tokens_of

__all__ = ["LOAD", "PEAKS", "Work", "flops", "measure", "peak_of", "work"]

COMPARED = ("shared", "padded")  # texts of which hardly two are equal

PEAKS = {  # by a part of the name: FLOP/s in dense bfloat16, from the data sheets
    "H200": 989e12,
    "H100 80GB HBM3": 989e12,
    "H100 PCIe": 756e12,
    "A100": 312e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
LOAD = Sizes(50, 64, 8192, 512, 10, 8, 1408, shortest=96, longest=256)
WARM = 20  # steps before the first that counts


def measure(sizes: Sizes = LOAD, warm: int = WARM, device: str = "cuda") -> dict:
    """Speed and memory in both layouts; on a CPU too, with that clock's times.

    sizes: the default has 30 million weights besides the embedding
    returns: the device's name, and for each layout milliseconds a step (median, p10,
        p90), real tokens a step and a second, the share of places that hold a real
        token, `mfu` ("unknown device" for one that is not in PEAKS), and the most
        memory that was allocated, MiB ("not measured" on a CPU)
    """
    name = torch.cuda.get_device_name(device) if device != "cpu" else "CPU"
    whole = sizes._replace(steps=warm + sizes.steps)
    texts = texts_of(whole)
    rows = schedule(texts, sizes.pairs, seed=0, epoch=0)[warm:]
    seen, told = [texts.take(some) for some in rows], {"device": name}
    for layout in COMPARED:
        seconds, most = _timed(whole, texts, layout, warm, device)
        told[layout] = _figures(sizes, seen, layout, seconds[warm:], name)
        told[layout]["peak_mib"] = most
    return told


def _timed(
    sizes: Sizes, texts: Texts, layout: str, warm: int, device: str
) -> tuple[np.ndarray, float | str]:
    """Seconds of each step, and the most memory after those that are to warm up."""
    torch.manual_seed(0)
    model, ticks = Transformer(sizes.shape).to(device), []

    def tick():
        if device == "cpu":
            ticks.append(time.process_time())
            return
        torch.cuda.synchronize()  # which the trainer does at every step as well
        ticks.append(time.perf_counter())
        if len(ticks) == warm + 1:
            torch.cuda.reset_peak_memory_stats(device)

    ours(model, texts, sizes, tick, layout=layout)
    tick()
    if device == "cpu":
        return np.diff(ticks), "not measured"
    return np.diff(ticks), torch.cuda.max_memory_allocated(device) / 2**20


def _figures(
    sizes: Sizes, seen: list[Texts], layout: str, seconds: np.ndarray, device: str
) -> dict:
    """One layout's numbers; device: its name, which says the peak."""
    peak = peak_of(device)
    works = [work(batch, layout) for batch in seen]
    places = [collate(batch, layout).ids.numel() for batch in seen]
    real = np.array([tokens_of(batch) for batch in seen])
    speed = np.array([flops(sizes.shape, each) for each in works]) / seconds
    low, middle, high = np.quantile(seconds, [0.1, 0.5, 0.9], method="weibull").tolist()
    return {
        "milliseconds": 1e3 * middle,
        "p10": 1e3 * low,
        "p90": 1e3 * high,
        "tokens_a_step": real.mean().item(),
        "tokens_per_second": np.median(real / seconds).item(),
        "real_share": sum(each.tokens for each in works) / sum(places),
        "mfu": np.median(speed).item() / peak if peak else "unknown device",
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


def peak_of(name: str) -> float | None:
    """FLOP/s of a device by its name; None if it is not in PEAKS."""
    return next((peak for known, peak in PEAKS.items() if known in name), None)
