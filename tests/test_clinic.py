"""The clinic can be solved from what it shows, and it tells nobody what it does not."""

import itertools
import math
import statistics

import pytest
import torch

from course_lib import check, clinic
from course_lib.checking.clinic_answers import AILMENTS, ALIKE, EXPERIMENTS, told_apart
from course_lib.checking.clinic_runs import RUNS, Clinic
from course_lib.datasets import shipped_failures
from course_lib.failures import FAILURES, HEALTHY
from course_lib.metrics import beta_from_moves

LN2 = math.log(2)
SEEDS = range(8)


class Seen:
    """What a person reads off the six panels, as numbers."""

    def __init__(self, run):
        self.rows, looks = run.rows, run.looks
        self.first, self.start, self.end = run.rows[0], looks[0], looks[-1]
        self.gradient = statistics.fmean(row["grad_norm"] for row in self.rows)
        self.late_loss = statistics.fmean(row["loss"] for row in self.rows[-3:])
        self.moved = self.end["eval_chosen_logps"] - self.start["eval_chosen_logps"]
        rewards = [row[side] for row in run.rows for side in ("chosen", "rejected")]
        self.largest = max(map(abs, rewards))
        self.cliff = min(rewards[: 2 * 4])
        self.stuck = self.largest == 0 and abs(self.late_loss - LN2) < 1e-3
        self.at_start = (
            self.first["chosen"] == 0 and abs(self.first["loss"] - LN2) < 1e-3
        )
        self.sides = [{row["chosen_logps"], row["rejected_logps"]} for row in self.rows]
        sides = ("chosen", "rejected")
        pay = torch.tensor(
            [[k[f"eval_{side}"] for k in looks] for side in sides]
        ).double()
        logps = torch.tensor(
            [[k[f"eval_{s}_logps"] for k in looks] for s in sides]
        ).double()
        self.beta = beta_from_moves(pay, logps).item()
        self.returns = pay.abs().max() > 1.5 * pay[:, -1].abs().max()
        thirds = [3 * row["accuracy"] for row in self.rows if row["step"] % 24 == 0]
        self.thirds = all(abs(x - round(x)) < 2e-3 for x in thirds)
        self.overfits = self.end["eval_loss"] > self.late_loss + 0.3
        self.foreign = self.start["eval_chosen_logps"] < -8
        self.trivial = self.start["eval_rejected_logps"] < -8 and not self.foreign


def reading(run) -> str:
    """A person's reading, from the plainest sign to what is left: no failure."""
    it = Seen(run)
    far = it.moved < -3 and it.gradient < 5
    half = abs(it.end["eval_accuracy"] - 0.5) < 0.04
    signs = [
        ("nothing counted", it.stuck and it.sides[0] == {0.0}),
        ("equal answers", it.stuck and all(len(pair) == 1 for pair in it.sides)),
        ("reference is the policy", it.stuck and it.gradient > 0),
        ("no gradient", it.stuck),
        ("wrong reference", it.first["chosen"] > 0.5),
        ("no reference", it.first["chosen"] < -0.5),
        ("summed loss", abs(it.first["loss"] - 4 * LN2) < 0.01),
        ("hidden term", not it.at_start),
        ("foreign answers", it.foreign),
        ("trivial pairs", it.trivial),
        ("too few pairs", it.overfits),
        ("rate too low", it.largest < 0.01),
        ("beta too large", it.gradient > 5),
        ("rate too high", it.cliff < -1.5),
        ("moving reference", far and it.returns),
        ("beta too small", far and it.beta < 0.03),
        ("displacement", far),
        ("noisy labels", half and abs(it.end["eval_chosen"]) < 0.1),
        ("partial batch", it.thirds),
        ("healthy", it.end["eval_loss"] < it.start["eval_loss"] - 0.03),
    ]
    return next(name for name, there in signs if there)


@pytest.mark.parametrize("name", AILMENTS)
def test_every_shipped_run_can_be_told_by_its_sign(name):
    runs = shipped_failures(*AILMENTS[name].runs)
    assert [reading(run) for run in runs] == [name] * 5 * len(AILMENTS[name].runs)


@pytest.mark.parametrize("seed", SEEDS)
def test_true_answers_get_all_the_points(seed):
    ward = clinic(seed)
    for number, run in enumerate(ward._runs, 1):
        name = reading(run)
        assert check(ward).state == ("not yet" if number > 1 else "not attempted")
        ward.answer(number, name, AILMENTS[name].experiment)
    card = check(ward)
    assert (card.state, card.summary) == ("passed", "24 of 24 points")
    assert all(row.mark == "✓" and not row.details for row in card.rows)


def test_a_clinic_is_its_seed_s_and_has_two_healthy_runs():
    assert clinic(3)._runs == clinic(3)._runs != clinic(4)._runs
    for seed in range(30):
        ward = clinic(seed)
        assert len(ward._runs) == RUNS
        assert ward._truth.count("healthy") == 2
        assert len({*ward._truth}) == RUNS - 1
        drawn = [(run.name, run.seed) for run in ward._runs]
        assert len({*drawn}) == RUNS
        named = zip(ward._truth, drawn, strict=True)
        assert all(name in AILMENTS[truth].runs for truth, (name, _) in named)
    places = [clinic(seed)._truth.index("healthy") for seed in range(30)]
    assert len({*places}) > 4


@pytest.mark.slow
def test_nothing_that_is_shown_tells_the_answers():
    shown = [str(clinic(seed)).replace(str(seed), "n", 1) for seed in (3, 4)]
    assert shown[0] == shown[1]  # the same is offered for every seed
    ward = clinic(3)
    html = ward._repr_html_()
    assert all(word in html for word in (*AILMENTS, *EXPERIMENTS))
    words = {*AILMENTS, *FAILURES, *HEALTHY} - {"healthy"}
    for number in range(1, RUNS + 1):
        data, more = ward.run(number)._repr_mimebundle_()
        texts = [str(ward.run(number)), str(ward.rows(number)), str(more)]
        texts += [data["text/plain"], repr(ward.answer(1, "healthy", "read answers"))]
        for text in texts[:-1]:
            assert f"un {number}" in text or text == str(more)
            assert not [word for word in words if word in text]
            assert "healthy" not in text
    assert "healthy" not in repr(check(clinic(3)))


def test_every_confusion_has_its_sentence():
    for pair in ALIKE:
        assert {*pair} <= {*AILMENTS}
        assert tuple(reversed(pair)) not in ALIKE
        words = ("Look at", "Look for", "Divide", "only where")
        assert any(word in ALIKE[pair] for word in words)
    for named, truth in itertools.permutations(AILMENTS, 2):
        says = told_apart(named, truth)
        assert 60 < len(says) < 400
        assert says[0].isupper()
        assert says.endswith(".")
        assert "!" not in says
        if (named, truth) not in ALIKE and (truth, named) not in ALIKE:
            assert AILMENTS[named].sign in says
            assert AILMENTS[truth].sign in says


def test_what_is_offered_is_used_and_there():
    assert {it.experiment for it in AILMENTS.values()} == {*EXPERIMENTS}
    runs = [run for it in AILMENTS.values() for run in it.runs]
    assert len({*runs}) == len(runs)
    assert {*runs} <= {*FAILURES, *HEALTHY}


def ward_of(*names: str) -> Clinic:
    """A clinic whose first runs are known."""
    ward = clinic(0)
    ward._truth[: len(names)] = names
    return ward


def test_a_wrong_name_is_told_why_the_two_look_alike():
    ward = ward_of("reference is the policy")
    ward.answer(1, "no gradient", "print the settings")
    card = check(ward)
    assert card.summary == "0 of 24 points"
    assert repr(card).startswith("clinic 0 · not yet")
    assert "Look at the gradient norm" in " ".join(repr(card).split())
    assert "It fits what you named" in repr(card)
    assert "11 more to name" in card.closing
    assert "<section" in card._repr_html_()
    ward.answer(1, "reference is the policy", "watch one weight")
    assert check(ward).summary == "2 of 24 points"


def test_a_wrong_experiment_costs_its_own_point():
    ward = ward_of("noisy labels", "healthy")
    ward.answer(1, "noisy labels", "cut the rate")
    assert check(ward).summary == "1 of 24 points"
    assert "would not settle it" in repr(check(ward))
    ward.answer(2, "too few pairs", "read answers")  # the right one, for a wrong reason
    assert check(ward).summary == "2 of 24 points"
    ward.answer(2, "too few pairs", "cut the rate")
    assert "It fits neither" in " ".join(repr(check(ward)).split())


def test_what_is_not_offered_is_refused_by_name():
    ward = clinic(0)
    with pytest.raises(ValueError, match="is 'noisy labels' meant"):
        ward.answer(1, "noisy label", "label again")
    with pytest.raises(ValueError, match="experiment 'pray' is not offered: one of"):
        ward.answer(1, "healthy", "pray")
    for number in (0, 13, "1"):
        with pytest.raises(ValueError, match="number must be from 1 to 12"):
            ward.answer(number, "healthy", "read answers")
    for seed in ("1", 1.0, True):
        with pytest.raises(TypeError, match="seed must be a whole number"):
            clinic(seed)
