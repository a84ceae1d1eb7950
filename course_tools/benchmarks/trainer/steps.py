"""Trainers taking turns: one step of each, again and again, each step timed.

The ladder climbs from a plain trainer to ours by one trick a rung. Every rung has its
own copy of the same weights, and all but those with buckets see the same batches.
"""

import copy
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Semaphore, Thread
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_lib import batches, training
from course_lib.batches import Batch, Texts, collate, response_logps
from course_lib.losses import dpo_loss
from course_lib.transformer import Shape

__all__ = ["LADDER", "Paused", "Sizes", "Tricks", "batches_of", "interleave", "ours"]
__all__ += ["texts_of", "tokens_of", "tricked"]

BETA, RATE = 0.1, 1e-4
END = 1  # the id that ends a response; 0 is padding, words begin at 2
Pause = Callable[[], None]


class Sizes(NamedTuple):
    """What is trained, and on what: the model, the batch, the lengths."""

    steps: int = 32
    pairs: int = 16  # a step
    vocab: int = 512
    width: int = 128
    layers: int = 4
    heads: int = 4
    hidden: int = 512
    shortest: int = 8  # tokens in a prompt, and in a response with its end
    longest: int = 32

    @property
    def shape(self) -> Shape:
        _, _, vocab, width, layers, heads, hidden, *_ = self
        return Shape(vocab, vocab, width, layers, heads, heads, hidden)


def texts_of(sizes: Sizes) -> Texts:
    """Random pairs: what a step costs does not depend on what the tokens say."""
    random = torch.Generator().manual_seed(0)
    count = sizes.steps * sizes.pairs

    def some(*end: int) -> list[list[int]]:
        among = (sizes.shortest - len(end), sizes.longest + 1 - len(end))
        lengths = torch.randint(*among, (count,), generator=random).tolist()
        words = (torch.randint(2, sizes.vocab, (n,), generator=random) for n in lengths)
        return [[*row.tolist(), *end] for row in words]

    return batches.pairs(some(), some(END), some(END))


def tokens_of(texts: Texts) -> int:
    """Real tokens of both rows of every pair: a prompt counts twice, padding never."""
    return int((2 * texts.prompt_lengths + texts.lengths.sum(1)).sum())


class Tricks(NamedTuple):
    """What a trainer may do to be faster than a plain one."""

    answers: bool = False  # the head is called where an answer is predicted, only
    cached: bool = False  # the reference is asked once, before training
    buckets: bool = False  # a batch holds pairs of like length
    shared: bool = False  # both answers stand in one row, after one prompt


LADDER = {  # the last rung is the course's trainer itself
    "plain": Tricks(),
    "head at answers": Tricks(answers=True),
    "cached reference": Tricks(answers=True, cached=True),
    "length buckets": Tricks(answers=True, cached=True, buckets=True),
    "shared prompt": Tricks(answers=True, cached=True, buckets=True, shared=True),
}


def tricked(
    model: nn.Module, texts: Texts, sizes: Sizes, tricks: Tricks, pause: Pause
) -> list[float]:
    """Train with DPO, by those tricks and no others; returns each step's loss."""
    ref = copy.deepcopy(model)
    log_probs = response_logps if tricks.answers else score_everywhere
    known = reference(ref, texts) if tricks.cached else None
    order, layout = batches_of(texts, sizes, tricks), batches.LAYOUTS[not tricks.shared]

    def losses(step: int) -> Iterator[tuple[Tensor, dict]]:
        rows = order[step]
        batch = collate(texts.take(rows), layout)
        with torch.no_grad():
            asked = known is None
            theirs = log_probs(ref, batch).view(2, -1) if asked else known[rows].T
        yield dpo_loss(*log_probs(model, batch).view(2, -1), *theirs, BETA), {}

    config, looks = settings(sizes), pausing(sizes, pause)
    return training.fit(model, losses, config, **looks).history["loss"]


def batches_of(texts: Texts, sizes: Sizes, tricks: Tricks) -> list[Tensor]:
    """The rows of each step: as they stand, or in buckets as our trainer has them."""
    if tricks.buckets:
        return batches.schedule(texts, sizes.pairs, seed=0, epoch=0)
    return list(torch.arange(len(texts)).split(sizes.pairs))


def score_everywhere(model: nn.Module, batch: Batch) -> Tensor:
    """What `response_logps` gives, with logits at every place of every row."""
    logps = model(batch.ids).log_softmax(-1).flatten(0, 1)
    realised = logps[batch.predictors, batch.targets]
    return batches.sum_by_owner(realised, batch.owners, len(batch.lengths))


def reference(ref: nn.Module, texts: Texts) -> Tensor:
    """Log-probs of all answers, (examples, 2), asked anew."""
    training._REFERENCE_CACHE.clear()
    return training.reference_logps(ref, texts)


def ours(
    model: nn.Module, texts: Texts, sizes: Sizes, pause: Pause, **more
) -> list[float]:
    """The course's own trainer on the same data, with a pause before each step.

    The reference is asked anew, before the first one. more: of the `Config`
    """
    training._REFERENCE_CACHE.clear()
    config, looks = settings(sizes, **more), pausing(sizes, pause)
    log = training.train(model, texts, config, ref=copy.deepcopy(model), **looks)
    return log.history["loss"]


def settings(sizes: Sizes, **more) -> training.Config:
    """How all of ours train: as TRL does by default, without clipping."""
    told = {"beta": BETA, "lr": RATE, "steps": sizes.steps, "batch_size": sizes.pairs}
    return training.Config(**told, clip=float("inf"), quiet=True, **more)


def pausing(sizes: Sizes, pause: Pause) -> dict:
    """What makes the trainer pause before every step."""
    return {"watch": lambda _: pause() or {}, "watch_at": range(sizes.steps)}


class Paused:
    """A training loop in a thread of its own, run one step at a time.

    loop: called in a thread of its own with `pause`, which it has to call before its
        first step and between two steps; what comes before the first is not a step
    """

    def __init__(self, loop: Callable[[Pause], Any]):
        self.go, self.stopped, self.end = Semaphore(0), Semaphore(0), Future()
        self.thread = Thread(target=self._run, args=(loop,), daemon=True)
        self.thread.start()
        self._wait()

    def step(self):
        """Go on to the next pause, or to the end; raises what the loop raises."""
        self.go.release()
        self._wait()

    def _run(self, loop: Callable[[Pause], Any]):
        try:
            self.end.set_result(loop(self._pause))
        except BaseException as error:
            self.end.set_exception(error)
        self.stopped.release()

    def _pause(self):
        self.stopped.release()
        self.go.acquire()

    def _wait(self):
        self.stopped.acquire()
        if self.end.done():
            self.end.result()


def interleave(
    loops: dict[str, Callable], steps: int
) -> tuple[dict[str, list[float]], dict[str, float], dict[str, Any]]:
    """Let all take a step in turn, `steps` times.

    Who begins a round changes from round to round: each follows each.

    loops: what `Paused` takes, by name
    returns: CPU seconds of every step; those before the first; what the loops returned
    """
    paused, before = {}, {}
    for name, loop in loops.items():
        begun = time.process_time()
        paused[name] = Paused(loop)
        before[name] = time.process_time() - begun
    seconds, names = {name: [] for name in loops}, list(loops)
    for _ in range(steps):
        for name in names:
            begun = time.process_time()
            paused[name].step()
            seconds[name].append(time.process_time() - begun)
        names.append(names.pop(0))
    return seconds, before, {name: one.end.result() for name, one in paused.items()}
