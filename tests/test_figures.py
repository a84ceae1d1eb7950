"""Pictures: pure, described in words, alive at every corner of their sliders."""

import itertools
import math
import re
from html import escape
from pathlib import Path

import pytest
from scenes import SCENES, STILL, WORDS
from scenes.bradley_terry import SCORES

from course_lib import plots
from course_lib.sliders.painting import Painter


class Drawn:
    """A scene, painted for some values: what a slider would show there."""

    def __init__(self, draw, setup, **values):
        self.painter = Painter(draw, setup, [values])
        self.words = self.painter.paint(**values)
        self.figure = self.painter.figure

    def __repr__(self) -> str:
        return self.words


def scene(name, values, *more) -> Drawn:
    args, _ = SCENES[name]
    return Drawn(*getattr(plots, name)(*args, *more), **values)


CASES = [(name, values) for name, (_, corners) in SCENES.items() for values in corners]
DRAWN = [
    *((name, lambda n=name, v=values: scene(n, v)) for name, values in CASES),
    *(
        (name, lambda n=name, k=kwargs: getattr(plots, n)(**k))
        for name, cases in STILL.items()
        for kwargs in cases
    ),
]
drawn = pytest.mark.parametrize(
    ("name", "make"), DRAWN, ids=[name for name, _ in DRAWN]
)


def still(drawing) -> str | bytes:
    """What moves in a scene, without the names of its clips, or a whole picture."""
    if isinstance(drawing, Drawn):
        return re.sub(r"\b[pmh][0-9a-f]{10}\b", "", drawing.painter.layer(drawing.painter.layers()))
    return drawing.png()


def test_every_figure_is_here():
    assert set(STILL) | set(SCENES) == set(plots.__all__) - {"Picture", "Scene"}


@pytest.mark.slow
@drawn
def test_a_figure_is_the_same_picture_twice(name, make):
    assert still(make()) == still(make())
    assert repr(make()) == repr(make())


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_another_value_is_another_picture_with_other_words(name):
    plots = [scene(name, values) for values in SCENES[name][1]]
    for one, other in itertools.combinations(plots, 2):
        assert still(one) != still(other)
        assert repr(one) != repr(other)


@drawn
def test_style(name, make):
    drawing = make()
    assert drawing.figure.get_figwidth() <= 6.5
    for axis in drawing.figure.axes:
        assert axis.get_xlabel()
        assert axis.get_title()
    assert 40 < len(repr(drawing)) < 400
    assert repr(drawing).endswith(".")
    assert "nan" not in repr(drawing)


@pytest.mark.parametrize("name", SCENES)
def test_the_words_tell_the_numbers(name):
    values, said = WORDS[name]
    assert said in scene(name, values).words


@pytest.mark.parametrize("beta", [0.05, 0.3, 2.0])
def test_where_a_loss_is_lowest_by_its_closed_form(beta):
    def said(variant, **more):
        return scene("loss_shapes", {"variant": variant, "beta": beta, **more}).words

    assert f"lowest, 0.000, at h = {1 / (2 * beta):.2f} nats, and pulled" in said("ipo")
    assert f"at h = {1 / beta:.2f} nats" in said("hinge")
    assert "from there on flat" in said("hinge")
    assert f"at h = {math.log(2) / beta:.2f} nats" in said("nca")
    assert f"at h = {math.log(9) / beta:.2f} nats" in said("cdpo", epsilon=0.1)
    assert "no lower bound" in said("robust", epsilon=0.1)
    for variant in ("dpo", "dpo_norm", "simpo"):
        assert "no minimum: it falls towards 0.000 for ever" in said(variant)
    for variant, floor in (("apo_zero", 0.5), ("apo_down", 0.5), ("kto", 0.25)):
        assert f"falls towards {floor:.3f} for ever" in said(variant)
    for variant in ("dpo_nll", "orpo", "cpo"):
        assert "where the chosen answer is certain" in said(variant)


def test_a_poll_is_the_share_of_its_votes_and_another_town_votes_differently():
    def share(town):
        words = scene("poll", {"difference": 1.0, "people": 1000, "town": town}).words
        votes, share = re.search(r"; (\d+) did, a share of (\d\.\d+)", words).groups()
        assert float(share) == int(votes) / 1000
        return float(share)

    shares = [share(town) for town in range(1, 21)]
    assert len(set(shares)) > 10
    assert sum(abs(s - 0.7311) < 2 * 0.0140 for s in shares) >= 17


def test_alternative_text_in_html_but_plain_when_stored(monkeypatch):
    picture = plots.strengths(["a & b", "c"], SCORES[:2], title='The "best"')
    monkeypatch.setenv("COURSE_PLAIN_FIGURES", "1")
    assert set(picture._repr_mimebundle_()) == {"image/png", "text/plain"}
    monkeypatch.delenv("COURSE_PLAIN_FIGURES")
    html = picture._repr_mimebundle_()["text/html"]
    assert f'alt="{escape(picture.alt)}"' in html
    assert 'style="width:650px"' in html  # not stretched to the page's width


def test_a_learner_s_function_is_the_one_that_is_drawn():
    quarter = scene("choice_curve", {"difference": 2.0}, lambda w, v: 0 * w + 0.25)
    assert "0.250" in quarter.words


def contrast(color: str) -> float:
    """Contrast with white, as web accessibility counts it."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 1.05 / (
        sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True)) + 0.05
    )


@pytest.mark.parametrize("name", ["BLUE", "ORANGE", "GREY"])
def test_colours_stand_out_from_the_page(name):
    assert contrast(getattr(plots.style, name)) > 3


def test_no_figure_touches_pyplot():
    for file in Path(plots.__file__).parent.glob("*.py"):
        assert "pyplot" not in file.read_text(encoding="utf-8")
