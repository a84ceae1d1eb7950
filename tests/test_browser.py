"""In a real browser: the picture is that of the value, whatever a hand does to it.

Pictures are read from the screen and compared with matplotlib's own for every value:
the nearest of all must be the one that the slider stands at.
"""

import io
import os
import random
import shutil
import subprocess
import sys
from math import log10

import nbformat
import numpy as np
import pages
import pytest
import warm_kernels
from matplotlib.image import imread
from nbformat.v4 import new_code_cell, new_notebook

from course_lib.plots.style import WIDTH, png
from course_lib.sliders import LogSlider, slider_plot
from course_lib.workspace import notebooks, repository
from course_tools import browser
from course_tools.browser import Lab, trouble
from course_tools.build import KERNEL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(trouble() is not None, reason=trouble() or ""),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

DEMO = """
def setup(figure):
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="x", ylabel="y", title="A bar of β")
    return axes

def draw(axes, beta):
    height = 0.5 + math.log10(beta) / 4
    axes.bar([0.5], [height], width=0.3)
    axes.plot([0, 1], [0, height])
    axes.plot([0.1 + 0.8 * height], [height], "o", gid="beta")
    return f"A bar of height {height:.3f}."
"""
CELLS = {
    "import": f"""import math, time
from course_lib.sliders import *
from course_lib.sliders import ahead
{DEMO}""",
    "strip": """
beta = LogSlider(0.01, 10, label="β")
slider_plot(draw, setup, beta=beta, play="beta", drag="beta")""",
    "error": """
def fails(axes, x, kind):
    axes.plot([0, 1], [0, 1 / x])
    return f"One over {x:g} is {1 / x:g}, {kind}."

kinds = Choice(["solid", "dashed"])
slider_plot(fails, x=LinSlider(-2, 2, 5, start=1), kind=kinds)""",
    "live": """
calls = []

def slow(axes, beta):
    calls.append(beta)
    time.sleep(0.15 * patience)
    return draw(axes, beta)

plot = slider_plot(slow, setup, live=True, beta=LogSlider(0.01, 10))
plot""",
    "quick": """
def quick(axes, beta):
    words = draw(axes, beta)
    return f"{shape}: {words}"

shape = "first"
beta = LogSlider(0.01, 10)
slider_plot(quick, setup, live=True, play="beta", drag="beta", beta=beta)""",
    "busy": "time.sleep(0 if 'first' not in globals() else 6 * patience)\nfirst = True",
}
AT = {name: number for number, name in enumerate(CELLS)}
BETAS = LogSlider(0.01, 10).values  # of the demo's slider


@pytest.fixture(scope="module")
def lab(tmp_path_factory, patience):
    folder = tmp_path_factory.mktemp("pages")
    cells = [new_code_cell(source.strip()) for source in CELLS.values()]
    cells[0].source += f"\npatience = {patience}"
    demo = new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(demo, folder / "demo.ipynb")
    shutil.copytree(repository() / "notebooks", folder / "notebooks")
    warm = {"JUPYTER_DEFAULT_PROVISIONER_NAME": warm_kernels.PROVISIONER}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(browser, "PATIENCE", browser.PATIENCE * patience)
        with Lab(folder, warm) as lab:
            yield lab


@pytest.fixture(scope="module")
def page(lab):
    page = lab.open("demo.ipynb")
    lab.run_all(page)
    return page


@pytest.fixture(scope="module")
def stills() -> np.ndarray:
    """Matplotlib's own picture for every value of the demo's slider."""
    names: dict = {}
    exec("import math\n" + DEMO, names)
    plot = slider_plot(names["draw"], names["setup"], beta=LogSlider(0.01, 10))
    pictures = []
    for beta in BETAS:
        plot.set(beta=beta)
        pictures.append(imread(io.BytesIO(png(plot.painter.figure, WIDTH)))[..., :3])
    return np.stack(pictures)


def seen(picture, stills) -> int:
    """The number of the value whose picture is nearest to what is on the screen."""
    picture.scroll_into_view_if_needed()
    box = {name: round(value) for name, value in picture.bounding_box().items()}
    assert (box["height"], box["width"]) == stills.shape[1:3]
    pixels = imread(io.BytesIO(picture.page.screenshot(clip=box)))[..., :3]
    apart = np.abs(stills - pixels).mean((1, 2, 3))
    assert apart.min() < 0.02
    return int(apart.argmin())


def cell(page, name):
    return page.locator(".jp-Notebook-cell").nth(AT[name])


def parts(page, name="strip"):
    """A figure's first input, its picture and its words."""
    figure = cell(page, name).locator(".course-slider")
    figure.scroll_into_view_if_needed()
    return (
        figure.locator("input, select").first,
        figure.locator(".course-picture"),
        figure.locator(".course-words"),
    )


def asked_of_kernel(page, question):
    """What the page's kernel answers to a question of `pages`."""
    reply = page.evaluate(
        """async user_expressions => {
          const kernel = courseLab.panel.sessionContext.session.kernel;
          const asked = { code: "", silent: true, user_expressions };
          return (await kernel.requestExecute(asked).done).content; }""",
        question,
    )
    return pages.answer(reply)


def drag(page, slider, path):
    """Move the handle with the mouse along fractions of the track, at hand speed."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    spots = [box["x"] + 8 + (box["width"] - 16) * share for share in path]
    page.mouse.move(spots[0], y)
    page.mouse.down()
    for x in spots:
        page.mouse.move(x, y)
        page.wait_for_timeout(8)
    page.mouse.up()


def bar(at) -> str:
    """The demo's words at a position of its slider."""
    return f"A bar of height {0.5 + log10(BETAS[at]) / 4:.3f}."


def test_after_every_drag_the_released_value_is_shown(page, stills):
    slider, picture, words = parts(page)
    hand = random.Random(0)
    for _ in range(20):
        start, end = hand.random(), hand.random()
        drag(page, slider, np.linspace(start, end, 25))
        at = int(slider.input_value())
        assert at == pytest.approx(30 * end, abs=1)
        assert seen(picture, stills) == at
        assert float(slider.get_attribute("aria-valuetext")) == BETAS[at]
        assert words.inner_text() == bar(at)


KEYS = [("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowUp", 3)]
KEYS += [("ArrowLeft", 2), ("End", 30), ("PageDown", 27), ("PageUp", 30)]


def test_every_key_moves_the_slider_and_nothing_else(page, stills):
    slider, picture, _ = parts(page)
    slider.focus()
    active = page.evaluate("courseLab.panel.content.activeCellIndex")
    for key, value in KEYS:
        page.keyboard.press(key)
        assert slider.input_value() == str(value)
        assert seen(picture, stills) == value
    assert page.evaluate("courseLab.panel.content.activeCellIndex") == active


def test_who_does_not_see_it_is_told(page):
    slider, *_ = parts(page)
    slider.press("Home")
    output = cell(page, "strip")
    assert (
        output.get_by_role("slider", name="β").get_attribute("aria-valuetext") == "0.01"
    )
    assert output.get_by_role("img", name="A bar of height 0.000.").is_visible()
    assert output.get_by_role("status").inner_text() == "A bar of height 0.000."
    assert output.get_by_role("group").get_attribute("aria-label")


def test_reset_takes_it_back(page, stills):
    slider, picture, _ = parts(page)
    drag(page, slider, [0.5, 0.9])
    cell(page, "strip").get_by_role("button", name="reset").click()
    assert slider.input_value() == "15"
    assert seen(picture, stills) == 15


def play(figure):
    """Press the button, and wait until it has come to its end."""
    figure.get_by_role("button", name="play").click()
    figure.get_by_role("button", name="pause").wait_for()
    figure.get_by_role("button", name="play").wait_for()


def test_play_goes_once_to_the_end_and_stops_for_a_hand(page, stills):
    slider, picture, _ = parts(page)
    output = cell(page, "strip")
    drag(page, slider, [0.5, 0.8])
    play(output)
    assert slider.input_value() == "30"
    assert seen(picture, stills) == 30
    output.get_by_role("button", name="play").click()  # from the beginning
    page.wait_for_timeout(400)
    slider.press("ArrowRight")
    stopped = slider.input_value()
    assert 0 < int(stopped) < 30
    page.wait_for_timeout(400)
    assert slider.input_value() == stopped
    assert seen(picture, stills) == int(stopped)


def test_nothing_on_the_page_jumps(page):
    slider, picture, _ = parts(page)
    slider.press("Home")
    below = cell(page, "error")
    places = set()
    for _ in range(31):
        page.keyboard.press("ArrowRight")
        places.add((below.bounding_box()["y"], *picture.bounding_box().values()))
    assert len(places) == 1


def test_an_error_is_shown_at_its_value_and_the_slider_goes_on(page):
    slider, _, words = parts(page, "error")
    slider.press("ArrowLeft")
    assert words.inner_text().startswith("At x = 0, kind = solid: ZeroDivisionError")
    assert "course-error" in words.get_attribute("class")
    assert cell(page, "error").get_by_text("ZeroDivisionError").count() == 1
    page.keyboard.press("ArrowLeft")
    assert words.inner_text() == "One over -1 is -1, solid."
    assert "course-error" not in words.get_attribute("class")


def test_a_choice_is_made_by_keyboard_and_keeps_the_other_slider(page):
    slider, _, words = parts(page, "error")
    slider.press("End")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert words.inner_text() == "One over 2 is 0.5, dashed."


def test_a_live_slider_shows_the_newest_value_and_skips_what_it_missed(page, stills):
    output = cell(page, "live")
    output.scroll_into_view_if_needed()
    handle = output.locator(".noUi-handle")
    words = output.locator(".course-words")
    assert handle.get_attribute("data-lm-suppress-shortcuts") == "true"
    handle.focus()
    before = words.inner_text()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(16)
    last = bar(27)
    output.get_by_text(last).first.wait_for()
    assert before != last
    page.wait_for_timeout(1000)
    assert words.inner_text() == last
    assert seen(output.locator(".course-picture.jupyter-widgets"), stills) == 27
    calls = asked_of_kernel(page, {"answer": "len(calls)"})
    assert calls < 1 + 2 + 12  # the first, the limits' two, and not one each


def middle(figure):
    """Where the middle of the point that can be dragged is on the page."""
    box = figure.locator(".course-hands circle").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def pull(page, figure, right, up):
    """Take the point in the picture with the mouse and move it by so many pixels."""
    x, y = (place + off for place, off in zip(middle(figure), (5, -3), strict=True))
    page.mouse.move(x, y)
    page.mouse.down()
    for share in np.linspace(0, 1, 25):
        page.mouse.move(x + share * right, y - share * up)
        page.wait_for_timeout(8)
    assert figure.locator(".course-taken").count() == 1
    page.mouse.up()
    assert figure.locator(".course-taken").count() == 0


def test_the_point_itself_is_dragged_and_the_slider_follows(page, stills):
    slider, picture, words = parts(page)
    figure = cell(page, "strip").locator(".course-slider")
    figure.get_by_role("button", name="reset").click()
    start = middle(figure)
    pull(page, figure, 150, 60)
    at = int(slider.input_value())
    assert 22 < at < 30
    assert words.inner_text() == bar(at)
    x, y = middle(figure)
    assert x > start[0] + 50
    assert y < start[1] - 25
    ghost = figure.locator(".course-ghost use").bounding_box()
    assert ghost["x"] + ghost["width"] / 2 == pytest.approx(start[0], abs=2)
    assert page.evaluate("document.activeElement.type") == "range"
    page.keyboard.press("ArrowLeft")  # goes on from where the hand has left it
    assert slider.input_value() == str(at - 1)
    assert middle(figure)[0] < x
    pull(page, figure, -600, 0)
    assert int(slider.input_value()) == 0
    assert seen(picture, stills) == 0


def test_beside_the_point_nothing_is_taken(page):
    slider, picture, _ = parts(page)
    before, box = slider.input_value(), picture.bounding_box()
    x, y = box["x"] + box["width"] - 30, box["y"] + 60
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 200, y + 40)
    page.mouse.up()
    assert slider.input_value() == before


def live_parts(page, name="quick"):
    """A live figure, its handle and its words."""
    figure = cell(page, name).locator(".course-live[data-on]")
    figure.scroll_into_view_if_needed()
    return figure, figure.locator(".noUi-handle"), figure.locator(".course-words")


def run(page, code):
    """Run code in the page's kernel as a cell, and wait for the end."""
    page.evaluate(
        """async code => {
          const kernel = courseLab.panel.sessionContext.session.kernel;
          await kernel.requestExecute({ code, store_history: false }).done; }""",
        code,
    )


def full(page, figure):
    """Wait until the kernel has nothing left to paint ahead."""
    known = "max(len(f._known) for f in ahead.FIGURES) == 31"
    for _ in range(200):
        if asked_of_kernel(page, {"answer": known}):
            return
        page.wait_for_timeout(50)
    raise AssertionError("never painted")


def test_a_live_point_is_dragged_too(page):
    figure, handle, _ = live_parts(page)
    pull(page, figure, 150, 60)
    at = round(float(handle.get_attribute("aria-valuenow")))
    assert 22 < at < 30
    figure.get_by_text(f"first: {bar(at)}").first.wait_for()
    assert handle.evaluate("node => node === document.activeElement")
    figure.get_by_role("button", name="reset").click()
    figure.get_by_text(f"first: {bar(15)}").first.wait_for()


def test_after_the_first_touch_the_kernel_paints_ahead_of_the_hand(page, stills):
    figure, handle, words = live_parts(page)
    run(page, "pass")  # all that was painted is old now
    handle.press("Home")
    figure.get_by_text(f"first: {bar(0)}").first.wait_for()
    full(page, figure)
    page.evaluate(
        """() => { courseLab.panel.sessionContext.session.kernel.requestExecute(
          { code: "time.sleep(3 * patience)", silent: true }); }"""
    )
    for at in range(1, 12):  # the kernel is asleep
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(30)
        assert words.inner_text() == f"first: {bar(at)}"
    assert seen(figure.locator(".course-picture"), stills) == 11
    page.evaluate("courseLab.answers()")
    page.wait_for_timeout(500)
    assert words.inner_text() == f"first: {bar(11)}"


SAID = """root => { root.said = [];
  const words = root.querySelector(".course-words").parentElement;
  new MutationObserver(() => root.said.push(words.textContent.trim())).observe(
    words, { childList: true, subtree: true, characterData: true }); }"""


def test_after_a_redefinition_nothing_old_is_ever_shown(page):
    figure, handle, words = live_parts(page)
    handle.press("Home")
    full(page, figure)
    run(page, "shape = 'second'")
    figure.evaluate(SAID)
    for _ in range(20):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(16)
    figure.get_by_text(f"second: {bar(20)}").first.wait_for()
    page.wait_for_timeout(500)
    heard = figure.evaluate("root => root.said")
    assert len(set(heard)) > 1
    assert {said[:7] for said in heard} == {"second:"}
    assert heard[-1] == words.inner_text() == f"second: {bar(20)}"
    run(page, "shape = 'first'")


def test_play_moves_a_live_figure_once_to_its_end(page):
    figure, handle, _ = live_parts(page)
    play(figure)
    assert float(handle.get_attribute("aria-valuenow")) == 30
    figure.get_by_text(f"first: {bar(30)}").first.wait_for()


BUSY = """root => { root.busy = 0;
  new MutationObserver(() => {
    if (root.classList.contains("course-busy")) root.busy += 1;
  }).observe(root, { attributes: true, attributeFilter: ["class"] }); }"""


def test_while_it_draws_it_says_that_it_is_busy(page):
    figure, handle, _ = live_parts(page, "live")
    run(page, "pass")  # all that was painted is old now
    figure.evaluate(BUSY)  # the sign may be gone before anybody looks
    handle.press("ArrowLeft")
    root = figure.element_handle()
    page.wait_for_function("root => root.busy", arg=root)
    page.wait_for_function("root => !root.classList.contains('course-busy')", arg=root)


def test_axe_finds_nothing_serious(page):
    from axe_playwright_python.sync_playwright import Axe

    for name in ("strip", "error", "live", "quick"):
        cell(page, name).locator(".jp-OutputArea-output").first.evaluate(
            "(node, name) => { node.id = `look-at-${name}`; }", name
        )
        found = Axe().run(page, context=f"#look-at-{name}").response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert not serious, (name, serious)


def test_at_twice_the_size_nothing_is_cut_off(page):
    page.set_viewport_size({"width": 650, "height": 500})
    try:
        for element in parts(page):
            box = element.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 650
    finally:
        page.set_viewport_size({"width": 1300, "height": 1000})


def test_while_a_cell_runs_the_picture_follows(page, stills):
    cell(page, "busy").click()
    page.keyboard.press("Shift+Enter")
    status = "courseLab.panel.sessionContext.session.kernel.status"
    page.wait_for_function(f"{status} == 'busy'")
    slider, picture, _ = parts(page)
    drag(page, slider, np.linspace(0.1, 0.7, 20))
    assert seen(picture, stills) == int(slider.input_value()) == 21
    assert page.evaluate(status) == "busy"
    page.evaluate("courseLab.answers()")


def test_after_a_restart_it_is_all_there_again(lab, page, stills):
    lab.run_all(page)
    slider, picture, _ = parts(page)
    drag(page, slider, [0.5, 0.2])
    assert seen(picture, stills) == int(slider.input_value()) == 6


@pytest.fixture
def saved(lab, page):
    """The demo's file, with what the page shows now."""
    page.evaluate("courseLab.panel.context.save()")
    page.wait_for_timeout(500)
    return lab.folder / "demo.ipynb"


def test_a_saved_page_without_a_kernel_still_moves(lab, saved, stills):
    shutil.copy(saved, lab.folder / "saved.ipynb")
    again = lab.open("saved.ipynb")
    again.evaluate("courseLab.panel.sessionContext.shutdown()")
    slider, picture, _ = parts(again)
    drag(again, slider, np.linspace(0.5, 0.8, 20))
    assert seen(picture, stills) == int(slider.input_value()) == 24
    live = cell(again, "live")
    live.scroll_into_view_if_needed()
    live.get_by_text("Run this cell to move it.").wait_for()
    assert live.locator(".course-still img").is_visible()
    assert not live.get_by_text("model not found").is_visible()
    again.close()


def test_an_untrusted_page_shows_each_figure_once(lab, saved):
    text = saved.read_text(encoding="utf-8")
    foreign = lab.folder / "foreign.ipynb"
    foreign.write_text(text.replace("import math", "import  math"), encoding="utf-8")
    again = lab.open("foreign.ipynb")
    again.evaluate("courseLab.panel.sessionContext.shutdown()")
    for name in ("strip", "live"):
        figure = cell(again, name)
        figure.scroll_into_view_if_needed()
        picture = figure.locator("img:visible")
        picture.wait_for()  # refuses two
        assert picture.get_attribute("alt").startswith("A bar of height ")
    again.close()


def test_stored_pictures_are_named_by_the_words_below_them(lab):
    name = "notebooks/02_optimal_policy.ipynb"
    stored = nbformat.read(lab.folder / name, as_version=4)
    outputs = [o for c in stored.cells for o in c.get("outputs", []) if "data" in o]
    words = [o.metadata["image/png"]["alt"] for o in outputs if "image/png" in o.data]
    page = lab.open(name)
    # in one look: another picture may come in between two
    named = page.wait_for_function(
        """() => {
            const all = [...document.querySelectorAll(".jp-RenderedImage img")];
            return all.length && all.every(one => one.alt) && all.map(one => one.alt);
        }"""
    ).json_value()
    for alt in named:
        assert any(alt.startswith(" ".join(told.split())[:60]) for told in words), alt
    page.close()


def test_in_the_dark_theme_the_picture_is_dark(lab, page):
    dark = lab.open("demo.ipynb", dark=True)
    lab.run_all(dark)
    for name, kind in (("strip", ""), ("live", ".jupyter-widgets")):
        picture = cell(dark, name).locator(f".course-picture{kind}")
        picture.scroll_into_view_if_needed()
        pixels = imread(io.BytesIO(picture.screenshot()))[..., :3]
        assert pixels[4, 4].max() < 0.25
        assert pixels.max() > 0.7
    dark.close()


@pytest.fixture
def export(lab, saved):
    """The saved demo as a page without kernel and server; its slider and picture."""
    html = saved.with_suffix(".html")
    if not html.exists():
        command = [sys.executable, "-m", "nbconvert", "--to", "html", saved.name]
        subprocess.run(command, cwd=lab.folder, check=True, capture_output=True)
    heard = len(lab.said)
    page = lab.static(html)
    figure = page.locator(".course-slider").first
    slider, picture = figure.locator("input"), figure.locator(".course-picture")
    picture.locator("svg[role=img]").wait_for()
    slider.scroll_into_view_if_needed()
    yield page, slider, picture
    page.close()
    elsewhere = [said for said in lab.said[heard:] if "file:" in said]
    del lab.said[heard:]  # the exporter's own page asks for its mathematics elsewhere
    assert not elsewhere


def test_on_a_static_page_it_moves_and_what_is_live_stands_still(export, stills):
    page, slider, picture = export
    drag(page, slider, np.linspace(0.5, 0.3, 10))
    assert seen(picture, stills) == int(slider.input_value()) == 9
    shown = page.locator("img[src^='data:image/png']").all()
    shown = [image for image in shown if image.is_visible()]
    assert len(shown) == 4  # two frames, and the live figures' pictures


def stroke(page, xs, ys):
    """Touch the page, and move the finger from point to point."""
    touch = page.context.new_cdp_session(page)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    points = [[{"x": float(x), "y": float(y)}] for x, y in zip(xs, ys, strict=True)]
    moves = [("touchMove", point) for point in points]
    for kind, point in (("touchStart", points[0]), *moves, ("touchEnd", [])):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": point})


def test_a_finger_moves_it(export, stills):
    page, slider, picture = export
    box, way = slider.bounding_box(), np.linspace(0.5, 0.9, 12)
    xs = box["x"] + 8 + (box["width"] - 16) * way
    stroke(page, xs, 0 * way + box["y"] + box["height"] / 2)
    assert seen(picture, stills) == int(slider.input_value()) == 27


def test_a_finger_takes_the_point(export):
    page, slider, picture = export
    figure = page.locator(".course-slider").first
    figure.get_by_role("button", name="reset").click()
    picture.scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    (x, y), way = middle(figure), np.linspace(0, 1, 12)
    stroke(page, x + 120 * way, y - 90 * way)
    assert 22 < int(slider.input_value()) < 30
    assert page.evaluate("scrollY") == scrolled  # the page did not go with it


@pytest.fixture(scope="module")
def shelf(lab):
    """A page in which one chapter after the other is opened."""
    return lab.open("notebooks/00_start_here.ipynb")


IN_EVERY_RUN = {"00", "08"}  # of the others, nbval runs the cells


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            id=path.stem,
            marks=() if path.name[:2] in IN_EVERY_RUN else pytest.mark.thorough,
        )
        for path in notebooks("notebooks")
    ],
)
def test_every_chapter_runs_and_its_sliders_move(lab, shelf, path, tmp_path):
    page = shelf
    lab.show(page, f"notebooks/{path.name}")
    asked_of_kernel(page, pages.asked(f"begin({str(tmp_path)!r})"))
    lab.run_all(page, restart=False)
    figures = page.locator(".course-slider")
    for number in range(figures.count()):
        figure = figures.nth(number)
        figure.scroll_into_view_if_needed()
        figure.get_by_role("img").wait_for()
        slider = figure.locator("input, select").first
        slider.press("Home")
        first = figure.locator(".course-picture").screenshot()
        words = figure.locator(".course-words").inner_text()
        slider.press("End")
        assert figure.locator(".course-picture").screenshot() != first
        assert figure.locator(".course-words").inner_text() != words
        assert figure.locator(".course-error").count() == 0
    assert figures.count()
    outputs = page.evaluate(
        """courseLab.panel.content.widgets.filter(cell => cell.model.type === "code")
          .map(cell => cell.model.outputs.toJSON())"""
    )
    questions = pages.LESSON.values()
    answers = {q: asked_of_kernel(page, pages.asked(q)) for q in questions}
    pages.RUNS[path] = pages.Run(outputs, answers)  # nbval need not run it again


# what ipywidgets says of widgets whose kernel is gone, which the tests made it say
ORPHANS = ("error: Error: widget model not found", "error: Comm not found")


def test_the_console_stayed_clean(lab):
    said = [line for line in lab.said if not line.startswith(ORPHANS)]
    assert not said, "\n".join(said)


@pytest.mark.skipif(
    "COURSE_CHROMIUM" not in os.environ, reason="no browser was promised"
)
def test_a_promised_browser_is_there():
    assert trouble() is None
