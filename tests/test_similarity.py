"""Likeness: equal but for names is found, chance is not, and neither is the starter."""

import csv
import inspect
import time

import pytest
from alternatives import ALTERNATIVES

from course_lib.exercises import EXERCISES
from course_lib.submission.loading import cells_of
from course_lib.workspace import notebooks
from course_tools.grading.learners import Upload
from course_tools.grading.marking import Mark, Marked
from course_tools.grading.normal import forms
from course_tools.grading.similarity import CAUTION, alike, section, write
from course_tools.grading.submissions import Page

OURS = """
import torch
import torch.nn.functional as F

def ratio(policy, ref):
    return policy - ref

def orpo_loss(chosen, rejected, lengths, weight):
    total = torch.zeros(())
    for index, (w, l) in enumerate(zip(chosen, rejected)):
        odds = ratio(w, l) - ratio(torch.log1p(-w.exp()), torch.log1p(-l.exp()))
        total = total + weight * F.logsigmoid(odds) / lengths[index]
    return -total / len(chosen)
"""
DISGUISES = {
    "names": OURS.replace("total", "s").replace("odds", "o").replace("index", "i"),
    "arguments": OURS.replace("chosen", "a").replace("rejected", "b"),
    "helper": OURS.replace("ratio", "difference").replace("policy - ref", "u - v")
    # the helper's arguments with it
    .replace("policy, ref", "u, v"),
    "a helper's arguments": OURS.replace("policy, ref", "chosen, l")
    .replace("policy - ref", "chosen - l"),
    "comments": OURS.replace("return -", "# the mean\n    return -"),
    "docstring": OURS.replace("total = torch.z", '"""My own."""\n    total = torch.z'),
    "annotations": OURS.replace("policy, ref)", "policy: object, ref: int) -> object")
    .replace("weight):", "weight: float):")
    .replace("total = torch.zeros", "total: torch.Tensor = torch.zeros"),
    "format": OURS.replace("enumerate(zip(chosen, rejected))", "(enumerate(\n  zip(\n"
    "   chosen,rejected ) ))"),
    "imports": OURS.replace("import torch.nn.functional as F\n", "")
    .replace("import torch\n", "import torch as t\nfrom torch.nn.functional import "
    "logsigmoid as ls\n")
    .replace("F.logsigmoid", "ls")
    .replace("torch.zeros", "t.zeros")
    .replace("torch.log1p", "t.log1p"),
    "helper below": OURS.partition("def ratio")[0]
    + "def orpo" + OURS.partition("def orpo")[2]
    + "\n\ndef ratio(p, q):\n    pass\n    return p - q\n",
    "magics": "%matplotlib inline\n!pip list\n" + OURS + "\norpo_loss?\n",
    "more": OURS + "\nprint(orpo_loss)\nplots = [1, 2]\n\ndef more():\n    return 1\n",
    "keywords of a helper": OURS.replace("ratio(w, l)", "ratio(w, ref=l)"),
}  # fmt: skip
OTHERS = {
    "a number": OURS.replace("zeros(())", "zeros(1)"),
    "an operator": OURS.replace("total + weight", "total - weight"),
    "the order of arguments": OURS.replace("ratio(w, l)", "ratio(l, w)"),
    "another function": OURS.replace("log1p", "log"),
    "the helper": OURS.replace("policy - ref", "policy + ref"),
    "a step more": OURS.replace(
        "return -total", "total = 1 * total\n    return -total"
    ),
    "a name for another": OURS.replace("F.logsigmoid(odds)", "F.logsigmoid(w)"),
    "a keyword of torch": OURS.replace("zeros(())", "zeros((), device=None)"),
}


def form(source: str, name="orpo_loss"):
    return forms([source], [name])[name]


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguise_changes_nothing(disguise):
    assert DISGUISES[disguise] != OURS
    assert form(DISGUISES[disguise]).digest == form(OURS).digest


@pytest.mark.parametrize("what", OTHERS)
def test_another_program_is_another(what):
    assert OTHERS[what] != OURS
    assert form(OTHERS[what]).digest != form(OURS).digest


@pytest.mark.slow
def test_what_cannot_be_read_or_is_too_much_has_no_form():
    for source in (
        "def f(:",
        "\0",
        "(" * 5000,
        "x = " + "-" * 100_000 + "1",
        "é\udcff",
    ):
        assert forms([source, OURS], ["orpo_loss"]), source[:9]
    deep = "def orpo_loss():\n    return " + "+".join(["1"] * 5000)
    assert forms([deep], ["orpo_loss"]) == {}
    for huge in ("a = b\n" * 16_000, "a = b; " * 14_000, "a" + "+ a" * 32_000):
        page = Page("a.py", (huge, OURS, OURS.replace("loss", "los")))
        began = time.process_time()
        alike([(upload(name), [page]) for name in ("ada", "ben")], ())
        assert time.process_time() - began < 5
    many = "\n".join(f"a{n} = a{n + 1}" for n in range(9_000))
    number = "0x" + "f" * 9_000
    for end in (f"{many}\ndef orpo_loss():\n    return a0", f"orpo_loss = {number}"):
        assert forms([end], ["orpo_loss"]) == {}
    loop = "def orpo_loss(x):\n    return orpo_loss(helper(x))\nhelper = orpo_loss"
    assert form(loop).length > 5


# ── a class ───────────────────────────────────────────────────────────────────────────


def upload(name: str, attempt=1) -> Upload:
    return Upload(name, name[:1], attempt=attempt)


def handed_in(answers: dict[str, str], attempt=1):
    """{learner: source} as `alike` takes it."""
    return [(upload(n, attempt), [Page("04.py", (s,))]) for n, s in answers.items()]


def marks(answers, exercise, status="failed", finding=(), misconception=""):
    mark = Mark(
        exercise, status, 0, 5, "", misconception=misconception, finding=finding
    )
    return [Marked(name, upload(name), "", (mark,)) for name in answers]


def others(number: int, exercise="orpo_loss") -> dict[str, str]:
    """As many learners, each with an answer of their own."""
    return {
        f"{number}th": f"def {exercise}(w, l, n, k):\n"
        + "\n".join(f"    w{i} = w + l * {i}" for i in range(6 + number))
        + "\n    return w1"
        for number in range(number)
    }


def found(answers, marked=(), **attempt):
    groups = alike(handed_in(answers, **attempt), marked)
    return [(g.exercise, g.kind, [name for name, _ in g.learners]) for g in groups]


def test_two_who_wrote_the_same_are_found_and_nobody_else():
    answers = others(20) | {"ada": OURS, "ben": DISGUISES["names"]}
    assert found(answers) == [("orpo_loss", "answer", ["ada", "ben"])]
    (group,) = alike(handed_in(answers), ())
    assert (group.tried, round(group.share, 3)) == (22, round(2 / 22, 3))


def test_a_learners_own_attempts_are_no_group():
    work = handed_in({"ada": OURS}) + handed_in({"ada": DISGUISES["names"]}, attempt=2)
    assert alike([*work, *handed_in(others(5))], ()) == []


def test_the_starter_says_nothing():
    cells = tuple(cells_of("04.ipynb", notebooks("exercises")[4].read_bytes()))
    tried = (
        "return None",
        "return policy_chosen_logps",
        "pass",
        "loss = 0\n    return 0",
    )
    for line in ("raise NotImplementedError", *tried):
        done = [cell.replace("raise NotImplementedError", line) for cell in cells]
        work = [(upload(f"{n}"), [Page("04.ipynb", (*done,))]) for n in range(30)]
        assert alike(work, ()) == []


def test_what_everybody_was_given_is_no_part_of_an_answer():
    given = "def ratio(policy, ref):\n    return policy - ref"
    whole, own = (forms([OURS], ["orpo_loss"], g) for g in ((), {given}))
    assert own["orpo_loss"].length < whole["orpo_loss"].length
    other = OURS.replace("ratio", "quotient")
    assert forms([other], ["orpo_loss"], {given}) == whole != own


def test_an_unwritten_function_below_does_not_take_an_answers_place():
    stub = "def orpo_loss(w, l, n, k):\n    'Mine.'\n    raise NotImplementedError"
    assert forms([OURS, stub], ["orpo_loss"]) == forms([OURS], ["orpo_loss"])
    assert forms([stub], ["orpo_loss"]) == {}


def test_the_arguments_which_the_starter_names_add_no_length():
    def lines(number):  # of 6 parts each: two names, a sum, a constant, …
        return "".join(f"    w{i} = w + {i}\n" for i in range(number))

    short = f"def ipo_loss(w, l, a, b, c, d, e, f):\n{lines(6)}    return w1\n"
    assert 40 <= form(short, "ipo_loss").length < 50  # 13 of them the starter's
    answers = others(9, "ipo_loss") | {"ada": short, "ben": short}
    assert found(answers) == []


def test_a_short_right_answer_of_a_third_of_the_class_says_nothing():
    short = "def dpo_slope(gap, beta):\n    return beta * torch.sigmoid(-beta * gap)\n"
    answers = others(20, "dpo_slope") | dict.fromkeys(
        [f"short {n}" for n in range(9)], short
    )
    assert found(answers) == []


def test_a_common_answer_says_less_the_more_have_it_and_a_long_one_more():
    few = others(40) | dict.fromkeys([f"ring {n}" for n in range(4)], OURS)
    many = others(40) | dict.fromkeys([f"ring {n}" for n in range(12)], OURS)
    (rare,), (common,) = (alike(handed_in(a), ()) for a in (few, many))
    assert rare.weight > common.weight > 0
    everybody = dict.fromkeys([f"one {n}" for n in range(40)], OURS)
    assert found(everybody) == []


def test_copies_of_the_courses_own_answers_are_named():
    solution = cells_of("06.ipynb", notebooks("solutions")[6].read_bytes())
    renamed = [cell.replace("margin", "my_margin") for cell in solution]
    work = [(upload("eve"), [Page("06.ipynb", tuple(renamed))])]
    groups = alike([*work, *handed_in(others(9))], ())
    assert {g.kind for g in groups} == {"copy"}
    assert {g.learners for g in groups} == {(("eve", "e"),)}
    assert {"orpo_loss", "f_dpo_loss"} <= {g.exercise for g in groups}
    assert "ipo_loss" not in {g.exercise for g in groups}  # too short to say anything
    assert "solutions/06_variants.ipynb" in groups[0].why
    module = inspect.getsource(
        inspect.getmodule(EXERCISES["fit_bradley_terry"].reference)
    )
    copied = alike(handed_in({"eve": module}), ())
    (own,) = [g for g in copied if g.exercise == "fit_bradley_terry"]
    assert "course_lib/preferences.py" in own.why


def test_an_honest_class_is_left_alone():
    """Right answers that were written one by one, a learner each: no two are alike."""
    work = [
        (upload(f"{number} {function.__name__}"), [Page("a.py", (source,))])
        for name, functions in ALTERNATIVES.items()
        for number, function in enumerate(functions)
        for source in [inspect.getsource(function).replace(function.__name__, name)]
    ]
    assert len(work) > 70
    assert [(g.exercise, g.learners) for g in alike(work, ())] == []


# ── mistakes ──────────────────────────────────────────────────────────────────────────

WRONG = """
def dpo_loss(a, b, c, d, beta):
    odd = (a - c) * beta - (b + d) * 2
    return -torch.nn.functional.logsigmoid(odd).mean() + 0.5
"""


def test_an_unusual_wrong_answer_counts_although_it_is_short():
    answers = others(30, "dpo_loss") | {"ada": WRONG, "ben": WRONG.replace("odd", "x")}
    assert found(answers) == []
    marked = marks(["ada", "ben"], "dpo_loss")
    assert found(answers, marked) == [("dpo_loss", "mistake", ["ada", "ben"])]
    two_of_nine = others(7, "dpo_loss") | {"ada": WRONG, "ben": WRONG}
    assert found(two_of_nine, marked) == [("dpo_loss", "mistake", ["ada", "ben"])]
    right = marks(["ada", "ben"], "dpo_loss", status="passed")
    assert found(answers, right) == []
    usual = answers | dict.fromkeys([f"as many {n}" for n in range(6)], WRONG)
    assert found(usual, marks([*usual], "dpo_loss")) == []


MAKERS = ["ada", "ben"]
FINDING = (("input", "β = 0.1"), ("yours", "0.7981"), ("must", "be below 0.6931"))


def alike_in_numbers(second: str, others_marked=()) -> list[str]:
    """The kinds of groups, if ada and a second learner have the numbers of FINDING."""
    answers = others(30, "dpo_loss") | {"ada": WRONG, "ben": second}
    marked = [*marks(MAKERS, "dpo_loss", "failed", FINDING, "odd"), *others_marked]
    return [g.kind for g in alike(handed_in(answers), marked)]


def test_the_same_wrong_numbers_in_other_words():
    assert alike_in_numbers(WRONG.replace("+ 0.5", "+ 1 / 2")) == ["numbers"]


def test_whoever_has_the_same_words_is_not_told_twice():
    assert alike_in_numbers(WRONG) == ["mistake"]


def test_the_numbers_of_a_usual_mistake_say_nothing():
    more = [*others(9, "dpo_loss")]
    in_it = marks(more, "dpo_loss", "failed", (("yours", "1.2345"),), "odd")
    in_it = [m for n, m in enumerate(in_it) if n % 2]  # four more, two pairs of numbers
    other = WRONG.replace("+ 0.5", "+ 1 / 2")
    assert "numbers" not in alike_in_numbers(other, in_it)
    unlike = (("input", "β = 0.1"), ("yours", "0.7982"))
    far = marks(["0th"], "dpo_loss", "failed", unlike, "odd")
    assert alike_in_numbers(other, far) == ["numbers"]


def test_a_wrong_type_is_no_number():
    told = (("input", "β = 0.1"), ("yours", "no tensor"))
    marked = marks(MAKERS, "dpo_loss", "failed", told, "no tensor")
    answers = others(30, "dpo_loss") | {
        "ada": WRONG,
        "ben": WRONG.replace("+ 0.5", "+ 1 / 2"),
    }
    assert found(answers, marked) == []


def test_a_wrong_answer_means_more_than_a_right_one():
    answers = others(30) | {"ada": OURS, "ben": OURS}
    (right,) = alike(handed_in(answers), marks(MAKERS, "orpo_loss", "passed"))
    (wrong,) = alike(handed_in(answers), marks(MAKERS, "orpo_loss", "failed"))
    assert (right.kind, wrong.kind) == ("answer", "mistake")
    assert wrong.weight == pytest.approx(2 * right.weight)


# ── what the teacher gets ─────────────────────────────────────────────────────────────


def test_the_file_is_for_a_spreadsheet_and_holds_no_formula(tmp_path):
    answers = others(9) | {"=HYPERLINK(1)": OURS, "ben": DISGUISES["helper"]}
    groups = alike(handed_in(answers), ())
    path = tmp_path / "similarity.csv"
    write(path, groups)
    assert path.read_bytes()[:3] == b"\xef\xbb\xbf"
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["learner"] for row in rows] == ["'=HYPERLINK(1)", "ben"]
    assert [row["id"] for row in rows] == ["'=", "b"]
    assert {row["have it"] + " of " + row["tried"] for row in rows} == {"2 of 11"}
    assert {row["note"] for row in rows} == {CAUTION}
    assert [path.name for path in tmp_path.iterdir()] == ["similarity.csv"]
    write(path, [])
    assert len(path.read_text("utf-8").splitlines()) == 1


def test_a_page_is_told_who_why_and_how_many():
    second = OURS.replace("orpo_loss", "dpo_loss")
    answers = others(9) | {"ada": OURS + second, "ben": DISGUISES["names"] + second}
    told = section(alike(handed_in(answers), ()))
    assert told["caution"] == CAUTION
    first = next(one for one in told["groups"] if one["number"] == "6.4")
    assert first["learners"] == ["ada (a)", "ben (b)"]
    assert first["share"] == "2 of the 11 who tried"
    assert first["why"].startswith("the same answer, up to names and formatting")
    (pair,) = told["pairs"]
    assert pair["learners"] == ["ada (a)", "ben (b)"]
    assert sorted(pair["exercises"]) == ["4.1", "6.4"]
    assert section([])["groups"] == section([])["pairs"] == []


@pytest.mark.thorough
def test_a_class_of_three_hundred_takes_seconds(request):
    cells = cells_of("06.ipynb", notebooks("solutions")[6].read_bytes())
    work = [
        (upload(f"{n}"), [Page("06.ipynb", tuple(f"{c}\n# {n}" for c in cells))])
        for n in range(300)
    ]
    began = time.process_time()
    assert len(alike(work, ())) > 2
    assert time.process_time() - began < 5 * request.config.option.patience
