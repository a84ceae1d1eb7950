"""Wrong without a word, elsewhere: 16-bit logits, slopes at 0, stale references."""

import copy
import dataclasses
import math

import mpmath as mp
import numpy as np
import pytest
import torch
from torch import nn

from course_lib import checkpoint, losses, policies, preferences, tabular, training
from course_lib.batches import pairs, sentence_texts, with_mismatched, with_thumbs
from course_lib.logprobs import response_logprobs, wpo_weights
from course_lib.metrics import kl_estimates
from course_lib.training import Config, fit, reference_logps, train
from course_lib.transformer import Shape, Transformer, load
from course_lib.worlds import (
    five_responses,
    sample_preferences,
    sample_single_thumbs,
    world_s,
)

QUICK = Config(steps=2, batch_size=16, quiet=True)


@pytest.fixture(scope="module")
def ref():
    return load("S").double()


@pytest.fixture(scope="module")
def texts(ref):
    asked = sample_preferences(world_s().exact(ref), 64, seed=0)
    return sentence_texts(world_s(), *asked)


# ── 16 bits ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("half", "off"), [(torch.bfloat16, 0.1), (torch.float16, 0.01)]
)
def test_logits_of_16_bits_are_scored_in_32(half, off):
    random = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(2, 400, 1000, generator=random)).to(half)
    labels = torch.randint(1000, (2, 400), generator=random)
    mask = torch.ones_like(labels)
    mask[:, 0] = 0
    found = response_logprobs(logits, labels, mask)
    exact = logits.double()[:, :-1].log_softmax(-1)
    exact = exact.gather(-1, labels[:, 1:, None]).squeeze(-1).sum(-1)
    assert found.dtype == torch.float32
    assert (found.double() - exact).abs().max() < 5e-3  # of some 4,000 nats
    rounded = logits[:, :-1].log_softmax(-1).gather(-1, labels[:, 1:, None]).squeeze(-1)
    assert (rounded.double().sum(-1) - exact).abs().max() > off
    assert wpo_weights(logits, labels, mask).dtype == torch.float32


# ── gradients ─────────────────────────────────────────────────────────────────────────


def slopes(function, *leaves):
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    return torch.autograd.grad(function(*leaves).sum(), leaves)


def test_a_probability_of_zero_gives_no_nan():
    p = torch.tensor([0.0, 0.4, 0.6], dtype=torch.float64)
    q = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    rewards = torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64)
    on_p, on_q = slopes(policies.kl_divergence, p, q)
    assert on_p[1:].tolist() == pytest.approx(((p / q).log() + 1)[1:].tolist())
    assert on_p[0] == 0
    assert torch.allclose(on_q, -p / q)
    both_zero = torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64)
    for each in slopes(lambda a, b: policies.implicit_rewards(a, b, 0.5), p, both_zero):
        assert each.isfinite().all()
    (found,) = slopes(lambda a: policies.rlhf_objective(a, q, rewards, 0.5), p)
    assert found.isfinite().all()


def test_a_softmax_that_underflows_has_the_gradient_of_what_is_left():
    logits = torch.tensor([-2000.0, 0.3, -0.2], dtype=torch.float64)
    q = torch.full((3,), 1 / 3, dtype=torch.float64)
    (found,) = slopes(lambda z: policies.kl_divergence(z.softmax(-1), q), logits)
    p = logits.softmax(-1)
    value = policies.kl_divergence(p, q)
    expected = [0.0, *(p[1:] * ((p[1:] / q[1:]).log() - value)).tolist()]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_partition_function_knows_its_slope_where_the_reference_is_zero():
    ref = torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64)
    rewards = torch.tensor([1.0, 0.4, -0.3], dtype=torch.float64)
    beta = 0.5
    (found,) = slopes(lambda a: policies.log_partition(a, rewards, beta), ref)
    weights = (rewards / beta).exp()
    assert torch.allclose(found, weights / (ref * weights).sum(), atol=1e-12)
    one = torch.eye(3, dtype=torch.float64)[0]
    (found,) = slopes(lambda a: policies.optimal_policy(a, rewards, beta) @ one, ref)
    assert found[0] == pytest.approx((weights[0] / (ref * weights).sum()).item())
    far = torch.tensor([5000.0, 1.0, 0.0], dtype=torch.float64)
    assert policies.optimal_policy(ref, far, beta)[0] == 0
    assert policies.log_partition(ref, far, beta).isfinite()


def test_a_divergence_is_never_negative():
    random = torch.Generator().manual_seed(0)
    p = torch.rand(2000, 50, generator=random).softmax(-1)
    assert (policies.kl_divergence(p, p.clone() + 1e-8) >= 0).all()


def test_certain_scores_have_the_slope_of_a_sigmoid():
    one, zero = torch.tensor([1.0, 0.0], dtype=torch.float64)
    function = preferences.gaussian_preference_probability
    on_w, on_std, on_l, _ = slopes(function, one, zero, zero, zero)
    s = torch.sigmoid(one)
    assert on_w == pytest.approx((s * (1 - s)).item())
    assert on_l == pytest.approx(-(s * (1 - s)).item())
    assert on_std == 0


@pytest.mark.parametrize(
    ("mean", "std"), [(-100.0, 10.0), (-30.0, 2.0), (-700.0, 30.0)]
)
def test_far_in_the_tail_the_integral_is_right_too(mean, std):
    values = torch.tensor([mean, std, 0, 0], dtype=torch.float64)
    found = preferences.gaussian_preference_probability(*values).item()

    def density(z):
        return mp.npdf(z) / (1 + mp.exp(-(mean + std * z)))

    with mp.workdps(30):
        peaks = [-12, 0, *(k * std / 4 for k in range(1, 9)), -mean / std + 12]
        exact = mp.quad(density, sorted(peaks))
    assert found == pytest.approx(float(exact), rel=1e-10)


def test_the_odds_of_certainty_curve_as_they_should():
    """log(1 + x/y) has a second derivative of order 1 at a → 0, not of order 1/a."""
    a = torch.tensor([-1e-12], dtype=torch.float64, requires_grad=True)
    b, nll = torch.tensor([[-2.0], [0.0]], dtype=torch.float64)
    loss = losses.orpo_loss(a, b, nll, weight=1.0)
    (slope,) = torch.autograd.grad(loss, a, create_graph=True)
    (curve,) = torch.autograd.grad(slope, a)
    y = math.expm1(2.0)
    assert curve.item() == pytest.approx((1 / y) - (1 / y) ** 2, rel=1e-9)


def test_an_estimate_of_kl_does_not_overflow():
    found = kl_estimates(torch.tensor([-300.0]), torch.tensor([-200.0]))["k3"]
    assert found.item() == pytest.approx(math.expm1(100) - 100)


def test_a_reference_without_an_answer_is_refused_by_the_losses_of_all_pairs():
    _, ref, rewards = five_responses()
    short = torch.cat((ref[:1] + ref[1], ref[2:], torch.zeros(1)))
    with pytest.raises(ValueError, match="ref must be above 0"):
        tabular.expected_dpo_loss(ref.log(), short.double(), rewards, 0.5)


# ── compilers and other numbers ───────────────────────────────────────────────────────


def test_a_loss_compiles_whole_and_runs_without_values():
    four = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    whole = torch.compile(
        lambda *f: losses.dpo_loss(*f, 0.1), fullgraph=True, backend="eager"
    )
    assert whole(*four) == losses.dpo_loss(*four, np.float32(0.1))
    assert losses.dpo_loss(*four.to("meta"), 0.1).is_meta
    logits, ids = torch.randn(1, 3, 5), torch.tensor([[0, 1, 2]])
    mask = torch.tensor([[0, 1, 1]])
    score = torch.compile(
        lambda: response_logprobs(logits, ids, mask), fullgraph=True, backend="eager"
    )
    assert torch.equal(score(), response_logprobs(logits, ids, mask))


# ── references and checkpoints ────────────────────────────────────────────────────────


class Tempered(nn.Module):
    def __init__(self, body, temperature):
        super().__init__()
        self.body, self.temperature = body, temperature

    def features(self, *args, **kwargs):
        return self.body.features(*args, **kwargs)

    def head(self, features):
        return self.body.head(features) / self.temperature


def test_a_reference_is_all_that_decides_its_numbers(texts):
    torch.manual_seed(0)
    two = Transformer(Shape(13, 9, heads=2, kv_heads=2))
    four = Transformer(Shape(13, 9))
    four.load_state_dict(two.state_dict())  # the same weights, other heads
    one, other = (reference_logps(model, texts) for model in (two, four))
    assert not torch.allclose(one, other, atol=1e-3)
    warm = reference_logps(Tempered(two, 2.0), texts)
    hot = reference_logps(Tempered(two, 3.0), texts)
    assert not torch.allclose(warm, hot, atol=1e-3)
    keys = {checkpoint.fingerprint(Tempered(two, t)) for t in (2.0, 3.0)}
    assert len(keys) == 2
    assert checkpoint.fingerprint(copy.deepcopy(two)) == checkpoint.fingerprint(two)


def test_a_reference_in_training_mode_adds_no_noise(texts):
    class Noisy(Tempered):
        def features(self, *args, **kwargs):
            found = self.body.features(*args, **kwargs)
            return nn.functional.dropout(found, 0.5, self.training)

    model = load("S").double()
    ref = Noisy(copy.deepcopy(model), 1.0).train()
    assert train(model, texts, QUICK, ref=ref).history["loss"][0] == pytest.approx(
        math.log(2), abs=1e-12
    )
    assert ref.training


def test_a_checkpoint_knows_its_reference(ref, texts, tmp_path):
    file = str(tmp_path / "run.pt")
    config = dataclasses.replace(QUICK, steps=4, every=2, checkpoint=file)

    def unplug(model):
        raise KeyboardInterrupt

    model = copy.deepcopy(ref)
    with pytest.raises(KeyboardInterrupt):
        train(model, texts, config, ref=ref, watch=unplug, watch_at=(2,))
    before = (tmp_path / "run.pt").read_bytes()
    for wrong in (copy.deepcopy(model), Tempered(copy.deepcopy(ref), 2.0)):
        with pytest.raises(ValueError, match="made with another reference"):
            train(copy.deepcopy(ref), texts, config, ref=wrong)
    assert (tmp_path / "run.pt").read_bytes() == before
    again = train(copy.deepcopy(ref), texts, config, ref=copy.deepcopy(ref))
    assert len(again.history["loss"]) == 4


@pytest.mark.parametrize("content", [b"", b"half", b"PK\x03\x04 torn"])
def test_half_a_checkpoint_is_told_in_a_sentence(ref, texts, tmp_path, content):
    (tmp_path / "run.pt").write_bytes(content)
    config = dataclasses.replace(QUICK, checkpoint=str(tmp_path / "run.pt"))
    with pytest.raises(ValueError, match="no checkpoint, or half of one"):
        train(copy.deepcopy(ref), texts, config, ref=ref)
    assert (tmp_path / "run.pt").read_bytes() == content


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"every": 0}, "every must be"),
        ({"checkpoint": "/no/such/place/run.pt"}, "there is no folder"),
        ({"method": "ipo", "label_smoothing": 0.3}, "ipo does not read it"),
        ({"gamma": 5.0}, "gamma is 5.0, and dpo does not read it"),
        ({"method": "simpo", "nll_weight": 2.0}, "simpo does not read it"),
    ],
)
def test_a_setting_that_helps_nobody_is_refused_at_once(ref, texts, changed, words):
    config = dataclasses.replace(QUICK, **changed)
    model = copy.deepcopy(ref)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        train(model, texts, config, ref=ref)
    assert checkpoint.fingerprint(model) == checkpoint.fingerprint(ref)


def test_a_model_with_nothing_to_train_and_one_with_shared_frozen_weights(ref, texts):
    frozen = copy.deepcopy(ref).requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter to train"):
        train(frozen, texts, QUICK, ref=ref)
    model = copy.copy(ref)  # shares every weight, but trains one of its own
    model._modules = dict(ref._modules)
    model.norm = copy.deepcopy(ref.norm)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("norm"))
    try:
        assert len(train(model, texts, QUICK, ref=ref).history["loss"]) == 2
    finally:
        ref.requires_grad_(True)


def test_a_run_says_against_which_optimum_it_is_measured():
    assert Config(beta=0.1).optimum_beta == 0.1
    assert Config("ipo", beta=0.1).optimum_beta == 0.5
    assert Config("ipo", beta=0.1, yardstick=0.2).optimum_beta == 0.2
    log = training.run(Config("ipo", beta=0.1, steps=1, quiet=True))
    assert log.watched[0]["yardstick"] == 0.5
    assert log.watched[0]["distance"] == pytest.approx(1.326, abs=1e-3)


# ── KTO ───────────────────────────────────────────────────────────────────────────────


def test_mismatched_responses_are_another_prompt_s_and_of_both_kinds(texts):
    found = with_mismatched(texts)
    sides = set()
    for row in range(len(texts)):
        own = (texts.prompts == texts.prompts[row]).all(1)
        taken = found.responses[row, 2]
        match = (texts.responses == taken).all(-1)  # (examples, sides)
        assert match[~own].any()
        sides.add(row % 2)
        assert match[~own][:, row % 2].any()
    assert sides == {0, 1}
    with pytest.raises(ValueError, match="one prompt"):
        with_mismatched(pairs([[3], [3]], [[0], [1]], [[2], [2]]))


def test_unpaired_thumbs_train_and_log_their_point(ref):
    asked = sample_single_thumbs(world_s().exact(ref), 64, seed=0)
    single = sentence_texts(world_s(), asked.prompts, asked.answers)
    texts = with_thumbs(single, asked.desirable)
    config = dataclasses.replace(QUICK, method="kto")
    log = train(copy.deepcopy(ref), texts, config, ref=ref)
    assert log.history["loss"][0] == pytest.approx(0.5, abs=1e-12)
    assert log.history["reference_point"][0] == pytest.approx(0, abs=1e-12)
    assert len(log.history["mismatched_logratio"]) == 2
    with pytest.raises(ValueError, match="no rejected responses: dpo needs"):
        train(copy.deepcopy(ref), texts, QUICK, ref=ref)
    with pytest.raises(ValueError, match="one for each example"):
        with_thumbs(single, asked.desirable[:-1])


@pytest.mark.slow
def test_single_thumbs_go_up_as_often_as_they_should(ref):
    world = world_s().exact(ref)
    asked = sample_single_thumbs(world, 40_000, seed=1)
    usual = (world.ref * world.rewards).sum(-1, keepdim=True)
    up = (world.ref * torch.sigmoid(world.rewards - usual)).sum(-1)
    for prompt in range(4):
        seen = asked.desirable[asked.prompts == prompt].double().mean()
        assert seen == pytest.approx(up[prompt].item(), abs=0.02)
    noisy = sample_single_thumbs(world, 40_000, seed=1, label_noise=0.2)
    flipped = (noisy.desirable != asked.desirable).double().mean()
    assert flipped == pytest.approx(0.2, abs=0.01)


def test_fit_refuses_before_it_writes(ref, tmp_path):
    with pytest.raises(ValueError, match="lr must be"):
        fit(copy.deepcopy(ref), lambda step: [], dataclasses.replace(QUICK, lr=0.0))
