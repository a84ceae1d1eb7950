"""Chapter 09's helpers, and what the page says of TRL, each checked by other means."""

import copy

import pytest
import torch

from course_lib import optional
from course_lib.plots import truncated_pair
from course_lib.production.lora import LoRALinear, lora_step
from course_lib.production.responses import response_mask
from course_lib.production.trl_runs import (
    answer_of,
    as_texts,
    logged,
    pieces,
    quiet,
    smollm_tokenizer,
    tiny_llama,
    trl_run,
    word_tokenizer,
    world_rows,
)

LACKING = optional.missing_packages("production")
LACKING = LACKING or optional.missing_packages("instruct")
needs_trl = pytest.mark.skipif(bool(LACKING), reason=LACKING)
END = 2


@pytest.fixture(scope="module")
def words():
    quiet()
    return word_tokenizer()


@pytest.fixture(scope="module")
def llama(words):
    return tiny_llama(words, 0)


ROWS = world_rows(80, seed=0)


@pytest.mark.slow
@needs_trl
@pytest.mark.parametrize("ref_seed", [0, 1])
def test_trl_and_the_course_train_alike(ref_seed):
    from trl_parity import trl_parity

    apart = trl_parity(ref_seed)
    assert apart["first"] < 1e-6
    assert apart["losses"] < 1e-5
    assert apart["norms"] < 1e-4
    assert apart["weights"] < 1e-4
    assert (apart["start"] == pytest.approx(0.693147, abs=1e-6)) == (ref_seed == 0)


@pytest.mark.slow
@needs_trl
def test_our_tokens_are_trl_s(words, llama):
    told = trl_run(llama, ROWS[:8], words, max_steps=1).train_dataset
    texts = as_texts(ROWS[:8], words)
    for row, theirs in enumerate(told):
        prompt = texts.prompts[row, : texts.prompt_lengths[row]]
        assert prompt.tolist() == theirs["prompt_ids"]
        for side, name in enumerate(("chosen_ids", "rejected_ids")):
            length = texts.lengths[row, side]
            assert texts.responses[row, side, :length].tolist() == theirs[name]


def losses(llama, words, rows=ROWS, **told) -> list[float]:
    return [row["loss"] for row in logged(trl_run(llama, rows, words, **told))]


@pytest.mark.slow
@needs_trl
def test_settings_do_what_the_page_says(llama, words):
    plain = losses(llama, words)
    assert losses(llama, words, label_smoothing=0.3) == plain
    assert losses(llama, words, loss_type="robust", label_smoothing=0.3) != plain
    four = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    assert losses(llama, words, **four) == pytest.approx(plain, abs=1e-5)
    asked = {"ref": None, "precompute_ref_log_probs": True}
    assert losses(llama, words, **asked) == pytest.approx(plain, abs=1e-6)
    sft = {"loss_type": "sft"}
    whole, parts = losses(llama, words, **sft), losses(llama, words, **sft, **four)
    assert whole != pytest.approx(parts, abs=1e-5)  # a mean of means of tokens
    assert losses(llama, words, max_length=1) == []


@pytest.mark.slow
@needs_trl
def test_padding_with_the_end_changes_nothing(llama, words):
    same = copy.deepcopy(words)
    same.pad_token = same.eos_token
    assert losses(llama, same) == pytest.approx(losses(llama, words), abs=1e-6)


@pytest.mark.slow
@needs_trl
def test_messages_that_repeat_the_prompt_lose_it_if_the_column_is_left_out(words):
    tokenizer = smollm_tokenizer()
    ask = {"role": "user", "content": "How was the film?"}
    sides = {
        name: [ask, {"role": "assistant", "content": said}]
        for name, said in (("chosen", "Good."), ("rejected", "Bad."))
    }
    told = {"max_steps": 1, "per_device_train_batch_size": 1}
    small = tiny_llama(tokenizer, 0)
    row = trl_run(small, [sides], tokenizer, **told).train_dataset[0]
    assert row["prompt"] == [ask]
    assert pieces(tokenizer, row["chosen_ids"]) == "Good . <|im_end|> ⏎"


@pytest.mark.slow
@needs_trl
def test_the_template_is_tokens_one_and_two_around_each_turn():
    tokenizer = smollm_tokenizer()
    said = [{"role": "user", "content": "Hi there"}]
    ids = tokenizer.apply_chat_template(said)["input_ids"]
    turn = tokenizer("user\nHi there")["input_ids"]
    assert ids[-len(turn) - 3 :] == [1, *turn, 2, tokenizer("\n")["input_ids"][0]]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (2, 2)


def test_a_call_s_answer_is_its_first_sentence():
    def refuse():
        raise ValueError("`beta` is gone. Use a config.\nMore of it.")

    assert answer_of(refuse) == "ValueError: `beta` is gone"
    assert answer_of(lambda: 1) == "runs"


def slow_mask(prompt, whole):
    begins = 0
    while begins < min(len(prompt), len(whole)) and prompt[begins] == whole[begins]:
        begins += 1
    closes = [i for i in range(begins, len(whole)) if whole[i] == END]
    last = closes[0] if closes else len(whole) - 1
    return [int(begins <= i <= last) for i in range(len(whole))]


@pytest.mark.parametrize("seed", range(5))
def test_the_mask_is_that_of_a_slow_loop(seed):
    random = torch.Generator().manual_seed(seed)
    prompt = torch.randint(2, 5, (40, 4), generator=random)
    whole = torch.randint(2, 5, (40, 9), generator=random)
    whole[:20, :4] = prompt[:20]
    lengths = torch.randint(1, 5, (40,), generator=random)
    mask = response_mask(prompt, lengths, whole, END)
    for row in range(40):
        asked = prompt[row, : lengths[row]].tolist()
        assert mask[row].tolist() == slow_mask(asked, whole[row].tolist())


@pytest.mark.parametrize(
    ("prompt", "lengths", "words"),
    [
        (torch.ones(1, 2), [2], "prompt must hold integer ids"),
        (torch.ones(2, 2).long(), [2, 2], "must have a row an example"),
    ],
)
def test_a_mask_of_shapes_that_do_not_fit_is_refused(prompt, lengths, words):
    with pytest.raises(ValueError, match=words):
        response_mask(prompt, torch.tensor(lengths), torch.ones(1, 3).long(), END)


@pytest.mark.parametrize("rank", [1, 3])
def test_a_step_of_lora_is_what_sgd_does_to_the_merged_weight(rank):
    torch.manual_seed(rank)
    base = torch.nn.Linear(5, 4, bias=False, dtype=torch.float64)
    layer = LoRALinear(base, rank, alpha=6.0)
    torch.nn.init.normal_(layer.B)
    gradient = torch.randn(4, 5, dtype=torch.float64)
    before, a, b = layer.weight.detach().clone(), layer.A.clone(), layer.B.clone()
    (layer.weight * gradient).sum().backward()
    torch.optim.SGD([layer.A, layer.B], lr=0.3).step()
    moved = lora_step(a, b, gradient, alpha=6.0, rate=0.3)
    torch.testing.assert_close(layer.weight - before, moved)


def test_a_step_of_shapes_that_do_not_fit_is_refused():
    with pytest.raises(ValueError, match="must be"):
        lora_step(torch.ones(2, 3), torch.ones(4, 2), torch.ones(3, 4), 1.0, 0.1)
    with pytest.raises(ValueError, match="rate"):
        lora_step(torch.ones(2, 3), torch.ones(4, 2), torch.ones(4, 3), 1.0, 0.0)


@pytest.mark.parametrize(
    ("length", "keep", "words"),
    [
        (9, "keep_start", "Nothing is lost"),
        (5, "keep_start", "2 of 2 ends are cut off"),
        (4, "keep_start", "now the same"),
        (2, "keep_start", "the pair is dropped"),
        (4, "keep_end", "part of the question is gone"),
        (2, "keep_end", "the beginning of an answer with it"),
    ],
)
def test_what_is_left_of_a_pair_is_told(length, keep, words):
    from matplotlib.figure import Figure

    pair = [*"abc"], ["d", "e", "END"], ["d", "g", "END"]
    scene = truncated_pair(*pair)
    axes = scene.setup(Figure(layout="constrained"))
    assert words in scene.draw(axes, length, keep)
