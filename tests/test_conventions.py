"""What libraries mean: the table is whole, and TRL's own code is run beside ours."""

import math
import re
from types import SimpleNamespace

import pytest
import torch
from oracles import cost, log_odds, sigma
from test_bench_trainer import NO_TRL

from course_lib import losses, variants
from course_lib.datasets import conventions_table, shipped_conventions
from course_tools.benchmarks import trainer

ROWS = shipped_conventions()
QUESTIONS = list(dict.fromkeys(row.asks for row in ROWS))
PAIRS = 3


# ── the table ─────────────────────────────────────────────────────────────────────────


def test_every_row_is_whole_and_says_where_it_was_read():
    for row in ROWS:
        *always, _ = row
        assert all(cell and cell == cell.strip() for cell in always), row
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", row.repository), row
        assert row.version == "1.16.0" or re.fullmatch("[0-9a-f]{7}", row.version), row
        assert (row.version == "1.16.0") == (row.library == "TRL")
        assert row.file.endswith(".py")
    keys = [(row.asks, row.library, row.loss) for row in ROWS]
    assert len(set(keys)) == len(keys)
    homes = {(row.library, row.repository) for row in ROWS}
    assert len(homes) == len({row.library for row in ROWS}) == 11


@pytest.mark.parametrize("asks", QUESTIONS)
def test_a_table_has_a_line_for_each_answer_and_fits(asks):
    lines = str(conventions_table(asks)).splitlines()[2:]
    assert len(lines) == len(shipped_conventions(asks)) > 1
    assert max(len(line) for line in lines) <= 88
    for line, row in zip(lines, shipped_conventions(asks), strict=True):
        assert line.startswith(f"{row.library} {row.version} ")
        assert line.endswith(f" {row.answer}")


def test_they_do_not_all_answer_the_same():
    for asks in QUESTIONS:
        assert len({row.answer for row in shipped_conventions(asks)}) > 1, asks


def test_a_question_that_nobody_was_asked_is_refused():
    with pytest.raises(ValueError, match=r"asks must be one of sum or average, .*temp"):
        conventions_table("temperature")


# ── what the table calls ours, against formulas written for one pair ─────────────────

SETTINGS = {"beta": 0.3, "gamma": 0.4, "ratio": 0.25, "epsilon": 0.1}
SETTINGS |= {"alpha": 0.7}


def inputs() -> dict:
    random = torch.Generator().manual_seed(2)

    def below_zero(*size):
        return -torch.rand(*size, generator=random, dtype=torch.float64) - 0.1

    four, lengths = 9 * below_zero(4, PAIRS), torch.tensor([[4, 7, 9], [3, 8, 2]])
    return {
        **SETTINGS,
        "four": four,
        "two": four[:2],
        "none": torch.zeros(2, PAIRS, dtype=torch.float64),
        "averages": four[:2] / lengths,
        "lengths": dict(
            zip(("chosen_lengths", "rejected_lengths"), lengths, strict=True)
        ),
        "nll": -below_zero(PAIRS),
        "nll_of_all": -below_zero(PAIRS),
        "one": (*9 * below_zero(2, PAIRS), torch.tensor([True, False, True])),
        "others": (9 * below_zero(PAIRS) + 5, 9 * below_zero(PAIRS)),
    }


def odds(o, nll: float, weight: float) -> float:
    return nll + weight * cost(log_odds(o.a) - log_odds(o.b))


def smooth(o, margin: float) -> float:
    return (1 - o.epsilon) * cost(margin) + o.epsilon * cost(-margin)


def kto(o, z: float) -> float:
    return 1 - sigma(o.beta * (o.x - z if o.good else z - o.x))


FORMULAS = {
    "dpo_loss(*four, beta)": lambda o: cost(o.beta * o.h),
    "dpo_loss(*four, beta, label_smoothing=epsilon)": lambda o: smooth(o, o.beta * o.h),
    "robust_dpo_loss(*four, beta, label_smoothing=epsilon)": lambda o: (
        ((1 - o.epsilon) * cost(o.beta * o.h) - o.epsilon * cost(-o.beta * o.h))
        / (1 - 2 * o.epsilon)
    ),
    "dpo_loss(*two, *none, beta)": lambda o: cost(o.beta * o.free),
    "dpo_loss(*two, *none, beta, label_smoothing=epsilon)": lambda o: smooth(
        o, o.beta * o.free
    ),
    "cpo_loss(*two, nll, beta, weight=0.0)": lambda o: cost(o.beta * o.free),
    "length_normalized_dpo_loss(*four, beta=beta, **lengths)": lambda o: cost(
        o.beta * o.h_per_token
    ),
    "length_normalized_dpo_loss(*four, beta=100 * beta, **lengths)": lambda o: cost(
        100 * o.beta * o.h_per_token
    ),
    "length_normalized_dpo_loss(*two, *none, beta=beta, **lengths)": lambda o: cost(
        o.beta * (o.a - o.b)
    ),
    "ipo_loss(*four, tau=beta)": lambda o: (o.h - 1 / (2 * o.beta)) ** 2,
    "ipo_loss(*four, tau=beta, **lengths)": lambda o: (
        (o.h_per_token - 1 / (2 * o.beta)) ** 2
    ),
    "hinge_loss(*four, beta)": lambda o: max(0, 1 - o.beta * o.h),
    "hinge_loss(*four, gamma)": lambda o: max(0, 1 - o.gamma * o.h),
    "beta * hinge_loss(*two, *none, 1 / beta)": lambda o: max(0, o.beta - o.free),
    "orpo_loss(*averages, nll, weight=beta)": lambda o: odds(o, o.nll, o.beta),
    "orpo_loss(*averages, nll_of_all, weight=beta)": lambda o: odds(o, o.all, o.beta),
    "orpo_loss(*averages, nll_of_all, weight=alpha)": lambda o: odds(o, o.all, o.alpha),
    "simpo_loss(*averages, beta, gamma)": lambda o: cost(
        o.beta * (o.a - o.b) - o.gamma
    ),
    "simpo_loss(*averages, beta, gamma=beta * ratio)": lambda o: cost(
        o.beta * (o.a - o.b - o.ratio)
    ),
    "simpo_loss(*averages, beta, gamma) + nll.mean()": lambda o: (
        cost(o.beta * (o.a - o.b) - o.gamma) + o.nll
    ),
    "kto_loss(*one, kto_reference_point(*others), beta)": lambda o: kto(o, o.z),
    "kto_loss(*one, 0.0, beta)": lambda o: kto(o, 0.0),
    'dpo_metrics(*four, beta)["margin"]': lambda o: o.beta * o.h,
    'dpo_metrics(*four, beta)["gap"]': lambda o: o.h,
    "beta * (averages[0] - averages[1]).mean()": lambda o: o.beta * (o.a - o.b),
}


def pair(given: dict, i: int) -> SimpleNamespace:
    """The i-th pair in the letters of the formulas."""
    w, v, ref_w, ref_v = given["four"][:, i].tolist()
    m, n = (lengths[i].item() for lengths in given["lengths"].values())
    x, ref_x, good = (tensor[i].item() for tensor in given["one"])
    shift = [a - b for a, b in zip(*(t.tolist() for t in given["others"]), strict=True)]
    return SimpleNamespace(
        **SETTINGS,
        h=(w - ref_w) - (v - ref_v),
        h_per_token=(w - ref_w) / m - (v - ref_v) / n,
        free=w - v,
        a=w / m,
        b=v / n,
        nll=given["nll"][i].item(),
        all=given["nll_of_all"][i].item(),
        x=x - ref_x,
        good=good,
        z=max(0.0, sum(shift) / len(shift)),
    )


@pytest.mark.parametrize("expression", sorted({row.ours for row in ROWS} - {""}))
def test_ours_is_the_formula_that_the_library_has(expression):
    given = inputs()
    names = {name: getattr(m, name) for m in (losses, variants) for name in m.__all__}
    found = eval(expression, {"__builtins__": {}}, names | given)
    formula = FORMULAS[expression]
    must = math.fsum(formula(pair(given, i)) for i in range(PAIRS)) / PAIRS
    assert float(found) == pytest.approx(must, rel=1e-12)


# ── TRL, run ──────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def beside_trl() -> dict:
    """What trl_losses.py finds, in TRL's own environment, alone and offline."""
    if trainer.home() is None:
        pytest.skip(NO_TRL)
    return trainer.beside_trl("tests.trl_losses.compare")


@pytest.mark.slow
def test_trl_s_losses_and_slopes_are_ours(beside_trl):
    """24 settings of its losses, each by the call of ours that the table names."""
    same = dict(beside_trl["same"])
    # TRL's alpha divergence has no clamp for float64 and raises KeyError there
    narrow = same.pop("alpha_divergence, float32")
    assert "alpha_divergence" not in same
    assert narrow["value"] <= 1e-6
    assert narrow["slope"] <= 1e-6 * narrow["size"]
    assert len(same) == 23
    for name, found in same.items():
        assert found["value"] <= 1e-9, name
        assert found["slope"] <= 1e-9, name
        assert found["size"] > 1e-4, name


@pytest.mark.slow
def test_by_another_convention_they_are_not(beside_trl):
    """Sums for averages, γ for γ/β, the answer's NLL, cDPO: each would be seen."""
    for name, found in beside_trl["apart"].items():
        assert found["value"] > 1e-3, name
        assert found["slope"] > 1e-3 * found["size"], name


@pytest.mark.slow
def test_trl_logs_beta_times_the_summed_gap_for_ipo_too(beside_trl):
    assert beside_trl["logged"]["sigmoid"]["margins"] == pytest.approx(
        beside_trl["margin"], rel=1e-9
    )
    assert beside_trl["logged"]["ipo"] == beside_trl["logged"]["sigmoid"]


@pytest.mark.slow
def test_where_an_answer_is_certain_trl_s_odds_have_no_slope(beside_trl):
    """`where` passes the unused branch's infinite slope times 0: NaN. Ours does not."""
    assert beside_trl["certain"] == [False, True]
