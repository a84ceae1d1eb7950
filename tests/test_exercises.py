"""The gates of every exercise: what is right passes, what is wrong is told why."""

import itertools
import math
import tomllib
from functools import cache

import nbformat
import pytest
import torch
import torch.nn.functional as F
from alternatives import ALTERNATIVES
from mutation import mutants
from wrong_answers import WRONG

from course_lib.checking.show import show
from course_lib.checking.verdict import Examination
from course_lib.exercises import EXERCISES, find
from course_lib.exercises.spec import Check, Inputs, same, tolerance
from course_lib.submission import observing
from course_lib.submission.observing import Call, observe, observe_all
from course_lib.workspace import repository

ALL = list(EXERCISES.values())
DTYPES = (torch.float64, torch.float32)
by_name = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
slow, thorough = pytest.mark.slow, pytest.mark.thorough
with_seeds = pytest.mark.parametrize(
    "seeds",
    [
        pytest.param((0,), id="one"),
        pytest.param(range(1, 3), id="three", marks=slow),
        pytest.param(range(3, 25), id="all", marks=[slow, thorough]),
    ],
)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """On a busy machine a right answer may take longer than a learner would wait."""
    monkeypatch.setattr(observing, "SECONDS", 60.0)


@cache
def examination(name, seed, dtype):
    """What is expected, and what faults do: computed once for all answers."""
    return Examination(EXERCISES[name], seed=seed, dtype=dtype)


def verdict(exercise, function, seed=0, dtype=torch.float64):
    exam = examination(exercise.name, seed, dtype)
    return exam.judge(lambda calls: observe_all(function, calls))


MISTAKEN = {}


def mistaken(name, fault, seed=0, dtype=torch.float64):
    """The verdict on a fault, found once."""
    key = name, fault.name, seed, dtype
    if key not in MISTAKEN:
        exam = examination(name, seed, dtype)
        does = exam.diagnosis.does  # which what is made of other answers needs too
        seen = [does((fault,), place, call) for place, call in enumerate(exam.calls)]
        MISTAKEN[key] = exam.verdict(seen)
    return MISTAKEN[key]


def cells(folder: str) -> dict[str, str]:
    """Source of each exercise cell, by the name of the function that it defines."""
    found = {}
    for path in sorted((repository() / folder).glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if "exercise" in cell.metadata.get("tags", []):
                name = cell.source.split("def ", 1)[1].split("(", 1)[0]
                assert name not in found
                found[name] = cell.source
    return found


def compiled(source: str, name: str):
    world = {"torch": torch, "F": F}
    exec(compile(source, f"<{name}>", "exec"), world)
    return world[name]


SOLUTIONS, STARTERS = cells("solutions"), cells("exercises")


def test_every_exercise_has_a_cell_and_every_cell_an_exercise():
    assert set(SOLUTIONS) == set(STARTERS) == set(EXERCISES)
    assert len(ALL) >= 6


def test_an_exercise_is_found_by_its_number_and_its_function():
    folder = repository() / "course_lib" / "exercises"
    files = [path.stem for path in sorted(folder.glob("e[0-9]*.py"))]
    numbers = [e.number.split(".") for e in ALL]
    named = zip(numbers, EXERCISES, strict=True)
    assert files == [f"e{int(c):02}_{n}_{name}" for (c, n), name in named]


@by_name
@with_seeds
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_solution_passes_with_every_seed(exercise, dtype, seeds):
    solution = compiled(SOLUTIONS[exercise.name], exercise.name)
    for seed in seeds:
        assert verdict(exercise, solution, seed, dtype).state == "passed"


@by_name
def test_the_library_s_own_function_passes(exercise):
    assert verdict(exercise, exercise.reference).state == "passed"


@by_name
def test_starter_is_not_attempted(exercise):
    starter = compiled(STARTERS[exercise.name], exercise.name)
    assert verdict(exercise, starter).state == "not attempted"


@pytest.mark.parametrize(
    ("name", "function"),
    [(name, f) for name, functions in ALTERNATIVES.items() for f in functions],
    ids=lambda value: getattr(value, "__name__", value),
)
@with_seeds
def test_another_right_answer_passes(name, function, seeds):
    for seed in seeds:
        for dtype in DTYPES:
            result = verdict(EXERCISES[name], function, seed, dtype)
            assert result.state == "passed", result.finding


def test_every_exercise_has_alternatives():
    assert set(ALTERNATIVES) == set(EXERCISES)
    assert all(len(functions) >= 2 for functions in ALTERNATIVES.values())


@by_name
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_recipe_is_the_reference(exercise, dtype):
    """On all inputs, probes among them: values and gradients."""
    exam = examination(exercise.name, 0, dtype)
    made, due = (
        observe_all(function, exam.calls)
        for function in (exercise.function(), exercise.reference)
    )
    for one, other, near in zip(made, due, exam.near, strict=True):
        assert same(one, other, near)


@by_name
@with_seeds
def test_each_fault_is_caught_and_named_as_itself(exercise, seeds):
    for fault in exercise.faults:
        results = [mistaken(exercise.name, fault, seed) for seed in {0, seeds[0]}]
        assert len({result.holding for result in results}) == 1, "as the seed is"
        if len(seeds) > 1:
            results += [mistaken(exercise.name, fault, seeds[1], torch.float32)]
        for result in results:
            assert result.finding, f"{fault} passed"
            assert result.finding.name == fault.name
            assert result.diagnosis.startswith(fault.says)


EQUIVALENT = tomllib.loads(
    (repository() / "tests" / "equivalent_mutants.toml").read_text(encoding="utf-8")
)


UNTOLD = 0.15  # at most, of the wrong answers to one exercise: its mutants
LOOPS = dict(  # but where a part of a loop, or of a suite, has no name of its own
    fit_bradley_terry=0.6,
    beta_for_kl=0.4,
    sentence_logps=0.35,
    best_of_n=0.25,
    kto_reference_point=0.3,
    response_logprobs_are_sound=0.5,
    dpo_loss_is_sound=0.2,
)


def cut_off(exercise) -> set[str]:
    """What may be detached, arguments or the result: no gradient of it is asked for."""
    exam = examination(exercise.name, 0, torch.float64)
    seen = exam._seen(exam._plan.expected)
    may = {
        name
        for s in seen
        for name, value in zip(s.names, s.planned.call.args, strict=False)
        if isinstance(value, torch.Tensor)
    }
    if seen[0].ours.kind == "tensor" and not any(s.ours.differentiable for s in seen):
        may.add("result")
    return may - {name for s in seen for name, _, due in s.slopes if due}


@pytest.mark.slow
@by_name
def test_mutants_of_the_solution_are_killed_and_told_why(exercise, monkeypatch):
    monkeypatch.setattr(observing, "SECONDS", 2.0)
    excuses, cut = EQUIVALENT.get(exercise.name, {}), cut_off(exercise)
    results = [
        (what, verdict(exercise, compiled(source, exercise.name)))
        for what, source in mutants(SOLUTIONS[exercise.name])
    ]
    assert len(results) >= 15
    survivors = {what for what, result in results if result.state == "passed"}
    right = {what for whats in excuses.values() for what in whats}
    right |= {
        what
        for what, _ in results
        if what.endswith(" detached") and what.split()[2] in cut
    }
    assert survivors == right
    assert all(len(why) > 20 for why in excuses)
    wrong = [(what, result) for what, result in results if result.state != "passed"]
    untold = [what for what, result in wrong if not result.diagnosis]
    most = LOOPS.get(exercise.name, UNTOLD)
    assert len(untold) <= most * len(wrong), untold
    # No check is idle: each is the first to fail for some mistake. The random inputs
    # may only repeat what the fixed ones have shown.
    first = {result.holding for _, result in results}
    first |= {mistaken(exercise.name, f).holding for f in exercise.faults}
    idle = [check.title for i, check in enumerate(exercise.checks) if i not in first]
    assert len(idle) <= 1
    assert all("random" in title or "fresh" in title for title in idle), idle


@slow
@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_as_learners_write_them_never_pass(name):
    for answer, seed in itertools.product(WRONG[name], (0, 1)):
        assert verdict(EXERCISES[name], answer, seed).state == "not yet"


@slow
def test_wrong_answers_as_learners_write_them_are_told_why():
    told = [
        bool(verdict(EXERCISES[name], answer).diagnosis)
        for name, answers in WRONG.items()
        for answer in answers
    ]
    assert len(told) >= 50
    assert sum(told) >= 0.9 * len(told)


@by_name
def test_words_for_the_learner(exercise):
    assert len(exercise.faults) >= 4
    assert len(exercise.hints) == 3
    names = [fault.name for fault in exercise.faults]
    assert len(set(names)) == len(names)
    texts = [fault.says for fault in exercise.faults] + list(exercise.hints)
    texts += [check.title for check in exercise.checks]
    for text in texts:
        assert 8 < len(text) < 260
        assert "simply" not in text
        assert "!" not in text.replace("k!", "")


@by_name
def test_findings_are_short_and_never_show_the_solution(exercise):
    secrets = SOLUTIONS[exercise.name].split("### BEGIN SOLUTION")[1]
    secrets = secrets.split("### END SOLUTION")[0]
    lines = [line.strip() for line in secrets.splitlines() if len(line.strip()) > 12]
    results = [mistaken(exercise.name, f) for f in exercise.faults]
    for result in [*results, verdict(exercise, lambda *a: None)]:
        text = str(result.finding.lines())
        assert len(text) < 2000
        assert not any(line in text for line in lines)


def test_inputs_are_the_same_for_the_same_seed():
    one, other = Inputs(3, torch.float64), Inputs(3, torch.float64)
    assert torch.equal(one.normal(4), other.normal(4))
    assert torch.equal(one.permutations(2, 5), other.permutations(2, 5))
    assert not torch.equal(one.normal(4), Inputs(4, torch.float64).normal(4))


def test_tolerance_is_half_of_the_digits():
    assert tolerance(torch.float64) == 2**-26
    assert tolerance(torch.float32) == pytest.approx(2**-11.5)


@pytest.mark.parametrize(
    ("yours", "ours", "agree"),
    [
        (1 + 1e-12, 1.0, True),
        (1 + 1e-3, 1.0, False),
        (math.inf, math.inf, True),
        (1e300, math.inf, False),
        (math.inf, 1e300, False),
        (math.nan, 1.0, False),
    ],
)
def test_numbers_agree_to_the_tolerance(yours, ours, agree):
    call = Call((torch.ones(1).double(),))
    seen = [observe(lambda x, v=v: v * x, call) for v in (yours, ours)]
    assert Check("t", (), "m").holds(None, *seen, 1e-8) is agree


def test_find_wants_the_function_itself():
    with pytest.raises(TypeError, match="without quotes"):
        find("preference_probability")
    with pytest.raises(TypeError, match="result of a call"):
        find(torch.ones(2))
    with pytest.raises(ValueError, match="no exercise asks for a function called"):
        find(lambda x: x)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.tensor(-0.5), "−0.5"),
        (3.0, "3"),
        ([torch.tensor([0.5]), torch.arange(2)], "[[0.5], [0, 1]]"),
        (torch.arange(9.0), "[0, 1, 2, 3, 4, 5, …]"),
    ],
)
def test_values_are_shown_short(value, text):
    assert show(value) == text
