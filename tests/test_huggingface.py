"""Models of transformers: log-probs are theirs, peft's adapters are ours, and back."""

import json
import random
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch

from course_lib.batches import collate, pairs, response_logps
from course_lib.diagnosis import diagnose
from course_lib.finetuning import Finetuning, finetune, tokens
from course_lib.finetuning.languages import language_of
from course_lib.finetuning.pairs import Example
from course_lib.optional import missing_packages
from course_lib.production.huggingface import (
    Causal,
    agreement,
    load_causal,
    save_adapter,
    save_causal,
)
from course_lib.production.lora import adapter_off, add_lora, merge_lora
from course_lib.training import recomputed

LACKING = missing_packages("production")
transformers = pytest.importorskip("transformers", reason=LACKING)
tokenizers = pytest.importorskip("tokenizers", reason=LACKING)
if not find_spec("peft"):  # which takes a second to import
    pytest.skip(LACKING, allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # theirs


@pytest.fixture
def peft():
    return import_module("peft")


LLAMA = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GPT2 = {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
GPT2 |= {"bos_token_id": 1, "eos_token_id": 2}
OPT = LLAMA | {"ffn_dim": 48, "word_embed_proj_dim": 32}
FAMILIES = {
    "llama": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA | {"head_dim": 8},
    "mistral": LLAMA | {"sliding_window": None},
    "gemma": LLAMA | {"head_dim": 8},
    "gpt2": GPT2,
    "gpt_neox": LLAMA,
    "opt": OPT,
    "mixtral": LLAMA | {"num_local_experts": 4},
}


def made(family="llama", seed=0, **changed):
    """A small model of a family, its weights drawn at random."""
    torch.manual_seed(seed)
    asked = FAMILIES.get(family, LLAMA) | changed
    config = transformers.AutoConfig.for_model(family, **asked)
    return transformers.AutoModelForCausalLM.from_config(config).float()


def some_texts(count=6):
    draw = random.Random(0)

    def ids(length):
        return [draw.randrange(3, 64) for _ in range(length)]

    return pairs(
        [ids(1 + n % 5) for n in range(count)],
        [ids(2 + n % 7) for n in range(count)],
        [ids(3 + n % 4) for n in range(count)],
    )


def by_a_loop(lm, texts):
    """Log-probs from the model's own logits, token by token."""
    found = torch.zeros(texts.lengths.shape)
    for n in range(len(texts)):
        for side in range(2):
            ids = texts.prompts[n, : texts.prompt_lengths[n]].tolist()
            for token in texts.responses[n, side, : texts.lengths[n, side]].tolist():
                steps = lm(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
                found[n, side] += steps[token].detach()
                ids.append(token)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probs_are_those_of_the_models_own_logits(family):
    lm, texts = made(family), some_texts()
    model = Causal(lm)
    expected = by_a_loop(lm, texts)
    for layout in ("padded", "shared"):
        with torch.no_grad():
            ours = response_logps(model, collate(texts, layout)).view(2, -1).T
        assert torch.allclose(ours, expected, atol=1e-5, rtol=0), layout
        assert agreement(model, texts, layout) < 1e-4
    assert len(model.blocks) == 2
    names = {type(block).__name__ for block in model.blocks}
    assert len(names) == 1
    assert "Expert" not in names.pop()


def test_what_it_cannot_carry_is_refused_by_name_or_by_comparison():
    with pytest.raises(ValueError, match="gemma2 caps its logits"):
        Causal(made("gemma2", head_dim=8))
    with pytest.raises(ValueError, match="granite scales its logits"):
        Causal(made("granite", logits_scaling=2.0))
    model, forward = Causal(made()), transformers.LlamaForCausalLM.forward

    def secretly(self, *args, **more):
        out = forward(self, *args, **more)
        out.logits = out.logits * 0.5
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformers.LlamaForCausalLM, "forward", secretly)
        assert agreement(model, some_texts()) > 0.1


def test_dropout_is_off_and_blocks_can_be_computed_again():
    lm = made("gpt2", resid_pdrop=0.5, attn_pdrop=0.5, embd_pdrop=0.5).train()
    model, batch = Causal(lm), collate(some_texts(), "padded")
    first = response_logps(model, batch)
    assert torch.equal(response_logps(model, batch), first)
    first.sum().backward()
    slopes = [p.grad.clone() for p in lm.parameters() if p.grad is not None]
    lm.zero_grad()
    with recomputed(model):
        response_logps(model, batch).sum().backward()
    again = [p.grad for p in lm.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(slopes, again, strict=True))


# ── LoRA and peft ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("family", "names"),
    [("llama", ["q_proj", "v_proj"]), ("llama", ["down_proj"]), ("gpt2", ["c_attn"])],
)
def test_our_adapter_is_pefts(family, names, tmp_path, peft):
    ours, theirs = Causal(made(family)), made(family).eval()  # GPT-2 has dropout
    layers = add_lora(ours, names, rank=3, alpha=6.0)
    config = peft.LoraConfig(
        r=3, lora_alpha=6.0, target_modules=names, fan_in_fan_out=family == "gpt2"
    )
    theirs = peft.get_peft_model(theirs, config)
    draw, both = torch.Generator().manual_seed(1), []
    for name in layers:
        mine = ours.get_submodule(name)
        his = theirs.base_model.model.get_submodule(name.removeprefix("lm."))
        mine.B.data = torch.randn(mine.B.shape, generator=draw) * 0.1
        both.append((mine.A, his.lora_A["default"].weight))
        both.append((mine.B, his.lora_B["default"].weight))
    for weight, other in both:
        other.data.copy_(weight)
    ids = torch.tensor([[5, 9, 3, 40, 8]])
    expected = theirs(input_ids=ids).logits
    assert torch.allclose(ours(ids), expected, atol=1e-6)
    ours(ids).square().sum().backward()
    expected.square().sum().backward()
    for weight, other in both:
        assert torch.allclose(weight.grad, other.grad, rtol=1e-4, atol=1e-5)
    with adapter_off(ours), theirs.disable_adapter():
        assert torch.allclose(ours(ids), theirs(input_ids=ids).logits, atol=1e-6)
    save_adapter(ours, tmp_path / "adapter", "base")
    loaded = peft.PeftModel.from_pretrained(made(family).eval(), tmp_path / "adapter")
    assert torch.allclose(loaded(input_ids=ids).logits, expected, atol=1e-6)
    merged = merge_lora(ours)
    assert torch.allclose(merged.lm(input_ids=ids).logits, expected, atol=1e-5)
    with pytest.raises(ValueError, match="no adapter to save"):
        save_adapter(merged, tmp_path / "other", "base")
    with pytest.raises(FileExistsError):
        save_causal(merged, tokenizer(), tmp_path / "adapter")


# ── a folder, from end to end ─────────────────────────────────────────────────────────

WORDS = "is the soup film hotel talk train book song a was really very quite rather so"
WORDS += " good fine great kind bad dull poor rude yes no it and but not thanks please"
WORDS += " user assistant system : ; ? ."
TEMPLATE = (
    "{% for m in messages %}<s> {{ m['role'] }} : {{ m['content'] }} </s> ; "
    "{% endfor %}"
    "{% if add_generation_prompt %}<s> assistant : {% endif %}"
)


def tokenizer():
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    words = [*special, *WORDS.split()]
    known = {word: number for number, word in enumerate(words)}
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, "<unk>"))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        chat_template=TEMPLATE,
    )


def opinions(count, seed=0):
    """Praise is preferred to blame, four times in five."""
    draw, rows, known = random.Random(seed), [], set()
    things = ["soup", "film", "hotel", "talk", "train", "book", "song"]
    how = ["really", "very", "quite", "rather", "so"]
    while len(rows) < count:
        thing, adverb = draw.choice(things), draw.choice(how)
        asks = f"{draw.choice(how)} {draw.choice(how)} is the {thing} {adverb}"
        good = draw.choice(["good", "fine", "great", "kind"])
        bad = draw.choice(["bad", "dull", "poor", "rude"])
        sides = [f" {draw.choice(how)} {w} . it was {w}" for w in (good, bad)]
        if draw.random() < 0.2:
            sides.reverse()
        row = {"prompt": asks, "chosen": sides[0], "rejected": sides[1]}
        if asks not in known:
            known.add(asks)
            rows.append(row)
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("model") / "tiny"
    made(vocab_size=len(tokenizer())).save_pretrained(where)
    tokenizer().save_pretrained(where)
    return where


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "opinions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in opinions(240)))
    return str(path)


@pytest.fixture(scope="module")
def finished(folder, file, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    asked = Finetuning(file, str(folder), str(out), lr=1e-3, steps=60, quiet=True)
    finetune(asked, lambda words: None)
    return out


def test_a_trained_folder_loads_in_transformers_and_generates(finished, folder):
    lm = transformers.AutoModelForCausalLM.from_pretrained(finished / "model")
    words = transformers.AutoTokenizer.from_pretrained(finished / "model")
    before = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = words("is the soup very", return_tensors="pt")
    said = lm.generate(**ids, max_new_tokens=5, do_sample=False)
    assert said.shape[1] > ids["input_ids"].shape[1]
    both = [m(**ids).logits[0, -1].log_softmax(-1) for m in (lm, before)]
    rise = (both[0] - both[1]).detach()
    good, bad = (words(w)["input_ids"] for w in ("good fine great", "bad dull poor"))
    assert rise[good].mean() > rise[bad].mean()


def test_diagnose_finds_nothing_wrong_with_the_run(finished):
    verdict = diagnose(finished / "log.jsonl", beta=0.1, lr=1e-3, loss="sigmoid")
    assert verdict.status == "healthy", verdict
    assert verdict.missing == ()


def test_the_adapter_alone_is_saved_for_peft_and_the_model_with_it(
    folder, file, tmp_path, peft
):
    out = tmp_path / "run"
    told = {"lora": 4, "adapter": True, "lr": 5e-3, "steps": 10, "quiet": True}
    finetune(Finetuning(file, str(folder), str(out), **told), lambda words: None)
    whole, _ = load_causal(out / "model")
    base = transformers.AutoModelForCausalLM.from_pretrained(folder)
    adapted = peft.PeftModel.from_pretrained(base, out / "adapter")
    ids = torch.tensor([[5, 9, 3, 40, 8]])
    expected = whole.lm(input_ids=ids).logits
    assert torch.allclose(adapted(input_ids=ids).logits, expected, atol=1e-5)
    plain, _ = load_causal(folder)
    assert (plain(ids) - expected).abs().max() > 1e-3
    kept = json.loads((out / "adapter" / "adapter_config.json").read_text())
    assert kept["base_model_name_or_path"] == str(folder)


def test_a_chat_is_laid_out_by_the_models_own_template(folder):
    language, words = language_of(str(folder)), tokenizer()
    talk = Example(1, "is it good", (" yes", " no"))
    found = tokens.encode(talk, language, chat=True)
    asked = [{"role": "user", "content": "is it good"}]
    told = {"add_generation_prompt": True, "tokenize": False}
    prompt = words.apply_chat_template(asked, **told)
    assert found.prompt == words(prompt, add_special_tokens=False)["input_ids"]
    yes, no, end = words.convert_tokens_to_ids(["yes", "no", "</s>"])
    assert found.answers == [[yes, end], [no, end]]  # and the template's ; is cut
    plain = tokens.encode(talk, language)
    assert plain.answers == [[yes, end], [no, end]]
    assert len(plain.prompt) == 3


def test_folders_that_hold_no_model_are_refused_in_a_sentence(tmp_path, folder):
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        language_of(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be loaded"):
        language_of(str(tmp_path))
    talk = Example(1, "is it", (" yes", " no"))
    assert tokens.encode(talk, language_of(str(folder))).line == 1
