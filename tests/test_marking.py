"""`check` and `grade` say the same of the same function, wherever it runs."""

import functools
import inspect
import re
import socket
import threading
from dataclasses import replace
from time import monotonic

import pytest
import torch
import torch.nn.functional as F
from alternatives import ALTERNATIVES
from mutation import mutants
from sandboxes import best, patience
from submitted import LOSS, STARTER, put

from course_lib.checking.diagnosis import Diagnosis
from course_lib.checking.seen import Symptom
from course_lib.checking.verdict import Examination
from course_lib.exercises import EXERCISES
from course_lib.submission import observing
from course_lib.submission.loading import Loaded, cells_of
from course_lib.submission.observing import Call, Observation, observe, observe_all
from course_lib.workspace import repository
from course_tools.grading.marking import STATUSES, Mark, examinations, glance, mark
from course_tools.grading.sandbox import harness, talking
from course_tools.grading.submissions import find

by_name = pytest.mark.parametrize("name", EXERCISES)
a_third_by_name = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.thorough if place % 3 else ())
        for place, name in enumerate(EXERCISES)
    ],
)
in_parts = pytest.mark.parametrize(
    "part", [0, *(pytest.param(n, marks=pytest.mark.thorough) for n in (1, 2))]
)
SEED = 11


@pytest.fixture(scope="module")
def box():
    return best()[1]


@functools.cache
def examination(name: str) -> Examination:
    return Examination(EXERCISES[name], seed=SEED)


@functools.cache
def pages(folder: str) -> list[list[str]]:
    """The code of each notebook in a folder, cell by cell."""
    found = sorted((repository() / folder).glob("*.ipynb"))
    return [cells_of(path.name, path.read_bytes()) for path in found]


def page(folder: str, name: str) -> list[str]:
    """The cells of the page of solutions/ or exercises/ that has this exercise."""
    (found,) = (p for p in pages(folder) if any(f"def {name}(" in cell for cell in p))
    return found


def until_wrong(name: str, function) -> tuple[int | None, list[Call]]:
    """The first place that `check` finds wrong, and the calls that show it."""
    exam, seen = examination(name), []
    for call in exam.decisive:
        seen += observe_all(function, [call])
        if exam.first_wrong(seen) is not None:
            break
    return exam.first_wrong(seen), exam.decisive[: len(seen)]


def graded(box, name: str, cells: list[str], calls=None) -> list[Observation]:
    """What `grade` sees of it, in a process of its own."""
    calls = calls or examination(name).calls
    outcome = box.run(talking.Job(cells, name, calls, EXERCISES[name].offers))
    assert not outcome.trouble
    return outcome.seen


def answered(name: str, cells: list[str], calls=None) -> list[Observation]:
    """What `grade` sees of it, through all that it does but without the process."""
    ours, theirs = socket.socketpair()
    job = talking.Job(cells, name, calls or examination(name).calls)
    talk = talking.Talk(job, 10.0)
    with ours, theirs:
        grader = threading.Thread(target=talk.hold, args=(ours, monotonic() + 600))
        grader.start()
        harness.answer(theirs)
        grader.join()
    return talk.outcome("", 0.0).seen


@pytest.mark.slow
@by_name
def test_right_answers_and_the_starter_get_from_grade_what_they_get_from_check(
    box, name
):
    for folder, state in (("solutions", "passed"), ("exercises", "not attempted")):
        seen = graded(box, name, page(folder, name))
        assert examination(name).verdict(seen).state == state
    for function in ALTERNATIVES[name]:
        source = inspect.getsource(inspect.getmodule(function))
        cells = [f"{source}\n{name} = {function.__name__}\n"]
        found = examination(name).verdict(graded(box, name, cells))
        assert found.state == "passed", function.__name__


@pytest.mark.slow
@in_parts
@by_name
def test_faults_get_from_grade_what_they_get_from_check(name, part, monkeypatch):
    """They have no source of their own: they are put where loading would put them."""
    for fault in EXERCISES[name].faults[part::3]:
        function = EXERCISES[name].function(fault)
        monkeypatch.setattr(harness, "load", lambda *_, f=function, **__: Loaded(f))
        seen = observe_all(function, examination(name).calls)
        assert repr(answered(name, [])) == repr(tuple(seen))


@pytest.mark.slow
@in_parts
@by_name
def test_mutants_get_from_grade_what_they_get_from_check(box, name, part, monkeypatch):
    """Each by loader and harness here, one in five in a process of its own."""
    monkeypatch.setattr(observing, "SECONDS", patience())
    source = next(cell for cell in page("solutions", name) if f"def {name}(" in cell)
    setting = "import torch\nimport torch.nn.functional as F\n"
    for number, (what, mutant) in enumerate([*mutants(source)][part::3]):
        world = {"torch": torch, "F": F}
        exec(compile(mutant, f"<{name}>", "exec"), world)
        (wrong, calls), cells = until_wrong(name, world[name]), [setting, mutant]
        seen_there = [answered(name, cells, calls)]
        seen_there += [graded(box, name, cells, calls)] if number % 5 == 1 else []
        for one in seen_there:
            assert examination(name).first_wrong(one) == wrong, what


def test_nobody_knows_the_inputs_who_has_not_the_seed():
    def inputs(seed):
        return repr(examinations(["dpo_slope"], seed)["dpo_slope"].calls)

    assert inputs("one") == inputs("one") != inputs("other")


@pytest.mark.slow
@a_third_by_name
def test_a_table_of_what_is_the_same_for_everybody_earns_a_tenth(name):
    exercise = EXERCISES[name]
    exams = [Examination(exercise, seed=seed, tell=False) for seed in (1, 2)]
    one, other = ({repr(call.args) for call in exam.decisive} for exam in exams)
    known = one & other

    def table(*args, **kwargs):
        right = exercise.reference(*args, **kwargs)
        if repr(args) in known or not isinstance(right, torch.Tensor):
            return right if repr(args) in known else False
        return 0 * right

    everything = exams[1].worth(len(exams[1].titles))
    assert everything == pytest.approx(1)
    if not any(callable(value) for value in exams[1].calls[0].args):
        holding = exams[1].verdict(observe_all(table, exams[1].decisive)).holding
        assert exams[1].worth(holding) <= 0.1 + 1e-9
    for answer in (True, False):
        seen = observe_all(lambda *_, answer=answer, **__: answer, exams[1].decisive)
        assert exams[1].worth(exams[1].verdict(seen).holding) <= 0.1 + 1e-9


@pytest.mark.slow
@a_third_by_name
def test_no_finding_shows_what_a_drawn_input_should_have_given(name, monkeypatch):
    """Whatever is wrong with it, and wherever: on each input in turn, all numbers."""
    nothing = Symptom("", ""), False  # why it is wrong is not asked each time
    monkeypatch.setattr(Diagnosis, "why", lambda *_: nothing)
    exercise = EXERCISES[name]
    exams = [Examination(exercise, seed=seed, tell=False) for seed in (1, 2)]
    one, other = ([repr(call) for call in exam.calls] for exam in exams)
    right = [observe(exercise.reference, call) for call in exams[0].calls]
    for place in range(exams[0].deciding):
        if one[place] == other[place]:
            continue
        off = tuple(number + 0.3 for number in right[place].numbers)
        seen = [*right[:place], replace(right[place], numbers=off), *right[place + 1 :]]
        found = exams[0].verdict(seen).finding
        for value in right[place].numbers if found else ():
            if value not in (0.0, 1.0):  # True and False are told with the reason
                assert f"{value:.4g}".replace("-", "−") not in found.must


# ── the words around a mark ───────────────────────────────────────────────────────────


def marked(box, tmp_path, source, name="dpo_loss", file="mine.py") -> Mark:
    (submission,) = find(put(tmp_path, {file: source}))
    (found,) = mark(submission, examinations([name], "seed"), box).marks
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        (LOSS, "passed", "10 of 10"),
        (LOSS.replace("-F", "F"), "failed", "looks like"),
        (LOSS.replace("dpo_loss", "dpo_los"), "missing", "there is dpo_los"),
        (LOSS.replace("F.log", "G.log"), "error", "name 'G' is not defined"),
        ("def dpo_loss(a, b):\n    return a", "error", "takes 2 positional"),
        (STARTER, "not_attempted", "starter"),
        ("def dpo_loss(*a):\n    return input()", "error", "nobody to answer"),
        ("def dpo_loss(*a):\n    get_ipython()", "error", "without a notebook"),
        (LOSS.replace("import torch.nn", "import scipy, torch.nn"), "error", "scipy"),
        ("from course_lib.losses import dpo_loss", "error", "not there while grading"),
        ("def dpo_loss(*a):\n    open('/x', 'w')", "error", "scratch folder"),
        (b"\xff\x00", "load_error", "not UTF-8"),
        ("def dpo_loss(", "load_error", "was never closed"),
    ],
    ids=lambda value: str(value)[-30:],
)
def test_every_mark_names_its_cause(box, tmp_path, source, status, says):
    found = marked(box, tmp_path, source)
    assert (found.status, found.message[:0]) == (status, "")
    assert says in found.message
    assert len(found.message.encode()) <= 2048
    assert status in STATUSES


@pytest.mark.slow
def test_a_slow_right_answer_is_told_from_an_endless_one_and_more_time_helps(
    box, tmp_path
):
    class Short:
        timeout = patience()

        def run(self, job, within):
            return box.run(job, self.timeout)

    pause = f"    import time; time.sleep({0.1 * patience()})\n    return"
    slow = LOSS.replace("    return", pause)
    found = marked(Short(), tmp_path, slow)
    assert found.status == "timeout"
    assert re.search(r"[1-9]\d* of \d+ inputs were answered within", found.message)
    assert "a larger --timeout" in found.message
    assert marked(box, tmp_path, slow).status == "passed"
    endless = LOSS.replace("    return", "    while True: pass\n    return")
    found = marked(Short(), tmp_path, endless)
    assert (found.status, "--timeout" in found.message) == ("timeout", False)


@pytest.mark.slow
def test_a_card_for_a_mark_is_the_card_of_check(box, tmp_path):
    found = marked(box, tmp_path, LOSS.replace("-F", "F"))
    assert found.verdict.holding == 1
    assert found.verdict.diagnosis in found.message


def test_a_notebook_is_held_to_its_whole_chapter(tmp_path):
    content = (repository() / "exercises" / "04_dpo_loss.ipynb").read_bytes()
    put(tmp_path, {"a.ipynb": content.replace(b"def dpo_gradients", b"def g")})
    notebook, file = find(put(tmp_path, {"b.py": LOSS}))
    assert "dpo_gradients" in glance(notebook)[0]
    assert glance(file)[0] == {"dpo_loss"}


@pytest.mark.slow
def test_of_two_pages_the_one_that_was_worked_on_counts(box, tmp_path):
    (submission,) = find(put(tmp_path, {"ada/1.py": LOSS, "ada/2.py": STARTER}))
    (found,) = mark(submission, examinations(["dpo_loss"], "seed"), box).marks
    assert found.status == "passed"


@pytest.mark.slow
def test_a_message_is_the_same_in_every_run(box, tmp_path):
    body = "raise ValueError(object(), {'b', 'a', 'c'}, torch.randn(1))"
    source = f"import torch\ndef dpo_loss(*a):\n    {body}"
    assert (
        marked(box, tmp_path, source).message == marked(box, tmp_path, source).message
    )
