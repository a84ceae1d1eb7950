"""Predictions: asked once, kept, and set beside what is true."""

import pytest

from course_lib.predictions import FILE, predict, predicted
from course_lib.workspace import read, work_folder


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))


ASKED = "A difference of 2 wins", ["100 %", "88 %", "80 %"]


def test_an_answer_is_kept_and_cannot_be_changed():
    asked = predict("two", *ASKED)
    asked.children[1].children[2].click()
    assert read(work_folder() / FILE) == {"two": "80 %"}
    assert "You predicted <strong>80 %</strong>" in asked.children[0].value
    assert len(asked.children) == 1
    again = predict("two", *ASKED)
    assert len(again.children) == 1
    again.answer("88 %")
    assert read(work_folder() / FILE) == {"two": "80 %"}


def test_it_is_set_beside_what_is_true():
    assert (
        str(predicted("two", "88 %")) == "The answer: 88 %. (No prediction was made.)"
    )
    predict("two", *ASKED).answer("88 %")
    assert str(predicted("two", "88 %")) == "You predicted 88 %. Right: 88 %."
    predict("three", *ASKED).answer("80 %")
    assert "You predicted 80 %. The answer: 88 %" in str(predicted("three", "88 %"))


@pytest.mark.parametrize(
    ("said", "right"), [(0.31, True), (0.34, False), (-0.3, False)]
)
def test_a_number_is_right_if_it_is_near(said, right):
    asked = predict("kl", "How far, in nats?")
    field, button = asked.children[1].children
    field.value = said
    button.click()
    words = str(predicted("kl", 0.3))
    assert words.startswith(f"You predicted {said:g}")
    assert ("Right: 0.3." in words) == right


def test_without_a_widget_it_says_what_it_asks():
    words = predict("two", *ASKED)._repr_mimebundle_()["text/plain"]
    lines = words.splitlines()
    assert lines == [ASKED[0], "100 % · 88 % · 80 %", "(Run this cell to answer.)"]


def test_bad_choices_and_answers_are_refused():
    with pytest.raises(ValueError, match="at least two"):
        predict("one", "Well?", ["yes"])
    with pytest.raises(ValueError, match="one of"):
        predict("two", *ASKED).answer("12 %")
    assert not (work_folder() / FILE).exists()
