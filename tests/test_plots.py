"""Pictures: pure, described in words, alive at every corner of their sliders."""

import itertools
import math
import re
from functools import cache
from html import escape
from pathlib import Path

import pytest
from figure_language import faults_of, foreign_colours
from scenes import ARGUMENTS, HOW_TO_ADD, SAID, SCENES, SCORES, STILLS

from course_lib import plots
from course_lib.plots.style import Scene
from course_lib.sliders.painting import Painter

scenes = pytest.mark.parametrize("name", SCENES)
stills = pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name in STILLS for case in range(len(STILLS[name]))],
)


def made(name: str, *more) -> Painter:
    scene = plots.FIGURES[name](*ARGUMENTS.get(name, ()), *more)
    return Painter(*scene, SCENES[name])


painter = cache(made)  # one for all tests of a scene: it shows one value after another


def drawn(painter: Painter, values: dict) -> tuple[str, str]:
    """What is said for these values, and what moves, without the names of its clips."""
    words, layers = painter.paint(**values), painter.layers()
    moving = painter.layer(layers) + layers.definitions()
    return words, re.sub(r"\b[pmh][0-9a-f]{10}\b", "", moving)


@cache
def looked_at(name: str) -> list[tuple[tuple[str, str], list[str]]]:
    """A scene at each position: what it says and draws, and its faults.

    Colours are looked at in what moves, and once in the whole figure.
    """
    found = []
    for values in SCENES[name]:
        told, beta = drawn(painter(name), values), values.get("beta", 1.0)
        whole = beta if values == SCENES[name][-1] else None
        faults = [*faults_of(painter(name).figure, whole)]
        found.append((told, [*faults, *foreign_colours(told[1], beta)]))
    return found


def positions(name: str) -> list[tuple[str, str]]:
    return [told for told, _ in looked_at(name)]


@cache
def still(name: str, case: int):
    return plots.FIGURES[name](**STILLS[name][case])


def said(name: str, **values) -> str:
    return painter(name).paint(**values)


@pytest.mark.parametrize("name", plots.FIGURES)
def test_every_figure_is_here(name):
    make = plots.FIGURES[name]
    sliders = "a slider=(its low, some middle, its high)"
    if make.__annotations__["return"] is Scene:
        known = name in SCENES and name in SAID
    else:
        known = name in STILLS
    assert known, HOW_TO_ADD.format(name=name, sliders=sliders)


@pytest.mark.slow
@scenes
def test_a_scene_is_the_same_twice_in_any_order(name):
    again = made(name)
    backwards = [drawn(again, values) for values in reversed(SCENES[name])]
    assert backwards[::-1] == positions(name)


@pytest.mark.slow
@stills
def test_a_picture_is_the_same_twice(name, case):
    one, two = still(name, case), plots.FIGURES[name](**STILLS[name][case])
    assert one.png() == two.png()
    assert one.alt == two.alt


@pytest.mark.slow
@scenes
def test_every_scene_speaks_the_language(name):
    """A headline and a line below it, known colours, no legend, words well set."""
    assert not [fault for _, faults in looked_at(name) for fault in faults]


@pytest.mark.slow
@stills
def test_every_picture_speaks_the_language(name, case):
    assert not [*faults_of(still(name, case).figure, beta=1.0)]


@pytest.mark.slow
@scenes
def test_another_value_is_another_picture_with_other_words(name):
    for one, other in itertools.combinations(positions(name), 2):
        assert one[0] != other[0]
        assert one[1] != other[1]


def good_style(figure, words: list[str]):
    assert figure.get_figwidth() <= 6.5
    for axis in figure.axes:
        assert axis.get_xlabel() or not len(axis.get_xticks())
        assert axis.get_title() or axis.get_title(loc="left")
    for said in words:
        assert 40 < len(said) < 400
        assert said.endswith(".")
        assert "nan" not in said


@pytest.mark.slow
@scenes
def test_a_scene_s_style(name):
    good_style(painter(name).figure, [words for words, _ in positions(name)])


@pytest.mark.slow
@stills
def test_a_picture_s_style(name, case):
    drawing = still(name, case)
    good_style(drawing.figure, [repr(drawing)])


@pytest.mark.slow
@scenes
def test_the_words_tell_the_numbers(name):
    values, words = SAID[name]
    assert words in said(name, **values)


@pytest.mark.parametrize("beta", [0.05, 0.3, 2.0])
def test_where_a_loss_is_lowest_by_its_closed_form(beta):
    floors = {"apo_zero": 0.5, "apo_down": 0.5, "kto": 0.25}
    endless = "no minimum: it falls towards 0.000 for ever"
    certain = "where the chosen answer is certain"
    for variant, words in (
        ("ipo", f"lowest, 0.000, at h = {1 / (2 * beta):.2f} nats, and pulled"),
        ("hinge", f"at h = {1 / beta:.2f} nats"),
        ("hinge", "from there on flat"),
        ("nca", f"at h = {math.log(2) / beta:.2f} nats"),
        ("cdpo", f"at h = {math.log(9) / beta:.2f} nats"),
        ("robust", "no lower bound"),
        *((variant, endless) for variant in ("dpo", "dpo_norm", "simpo")),
        *((name, f"falls towards {at:.3f} for ever") for name, at in floors.items()),
        *((variant, certain) for variant in ("dpo_nll", "orpo", "cpo")),
    ):
        assert words in said("loss_shapes", variant=variant, beta=beta, epsilon=0.1)


def test_a_poll_is_the_share_of_its_votes_and_another_town_votes_differently():
    def share(town):
        words = said("poll", difference=1.0, people=1000, town=town)
        votes, share = re.search(r"; (\d+) did, a share of (\d\.\d+)", words).groups()
        assert float(share) == int(votes) / 1000
        return float(share)

    shares = [share(town) for town in range(1, 21)]
    assert len(set(shares)) > 10
    assert sum(abs(s - 0.7311) < 2 * 0.0140 for s in shares) >= 17


def test_bars_that_reach_the_first_item_are_named():
    """By hand: 1.96 × 0.5 = 0.98 is above 0.7 and below 1.1."""
    half = 0.5 * (SCORES > 0)
    picture = plots.strengths(["a", "b", "c"], SCORES, half)
    assert repr(picture).endswith("standard errors that include 0: c.")


def test_alternative_text_in_html_but_plain_when_stored(monkeypatch):
    picture = plots.strengths(["a & b", "c"], SCORES[:2], title='The "best"')
    monkeypatch.setenv("COURSE_PLAIN_FIGURES", "1")
    data, look = picture._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    assert look == {"image/png": {"width": 650}}  # a sharp picture, not a larger one
    monkeypatch.delenv("COURSE_PLAIN_FIGURES")
    html = picture._repr_mimebundle_()[0]["text/html"]
    assert f'alt="{escape(picture.alt)}"' in html
    assert 'style="width:650px"' in html  # not stretched to the page's width


def test_a_learner_s_function_is_the_one_that_is_drawn():
    quarter = made("choice_curve", lambda w, v: 0 * w + 0.25)
    assert "0.250" in quarter.paint(difference=2.0)


def test_no_figure_touches_pyplot():
    for file in Path(plots.__file__).parent.glob("*.py"):
        assert "pyplot" not in file.read_text(encoding="utf-8")
