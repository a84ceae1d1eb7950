"""The gates of every exercise: what is right passes, what is wrong is told why."""

import tomllib

import nbformat
import pytest
import torch
import torch.nn.functional as F
from alternatives import ALTERNATIVES
from mutation import mutants

from course_lib.checking.verdict import judge, show
from course_lib.exercises import EXERCISES, find
from course_lib.exercises.spec import Check, Inputs, tolerance
from course_lib.submission import observing
from course_lib.submission.observing import Call, observe, observe_all
from course_lib.workspace import repository

ALL = list(EXERCISES.values())
DTYPES = (torch.float64, torch.float32)
by_name = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)


def verdict(exercise, function, seed=0, dtype=torch.float64):
    return judge(
        exercise, lambda calls: observe_all(function, calls), seed=seed, dtype=dtype
    )


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


@by_name
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_solution_passes_with_every_seed(exercise, dtype):
    solution = compiled(SOLUTIONS[exercise.name], exercise.name)
    for seed in range(20):
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
def test_another_right_answer_passes(name, function):
    for seed in range(5):
        for dtype in DTYPES:
            result = verdict(EXERCISES[name], function, seed, dtype)
            assert result.state == "passed", result.finding


def test_every_exercise_has_alternatives():
    assert set(ALTERNATIVES) == set(EXERCISES)
    assert all(len(functions) >= 2 for functions in ALTERNATIVES.values())


@pytest.mark.parametrize(
    "seeds",
    [pytest.param((0, 1), id="two"), pytest.param(range(20), marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    ("exercise", "wrong"),
    [(e, m) for e in ALL for m in e.misconceptions],
    ids=lambda value: value.name.replace(" ", "-"),
)
def test_misconception_is_caught_by_its_own_message(exercise, wrong, seeds):
    for dtype in DTYPES:
        states = set()
        for seed in seeds:
            result = verdict(exercise, wrong.function, seed, dtype)
            assert result.finding, "it passed"
            assert result.finding.misconception == wrong.name
            assert result.finding.looks_like == wrong.says
            states.add((result.state, result.holding))
        assert len(states) == 1, f"the verdict depends on the seed: {states}"


def equivalents() -> dict[str, list]:
    files = (repository() / "tests").glob("equivalent_mutants_*.toml")
    texts = [path.read_text(encoding="utf-8") for path in files]
    return {name: rows for text in texts for name, rows in tomllib.loads(text).items()}


@pytest.mark.slow
@by_name
def test_mutants_of_the_solution_are_killed(exercise, monkeypatch):
    monkeypatch.setattr(observing, "SECONDS", 2.0)
    excused = {what: why for what, why in equivalents().get(exercise.name, [])}
    survivors, first, count = set(), set(), 0
    for what, source in mutants(SOLUTIONS[exercise.name]):
        count += 1
        result = verdict(exercise, compiled(source, exercise.name))
        first.add(result.holding)
        if result.state == "passed":
            survivors.add(what)
    assert count >= 15
    assert survivors == set(excused), f"{count} mutants"
    assert all(len(why) > 20 for why in excused.values())
    # No check is idle: each is the first to fail for some mistake. The random inputs
    # may only repeat what the fixed ones have shown.
    first |= {verdict(exercise, m.function).holding for m in exercise.misconceptions}
    idle = [check.title for i, check in enumerate(exercise.checks) if i not in first]
    assert len(idle) <= 1
    assert all("random" in title or "fresh" in title for title in idle), idle


@by_name
def test_words_for_the_learner(exercise):
    assert len(exercise.misconceptions) >= 4
    assert len(exercise.hints) == 3
    names = [m.name for m in exercise.misconceptions]
    assert len(set(names)) == len(names)
    texts = [m.says for m in exercise.misconceptions] + list(exercise.hints)
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
    for wrong in [m.function for m in exercise.misconceptions] + [lambda *a: None]:
        text = str(verdict(exercise, wrong).finding.lines())
        assert len(text) < 2000
        assert not any(line in text for line in lines)


def test_draws_are_the_same_for_the_same_seed():
    one, other = Inputs(3, torch.float64), Inputs(3, torch.float64)
    assert torch.equal(one.normal(4), other.normal(4))
    assert torch.equal(one.permutations(2, 5), other.permutations(2, 5))
    assert not torch.equal(one.normal(4), Inputs(4, torch.float64).normal(4))


def test_tolerance_is_half_of_the_digits():
    assert tolerance(torch.float64) == 2**-26
    assert tolerance(torch.float32) == pytest.approx(2**-11.5)


def test_a_checks_holds_may_be_left_to_the_default():
    check = Check("t", (), "m")
    near = observe(lambda x: x + 1e-12, Call((torch.ones(1).double(),)))
    far = observe(lambda x: x + 1e-3, Call((torch.ones(1).double(),)))
    ours = observe(lambda x: x, Call((torch.ones(1).double(),)))
    assert check.holds(None, near, ours, 1e-8)
    assert not check.holds(None, far, ours, 1e-8)


def test_a_number_never_agrees_with_infinity():
    check = Check("t", (), "m")
    finite, infinite = (
        observe(lambda x, v=v: x * v, Call((torch.ones(1).double(),)))
        for v in (1e300, float("inf"))
    )
    assert check.holds(None, infinite, infinite, 1e-8)
    assert not check.holds(None, finite, infinite, 1e-8)
    assert not check.holds(None, infinite, finite, 1e-8)


def test_nan_never_agrees_with_a_number():
    exercise = EXERCISES["accuracy_ceiling"]
    result = verdict(exercise, lambda p: p.mean() * float("nan"))
    assert result.state == "not yet"


def test_find_wants_the_function_itself():
    with pytest.raises(TypeError, match="function itself"):
        find("preference_probability")
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
