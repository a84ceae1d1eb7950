"""Each failure is named, a healthy run is left alone, and nothing false is said."""

import json
import math
import time

import numpy as np
import pytest
from simulated_logs import fixed, run_of, table

from course_lib.diagnosis import command, diagnose
from course_lib.diagnosis.panels import run_picture
from course_tools import cli

NAMES = "step loss rewards/chosen rewards/rejected rewards/accuracies rewards/margins"
NAN = math.nan


def log_of(*rows, **more):
    """Rows of a step, a loss, both rewards and an accuracy, with their margins."""
    made = table(NAMES, *((*one, round(one[2] - one[3], 6)) for one in rows))
    return fixed(made, **more)


def stuck(**more):
    return log_of(*((n, 0.6931, 0, 0, 0) for n in range(1, 13)), **more)


def said(log, **given):
    return " ".join(finding.says for finding in diagnose(log, **given).findings)


def evaluations(*losses, **more):
    return [
        {"eval_loss": loss, "step": 100 * n, "epoch": n / 2} | more
        for n, loss in enumerate(losses, 1)
    ]


FAR = log_of(
    (1, 0.31, 9.7, 5.7, 1.0),
    (2, 3.9, 10.4, 14.2, 0.5),
    (3, 2.1, 8.6, 10.2, 0.25),
    (4, 1.2, 11.0, 10.5, 0.5),
)
PLANTED = {
    "frozen_policy": ("sick", stuck(grad_norm=0.0)),
    "ref_equals_policy": ("sick", stuck(grad_norm=2.5)),
    "beta_zero": ("sick", stuck()),
    "wrong_reference": ("sick", FAR),
    "nan_precision": (
        "sick",
        table("loss rewards/chosen rewards/rejected", (0.0, NAN, NAN)),
    ),
    "kto_empty_class_nan": (
        "sick",
        table(
            "loss grad_norm rewards/chosen rewards/rejected kl",
            (1.0, 40, 0.0, 0.0, 0.0),
            (NAN, 41, 0.02, NAN, 0.1),
            (0.9, 39, 0.1, 0.05, 0.2),
        ),
    ),
    "likelihood_displacement": ("suspicious", run_of(0, margin=2, drift=-4)),
    "likelihood_displacement_mild": ("healthy", run_of(0, drift=-1.4)),
    "trivial_data": ("suspicious", run_of(0, margin=7, spread=0.5, speed=30)),
    "saturated": ("suspicious", run_of(0, margin=7, spread=0.5)),
    "over_optimised": ("suspicious", run_of(0, margin=15, spread=3)),
    "memorised_tiny_data": ("sick", run_of(0, margin=9, spread=1, epochs=60)),
    "model_collapse": ("sick", run_of(0, margin=3, drift=-30)),
    "lr_too_low": ("suspicious", run_of(0, margin=3e-3, spread=3e-3, drift=0)),
    "no_signal": ("suspicious", run_of(1, margin=0, spread=0.4, drift=0.2)),
    "lr_too_high": ("suspicious", log_of((10, 1.06, -1.53, -1.48, 0.4))),
    "too_fast": (
        "suspicious",
        log_of((1, 0.6931, 0, 0, 0), (2, 0.53, 0.95, 0.57, 1.0)),
    ),
    "overfit": ("suspicious", evaluations(0.62, 0.52, 0.5, 0.56, 0.66)),
    "heavy_tail": (
        "suspicious",
        run_of(2, margin=3, spread=1, flipped=0.22, pairs=200),
    ),
    "length_confound": (
        "suspicious",
        fixed(run_of(0), chosen_length=300, rejected_length=150),
    ),
    "too_early": (
        "inconclusive",
        log_of((5, 0.6924, 0.009, 0.007, 0.45), (9, 0.695, 0, 0.003, 0.5)),
    ),
    "reference_free_loss": ("sick", log_of((9, 5.72, -0.0034, -0.0042, 0.5))),
    "not_dpo_loss": (
        "inconclusive",
        log_of(
            (1, 0.061, -0.21, -0.23, 0.6),
            (20, 0.058, -0.18, -0.2, 0.8),
            (30, 0.072, -0.22, -0.235, 0.5),
        ),
    ),
    "mixed_loss_nll": (
        "healthy_start",
        log_of((1, 2.5852, 0, 0, 0), (2, 2.5702, 0.02, -0.01, 0.6), nll_loss=1.8921),
    ),
    "bf16_rounding": (
        "healthy_start",
        log_of((1, 0.6914, 0, 0, 0), **{"logps/chosen": -532, "logps/rejected": -536}),
    ),
    "metric_artifact_loss_scale": (
        "suspicious",
        table("step loss", (10, 9.0), (200, 3.0)),
    ),
    "moving_reference": (
        "suspicious",
        table(
            "step eval_rewards/chosen eval_rewards/rejected eval_logps/chosen "
            "eval_logps/rejected eval_loss",
            (0, 0, 0, -212.0, -231.0, 0.6931),
            (50, -0.31, -0.62, -215.1, -237.2, 0.561),
            (100, -0.28, -0.71, -219.0, -245.6, 0.522),
            (150, -0.05, -0.11, -223.2, -252.9, 0.664),
        ),
    ),
    "implementation_mismatch": (
        "suspicious",
        table("run loss grad_norm", ("a", 0.6933, 28.7), ("b", 0.6931, 197.5)),
    ),
}
BETA = {"frozen_policy": 0.1, "beta_zero": 0.0}  # where it is given


MORE = [  # what else is named, by its words
    (
        log_of(
            (1, 0.6931, 0, 0, 0),
            (9, 0.8712, -1.62, -1.79, 0.58),
            *((9 * n, 0.66, -1.4, -1.8, 0.6) for n in range(2, 20)),
        ),
        "both sides move together more than they part",
    ),
    (
        fixed(run_of(0), **{"logps/chosen": -90.5, "logps/rejected": -90.5}),
        "both sides are the same text",
    ),
    (
        evaluations(0.6, 0.6, 0.6, **{"eval_logps/chosen": -91.25, "lr": 1e-6}),
        "same numbers to the last digit",
    ),
    (
        fixed(run_of(0), loss=lambda row: 25 - 5 * row["rewards/margins"])[9:],
        "IPO's loss",
    ),
    (
        fixed(run_of(0), **{"logps/chosen": lambda row: 3 * row["logps/rejected"]}),
        "the log has no lengths to decide it",
    ),
    ([{"loss": 0.0, "grad_norm": NAN}] * 2, "does not mean a perfect fit"),
    ([{"loss": 2.0 - n / 9, "mean_token_accuracy": 0.5} for n in range(9)], "SFT"),
]


@pytest.mark.parametrize(("log", "words"), MORE)
def test_what_else_is_named(log, words):
    assert words in diagnose(log).says


def test_a_fast_start_on_easy_pairs_is_not_called_a_wrong_reference():
    easy = log_of((5, 0.01, 5.2, -8.0, 1.0), (10, 0.001, 6.0, -10.0, 1.0))
    assert "wrong_reference" not in diagnose(easy).classes


@pytest.mark.parametrize("name", PLANTED)
def test_each_failure_is_named(name):
    status, log = PLANTED[name]
    verdict = diagnose(log, beta=BETA.get(name))
    assert name in verdict.classes, verdict
    assert verdict.status == status, verdict


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"pairs": 2},
        {"pairs": 1},
        {"pairs": 1, "rows": 60, "margin": 2.5, "spread": 3.0},
        {"pairs": 2, "flipped": 0.1, "margin": 1.5, "spread": 1.0},
        {"rows": 9},
        {"flipped": 0.2},
        {"margin": 2.5, "spread": 2.0},
        {"margin": 0.3, "spread": 0.4, "pairs": 128},
        {"epochs": 3.0, "margin": 2.0},
    ],
)
def test_healthy_runs_are_left_alone(shape):
    found = [diagnose(run_of(seed, **shape)) for seed in range(25)]
    quiet = [v for v in found if v.status in ("healthy", "healthy_start")]
    assert len(quiet) >= 24, next(v for v in found if v not in quiet)


@pytest.mark.parametrize("seed", range(8))
def test_a_reference_that_stays_is_never_said_to_move(seed):
    """On the same pairs and on fresh ones each time, near and far, at any β."""
    rng = np.random.default_rng(seed)
    for fresh in (0.0, 8.0):  # nats by which evaluations of other pairs differ
        start = np.array([-212.0, -231.0]) + fresh * rng.normal(size=(6, 1))
        moved = -np.sort(rng.exponential(8, size=(6, 2)), axis=0)
        told = np.hstack([0.3 * moved, start + moved]).round(4)
        names = ("rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected")
        log = [
            {f"eval_{name}": value for name, value in zip(names, row, strict=True)}
            | {"eval_loss": 0.6, "step": 50 * n}
            for n, row in enumerate(told.tolist(), 1)
        ]
        assert "moving_reference" not in diagnose(log, beta=0.3).classes


def test_two_ln_2_may_be_nca_s_if_no_loss_is_told():
    rows = log_of((1, 1.3863, 0, 0, 0), (10, 1.37, 0.02, -0.01, 0.6))
    assert diagnose(rows).status == "inconclusive"
    assert "NCA" in diagnose(rows).says
    assert diagnose(rows, loss="sigmoid").status == "suspicious"
    assert diagnose(rows, loss="nca").status == "healthy_start"


def test_a_start_is_called_a_start_and_one_row_is_not_a_course():
    assert diagnose(run_of(0)[:3]).status == "healthy_start"
    one = diagnose(run_of(0, margin=3)[20:21])
    assert one.status in ("inconclusive", "healthy")
    assert "chosen" not in one.says or "fall" not in one.says


def test_a_log_of_losses_alone_says_what_cannot_be_judged():
    falling = [{"loss": 0.69 - 0.01 * n, "step": 20 * n} for n in range(15)]
    verdict = diagnose(falling)
    assert verdict.status == "healthy"
    assert "missing_metrics" in verdict.classes
    assert any("rewards/chosen" in what for what in verdict.missing)


def test_what_is_not_known_is_not_claimed():
    """Zeros without a gradient norm: three causes fit, and all are named."""
    told = said(stuck())
    assert "never leaves the reference" in told
    assert "β = 0" in told
    assert "the policy object itself" in told
    assert "small learning rate gives small rewards" in told


@pytest.mark.parametrize(
    "wrong",
    [{"beta": -1.0}, {"beta": NAN}, {"loss": "zebra"}, {"label_smoothing": 0.7}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        diagnose(run_of(0), **wrong)


def test_the_last_line_is_json_and_the_card_a_page(tmp_path, capsys):
    log, card = tmp_path / "run.jsonl", tmp_path / "card.html"
    log.write_text("\n".join(map(json.dumps, FAR)))
    asked = [str(log), "--json", "--beta", "0.1", "--out", str(card)]
    assert command.main(asked) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert " ".join(told) == "status classes says evidence experiment missing"
    assert told["status"] == "sick"
    assert told["evidence"][0] == {"class": "wrong_reference", "rows": [1]}
    page = card.read_text()
    assert page.count("<img") == 1
    assert "wrong_reference" in page


def test_a_log_that_cannot_be_read_ends_with_a_reason(tmp_path, capsys):
    (tmp_path / "poem.txt").write_text("no numbers here")
    assert command.main([str(tmp_path / "poem.txt")]) == 2
    assert "Looked for" in capsys.readouterr().err
    assert command.main([str(tmp_path / "none")]) == 2
    assert "diagnose" in cli.VERBS


def test_the_picture_tells_what_is_missing():
    verdict = diagnose(stuck())
    picture = run_picture(verdict.case, "Nothing moves", (1, 2))
    assert picture.alt.startswith("Nothing moves. Six panels. Loss: from 0.693")
    assert "Gradient norm: not logged." in picture.alt
    assert len(picture.figure.axes) == 6


@pytest.mark.slow
def test_ten_thousand_rows_take_two_seconds_of_a_processor():
    text = "\n".join(map(repr, run_of(0, rows=10_000)))
    begun = time.process_time()
    assert diagnose(text).status == "healthy"
    assert time.process_time() - begun < 2


STARTS = {"ipo": 25.0, "kto": 0.5, "hinge": 1.0, "robust": 0.6931, "nca": 1.3863}
STARTS |= {"bco": 0.6931, "bco_pair": 1.3863, "sppo": 50.0, "apo_zero": 1.0}


@pytest.mark.parametrize("loss", STARTS)
@pytest.mark.parametrize("share", [1.0, 0.9, 2.0])
def test_a_start_is_called_right_only_if_the_loss_has_it(loss, share):
    first = share * STARTS[loss]
    rows = ((n, first * (1 - n / 100), -n / 50, -n / 25, 0.5) for n in range(3))
    given = {"log": log_of(*rows), "loss": loss, "beta": 0.1}
    says = said(**given)
    assert ("The start is right" in says) == (share == 1.0)
    assert (diagnose(**given).status == "suspicious") == (share != 1.0)
    assert "NCA" not in says or loss == "nca"


def test_the_start_is_not_called_right_beside_a_loss_that_starts_elsewhere():
    jumps = (2, 1.4, 1.2, -0.8, 0.9), (3, 1.3, 1.5, -0.9, 0.9)
    for first, right in ((0.6931, True), (1.9, False), (0.31, False)):
        log = log_of((1, first, 0, 0, 0), *jumps)
        assert ("The start is right" in said(log)) == right


def test_an_empty_cell_of_a_wide_table_is_no_nan():
    """As pandas writes it: a column for both parts, and rows that have one."""
    steps = range(0, 300, 30)
    wide = log_of(*((n, 0.69 - n / 3000, n / 2000, -n / 800, 0.7) for n in steps))
    names = ("loss", "rewards/chosen", "rewards/rejected")
    for one in wide[5:]:
        one |= {f"eval_{name}": NAN for name in names}
    judged = {
        f"eval_{name}": one for name, one in zip(names, (0.6, 0.1, -0.3), strict=True)
    }
    wide += [{"step": 270} | dict.fromkeys(names, NAN) | judged]
    told = diagnose(wide)
    assert told.status in ("healthy", "healthy_start")
    assert "NaN" not in said(wide)


@pytest.mark.parametrize("more", [{}, {"grad_norm": 2.0}])
def test_an_empty_cell_is_no_nan_beside_one_of_the_same_name(more):
    wide = [{"step": n, "loss": 0.69 - n / 3000, "eval_loss": NAN} for n in range(200)]
    wide = fixed(wide, **more)
    wide[90:90] = [{"step": 90, "loss": NAN, "eval_loss": 0.6}]
    told = diagnose(wide)
    assert told.status == "healthy"
    assert len(told.case.eval) == 1


def test_evaluations_that_are_all_nan_are_no_empty_cells():
    """Unless the training rows have what evaluations lack: a table that was cut."""
    card = [{"step": n, "loss": 0.69 - n / 999, "eval_loss": NAN} for n in (100, 200)]
    assert "nan_precision" in diagnose(card).classes
    assert "nan_precision" not in diagnose(fixed(card, grad_norm=2.0)).classes


def test_one_bad_row_is_not_called_the_end():
    log = run_of(0, rows=30)
    log[5] |= dict.fromkeys(("loss", "rewards/chosen", "rewards/rejected"), NAN)
    assert "in 1 training rows" in said(log)
    assert "on, after" not in said(log)
    log[5] = run_of(0, rows=30)[5] | {"rewards/chosen": NAN, "rewards/margins": NAN}
    assert "KTO" not in said(log, loss="sigmoid") + said(log)


def test_a_loss_that_rises_is_not_called_a_start():
    """Whatever its kind."""
    rows = ((10 * n, 25 + n, -n / 1000, -n / 1200, 0.3) for n in range(1, 100))
    log = log_of((1, 25.0, 0, 0, 0), *rows)
    told = diagnose(log, loss="ipo", beta=0.1)
    assert told.status in ("suspicious", "sick")
    assert "rises from 25 to" in said(log, loss="ipo", beta=0.1)
    slow = ((50 * n, min(0.5 + n, 0.93), 0.3, -0.2, 0.8) for n in range(20))
    assert "falls from" not in said(log_of(*slow), loss="hinge")


@pytest.mark.parametrize("beta", [0.15, 0.2, 0.3])
def test_a_start_that_beta_explains_is_no_sum_over_steps(beta):
    first = 1 / (4 * beta**2)
    log = log_of((1, first, 0, 0, 0), (2, 0.99 * first, 0.01, -0.02, 0.6))
    assert "accumulation" not in said(log, beta=beta)
    assert "IPO starts" in said(log, beta=beta)


def test_a_floor_is_named_for_losses_that_have_one():
    log = run_of(1, rows=30)
    assert "cannot fall below 0.500" in said(log, label_smoothing=0.2)
    assert "cannot fall" not in said(log, label_smoothing=0.2, loss="robust")
    assert "smoothing 0.1" not in said(log, loss="cdpo")


def test_a_policy_that_never_moved_is_not_said_to_have_moved():
    still = ((n, 0.72, -1.5, -1.45, 0.5) for n in range(1, 50))
    assert "not frozen" not in said(log_of(*still, grad_norm=0.0))


def test_lines_of_several_processes_count_once():
    log = [one for one in run_of(2, rows=20) for _ in range(4)]
    log += [{"eval_loss": 0.5, "eval_rewards/margins": 0.4, "step": 190}] * 4
    told = diagnose(log)
    assert told.status in ("healthy", "healthy_start")
    assert "repeated rows were left out" in str(told)


def test_a_bad_end_is_mentioned():
    log = run_of(3, rows=30)
    log[-1] |= {"loss": 5.9}
    assert "The last row's loss is 5.90" in said(log)
    assert "The last row's" not in said(run_of(3, rows=30))


def test_a_falling_held_out_loss_is_no_overfit():
    log = run_of(4, rows=60, margin=6.0, spread=0.5)
    falls = [0.67, 0.6, 0.55, 0.5, 0.43]
    judged = [{"eval_loss": x, "step": 100 * n} for n, x in enumerate(falls, 1)]
    assert "training pairs only" not in said(log + judged)


@pytest.mark.parametrize("loss", [None, "ipo", "simpo"])
@pytest.mark.parametrize("rows", [1, 5])
def test_of_a_loss_that_was_not_logged_nothing_is_said(loss, rows):
    log = fixed(run_of(0)[2 : 2 + rows], loss=None)
    told = diagnose(log, loss=loss)
    assert told.status in ("inconclusive", "healthy_start")
    assert "The loss begins" not in told.says
    assert "The loss does not fall" not in told.says
    assert "There are 1 row" not in told.says


@pytest.mark.parametrize("more", [[], [{"eval_rewards/accuracies": 0.6, "step": 1}]])
def test_the_accuracy_is_that_of_the_same_evaluation(more):
    judged = (0.62, 0.6, 100), (0.5, 0.8, 200), (0.66, 0.6, 300)
    log = more + table("eval_loss eval_rewards/accuracies step", *judged)
    assert "surer mistakes" not in said(log)
    log[-1]["eval_rewards/accuracies"] = 0.8
    assert "surer mistakes" in said(log)
