"""What the bench of `diagnose` reads is what a library would have written."""

import pytest

from course_lib.datasets import shipped_failures
from course_lib.diagnosis import diagnose
from course_lib.diagnosis.reading import read
from course_lib.failures import Plan, trl_rows
from course_tools.benchmarks import diagnose as bench


@pytest.mark.parametrize("form", bench.FORMS)
def test_each_form_holds_the_same_numbers(form):
    rows = trl_rows(shipped_failures("healthy")[0])
    told, plain = (read(write(rows)) for write in (bench.FORMS[form], lambda r: r))
    for part in ("train", "eval"):
        mine, theirs = told.part(part), plain.part(part)
        assert len(mine) == len(theirs) > 4
        for name in ("loss", "chosen_reward", "rejected_logps"):
            assert list(mine[name]) == pytest.approx(list(theirs[name]), abs=1e-4)


def test_other_healthy_runs_are_plans_and_their_rate_is_logged():
    run = shipped_failures("healthy")[0]
    for change, steps, every in bench.ORDINARY.values():
        plan = Plan(**change)
        rates = [row["learning_rate"] for row in trl_rows(run, plan) if "loss" in row]
        assert max(rates) <= plan.lr
        assert steps > every


def test_the_table_has_every_kind_and_what_was_missed():
    figures = {"healthy": [39, 40], "planted": [9, 9], "missed": {"kto": 1}}
    lines = bench.table(figures).splitlines()
    assert lines[0].split() == ["healthy", "39", "of", "40", "(98%)"]
    assert lines[-1].split() == ["missed", "kto", "(1)"]


def test_the_failures_that_were_missed_once_are_named():
    for name, found in (("rate_too_high", "too_fast"), ("moving_reference", None)):
        for run in shipped_failures(name):
            classes = diagnose(trl_rows(run), beta=0.5).classes
            assert {found or name, "lr_too_high"} & {*classes}
