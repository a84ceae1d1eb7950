"""How long a training job takes: operations, then hours, and money if there is a price.

Operations can be counted exactly. What share of its peak a machine reaches (its model
FLOPs utilisation, MFU) cannot: measure a few steps, and count.
"""

import math
from typing import NamedTuple

from course_lib import validate
from course_lib.production.sizing import Job, adapter_parameters

__all__ = ["Duration", "training_flops", "training_time"]


def training_flops(job: Job) -> float:
    """Floating-point operations of one step on one device.

    A product with n weights costs 2 n a token forward, 2 n for the gradient of what it
    read and 2 n for the gradient of its weights, which frozen weights do not need.
    Attention costs 2 T d a token and block forward and twice that backward: in a row of
    T tokens a token sees half of them on average. The head costs 2 V d where it is
    scored, and in chunks once more. Checkpointing computes the blocks again, all but
    their last product, whose result nothing needs. A reference costs one forward pass,
    resident or with the adapter off; precomputed, it costs nothing here.

    source: Kaplan et al. (2020), §2.1, for 2 N and 6 N

    >>> from course_lib.production.sizing import MODELS
    >>> job = Job(MODELS["Llama 2 7B"], reference="precomputed", logits="all")
    >>> round(training_flops(job) / job.tokens / 1e9, 1)    # 6 N would be 40.4 as well
    40.4
    """
    forward, attention, head = _forward(job)
    weights = 1 if job.rank else 2
    backward = weights * (forward + head) + 2 * attention
    if job.rank:
        backward += 6.0 * job.tokens * adapter_parameters(job.size, job.rank)
    last = 2.0 * job.tokens * job.size.layers * math.prod(job.size.matrices["down"])
    again = (forward + attention - last) * job.checkpointing
    again += head * (job.logits == "chunked")
    whole = forward + attention + head
    asked = whole * (job.reference in ("resident", "adapter off"))
    return whole + backward + again + asked


def _forward(job: Job) -> tuple[float, float, float]:
    """Operations of a forward pass: blocks' matrices, attention, head."""
    size, row = job.size, job.prompt + job.response
    block = 2.0 * sum(reads * writes for reads, writes in size.matrices.values())
    attention = 2.0 * row * size.width
    each = job.tokens * size.layers
    return each * block, each * attention, 2.0 * size.vocab * size.width * job.scored


class Duration(NamedTuple):
    """How long a job takes, and what it costs; None without a price."""

    steps: int
    hours: float
    cost: float | None


def training_time(
    job: Job,
    pairs: int,
    *,
    peak: float,
    mfu: float,
    epochs: int = 1,
    price: float | None = None,
) -> Duration:
    """Hours for a data set, on all devices of the job together.

    hours = FLOPs of all steps / (peak · MFU) / 3,600
    A precomputed reference adds one forward pass over the data, whatever the epochs.

    pairs: in the data set; a last batch that is not full takes as long as a full one
    peak: of one device, operations a second, as its data sheet says for these numbers
    mfu: the share of it that is reached, above 0 and at most 1
    price: of one device for an hour, in any currency
    raises: ValueError for a number out of its range

    >>> from course_lib.production.sizing import MODELS
    >>> job = Job(MODELS["SmolLM2 135M"], pairs=8, reference="precomputed")
    >>> training_time(job, 61_135, peak=1e15, mfu=0.3).cost is None
    True
    """
    for name, value in (("pairs", pairs), ("peak", peak), ("epochs", epochs)):
        validate.number(name, value)
    validate.number("mfu", mfu, below=1.0 + 1e-12)
    steps = -(-pairs // (job.pairs * job.devices))
    total = training_flops(job) * steps * epochs
    if job.reference == "precomputed":
        total += sum(_forward(job)) * steps
    hours = total / (peak * mfu) / 3_600
    cost = None if price is None else hours * price * job.devices
    return Duration(steps * epochs, hours, cost)
