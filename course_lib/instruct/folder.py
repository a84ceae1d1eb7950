"""SmolLM2 as a folder that transformers loads: `from_pretrained`, chat and all."""

import importlib
import json
from pathlib import Path

from course_lib.instruct.weights import Instruct
from course_lib.transformer import Shape, Transformer, from_llama, to_llama
from course_lib.workspace import write

__all__ = ["load_folder", "save_folder"]

SIZES = {  # of a Shape, by their names in a configuration of transformers
    "vocab": "vocab_size",
    "outputs": "vocab_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "hidden": "intermediate_size",
    "rope_base": "rope_theta",
    "norm_eps": "rms_norm_eps",
}
CONTROL = 3  # the kind of a token that no text is made of, in GGUF
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_folder(model: Transformer, folder: Path, whole: Instruct):
    """Write weights, configuration and tokenizer into a folder that is there.

    The chat template is that of `chat_ids`: without the line that tells the model its
    name, as it was trained here

    model: of the shape of `Instruct().model()`; whole: what the package holds
    """
    weights = {name: w.cpu().contiguous() for name, w in to_llama(model).items()}
    safetensors = importlib.import_module("safetensors.torch")
    safetensors.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    write(folder / "config.json", _config(model, whole))
    tokens = whole.fact("tokenizer.ggml.tokens")
    kinds = whole.fact("tokenizer.ggml.token_type")
    marks = [t for t, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    tokenizer = whole.tokenizer()
    tokenizer.add_special_tokens(marks)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    special = {
        f"{ours}_token": tokens[whole.fact(f"tokenizer.ggml.{theirs}_token_id")]
        for ours, theirs in names.items()
    }
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": whole.fact("llama.context_length"),
        **special,
    }
    write(folder / "tokenizer_config.json", about)


def load_folder(folder: Path) -> Transformer:
    """The model of a folder that `save_folder` wrote."""
    safetensors = importlib.import_module("safetensors.torch")
    weights = safetensors.load_file(folder / "model.safetensors")
    told = json.loads((folder / "config.json").read_text("utf-8"))
    return from_llama(weights, Shape(**{n: told[name] for n, name in SIZES.items()}))


def _config(model: Transformer, whole: Instruct) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        **{theirs: getattr(model.shape, ours) for ours, theirs in SIZES.items()},
        "max_position_embeddings": whole.fact("llama.context_length"),
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": whole.fact("tokenizer.ggml.bos_token_id"),
        "eos_token_id": whole.end,
        "pad_token_id": whole.fact("tokenizer.ggml.padding_token_id"),
    }
