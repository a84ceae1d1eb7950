"""The trainer: one run however it is cut, laid out or spread, and what it refuses."""

import copy
import dataclasses
import os
import subprocess
import sys

import pytest
import torch

from course_lib import distributed, training
from course_lib.batches import collate, pairs, response_logps, schedule
from course_lib.losses import dpo_loss, kto_loss, kto_reference_point, orpo_loss
from course_lib.training import Config, fit, reference_logps, run, train
from course_lib.transformer import Block, PrefixTable, Shape, Transformer, load
from course_lib.variants import METHODS, REFERENCE_FREE, LossSettings, PairLogps
from course_lib.workspace import repository
from course_lib.worlds import corpus, sample_preferences, world_s

QUICK = Config(steps=6, batch_size=16, quiet=True, every=2)


@pytest.fixture(scope="module")
def ref():
    return load("S").double()


@pytest.fixture(scope="module")
def texts(ref):
    world = world_s().exact(ref)
    return world_s().texts(*sample_preferences(world, 200, seed=0))


def weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(ref, texts, config, **more):
    model = copy.deepcopy(ref)
    needed = None if config.method in REFERENCE_FREE else ref
    return train(model, texts, config, ref=needed, **more)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_both_layouts_are_one(method, ref, texts):
    smooth = 0.1 if method == "robust" else 0.0
    config = dataclasses.replace(QUICK, method=method, label_smoothing=smooth)
    shared = trained(ref, texts, config)
    padded = trained(ref, texts, dataclasses.replace(config, layout="padded", chunk=7))
    assert torch.allclose(weights(shared.model), weights(padded.model), atol=1e-10)
    assert (weights(shared.model) - weights(ref)).abs().max() > 1e-3
    assert {len(values) for values in shared.history.values()} == {6}


def test_the_first_step_is_that_of_a_loop(ref, texts):
    """AdamW's first step is −lr · sign of the gradient; the loss is by hand."""
    config = dataclasses.replace(QUICK, steps=1, beta=0.3, lr=1e-4)
    log = trained(ref, texts, config)
    model = copy.deepcopy(ref)
    rows = schedule(texts, 16, seed=0, epoch=0)[0]
    ours = response_logps(model, collate(texts.take(rows), "padded")).view(2, -1)
    theirs = (
        response_logps(ref, collate(texts.take(rows), "padded")).view(2, -1).detach()
    )
    loss = dpo_loss(*ours, *theirs, beta=0.3)
    loss.backward()
    assert log.history["loss"][0] == pytest.approx(loss.item(), abs=1e-12)
    assert loss.item() == pytest.approx(0.6931471805599453, abs=1e-12)
    assert log.history["gap"][0] == pytest.approx(0, abs=1e-12)
    slope = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert log.history["gradient_norm"][0] == pytest.approx(slope.norm().item())
    moved = weights(log.model) - weights(ref)
    clear = slope.abs() > 1e-6
    assert torch.allclose(moved[clear], -1e-4 * slope[clear].sign(), rtol=0.02)


def test_the_rate_rises_and_then_falls_to_zero(ref, texts):
    rates, config = [], dataclasses.replace(QUICK, steps=10, warmup=3, lr=1.0)
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)

    def advance(step, update):
        before = model.weight.item()
        norm = update(-1.0 * model.weight.sum())  # Adam then moves by the rate itself
        rates.append(model.weight.item() - before)
        return {"gradient_norm": norm}

    fit(model, advance, config)
    expected = [min((s + 1) / 4, (10 - s) / 10, 1) for s in range(10)]
    assert rates == pytest.approx(expected, rel=1e-4)


def test_gradients_are_clipped_and_their_norm_is_logged_before():
    model, config = torch.nn.Linear(1, 1, bias=False), QUICK
    seen = []

    def advance(step, update):
        norm = update(300 * model.weight.sum())
        seen.append(model.weight.grad.item())
        return {"gradient_norm": norm}

    log = fit(model, advance, config)
    assert log.history["gradient_norm"] == pytest.approx([300] * 6)
    assert seen == pytest.approx([5.0] * 6)


@pytest.mark.parametrize("method", ["dpo", "sft"])
def test_an_interrupted_run_is_the_uninterrupted_one_to_the_bit(
    method, ref, texts, tmp_path
):
    config = dataclasses.replace(QUICK, method=method, steps=9)
    whole = trained(ref, texts, config)
    kept = dataclasses.replace(config, checkpoint=str(tmp_path / "run.pt"))

    class Stop(Exception):
        pass

    def stop(model):
        raise Stop

    for at in (5, 8):  # where it stops: between two checkpoints, then right after one
        with pytest.raises(Stop):
            trained(ref, texts, kept, watch=stop, watch_at=(at,))
    looks = []
    again = trained(
        ref, texts, kept, watch=lambda m: looks.append(1) or {}, watch_at=(0, 8, 9)
    )
    assert torch.equal(weights(again.model), weights(whole.model))
    assert again.history == whole.history
    assert len(looks) == 2  # 0 was before the checkpoint
    assert not list(tmp_path.glob("*.part"))


def test_a_finished_run_is_not_trained_again(ref, texts, tmp_path):
    config = dataclasses.replace(QUICK, checkpoint=str(tmp_path / "run.pt"))
    first, second = trained(ref, texts, config), trained(ref, texts, config)
    assert torch.equal(weights(first.model), weights(second.model))
    assert second.history == first.history


def test_a_checkpoint_of_another_run_is_refused_and_kept(ref, texts, tmp_path):
    file = tmp_path / "run.pt"
    config = dataclasses.replace(QUICK, checkpoint=str(file))
    trained(ref, texts, config)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"has beta = 0\.5, not 0\.1"):
        trained(ref, texts, dataclasses.replace(config, beta=0.1))
    with pytest.raises(ValueError, match="other data"):
        trained(ref, texts.take(torch.arange(100)), config)
    assert file.read_bytes() == before


def test_a_half_written_checkpoint_never_takes_the_place_of_a_whole_one(
    ref, texts, tmp_path, monkeypatch
):
    file = tmp_path / "run.pt"
    config = dataclasses.replace(QUICK, checkpoint=str(file))

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
    model = torch.nn.Linear(2, 1)
    before = weights(model).clone()

    def advance(step, update):
        return {"norm": update(model.weight.sum() * float("nan"))}

    with pytest.raises(FloatingPointError, match="step 0: loss nan"):
        fit(model, advance, QUICK)
    assert torch.equal(weights(model), before)


def test_references_that_are_the_model_are_refused(ref, texts):
    for same in (ref, copy.copy(ref)):  # the second shares its parameters
        with pytest.raises(ValueError, match="ref shares its parameters"):
            train(ref, texts, QUICK, ref=same)
    with pytest.raises(ValueError, match="ref is missing"):
        train(copy.deepcopy(ref), texts, QUICK)


def test_what_cannot_be_trained_on_is_refused(ref, texts):
    single = corpus(world_s(), 50, seed=0)
    with pytest.raises(ValueError, match="no rejected responses"):
        train(copy.deepcopy(ref), single, QUICK, ref=ref)
    big = dataclasses.replace(QUICK, batch_size=300)
    with pytest.raises(ValueError, match="batch_size is 300 for 200"):
        train(copy.deepcopy(ref), texts, big, ref=ref)
    with pytest.raises(ValueError, match="method"):
        train(copy.deepcopy(ref), texts, dataclasses.replace(QUICK, method="grpo"))
    with pytest.raises(ValueError, match="method"):
        run(Config(method="grpo"))
    with pytest.raises(ValueError, match="world"):
        run(Config(world="M"))


def test_reference_log_probs_are_worked_out_once_for_these_weights_and_texts(
    ref, texts, monkeypatch
):
    monkeypatch.setattr(training, "_REFERENCE_CACHE", {})
    calls = []
    scorer = training.response_logps
    monkeypatch.setattr(
        training, "response_logps", lambda *a, **k: calls.append(1) or scorer(*a, **k)
    )
    first = reference_logps(ref, texts)
    assert torch.equal(reference_logps(copy.deepcopy(ref), texts), first)
    assert len(calls) == 1
    other = copy.deepcopy(ref)
    with torch.no_grad():
        other.norm.weight[0] += 1e-3
    assert not torch.equal(reference_logps(other, texts), first)
    fewer = reference_logps(ref, texts.take(torch.arange(50)))
    assert torch.allclose(fewer, first[:50], atol=1e-12)
    assert len(calls) == 3
    assert not first.requires_grad


def test_sft_reaches_the_entropy_of_a_language_of_two_sentences():
    texts = pairs([[9]] * 30, [[4, 8]] * 20 + [[5, 8]] * 10)
    table = PrefixTable(prompts=4, words=8, longest=3)
    config = Config(method="sft", steps=300, batch_size=30, lr=0.2, quiet=True)
    log = train(table, texts, config)
    assert log.history["loss"][0] == pytest.approx(2 * 2.1972, abs=1e-3)  # 2 ln 9
    assert log.history["loss"][-1] == pytest.approx(0.6365, abs=5e-3)  # of 2/3, 1/3


def test_kto_reads_the_next_examples_response_and_balances_both_sides(ref, texts):
    config = dataclasses.replace(QUICK, method="kto", steps=3, beta=0.2)
    log = trained(ref, texts, config)
    # the third step's loss again, from the model that two steps leave
    model = copy.deepcopy(ref)
    advance = training.preference_steps(model, texts, config, ref)
    fit(model, advance, dataclasses.replace(config, steps=3), watch=None)
    assert torch.equal(weights(model), weights(log.model))
    rows = schedule(texts, 16, seed=0, epoch=0)[0]
    batch = texts.take(rows)
    partner = texts.take((rows + 1) % len(texts))
    assert (batch.prompts != partner.prompts).all()
    mixed = batch.responses.clone()
    mixed[:, 0] = partner.responses[:, 0]
    lengths = batch.lengths.clone()
    lengths[:, 0] = partner.lengths[:, 0]
    mixed = type(batch)(batch.prompts, batch.prompt_lengths, mixed, lengths)
    with torch.no_grad():
        ours, theirs = (
            response_logps(m, collate(mixed)).view(2, -1)[0] for m in (model, ref)
        )
        z = kto_reference_point(ours, theirs)
        logratios = response_logps(model, collate(batch))
        logratios = logratios - response_logps(ref, collate(batch))
        u, v = logratios.view(2, -1)
        good = torch.ones(16, dtype=torch.bool)
        by_hand = kto_loss(u, 0 * u, good, z, 0.2) + kto_loss(v, 0 * v, ~good, z, 0.2)
        looked = {}

        def update(loss):
            looked["loss"] = loss
            return torch.zeros(())

        with torch.enable_grad():
            advance(0, update)
    assert looked["loss"].item() == pytest.approx(by_hand.item() / 2, abs=1e-12)


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


def test_small_models_use_one_thread_and_the_setting_comes_back():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with distributed.threads(torch.nn.Linear(2, 2)):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with distributed.threads(torch.nn.Linear(1001, 1000)):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_blocks_are_compiled_on_demand(ref, texts, monkeypatch):
    seen = []
    monkeypatch.setattr(Block, "compile", lambda self, dynamic: seen.append(self))
    trained(ref, texts, QUICK)
    assert not seen
    log = trained(ref, texts, dataclasses.replace(QUICK, compile=True))
    assert seen == list(log.model.blocks)


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
    keys = [distributed.fingerprint((x,)) for x in (one, two, other, one.double())]
    assert len(set(keys)) == 4
    assert distributed.fingerprint((one.clone(),)) == keys[0]
    assert distributed.fingerprint(None) != keys[0]


SPREAD = """
import copy, sys, torch
from course_lib.distributed import one_of_many, rank
from course_lib.transformer import load
from course_lib.training import Config, train
from course_lib.worlds import sample_preferences, world_s
torch.set_num_threads(1)
ref = load("S").double()
texts = world_s().texts(*sample_preferences(world_s().exact(ref), 200, seed=0))
with one_of_many():
    logs = {}
    for method in sys.argv[2:]:
        config = Config(method=method, steps=8, batch_size=16, quiet=True)
        needed = None if method in ("sft", "orpo", "simpo", "cpo") else ref
        log = train(copy.deepcopy(ref), texts, config, ref=needed)
        logs[method] = log.history, log.model.state_dict()
    if rank() == 0:
        torch.save(logs, sys.argv[1])
"""


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    script = tmp_path / "spread.py"
    script.write_text(SPREAD)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": repository()}
    methods = ["dpo", "kto", "orpo", "sft"]
    for number in (1, 2):
        run_it = ["-m", "torch.distributed.run", "--nproc-per-node", str(number)]
        where = str(tmp_path / f"{number}.pt")
        done = subprocess.run(
            [sys.executable, *run_it, script, where, *methods],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (torch.load(tmp_path / f"{n}.pt") for n in (1, 2))
    for method in methods:
        for name, values in one[method][0].items():
            assert two[method][0][name] == pytest.approx(values, abs=1e-12), name
        for name, weight in one[method][1].items():
            assert torch.allclose(two[method][1][name], weight, atol=1e-12, rtol=0)


def test_a_wrong_setting_and_an_interruption_are_told_in_a_line(capsys, monkeypatch):
    assert training.main(["--beta", "-1", "--steps", "1", "--quiet"]) == 2
    assert training.main(["--method", "nope"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: beta must be finite, above 0, got -1.0"
    assert second.startswith("error: method must be one of 'sft', 'dpo'")

    def interrupted(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "run", interrupted)
    assert training.main(["--steps", "1"]) == 130
    assert "with --checkpoint FILE the same command goes on" in capsys.readouterr().err


@pytest.mark.slow
def test_the_module_itself_runs_under_torchrun():
    words = "-m torch.distributed.run --nproc-per-node 2 -m course_lib.training"
    words += " --method ipo --beta 0.5 --steps 2 --pairs 300 --quiet"
    done = subprocess.run(
        [sys.executable, *words.split()],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=repository(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.strip().splitlines()
    assert [line.split(",")[0] for line in lines] == ["steps 0", "steps 2"]
    assert "distance" in lines[1]


def test_a_batch_that_cannot_be_shared_is_refused(ref, texts, monkeypatch):
    monkeypatch.setattr(training, "processes", lambda: 3)
    with pytest.raises(ValueError, match="batch_size 16 is not shared by 3"):
        trained(ref, texts, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "nearest"), [(0.5, 0.02), (1.0, 0.003), (2.0, 0.001)])
def test_the_expected_loss_reaches_the_closed_form(beta, nearest):
    log = run(Config(method="expected", beta=beta, steps=400, lr=4e-3, quiet=True))
    first, last = log.watched
    assert last["distance"] < nearest < first["distance"] / 50
    assert last["regret"] == pytest.approx(beta * last["distance"])


@pytest.mark.slow
def test_policy_gradients_climb_to_the_closed_form_on_the_true_reward():
    for method, steps in (("ppo", 60), ("reinforce", 160)):
        log = run(Config(method=method, beta=0.5, steps=steps, quiet=True))
        first, last = log.watched
        assert last["distance"] < 0.1 < first["distance"] / 10
    learned = run(Config(method="ppo_learned", beta=0.5, steps=40, quiet=True))
    assert 0.02 < learned.watched[-1]["distance"] < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dpo", "ppo_learned"])
def test_the_trainer_does_the_same_again_to_the_bit(method):
    config = Config(method=method, steps=40 if method == "dpo" else 3, quiet=True)
    first = run(config)
    torch.rand(7)  # whatever chance has been up to meanwhile
    second = run(config)
    assert first.history == second.history
    assert torch.equal(weights(first.model), weights(second.model))
    if method == "dpo":
        other = run(dataclasses.replace(config, seed=1))
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
