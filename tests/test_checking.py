"""What a learner meets: check, hint, progress, yours, and the cards they show."""

import json
import warnings
from html.parser import HTMLParser

import pytest
import torch

from course_lib import workspace
from course_lib.checking import api, check, hint, progress, yours
from course_lib.checking.card import WIDTH, Badge, Card, Row
from course_lib.exercises import EXERCISES
from course_lib.preferences import preference_probability as right
from course_tools.check import main


def named(function):
    """Give a wrong answer the name of the exercise that it is an answer to."""
    function.__name__ = "preference_probability"
    return function


def swapped():
    return named(lambda w, v: torch.sigmoid(v - w))


def broken(w, v):
    total = w + v
    return total[7]


def starter():
    def preference_probability(reward_w, reward_l):
        raise NotImplementedError

    return preference_probability


def test_the_card_of_a_mistake_reads_like_this(work_folder):
    summary = "2 of 10 properties hold".rjust(WIDTH - 32)
    assert repr(check(swapped())) == (
        f"preference_probability · not yet{summary}\n"
        " looks like: rejected minus chosen: the answer whose chance is asked for "
        "comes first\n"
        " ✓ a tensor of probabilities, one for each pair\n"
        " ✓ one half when both answers are equally good\n"
        " ✗ a first answer with the higher reward\n"
        "     input  reward_w = [2], reward_l = [1]\n"
        "     yours  [0.2689]\n"
        "     must   be above 0.5\n"
        " · seven more properties wait for this one\n"
        " next: `hint(preference_probability)`"
    )


def test_three_states_and_a_pass_never_says_that_everything_is_right(work_folder):
    assert check(starter()).state == "not attempted"
    assert check(swapped()).state == "not yet"
    assert check(right).state == "passed"
    assert "public checks passed" in repr(check(right))


@pytest.mark.parametrize(
    ("function", "yours_line"),
    [
        (lambda w, v: None, "returned NoneType (no return?)"),
        (lambda w, v: torch.sigmoid(w - v).sum(), "(a tensor, shape ())"),
        (lambda w, v: torch.sigmoid(w - v).float(), "(dtype float32)"),
        (lambda w, v: torch.sigmoid(w - v).detach(), "no gradient flows back"),
        (lambda w, v: torch.sigmoid(w - v.detach()), "have the gradient"),
        (lambda w, v: w.missing, "AttributeError: 'Tensor' object has no attribute"),
        (broken, "(line 3: return total[7])"),
        (broken, "IndexError"),
        (lambda w: w, "TypeError: "),
        (
            lambda w, v: w.data.zero_() + torch.sigmoid(w - v),
            "changed its input reward_w",
        ),
        (lambda w, v: float(torch.sigmoid(w - v)[0]), "(a number)"),
    ],
)
def test_it_says_what_the_function_gave(work_folder, function, yours_line):
    card = check(named(function))
    assert card.state == "not yet"
    assert yours_line in " ".join(repr(card).split())


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("dpo_loss", "write `check(dpo_loss)`, without quotes"),
        (torch.ones(2), "the result of a call, a Tensor"),
        (len, "no exercise asks for a function called `len`"),
    ],
)
def test_what_is_no_function_of_an_exercise_gets_a_card(asked, says):
    card = check(asked)
    assert card.state == "not attempted"
    assert says in card.diagnosis
    assert says in repr(card)


def test_a_card_says_why_and_has_a_state(work_folder):
    assert check(swapped()).diagnosis.startswith("rejected minus chosen")
    assert check(right).diagnosis == ""
    unknown = named(lambda w, v: sigmiod(w - v))  # noqa: F821
    assert "`sigmiod`" in check(unknown).diagnosis


def test_an_answer_and_its_reason_after_a_pass_or_the_last_hint(work_folder):
    for card in (check(right), hint(right, 3)):
        assert "torch.sigmoid(" in card.answer.code
        assert "Why this is right" in card.answer.why
        assert "<details>" in card._repr_html_()
        assert "BEGIN SOLUTION" not in card._repr_html_()
    for card in (check(swapped()), check(starter()), hint(right, 2)):
        assert card.answer is None


class Reader(HTMLParser):
    """Balance of tags, names for a screen reader, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.labels = [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.labels += [value for name, value in attrs if name == "aria-label"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(card):
    reader = Reader()
    reader.feed(card._repr_html_())
    assert not reader.open
    return reader


def test_html_says_the_same_as_the_text(work_folder):
    for card in (check(swapped()), check(right), check(starter()), progress()):
        reader = read(card)
        words = " ".join("".join(reader.text).split())
        for row in card.rows:
            assert " ".join(row.text.replace("`", "").split()) in words
            for label, text in row.details:
                assert label in words
                assert text.replace("`", "") in words
        assert reader.labels[0].startswith(card.heading)


def test_html_can_be_heard_and_fits_any_theme(work_folder):
    card = check(swapped())
    labels = read(card).labels
    assert labels[0] == "preference_probability: not yet"
    assert labels.count("holds") == 2
    assert labels.count("does not hold") == 1
    html = card._repr_html_()
    assert "background:transparent" in html
    assert "color:inherit" in html


BAD = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    "shown",
    [Card(BAD, BAD, BAD, (Row(BAD, BAD, ((BAD, BAD),)),), BAD), Badge(BAD, BAD, BAD)],
)
def test_html_of_hostile_text_is_inert(shown):
    html = shown._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == html.count("alert(1)") > 2


def test_text_cards_stay_narrow(work_folder):
    for function in (swapped(), right, starter()):
        assert max(map(len, repr(check(function)).splitlines())) <= WIDTH
    long = Card("h", "passed", "s", (Row("✓", "word " * 60),))
    assert max(map(len, repr(long).splitlines())) <= WIDTH


def test_hints_come_one_by_one_and_end(monkeypatch):
    monkeypatch.setattr(api, "_hints_seen", {})
    assert [hint(right).summary for _ in range(4)] == [
        "hint 1 of 3",
        "hint 2 of 3",
        "hint 3 of 3",
        "hint 3 of 3",
    ]
    assert "last one" in repr(hint(right))
    with pytest.raises(ValueError, match="number must be 1 to 3"):
        hint(right, 4)
    monkeypatch.setattr(api, "_hints_seen", {})
    assert "hint 1 of 3" in repr(hint(starter()))


def test_progress_is_remembered_beside_the_copies(work_folder):
    check(starter())
    check(swapped())
    check(swapped())
    notes = json.loads((work_folder / "progress.json").read_text())
    wanted = {
        "attempts": 2,
        "state": "not yet",
        "passed": False,
        "mistakes": ["swapped"],
    }
    assert notes["preference_probability"] == wanted
    assert "2 attempts" in repr(progress())
    assert "next: 0.1 " in repr(progress())
    check(right)
    assert f"1 of {len(EXERCISES)} passed" in repr(progress())
    assert [path.name for path in work_folder.iterdir()] == ["progress.json"]


def test_what_was_passed_once_stays_passed(work_folder):
    old = {"preference_probability": {"attempts": 1, "state": "passed"}}
    (work_folder / "progress.json").write_text(json.dumps(old))
    check(swapped())
    check(starter())
    notes = json.loads((work_folder / "progress.json").read_text())
    assert notes["preference_probability"]["state"] == "not attempted"
    card = progress()
    assert card.summary == f"1 of {len(EXERCISES)} passed"
    assert card.rows[0].mark == "✓"
    assert card.rows[0].text == "Chapter 00: 1 of 1 passed"
    assert card.rows[0].details[0][1].endswith(": passed, 2 attempts")
    assert card.closing.endswith("in `01_exercises.ipynb`")


def test_a_broken_progress_file_is_set_aside_not_lost(work_folder):
    (work_folder / "progress.json").write_text('{"preference_pro')
    assert f"0 of {len(EXERCISES)} passed" in repr(progress())
    check(right)
    assert (work_folder / "progress.unreadable.json").read_text() == '{"preference_pro'
    assert f"1 of {len(EXERCISES)} passed" in repr(progress())


def test_notes_of_exercises_that_are_gone_do_no_harm(work_folder, monkeypatch):
    gone = {"an_old_name": {"attempts": 1, "state": "passed"}}
    (work_folder / "progress.json").write_text(json.dumps(gone))
    assert f"0 of {len(EXERCISES)} passed" in repr(progress())
    monkeypatch.setenv("COURSE_WORK", str(work_folder / "nowhere"))
    check(right)  # without copies nothing is written
    assert not (work_folder / "nowhere").exists()


def test_a_full_disk_loses_no_check(work_folder, monkeypatch, capsys):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(workspace, "write", full)
    assert check(right).state == "passed"
    assert "progress was not saved" in capsys.readouterr().err


def test_yours_is_yours_only_when_it_passes(work_folder, capsys):
    assert yours(right) is right
    wrong = swapped()
    assert yours(wrong) is right
    assert yours(starter()) is right
    printed = capsys.readouterr().out
    assert "passed · what follows runs on your function" in printed
    assert "not yet · what follows runs on the course's function" in printed


def test_the_badge_turns_stale_when_the_function_is_redefined(monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shown, hooks = [], []

    class Handle:
        def update(self, badge):
            shown.append(badge)

    monkeypatch.setattr(api, "_shell", lambda: shell)
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: Handle())
    monkeypatch.setattr(shell.events, "register", lambda name, hook: hooks.append(hook))
    monkeypatch.setattr(shell.events, "unregister", lambda name, hook: hooks.clear())
    shell.user_ns["preference_probability"] = right
    yours(right)
    hooks[0]()
    assert not shown
    shell.user_ns["preference_probability"] = swapped()
    hooks[0]()
    assert shown[0].state == "stale"
    assert "redefined" in shown[0]._repr_html_()
    assert not hooks


def notebook_with(source: str) -> str:
    cell = {"cell_type": "code", "source": [source], "metadata": {}, "outputs": []}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4})


RIGHT = (
    "import torch\nraise SystemExit\nx = print('loud')\n"
    "def preference_probability(a, b):\n    return torch.sigmoid(a - b)\n"
)


def test_what_the_course_tries_beside_an_answer_warns_nobody(work_folder):
    """Mistakes that transpose what has no two dimensions, for example."""

    def pair_pushes(features, policy, chosen, rejected):
        mean = (features * policy).sum(0)
        return (features[chosen] - features[rejected]) @ (features - mean).T

    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            assert check(pair_pushes).state == "not yet"
    finally:
        torch.set_warn_always(False)
    assert not heard


def test_copies_can_be_checked_from_the_command_line(work_folder, capsys):
    mine = work_folder / "00_exercises.ipynb"
    mine.write_text(notebook_with(RIGHT))
    for name in ("00_start_here", "Start", "00_exercises.backup-1"):
        other = notebook_with("print('a page to read')")
        (work_folder / f"{name}.ipynb").write_text(other)
    for words in (["00"], ["0"], ["00_start_here"], [str(mine)], []):
        assert main(words) == 0
        printed = capsys.readouterr().out
        assert printed.startswith("preference_probability · passed")
        assert "loud" not in printed
    mine.write_text(notebook_with(RIGHT.replace("a - b", "b - a")))
    assert main([]) == 1
    assert "looks like" in capsys.readouterr().out


def test_a_copy_of_an_old_name_is_still_checked(work_folder, capsys):
    page = json.loads(notebook_with(RIGHT))
    page["cells"][0]["metadata"]["tags"] = ["exercise"]
    (work_folder / "00_start_here.ipynb").write_text(json.dumps(page))
    assert main(["00"]) == 0
    assert "preference_probability · passed" in capsys.readouterr().out


def test_a_plain_file_can_be_checked(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(RIGHT)
    assert main([str(tmp_path / "mine.py")]) == 0


def test_nothing_to_check_is_said(work_folder, capsys):
    assert main(["07"]) == 1
    assert "nothing to check: no exercises of 07 in" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["not json", notebook_with("def f(:\n")])
def test_an_unreadable_copy_is_one_sentence(work_folder, text, capsys):
    (work_folder / "00_exercises.ipynb").write_text(text)
    assert main(["00"]) == 1
    assert "00_exercises.ipynb" in capsys.readouterr().out
