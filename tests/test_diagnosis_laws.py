"""The laws never convict a true row, and convict a planted one."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from simulated_logs import fixed, row_of, run_of

from course_lib.diagnosis import diagnose
from course_lib.diagnosis.case import lowest_loss, start_of
from course_lib.diagnosis.laws import in_bfloat16, pairs_a_row

LN2 = math.log(2)
KINDS = st.sampled_from(["normal", "heavy", "two", "skewed"])


def population(kind, seed, size):
    """Margins of many shapes: the law must hold for any."""
    rng = np.random.default_rng(seed)
    shift, scale = rng.normal(0, 3), np.exp(rng.normal(0, 1.5))
    drawn = {
        "normal": rng.normal(size=size),
        "heavy": rng.standard_t(1.2, size),
        "two": np.where(rng.random(size) < 0.1, -30.0, 3.0),
        "skewed": rng.exponential(size=size) - 1,
    }[kind]
    return shift + scale * drawn


@given(KINDS, st.integers(0, 10**6), st.integers(1, 200))
@settings(max_examples=200, deadline=None)
def test_no_population_of_margins_is_below_the_bound(kind, seed, size):
    margin = population(kind, seed, size)
    loss = np.logaddexp(0, -margin).mean()
    share = (margin > 0).mean()
    assert loss >= lowest_loss(margin.mean(), share) - 1e-9
    for smoothing in (0.1, 0.3):
        other = np.logaddexp(0, margin).mean()
        smoothed = (1 - smoothing) * loss + smoothing * other
        assert smoothed >= lowest_loss(margin.mean(), smoothing=smoothing) - 1e-9


@given(KINDS, st.integers(0, 10**6), st.integers(1, 64), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_a_logged_mean_over_steps_is_never_convicted(kind, seed, size, steps):
    batches = [population(kind, seed + n, size).clip(-50, 50) for n in range(steps)]
    rows = [row_of(margin, np.zeros(size), digits=12) for margin in batches]
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    logged = {name: round(value, 4) for name, value in mean.items()}
    assume(abs(logged["rewards/chosen"]) > 0.02)  # or both signs cancel: a pattern
    classes = diagnose([logged], beta=0.1).classes
    assert not {"inconsistent_metrics", "metric_artifact_accuracy"} & {*classes}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"loss": lambda row: 0.7 * row["loss"] - 0.03}, "inconsistent_metrics"),
        ({"rewards/margins": lambda row: row["rewards/margins"] + 0.5}, "inconsistent"),
        ({"rewards/accuracies": 0.0}, "metric_artifact_accuracy"),
        ({"rewards/accuracies": 1.4}, "metric_artifact_accuracy"),
        ({"loss": lambda row: 8 * row["loss"]}, "metric_artifact_loss_scale"),
        ({"loss": lambda row: row["loss"] / 4}, "metric_artifact_loss_scale"),
        ({"grad_norm": 0.0}, "metric_artifact_gradnorm"),
        ({"logits/chosen": math.nan}, "metric_artifact_logits"),
        ({"loss": lambda row: row["loss"] + 1.3}, "mixed_loss_nll"),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_planted_fault_is_convicted(change, found, seed):
    verdict = diagnose(fixed(run_of(seed), **change), beta=0.1)
    assert any(name.startswith(found) for name in verdict.classes), verdict
    assert verdict.status == "suspicious"


def test_jensen_convicts_a_printed_log_that_no_run_can_have():
    rows = [
        {"loss": loss, "rewards/margins": margin, "rewards/accuracies": share}
        for loss, margin, share in [
            (0.6439, 0.0228, 0.62),
            (0.5871, 0.0514, 0.75),
            (0.5324, 0.0823, 0.81),
        ]
    ]
    verdict = diagnose(rows)
    assert verdict.classes[0] == "inconsistent_metrics"
    assert "Jensen" in verdict.says


def test_the_start_of_each_loss_is_that_of_the_formula():
    beta, half = 0.2, 0.5  # σ(0)
    assert start_of("sigmoid", beta) == pytest.approx(-math.log(half))
    assert start_of("ipo", beta) == pytest.approx((0 - 1 / (2 * beta)) ** 2)
    assert start_of("hinge", beta) == max(0, 1 - 0)
    assert start_of("kto", beta) == 1 - half
    nca = -math.log(half) - half * math.log(half) - half * math.log(half)
    assert start_of("nca", beta) == pytest.approx(nca)
    assert math.isnan(start_of("orpo", beta))


@pytest.mark.parametrize(("loss", "start"), [("ipo", 25.0), ("hinge", 1.0)])
def test_another_loss_is_known_by_its_start_and_is_no_fault(loss, start):
    rows = fixed(run_of(0), loss=lambda row: start - 0.2 * row["rewards/margins"])
    verdict = diagnose(rows, beta=0.1)
    assert verdict.classes[0] == "not_dpo_loss"
    assert verdict.status in ("healthy", "healthy_start")
    assert loss.upper() in verdict.says


def test_beta_comes_from_two_evaluations_of_the_same_pairs():
    rows = [
        {
            "eval_loss": 0.5,
            "eval_rewards/chosen": 0.3 * moved,
            "eval_rewards/rejected": -0.3 * moved,
            "eval_logps/chosen": -200 + moved,
            "eval_logps/rejected": -210 - moved,
        }
        for moved in (1.0, 2.5, 4.0)
    ]
    assert diagnose(rows).case.beta == pytest.approx(0.3)
    assert diagnose(rows, beta=0.5).case.beta == 0.5
    settings = {"beta": -1.0}  # no β that any run can have
    assert diagnose({"log": rows, "args": settings}).case.beta == pytest.approx(0.3)


@pytest.mark.parametrize("smoothing", [0.1, 0.2])
def test_smoothing_is_seen_where_all_pairs_are_right(smoothing):
    def smoothed(row):
        return row["loss"] + smoothing * row["rewards/margins"]

    rows = fixed(run_of(1, margin=5, spread=0.5), loss=smoothed)
    verdict = diagnose(rows, beta=0.1)
    assert "mixed_loss_label_smoothing" in verdict.classes
    assert verdict.case.smoothing == pytest.approx(smoothing, abs=0.05)


def test_bfloat16_is_known_by_its_eight_bits():
    assert in_bfloat16(np.array([-532.0, -536.0, 0.69140625, -20.25]))
    assert not in_bfloat16(np.array([-533.0]))


@given(st.integers(2, 40), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_the_pairs_of_a_row_divide_what_they_are(pairs, seed):
    rights = np.random.default_rng(seed).integers(1, pairs, 12)
    found = pairs_a_row(np.round(rights / pairs, 4))
    assert found is not None
    assert found <= pairs
    assert np.allclose(rights / pairs * found % 1 % 0.999, 0, atol=0.03)


def test_too_few_accuracies_tell_no_granularity():
    assert pairs_a_row(np.array([0.5, 1.0, 0.0])) is None
    assert pairs_a_row(np.array([0.7312, 0.6421, 0.5713])) is None
