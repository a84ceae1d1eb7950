"""`check` and `grade` say the same of the same function, wherever it runs."""

import inspect
import socket
import threading

import nbformat
import pytest
import torch
import torch.nn.functional as F
from alternatives import ALTERNATIVES
from mutation import mutants

from course_lib.checking.verdict import Examination, judge
from course_lib.exercises import EXERCISES
from course_lib.submission.loading import Loaded, cells_of
from course_lib.submission.observing import observe_all
from course_lib.workspace import repository
from course_tools.grading import marking
from course_tools.grading.marking import Mark, examinations, glance, mark
from course_tools.grading.sandbox import harness, talking
from course_tools.grading.sandbox.isolation import choose
from course_tools.grading.submissions import find

by_name = pytest.mark.parametrize("name", EXERCISES)
SEED = 11


@pytest.fixture(scope="module")
def box():
    _, found = choose("auto", timeout=10, memory=1024)
    with found:
        yield found


def page(folder: str, name: str) -> list[str]:
    """The cells of the page of solutions/ or exercises/ that has this exercise."""
    for path in sorted((repository() / folder).glob("*.ipynb")):
        cells = cells_of(path.name, path.read_bytes())
        if any(f"def {name}(" in cell for cell in cells):
            return cells
    raise AssertionError(name)


def checked(name, function):
    """What `check` says, with this file's seed."""
    return judge(EXERCISES[name], lambda c: observe_all(function, c), seed=SEED)


def graded(box, name, cells):
    exam = Examination(EXERCISES[name], seed=SEED)
    outcome = box.run(cells, name, exam.calls, EXERCISES[name].offers)
    assert not outcome.trouble
    return exam.verdict(outcome.seen)


@by_name
def test_solution_and_starter_get_from_grade_what_they_get_from_check(box, name):
    assert graded(box, name, page("solutions", name)).state == "passed"
    assert graded(box, name, page("exercises", name)).state == "not attempted"


@by_name
def test_alternatives_get_from_grade_what_they_get_from_check(box, name):
    for function in ALTERNATIVES[name]:
        source = inspect.getsource(inspect.getmodule(function))
        cells = [f"{source}\n{name} = {function.__name__}\n"]
        assert graded(box, name, cells).state == "passed", function.__name__


@by_name
def test_misconceptions_get_from_grade_what_they_get_from_check(name, monkeypatch):
    """They have no source of their own: they are put where loading would put them."""
    monkeypatch.setattr(harness, "_fill_shelves", lambda offers: None)
    exam = Examination(EXERCISES[name], seed=SEED)
    for wrong in EXERCISES[name].misconceptions:
        monkeypatch.setattr(harness, "load", lambda *_, w=wrong: Loaded(w.function))
        ours, theirs = socket.socketpair()
        functions = []
        job = talking.job([], name, exam.calls, {}, functions, 10.0)
        with ours, theirs:
            child = threading.Thread(target=harness.answer, args=(theirs,))
            child.start()
            talk = talking.Talk(ours, None, functions, exam.calls)
            talk.hold(job)
            child.join()
        verdict = exam.verdict(talk.outcome("", 10.0, 0.0).seen)
        assert verdict == checked(name, wrong.function)
        assert verdict.finding.misconception == wrong.name


@pytest.mark.slow
@by_name
def test_mutants_get_from_grade_what_they_get_from_check(box, name):
    source = next(
        cell.source
        for path in (repository() / "solutions").glob("*.ipynb")
        for cell in nbformat.read(path, as_version=4).cells
        if f"def {name}(" in cell.source
    )
    setting = "import torch\nimport torch.nn.functional as F\n"
    for what, mutant in mutants(source):
        world = {"torch": torch, "F": F}
        exec(compile(mutant, f"<{name}>", "exec"), world)
        ours, theirs = checked(name, world[name]), graded(box, name, [setting, mutant])
        assert (ours.state, ours.holding) == (theirs.state, theirs.holding), what


def test_nobody_knows_the_inputs_who_has_not_the_seed():
    def inputs(seed):
        return repr(examinations(["dpo_slope"], seed)["dpo_slope"].calls)

    assert inputs("one") == inputs("one") != inputs("other")


def fixed(name: str) -> set[int]:
    """Places of the calls that are the same for every seed."""
    one, other = (Examination(EXERCISES[name], seed=s).calls for s in (1, 2))
    return {
        i
        for i, pair in enumerate(zip(one, other, strict=True))
        if repr(pair[0]) == repr(pair[1])
    }


@by_name
def test_no_finding_shows_what_a_drawn_input_should_have_given(name):
    exercise = EXERCISES[name]
    exam = Examination(exercise, seed=SEED)
    known = fixed(name)
    for place, (number, call) in enumerate(exam._asked):
        if place in known:
            continue
        must = exercise.checks[number].must
        text = must if isinstance(must, str) else must(call, exam._expected[place])
        for value in exam._expected[place].numbers:
            if value not in (0.0, 1.0):  # True and False are told with the reason
                assert f"{value:.4f}".replace("-", "−") not in text


# ── the words around a mark ───────────────────────────────────────────────────────────

HEAD = "import torch\nimport torch.nn.functional as F\n"
RIGHT = (
    HEAD
    + """
def dpo_loss(a, b, c, d, beta):
    return -F.logsigmoid(beta * (a - c - b + d)).mean()
"""
)


def marked(box, tmp_path, source, name="dpo_loss", file="mine.py") -> Mark:
    (tmp_path / file).write_bytes(source if type(source) is bytes else source.encode())
    (submission,) = find(tmp_path)
    (found,) = mark(submission, examinations([name], "seed"), box).marks
    return found


@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        (RIGHT, "passed", "7 of 7"),
        (RIGHT.replace("-F", "F"), "failed", "looks like"),
        (RIGHT.replace("dpo_loss", "dpo_los"), "missing", "there is dpo_los"),
        (RIGHT.replace("F.log", "G.log"), "error", "name 'G' is not defined"),
        (HEAD + "def dpo_loss(a, b):\n    return a", "error", "takes 2 positional"),
        (
            HEAD + "def dpo_loss(*a):\n    raise NotImplementedError",
            "not_attempted",
            "starter",
        ),
        (HEAD + "def dpo_loss(*a):\n    return input()", "error", "nobody to answer"),
        (HEAD + "def dpo_loss(*a):\n    get_ipython()", "error", "without a notebook"),
        (RIGHT.replace("import torch.nn", "import scipy, torch.nn"), "error", "scipy"),
        ("from course_lib.losses import dpo_loss", "error", "not there while grading"),
        (HEAD + "def dpo_loss(*a):\n    open('/x', 'w')", "error", "scratch folder"),
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
    assert status in marking.STATUSES


def test_a_card_for_a_mark_is_the_card_of_check(box, tmp_path):
    found = marked(box, tmp_path, RIGHT.replace("-F", "F"))
    assert found.verdict.holding == found.score
    assert found.verdict.finding.looks_like in found.message


def test_a_notebook_is_held_to_its_whole_chapter(tmp_path):
    content = (repository() / "exercises" / "04_dpo_loss.ipynb").read_bytes()
    (tmp_path / "a.ipynb").write_bytes(content.replace(b"def dpo_gradients", b"def g"))
    (tmp_path / "b.py").write_text(RIGHT)
    notebook, file = find(tmp_path)
    assert "dpo_gradients" in glance(notebook)[0]
    assert glance(file)[0] == {"dpo_loss"}


def test_of_two_pages_the_one_that_was_worked_on_counts(box, tmp_path):
    folder = tmp_path / "class" / "ada"
    folder.mkdir(parents=True)
    (folder / "1.py").write_text(RIGHT)
    (folder / "2.py").write_text(
        HEAD + "def dpo_loss(*a):\n    raise NotImplementedError"
    )
    (submission,) = find(tmp_path / "class")
    (found,) = mark(submission, examinations(["dpo_loss"], "seed"), box).marks
    assert found.status == "passed"


def test_a_message_is_the_same_in_every_run(box, tmp_path):
    body = "raise ValueError(object(), {'b', 'a', 'c'}, torch.randn(1))"
    source = f"{HEAD}def dpo_loss(*a):\n    {body}"
    assert (
        marked(box, tmp_path, source).message == marked(box, tmp_path, source).message
    )
