"""Two causal language models of one shape: a table of prefixes, and a transformer.

Both turn token ids into `features`, one vector a position, and features into logits by
`head`: code that needs only a few positions calls the head for those alone.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from course_lib import validate
from course_lib.logprobs import at_least_float32
from course_lib.workspace import write_whole

__all__ = [
    "PrefixTable",
    "Shape",
    "Transformer",
    "from_llama",
    "load",
    "sample",
    "save",
    "to_llama",
]

SHIPPED = Path(__file__).with_name("data")

Cache = list[tuple[Tensor, Tensor]]  # keys and values of each layer, so far


class Shape(NamedTuple):
    """How large a transformer is. The names are those of the Llama family."""

    vocab: int  # ids that can be read
    outputs: int  # ids that can be written: the first ones of the vocabulary
    width: int = 32
    layers: int = 2
    heads: int = 4
    kv_heads: int = 4  # fewer than heads: grouped-query attention
    hidden: int = 96  # of the feed-forward part
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5


class Transformer(nn.Module):
    """A decoder-only transformer as in Llama: RMSNorm, rotary positions, SwiGLU.

    The head is the embedding of the ids that can be written. No dropout, no bias.

    shape: a Shape; heads must divide width, kv_heads must divide heads
    raises: ValueError for a size below 1, or one that does not divide
    source: Touvron et al. (2023), Llama; Su et al. (2021), rotary positions

    >>> model = Transformer(Shape(vocab=13, outputs=9))
    >>> model(torch.tensor([[9, 0, 1]])).shape              # (batch, time, outputs)
    torch.Size([1, 3, 9])
    """

    def __init__(self, shape: Shape):
        super().__init__()
        _require(shape)
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.norm_eps)
        spread = 0.5 / math.sqrt(shape.width)
        for name, weight in self.named_parameters():
            if name.endswith(("output.weight", "down.weight")):  # the end of a branch
                nn.init.normal_(weight, 0, spread / math.sqrt(2 * shape.layers))
            elif weight.ndim == 2:
                nn.init.normal_(weight, 0, spread)

    def features(
        self,
        ids: Tensor,
        *,
        positions: Tensor | None = None,
        attend: Tensor | None = None,
        at: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """What the model knows at each position, before the head.

        ids: (batch, time); positions: where each token stands, (batch, time), None for
            0, 1, 2, … (after what is cached)
        attend: True where a query (row) may see a key (column), (batch, 1, time, time);
            None for causal, for which padding on the right needs no mask
        at: the places asked for, in the flattened (batch × time); the last block's
            feed-forward part is worked out for them alone. None for all
        cache: a list that this call reads and extends: one empty list, then the new
            tokens alone, one at a time
        returns: (batch, time, width), or (places, width) with `at`
        raises: ValueError for several tokens on a cache that is begun
        """
        seen = cache[0][0].shape[2] if cache else 0
        if seen and ids.shape[1] > 1:
            raise ValueError("ids must be one token at a time once the cache is begun")
        if positions is None:
            positions = torch.arange(seen, seen + ids.shape[1], device=ids.device)[None]
        turn = rotation(positions, self.shape, self.embedding.weight.dtype)
        x = self.embedding(ids)
        last = len(self.blocks) - 1
        for number, block in enumerate(self.blocks):
            x = block(x, turn, attend, cache, number, at if number == last else None)
        return self.norm(x)

    def head(self, features: Tensor) -> Tensor:
        """Logits over the ids that can be written, for features of any shape."""
        return F.linear(features, self.embedding.weight[: self.shape.outputs])

    def forward(self, ids: Tensor) -> Tensor:
        """Logits at every position, (batch, time, outputs)."""
        return self.head(self.features(ids))


class Block(nn.Module):
    """Attention, then a feed-forward part, each added to what came in."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape, width = shape, shape.width
        each = width // shape.heads
        self.attention_norm = nn.RMSNorm(width, shape.norm_eps)
        all_heads = shape.heads + 2 * shape.kv_heads
        self.query_key_value = nn.Linear(width, all_heads * each, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.feed_norm = nn.RMSNorm(width, shape.norm_eps)
        self.gate_up = nn.Linear(width, 2 * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, width, bias=False)

    def forward(self, x, turn, attend, cache, number, at):
        seen = self.attention(self.attention_norm(x), turn, attend, cache, number)
        if at is not None:
            x, seen = (part.flatten(0, 1).index_select(0, at) for part in (x, seen))
        x = x + self.output(seen)
        ready = self.feed_norm(x)
        # two products: the gradient of one would first have to be put together
        gate, up = (F.linear(ready, w) for w in self.gate_up.weight.chunk(2))
        return x + self.down(F.silu(gate) * up)

    def attention(self, x, turn, attend, cache, number):
        batch, time, width = x.shape
        heads, kv_heads = self.shape.heads, self.shape.kv_heads
        joined = self.query_key_value(x).view(batch, time, -1, width // heads)
        turning, v = joined.split([heads + kv_heads, kv_heads], 2)
        turned = rotate(turning, turn).transpose(1, 2)  # queries and keys at once
        q, k = turned.split([heads, kv_heads], 1)  # (batch, heads, time, each)
        v = v.transpose(1, 2)
        if cache is not None:
            if number < len(cache):
                before_k, before_v = cache.pop(number)
                k, v = torch.cat((before_k, k), 2), torch.cat((before_v, v), 2)
            cache.insert(number, (k, v))
        causal = attend is None and time > 1
        grouped = heads != kv_heads
        seen = F.scaled_dot_product_attention(
            q, k, v, attn_mask=attend, is_causal=causal, enable_gqa=grouped
        )
        return seen.transpose(1, 2).reshape(batch, time, width)


def rotation(positions: Tensor, shape: Shape, dtype: torch.dtype):
    """Cosine and signed sine by which a head's two halves are turned, by position."""
    half = shape.width // shape.heads // 2
    exact = torch.promote_types(dtype, torch.float32)  # 16 bits do not hold an angle
    exponents = torch.arange(half, device=positions.device, dtype=exact) / half
    angles = positions[:, :, None, None] * shape.rope_base**-exponents
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    return cos.repeat(1, 1, 1, 2), torch.cat((-sin, sin), -1)  # (batch, time, 1, each)


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs (x_i, x_{i + half}); rolled by a half each meets its partner."""
    cos, sin = turn
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


class PrefixTable(nn.Module):
    """A row of free logits for each prompt and each prefix: nothing generalises.

    It can represent every policy over its responses, and it answers like a transformer:
    ids in, logits out.

    prompts, words: how many of each. Ids are 0 … words − 1 for words, `words` for the
        end, then the prompts
    longest: most words in a response
    raises: ValueError for a size below 1

    >>> model = PrefixTable(prompts=4, words=8, longest=3)
    >>> model(torch.tensor([[9, 0, 1]])).shape              # (batch, time, outputs)
    torch.Size([1, 3, 9])
    """

    def __init__(self, prompts: int, words: int, longest: int):
        super().__init__()
        validate.at_least(1, prompts=prompts, words=words, longest=longest)
        self.words, self.longest = words, longest
        self.prefixes = sum(words**depth for depth in range(longest))  # of one prompt
        self.logits = nn.Parameter(torch.zeros(prompts * self.prefixes, words + 1))

    def features(self, ids: Tensor, *, at: Tensor | None = None, **layout) -> Tensor:
        """The logits themselves; ids: (batch, time), a prompt and then words.

        at: the places asked for, in the flattened (batch × time); None for all
        """
        if any(value is not None for value in layout.values()):
            raise TypeError("a table needs rows of one response, in padded layout")
        row = (ids[:, 0] - self.words - 1) * self.prefixes
        rows, place = [row], torch.zeros_like(row)  # of the prefix among its like
        for depth, word in enumerate(ids[:, 1:].unbind(1), 1):
            place = place * self.words + word.clamp(max=self.words - 1)
            before = sum(self.words**d for d in range(depth))
            inside = depth < self.longest  # what follows is padding, and not looked up
            rows.append(row + before + place if inside else row)
        rows = torch.stack(rows, 1)
        return self.logits[rows if at is None else rows.flatten()[at]]

    def head(self, features: Tensor) -> Tensor:
        return features

    def forward(self, ids: Tensor) -> Tensor:
        return self.features(ids)


@torch.no_grad()
def sample(
    model: nn.Module,
    prompts: Tensor | Sequence[Sequence[int]],
    *,
    longest: int,
    end: int,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Write a response to each prompt, one token at a time.

    y_t ~ π( · | x, y_<t) until the end token, or `longest` tokens

    model: of this module; a transformer keeps keys and values of what it has read
    prompts: (batch, time) of one length; or one sequence of ids each, of any lengths.
        Sequences cost less: beginnings that are alike are read once, and a draw takes
        one random number, not one for each id of the vocabulary
    longest: ≥ 1; end: the id that ends a response
    generator: where chance comes from; temperature: > 0; 1 is the model itself
    returns: tokens, (batch, longest), `end` after the end; lengths, (batch,): how many
        tokens count, the end included
    raises: ValueError if longest < 1 or temperature ≤ 0, or where a prompt is missing

    >>> table = PrefixTable(prompts=1, words=2, longest=3)
    >>> tokens, lengths = sample(table, [[3], [3, 0]], longest=2, end=2)
    >>> tokens.shape, 1 <= lengths.min().item() <= 2
    (torch.Size([2, 2]), True)
    """
    validate.number("temperature", temperature)
    validate.at_least(1, longest=longest)
    given, device = torch.is_tensor(prompts), next(model.parameters()).device
    ids, sizes = _padded(prompts, longest, end, prompts.device if given else device)
    draw = _multinomial if given else _inverse_cdf
    cache = [] if isinstance(model, Transformer) else None
    lengths, ended = torch.zeros_like(sizes), sizes < 0
    first = int(sizes.min())
    known = _beginnings(model, ids[:, :first], cache, alike=not given)
    for time in range(first, ids.shape[1]):
        logits = at_least_float32(model.head(known))
        token = draw((logits / temperature).softmax(-1), generator)
        # A row is told its prompt to the end; then it writes, up to `longest` tokens.
        writes = (time >= sizes) & (time < sizes + longest) & ~ended
        ids[:, time] = torch.where(writes, token, ids[:, time])
        lengths += writes
        ended |= writes & (token == end)
        if (ended | (time + 1 >= sizes + longest)).all():
            break
        reads = ids[:, time : time + 1] if cache is not None else ids[:, : time + 1]
        known = model.features(reads, cache=cache)[:, -1]
    own = sizes[:, None] + torch.arange(longest, device=ids.device)
    return ids.gather(1, own), lengths


def _padded(prompts, longest: int, end: int, device) -> tuple[Tensor, Tensor]:
    """Prompts with room behind them, (batch, time + longest), and how long each is."""
    if torch.is_tensor(prompts):
        sizes = prompts.new_full((len(prompts),), prompts.shape[1], dtype=torch.long)
        return F.pad(prompts, (0, longest), value=end), sizes
    if not len(prompts):
        raise ValueError("prompts is empty: there is nothing to answer")
    for row, prompt in enumerate(prompts):
        if not len(prompt):
            raise ValueError(f"prompts[{row}] is empty: there is nothing to go on from")
    sizes = torch.tensor([len(prompt) for prompt in prompts], device=device)
    rows = [torch.as_tensor(prompt, device=device) for prompt in prompts]
    ids = pad_sequence(rows, batch_first=True, padding_value=end)
    return F.pad(ids, (0, longest), value=end), sizes


def _beginnings(model, ids: Tensor, cache: Cache | None, *, alike: bool) -> Tensor:
    """Features of the last of these tokens; with `alike` equal rows are read once."""
    if cache is None or not alike:
        return model.features(ids, cache=cache)[:, -1]
    kinds, which = ids.unique(dim=0, return_inverse=True)
    known = model.features(kinds, cache=cache)[which, -1]
    cache[:] = [(keys[which], values[which]) for keys, values in cache]
    return known


def _multinomial(chances: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.multinomial(chances, 1, generator=generator).squeeze(1)


def _inverse_cdf(chances: Tensor, generator: torch.Generator | None) -> Tensor:
    """The first id whose cumulative probability is above a uniform number, by row."""
    cumulative = chances.double().cumsum(-1)
    rows = {"generator": generator, "device": chances.device, "dtype": torch.float64}
    level = torch.rand(len(chances), 1, **rows) * cumulative[:, -1:]
    found = torch.searchsorted(cumulative, level, right=True).squeeze(1)
    return found.clamp(max=chances.shape[1] - 1)


def save(model: Transformer, path: str | Path):
    """Write a model's shape and weights; the file is whole, or as it was before."""
    held = {"shape": tuple(model.shape), "weights": model.state_dict()}
    write_whole(Path(path), lambda part: torch.save(held, part))


def load(path: str | Path) -> Transformer:
    """Read a model that `save` wrote; the course's own by its name, "S" or "L".

    "S", "L": the reference of that world (course_lib.worlds). No code runs that the
    file could hold
    raises: FileNotFoundError if there is no such file

    >>> sum(p.numel() for p in load("S").parameters())
    27200
    """
    if path in ("S", "L"):
        path = SHIPPED / f"reference_{path}.pt"
    known = torch.load(path, map_location="cpu", weights_only=True)
    model = Transformer(Shape(*known["shape"]))
    model.load_state_dict(known["weights"])
    return model


def from_llama(weights: Mapping[str, Tensor], shape: Shape) -> Transformer:
    """A transformer with the weights of a model of the Llama family.

    weights: a state dict with the names of transformers' `LlamaForCausalLM`. The head
        must be the embedding (`tie_word_embeddings`), and there must be no bias
    shape: what the model's configuration says; `outputs` is its vocabulary, rope_base
        its `rope_theta`, norm_eps its `rms_norm_eps`. Scaled rotary positions are not
        known here
    returns: a Transformer of the weights' dtype, with copies of them
    raises: ValueError for a head of its own, or a weight that is missing, of another
        shape, or not of this family

    >>> from_llama({"model.norm.weight": torch.ones(32)}, Shape(vocab=8, outputs=8))
    Traceback (most recent call last):
    ValueError: weights have no embed_tokens.weight
    """
    left = {name.removeprefix("model."): value for name, value in weights.items()}
    head = left.pop("lm_head.weight", None)
    embedding = left.get("embed_tokens.weight")
    if head is not None and embedding is not None and not torch.equal(head, embedding):
        raise ValueError("weights have a head of their own: ours is the embedding")
    ours = {}
    try:
        for name, parts in _names(shape.layers).items():
            ours[name] = torch.cat([left.pop(part) for part in parts])
    except KeyError as missing:
        raise ValueError(f"weights have no {missing.args[0]}") from None
    if left:
        raise ValueError(f"weights hold {min(left)}, which no Llama of this shape has")
    model = Transformer(shape).to(ours["norm.weight"].dtype)
    for name, parameter in model.state_dict().items():
        if parameter.shape != ours[name].shape:
            need, got = tuple(parameter.shape), tuple(ours[name].shape)
            raise ValueError(f"weights make {name} {got}, this shape needs {need}")
    model.load_state_dict(ours)
    return model


def to_llama(model: Transformer) -> dict[str, Tensor]:
    """The weights of a transformer under the names of a Llama; `from_llama` reads them.

    returns: copies, with the names of transformers' `LlamaForCausalLM`; the head is the
        embedding

    >>> small = Transformer(Shape(vocab=8, outputs=8))
    >>> again = from_llama(to_llama(small), small.shape)
    >>> torch.equal(again(torch.tensor([[1, 2]])), small(torch.tensor([[1, 2]])))
    True
    """
    heads, kv = model.shape.heads, model.shape.kv_heads
    each = model.shape.width // heads
    theirs = {}
    for name, parts in _names(model.shape.layers).items():
        weight = model.state_dict()[name]
        sizes = [len(weight) // len(parts)] * len(parts)
        if len(parts) == 3:
            sizes = [heads * each, kv * each, kv * each]
        for part, piece in zip(parts, weight.split(sizes), strict=True):
            theirs[f"model.{part}"] = piece.clone()
    return theirs


def _names(layers: int) -> dict[str, list[str]]:
    """Our weights, and those of a Llama that they are put together from."""
    block = {
        "attention_norm": ["input_layernorm"],
        "query_key_value": [f"self_attn.{part}_proj" for part in "qkv"],
        "output": ["self_attn.o_proj"],
        "feed_norm": ["post_attention_layernorm"],
        "gate_up": ["mlp.gate_proj", "mlp.up_proj"],
        "down": ["mlp.down_proj"],
    }
    names = {
        "embedding.weight": ["embed_tokens.weight"],
        "norm.weight": ["norm.weight"],
    }
    for i in range(layers):
        for name, parts in block.items():
            theirs = [f"layers.{i}.{part}.weight" for part in parts]
            names[f"blocks.{i}.{name}.weight"] = theirs
    return names


def _require(shape: Shape):
    for name, value in zip(shape._fields, shape, strict=True):
        validate.number(f"shape.{name}", value)
    if shape.outputs > shape.vocab:
        raise ValueError("shape.outputs must not be above shape.vocab")
    if shape.width % (2 * shape.heads) or shape.heads % shape.kv_heads:
        raise ValueError(
            "shape.heads must divide width into even parts, and kv_heads divide heads"
        )
