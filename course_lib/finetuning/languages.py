"""Models with their tokens: a world of this course, SmolLM2, or a Hugging Face folder.

A language encodes text, lays out a chat, writes on, and saves itself in a folder that
`language_of` reads again.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from course_lib import instruct, transformer
from course_lib.instruct.folder import load_folder, save_folder
from course_lib.production import huggingface
from course_lib.production.lora import merge_lora
from course_lib.workspace import write_whole_folder
from course_lib.worlds import END, PROMPTS, WORDS, world_l, world_s

__all__ = ["HuggingFace", "SmolLM2", "WorldWords", "language_of"]

OWN = "course.json"  # in a folder that this course has saved: which language it is


def language_of(name: str, dtype: torch.dtype | None = None):
    """A model and its tokens by name.

    name: "S" or "L", "smollm2", or a folder: one that `train` has saved, or one that
        transformers has
    dtype: of the weights; None for float64 in S and L, and float32 elsewhere
    raises: ValueError if there is no such model, or a package is missing for it
    """
    folder, name, saved = Path(name), name.strip(), None
    if (folder / OWN).is_file():
        name = json.loads((folder / OWN).read_text(encoding="utf-8"))["language"]
        saved = folder
    if name in ("S", "L"):
        return WorldWords(name, saved, dtype or torch.float64)
    if name.lower() == "smollm2":
        return SmolLM2(saved, dtype or torch.float32)
    if not folder.is_dir():
        raise ValueError(
            f"model: {name} is no folder, and none of S, L and smollm2: nothing is "
            "downloaded here"
        )
    return HuggingFace(folder, dtype or torch.float32)


class Language:
    """A `model` that samples as this course's do, and `end`, the id after an answer."""

    def closed(self, ids: list[int]) -> list[int]:
        """With one end: what follows the last is cut; if there is none, it is added."""
        if self.end not in ids:
            return [*ids, self.end]
        return ids[: len(ids) - ids[::-1].index(self.end)]

    def write(self, prompts, longest: int, temperature: float, seed: int) -> list[str]:
        """An answer to each prompt, all in one batch."""
        if not prompts:
            return []
        device = next(self.model.parameters()).device
        said, lengths = transformer.sample(
            self.model,
            prompts,
            longest=longest,
            end=self.end,
            generator=torch.Generator(device).manual_seed(seed),
            temperature=temperature,
        )
        rows = zip(said.tolist(), lengths.tolist(), strict=True)
        return [self.decode(ids[:length]) for ids, length in rows]

    def save(self, folder: Path):
        """A folder with the model, its adapters merged, and the language's name."""
        model = merge_lora(self.model)

        def fill(part: Path):
            self.write_weights(model, part)
            told = json.dumps({"language": self.name})
            (part / OWN).write_text(told + "\n", encoding="utf-8")

        write_whole_folder(folder, fill)


class WorldWords(Language):
    """The eight words and four prompts of World S or L, one word a token."""

    end, has_chat = END, False
    words = (*WORDS, "(end)", *PROMPTS)

    def __init__(self, name: str, saved: Path | None, dtype: torch.dtype):
        self.name = name
        self.world = {"S": world_s, "L": world_l}[name]()
        self.model = transformer.load(saved / "weights.pt" if saved else name).to(dtype)
        self.context = 1 + self.world.longest

    def encode(self, prompt: str, answer: str = "") -> list[int]:
        known = {word: number for number, word in enumerate(self.words)}
        said = (prompt + " " + answer).split()
        for word in said:
            if known.get(word, END) == END:
                raise ValueError(
                    f'"{word}" is no word of World {self.name}, which has '
                    f"{', '.join(WORDS)} and the prompts {', '.join(PROMPTS)}"
                )
        return [known[word] for word in said]

    def closed(self, ids: list[int]) -> list[int]:
        """With its end; after the most words that there can be it needs none."""
        if len(ids) > self.world.longest:
            most = self.world.longest
            raise ValueError(f"an answer has {len(ids)} words, and at most {most} fit")
        return ids if len(ids) == self.world.longest else [*ids, END]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.words[i] for i in ids if i != END)

    def write(self, prompts, longest: int, temperature: float, seed: int) -> list[str]:
        longest = min(longest, self.world.longest)
        return super().write(prompts, longest, temperature, seed)

    def write_weights(self, model: transformer.Transformer, folder: Path):
        transformer.save(model, folder / "weights.pt")


class SmolLM2(Language):
    """SmolLM2-135M-Instruct from its package, with the chat that it was trained on."""

    name, has_chat, context = "smollm2", True, 2048

    def __init__(self, saved: Path | None, dtype: torch.dtype):
        self.whole = instruct.Instruct()
        self.end = self.whole.end
        model = load_folder(saved) if saved else self.whole.model()
        self.model, self.tokenizer = model.to(dtype), self.whole.tokenizer()

    def encode(self, prompt: str, answer: str = "") -> list[int]:
        return self.tokenizer.encode(prompt + answer).ids

    def chat(self, messages: list[dict], opened: bool = False) -> list[int]:
        """The ids of a chat; opened: up to where the assistant is to speak."""
        if not all(isinstance(m["content"], str) for m in messages):
            raise ValueError("smollm2 reads messages of text alone")
        ids = instruct.chat_ids(self.tokenizer, messages)
        return ids if opened else ids[: -1 - len(self.encode("assistant\n"))]

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode([i for i in ids if i != self.end])

    def write_weights(self, model: transformer.Transformer, folder: Path):
        save_folder(model, folder, self.whole)


class HuggingFace(Language):
    """A causal language model from a folder, with the tokenizer that lies there."""

    def __init__(self, folder: Path, dtype: torch.dtype):
        self.name, self.folder = str(folder), folder
        self.model, self.tokenizer = huggingface.load_causal(folder, dtype)
        self.end = self.tokenizer.eos_token_id
        if self.end is None:
            raise ValueError(f"model: the tokenizer in {folder} has no end token (EOS)")
        if len(self.tokenizer) > self.model.vocabulary:
            raise ValueError(
                f"model: the tokenizer of {folder} has {len(self.tokenizer)} tokens, "
                f"and the model knows {self.model.vocabulary}"
            )
        self.has_chat = bool(getattr(self.tokenizer, "chat_template", None))
        config = self.model.lm.config
        sizes = (getattr(config, n, None) for n in ("max_position_embeddings", "n_ctx"))
        self.context = next(filter(None, sizes), 2**20)
        window = getattr(config, "sliding_window", None)
        self.window = window or self.context  # how far back its attention reaches

    def encode(self, prompt: str, answer: str = "") -> list[int]:
        ids = self.tokenizer(prompt + answer)["input_ids"]
        return ids[:-1] if ids and ids[-1] == self.end else ids

    def chat(self, messages: list[dict], opened: bool = False) -> list[int]:
        text = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=opened
        )
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def write(self, prompts, longest: int, temperature: float, seed: int) -> list[str]:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return [self._write(ids, longest, temperature) for ids in prompts]

    @torch.no_grad()
    def _write(self, ids: list[int], longest: int, temperature: float) -> str:
        lm = self.model.lm
        device = next(lm.parameters()).device
        said = lm.generate(
            torch.tensor([ids], device=device),
            attention_mask=torch.ones(1, len(ids), device=device),
            max_new_tokens=longest,
            do_sample=True,
            temperature=temperature,
            eos_token_id=self.end,
            pad_token_id=self.end,
        )
        return self.decode(said[0, len(ids) :].tolist())

    def save(self, folder: Path):
        merge_lora(self.model)
        huggingface.save_causal(self.model, self.tokenizer, folder)
