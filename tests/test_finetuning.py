"""`train PAIRS`: one's own file becomes a model, whole or not at all."""

import copy
import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from course_lib import instruct, transformer
from course_lib.diagnosis import diagnose
from course_lib.finetuning import Finetuning, command, finetune, run, tokens
from course_lib.finetuning.languages import WorldWords, language_of
from course_lib.finetuning.pairs import Example, held_apart, read_examples
from course_lib.finetuning.settings import check_settings
from course_lib.optional import missing_packages
from course_lib.workspace import repository
from course_lib.worlds import PROMPTS, sample_preferences, world_s

LACKING = missing_packages("instruct")


def rows_of_world_s(count=400, seed=0):
    """Pairs that the reference of World S wrote and its reward judged, none twice."""
    world = world_s()
    exact = world.exact(transformer.load("S").double())
    drawn = [part.tolist() for part in sample_preferences(exact, count, seed=seed)]
    rows, known = [], set()
    for prompt, chosen, rejected in zip(*drawn, strict=True):
        key = (prompt, frozenset((chosen, rejected)))
        if 0 not in (chosen, rejected) and key not in known:  # 0: nothing is said
            known.add(key)
            sides = {"chosen": world.text(chosen), "rejected": world.text(rejected)}
            rows.append({"prompt": [*PROMPTS][prompt], **sides})
    return rows


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "pairs.jsonl", rows_of_world_s())


@pytest.fixture
def asked(file, tmp_path):
    out = str(tmp_path / "run")
    return Finetuning(file, "S", out, steps=30, lr=5e-3, eval_every=5, quiet=True)


def weights(folder):
    return torch.load(Path(folder, "model", "weights.pt"))["weights"]


def trained(asked, say=lambda words: None, **changed):
    """The log of a run with these settings."""
    return finetune(dataclasses.replace(asked, **changed), say)


# ── from a file to examples ───────────────────────────────────────────────────────────

USER, SAID = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}
OTHER = SAID | {"content": "No."}
TEXT, TALK = Example(1, "Hi", ("Yes.", "No.")), Example(1, [USER], ([SAID], [OTHER]))
HUMAN = "\n\nHuman: Hi\n\nAssistant: "
FORMS = [  # chosen, rejected, what else is in the row, and what is read
    ("Yes.", "No.", {"prompt": "Hi"}, TEXT),
    ("Yes.", "No.", {"question": "Hi"}, TEXT),
    ("Hi there. Yes.", "Hi there. No.", {}, TEXT._replace(prompt="Hi there. ")),
    ([SAID], [OTHER], {"prompt": [USER]}, TALK),
    ([SAID], [OTHER], {"prompt": "Hi"}, TALK),
    ([USER, SAID], [USER, OTHER], {}, TALK),
    ([USER, SAID], [USER, OTHER], {"prompt": "Hi"}, TALK),
    (f"{HUMAN}Yes.", f"{HUMAN}No.", {}, TALK),
]


@pytest.mark.parametrize(("chosen", "rejected", "more", "example"), FORMS)
def test_every_form_of_a_pair_is_read(tmp_path, chosen, rejected, more, example):
    row = {**more, "chosen": chosen, "rejected": rejected}
    assert read_examples(write(tmp_path / "pairs.jsonl", [row]))[0] == [example]


def test_single_answers_keep_their_thumbs_and_a_ranking_is_refused(tmp_path):
    rows = [{"prompt": "Hi", "completion": "Yes.", "label": True}]
    rows.append({"prompt": "Ho", "completion": "No!", "label": False})
    examples, _ = read_examples(write(tmp_path / "kto.jsonl", rows))
    assert [e.desirable for e in examples] == [True, False]
    ranked = [{"prompt": "Hi", "responses": ["Yes.", "No."]}]
    with pytest.raises(ValueError, match="a ranking: write its pairs"):
        read_examples(write(tmp_path / "ranked.jsonl", ranked))


def test_bad_rows_are_named_and_can_be_left_out(tmp_path):
    answers = {"chosen": "Yes.", "rejected": "No."}
    good = [{"prompt": f"Number {n}?", **answers} for n in "123"]
    bad = [dict(good[0], prompt="a"), dict(good[1], chosen=""), dict(good[2])]
    bad[0].pop("rejected")
    bad[2]["rejected"] = bad[2]["chosen"]
    path = write(tmp_path / "pairs.jsonl", [good[0], *bad, good[1]])
    with pytest.raises(ValueError, match=r"pairs\.jsonl: 3 rows with errors") as told:
        read_examples(path)
    said = str(told.value)
    assert 'line 2: missing_field: "rejected" is missing' in said
    assert "line 3: empty_answer" in said
    assert "line 4: chosen_equals_rejected" in said
    assert f"course_lib inspect {path}" in said
    examples, _ = read_examples(path, skip_bad=True)
    assert [e.line for e in examples] == [1, 5]


def test_no_prompt_is_on_both_sides_of_the_split():
    rows = [Example(n, f"Prompt {n % 7}", ("a", "b")) for n in range(40)]
    rows += [Example(50, " prompt  3 ", ("c", "d"))]
    seen = set()
    for seed in range(5):
        train, held = held_apart(rows, 0.3, seed)
        assert not {e.asked for e in train} & {e.asked for e in held}
        assert sorted(e.line for e in train + held) == [*range(40), 50]
        assert len({e.asked for e in held}) == 2
        assert held_apart(rows, 0.3, seed) == (train, held)
        seen.add(frozenset(e.asked for e in held))
    assert len(seen) > 2
    with pytest.raises(ValueError, match="all pairs have one prompt"):
        held_apart(rows[:1], 0.1, 0)


# ── from examples to tokens ───────────────────────────────────────────────────────────


class Letters:
    """Two letters at a time are one token: a boundary inside a pair moves it."""

    end, has_chat, name = 0, True, "letters"

    def encode(self, prompt, answer=""):
        text = prompt + answer
        return [sum(map(ord, text[i : i + 2])) for i in range(0, len(text), 2)]

    def chat(self, messages, opened=False):
        ids = [i for m in messages for i in [1, *self.encode(m["content"]), 0, 2]]
        return [*ids, 1] if opened else ids

    def closed(self, ids):
        return ids[: len(ids) - ids[::-1].index(0)] if 0 in ids else [*ids, 0]


def test_a_token_across_the_boundary_belongs_to_the_answer():
    found = tokens.encode(Example(1, "abc", ("de", "xy")), Letters())
    assert found.prompt == Letters().encode("ab")
    assert found.answers == [[*Letters().encode(a), 0] for a in ("cde", "cxy")]
    even = tokens.encode(Example(1, "abcd", ("ef", "xy")), Letters())
    assert even.prompt == Letters().encode("abcd")


def test_a_chat_ends_its_answer_with_one_end_token_and_nothing_after():
    found = tokens.encode(TALK, Letters())
    assert found == tokens.encode(TEXT, Letters(), chat=True)
    assert found.prompt == [1, *Letters().encode("Hi"), 0, 2, 1]
    assert found.answers == [[*Letters().encode(a), 0] for a in ("Yes.", "No.")]


def test_what_has_no_token_or_no_difference_is_named_with_its_line():
    world = WorldWords("S", None, torch.float64)
    fits = Example(3, "film", ("good", "very bad"))
    kept, long = tokens.encode_all([fits], world, "p.jsonl", longest=4)
    assert kept[0].prompt == [9]
    assert kept[0].answers == [[4, 8], [3, 5, 8]]  # with the end; three words need none
    assert world.closed([4, 4, 4]) == [4, 4, 4]
    assert not long
    for row, said in (
        (fits._replace(prompt="novel"), 'line 3: "novel" is no word of World S'),
        (fits._replace(answers=("good", "not " * 4)), "at most 3 fit"),
        (fits._replace(prompt=[USER]), "World S|S has no chat template"),
        (fits._replace(answers=("good", " good")), "have the same tokens"),
    ):
        with pytest.raises(ValueError, match=said):
            tokens.encode_all([row], world, "p.jsonl", longest=9)
    shorter = fits._replace(line=4, answers=("bad", "good"))
    assert tokens.encode_all([shorter, fits], world, "p", longest=3)[1] == [3]
    with pytest.raises(ValueError, match="every row is longer than max_length, 2"):
        tokens.encode_all([fits], world, "p", longest=2)


# ── a run ─────────────────────────────────────────────────────────────────────────────


LONG = Finetuning("", "S", "", steps=100, lr=3e-3, quiet=True)


@pytest.fixture(scope="module")
def finished(file, tmp_path_factory):
    """A run that stops when it has learned of three prompts what the fourth denies."""
    out, said = tmp_path_factory.mktemp("run") / "out", []
    return out, trained(LONG, said.append, pairs=file, out=str(out)), said


def test_a_run_leaves_a_model_a_log_and_samples(finished, file):
    out, log, said = finished
    left = {path.name for path in out.iterdir()}
    assert left == {"run.json", "log.jsonl", "samples.jsonl", "model"}
    rows = rows_of(out / "log.jsonl")
    count = len(held_apart(read_examples(file)[0], 0.1, 0)[0])
    assert rows[0]["eval_loss"] == pytest.approx(0.693147)
    train = [row for row in rows if "loss" in row]
    assert [row["step"] for row in train] == [*range(1, len(log.history["loss"]) + 1)]
    assert train[0]["loss"] == pytest.approx(0.693147)
    assert train[0]["rewards/chosen"] == train[0]["rewards/rejected"] == 0
    assert train[4]["learning_rate"] == pytest.approx(3e-3 * 5 / 11, rel=1e-5)
    epochs = train[-1]["pairs_seen"] / count
    assert train[-1]["epoch"] == pytest.approx(epochs, rel=1e-5)
    assert any(file in sentence for sentence in said)
    asked = {row["prompt"] for row in rows_of(out / "samples.jsonl")}
    assert asked <= {*PROMPTS}
    assert json.loads((out / "run.json").read_text())["beta"] == 0.1


def test_diagnose_finds_nothing_wrong_with_a_sound_run(file, tmp_path):
    out = tmp_path / "run"
    trained(LONG, pairs=file, out=str(out), held_out=0.0, samples=0)
    verdict = diagnose(out / "log.jsonl", beta=0.1, lr=3e-3, loss="sigmoid")
    assert verdict.status == "healthy", verdict
    assert verdict.case.log.library == "`train` of this course"


def test_diagnose_sees_that_three_prompts_do_not_teach_the_fourth(finished):
    verdict = diagnose(finished[0] / "log.jsonl")
    assert verdict.case.beta == pytest.approx(0.1)  # of two evaluations
    assert {"overfit", "no_signal"} & {*verdict.classes}


def test_the_columns_are_those_of_a_loop_over_the_held_out_pairs(finished, file):
    out, log, _ = finished
    language = language_of(str(out / "model"), torch.float64)
    ref = transformer.load("S").double()
    train, held = held_apart(read_examples(file)[0], 0.1, 0)
    assert len(train) > len(held) > 10
    gaps, first = [], []
    for example in held:
        moved = []
        for answer in example.answers:
            found = tokens.encode(example._replace(answers=(answer,)), language)
            ids = torch.tensor([found.prompt + found.answers[0]])
            steps = [m(ids)[0, :-1].log_softmax(-1) for m in (language.model, ref)]
            at = range(len(found.prompt) - 1, ids.shape[1] - 1)
            sums = [sum(s[t, ids[0, t + 1]].item() for t in at) for s in steps]
            moved.append(sums[0] - sums[1])
            first.append(sums[0])
        gaps.append(moved[0] - moved[1])
    best = min(log.watched[1:], key=lambda look: look["eval_loss"])
    by_hand = torch.nn.functional.softplus(-0.1 * torch.tensor(gaps)).mean()
    assert best["eval_loss"] == pytest.approx(by_hand.item(), abs=2e-6)  # saved float32
    margin = 0.1 * sum(gaps) / len(gaps)
    assert best["eval_rewards/margins"] == pytest.approx(margin, abs=1e-5)
    chosen = sum(first[::2]) / len(held)
    assert best["eval_logps/chosen"] == pytest.approx(chosen, abs=1e-4)


def test_labels_that_are_noise_end_the_run_early_and_leave_the_best(asked, tmp_path):
    rows = rows_of_world_s(300)
    random = torch.Generator().manual_seed(0)
    for row in rows:
        if torch.rand(1, generator=random) < 0.5:
            row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    said, noise = [], write(tmp_path / "noise.jsonl", rows)
    told = {"steps": 200, "lr": 2e-2, "eval_every": 10, "patience": 2}
    log = trained(asked, said.append, pairs=noise, **told)
    losses = [look["eval_loss"] for look in log.watched]
    assert len(log.history["loss"]) < 200
    assert len(losses) - 1 - losses.index(min(losses)) == 2
    assert any(s.startswith("Stopped after") for s in said)
    if min(losses[1:]) >= losses[0]:
        assert any("never fell below its start" in s for s in said)


@pytest.mark.slow
def test_lora_and_every_other_way_to_spare_memory_train(asked, file):
    sparing = {"lora": 4, "recompute": True, "accumulate": 2, "layout": "padded"}
    log = trained(asked, lr=2e-2, **sparing)
    assert min(log.history["loss"]) < 0.69
    left = [n for n, p in log.model.named_parameters() if p.requires_grad]
    assert not any(n.endswith((".A", ".B")) for n in left)  # merged when saved
    again = language_of(f"{asked.out}/model")
    assert {*weights(asked.out)} == {*transformer.load("S").state_dict()}
    assert isinstance(again, WorldWords)


def test_bf16_starts_where_policy_and_reference_agree(asked, monkeypatch):
    monkeypatch.setattr(run, "sixteen_bits_pay", lambda: False)
    said = []
    trained(asked, said.append, precision="bf16", steps=8)
    rows = [row for row in rows_of(Path(asked.out, "log.jsonl")) if "loss" in row]
    assert rows[0]["loss"] == pytest.approx(0.693147, abs=1e-4)
    assert abs(rows[0]["rewards/margins"]) < 1e-3
    assert any(s.startswith("This processor is slower in bf16") for s in said)
    assert {value.dtype for value in weights(asked.out).values()} == {torch.float32}


@pytest.mark.parametrize("method", ["kto", "simpo", "ipo", "dpo_nll", "sft"])
def test_other_losses_train_and_are_read_by_diagnose(asked, method):
    log = trained(asked, method=method, held_out=0.5, steps=6)
    assert len(log.history["loss"]) == 6
    assert diagnose(Path(asked.out, "log.jsonl"), beta=0.1, loss=method)


def test_single_answers_with_thumbs_train_by_kto(asked, tmp_path):
    kept = {}
    for row in rows_of_world_s(60):
        for side in ("chosen", "rejected"):
            told = {"prompt": row["prompt"], "completion": row[side]}
            kept.setdefault((*told.values(),), told | {"label": side == "chosen"})
    path = write(tmp_path / "kto.jsonl", kept.values())
    with pytest.raises(ValueError, match="need --method kto"):
        trained(asked, pairs=path)
    assert not Path(asked.out).exists()
    log = trained(asked, pairs=path, method="kto", steps=5, held_out=0.5)
    assert log.history["loss"][0] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(bool(LACKING), reason=LACKING)
def test_smollm2_reads_a_chat_and_what_is_saved_is_smollm2_again(tmp_path, monkeypatch):
    """The real tokenizer, with a model of one thin layer in place of the real one."""
    torch.manual_seed(0)
    shape = transformer.Shape(49_152, 49_152, 8, 1, 2, 2, hidden=8)
    thin = transformer.Transformer(shape)
    monkeypatch.setattr(instruct.Instruct, "model", lambda self: copy.deepcopy(thin))
    language = language_of("smollm2")
    asks = TEXT._replace(prompt="Is ice cold?")
    found = tokens.encode(asks, language, chat=True)
    read = functools.partial(language.tokenizer.decode, skip_special_tokens=False)
    assert [*map(read, [found.prompt, *found.answers])] == [
        "<|im_start|>user\nIs ice cold?<|im_end|>\n<|im_start|>assistant\n",
        "Yes.<|im_end|>",
        "No.<|im_end|>",
    ]
    sides = {"chosen": "Yes.", "rejected": "No."}
    rows = [{"prompt": f"Is {n} odd?", **sides} for n in range(9)]
    file, out = write(tmp_path / "chat.jsonl", rows), tmp_path / "run"
    asked = Finetuning(file, "smollm2", str(out), lr=1e-2, chat=True, quiet=True)
    log = trained(asked, steps=4, batch_size=4)
    assert log.history["loss"][0] == pytest.approx(0.693147, abs=1e-5)
    assert log.history["loss"][-1] < 0.69
    again = language_of(str(out / "model"))
    assert again.name == "smollm2"
    ids = torch.tensor([found.prompt])
    assert torch.equal(again.model(ids), log.model(ids))
    assert rows_of(out / "samples.jsonl")[0]["prompt"].endswith("assistant\n")
    hf = pytest.importorskip("transformers")
    theirs = hf.AutoModelForCausalLM.from_pretrained(out / "model").eval()
    reads = hf.AutoTokenizer.from_pretrained(out / "model")
    chat = [{"role": "user", "content": "Is ice cold?"}]
    told = {"add_generation_prompt": True, "return_dict": False}
    assert reads.apply_chat_template(chat, **told) == found.prompt
    assert (reads.eos_token, reads.bos_token) == ("<|im_end|>", "<|im_start|>")
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, log.model(ids))


# ── what is refused, and leaves nothing behind ────────────────────────────────────────


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"beta": -1.0}, "beta must be finite, above 0"),
        ({"method": "grpo"}, "method must be one of"),
        ({"held_out": 1.0}, "held_out must be finite"),
        ({"precision": "fp8"}, "precision must be one of"),
        ({"adapter": True}, "none to save without lora"),
        ({"model": "T"}, "model: T is no folder, and none of S, L and smollm2"),
        ({"gamma": 2.0}, "gamma is 2.0, and dpo does not read it"),
        ({"batch_size": 999}, "batch_size is 999 for"),
        ({"lora": 2, "lora_on": "q_proj"}, "no linear layer is called q_proj"),
    ],
)
def test_a_wrong_setting_leaves_no_folder(asked, wrong, said):
    with pytest.raises(ValueError, match=said):
        trained(asked, **wrong)
    assert not Path(asked.out).exists()


def test_a_folder_that_holds_something_else_is_left_alone(asked, tmp_path):
    Path(asked.out).mkdir()
    Path(asked.out, "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="run is not empty: name a folder"):
        trained(asked)
    assert [p.name for p in Path(asked.out).iterdir()] == ["thesis.txt"]
    plain = tmp_path / "plain"
    plain.write_text("a file")
    with pytest.raises(ValueError, match="is a file"):
        trained(asked, out=str(plain))


def test_a_finished_run_and_another_s_folder_are_not_overwritten(finished, file):
    out = finished[0]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(ValueError, match="this run is finished, and its model is"):
        trained(LONG, pairs=file, out=str(out))
    with pytest.raises(ValueError, match=r"holds a run with beta = 0\.1, not 0\.2"):
        trained(LONG, pairs=file, out=str(out), beta=0.2)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}


def test_held_out_prompts_that_are_trained_on_are_refused(asked, tmp_path):
    rows = rows_of_world_s(40, seed=1)
    other = write(tmp_path / "eval.jsonl", rows)
    with pytest.raises(ValueError, match=r"eval.jsonl: the prompt of line 1 is in"):
        trained(asked, eval_file=other)
    with pytest.raises(FileNotFoundError):
        trained(asked, eval_file="nothing.jsonl")


# ── the command ───────────────────────────────────────────────────────────────────────


def test_the_help_is_in_words_and_tells_the_defaults(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(Finetuning):
        if field.name != "pairs":
            assert "--" + field.name.replace("_", "-") in said
    assert "KL strength in reward per nat; IPO's τ, ORPO's λ (default: 0.1)" in said
    assert "python3 -m course_lib add production" in said


def test_mistakes_are_one_line_and_code_2(file, tmp_path, capsys):
    out = str(tmp_path / "run")
    assert command.main(["no.jsonl", "--model", "S", "--out", out]) == 2
    assert command.main([file, "--model", "S", "--out", out, "--beta", "0"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: no.jsonl: there is no such file"
    assert second.startswith("error: beta must be finite, above 0")
    assert not Path(out).exists()


def start(*words, **more):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository())}
    command = [sys.executable, "-m", "course_lib", "train", *map(str, words), "--quiet"]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_run_that_is_killed_goes_on_to_the_bit(asked, file, tmp_path, patience):
    settings = ["--lr", 5e-3, "--eval-every", 5, "--steps", 400, "--lora", 2]
    words = [file, "--model", "S", *settings]
    out = tmp_path / "cut"
    with start(*words, "--out", out) as process:
        until = time.monotonic() + 120 * patience
        while time.monotonic() < until:
            log = out / "log.jsonl"
            if log.exists() and len(log.read_text().splitlines()) > 30:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert (out / "checkpoint.pt").exists()
    assert not (out / "model").exists()
    with start(*words, "--out", out) as process:
        told = process.communicate()[0].decode()
    assert process.returncode == 0, told
    trained(asked, steps=400, lora=2)
    whole, cut = weights(asked.out), weights(out)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    for name in ("log.jsonl", "samples.jsonl"):
        assert (out / name).read_bytes() == Path(asked.out, name).read_bytes()
    assert not list(out.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.thorough  # the trainer below it is tried in every run
def test_two_processes_are_one(asked, file, tmp_path):
    settings = ["--lr", 5e-3, "--eval-every", 5, "--steps", 12, "--accumulate", 2]
    two = tmp_path / "two"
    words = [file, "--model", "S", "--out", two, *settings, "--processes", 2]
    with start(*words) as process:
        told = process.communicate()[0].decode()
    assert process.returncode == 0, told
    assert told.count("Saved:") == 1
    log = trained(asked, steps=12, accumulate=2)
    here, there = (rows_of(Path(out, "log.jsonl")) for out in (asked.out, two))
    assert len(here) == len(there)
    for one, other in zip(here, there, strict=True):
        assert {*one} == {*other}
        for name in one:
            if "accuracies" not in name:  # ties, which rounding breaks
                assert one[name] == pytest.approx(other[name], rel=1e-5, abs=1e-9)
    one, other = weights(asked.out), weights(two)
    assert {value.dtype for value in one.values()} == {torch.float64}
    for name in one:
        assert torch.allclose(one[name], other[name], atol=1e-12, rtol=0), name
    assert log.watched[-1]["steps"] == 12


def test_the_defaults_are_in_range():
    check_settings(Finetuning("a", "b", "c"))
