"""A language model of Hugging Face transformers, as this course's trainer reads one.

`Causal` gives any decoder-only model `features` and `head`, so that logits are computed
at response tokens alone. A model whose own logits are not head(features) is refused: by
name where that is known, and `agreement` compares the two on real text.
"""

import json
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib.batches import Texts, collate, evaluation_mode, response_logps
from course_lib.optional import needed
from course_lib.production.lora import LoRALinear
from course_lib.workspace import write_whole_folder

__all__ = ["Causal", "agreement", "load_causal", "save_adapter", "save_causal"]

CHANGES_LOGITS = {  # settings that change logits behind the head
    "final_logit_softcapping": "caps its logits",
    "logit_scale": "scales its logits",
    "logits_scaling": "scales its logits",
}


class Causal(nn.Module):
    """A causal language model of transformers with `features` and `head`.

    lm: such as AutoModelForCausalLM.from_pretrained(…) gives. Its dropout is set to 0:
        the policy would be noisy where the reference is not
    raises: ValueError for a model that caps or scales its logits, or has no head

    features, head: as of `transformer.Transformer`, without a cache
    """

    def __init__(self, lm: nn.Module):
        super().__init__()
        for name, what in CHANGES_LOGITS.items():
            if getattr(lm.config, name, None) not in (None, 1, 1.0):
                kind = lm.config.model_type
                raise ValueError(
                    f"model: {kind} {what} ({name}), which is not known here"
                )
        if lm.get_output_embeddings() is None:
            raise ValueError("model has no head that writes tokens: it is no causal LM")
        self.lm = lm.eval()

    @property
    def blocks(self) -> list[nn.Module]:
        """The layers in their order: the list of modules that holds most weights."""
        lists = [m for m in self.lm.modules() if isinstance(m, nn.ModuleList)]
        held = [sum(p.numel() for p in m.parameters()) for m in lists]
        return list(lists[held.index(max(held))]) if lists else []

    @property
    def vocabulary(self) -> int:
        return self.lm.get_output_embeddings().weight.shape[0]

    def features(
        self,
        ids: Tensor,
        *,
        positions: Tensor | None = None,
        attend: Tensor | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        mask = attend
        if attend is not None:  # added to the scores: 0 where a token may be seen
            dtype = self.lm.dtype
            mask = torch.zeros(attend.shape, dtype=dtype, device=ids.device)
            mask = mask.masked_fill(~attend, torch.finfo(dtype).min)
        read = {"input_ids": ids, "position_ids": positions, "attention_mask": mask}
        known = self.lm.base_model(**read, use_cache=False).last_hidden_state
        return known if at is None else known.flatten(0, 1).index_select(0, at)

    def head(self, features: Tensor) -> Tensor:
        return self.lm.get_output_embeddings()(features)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.features(ids))


def load_causal(
    folder: str | os.PathLike, dtype=torch.float32
) -> tuple[Causal, object]:
    """A model and its tokenizer from a folder; nothing is downloaded.

    folder: as `save_pretrained` writes it, with the tokenizer's files
    raises: ValueError if it is no such folder, or transformers is not installed
    """
    hf = needed("transformers")
    if not (Path(folder) / "config.json").is_file():
        raise ValueError(
            f"model: {folder} holds no config.json, so it is no Hugging Face model"
        )
    needed("transformers.utils.logging").disable_progress_bar()
    try:
        tokenizer = hf.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        lm = hf.AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, local_files_only=True
        )
    except Exception as error:  # whatever the library makes of a broken folder
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"model: {folder} cannot be loaded: {told}") from error
    return Causal(lm), tokenizer


@torch.no_grad()
def agreement(model: Causal, texts: Texts, layout: str = "padded") -> float:
    """How far our log-probs are from those of the model's own logits, at most, in nats.

    texts: two responses a prompt; the first four examples are read
    layout: of batches.LAYOUTS; "shared" needs a model that takes a mask of four
        dimensions, and no window of attention shorter than the text
    """
    few, worst = texts.take(torch.arange(min(4, len(texts)))), 0.0
    device = next(model.parameters()).device
    with evaluation_mode(model):
        ours = response_logps(model, collate(few, layout).to(device))
        ours = ours.view(-1, len(few)).T.cpu()
        for row in range(len(few)):
            prompt = few.prompts[row, : few.prompt_lengths[row]]
            for side in range(few.lengths.shape[1]):
                said = few.responses[row, side, : few.lengths[row, side]]
                whole = torch.cat((prompt, said))[None].to(device)
                logits = model.lm(whole).logits[0].cpu()
                steps = logits[len(prompt) - 1 : -1].float().log_softmax(-1)
                own = steps.gather(1, said[:, None]).sum()
                worst = max(worst, abs(float(own - ours[row, side])))
    return worst


def save_causal(model: Causal, tokenizer, folder: str | os.PathLike):
    """Write a folder that `from_pretrained` reads: whole, or not there.

    raises: FileExistsError if the folder is there already
    """
    both = model.lm, tokenizer
    write_whole_folder(
        Path(folder), lambda part: [each.save_pretrained(part) for each in both]
    )


def save_adapter(model: Causal, folder: str | os.PathLike, base: str):
    """Write the adapters of `add_lora` as peft reads them, with PeftModel.

    base: the folder of the model that they were put on
    raises: ValueError if there is none; FileExistsError if the folder is there already
    """
    found = {n: m for n, m in model.lm.named_modules() if isinstance(m, LoRALinear)}
    if not found:
        raise ValueError("model has no adapter to save: add_lora puts it there")
    any_one = next(iter(found.values()))
    rank = any_one.A.shape[0]
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": rank,
        "lora_alpha": any_one.scale * rank,
        "target_modules": sorted(found),
        "fan_in_fan_out": any_one.transposed,
        "inference_mode": True,
    }
    weights = {}
    for name, layer in found.items():
        at = f"base_model.model.{name}"
        weights[f"{at}.lora_A.weight"] = layer.A.detach().cpu().contiguous()
        weights[f"{at}.lora_B.weight"] = layer.B.detach().cpu().contiguous()

    def write(part: Path):
        save_file = needed("safetensors.torch").save_file
        save_file(weights, part / "adapter_model.safetensors")
        told = json.dumps(config, indent=2)
        (part / "adapter_config.json").write_text(told, encoding="utf-8")

    write_whole_folder(Path(folder), write)
