"""The instruction model: judges, pairs, its story on a small model, the real one."""

import dataclasses
import importlib.util
import itertools
import json
import math
import statistics
from collections import Counter

import jinja2
import pytest
import torch

from course_lib import instruct, reviews
from course_lib.batches import pairs, texts_logps
from course_lib.datasets import shipped_instruct
from course_lib.instruct import command, story, tasks, weights
from course_lib.transformer import SHIPPED, Shape, Transformer, rotate, rotation
from course_lib.trunk import LastBlocks, Trunk
from course_lib.workspace import CourseError
from course_tools.benchmarks import _processes
from course_tools.benchmarks import instruct as bench
from course_tools.regenerate import instruct as regenerate

WORDS = ("you", "good", "bad", "film")
there = pytest.mark.skipif(bool(instruct.missing()), reason=instruct.missing() or "-")


class Letters:
    """A tokenizer of letters; four words, and 30 ids that the model may read."""

    def encode(self, text):
        self.ids = [3 + ord(letter) % 20 for letter in text[: 5 + len(text) % 4]]
        return self

    def decode(self, ids):
        return " ".join(WORDS[i % 4] for i in ids)


@pytest.fixture
def small():
    torch.manual_seed(0)
    shape = Shape(vocab=30, outputs=28, layers=7, width=8, heads=2, kv_heads=2)
    return Transformer(shape), Letters(), 2


QUICK = dataclasses.replace(story.RECIPE, lr=1e-2)
ASKED = {"practice": ("How do I boil eggs?", "And tea?"), "reported": ("What?", "Why?")}
SETTINGS = {"beta": 0.1, "lr": 1e-2}
TASK = tasks.Task("you", "“you” an answer", ASKED, tasks.times_you, 6, False, SETTINGS)


def test_turning_neighbours_is_turning_halves_of_other_rows():
    shape = Shape(vocab=1, outputs=1, width=12, heads=2, kv_heads=2)
    random = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(n, 12, generator=random) for n in (12, 5))
    turn = rotation(torch.arange(5)[None], shape, torch.float32)  # (1, 5, 1, 6) each
    cos, sin = turn[0][0, :, 0, :3], turn[1][0, :, 0, 3:]
    neighbours = (x @ weight.T).view(5, 2, 3, 2).permute(1, 0, 2, 3)  # as in GGUF
    a, b = neighbours.unbind(-1)
    expected = torch.stack((a * cos - b * sin, b * cos + a * sin), -1)
    ours = (x @ weights.halves(weight, 2).T).view(5, 2, 6)
    turned = rotate(ours[None], turn)[0].transpose(0, 1)
    back = turned.reshape(2, 5, 2, 3).transpose(2, 3)
    torch.testing.assert_close(back, expected)


def test_the_tone_of_a_text_counts_known_words_only():
    values = torch.tensor([2.0, -3.0, 0.5, 0.0, 0.0, 0.0])
    words = ("good", "bad", ".", "film")
    known = reviews.Reviews(words, values, -0.25, torch.zeros(0, 4), 0)
    assert tasks.tone(known, "Good film, GOOD! Unheard-of.") == pytest.approx(4.25)
    assert tasks.tone(known, "") == pytest.approx(-0.25)


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("YOU, you'll, you", 3), ("Bayou, youth, yours", 1), ("yourselves", 0)],
)
def test_you_is_counted_as_a_word(text, count):
    assert tasks.times_you(text) == count


@pytest.mark.parametrize("name", instruct.TASKS)
def test_no_prompt_is_both_trained_on_and_reported(name):
    prompts = instruct.TASKS[name]().prompts
    assert set(prompts) == {"practice", "choosing", "reported"}
    everything = Counter(itertools.chain(*prompts.values()))
    assert set(everything.values()) == {1}
    assert min(map(len, prompts.values())) >= 8


def test_pairs_are_the_ends_of_each_ranking():
    random = torch.Generator().manual_seed(0)
    rewards = torch.randint(0, 5, (6, 8), generator=random).double()
    texts = pairs([[r] for r in range(6) for _ in range(8)], [[i] for i in range(48)])
    found = story.ranked_pairs(texts, rewards, 3)
    expected = []
    for row, group in enumerate(rewards.tolist()):
        ranked = sorted(range(8), key=lambda i: -group[i])
        for best, worst in zip(ranked[:3], ranked[::-1], strict=False):
            if group[best] > group[worst]:
                expected.append([row, group[best], group[worst]])
    got = torch.cat((found.prompts, rewards.flatten()[found.responses[..., 0]]), 1)
    assert got.tolist() == expected
    with pytest.raises(ValueError, match="no group with two different"):
        story.ranked_pairs(texts, torch.zeros(6, 8), 3)
    with pytest.raises(ValueError, match="kept must be from 1 to half"):
        story.ranked_pairs(texts, rewards, 5)


def test_an_interval_takes_a_prompt_for_one_observation():
    values = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    found = story.by_prompt(values.flatten(), 5)
    means = [statistics.mean(row) for row in values.tolist()]
    half = 1.96 * statistics.stdev(means) / math.sqrt(5)
    assert found.estimate == pytest.approx(statistics.mean(means), abs=1e-6)
    assert found.high - found.estimate == pytest.approx(half, abs=1e-6)


def test_answers_are_in_the_order_of_the_prompts_and_come_again(small):
    speaker = story.Speaker(*small, TASK)
    one, two = (speaker.write("practice", 150, seed=7) for _ in range(2))
    assert one.responses == two.responses
    known = [TASK.ids(Letters(), prompt) for prompt in one.asked]
    assert one.prompts == [ids for ids in known for _ in range(150)]
    assert one.words == [Letters().decode(ids) for ids in one.responses]
    assert one.rewards.tolist() == [text.split().count("you") for text in one.words]
    assert max(map(len, one.responses)) == TASK.longest


@pytest.mark.slow
@pytest.mark.parametrize("few_bits", [False, True])
def test_the_story_raises_what_is_judged_and_leaves_the_model(
    small, few_bits, monkeypatch
):
    monkeypatch.setattr(story, "sixteen_bits_pay", lambda: few_bits)
    model, tokenizer, end = small
    before = [weight.clone() for weight in model.parameters()]
    trunk, speaker = Trunk(model, 3), story.Speaker(*small, TASK)
    answers = speaker.write("practice", 96, seed=0)
    top, count = story.improve(trunk, answers, QUICK)
    assert 60 <= count <= 72
    after = story.Speaker(top.whole(), tokenizer, end, TASK)
    after = after.write("practice", 96, seed=1)
    assert after.rewards.mean() > answers.rewards.mean() + 0.3
    assert all(map(torch.equal, before, model.parameters()))

    same = story.kl_of(LastBlocks(trunk), trunk, answers)  # rounded alike: exactly 0
    assert torch.equal(same, torch.zeros_like(same))
    if not few_bits:
        kl = story.kl_of(top, trunk, after)
        ours, ref = (texts_logps(m, after.texts, 64) for m in (top.whole(), model))
        moved = (ours - ref)[:, 0].double()
        torch.testing.assert_close(kl, moved, atol=1e-4, rtol=0)


def test_the_command_tells_the_whole_story(small, monkeypatch, capsys):
    monkeypatch.setattr(command, "load", lambda temperature: small)
    monkeypatch.setattr(command, "missing", lambda: "")
    monkeypatch.setattr(command, "TASKS", {"you": lambda: TASK})
    assert command.main(["--task", "you", "--each", "24", "--beta", "0.2"]) == 0
    told = capsys.readouterr().out
    rows = ("Only", "before", "best of 2", "best of 4  ", "DPO, ", "at most 0.64")
    assert all(words in told for words in rows)
    assert max(map(len, told.splitlines())) <= 88
    assert command.main(["--task", "you", "--each", "12"]) == 2
    assert "error: each must be a multiple of 8" in capsys.readouterr().err


def test_what_is_missing_is_said_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert command.main([]) == 0
    assert "course_lib add instruct" in capsys.readouterr().out
    with pytest.raises(ValueError, match="Not installed: gguf, tokenizers"):
        instruct.Instruct()


def test_runs_are_made_once_and_an_interrupted_making_goes_on(
    small, monkeypatch, tmp_path, capsys
):
    path = tmp_path / "instruct.json"
    whole = dataclasses.replace(QUICK, steps=2, batch_size=4)
    monkeypatch.setattr(regenerate, "load", lambda temperature: small)
    monkeypatch.setattr(regenerate, "RECIPE", whole)
    task = TASK._replace(prompts={**TASK.prompts, "choosing": ("Who?", "When?")})
    monkeypatch.setattr(regenerate, "TASKS", {"you": lambda: task})
    monkeypatch.setattr(regenerate, "TRIED", ((0.1, 1e-2),))
    monkeypatch.setattr(regenerate, "SEEDS", (0,))
    assert "3 rows" in regenerate.make(path)
    first = json.loads(path.read_text("utf-8"))["rows"]
    half = {"rows": first[:-1]}
    path.write_text(json.dumps(half), "utf-8")
    regenerate.make(path)
    again = json.loads(path.read_text("utf-8"))["rows"]
    assert again[:-1] == first[:-1]
    timed = {"seconds", "cpu_seconds", "peak_gb"}
    for name in set(first[-1]) - timed:
        assert again[-1][name] == first[-1][name]
    capsys.readouterr()


def test_of_what_was_tried_the_most_reward_within_the_limit_is_taken(small, tmp_path):
    tried = {"task": "you", "method": "tried"}
    rows = [
        tried | {"beta": beta, "lr": beta, "reward": [reward], "kl": [kl]}
        for beta, reward, kl in ((0.1, 1.0, 1.9), (0.3, 0.8, 0.5), (0.5, 2.0, 2.1))
    ]
    told = {"rows": rows}
    runs = regenerate._Runs(TASK, small, told, tmp_path / "none")
    assert runs.chosen() == (0.1, 0.1)
    told["rows"] = rows[2:]
    assert runs.chosen() == (0.5, 0.5)


ROWS = json.loads((SHIPPED / "instruct.json").read_text("utf-8"))["rows"]


@pytest.mark.parametrize("task", sorted({row["task"] for row in ROWS}))
def test_every_run_that_is_promised_is_shipped(task):
    facts, runs = shipped_instruct(task)
    assert {"date", "machine", "precision", "temperature", "depth"} <= set(facts)
    by_method = Counter(run.method for run in runs)
    tried = {(run.beta, run.lr) for run in runs if run.method == "tried"}
    assert tried >= set(regenerate.TRIED)
    assert by_method["dpo"] == len(regenerate.SEEDS)
    assert (by_method["before"], by_method["best_of_n"]) == (1, 3)
    near = [r for r in runs if r.method == "tried" and r.kl[0] <= regenerate.MOST]
    best = max(near, key=lambda run: run.reward[0])
    chosen = {(run.beta, run.lr) for run in runs if run.method == "dpo"}
    settings, judge = instruct.TASKS[task]().settings, instruct.TASKS[task]().judge
    assert chosen == {(best.beta, best.lr)} == {(settings["beta"], settings["lr"])}
    for run in (run for run in runs if run.method in ("before", "dpo")):
        assert len(run.words) == len(instruct.TASKS[task]().prompts["reported"])
        assert run.peak_gb < 3.5
        near = [abs(judge(words) - reward) < 0.02 for reward, words in run.words]
        assert sum(near) >= 0.9 * len(near)  # spaces were folded
    with pytest.raises(ValueError, match="task must be one of"):
        shipped_instruct("none")


def test_the_bench_reads_what_the_command_said_and_says_it(monkeypatch, capsys):
    said = "caption\n                reward\nbefore          −0.21 (−0.3 to −0.1)  0\n"
    said += "best of 2       0.5 (0.3 to 0.7)  at most 0.19\nDPO, 240 pairs  0.9 (…)  1"
    cost = _processes.Cost(300.0, 160.0, 2500.0, [], 0, said)
    rates = {"precision": "float32", "tokens": 1, "tokens_per_second": 400.0}
    rates["tokens_per_cpu_second"] = 200.0
    monkeypatch.setattr(bench, "missing", lambda: "")
    monkeypatch.setattr(_processes, "call", lambda *a, **k: rates)
    monkeypatch.setattr(_processes, "metered", lambda *a, **k: cost)
    figures = bench.measure()
    rewards = {"before": -0.21, "best of 2": 0.5, "DPO, 240 pairs": 0.9}
    assert figures["rewards"] == rewards
    told = bench.table(figures)
    for words in ("400", "160", "2.62", "-0.21", "films, float32, 2 threads"):
        assert words in told
    monkeypatch.setattr(_processes, "metered", lambda *a, **k: cost._replace(code=2))
    with pytest.raises(CourseError, match="--task films failed"):
        bench.measure()
    monkeypatch.setattr(bench, "missing", lambda: "Not installed: gguf.")
    with pytest.raises(CourseError, match="Not installed"):
        bench.measure()


@there
@pytest.mark.slow
def test_it_knows_the_capital_of_france(monkeypatch):
    model, tokenizer, end = instruct.load()
    ids = tokenizer.encode("The capital of France is").ids
    logits = model(torch.tensor([ids]))[0, -1]
    paris = tokenizer.encode(" Paris").ids
    assert len(paris) == 1
    assert logits.softmax(-1)[paris[0]].item() == pytest.approx(0.773, abs=0.01)
    assert tokenizer.decode([end]) == "<|im_end|>"
    text = "It's 2023, and naïve reviewers don't care…"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    monkeypatch.setattr(instruct.Instruct, "model", lambda whole: model)
    sharp = instruct.load(temperature=0.5)[0](torch.tensor([ids]))[0, -1]
    torch.testing.assert_close(sharp, 2 * logits, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
@there
def test_a_chat_is_what_the_models_own_template_makes_of_it():
    whole = instruct.Instruct()
    ours, theirs = whole.tokenizer(), whole.tokenizer()
    theirs.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    messages = [
        {"role": "system", "content": "Be brief."},  # else it tells its name
        {"role": "user", "content": "How do I boil 12 eggs?"},
        {"role": "assistant", "content": "In water."},
        {"role": "user", "content": "How long?"},
    ]
    template = jinja2.Template(whole.fact("tokenizer.chat_template"))
    text = template.render(messages=messages, add_generation_prompt=True)
    assert instruct.chat_ids(ours, messages) == theirs.encode(text).ids
    assert ours.encode("<|im_start|>").ids != [weights.START]  # the trap
