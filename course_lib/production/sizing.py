"""How many bytes a training job needs, by formulas for models of the Llama family.

A byte count has two halves. Some parts are there all the time: weights, what the
optimiser remembers, a resident reference. Others come and go in every step: activations
are at their most when the backward pass begins, gradients when it ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from course_lib import validate

__all__ = [
    "LINEAR",
    "MEASURED",
    "MODELS",
    "Job",
    "Memory",
    "ModelSize",
    "adapter_parameters",
    "backward_peak",
    "parameter_count",
    "standing_bytes",
    "training_memory",
]

REFERENCES = ("resident", "precomputed", "adapter off", "none")
LOGITS = ("all", "response", "chunked")
LINEAR = ("q", "k", "v", "o", "gate", "up", "down")  # a block's matrices


class ModelSize(NamedTuple):
    """How large a language model of the Llama family is."""

    vocab: int
    width: int
    layers: int
    heads: int
    kv_heads: int  # fewer than heads: grouped-query attention
    hidden: int  # of the feed-forward part
    tied: bool = True  # is the head the embedding?

    @classmethod
    def of(cls, config: Any) -> "ModelSize":
        """The size that a `transformer.Shape`, or a configuration of transformers, has.

        config: a Shape, a LlamaConfig or the like, or the dict of a `config.json`
        raises: ValueError if it lacks a size

        >>> ModelSize.of({"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1,
        ...     "num_attention_heads": 2, "intermediate_size": 6}).kv_heads
        2
        """
        if hasattr(config, "kv_heads"):
            return cls(config.vocab, *config[2:7])
        known = config if isinstance(config, Mapping) else config.to_dict()
        names = ("vocab_size", "hidden_size", "num_hidden_layers")
        names += ("num_attention_heads", "intermediate_size")
        for name in names:
            if name not in known:
                raise ValueError(f"config has no {name}")
        *sizes, heads, hidden = (known[name] for name in names)
        kv_heads = known.get("num_key_value_heads") or heads
        tied = bool(known.get("tie_word_embeddings", False))
        return cls(*sizes, heads, kv_heads, hidden, tied)

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """A block's matrices by name: what they read and what they write."""
        d, f, k = self.width, self.hidden, self.width // self.heads * self.kv_heads
        shapes = ((d, d), (d, k), (d, k), (d, d), (d, f), (d, f), (f, d))
        return dict(zip(LINEAR, shapes, strict=True))


MODELS = {
    "SmolLM2 135M": ModelSize(49_152, 576, 30, 9, 3, 1_536),
    "SmolLM2 1.7B": ModelSize(49_152, 2_048, 24, 32, 32, 8_192),
    "Llama 2 7B": ModelSize(32_000, 4_096, 32, 32, 32, 11_008, tied=False),
    "Llama 3 8B": ModelSize(128_256, 4_096, 32, 32, 8, 14_336, tied=False),
    "Llama 3 70B": ModelSize(128_256, 8_192, 80, 64, 8, 28_672, tied=False),
}


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and how: all that memory and time depend on."""

    size: ModelSize
    pairs: int = 1  # preference pairs on a device at a time
    prompt: int = 512  # tokens
    response: int = 512  # tokens of each of the two
    reference: str = "resident"  # of REFERENCES
    rank: int = 0  # of LoRA on all of a block's matrices; 0: all weights are trained
    checkpointing: bool = False  # keep each block's input, compute the rest again
    logits: str = "response"  # of LOGITS: the positions whose logits are there at once
    chunk: int = 128  # of them, with "chunked"
    numbers: str = "mixed"  # "mixed": bfloat16 with float32 copies; or "float32"
    frozen_bits: float = 16  # of a weight that is not trained, with "mixed"
    accumulated: bool = False  # gradients stay from one micro-batch to the next
    devices: int = 1
    sharded: bool = False  # FSDP: each device keeps its share; else all keep all (DDP)

    def __post_init__(self):
        validate.choice("reference", self.reference, REFERENCES)
        validate.choice("logits", self.logits, LOGITS)
        validate.choice("numbers", self.numbers, ("mixed", "float32"))
        for name in ("pairs", "prompt", "response", "chunk", "devices", "frozen_bits"):
            validate.number(name, getattr(self, name))
        validate.fraction("rank", self.rank)
        if self.reference == "adapter off" and not self.rank:
            raise ValueError("reference is 'adapter off', and rank 0 has no adapter")

    @property
    def tokens(self) -> int:
        """Read at a time: chosen and rejected are rows of their own."""
        return 2 * self.pairs * (self.prompt + self.response)

    @property
    def scored(self) -> int:
        """Positions whose logits are computed."""
        return self.tokens if self.logits == "all" else 2 * self.pairs * self.response

    @property
    def bytes_each(self) -> int:
        """Of a weight or an activation in the matrix products."""
        return 2 if self.numbers == "mixed" else 4


SMALL = ModelSize(8_192, 384, 6, 6, 6, 1_024)
WIDE = ModelSize(32_768, 256, 2, 4, 4, 512)  # in its vocabulary
_SMALL = Job(SMALL, 4, 64, 64, "precomputed", numbers="float32")
_WIDE = Job(WIDE, 4, 16, 112, "precomputed", numbers="float32")
_LORA = replace(_SMALL, reference="adapter off", rank=16)
MEASURED = {  # what `remake sizing` runs
    "full": _SMALL,
    "full, reference resident": replace(_SMALL, reference="resident"),
    "full, checkpointing": replace(_SMALL, checkpointing=True),
    "full, one pair, reference resident": replace(
        _SMALL, pairs=1, reference="resident"
    ),
    "LoRA, adapter off": _LORA,
    "LoRA, checkpointing": replace(_LORA, checkpointing=True),
    "logits everywhere": replace(_WIDE, logits="all"),
    "logits of responses": _WIDE,
    "logits in chunks": replace(_WIDE, logits="chunked"),
}


class Memory(NamedTuple):
    """Bytes on one device, by what they hold, and the most that are there at once."""

    weights: float
    optimiser: float
    reference: float
    gradients: float  # when the backward pass ends
    activations: float  # when it begins
    logits: float  # and what their gradient needs
    peak: float


def parameter_count(size: ModelSize) -> int:
    """How many parameters a model has.

    N = V d (1 or 2) + L (d (d + 2k) + d² + 3 d f + 2 d) + d        k: width of the keys

    >>> parameter_count(MODELS["Llama 2 7B"])
    6738415616
    """
    block = sum(i * o for i, o in size.matrices.values()) + 2 * size.width
    ends = size.vocab * size.width * (1 if size.tied else 2)
    return ends + size.layers * block + size.width


def adapter_parameters(size: ModelSize, rank: int, names: tuple = LINEAR) -> int:
    """Parameters of a LoRA adapter: r (in + out) for every matrix W that gets one.

    W x + (α/r) B A x        A: (r, in), B: (out, r)

    names: of LINEAR, which matrices of every block
    source: Hu et al. (2022), §4.1

    >>> adapter_parameters(MODELS["Llama 2 7B"], rank=8, names=("q", "v"))
    4194304
    """
    return size.layers * rank * sum(map(sum, (size.matrices[n] for n in names)))


def standing_bytes(trained: float, frozen: float = 0.0, frozen_bits: float = 16.0):
    """Bytes that mixed-precision AdamW keeps, whatever the batch: 16 N, and 2 M.

    trained: parameters, 16 bytes each: the weight and its gradient in 16 bits (2 + 2);
        a copy of the weight and Adam's two moments in 32 (4 + 4 + 4)
    frozen: parameters that are only read, `frozen_bits` / 8 bytes each
    source: Rajbhandari et al. (2020), ZeRO, §3.1

    >>> standing_bytes(7e9, frozen=7e9) / 1e9           # DPO of 7B, and its reference
    126.0
    """
    return 16 * trained + frozen * frozen_bits / 8


def backward_peak(activations: Tensor, gradients: Tensor) -> Tensor:
    """The most bytes that a backward pass holds of both at once.

    max over i of  a₁ + … + a_i + g_i + … + g_n
    The pass goes from block n to block 1. While it is in block i, the activations of
    the blocks after i are freed, and the gradients of the blocks before i not yet made.

    activations, gradients: bytes of each block, (batch, blocks)
    returns: bytes, (batch,)
    raises: ValueError unless both are of one shape

    >>> import torch
    >>> backward_peak(torch.tensor([[5.0, 5.0]]), torch.tensor([[1.0, 1.0]]))
    tensor([11.])
    """
    validate.tensors(activations=activations, gradients=gradients)
    made = gradients.flip(-1).cumsum(-1).flip(-1)
    return (activations.cumsum(-1) + made).amax(-1)


def training_memory(job: Job) -> Memory:
    """The bytes that one device needs for a step, by what they hold.

    There all the time: weights, AdamW's state, the reference. In 32 bits a trained
    parameter has 4 + 8 bytes of these, in mixed precision 2 + 12. The rest has two
    peaks. When the backward pass begins, all activations are there, and three times the
    logits: the loss keeps their log-softmax, whose gradient makes two more. When it
    ends, all gradients are there, and what its last block needs.

    returns: a Memory. Not in it: what an allocator loses in gaps, buffers of kernels,
        CUDA's context
    """
    size, own = job.size, parameter_count(job.size)
    added = adapter_parameters(size, job.rank)
    trained, frozen = (added, own) if job.rank else (own, 0)
    share = job.devices if job.sharded else 1
    whole = job.numbers == "float32"
    frozen_each = 4 if whole else job.frozen_bits / 8
    weights = job.bytes_each * trained + frozen_each * frozen
    optimiser = (8 if whole else 12) * trained
    reference = frozen_each * own * (job.reference == "resident")
    gradients = job.bytes_each * trained

    held, block = _activations(job)
    table = 0 if job.rank else job.bytes_each * size.vocab * size.width
    at_once = min(job.chunk, job.scored) if job.logits == "chunked" else job.scored
    one = 4.0 * at_once * size.vocab  # the loss is computed in 32 bits
    # the head's gradient: once, and their sum with chunks; of a tied table a part, so
    # that there is a copy more
    copies = 1 + size.tied + (job.logits == "chunked")
    logits = max(3 * one, one + copies * table)

    kept = gradients * job.accumulated / share
    begins = held + max(logits, block * job.checkpointing)
    ends = gradients / share * (not job.accumulated) + max(block, table * size.tied)
    stays = (weights + optimiser + reference) / share + _gathered(job)
    parts = (weights, optimiser, reference, gradients)
    shares = (part / share for part in parts)
    return Memory(*shares, held, logits, stays + kept + max(begins, ends))


def _activations(job: Job) -> tuple[float, float]:
    """Bytes kept until the backward pass, and what one block needs in it.

    Numbers a token and block: 9 d + 3 k + 4 f. A norm keeps its input and, for the
    gradient of its weight, what it has scaled (2 d, twice); what it gives (d, twice);
    queries, keys, values as they are and turned (2 d + 3 k); what attention sees (d).
    The feed-forward part keeps 4 f. Frozen norms keep d less. Of the last block, what
    follows attention is computed where a response token is predicted, and nowhere else.
    With checkpointing d is kept, and a block's 9 d + 3 k + 4 f are there once.
    """
    size, tokens, scored = job.size, job.tokens, job.scored
    d, f, k = size.width, size.hidden, size.width // size.heads * size.kv_heads
    norm = 1 if job.rank else 2
    before = (norm + 4) * d + 3 * k
    after = (norm + 1) * d + 4 * f
    head = (norm + 1) * d * scored
    full = (before + after) * tokens
    last = before * tokens + (d + after) * scored
    held = (size.layers - 1) * full + last + head
    if job.checkpointing:
        held = size.layers * d * tokens + head
    passing = (f + d) * tokens  # gradients on their way through the block
    return float(job.bytes_each * held), float(job.bytes_each * (full + passing))


def _gathered(job: Job) -> float:
    """FSDP: the block that is computed and the next are there in full."""
    if not job.sharded or job.devices == 1:
        return 0.0
    block = sum(i * o for i, o in job.size.matrices.values())
    return 2.0 * job.bytes_each * block
