"""The clinic: every patient is ill, every healthy function is well, and it is told."""

import math

import oracles
import pytest
import torch
from oracles import F64, cost, tensor

from course_lib import bugs
from course_lib.bugs import (
    BUGGY,
    SOUND,
    dpo_loss_is_sound,
    response_logprobs_are_sound,
    treat,
)

EXAMINATIONS = {
    "loss": dpo_loss_is_sound,
    "logprobs": response_logprobs_are_sound,
}
ILL = list(BUGGY.items())
WELL = [(kind, f) for kind, functions in SOUND.items() for f in functions]


@pytest.mark.parametrize(("name", "patient"), ILL, ids=BUGGY)
def test_a_patient_is_found_ill_and_described(name, patient):
    assert EXAMINATIONS[patient.concerns](patient.function) is False
    assert patient.function.__name__ == name
    for text in (patient.does, patient.shipped):
        assert 30 < len(text) < 160
        assert text.endswith(".")


@pytest.mark.parametrize(("kind", "function"), WELL, ids=[f.__name__ for _, f in WELL])
def test_the_healthy_are_found_well(kind, function):
    assert EXAMINATIONS[kind](function) is True


def test_patients_that_were_met_in_code_and_those_that_were_not():
    """A formula, a report and a mask on one side are relatives, and say so."""
    met = {name: p.in_code for name, p in BUGGY.items()}
    assert sum(met.values()) == 13
    assert {p.concerns for p in BUGGY.values() if p.in_code} == {"loss", "logprobs"}
    assert {n for n, p in BUGGY.items() if p.shipped.startswith("Not met")} == {
        "swapped_pair",
        "beta_forgotten",
        "prompt_counted",
    }
    said = {name for name, p in BUGGY.items() if "ot met" in p.shipped}
    assert said == {name for name, is_met in met.items() if not is_met}


# log-ratios 1 and −1, −1 and 1: gaps 2 and −2
FOUR = tensor([-5.0, -9.0], [-7.0, -3.0], [-6.0, -8.0], [-6.0, -4.0])


@pytest.mark.parametrize(
    ("name", "value"),
    [  # by hand, at β = ½
        ("swapped_pair", (cost(-1) + cost(1)) / 2),
        ("reference_dropped", (cost(1) + cost(-3)) / 2),
        ("reference_follows", math.log(2)),
        ("beta_forgotten", (cost(2) + cost(-2)) / 2),
        ("beta_twice", (cost(0.5) + cost(-0.5)) / 2),
        ("mean_before_log", math.log(2)),
        ("sum_over_pairs", cost(1) + cost(-1)),
        ("log_of_sigmoid", (cost(1) + cost(-1)) / 2),
        ("rejected_detached", (cost(1) + cost(-1)) / 2),
    ],
)
def test_a_sick_loss_has_the_symptom_that_is_told(name, value):
    assert oracles.isclose(BUGGY[name].function(*FOUR, 0.5), value)


def test_a_sigmoid_s_logarithm_breaks_and_its_patch_stops_pushing():
    far = tensor([-4000.0], [0.0], [0.0], [0.0]).requires_grad_()
    assert BUGGY["log_of_sigmoid"].function(*far, 0.5).item() == math.inf
    patched = BUGGY["sigmoid_plus_epsilon"].function(*far, 0.5)
    assert patched.item() == pytest.approx(-math.log(1e-8))
    assert torch.autograd.grad(patched, far)[0].abs().max() == 0


LABELS = torch.tensor([[3, 2, 2, 1, 0], [2, 3, 2, 3, 1]])
MASK = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
# token i has probability proportional to 1, 2, 3, 4, and twice that weight at time 3
CHANCE = tensor(1.0, 2, 3, 4)
LOGITS = CHANCE.log().expand(2, 5, 4).clone()
LOGITS[:, 3] = tensor(1.0, 1, 1, 7).log()
P, Q = (CHANCE / 10).log().tolist(), (LOGITS[0, 3].exp() / 10).log().tolist()


@pytest.mark.parametrize(
    ("name", "first"),
    [  # by hand, for the first row: tokens 3 2 | 2 1 | 0
        ("no_shift", P[2] + Q[1]),
        ("mask_off_by_one", P[1] + Q[0]),
        ("mask_inverted", P[2] + Q[0]),
        ("prompt_counted", P[2] + P[2] + P[1]),
        ("padding_counted", P[2] + P[1] + Q[0]),
        ("end_left_out", P[2]),
        ("averaged", (P[2] + P[1]) / 2),
        ("first_prompt_for_all", P[2] + P[1]),
        ("vocabulary_summed", 2 * sum(P)),
        ("raw_logits", P[2] + P[1] + 2 * math.log(10)),
    ],
)
def test_sick_logprobs_have_the_symptom_that_is_told(name, first):
    found = BUGGY[name].function(LOGITS, LABELS, MASK)
    assert oracles.isclose(found[0], first)


def test_half_precision_rounds_each_token_to_a_few_digits():
    found = BUGGY["half_precision"].function(LOGITS, LABELS, MASK)
    error = (found[0] - (P[2] + P[1])).abs().item()
    assert 1e-4 < error < 0.05
    assert found.dtype == F64


def test_the_healthy_may_answer_in_float32_and_no_coarser():
    upcast = next(f for f in SOUND["logprobs"] if f.__name__ == "by_upcast")
    assert upcast(LOGITS, LABELS, MASK).dtype == torch.float32
    assert response_logprobs_are_sound(upcast) is True
    assert response_logprobs_are_sound(lambda *x: upcast(*x).bfloat16()) is False
    assert response_logprobs_are_sound(lambda *x: upcast(*x) + 1e-4) is False


def test_the_first_prompt_hides_in_the_first_row_and_time_in_equal_rows():
    found = BUGGY["first_prompt_for_all"].function(LOGITS, LABELS, MASK)
    assert oracles.isclose(found[1], P[2] + P[3] + Q[1])
    over_time = BUGGY["softmax_over_time"].function(LOGITS, LABELS, MASK)
    share = 3 / (3 + 3 + 3 + 1), 2 / (2 + 2 + 2 + 1)
    assert oracles.isclose(over_time[0], math.log(share[0]) + math.log(share[1]))


@pytest.mark.parametrize(
    "loss",
    [
        lambda *four: SOUND["loss"][0](*four)[None],
        lambda *four: SOUND["loss"][0](*four).detach(),
        lambda *four: SOUND["loss"][0](*four) * 1.001,
        lambda a, b, c, d, beta: SOUND["loss"][0](a, b, c, d, 0.1),
    ],
    ids=["a dimension more", "no gradient", "a thousandth more", "its own beta"],
)
def test_other_illnesses_of_a_loss_are_found(loss):
    assert dpo_loss_is_sound(loss) is False


@pytest.mark.parametrize(
    "wrong",
    [
        lambda *given: SOUND["logprobs"][0](*given)[:, None],
        lambda *given: SOUND["logprobs"][0](*given) * 1.001,
        lambda *given: SOUND["logprobs"][0](*given).mean(),
    ],
    ids=["a dimension more", "a thousandth more", "a mean"],
)
def test_other_illnesses_of_logprobs_are_found(wrong):
    assert response_logprobs_are_sound(wrong) is False


def test_what_a_function_raises_is_raised():
    def broken(*_):
        raise ZeroDivisionError

    for examination in EXAMINATIONS.values():
        with pytest.raises(ZeroDivisionError):
            examination(broken)


def test_a_treated_table_follows_the_formula():
    """One step by hand: logits move by Σ β σ(−βh)/3 (e_w − e_l)."""
    course = treat(SOUND["loss"][0], steps=1)
    assert oracles.isclose(course.logged[0], math.log(2))
    assert course.gaps[0] == 0
    step = 0.25 / 3  # β σ(0) / 3 a pair; answers 2, 2, 3 over 0, 1, 0
    moved = [-2 * step, -step, 2 * step, step]
    gap = ((moved[2] - moved[0]) + (moved[2] - moved[1]) + (moved[3] - moved[0])) / 3
    assert oracles.isclose(course.gaps[1], gap)
    assert course.chosen[1] > course.chosen[0]


def test_what_each_sick_loss_does_to_a_run():
    sound = treat(SOUND["loss"][0])
    runs = {n: treat(p.function) for n, p in ILL if p.concerns == "loss"}
    assert all(len(run.logged) == len(run.gaps) == 61 for run in runs.values())
    assert runs["swapped_pair"].gaps[-1] < 0 < sound.gaps[-1]
    assert runs["swapped_pair"].logged[-1] < math.log(2)
    still = [math.log(2)] * 61
    assert runs["reference_follows"].logged == pytest.approx(still, abs=5e-13)
    assert runs["reference_follows"].gaps[-1] > 2 * sound.gaps[-1]
    assert runs["sum_over_pairs"].logged[0] == pytest.approx(3 * math.log(2))
    assert runs["log_of_sigmoid"].gaps == pytest.approx(sound.gaps)


def test_every_public_function_says_where_it_comes_from():
    assert len(oracles.contract(bugs)) == 3
    assert oracles.undocumented(bugs) == []
