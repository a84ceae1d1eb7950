"""The trainer: one run however it is cut, laid out or spread, and what it refuses."""

import copy
import os
import subprocess
import sys
from dataclasses import replace
from unittest import mock

import pytest
import torch

from course_lib import checkpoint, distributed, training
from course_lib.batches import collate, pairs, response_logps, schedule, sentence_texts
from course_lib.datasets import run_values, shipped_runs
from course_lib.losses import dpo_loss, kto_loss, kto_reference_point, orpo_loss
from course_lib.production.lora import add_lora
from course_lib.training import Config, fit, reference_logps, run, train
from course_lib.transformer import Block, PrefixTable, Shape, Transformer, load
from course_lib.variants import METHODS, REFERENCE_FREE, LossSettings, PairLogps
from course_lib.workspace import repository
from course_lib.worlds import sample_demonstrations, sample_preferences, world_s

QUICK = Config(steps=6, batch_size=16, quiet=True, every=2)


@pytest.fixture(scope="module")
def ref():
    return load("S").double()


@pytest.fixture(scope="module")
def texts(ref):
    asked = sample_preferences(world_s().exact(ref), 200, seed=0)
    return sentence_texts(world_s(), *asked)


def weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(ref, texts, config, **more):
    model = copy.deepcopy(ref)
    needed = None if config.method in REFERENCE_FREE else ref
    return train(model, texts, config, ref=needed, **more)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_all_layouts_are_one(method, ref, texts):
    smooth = 0.1 if method == "robust" else 0.0
    config = replace(QUICK, method=method, label_smoothing=smooth)
    shared = trained(ref, texts, config)
    for other in ({"layout": "padded", "chunk": 7}, {"layout": "distinct"}):
        same = trained(ref, texts, replace(config, **other)).model
        assert torch.allclose(weights(shared.model), weights(same), atol=1e-10)
    assert (weights(shared.model) - weights(ref)).abs().max() > 1e-3
    assert {len(values) for values in shared.history.values()} == {6}


def test_the_first_step_is_that_of_a_loop(ref, texts):
    """AdamW's first step is −lr · sign of the gradient; the loss is by hand."""
    config = replace(QUICK, steps=1, beta=0.3, lr=1e-4)
    log = trained(ref, texts, config)
    model = copy.deepcopy(ref)
    rows = schedule(texts, 16, seed=0, epoch=0)[0]
    batch = collate(texts.take(rows), "padded")
    ours, theirs = (response_logps(m, batch).view(2, -1) for m in (model, ref))
    loss = dpo_loss(*ours, *theirs.detach(), beta=0.3)
    loss.backward()
    assert log.history["loss"][0] == pytest.approx(loss.item(), abs=1e-12)
    assert loss.item() == pytest.approx(0.6931471805599453, abs=1e-12)
    assert log.history["gap"][0] == pytest.approx(0, abs=1e-12)
    slope = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert log.history["gradient_norm"][0] == pytest.approx(slope.norm().item())
    moved = weights(log.model) - weights(ref)
    clear = slope.abs() > 1e-6
    assert torch.allclose(moved[clear], -1e-4 * slope[clear].sign(), rtol=0.02)


def line() -> torch.nn.Module:
    """A model of one weight, at first 0."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    return model


def test_the_rate_rises_and_then_falls_to_zero():
    rates, config, model = [], replace(QUICK, warmup=3, lr=1.0), line()

    def losses(step):
        before = model.weight.item()
        yield -1.0 * model.weight.sum(), {}  # Adam then moves by the rate itself
        rates.append(model.weight.item() - before)

    fit(model, losses, replace(config, steps=10))
    expected = [min((s + 1) / 4, (10 - s) / 10, 1) for s in range(10)]
    assert rates == pytest.approx(expected, rel=1e-4)


def test_gradients_are_clipped_and_their_norm_is_logged_before():
    model, seen = line(), []

    def losses(step):
        yield 300 * model.weight.sum(), {}
        seen.append(model.weight.grad.item())

    log = fit(model, losses, QUICK)
    assert log.history["gradient_norm"] == pytest.approx([300] * 6)
    assert seen == pytest.approx([5.0] * 6)


def test_a_step_may_have_several_losses_each_after_the_update_before():
    model, seen = line(), []

    def losses(step):
        for number in range(3):
            seen.append(model.weight.item())
            yield -model.weight.sum(), {"number": torch.tensor(number)}

    log = fit(model, losses, QUICK)
    assert len(set(seen)) == 18
    assert seen == sorted(seen)
    assert list(log.history) == ["loss", "gradient_norm", "number"]
    assert log.history["number"] == [2] * 6  # what the last loss of a step measured
    assert log.history["loss"] == [-value for value in seen[2::3]]


def test_the_callback_of_the_release_before_still_trains():
    def advance(step, update):
        loss = (old.weight - 1).square().sum()
        told = {"loss": loss.detach(), "gradient_norm": update(loss)}
        return told | {"twice": 2 * loss.detach()}

    def losses(step):
        loss = (new.weight - 1).square().sum()
        yield loss, {"twice": 2 * loss.detach()}

    old, new = line(), line()
    with pytest.warns(FutureWarning, match="a function of the step that yields"):
        before = fit(old, advance, QUICK)
    assert before.history == fit(new, losses, QUICK).history
    assert torch.equal(old.weight, new.weight)


@pytest.mark.parametrize("method", ["dpo", "sft"])
def test_an_interrupted_run_is_the_uninterrupted_one_to_the_bit(
    method, ref, texts, tmp_path
):
    config = replace(QUICK, method=method, steps=9)
    whole = trained(ref, texts, config)
    kept = replace(config, checkpoint=str(tmp_path / "run.pt"))

    stop = mock.Mock(side_effect=InterruptedError)
    for at in (5, 8):  # where it stops: between two checkpoints, then right after one
        with pytest.raises(InterruptedError):
            trained(ref, texts, kept, watch=stop, watch_at=(at,))
    looks = []
    told = {"watch": lambda model: looks.append(1) or {}, "watch_at": (0, 8, 9)}
    again = trained(ref, texts, kept, **told)
    assert torch.equal(weights(again.model), weights(whole.model))
    assert again.history == whole.history
    assert len(looks) == 2  # 0 was before the checkpoint
    assert not list(tmp_path.glob("*.part"))


def test_a_checkpoint_of_another_run_is_refused_and_kept(ref, texts, tmp_path):
    file = tmp_path / "run.pt"
    config = replace(QUICK, checkpoint=str(file))
    first, second = trained(ref, texts, config), trained(ref, texts, config)
    assert torch.equal(weights(first.model), weights(second.model))  # it was finished
    assert second.history == first.history
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"has beta = 0\.5, not 0\.1"):
        trained(ref, texts, replace(config, beta=0.1))
    with pytest.raises(ValueError, match="other data"):
        trained(ref, texts.take(torch.arange(100)), config)
    assert file.read_bytes() == before


def test_a_half_written_checkpoint_never_takes_the_place_of_a_whole_one(
    ref, texts, tmp_path, monkeypatch
):
    file = tmp_path / "run.pt"
    config = replace(QUICK, checkpoint=str(file))

    def full_disk(state, path):
        path.write_bytes(b"half")
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(torch, "save", full_disk)
        with pytest.raises(OSError, match="no space"):
            trained(ref, texts, config)
    assert not file.exists()
    trained(ref, texts, config)
    assert file.exists()


def test_a_loss_that_is_no_number_stops_the_run_before_it_spoils_the_model():
    model = line()
    with pytest.raises(FloatingPointError, match="step 0: loss nan"):
        fit(model, lambda step: [(model.weight.sum() * float("nan"), {})], QUICK)
    assert model.weight.item() == 0


def test_what_cannot_be_trained_on_is_refused(ref, texts, monkeypatch):
    for same in (ref, copy.copy(ref)):  # the second shares its parameters
        with pytest.raises(ValueError, match="ref shares trained parameters"):
            train(ref, texts, QUICK, ref=same)
    model = copy.deepcopy(ref)
    with pytest.raises(ValueError, match="ref is missing"):
        train(model, texts, QUICK)
    said = sample_demonstrations(world_s(), 50, seed=0)
    with pytest.raises(ValueError, match="no rejected responses"):
        train(model, sentence_texts(world_s(), *said), QUICK, ref=ref)
    with pytest.raises(ValueError, match="batch_size is 300 for 200"):
        train(model, texts, replace(QUICK, batch_size=300), ref=ref)
    with pytest.raises(ValueError, match="method"):
        train(model, texts, replace(QUICK, method="grpo"))
    for wrong in ({"method": "grpo"}, {"world": "M"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            run(Config(**wrong))
    monkeypatch.setattr(training, "processes", lambda: 3)
    with pytest.raises(ValueError, match="batch_size 16 is not shared by 3"):
        trained(ref, texts, QUICK)


def test_reference_log_probs_are_computed_once_for_these_weights_and_texts(
    ref, texts, monkeypatch
):
    monkeypatch.setattr(training, "_REFERENCE_CACHE", {})
    counted = mock.Mock(wraps=training.texts_logps)
    monkeypatch.setattr(training, "texts_logps", counted)
    first = reference_logps(ref, texts)
    assert torch.equal(reference_logps(copy.deepcopy(ref), texts), first)
    assert counted.call_count == 1
    other = copy.deepcopy(ref)
    with torch.no_grad():
        other.norm.weight[0] += 1e-3
    assert not torch.equal(reference_logps(other, texts), first)
    fewer = reference_logps(ref, texts.take(torch.arange(50)))
    assert torch.allclose(fewer, first[:50], atol=1e-12)
    assert counted.call_count == 3
    assert not first.requires_grad


def test_sft_reaches_the_entropy_of_a_language_of_two_sentences():
    texts = pairs([[9]] * 30, [[4, 8]] * 20 + [[5, 8]] * 10)
    table = PrefixTable(prompts=4, words=8, longest=3)
    config = Config(method="sft", steps=300, batch_size=30, lr=0.2, quiet=True)
    log = train(table, texts, config)
    assert log.history["loss"][0] == pytest.approx(2 * 2.1972, abs=1e-3)  # 2 ln 9
    assert log.history["loss"][-1] == pytest.approx(0.6365, abs=5e-3)  # of 2/3, 1/3


def test_kto_reads_the_next_examples_response_and_balances_both_sides(ref, texts):
    config = replace(QUICK, method="kto", steps=3, beta=0.2)
    model = trained(ref, texts, config).model
    with torch.enable_grad():
        ((loss, _),) = training.preference_steps(model, texts, config, ref)(0)
    rows = schedule(texts, 16, seed=0, epoch=0)[0]
    batch, partner = texts.take(rows), texts.take((rows + 1) % len(texts))
    assert (batch.prompts != partner.prompts).all()
    mixed, lengths = batch.responses.clone(), batch.lengths.clone()
    mixed[:, 0], lengths[:, 0] = partner.responses[:, 0], partner.lengths[:, 0]
    mixed = batch.replace(responses=mixed, lengths=lengths)
    with torch.no_grad():
        ours, theirs = (response_logps(m, collate(mixed)) for m in (model, ref))
        z = kto_reference_point(ours[:16], theirs[:16])
        ours, theirs = (response_logps(m, collate(batch)) for m in (model, ref))
        u, v = (ours - theirs).view(2, -1)
        good = torch.ones(16, dtype=torch.bool)
        by_hand = kto_loss(u, 0 * u, good, z, 0.2) + kto_loss(v, 0 * v, ~good, z, 0.2)
    assert loss.item() == pytest.approx(by_hand.item() / 2, abs=1e-12)


def test_objectives_hand_each_loss_what_it_names():
    random = torch.Generator().manual_seed(0)
    four = -torch.rand(4, 5, generator=random, dtype=torch.float64) * 8 - 0.5
    lengths = torch.tensor([[1.0, 2, 3, 4, 5], [5.0, 4, 3, 2, 1]]).double()
    scores = PairLogps(*four, *lengths)
    knobs = LossSettings(beta=0.3, gamma=0.7, label_smoothing=0.2, nll_weight=0.4)
    got = {name: METHODS[name](scores, knobs) for name in METHODS if name != "kto"}
    w, x, rw, rx = four
    a, b = w / lengths[0], x / lengths[1]
    h = (w - rw) - (x - rx)

    def log_sigmoid(x):
        return -torch.log1p(torch.exp(-x))

    dpo = -log_sigmoid(0.3 * h)
    smooth = -0.8 * log_sigmoid(0.3 * h) - 0.2 * log_sigmoid(-0.3 * h)
    expected = {
        "sft": -w,
        "dpo": smooth,
        "ipo": (h - 1 / 0.6) ** 2,
        "hinge": (1 - 0.3 * h).clamp(min=0),
        "dpo_nll": dpo - 0.4 * a,
        "simpo": -log_sigmoid(0.3 * (a - b) - 0.7),
        "cpo": -log_sigmoid(0.3 * (w - x)) - 0.4 * a,
        "orpo": orpo_loss(a, b, -a, weight=0.3, reduction="none"),
        "dpo_norm": -log_sigmoid(0.3 * ((w - rw) / lengths[0] - (x - rx) / lengths[1])),
        "robust": (-0.8 * log_sigmoid(0.3 * h) + 0.2 * log_sigmoid(-0.3 * h)) / 0.6,
    }
    for name, values in expected.items():
        assert torch.allclose(got[name], values, atol=1e-12), name
    assert set(got) - set(expected) == {"nca", "apo_zero"}


@pytest.mark.parametrize("method", ["dpo", "orpo", "dpo_nll", "sft"])
def test_a_step_in_parts_is_the_step(method, ref, texts):
    config = replace(QUICK, method=method)
    whole = trained(ref, texts, config)
    parts = trained(ref, texts, replace(config, accumulate=4))
    assert torch.allclose(weights(parts.model), weights(whole.model), atol=1e-12)
    for name, values in whole.history.items():
        first = 1 if name == "accuracy" else 0  # ties, which rounding breaks
        assert parts.history[name][first:] == pytest.approx(values[first:], abs=1e-12)


def test_parts_that_are_not_equal_or_a_batch_for_kto_are_refused(ref, texts):
    with pytest.raises(ValueError, match="not shared by 1 processes in 3 parts each"):
        trained(ref, texts, replace(QUICK, accumulate=3))
    with pytest.raises(ValueError, match="accumulate must be 1 for kto"):
        trained(ref, texts, replace(QUICK, method="kto", accumulate=2))


def test_blocks_that_are_computed_again_change_nothing_but_memory(ref, texts):
    whole, seen = trained(ref, texts, QUICK), []

    def look(model):
        seen.append(["forward" in vars(block) for block in model.blocks])
        return {}

    config = replace(QUICK, recompute=True)
    again = trained(ref, texts, config, watch=look, watch_at=(3,))
    assert torch.equal(weights(again.model), weights(whole.model))
    assert seen == [[True, True]]
    assert not any("forward" in vars(block) for block in again.model.blocks)
    with pytest.raises(ValueError, match="recompute needs a model with blocks"):
        fit(line(), lambda step: [], replace(QUICK, recompute=True))


def test_bfloat16_scores_both_sides_alike_and_trains(ref, texts):
    small = copy.deepcopy(ref).float()
    config = replace(QUICK, bf16=True, layout="padded", steps=8)
    log = trained(small, texts, config)
    assert log.history["loss"][0] == pytest.approx(0.693147, abs=1e-4)
    assert log.history["loss"][-1] < 0.69
    assert {p.dtype for p in log.model.parameters()} == {torch.float32}
    coarse, fine = (reference_logps(small, texts, bf16=b) for b in (True, False))
    assert 1e-3 < (coarse - fine).abs().max() < 0.5


def test_a_reference_can_be_its_log_probs(ref, texts):
    logps = training.all_logps(ref, texts, layout="shared")
    model = copy.deepcopy(ref)
    log = train(model, texts, QUICK, ref=logps)
    assert torch.equal(weights(model), weights(trained(ref, texts, QUICK).model))
    assert len(log.history["loss"]) == 6
    with pytest.raises(ValueError, match="ref has log-probs of shape"):
        train(model, texts, QUICK, ref=logps[:, :1])


def test_each_process_scores_its_share_of_the_reference(ref, texts, monkeypatch):
    whole = training.all_logps(ref, texts)
    monkeypatch.setattr(training, "processes", lambda: 3)
    monkeypatch.setattr(training, "sum_of_all", lambda value: value)
    shares = []
    for number in range(3):
        monkeypatch.setattr(training, "rank", lambda number=number: number)
        shares.append(training.all_logps(ref, texts))
    scored = torch.stack([(share != 0).all(1) for share in shares])
    assert scored.sum(0).tolist() == [1] * len(texts)  # one process each
    assert sorted(scored.sum(1).tolist()) == [66, 67, 67]
    assert torch.allclose(sum(shares), whole, atol=1e-12)


def test_what_is_called_after_each_step_can_end_the_run(ref, texts, tmp_path):
    config = replace(QUICK, checkpoint=str(tmp_path / "run.pt"), every=5)
    calls = []

    def after(log, done):
        calls.append((done, len(log.history.get("loss", ()))))
        return done == 3

    log = trained(ref, texts, config, after=after)
    assert calls == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert len(log.history["loss"]) == 3
    calls.clear()
    looks = {"watch": lambda model: {}, "watch_at": (config.steps,)}
    again = trained(ref, texts, config, after=after, **looks)  # the end was kept
    assert calls == [(3, 3)]
    assert torch.equal(weights(again.model), weights(log.model))
    assert not again.watched  # of steps that were never made


def test_a_step_of_ppo_asks_every_prompt():
    with pytest.raises(ValueError, match="samples must be at least 4, one a prompt: 3"):
        run(Config(method="ppo", samples=3, quiet=True))


def test_a_checkpoint_holds_what_is_trained_and_no_more(ref, texts, tmp_path):
    file = tmp_path / "run.pt"
    config = replace(QUICK, checkpoint=str(file))
    model = copy.deepcopy(ref)
    add_lora(model, ["output"], rank=1)
    train(model, texts, config, ref=ref)
    kept = torch.load(file)["model"]
    assert {*kept} == {n for n, p in model.named_parameters() if p.requires_grad}
    other = copy.deepcopy(ref)
    add_lora(other, ["down"], rank=1)
    with pytest.raises(ValueError, match="of a model with other weights"):
        train(other, texts, config, ref=ref)


def test_small_models_use_one_thread_and_the_setting_comes_back():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with distributed.threads(torch.nn.Linear(2, 2)):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        for many, then in ((0, 2), (3, 3)):
            with distributed.threads(torch.nn.Linear(1001, 1000), many):
                assert torch.get_num_threads() == then
        with distributed.threads(torch.nn.Linear(2, 2), 3):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_blocks_are_compiled_on_demand(ref, texts, monkeypatch):
    seen = []
    monkeypatch.setattr(Block, "compile", lambda self, dynamic: seen.append(self))
    trained(ref, texts, QUICK)
    assert not seen
    log = trained(ref, texts, replace(QUICK, compile=True))
    assert seen == list(log.model.blocks)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody counts so")
def test_a_peak_is_not_of_what_the_process_was_before():
    told = "from course_lib.distributed import peak_memory as p; print(p())"
    larger = "import os, sys; b'x' * 10**9; os.execv(sys.executable, sys.argv[1:])"
    command = [sys.executable, "-c", larger, sys.executable, "-c", told]
    said = subprocess.run(command, capture_output=True, text=True, cwd=repository())
    assert 1e7 < float(said.stdout) < 0.9e9
    before, held = distributed.peak_memory(), b"x" * 10**9
    assert len(held) <= distributed.peak_memory() < before + 1.2e9


def test_a_model_goes_to_the_gpu_unless_it_is_a_toy(monkeypatch):
    small, large = torch.nn.Linear(2, 2), torch.nn.Linear(1001, 1000)
    assert distributed.place(large).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert distributed.place(large).type == "cuda"
    assert distributed.place(small).type == "cpu"


def test_fingerprints_differ_where_numbers_do():
    one, two = torch.zeros(4), torch.zeros(2, 2)
    other = one.clone()
    other[3] = 1e-30
    keys = [checkpoint.fingerprint((x,)) for x in (one, two, other, one.double())]
    assert len(set(keys)) == 4
    assert checkpoint.fingerprint((one.clone(),)) == keys[0]
    assert checkpoint.fingerprint(None) != keys[0]


def test_the_machinery_of_the_release_before_is_found_in_both_of_its_parts():
    sys.modules.pop("course_lib.machinery", None)
    with pytest.warns(FutureWarning, match="is now course_lib.distributed"):
        from course_lib.machinery import Checkpoint, rank
    assert Checkpoint is checkpoint.Checkpoint
    assert rank is distributed.rank


METHODS_SPREAD = ("dpo", "kto", "orpo", "sft")
SPREAD = """
import runpy, sys, torch
from course_lib.distributed import one_of_many, rank
torch.set_num_threads(1)
where, *sys.argv[1:] = sys.argv[1:]
with one_of_many():
    try:
        runpy.run_module("course_lib.training", run_name="__main__")
    except SystemExit as done:
        assert not done.code
    sys.path.insert(0, "tests")
    from test_training import histories
    found = histories()
    if rank() == 0:
        torch.save(found, where)
"""


def histories():
    """Of short runs, as many processes as there are: what each logs, what it leaves."""
    ref, found = load("S").double(), {}
    asked = sample_preferences(world_s().exact(ref), 200, seed=0)
    for method in METHODS_SPREAD:
        config = Config(method=method, steps=8, batch_size=16, quiet=True)
        log = trained(ref, sentence_texts(world_s(), *asked), config)
        found[method] = log.history | {"weights": weights(log.model)}
    return found


@pytest.mark.slow
def test_two_processes_are_one_and_the_module_runs_under_torchrun(tmp_path):
    script, where = tmp_path / "spread.py", tmp_path / "two.pt"
    script.write_text(SPREAD)
    words = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    asked = ["--method", "ipo", "--steps", "2", "--pairs", "300", "--quiet"]
    done = subprocess.run(
        [sys.executable, *words, script, where, *asked],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": repository()},
        cwd=repository(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.strip().splitlines()
    assert [line.split(",")[0] for line in lines] == ["steps 0", "steps 2"]
    assert "distance" in lines[1]
    one, two = histories(), torch.load(where)
    for method, name in [(m, n) for m in METHODS_SPREAD for n in one[m]]:
        there, here = (torch.as_tensor(x[method][name]) for x in (two, one))
        if name == "accuracy":  # at the start all are ties, which rounding breaks
            there, here = there[1:], here[1:]
        assert torch.allclose(there, here, atol=1e-12, rtol=0), (method, name)


def test_a_wrong_setting_and_an_interruption_are_told_in_a_line(capsys, monkeypatch):
    assert training.main(["--beta", "-1", "--steps", "1", "--quiet"]) == 2
    assert training.main(["--method", "nope"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: beta must be finite, above 0, got -1.0"
    assert second.startswith("error: method must be one of 'sft', 'dpo'")

    monkeypatch.setattr(training, "run", mock.Mock(side_effect=KeyboardInterrupt))
    assert training.main(["--steps", "1"]) == 130
    assert "with --checkpoint FILE the same command goes on" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("beta", "nearest", "steps"),
    [
        pytest.param(0.5, 0.02, 400, marks=pytest.mark.thorough),
        pytest.param(1.0, 0.003, 400, marks=pytest.mark.thorough),
        (2.0, 0.001, 250),
    ],
)
def test_the_expected_loss_reaches_the_closed_form(beta, nearest, steps):
    log = run(Config(method="expected", beta=beta, steps=steps, lr=4e-3, quiet=True))
    first, last = log.watched
    assert last["distance"] < nearest < first["distance"] / 50
    assert last["regret"] == pytest.approx(beta * last["distance"])
    runs = [row for row in shipped_runs("frontier") if row.experiment == "frontier"]
    (shipped,) = run_values(runs, "distance", method="expected", beta=beta)
    assert shipped < nearest
    if beta == 0.5:
        assert shipped == pytest.approx(last["distance"], abs=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "steps"),
    [("ppo", 60), pytest.param("reinforce", 160, marks=pytest.mark.thorough)],
)
def test_policy_gradients_climb_to_the_closed_form_on_the_true_reward(method, steps):
    log = run(Config(method=method, beta=0.5, steps=steps, quiet=True))
    first, last = log.watched
    assert last["distance"] < 0.1 < first["distance"] / 10


@pytest.mark.slow
@pytest.mark.thorough
def test_on_a_learned_reward_it_climbs_and_not_as_far():
    log = run(Config(method="ppo_learned", beta=0.5, steps=40, quiet=True))
    assert 0.02 < log.watched[-1]["distance"] < 0.4


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", ["dpo", pytest.param("ppo_learned", marks=pytest.mark.thorough)]
)
def test_the_trainer_does_the_same_again_to_the_bit(method):
    config = Config(method=method, steps=10, quiet=True)
    first = run(config)
    torch.rand(7)  # whatever chance has been up to meanwhile
    second = run(config)
    assert first.history == second.history
    assert torch.equal(weights(first.model), weights(second.model))
    other = run(replace(config, seed=1))
    assert other.history["loss"][1:] != first.history["loss"][1:]


def test_a_transformer_of_another_kind_trains_too():
    """Grouped heads, another vocabulary, prompts of several tokens."""
    torch.manual_seed(0)
    model = Transformer(Shape(20, 20, width=16, heads=4, kv_heads=2, hidden=8)).double()
    random = torch.Generator().manual_seed(0)

    def words(n):
        return torch.randint(20, (n,), generator=random).tolist()

    rows = [(words(1 + i % 5), words(1 + i % 7), words(1 + i % 4)) for i in range(64)]
    rows = [row for row in rows if row[1] != row[2]]
    texts = pairs(*zip(*rows, strict=True))
    config = Config(steps=30, batch_size=16, lr=3e-3, quiet=True)
    log = trained(model, texts, config)
    assert log.history["loss"][-1] < 0.5 < log.history["loss"][0]
