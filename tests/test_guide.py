"""The guide reads the runs: known winners, ties, gaps in the table, no favourites."""

import itertools
import math
import statistics

import pytest

from course_lib import plots
from course_lib.datasets import Run, run_values, shipped_runs
from course_lib.guide import NAMES, QUESTIONS, SWEEPS, advise, evidence, reward_at_kl
from course_lib.sliders.painting import Painter
from course_lib.variants import REFERENCE_FREE, LossSettings
from course_tools.regenerate.variants import DATA, SWEPT

RUNS = shipped_runs("variants")
NUMBERS = len(Run._fields) - 5
ANSWERS = [
    dict(zip(QUESTIONS, answers, strict=True))
    for answers in itertools.product(*QUESTIONS.values())
]


def rows(table: dict[tuple[str, str], list[float]]) -> list[Run]:
    """A run for each number: by method and data; every field has that number."""
    return [
        Run("data", arm, method, SWEEPS[method].usual, seed, *[value] * NUMBERS)
        for (method, arm), values in table.items()
        for seed, value in enumerate(values)
    ]


def test_the_table_is_whole_and_every_variant_has_a_name():
    cells = evidence(RUNS, "kl")
    rows = {*SWEEPS} - {"apo_zero"}
    single = {("kto", arm) for arm in ("single thumbs", "single, 20 % noise")}
    whole = set(itertools.product(rows, DATA)) | single | {("dpo_rounds", "clean")}
    assert set(cells) == whole
    assert set(NAMES) == {*rows, "dpo_rounds"}
    asked = {d for each in QUESTIONS.values() for data in each.values() for d in data}
    assert asked == set(DATA)


def mean(field: str, **where) -> float:
    return statistics.fmean(run_values(RUNS, field, **where))


@pytest.mark.parametrize("arm", ["clean", "20 % noise"])
def test_kto_and_apo_zero_are_one_piece_of_evidence(arm):
    """Nearly the same runs: the point of KTO stays at 0, or close to it."""
    told = {"arm": arm, "beta": SWEEPS["kto"].usual}
    kto = run_values(RUNS, "distance", method="kto", **told)
    apo = run_values(RUNS, "distance", method="apo_zero", **told)
    assert statistics.fmean(kto) == pytest.approx(statistics.fmean(apo), abs=0.03)
    assert statistics.correlation(kto, apo) > 0.7


def test_a_sweep_goes_from_little_kl_to_much():
    for name, sweep in SWEEPS.items():
        assert sweep.knob in LossSettings._fields
        if name not in ("apo_zero", "kto", "simpo"):  # whose knob hardly moves them
            for arm in (arm for arm, swept in SWEPT.items() if name in swept):
                told = {"method": name, "arm": arm}
                kls = [mean("kl", beta=value, **told) for value in sweep.values]
                assert kls == sorted(kls), (name, arm)


def test_rewards_are_compared_at_one_kl_and_never_beyond_the_sweep():
    for arm in ("clean", "20 % noise"):
        at = {kl: reward_at_kl(RUNS, arm, kl) for kl in (0.4, 0.8)}
        for name in at[0.4].keys() & at[0.8].keys():
            assert at[0.4][name].mean < at[0.8][name].mean + 0.2
        assert "simpo" not in at[0.4]  # spends more at each of its settings
    one = [
        Run("data", "clean", "dpo", beta, 0, beta, kl, *[0.0] * 7)
        for beta, kl in ((0.2, 1.0), (0.5, 0.25), (1.0, 0.04))
    ]
    assert reward_at_kl(one, "clean", 0.25)["dpo"].mean == pytest.approx(0.5)
    assert reward_at_kl(one, "clean", 0.03) == {}


@pytest.mark.parametrize("given", ANSWERS, ids=lambda given: ", ".join(given.values()))
def test_only_what_can_be_used_and_was_measured_is_advised(given):
    advice = advise(RUNS, **given)
    named = {cell.variant for cell in (*advice.ranking, *advice.because)}
    if given["data"] == "thumbs, single":
        assert named <= {"kto"}
    if given["reference"] == "no room for it":
        assert named <= set(REFERENCE_FREE)
    if given["ask"] == "asked once":
        assert "dpo_rounds" not in named
    assert bool(named) == (
        (given["data"], given["reference"]) != ("thumbs, single", "no room for it")
    )
    assert len(advice.instead) == sum(len(each) - 1 for each in QUESTIONS.values())
    for answer, other in advice.instead.items():
        (name,) = (name for name, answers in QUESTIONS.items() if answer in answers)
        asked = advise(RUNS, **given | {name: answer})
        assert (other and other.variant) == asked.variant


@pytest.mark.parametrize("noise", ["0 % wrong", "20 % wrong"])
@pytest.mark.parametrize("field", ["distance", "shortfall"])
def test_one_kind_of_data_is_the_least_mean_of_its_column(noise, field):
    arm = {"0": "clean", "2": "20 % noise"}[noise[0]]
    means = {
        method: mean(field, method=method, arm=arm, beta=sweep.usual)
        for method, sweep in SWEEPS.items()
        if method != "apo_zero"
    }
    advice = advise(RUNS, noise=noise, field=field)
    assert [cell.variant for cell in advice.ranking] == sorted(means, key=means.get)
    assert advice.because == advice.ranking[:1]
    assert advice.together
    assert not advice.missing
    assert advice.ranking[0].mean == pytest.approx(min(means.values()), abs=1e-12)


def test_the_worst_cell_decides_where_answers_meet():
    noisy, long = "20 % noise", "long is liked"
    table = {("dpo", noisy): [0.1], ("dpo", long): [0.9]}
    runs = rows(table | {("ipo", noisy): [0.5], ("ipo", long): [0.4]})
    advice = advise(runs, noise="20 % wrong", length="length is liked")
    assert (advice.variant, advice.together) == ("ipo", False)
    assert [(c.data, c.mean) for c in advice.because] == [(noisy, 0.5), (long, 0.4)]
    assert advise(runs, noise="20 % wrong").variant == "dpo"


def test_a_tie_is_called_a_tie():
    clear = rows({("dpo", "clean"): [0.1, 0.2], ("ipo", "clean"): [0.3, 0.4]})
    close = rows({("dpo", "clean"): [0.1, 0.3], ("ipo", "clean"): [0.3, 0.4]})
    assert advise(clear).tied == ()
    assert advise(close).tied == ("ipo",)
    assert "A tie in these runs with IPO" in sentence(close)
    assert "next IPO, 0.35, in no seed as good" in sentence(clear)


def sentence(runs: list[Run], **given: str) -> str:
    return Painter(*plots.decision_guide(runs), [given]).paint(**given)


def test_what_was_not_measured_is_said():
    runs = rows({("dpo", "clean"): [0.1], ("kto", "clean"): [math.nan]})
    advice = advise(runs, length="length is liked")
    assert (advice.variant, advice.missing) == (None, ("long is liked",))
    assert [cell.variant for cell in advise(runs).ranking] == ["dpo"]
    both = advise(runs, noise="? % wrong")
    assert (both.variant, both.missing) == ("dpo", ("20 % noise",))
    assert "No run has: 20 % noise" in sentence(runs, noise="? % wrong")


def test_rounds_count_only_where_they_ran():
    offline = rows({("dpo", arm): [0.3] for arm in DATA})
    rounds = [
        Run("online", "5 rounds", "dpo", b, 0, *[b / 5] * NUMBERS) for b in (0.1, 0.5)
    ]
    runs = offline + rounds
    assert advise(runs).variant == "dpo"
    asked = advise(runs, ask="asked again")
    assert asked.variant == "dpo_rounds"
    assert asked.ranking[0].mean == 0.1  # at the β of the table, not the better one
    noisy = advise(runs, ask="asked again", noise="20 % wrong")
    assert (noisy.variant, noisy.missing) == ("dpo", ("new labels on such data",))


@pytest.mark.parametrize(
    ("name", "answer"), [("noise", "a lot"), ("data", "clean"), ("field", "reward")]
)
def test_an_answer_that_there_is_not(name, answer):
    with pytest.raises(ValueError, match=f"{name} must be one of"):
        advise(RUNS, **{name: answer})


@pytest.mark.slow
@pytest.mark.parametrize("field", ["distance", "shortfall"])
def test_every_sentence_names_its_cell_and_is_short(field):
    painter = Painter(*plots.decision_guide(RUNS, field), [{}])
    for given in ANSWERS:
        advice, said = advise(RUNS, field=field, **given), painter.paint(**given)
        assert 40 < len(said) < 400
        assert said.startswith(NAMES.get(advice.variant, "None of the variants"))
        assert ("tie" in said) == bool(advice.tied)
        for cell in advice.because:
            assert f"{cell.data} {cell.mean:.2f}" in said
