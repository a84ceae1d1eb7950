"""The calculators of chapter 09, against counts, hooks, other libraries and clocks."""

import math
import sys
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from course_lib.batches import response_logps
from course_lib.production import launching, measured, sizing
from course_lib.production.accumulation import micro_batch_weights
from course_lib.production.catalogue import preference_sets, preference_sets_table
from course_lib.production.flops import training_flops, training_time
from course_lib.production.launching import launch_file, run_with_accelerate, torchrun
from course_lib.production.lora import add_lora
from course_lib.production.sizing import (
    MEASURED,
    MODELS,
    Job,
    ModelSize,
    training_memory,
)
from course_lib.transformer import Block
from course_lib.workspace import CourseError
from course_tools.benchmarks._processes import call
from course_tools.regenerate import sizing as sizes

TINY = ModelSize(512, 64, 3, 4, 2, 160)


def llama(size: ModelSize, device: str = "meta"):
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=size.vocab,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        intermediate_size=size.hidden,
        tie_word_embeddings=size.tied,
    )
    assert ModelSize.of(config) == size
    assert ModelSize.of(config.to_dict()) == size
    with torch.device(device):
        return transformers.LlamaForCausalLM(config)


# ── counts ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [TINY, *(job.size for job in MEASURED.values())])
def test_parameters_are_those_of_our_transformer(size):
    model = sizes.model_of(Job(size))
    assert ModelSize.of(model.shape) == size
    count = sum(parameter.numel() for parameter in model.parameters())
    assert sizing.parameter_count(size) == count


@pytest.mark.parametrize("name", MODELS)
def test_parameters_and_adapters_are_those_of_the_published_models(name):
    size = MODELS[name]
    model = llama(size)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert sizing.parameter_count(size) == count
    linear = [
        part
        for full, part in model.named_modules()
        if isinstance(part, torch.nn.Linear) and full != "lm_head"
    ]
    wanted = sum(4 * (part.in_features + part.out_features) for part in linear)
    assert sizing.adapter_parameters(size, 4) == wanted


def test_the_textbook_numbers():
    gb = {n: sizing.standing_bytes(n * 1e9) / 1e9 for n in (7, 70)}
    assert gb == {7: 112, 70: 1120}
    assert sizing.standing_bytes(7e9, 7e9) / 1e9 == 126
    assert sizing.standing_bytes(70e9, 70e9) / 1e9 == 1260
    assert sizing.standing_bytes(14e9, 14e9) / 1e9 == 252
    assert sizing.standing_bytes(0, 8e9, frozen_bits=4) == 4e9


def test_a_missing_size_and_bad_jobs_are_named():
    with pytest.raises(ValueError, match="config has no vocab_size"):
        ModelSize.of({})
    for wrong, said in (
        ({"reference": "lost"}, "reference must be one of"),
        ({"logits": "some"}, "logits must be one of"),
        ({"numbers": "int8"}, "numbers must be one of"),
        ({"pairs": 0}, "pairs must be finite, above 0"),
        ({"rank": -1}, "rank must be"),
        ({"reference": "adapter off"}, "rank 0 has no adapter"),
    ):
        with pytest.raises(ValueError, match=said):
            Job(TINY, **wrong)


# ── memory ────────────────────────────────────────────────────────────────────────────


def kept_bytes(job: Job) -> int:
    """Bytes of all that autograd keeps for the backward pass, each storage once."""
    model = sizes.model_of(job)
    if job.rank:
        add_lora(model, ("query_key_value", "output", "down"), job.rank)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    seen = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # with the tensor, which keeps it alive and so its address its own
            seen[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = response_logps(model, sizes.batch_of(job))
    assert result.requires_grad
    return sum(size for size, _ in seen.values())


@pytest.mark.parametrize(
    "job",
    [
        Job(TINY, 2, 24, 40, "precomputed", numbers="float32"),
        Job(TINY._replace(kv_heads=4), 1, 60, 20, "precomputed", numbers="float32"),
        Job(TINY._replace(layers=6), 4, 8, 56, "precomputed", numbers="float32"),
    ],
)
def test_activations_are_what_autograd_keeps(job):
    log_softmax = 4 * job.scored * job.size.vocab
    found = kept_bytes(job) - log_softmax
    assert training_memory(job).activations == pytest.approx(found, rel=0.03)


def test_a_frozen_model_keeps_less():
    job = Job(TINY, 2, 24, 40, "adapter off", rank=2, numbers="float32")
    found = kept_bytes(job) - 4 * job.scored * job.size.vocab
    assert training_memory(job).activations == pytest.approx(found, rel=0.1)


def test_what_each_choice_changes():
    job = Job(MODELS["Llama 3 8B"], 2)
    whole, n = training_memory(job), sizing.parameter_count(job.size)
    standing = whole.weights + whole.optimiser + whole.gradients
    assert standing == sizing.standing_bytes(n)
    assert whole.reference == 2 * n
    assert training_memory(replace(job, reference="precomputed")).reference == 0
    lora = training_memory(replace(job, rank=16, frozen_bits=4))
    added = sizing.adapter_parameters(job.size, 16)
    assert lora.weights == n / 2 + 2 * added
    assert lora.gradients + lora.optimiser == 14 * added
    checked = training_memory(replace(job, checkpointing=True))
    assert checked.activations < whole.activations / 8
    chunked = training_memory(replace(job, logits="chunked"))
    assert chunked.peak < whole.peak
    held = training_memory(replace(job, accumulated=True))
    assert held.peak > whole.peak
    copies = training_memory(replace(job, devices=8))
    assert copies.peak == whole.peak
    split = training_memory(replace(job, devices=8, sharded=True))
    assert split.optimiser == whole.optimiser / 8
    assert split.activations == whole.activations


def test_the_peak_of_a_pass_by_going_through_it():
    random = torch.Generator().manual_seed(3)
    kept, made = torch.rand(2, 5, 7, generator=random, dtype=torch.float64)
    for row in range(5):
        held, most = float(kept[row].sum()), 0.0
        for block in range(6, -1, -1):
            held += float(made[row, block])
            most = max(most, held)
            held -= float(kept[row, block])
        assert sizing.backward_peak(kept, made)[row] == pytest.approx(most)
    with pytest.raises(ValueError, match="shapes must be equal"):
        sizing.backward_peak(kept, made[:, 1:])


@pytest.mark.parametrize("name", MEASURED)
def test_a_predicted_peak_is_within_a_tenth_of_every_measured_one(name):
    found = [t.peak for t in measured.measured_trials() if t.name == name]
    predicted = training_memory(MEASURED[name]).peak / 2**20
    assert [predicted] * 5 == pytest.approx(found, rel=0.1)


@pytest.mark.slow
def test_a_peak_measured_now_is_the_shipped_one():
    name = "full, one pair, reference resident"
    env = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    peak, *_ = call(sys.executable, f"{sizes.__name__}.measure", name, env=env)
    shipped = [t.peak for t in measured.measured_trials() if t.name == name]
    assert peak == pytest.approx(sum(shipped) / len(shipped), rel=0.1)


# ── time ──────────────────────────────────────────────────────────────────────────────


def products(model, ids: torch.Tensor) -> float:
    """Operations of all matrix products of a step, attention's own left out."""
    with FlopCounterMode(display=False) as counter:
        logits = model(input_ids=ids, use_cache=False).logits.float()
        logits.logsumexp(-1).sum().backward()
    counts = counter.get_flop_counts()["Global"]
    return sum(n for kind, n in counts.items() if "attention" not in str(kind))


@pytest.mark.parametrize("change", [{}, {"rank": 2}, {"checkpointing": True}])
def test_operations_are_those_that_are_counted(change):
    job = Job(TINY, 2, 12, 20, "precomputed", logits="all", **change)
    model = llama(TINY, "cpu").train()
    if job.rank:
        add_lora(model, [f"{name}_proj" for name in sizing.LINEAR], job.rank)
    if job.checkpointing:
        model.activation_checkpointing_enable()
    ids = torch.randint(TINY.vocab, (2 * job.pairs, job.prompt + job.response))
    attention = 2.0 * ids.shape[1] * TINY.width * TINY.layers * job.tokens
    times = 4 if job.checkpointing else 3
    found = products(model, ids)
    # a first layer's frozen matrices need no gradient of what they read
    near = 0.1 if job.rank else 1e-9
    assert training_flops(job) - times * attention == pytest.approx(found, rel=near)


def test_hours_by_hand():
    job = Job(TINY, pairs=4, devices=2, reference="resident")
    found = training_time(job, 17, peak=1e9, mfu=0.5, epochs=2, price=3.0)
    assert found.steps == 2 * 3  # 17 pairs, 8 at a time
    hours = 6 * training_flops(job) / 0.5e9 / 3600
    assert found.hours == pytest.approx(hours)
    assert found.cost == pytest.approx(2 * 3.0 * hours)
    assert training_time(job, 17, peak=1e9, mfu=1.0).cost is None
    for wrong in ({"peak": 0.0}, {"mfu": 1.5}, {"epochs": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            training_time(job, 17, **{"peak": 1e9, "mfu": 0.5, **wrong})


def test_the_tables_hold_every_job():
    for table in (measured.memory_check(), measured.time_check()):
        assert [row[0] for row in table.cells] == [*MEASURED]
    for trial in measured.measured_trials():
        share = training_flops(MEASURED[trial.name]) / 1e9 / trial.seconds / trial.rate
        assert 0.05 < share < 1.2


# ── several processes ─────────────────────────────────────────────────────────────────


def test_weighted_means_of_means_are_the_mean_over_all_tokens():
    random = torch.Generator().manual_seed(0)
    counts = torch.tensor([[3, 1, 5], [2, 8, 4]])
    weight = torch.randn(4, generator=random, dtype=torch.float64, requires_grad=True)
    texts = [
        [torch.randn(n, 4, generator=random, dtype=torch.float64) for n in row]
        for row in counts.tolist()
    ]

    def gradient(losses):
        return torch.autograd.grad(losses, weight)[0]

    everything = torch.cat([t for row in texts for t in row])
    whole = gradient((everything @ weight).tanh().mean())
    each = []
    for weights, row in zip(micro_batch_weights(counts.double()), texts, strict=True):
        parts = zip(weights, row, strict=True)
        each.append(sum(gradient(w * (t @ weight).tanh().mean()) for w, t in parts))
    assert torch.allclose((each[0] + each[1]) / 2, whole, atol=1e-14)
    assert not torch.allclose(sum(each), whole, atol=1e-3)


@pytest.mark.parametrize(
    ("counts", "said"),
    [([[-1.0, 2.0]], "0 or more"), ([[0.0]], "not all 0"), ([1.0, 2.0], "1d")],
)
def test_counts_that_mean_nothing_are_refused(counts, said):
    with pytest.raises(ValueError, match=said):
        micro_batch_weights(torch.tensor(counts))


def losses(said: str) -> list[float]:
    lines = [line for line in said.splitlines() if "loss" in line]
    return [float(line.partition("loss ")[2]) for line in lines]


@pytest.mark.slow
@pytest.mark.thorough  # chapter 09 does it in every run
def test_two_processes_give_what_one_gives():
    one, two = (losses(torchrun("fsdp.py", n)) for n in (1, 2))
    assert len(one) == 5
    assert one[0] == pytest.approx(math.log(2), abs=1e-11)
    assert two == pytest.approx(one, abs=2e-12)


@pytest.mark.slow
@pytest.mark.thorough  # chapter 09 does it in every run
def test_accelerate_gives_it_too_and_really_has_two():
    pytest.importorskip("accelerate")
    said = run_with_accelerate("with_accelerate.py")
    assert "2 processes" in said
    assert losses(said) == pytest.approx(losses(torchrun("fsdp.py", 1)), abs=2e-12)


def test_launch_files_are_there_and_what_fails_says_why():
    with pytest.raises(FileNotFoundError, match=r"fsdp\.py, here\.yaml, with_acc"):
        launch_file("none.py")
    with pytest.raises(ValueError, match="processes must be"):
        torchrun("fsdp.py", 0)


@pytest.mark.slow
def test_a_program_that_fails_says_why():
    with pytest.raises(CourseError, match="unrecognized arguments: --no-such"):
        torchrun(["-m", "course_lib.training", "--no-such", "1"], 1)


@pytest.mark.slow
def test_processes_that_wait_for_each_other_are_ended(monkeypatch):
    monkeypatch.setattr(launching, "LIMIT", 2)
    with pytest.raises(CourseError, match="timeit did not end in 2 s"):
        launching._said(["timeit", "-n", "1", "import time; time.sleep(60)"])


@pytest.mark.parametrize("name", ["here.yaml", "cluster.yaml"])
def test_accelerate_reads_the_launch_files_and_the_block_exists(name):
    pytest.importorskip("accelerate")
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(launch_file(name)))
    told = config.fsdp_config
    assert told["fsdp_version"] == 2
    assert told["fsdp_transformer_layer_cls_to_wrap"] == Block.__name__
    assert config.num_processes == {"here.yaml": 2, "cluster.yaml": 16}[name]


# ── data sets ─────────────────────────────────────────────────────────────────────────


def test_the_data_sets_and_their_kinds():
    found = {each.name.partition("/")[2]: each for each in preference_sets()}
    assert found["hh-rlhf"].train + found["hh-rlhf"].test == 169_352
    oasst = found["oasst1"]
    assert (oasst.train + oasst.test, oasst.unit) == (88_838, "messages")
    assert math.comb(7, 2) * found["Nectar"].train == 3_842_034
    assert all(each.checked for each in found.values())
    assert "182,954" in str(preference_sets_table())
    assert "train_prefs" in str(preference_sets_table("checked"))
    with pytest.raises(ValueError, match="column must be"):
        preference_sets_table("size")
