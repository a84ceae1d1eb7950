"""Why an answer is wrong: what is said is true, and of the right input."""

import re

import pytest
import torch
import torch.nn.functional as F

from course_lib.checking.errors import CAUSES, cause
from course_lib.checking.plan import Plan
from course_lib.checking.verdict import Examination
from course_lib.exercises import EXERCISES
from course_lib.exercises.recipe import Recipe, slips
from course_lib.exercises.spec import Inputs
from course_lib.submission.observing import observe_all


def found(name, function, seed=5):
    exam = Examination(EXERCISES[name], seed=seed)
    return exam.judge(lambda calls: observe_all(function, calls))


def gap(a, b, c, d):
    return (a - c) - (b - d)


def dpo(margin=lambda h, beta: beta * h, loss=lambda m: -F.logsigmoid(m).mean()):
    return lambda a, b, c, d, beta: loss(margin(gap(a, b, c, d), beta))


def by_difference(h, beta, step=1e-4):
    ahead, behind = (F.logsigmoid(beta * h + d) for d in (step, -step))
    return beta * (ahead - behind) / (2 * step)


@pytest.mark.parametrize(
    ("name", "function", "says"),
    [
        ("dpo_loss", dpo(lambda h, beta: h / beta), "1/beta in place of beta"),
        (
            "dpo_loss",
            dpo(loss=lambda m: F.logsigmoid(m).sum()),
            "times the number of rows",
        ),
        (
            "dpo_loss",
            dpo(lambda h, b: -b * h, lambda m: -F.logsigmoid(m).sum()),
            "; and a sum",
        ),
        ("dpo_loss", dpo(loss=lambda m: -F.logsigmoid(m)), "mean over dimension 0"),
        ("dpo_loss", dpo(loss=lambda m: -F.logsigmoid(m).max()), "for a batch of one"),
        ("dpo_loss", dpo(loss=lambda m: 3 - F.logsigmoid(m).mean()), "3 too large"),
        ("dpo_loss", dpo(loss=lambda m: None), "it returns nothing"),
        ("dpo_loss", dpo(loss=lambda m: "?"), "it returns a str"),
        ("dpo_loss", dpo(loss=lambda m: -F.logsigmoid(m).mean().float()), "is float32"),
        ("dpo_loss", dpo(loss=lambda m: m.missing), "a tensor has no .missing"),
        ("dpo_loss", lambda a, b, c, d, beta: a.sum() * 0 + 2.0, "it is 2 whatever"),
        (
            "dpo_loss",
            dpo(loss=lambda m: -F.logsigmoid(m.clamp(-40, 40)).mean()),
            "it stops at 40, and no gradient is left",
        ),
        (
            "dpo_loss",
            dpo(loss=lambda m: (-F.logsigmoid(m).mean()).detach()),
            "cut off from their inputs",
        ),
        ("kl_divergence", lambda p, q: (p * (p / q).log2()).sum(-1), "bits"),
        ("optimal_policy", lambda p, r, b: 1 * r, "it returns rewards"),
        (
            "optimal_policy",
            lambda p, r, b: torch.softmax(p.log() + r / b, -1).flip(-1),
            "in another order",
        ),
        (
            "optimal_policy",
            lambda p, r, b: torch.softmax(p.log() + r / b, 0),
            "another dimension, in the normalised weights",
        ),
        (
            "implicit_preference_probability",
            lambda a, b, c, d, beta: 1 - torch.sigmoid(beta * gap(a, b, c, d)),
            "rejected minus chosen",
        ),
        ("dpo_slope", by_difference, "not in float32"),
        (
            "dpo_slope",
            lambda h, b: (b * (-b * h).sigmoid()).round(decimals=4),
            "digits",
        ),
    ],
)
def test_it_says(name, function, says):
    verdict = found(name, function)
    assert verdict.state == "not yet"
    assert says in verdict.diagnosis


def test_a_fault_and_what_goes_wrong_besides_at_the_extremes():
    says = found(
        "dpo_loss", dpo(loss=lambda m: torch.log(1 + torch.exp(m)).mean())
    ).diagnosis
    assert "rejected minus chosen" in says
    assert says.count("; and ") + says.count("besides, at extreme inputs") == 1


def test_numbers_that_differ_are_shown_to_differ():
    finding = found("dpo_slope", lambda h, b: b * torch.sigmoid(-b * h) + 3e-8).finding
    assert finding.yours.strip("[]") not in finding.must
    assert "digits only" in finding.why


def test_a_right_value_with_another_gradient_is_called_right():
    def half(a, b, c, d, beta):
        value = dpo()(a, b, c, d, beta)
        return value.detach() + (value - value.detach()) / 2

    finding = found("dpo_loss", half).finding
    assert "is right, its gradient for policy_chosen_logps is" in finding.yours
    assert "gradients 0.5 times the right ones" in finding.why


def test_a_wrong_answer_is_asked_the_probes_and_a_right_one_is_not():
    asked = []

    def run(function):
        def observed(calls):
            asked.append(len(calls))
            return observe_all(function, calls)

        return observed

    exercise = EXERCISES["dpo_loss"]
    exam = Examination(exercise, seed=1)
    assert exam.judge(run(exercise.reference)).state == "passed"
    assert exam.judge(run(dpo(lambda h, b: h))).state == "not yet"
    assert len(asked) == 3
    assert asked[0] == asked[1] > asked[2] > 0


def test_what_every_exercise_is_asked():
    titles = [
        check.title
        for check in Plan(
            EXERCISES["optimal_policy"], Inputs(0, torch.float64)
        ).properties
    ]
    assert titles[-4:] == [
        "extreme inputs, gradients too",
        "each row by itself",
        "extreme rows among ordinary ones",
        "the same in float32",
    ]
    slow = Plan(EXERCISES["beta_for_kl"], Inputs(0, torch.float64))
    assert len(slow.inputs) == slow.deciding
    assert len(slow.properties) == len(EXERCISES["beta_for_kl"].checks)


def test_slips_are_made_for_every_step_and_read_as_sentences():
    recipe = Recipe("a b: h = a - b  # the gap\nloss = h * h  # the loss")
    made = slips(recipe, {"a": "u", "b": "v"})
    made = {slip.says: recipe.function(slip) for slip in made}
    five, two = torch.tensor(5.0), torch.tensor(2.0)
    assert made["e to the power of the gap"](five, five) == 1
    assert made["a plus in place of a minus, in the gap"](five, two) == 49
    assert made["u left out of the gap"](five, two) == 4
    assert made["the loss multiplied by 2"](five, two) == 18
    assert len(made) > 20


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("odd: g = a\n    a step that is not there", "'odd' names no step"),
        ("odd: h = -a", "'odd' has no sentence"),
    ],
)
def test_a_fault_of_no_step_or_no_words_is_refused(fault, says):
    with pytest.raises(ValueError, match=says):
        Recipe("a: h = a  # the gap").faults(fault)


def test_every_cause_can_be_said():
    for pattern, says in CAUSES:
        assert "{" not in says.format("one", "two")
        assert re.match(r"\S*Error\b", pattern)  # the error's type comes first
    assert cause("OSError", "no such file") == ""
