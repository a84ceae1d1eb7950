"""The website, built from stored outputs: whole, linked, silent, and alive when run."""

import json
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from PIL import Image

from course_lib.workspace import CourseError, notebooks
from course_tools import site
from course_tools.regenerate import social
from course_tools.site import front

pytestmark = pytest.mark.slow
needed = pytest.importorskip
OUTSIDE = re.compile(r"^(?:https?:)?//")


class Page(HTMLParser):
    """What a page asks for, where it leads, its places, pictures and headings."""

    def __init__(self, text: str):
        super().__init__()
        self.asks, self.leads, self.places = [], [], set()
        self.pictures, self.headings = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        if "id" in known:
            self.places.add(known["id"])
        if tag == "a" and known.get("href"):
            self.leads.append(known["href"])
        elif tag == "img":
            self.pictures.append(known)
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in ("script", "img", "iframe"):
            self.asks.append(known.get("src") or "")
        elif tag == "link" and known.get("rel") != "canonical":
            self.asks.append(known.get("href") or "")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    for package in site.NEEDS:
        needed(package)
    out = tmp_path_factory.mktemp("site") / "html"
    with warnings.catch_warnings():  # what Sphinx has to say to its extensions
        warnings.simplefilter("ignore")
        assert site.build(out, run=False) == []
    return out


@pytest.fixture(scope="module")
def pages(built) -> dict[Path, Page]:
    return {p: Page(p.read_text("utf-8")) for p in sorted(built.rglob("*.html"))}


def test_every_page_of_the_course_is_there(built):
    for folder in ("notebooks", "exercises", "solutions"):
        for path in notebooks(folder):
            assert (built / folder / f"{path.stem}.html").exists(), path
    assert "arXiv:2305.18290" in (built / "bibliography.html").read_text("utf-8")
    assert "138 topics" in (built / "proof.html").read_text("utf-8").replace("\n", " ")


def test_no_link_is_broken(built, pages):
    broken = []
    for path, page in pages.items():
        for link in page.leads:
            if OUTSIDE.match(link) or link.startswith(("mailto:", "javascript:")):
                continue
            file, place = map(unquote, urldefrag(link))
            target = (path.parent / file).resolve() if file else path
            if target not in pages:
                broken += [] if target.exists() else [(path.name, link)]
            elif place and place not in pages[target].places:
                broken.append((path.name, link))
    assert not broken


def test_nothing_is_asked_of_the_network(built, pages):
    asked = {a for page in pages.values() for a in page.asks if OUTSIDE.match(a)}
    assert not asked
    for style in built.rglob("*.css"):
        assert not re.findall(r"url\(\s*['\"]?(?:https?:)?//", style.read_text("utf-8"))


def test_pictures_have_words_and_headings_no_gap(pages):
    for path, page in pages.items():
        assert all("alt" in picture for picture in page.pictures), path.name
        steps = zip(page.headings, page.headings[1:], strict=False)
        assert all(below <= above + 1 for above, below in steps), path.name
        assert page.headings.count(1) == 1 or path.name == "search.html"


def test_the_search_knows_the_words_of_the_course(built):
    text = (built / "searchindex.js").read_text("utf-8")
    index = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    assert {"beta", "bradley", "gradient"} <= set(index["terms"])


def test_solutions_hide_the_marks_and_exercises_the_answers(built):
    answer = (built / "solutions" / "04_dpo_loss.html").read_text("utf-8")
    starter = (built / "exercises" / "04_dpo_loss.html").read_text("utf-8")
    assert "BEGIN SOLUTION" not in answer
    assert "Hint 3 of 3" in starter
    assert "NotImplementedError" in starter


def test_a_live_figure_and_a_prediction_need_no_kernel(tmp_path):
    """In a kernel of its own: what makes it so changes the process."""
    needed("sphinx")
    from nbformat import v4, write

    from course_tools.site import pages, running

    code = (
        "from course_lib.sliders import LogSlider, slider_plot\n"
        "from course_lib.predictions import predict, predicted\n"
        "from ipywidgets import FloatSlider\n"
        "draw = lambda axes, beta, b: axes.plot([0, 1], [b, beta])\n"
        "b = FloatSlider(0.5, min=0, max=1)\n"
        "slider_plot(draw, live=True, beta=LogSlider(0.1, 1), b=b)"
    )
    page = v4.new_notebook(cells=[v4.new_markdown_cell("# 00 · T")])
    page.cells += [v4.new_code_cell(code), v4.new_code_cell("predict('a', 'b?', 'cd')")]
    write(page, tmp_path / "00.ipynb")
    shown = pages.lesson_page(running.run(tmp_path / "00.ipynb"))
    figure, question = (cell.outputs[-1].data["text/html"] for cell in shown.cells[2:])
    assert "course-slider" in figure
    assert len(json.loads(re.search(r"json\">(.*?)</script>", figure)[1])["layers"]) > 9
    assert 'data-name="a"' in question


def test_a_link_to_the_site_shows_its_card(built):
    """The picture is there, of the size that previews have; its address needs a URL."""
    with Image.open(built / "_static" / "card.png") as card:
        assert card.size == social.SIZE
    head = (built / "notebooks" / "05_beta.html").read_text("utf-8").partition("<body")
    assert '<meta content="website" property="og:type"' in head[0]
    assert "og:image" not in head[0]
    told = front.preview("https://example.org/dpo/")
    assert told["property=og:image"] == "https://example.org/dpo/_static/card.png"


def test_a_folder_that_is_no_site_is_left_alone(tmp_path, capsys):
    kept = tmp_path / "thesis.txt"
    kept.write_text("years of work")
    for package in site.NEEDS:
        needed(package)
    assert site.main(["--out", str(tmp_path), "--stored"]) == 2
    assert kept.read_text() == "years of work"
    assert "no such site" in capsys.readouterr().err


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(site, "find_spec", lambda name: None)
    with pytest.raises(CourseError, match="Not installed: sphinx"):
        site.main(["--out", str(tmp_path / "out")])


def test_a_figure_of_many_positions_is_thinned_ends_and_start_stay():
    from course_lib.sliders import Choice, LinSlider
    from course_tools.site.painted import POSITIONS, thinned

    scales = {name: LinSlider(0, 1, 41, start=0.3) for name in "ab"}
    moving, fixed = thinned(scales)
    assert len(moving["a"].values) * len(moving["b"].values) <= POSITIONS
    for slider in moving.values():
        assert {0.0, 0.3, 1.0} <= set(slider.values)
        assert slider.values[slider.start] == 0.3
    assert not fixed
    guide = {name: Choice(range(6)) for name in "abcde"} | {"b5": LinSlider(0, 1, 5)}
    moving, fixed = thinned(guide)
    assert list(moving) == ["a", "b"]
    assert fixed == {"b5": 0.5, "e": 0, "d": 0, "c": 0}
