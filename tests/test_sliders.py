"""Live pictures follow their controls, in words too, and survive an error."""

import pytest
from ipywidgets import FloatSlider

from course_lib.figures import choice_curve
from course_lib.sliders import LivePicture


@pytest.fixture
def live():
    slider = FloatSlider(1.0, min=-6, max=6, step=0.1)
    return LivePicture(choice_curve, difference=slider)


def shown(live) -> tuple[bytes, str]:
    image, words = live.children[-2:]
    return image.value, words.value


def test_it_shows_what_draw_gives_for_every_corner(live):
    for value in (-6.0, 0.0, 2.0, 6.0):
        live.controls["difference"].value = value
        picture = choice_curve(value)
        image, words = shown(live)
        assert image == picture.png()
        assert picture.alt in words
        assert 'aria-live="polite"' in words


def test_the_picture_is_as_wide_as_it_was_drawn(live):
    layout = live.children[-2].layout
    assert (layout.width, layout.max_width) == ("650px", "100%")


def test_the_control_has_the_name_of_what_it_moves(live):
    assert live.controls["difference"].description == "difference"


def test_two_controls_move_one_picture():
    live = LivePicture(
        lambda a, b: choice_curve(a + b),
        a=FloatSlider(1.0, min=-3, max=3),
        b=FloatSlider(0.0, min=-3, max=3),
    )
    live.controls["b"].value = 1.0
    assert "at +2.0" in live.picture.alt


def test_stored_without_a_kernel_it_is_a_picture_with_words(live, monkeypatch):
    monkeypatch.setenv("COURSE_PLAIN_FIGURES", "1")
    bundle = live._repr_mimebundle_()
    assert bundle["text/plain"] == repr(live) == live.picture.alt
    assert "image/png" in bundle
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_an_error_is_told_once_and_the_slider_goes_on():
    def draw(x):
        if x > 4:
            raise ValueError("beyond <4>")
        return choice_curve(x)

    live = LivePicture(draw, x=FloatSlider(1.0, min=-6, max=6))
    before = shown(live)[0]
    live.controls["x"].value = 5.0
    image, words = shown(live)
    assert image == before
    assert "ValueError: beyond &lt;4&gt;" in words
    live.controls["x"].value = 2.0
    assert "Error" not in shown(live)[1]


def test_an_error_at_the_first_value_is_raised():
    with pytest.raises(ZeroDivisionError):
        LivePicture(lambda x: 1 / 0, x=FloatSlider(1.0))
