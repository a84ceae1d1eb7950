"""Spaced review: what comes, when it comes again, and that nothing is lost."""

import datetime
import json

import pytest

from course_lib import spaced_review
from course_lib.exercises import EXERCISES
from course_lib.workspace import notebooks

DAY = datetime.date(2030, 1, 1)


@pytest.fixture
def begun(work_folder):
    notes = {
        "dpo_loss": {"attempts": 3, "passed": True, "mistakes": ["swapped"]},
        "preference_probability": {"attempts": 1, "passed": True},
        "no_longer_there": {"attempts": 9},
    }
    (work_folder / "progress.json").write_text(json.dumps(notes))
    return work_folder


def test_only_begun_chapters_ask_and_the_hardest_come_first(begun):
    names = [question.name for question in spaced_review.due(DAY)]
    assert names == [
        *["04.1", "04.2", "04.3", "dpo_loss: swapped"],
        *["00.1", "00.2", "00.3"],
    ]


def test_every_chapter_has_three_questions_with_answers(work_folder):
    first = {e.number.partition(".")[0]: name for name, e in EXERCISES.items()}
    notes = {name: {"attempts": 1} for name in first.values()}
    (work_folder / "progress.json").write_text(json.dumps(notes))
    asked = spaced_review.questions()
    chapters = [p.name[:2] for p in notebooks("notebooks") if p.name[:2] != "Start"]
    assert len(asked) == 3 * len(chapters)
    wrong = [q for q in asked if q.asks[-1] not in "?." or len(q.answer) < 20]
    assert not wrong


def test_a_mistake_of_ones_own_is_asked_about(begun):
    (mistake,) = [q for q in spaced_review.questions() if "swapped" in q.name]
    assert "dpo_loss" in mistake.asks
    assert "the gap is the chosen log-ratio minus the rejected" in mistake.answer


def test_what_was_known_comes_later_and_what_was_not_tomorrow(begun):
    ask = "04.1"
    for days in (1, 3, 7, 21, 60, 60):
        spaced_review.remember(ask, True, DAY)
        again = json.loads((begun / "review.json").read_text())[ask]["due"]
        assert again == str(DAY + datetime.timedelta(days))
    spaced_review.remember(ask, False, DAY)
    assert ask not in [q.name for q in spaced_review.due(DAY)]
    assert ask in [q.name for q in spaced_review.due(DAY + datetime.timedelta(1))]
    spaced_review.remember(ask, True, DAY)  # it begins again at one day
    assert ask in [q.name for q in spaced_review.due(DAY + datetime.timedelta(1))]


def test_the_widget_asks_shows_and_goes_on(begun):
    shown = spaced_review.review()
    first, _, answer, _ = shown.asked[0]
    assert first in shown.children[0].value
    shown.children[1].click()
    told, buttons = shown.children[1:]
    assert told.value == f"<p>{answer}</p>"
    buttons.children[0].click()
    assert shown.asked[0].name != first
    for _ in range(len(shown.asked)):
        shown.answer(knew=False)
    assert repr(shown) == "Nothing is due today."


def test_in_a_terminal(begun, monkeypatch, capsys):
    typed = iter(["", "y", "", "n"])

    def answer(_):
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", answer)
    assert spaced_review.main([]) == 0
    assert "7 due today." in capsys.readouterr().out
    kept = json.loads((begun / "review.json").read_text())
    assert [kept[name]["known"] for name in ("04.1", "04.2")] == [1, 0]
    assert len(spaced_review.due()) == 5


def test_a_check_notes_what_it_diagnosed(work_folder):
    from course_lib import check

    def preference_probability(reward_w, reward_l):
        return (reward_l - reward_w).sigmoid()

    check(preference_probability)
    notes = json.loads((work_folder / "progress.json").read_text())
    assert notes["preference_probability"]["mistakes"] == ["swapped"]
    asked = {question.name for question in spaced_review.questions()}
    assert "preference_probability: swapped" in asked
