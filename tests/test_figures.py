"""Pictures: pure, described in words, alive at every corner of their sliders."""

import inspect
import itertools

import pytest
import torch

from course_lib import figures
from course_lib.figures import Picture

SCORES = torch.tensor([0.0, 1.1, 0.7], dtype=torch.float64)
WINS = torch.tensor([[0.0, 2, 3], [5, 0, 4], [4, 3, 0]])

# every figure with a slider, at both ends and in the middle of it
CORNERS = {
    "choice_curve": [{"difference": x} for x in (-6.0, 0.0, 6.0)],
    "loss_curve": [{"difference": x} for x in (-6.0, 0.0, 6.0)],
    "noise_ceiling": [{"scale": x, "scores": SCORES} for x in (0.0, 1.0, 5.0)],
    "rankings": [{"top_score": x} for x in (-3.0, 0.0, 3.0)],
    "magnitude_losses": [{"magnitude": x} for x in (0.0, 1.5, 3.0)],
    "uncertain_scores": [{"std": x} for x in (0.0, 2.5, 5.0)],
    "strengths": [
        {"names": ["a", "b", "c"], "scores": SCORES, "errors": SCORES / 3},
        {"names": ["a", "b", "c"], "scores": SCORES, "published": [0.0, 1.0, 0.7]},
    ],
    "wins_predicted": [{"wins": WINS, "scores": SCORES}],
}
CASES = [(name, kwargs) for name, cases in CORNERS.items() for kwargs in cases]


def png(picture: Picture) -> bytes:
    return picture.png()


def test_every_figure_is_here():
    assert set(CORNERS) == set(figures.__all__) - {"Picture"}


@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_every_corner_draws_the_same_picture_twice(name, kwargs):
    draw = getattr(figures, name)
    first, second = draw(**kwargs), draw(**kwargs)
    assert png(first) == png(second)
    assert first.alt == second.alt


@pytest.mark.parametrize("name", CORNERS)
def test_another_value_is_another_picture_with_other_words(name):
    pictures = [getattr(figures, name)(**kwargs) for kwargs in CORNERS[name]]
    for one, other in itertools.combinations(pictures, 2):
        assert png(one) != png(other)
    if len(pictures) > 2:
        assert len({picture.alt for picture in pictures}) == len(pictures)


@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_style(name, kwargs):
    picture = getattr(figures, name)(**kwargs)
    assert picture.figure.get_figwidth() <= 6.5
    for axis in picture.figure.axes:
        assert axis.get_xlabel()
        assert axis.get_title()
    assert 40 < len(picture.alt) < 400
    assert picture.alt.endswith(".")
    assert "nan" not in picture.alt


def test_the_words_tell_the_numbers():
    assert "0.881" in figures.choice_curve(2.0).alt
    assert "0.775" in figures.uncertain_scores(2.0).alt


def test_alternative_text_in_html_but_plain_when_stored(monkeypatch):
    picture = figures.choice_curve(1.0)
    monkeypatch.setenv("COURSE_PLAIN_FIGURES", "1")
    assert set(picture._repr_mimebundle_()) == {"image/png", "text/plain"}
    monkeypatch.delenv("COURSE_PLAIN_FIGURES")
    html = picture._repr_mimebundle_()["text/html"]
    assert f'alt="{picture.alt}"' in html


def test_a_learner_s_function_is_the_one_that_is_drawn():
    picture = figures.choice_curve(2.0, lambda w, v: torch.full_like(w, 0.25))
    assert "0.250" in picture.alt


def contrast(color: str) -> float:
    """Contrast with white, as web accessibility counts it."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 1.05 / (
        sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True)) + 0.05
    )


@pytest.mark.parametrize("name", ["BLUE", "ORANGE", "GREEN", "GREY"])
def test_colours_stand_out_from_the_page(name):
    assert contrast(getattr(figures, name)) > 3


def test_no_figure_touches_pyplot():
    assert "pyplot" not in inspect.getsource(figures)
