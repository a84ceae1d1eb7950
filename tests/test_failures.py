"""Runs that fail on purpose: what is wrong is wrong, and the log says what happened."""

import copy
import math
import statistics
from functools import partial

import pytest
import torch

from course_lib import datasets, failures
from course_lib.batches import sentence_texts
from course_lib.config import Config
from course_lib.datasets import shipped_failures
from course_lib.diagnosis.finding import STATES
from course_lib.failures import (
    BESIDE,
    CURES,
    FAILURES,
    HEALTHY,
    Plan,
    broken_run,
    effect,
    number,
    plan_of,
    tables,
    trl_rows,
)
from course_lib.failures.data import DATA, asked, texts_of
from course_lib.failures.running import setting
from course_lib.training import set_learning_rate, train
from course_lib.worlds import sample_preferences
from course_tools.regenerate import failures as made

SHIPPED = shipped_failures()
SILENT = {"end_left_out"}  # what does not show in a world of three words


def runs_of(name: str):
    return [run for run in SHIPPED if run.name == name]


def values(name: str, which: str) -> list[float]:
    return [number(run, which) for run in runs_of(name)]


# ── the registry ──────────────────────────────────────────────────────────────────────


def test_every_failure_says_all_that_is_asked_of_it_and_changes_one_thing():
    for name, failure in FAILURES.items():
        for text in (failure.cause, failure.cure, failure.look):
            assert text.endswith("."), name
            assert text[0].isupper(), name
        assert failure.truth.classes
        assert failure.truth.statuses
        assert {*failure.truth.statuses} <= {*STATES}
        assert "_" not in tables.in_words(failure.number), name
        assert 3 < len(failure.what) < 60
        assert not failure.what.endswith(".")
        assert failure.beside in {"healthy", *BESIDE}
        plan, sound = plan_of(name), plan_of(failure.beside)
        changed = {n for n in Plan._fields if getattr(plan, n) != getattr(sound, n)}
        assert len(changed - {"pairs"}) == 1, name  # and perhaps how many there are
        assert plan.data in DATA
    assert set(CURES) & (set(FAILURES) | set(HEALTHY)) == set()
    assert {against for against, _ in CURES.values()} <= set(FAILURES)


def test_a_wrong_name_is_told_what_there_is():
    with pytest.raises(ValueError, match="beta_zero"):
        broken_run("no_such_failure", 0)
    with pytest.raises(ValueError, match="steps"):
        broken_run("healthy", 0, steps=2)
    with pytest.raises(ValueError, match="no_such_failure"):
        shipped_failures("no_such_failure")
    with pytest.raises(ValueError, match="no beta_zero"):
        effect("beta_zero", [])


# ── the log, against other code ───────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_healthy_run_is_what_the_trainer_does():
    """Loss, gradient and accuracy of `train` on the same pairs, step by step."""
    run = broken_run("healthy", 3, steps=6, every=1)
    world = setting()
    pairs = sample_preferences(world.world, 10_000, seed=3)
    texts = sentence_texts(world.sentences, *pairs)
    config = Config(steps=6, batch_size=64, seed=3, quiet=True)
    log = train(copy.deepcopy(world.ref), texts, config, ref=world.ref)
    for ours, theirs in (("loss", "loss"), ("grad_norm", "gradient_norm")):
        found = [row[ours] for row in run.rows]
        assert found == pytest.approx(log.history[theirs], abs=1e-9)
    for ours, theirs in (("chosen", "chosen_logratio"), ("margin", "gap")):
        expected = [0.5 * value for value in log.history[theirs]]
        assert [row[ours] for row in run.rows] == pytest.approx(expected, abs=1e-9)
    later = [row["accuracy"] for row in run.rows[1:]]
    assert later == pytest.approx(log.history["accuracy"][1:])
    assert run.rows[0]["accuracy"] == 0  # all tied, and a tie is lost


def test_the_truth_is_the_one_of_a_slow_loop():
    world, run = setting(), broken_run("healthy", 0, steps=5)
    start = run.looks[0]
    length = reward = entropy = 0.0
    for row, rewards in zip(world.world.ref, world.world.rewards, strict=True):
        for p, r, text in zip(row, rewards, world.world.names, strict=True):
            words = 0 if text == "(nothing)" else len(text.split())
            length += p.item() * words / 4
            reward += p.item() * r.item() / 4
            entropy -= p.item() * math.log(p.item()) / 4
    found = [start[name] for name in ("length", "reward", "entropy", "kl", "held_out")]
    assert found == pytest.approx([length, reward, entropy, 0, 0.5], abs=1e-9)
    assert [look["steps"] for look in run.looks] == [0, 1, 2, 4, 5]


def test_the_rows_obey_the_arithmetic_of_the_loss():
    """Jensen: log(1 + e^−m) is convex, so the loss is never below it at the mean m."""
    for run in SHIPPED:
        plan = plan_of(run.name)
        plain = not (plan.nll_weight or plan.label_smoothing or plan.logs)
        for row in run.rows if plain else ():
            lowest = math.log1p(math.exp(-row["margin"]))
            digits = 1e-4 + 1e-3 * (abs(row["chosen"]) + abs(row["rejected"]))
            assert row["loss"] > lowest - digits, (run.name, row)


def test_trl_rows_have_its_names_and_the_rate_that_the_trainer_sets():
    run = broken_run("warmup_too_long", 0, steps=6, every=1)
    rows = trl_rows(run)
    assert len(rows) == 6 + 5
    weight = torch.nn.Parameter(torch.zeros(1))
    for name in ("warmup_too_long", "healthy"):
        plan = plan_of(name)
        optimiser = torch.optim.SGD([weight], plan.lr)
        for row in [r for r in trl_rows(run._replace(name=name)) if "loss" in r]:
            config = Config(lr=plan.lr, warmup=plan.warmup, steps=6)
            set_learning_rate(optimiser, config, row["step"] - 1)
            assert row["learning_rate"] == pytest.approx(
                optimiser.param_groups[0]["lr"], rel=1e-12
            )
    assert set(rows[1]) == {"step", "learning_rate", *failures.TRL.values()}
    assert "eval_rewards/margins" in rows[0]
    assert "reward" not in rows[0]
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)


# ── the data ──────────────────────────────────────────────────────────────────────────


def pairs_of(kind: str, count: int = 300, **more):
    world = setting()
    return asked(world.sentences, world.world, Plan(data=kind, **more), count, 0)


def test_pairs_are_of_the_kind_that_is_said():
    world = setting()
    words, rewards = world.words, world.world.rewards
    first = world.sentences.tokens[:, 0]
    certain = pairs_of("certain")
    gained = rewards[certain.prompts, certain.chosen]
    assert (gained >= rewards[certain.prompts, certain.rejected]).all()
    even = pairs_of("equal lengths")
    assert (words[even.chosen] == words[even.rejected]).all()
    same = pairs_of("same opening")
    assert (first[same.chosen] == first[same.rejected]).all()
    assert len({*zip(*map(torch.Tensor.tolist, pairs_of("copies")), strict=True)}) == 8
    straight, crossed = pairs_of(""), pairs_of("swapped")
    assert torch.equal(straight.chosen, crossed.rejected)
    strange = pairs_of("gibberish")
    assert (words[strange.rejected] == 3).all()
    assert (strange.chosen != strange.rejected).all()
    longer = pairs_of("", count=4_000, bonus=0.5)
    plain = pairs_of("", count=4_000)
    assert (words[longer.chosen] - words[longer.rejected]).float().mean() > (
        0.2 + (words[plain.chosen] - words[plain.rejected]).float().mean()
    )
    with pytest.raises(ValueError, match="data must be one of"):
        pairs_of("no such kind")


def test_the_prompt_counted_is_log_pi_of_the_opening_and_no_end_is_one_token_less():
    world = setting()
    pairs = pairs_of("same opening", 50)
    whole = texts_of(world.sentences, pairs, Plan(data="same opening"))
    after = texts_of(world.sentences, pairs, Plan(data="after opening"))
    assert torch.equal(whole.lengths - 1, after.lengths)
    assert torch.equal(whole.responses[:, 0, 0], after.prompts[:, 1])
    left_out = texts_of(world.sentences, pairs_of("no end", 50), Plan(data="no end"))
    for row in range(50):
        for side in range(2):
            kept = left_out.responses[row, side, : left_out.lengths[row, side]]
            assert (kept < world.sentences.end).all()
            assert len(kept)


@pytest.mark.slow
def test_counting_the_prompt_changes_the_log_and_not_the_policy():
    counted, sound = (
        broken_run(name, 1, steps=6, every=1)
        for name in ("prompt_counted", "prompt_not_counted")
    )
    for one, other in zip(counted.rows, sound.rows, strict=True):
        for name in ("loss", "margin", "grad_norm", "accuracy"):
            assert one[name] == pytest.approx(other[name], abs=1e-9)
        assert one["chosen_logps"] < other["chosen_logps"]
    assert counted.looks[-1]["kl"] == pytest.approx(sound.looks[-1]["kl"], abs=1e-9)


# ── what each one does, in a few steps ────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["beta_zero", "frozen_policy", "empty_mask", "equal_sides"]
)
def test_nothing_moves_where_no_gradient_is(name):
    run = broken_run(name, 0, steps=5, every=1)
    for row in run.rows:
        assert row["loss"] == pytest.approx(math.log(2), abs=1e-12)
        assert row["chosen"] == row["rejected"] == row["grad_norm"] == 0
    assert run.looks[-1]["kl"] == pytest.approx(0, abs=1e-12)


def test_a_shared_reference_hides_a_policy_that_runs_off():
    run = broken_run("shared_reference", 0, steps=12, every=1)
    for row in run.rows:
        assert row["loss"] == pytest.approx(math.log(2))
        assert row["grad_norm"] > 0.1
    assert run.looks[-1]["kl"] > 0.01


def test_a_moving_reference_brings_the_rewards_back_to_zero():
    run = broken_run("moving_reference", 0, steps=21, every=1)
    back = [row["step"] for row in run.rows if row["chosen"] == 0]
    assert back == [1, 11, 21]


@pytest.mark.slow
def test_what_is_printed_is_not_what_is_trained():
    names = ("healthy", "loss_summed", "one_rank")
    sound, summed, eighths = (broken_run(n, 0, steps=5, every=1) for n in names)
    assert summed.looks == eighths.looks == sound.looks
    for one, part, other in zip(summed.rows, eighths.rows, sound.rows, strict=True):
        assert one["loss"] == pytest.approx(4 * other["loss"])
        assert part["grad_norm"] == other["grad_norm"]
        assert (8 * part["accuracy"]).is_integer()
    partial = broken_run("partial_batch", 0, steps=24, every=1)
    assert [row["step"] for row in partial.rows if (3 * row["accuracy"]) % 1 < 1e-9][
        -1
    ] == 24
    assert (64 * partial.rows[-2]["accuracy"]).is_integer()


@pytest.mark.slow
def test_the_first_row_gives_a_foreign_reference_away():
    names = ("no_reference", "wrong_reference", "sister_reference", "hidden_nll")
    none, wrong, sister, hidden = (broken_run(n, 0, steps=5).rows[0] for n in names)
    assert none["chosen"] == pytest.approx(0.5 * none["chosen_logps"])
    assert wrong["chosen"] > 1
    assert 0 < abs(sister["chosen"]) < 0.5
    assert hidden["chosen"] == 0
    assert hidden["loss"] > 1.2


# ── what is shipped ───────────────────────────────────────────────────────────────────


def test_every_run_is_shipped_once_and_the_file_is_small():
    assert [(run.name, run.seed) for run in SHIPPED] == [*made.jobs()]
    assert (made.SHIPPED / "failures.jsonl").stat().st_size < 300_000
    assert {len(run.rows) for run in SHIPPED} == {16}
    assert {len(run.looks) for run in SHIPPED} == {5}


@pytest.mark.slow
@pytest.mark.parametrize(
    "job",
    [
        ("dropout_policy", 2),
        pytest.param(("healthy", 1), marks=pytest.mark.thorough),
        pytest.param(("length_bias", 3), marks=pytest.mark.thorough),
    ],
)
def test_a_failure_comes_again(job):
    again = broken_run(*job)
    (shipped,) = (run for run in SHIPPED if run[:2] == job)
    for one, other in zip(
        [*again.rows, *again.looks], [*shipped.rows, *shipped.looks], strict=True
    ):
        for name, value in other.items():
            digits = 2e-3 if "margin" in name else 6e-4  # a margin is a difference
            assert one[name] == pytest.approx(value, rel=digits, abs=2e-5 + digits)


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_shows_by_more_than_the_spread_over_seeds_or_is_silent(name):
    found = effect(name, SHIPPED)
    assert len(found.broken) == len(found.sound) == 5
    assert found.shows == (name not in SILENT), found


LN2 = math.log(2)
EVAL_LOSS = "end eval_loss"


def moved(run, name: str) -> float:
    return run.looks[-1][name] - run.looks[0][name]


SEEN = {  # what the registry says is seen: of a run's numbers, and true for each seed
    "unbounded_gap": lambda n, run: (
        n("late margin") > 3 * n("end eval_margin") > 0
        or n("late margin") > n("end eval_margin") + 1
    ),
    "over_optimised": lambda n, run: n("late loss") < LN2 - 0.1 < LN2 < n(EVAL_LOSS),
    "length_bias": lambda n, run: n("late loss") < 0.65,
    "off_policy": lambda n, run: n("first chosen_logps") < -8,
    "label_noise": lambda n, run: abs(n("late loss") - LN2) < 0.02,
    "swapped_sides": lambda n, run: (
        n("late loss") < 0.65 and n("end held_out") < 0.4 and moved(run, "reward") < 0
    ),
    "leaked": lambda n, run: n("end eval_accuracy") > n("end ceiling") + 0.03,
    "trivial_pairs": lambda n, run: 0.48 < n("end held_out") < 0.55,
    "memorised": lambda n, run: n("late accuracy") == 1 and n(EVAL_LOSS) > LN2,
    "likelihood_displacement": lambda n, run: (
        moved(run, "eval_rejected_logps") < moved(run, "eval_chosen_logps") < -2
    ),
    "beta_too_small": lambda n, run: n("late margin") < 0.1 and n("end kl") > 1.5,
    "beta_too_large": lambda n, run: n("late grad_norm") > 5,
    "rate_too_high": lambda n, run: max(r["loss"] for r in run.rows[:6]) > LN2 + 0.05,
    "rate_too_low": lambda n, run: 0 < n("late margin") < 0.02,
    "hidden_nll": lambda n, run: n("end kl") < 0.5,
    "hidden_smoothing": lambda n, run: (
        n(EVAL_LOSS) > math.log1p(math.exp(-n("end eval_margin"))) + 0.03
    ),
    "moving_reference": lambda n, run: n("late margin") < 0.2,
    "shared_reference": lambda n, run: n("late grad_norm") > 0.5,
    "mean_for_sum": lambda n, run: n("first chosen_logps") > -2,
}


@pytest.mark.parametrize("name", SEEN)
def test_what_is_said_to_be_seen_is_seen_with_every_seed(name):
    runs = runs_of(name)
    assert len(runs) == 5
    assert all(SEEN[name](partial(number, run), run) for run in runs)


@pytest.mark.slow
def test_a_gap_on_separable_pairs_grows_as_long_as_one_trains():
    runs = [broken_run("unbounded_gap", 0, steps=steps) for steps in (60, 180)]
    short, long = (number(run, "late margin") for run in runs)
    assert long > 1.3 * short


def test_cures_do_what_is_said_of_them():
    biased, sound = (values(name, "end length") for name in ("length_bias", "healthy"))
    assert max(values("equal_lengths", "end length")) < max(sound) < min(biased)
    assert min(values("per_token", "end length")) > max(biased)  # which is no cure
    fallen = values("likelihood_displacement", "end eval_chosen_logps")
    assert min(values("anchored", "end eval_chosen_logps")) > max(fallen) + 2
    lost, usual = (
        values(name, "end shortfall") for name in ("over_optimised", "healthy")
    )
    for cure in ("held_tight", "smoothed"):  # which halve it, about, and do not end it
        assert max(usual) < min(values(cure, "end shortfall"))
        assert max(values(cure, "end shortfall")) < min(lost)


def test_what_is_made_is_read_again(tmp_path, monkeypatch):
    three = [run for run in SHIPPED if run.seed == 2][:3]
    monkeypatch.setattr(made, "in_parallel", lambda run_one, jobs: three)
    assert made.make(tmp_path) == "failures.jsonl: 3 runs"
    monkeypatch.setattr(datasets, "DATA", tmp_path)
    assert datasets.shipped_failures() == three


# ── as tables ─────────────────────────────────────────────────────────────────────────


def test_a_table_has_means_and_deviations_of_the_seeds_and_says_what_is_hidden():
    told = tables.effects(["memorised", "end_left_out"], SHIPPED)
    losses = values("memorised", "end eval_loss")
    mean, s = statistics.mean(losses), statistics.stdev(losses)
    assert told.cells[0][3].split() == [f"{mean:.2f}", "±", f"{s:.2f}"]
    assert told.cells[1][2] == "words an answer, end (hidden)"
    assert "hidden" not in told.cells[0][2]


def test_causes_are_folded_in_a_page_and_whole_in_a_text():
    table = tables.causes([*FAILURES])
    html = table._repr_html_()
    assert html.startswith("<details><summary>")
    assert html.count("<tr>") == 1 + len(FAILURES)
    assert "<details>" not in str(table)
    for wrong in (tables.causes, lambda names: tables.effects(names, SHIPPED)):
        with pytest.raises(ValueError, match="name"):
            wrong(["none such"])
