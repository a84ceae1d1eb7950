"""What is shipped is what its command makes: references, and a sample of the runs."""

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.datasets import Run, run_values, shipped_runs
from course_lib.guide import SWEEPS
from course_lib.policies import best_of_n, frontier, optimal_policy
from course_lib.transformer import SHIPPED, load
from course_lib.variants import METHODS
from course_lib.worlds import World, random_world, sample_preferences, world_l, world_s
from course_tools import regenerate
from course_tools.regenerate import estimators, references, social, variants
from course_tools.regenerate import frontier as table
from course_tools.regenerate._runs import write_table

RUNS, VARIANTS, ESTIMATORS = map(shipped_runs, ("frontier", "variants", "estimators"))


@pytest.mark.slow
@pytest.mark.thorough  # the longest, and what it makes is not made often
def test_the_references_come_again(tmp_path):
    """To the bit where they were made; elsewhere rounding adds up to little."""
    assert "reference_S.pt" in references.make(tmp_path)
    for name, world in (("S", world_s()), ("L", world_l())):
        again, shipped = load(tmp_path / f"reference_{name}.pt"), load(name)
        one, other = (world.exact(model).ref for model in (again, shipped))
        assert (one * (one.log() - other.log())).sum(-1).max() < 1e-3
        assert (SHIPPED / f"reference_{name}.pt").stat().st_size < 120_000


@pytest.mark.slow
def test_the_card_of_the_website_comes_again(tmp_path):
    assert "card.png" in social.make(tmp_path / "card.png")
    with (
        Image.open(tmp_path / "card.png") as again,
        Image.open(social.SHIPPED) as shipped,
    ):
        pairs = [np.asarray(page.convert("RGB"), float) for page in (again, shipped)]
    assert np.abs(pairs[0] - pairs[1]).mean() < 1  # of 255; letters differ by machine


def test_making_a_reference_leaves_chance_as_it_was():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    references.reference(world_s(), steps=1)
    assert torch.equal(torch.rand(3), expected)


def test_every_run_that_is_promised_is_there_once():
    wanted = {(e, a, c.method, c.beta, c.seed) for e, a, c in table._configs()}
    wanted |= {("frontier", "", "best_of_n", float(n), 0) for n in table.DRAWS}
    found = [row[:5] for row in RUNS]
    assert len(found) == len(set(found))
    assert set(found) == wanted


def test_every_variant_that_is_promised_is_there_once():
    assert [row[:5] for row in VARIANTS] == [*variants.jobs()]
    assert set(SWEEPS) - {"cdpo"} == set(METHODS) - {"sft"}
    for name, sweep in SWEEPS.items():
        for arm in (arm for arm, swept in variants.SWEPT.items() if name in swept):
            found = [row for row in VARIANTS if (row.method, row.arm) == (name, arm)]
            wanted = itertools.product(sweep.values, range(5))
            assert {(row.beta, row.seed) for row in found} == {*wanted}


def test_every_estimator_that_is_promised_is_there_once():
    found = [(row.experiment, row.arm, row.method, row.seed) for row in ESTIMATORS]
    arms = [f"{count} pairs" for count in estimators.COUNTS]
    ends = itertools.product(["end"], arms, estimators.ESTIMATORS, range(5))
    best = itertools.product(["best"], arms, ("dpo", "tilt"), range(5))
    assert sorted(found) == sorted([*ends, *best])


def test_a_table_s_reward_and_then_its_tilt_is_dpo_on_the_table():
    """One stage is two stages where the classes match: on any data, with any prior."""
    world = World(("a", "b", "c", "d"), *random_world(0, responses=4, worlds=2)[1:])
    asked = sample_preferences(world, 60, seed=0)
    two = optimal_policy(world.ref, estimators.fit_table(world, asked), 0.5).log()
    logits = two.clone().requires_grad_()
    implicit = 0.5 * (logits.log_softmax(-1) - world.ref.log())
    centred = implicit - implicit.mean(-1, keepdim=True)  # where the prior is largest
    prompts, w, l = asked  # noqa: E741
    gap = centred[prompts, w] - centred[prompts, l]
    loss = -torch.nn.functional.logsigmoid(gap).sum() + (centred**2).sum() / 2
    (slope,) = torch.autograd.grad(loss, logits)
    assert slope.abs().max() < 1e-5


def frontier_job(method: str, beta: float, seed: int) -> tuple:
    jobs = {(e, c.method, c.beta, c.seed): (e, a, c) for e, a, c in table._configs()}
    return jobs["frontier", method, beta, seed]


def more(*of):
    return pytest.param(*of, marks=pytest.mark.thorough)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "job"),
    [
        (table, frontier_job("dpo", 0.5, 1)),
        more(table, frontier_job("simpo", 2.0, 2)),
        more(variants, ("data", "20 % noise", "ipo", 0.1, 4)),
        (variants, ("data", "single thumbs", "kto", 0.5, 2)),
        more(variants, ("online", "5 rounds", "dpo", 0.1, 0)),
    ],
)
def test_a_run_comes_again(module, job):
    """Another processor rounds differently, in the sixteenth digit."""
    again = module._run(*job)
    rows = RUNS if module is table else VARIANTS
    (shipped,) = (row for row in rows if row[:5] == again[:5])
    numbers = list(shipped[5:-1])
    assert list(again[5:-1]) == pytest.approx(numbers, abs=2e-5, nan_ok=True)


@pytest.mark.slow
def test_an_estimate_comes_again():
    (again,) = estimators._run("table", 10_000, 3)
    (shipped,) = (row for row in ESTIMATORS if row[:5] == again[:5])
    assert list(again[5:-1]) == pytest.approx(list(shipped[5:-1]), abs=2e-5)


def test_no_run_stands_above_the_frontier():
    world = world_s().exact(load("S"))
    for row in [*RUNS, *VARIANTS, *ESTIMATORS]:
        assert row.shortfall > -1e-6
    for n in (2, 16):
        policy = best_of_n(world.ref, world.rewards, n)
        reward = (policy * world.rewards).sum(-1).mean().item()
        kl = torch.xlogy(policy, policy / world.ref).nansum(-1).mean().item()
        (run,) = (r for r in RUNS if (r.method, r.beta) == ("best_of_n", n))
        assert (run.reward, run.kl) == pytest.approx((reward, kl), abs=1e-6)
        assert run.kl <= math.log(n) - (n - 1) / n + 1e-9
    point = frontier(world.ref, world.rewards, [0.5])
    best = point.expected_reward.mean().item()
    for method in ("expected", "ppo"):
        reward, *_ = run_values(RUNS, "reward", method=method, beta=0.5)
        assert reward == pytest.approx(best, abs=0.02)


def test_runs_are_found_by_what_they_have():
    seeds = run_values(RUNS, "seed", method="dpo", beta=0.5, experiment="frontier")
    assert seeds == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="no run with"):
        run_values(RUNS, "seed", method="grpo")


def test_a_table_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "runs.csv"
    row = Run("e", "", "dpo", 0.5, 0, *[0.25] * 9)
    assert write_table(Run._fields, [row], file) == "runs.csv: 1 rows"
    before = file.read_bytes()
    assert before.splitlines()[0].decode() == ",".join(Run._fields)

    def broken():
        yield row
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(Run._fields, broken(), file)
    assert file.read_bytes() == before


def test_the_verb_says_what_can_be_made(capsys):
    with pytest.raises(SystemExit, match="0"):
        regenerate.main(["--help"])
    said = capsys.readouterr().out
    for thing in (estimators, references, table, variants):
        assert thing.__doc__.partition("\n")[0] in said
    for wrong in ([], ["nothing"], ["references", "more"]):
        with pytest.raises(SystemExit, match="2"):
            regenerate.main(wrong)
        assert "references" in capsys.readouterr().err
