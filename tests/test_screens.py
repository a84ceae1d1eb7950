"""The README's screens: small, described, and of what a learner and a teacher see."""

import io
import re

import pytest
from PIL import Image

from course_lib.workspace import repository
from course_tools import browser
from course_tools.regenerate import screens

README = (repository() / "README.md").read_text(encoding="utf-8")
PICTURES = dict(re.findall(r"!\[([^\]]+)\]\((docs/\S+\.png)\)", README))


def test_each_screen_has_words_and_few_bytes():
    assert {*PICTURES.values()} == {"docs/card.png", "docs/report.png"}
    for words, name in PICTURES.items():
        assert len(words) > 80
        path = repository() / name
        assert path.stat().st_size < 150_000
        with Image.open(path) as picture:
            assert 700 < picture.width < 1800


def test_the_card_says_what_its_description_says(tmp_path):
    page, _, _ = screens.card(tmp_path)
    text = page.read_text(encoding="utf-8")
    told = ("not yet", "2 of 10 properties hold", "rejected minus chosen", "0.798")
    assert all(words in text for words in told)


def test_a_screen_of_few_colours_stays_what_it_was():
    stripes = Image.new("RGB", (64, 64), "white")
    stripes.paste("#1a8f5a", (0, 0, 32, 64))
    made = io.BytesIO()
    stripes.save(made, format="PNG")
    again = Image.open(io.BytesIO(screens.small(made.getvalue()))).convert("RGB")
    assert again.getpixel((40, 5)) == (255, 255, 255)
    assert again.getpixel((5, 5)) == (0x1A, 0x8F, 0x5A)


@pytest.mark.slow
@pytest.mark.skipif(browser.trouble() is not None, reason="no browser")
def test_screens_are_taken_again(tmp_path, monkeypatch):
    monkeypatch.setattr(screens, "LEARNERS", 4)
    assert "card.png" in screens.make(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"card.png", "report.png"}
