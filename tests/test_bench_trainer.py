"""The trainer's bench: a Llama from its formulas, who takes turns, what is counted."""

import json
import math
import sys

import pytest
import torch

from course_lib.batches import collate, pairs, response_logps
from course_lib.datasets import trainer_speed
from course_lib.transformer import SHIPPED, PrefixTable, Shape, Transformer, from_llama
from course_lib.workspace import CourseError, repository
from course_tools import benchmarks
from course_tools.benchmarks import trainer
from course_tools.benchmarks.trainer import gpu, memory, steps, trl

TINY = steps.Sizes(steps=6, pairs=4, vocab=64, width=32, layers=2, heads=4, hidden=48)
NO_TRL = "no environment with TRL: see requirements/trl.txt"


# ── a Llama, written from its formulas ────────────────────────────────────────────────


def llama_weights(shape: Shape) -> dict[str, torch.Tensor]:
    """Random weights by the names that transformers gives them, float64."""
    random = torch.Generator().manual_seed(5)
    wide, kv = shape.width, shape.width // shape.heads * shape.kv_heads
    sizes = {"model.embed_tokens": (shape.vocab, wide), "model.norm": (wide,)}
    for layer in range(shape.layers):
        inside = {
            "input_layernorm": (wide,),
            "self_attn.q_proj": (wide, wide),
            "self_attn.k_proj": (kv, wide),
            "self_attn.v_proj": (kv, wide),
            "self_attn.o_proj": (wide, wide),
            "post_attention_layernorm": (wide,),
            "mlp.gate_proj": (shape.hidden, wide),
            "mlp.up_proj": (shape.hidden, wide),
            "mlp.down_proj": (wide, shape.hidden),
        }
        sizes |= {f"model.layers.{layer}.{name}": size for name, size in inside.items()}
    weights = {}
    for name, size in sizes.items():
        matrix = torch.randn(*size, generator=random, dtype=torch.float64) / 3
        weights[f"{name}.weight"] = matrix + (name == "model.norm")
    return weights | {"lm_head.weight": weights["model.embed_tokens.weight"]}


def llama(weights: dict[str, torch.Tensor], shape: Shape, ids: list[int]):
    """Logits of one row, a token and a head at a time, with nothing but products."""
    each, group = shape.width // shape.heads, shape.heads // shape.kv_heads
    rates = shape.rope_base ** -torch.arange(0, 1, 2 / each, dtype=torch.float64)

    def norm(vector, scale):
        mean = sum(x * x for x in vector.tolist()) / len(vector)
        return vector / math.sqrt(mean + shape.norm_eps) * scale

    def turned(vector, place):
        plane = torch.complex(*vector.view(2, -1)) * torch.exp(1j * place * rates)
        return torch.cat((plane.real, plane.imag))

    def attended(w, seen, t, h):
        """What head h reads at place t."""
        at = h // group * each
        query = turned(w["self_attn.q_proj"][h * each : h * each + each] @ seen[t], t)
        key, value = (w[f"self_attn.{n}_proj"][at : at + each] for n in "kv")
        raw = [
            math.exp((query @ turned(key @ x, s)).item() / math.sqrt(each))
            for s, x in enumerate(seen[: t + 1])
        ]
        return sum(r / sum(raw) * (value @ x) for r, x in zip(raw, seen, strict=False))

    xs = [weights["model.embed_tokens.weight"][i] for i in ids]
    for layer in range(shape.layers):
        front = f"model.layers.{layer}."
        w = {
            name.removeprefix(front).removesuffix(".weight"): value
            for name, value in weights.items()
            if name.startswith(front)
        }
        seen = [norm(x, w["input_layernorm"]) for x in xs]
        for t, x in enumerate(xs):
            heads = [attended(w, seen, t, h) for h in range(shape.heads)]
            x = x + w["self_attn.o_proj"] @ torch.cat(heads)
            ready = norm(x, w["post_attention_layernorm"])
            gate, up = w["mlp.gate_proj"] @ ready, w["mlp.up_proj"] @ ready
            xs[t] = x + w["mlp.down_proj"] @ (gate / (1 + (-gate).exp()) * up)
    final = [norm(x, weights["model.norm.weight"]) for x in xs]
    return torch.stack([weights["lm_head.weight"] @ x for x in final])


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_a_llama_is_taken_over_to_the_last_digit(kv_heads):
    shape = Shape(19, 19, 24, 2, 4, kv_heads, 40, rope_base=500.0, norm_eps=1e-3)
    weights = llama_weights(shape)
    ids = [3, 0, 18, 7, 7, 11, 2]
    with torch.no_grad():
        found = from_llama(weights, shape)(torch.tensor([ids]))[0]
    must = llama(weights, shape, ids)
    assert must.abs().max() > 1
    assert torch.allclose(found, must, atol=1e-10, rtol=0)


def test_weights_of_another_family_are_refused():
    shape = Shape(19, 19, 24, 2, 4, 2, 40)
    weights = llama_weights(shape)
    alone = {**weights, "lm_head.weight": weights["lm_head.weight"] + 1}
    with pytest.raises(ValueError, match="head of their own"):
        from_llama(alone, shape)
    biased = {**weights, "model.layers.1.self_attn.q_proj.bias": torch.zeros(24)}
    with pytest.raises(ValueError, match=r"hold layers.1.self_attn.q_proj.bias"):
        from_llama(biased, shape)
    with pytest.raises(ValueError, match=r"have no layers.2"):
        from_llama(weights, shape._replace(layers=3))
    with pytest.raises(ValueError, match=r"query_key_value.weight \(48, 24\)"):
        from_llama(weights, shape._replace(kv_heads=4))
    weights.pop("lm_head.weight")  # transformers leaves it out where it is tied
    assert from_llama(weights, shape).shape == shape


@pytest.mark.parametrize("kind", ["transformer", "table"])
def test_features_at_some_places_are_those_of_all(kind):
    torch.manual_seed(0)
    if kind == "table":
        model = PrefixTable(prompts=4, words=8, longest=4).double()
        torch.nn.init.normal_(model.logits)
        ids = torch.tensor([[9, 1, 2, 3], [11, 0, 7, 7]])
    else:
        model = Transformer(Shape(vocab=13, outputs=9)).double()
        ids = torch.randint(13, (2, 4))
    at = torch.tensor([6, 0, 3, 3])
    whole = model.features(ids).flatten(0, 1)[at]
    some = model.features(ids, at=at)
    assert torch.allclose(some, whole, atol=1e-14, rtol=0)


# ── taking turns ──────────────────────────────────────────────────────────────────────


def trained(tricks: steps.Tricks | None, pause=lambda: None) -> tuple:
    """Losses and weights after TINY's steps, in float64; no tricks: by our trainer."""
    torch.manual_seed(1)
    model, texts = Transformer(TINY.shape).double(), steps.texts_of(TINY)
    if tricks is None:
        losses = steps.ours(model, texts, TINY, pause)
    else:
        losses = steps.tricked(model, texts, TINY, tricks, pause)
    return torch.tensor(losses, dtype=torch.float64), model.state_dict()


def test_the_data_are_as_long_as_the_sizes_say():
    texts = steps.texts_of(TINY)
    assert len(texts) == 24
    for lengths in (texts.prompt_lengths, texts.lengths):
        assert lengths.min() >= 8
        assert lengths.max() <= 32
    for row, length in zip(texts.responses[:, 0], texts.lengths[:, 0], strict=True):
        assert (row[:length] == steps.END).nonzero().tolist() == [[length - 1]]
    small = pairs([[5] * 3], [[4] * 7], [[2] * 11])
    assert steps.tokens_of(small) == (3 + 7) + (3 + 11)


def test_every_trick_leaves_the_training_as_it_is():
    """In float64, whatever is done to be faster gives the same losses and weights."""
    none = steps.Tricks()
    losses, weights = trained(none)
    assert losses[-1] < losses[0] - 1e-5
    for tricks in (
        none._replace(answers=True),
        none._replace(cached=True),
        none._replace(shared=True, answers=True),
    ):
        other, final = trained(tricks)
        assert torch.allclose(other, losses, atol=1e-12, rtol=0)
        for name in weights:
            assert torch.allclose(final[name], weights[name], atol=1e-9, rtol=0)


def test_the_last_rung_is_the_trainer_itself():
    """Our own `train` on float64 weights goes the way of all the tricks together."""
    must, _ = trained(steps.LADDER["shared prompt"])
    pauses = []
    losses, _ = trained(None, lambda: pauses.append(None))
    assert len(pauses) == TINY.steps
    assert torch.allclose(losses, must, atol=1e-12, rtol=0)


def test_loops_take_turns_and_each_follows_each():
    said = []

    def loop(name):
        def steps(pause):
            for step in range(3):
                pause()
                said.append((name, step))
            return name * 2

        return steps

    seconds, before, results = steps.interleave({name: loop(name) for name in "abc"}, 3)
    assert "".join(name for name, _ in said) == "abcbcacab"
    assert [step for _, step in said] == [0] * 3 + [1] * 3 + [2] * 3
    assert {len(spent) for spent in seconds.values()} == {3}
    assert set(before) == {"a", "b", "c"}
    assert results == {"a": "aa", "b": "bb", "c": "cc"}


def test_what_goes_wrong_in_a_loop_is_heard():
    def loop(pause):
        pause()
        raise RuntimeError("alas")

    paused = steps.Paused(loop)
    with pytest.raises(RuntimeError, match="alas"):
        paused.step()


# ── what is told ──────────────────────────────────────────────────────────────────────


def beside() -> dict:
    """As from `compare`: the k-th has k thousand tokens a second."""
    names = [trl.PLAIN, trl.ASKED, *steps.LADDER, trl.COMPILED, trl.SAME]
    two = {trl.PLAIN: 2.0, trl.TOP: 7.0}
    alone = {name: two for name in ("tokens_per_second", "before", "total")}
    return {
        "alone": [alone] * 3,
        "tokens_per_second": {name: 1e3 * k for k, name in enumerate(names, 1)},
        "milliseconds": {name: 1e3 / k for k, name in enumerate(names, 1)},
        "before": {name: 1.0 for name in names},
        "total": {name: 12.0 / k for k, name in enumerate(names, 1)},
        "trajectory_max_diff": 3e-7,
        "weights_max_diff": 2e-6,
        "losses": [0.7, 0.6],
        "tokens_a_step": 1300.0,
        "sizes": TINY._asdict(),
        "torch_threads": 1,
        "versions": {"torch": "2", "transformers": "5", "trl": "1", "datasets": "5"},
    }


def test_the_tables_have_the_ratios_and_no_gpu_has_no_number(capsys, monkeypatch):
    grown = {"8192": {"whole": 70.0, "chunked": 70.0}}
    monkeypatch.setattr(trainer, "home", repository)
    monkeypatch.setattr(trainer, "beside_trl", lambda function, sizes: beside())
    monkeypatch.setattr(memory, "measure", lambda: grown)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert benchmarks.main(["trainer", "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    told = json.loads(last)
    assert told["ratio_to_trl"] == 3.5
    assert told["ratio_to_trl_compiled"] == 8.0
    assert told["ratio_to_trl_precomputed"] == 3.5
    assert told["ratio_on_same_batches"] == 9.0
    assert told["ratio_in_one_epoch"] == 2 / (7 + 7)
    assert list(told["ladder"].values()) == [3.0, 4.0, 5.0, 6.0, 7.0]
    assert told["trajectory_max_diff"] == 3e-7
    assert told["memory_mib"] == grown
    assert told["gpu"] == "not measured"
    assert any("+ shared prompt" in line and "7.00" in line for line in lines)
    gpus = [line.split() for line in lines if line.startswith("GPU")]
    assert gpus == [["GPU", "not", "measured"]]


def test_what_chapter_07_shows_is_a_line_of_this_bench():
    told = json.loads((SHIPPED / "trainer.json").read_text(encoding="utf-8"))
    alone = [one["tokens_per_second"] for one in told["alone"]]
    ratios = sorted(one[trl.TOP] / one[trl.PLAIN] for one in alone)
    assert told["ratio_to_trl"] == ratios[1] >= 2.9
    assert told["trajectory_max_diff"] <= 1e-6
    assert set(told) == set(trainer.result(beside(), {}, "not measured"))
    assert f"{told['ratio_to_trl']:27.2f}" in trainer_speed() == trainer_speed(told)
    assert list(told["tokens_per_second"]) == list(beside()["tokens_per_second"])


def test_without_trl_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_TRL", str(tmp_path))
    with pytest.raises(CourseError, match=r"requirements/trl.txt"):
        benchmarks.main(["trainer"])
    package = tmp_path / "lib" / "python3.11" / "site-packages" / "trl"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    assert trainer.home() == tmp_path / "bin" / "python"


# ── the GPU's numbers, on a CPU ───────────────────────────────────────────────────────


def test_work_is_what_the_rows_of_a_layout_hold():
    """Counted one by one in the batches that `collate` makes."""
    texts = pairs([[1, 2], [3]], [[4, 5, 6], [7]], [[8], [9, 1, 2, 3]])
    for layout in gpu.COMPARED:
        batch = collate(texts, layout)
        found = gpu.work(texts, layout)
        assert found.predict == len(batch.targets) == 9
        if layout == "padded":
            rows = [2 + 2, 1 + 0, 2 + 0, 1 + 3]
            assert found.tokens == sum(rows)
            assert found.sees == sum(n * (n + 1) // 2 for n in rows)
        else:
            rows = [2 + 2 + 0, 1 + 0 + 3]
            assert found.tokens == sum(rows)
            held = [batch.attend[i, 0, :n, :n] for i, n in enumerate(rows)]
            assert found.sees == sum(int(mask.sum()) for mask in held)


@pytest.mark.parametrize("layout", gpu.COMPARED)
def test_flops_are_those_that_torch_counts(layout):
    """Without padding, and with attention as plain products over whole rows."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    shape = Shape(64, 64, 32, layers=3, heads=4, kv_heads=4, hidden=48)
    texts = pairs([[1] * 5] * 2, [[2] * 7] * 2, [[3] * 7] * 2)
    batch = collate(texts, layout)
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        response_logps(Transformer(shape), batch).sum().backward()
    rows, time = batch.ids.shape
    work = gpu.work(texts, layout)._replace(sees=rows * time * time)
    assert counter.get_total_flops() == gpu.flops(shape, work)


def test_a_device_is_measured_in_both_layouts():
    few = steps.Sizes(4, 4, 32, 16, 2, 2, 24, shortest=3, longest=9)
    told = gpu.measure(few, warm=1, device="cpu")
    assert told.pop("device") == "CPU"
    assert set(told) == set(gpu.COMPARED)
    for row in told.values():
        assert 0 < row["p10"] <= row["milliseconds"] <= row["p90"]
        assert 0.5 < row["real_share"] <= 1
        assert row["mfu"] == "unknown device"
        assert row["peak_mib"] == "not measured"
    assert told["padded"]["tokens_a_step"] == told["shared"]["tokens_a_step"]
    shown = {**beside(), **trainer.result(beside(), {}, {"device": "CPU", **told})}
    lines = [line.split() for line in trainer_speed(shown).splitlines()]
    at = lines.index(["CPU"])
    assert [line[0] for line in lines[at + 2 : -1]] == list(told)
    known = {**told["padded"], "mfu": 0.25, "peak_mib": 1000.0}
    shown["gpu"] = {"device": "X", "padded": known}
    assert trainer_speed(shown).splitlines()[-2].split()[-2:] == ["25.0%", "1,000"]


def test_the_peak_is_that_of_the_device_or_of_none():
    assert gpu.peak_of("NVIDIA H200") == 989e12
    assert gpu.peak_of("NVIDIA H100 PCIe") == 756e12
    assert gpu.peak_of("NVIDIA A100-SXM4-80GB") == 312e12
    assert gpu.peak_of("NVIDIA GeForce RTX 4090") == 165e12
    assert gpu.peak_of("some other card") is None


def test_the_gpu_s_load_is_what_it_is_meant_to_be():
    with torch.device("meta"):
        model = Transformer(gpu.LOAD.shape)
    inside = sum(p.numel() for p in model.parameters()) - model.embedding.weight.numel()
    assert 28e6 < inside < 34e6
    assert steps.tokens_of(steps.texts_of(gpu.LOAD._replace(steps=1))) >= 32_000
    assert (gpu.WARM, gpu.LOAD.steps) == (20, 50)


# ── slow: memory, and TRL itself ──────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux",
    reason="glibc can be told to return memory at once, others cannot",
)
@pytest.mark.thorough
def test_with_chunks_memory_hardly_grows_with_the_vocabulary():
    """From 4,096 words to 16,384 whole logits need 280 MiB more, chunks 13 MiB."""
    small, large = memory.measure((4_096, 16_384)).values()
    whole, chunked = (large[way] - small[way] for way in ("whole", "chunked"))
    assert whole > 2_048 * (16_384 - 4_096) * 4 / 2**20  # the logits alone, once
    assert chunked < whole / 6


@pytest.mark.slow
@pytest.mark.skipif(trainer.home() is None, reason=NO_TRL)
def test_trl_goes_the_same_way():
    told = trainer.beside_trl(trainer.COMPARE, TINY._asdict())
    assert told["trajectory_max_diff"] <= 1e-6
    assert told["weights_max_diff"] <= 1e-4  # one step of AdamW, where a slope is noise
    assert told["losses"][0] == pytest.approx(math.log(2), abs=1e-6)
    assert told["losses"][-1] != told["losses"][0]
    assert told["torch_threads"] == 1
    assert set(told["tokens_per_second"]) == set(beside()["tokens_per_second"])
    for alone in told["alone"]:
        assert set(alone["tokens_per_second"]) == {trl.PLAIN, trl.TOP}
