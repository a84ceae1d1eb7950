"""Figures that follow sliders: every position, in words too, through every error."""

import asyncio
import itertools
import json
import math
import re
import time
from functools import partial

import matplotlib
import numpy as np
import pytest
from ipywidgets import BoundedIntText, FloatSlider, HBox, link

from course_lib.plots import choice_curve
from course_lib.sliders import (
    Choice,
    LinSlider,
    LivePlot,
    LogSlider,
    SliderPlot,
    ahead,
    slider_plot,
)

# ── the values of a slider ────────────────────────────────────────────────────────────


def test_a_logarithmic_slider_multiplies():
    slider = LogSlider(0.01, 10)
    assert len(slider.values) == 31
    assert (slider.values[0], slider.values[10], slider.values[-1]) == (0.01, 0.1, 10)
    ratios = [b / a for a, b in zip(slider.values, slider.values[1:], strict=False)]
    assert all(ratio == pytest.approx(10**0.1, rel=0.01) for ratio in ratios)


def test_a_linear_slider_adds_and_meets_zero():
    slider = LinSlider(-6, 6, step=0.1, start=1, unit="logits")
    assert len(slider.values) == 121
    assert slider.values[60] == 0.0
    assert slider.texts[60] == "0 logits"
    assert slider.values[slider.start] == 1.0


@pytest.mark.parametrize("slider", [LogSlider(0.013, 7.77, 41), LinSlider(-1 / 3, 2.2)])
def test_what_is_read_is_what_is_drawn(slider):
    read = [float(text) for text in slider.texts]
    assert read == pytest.approx(list(slider.values), rel=1e-5)
    assert len(set(slider.texts)) == len(slider.values)
    assert sorted(slider.values) == list(slider.values)


def test_ends_and_start_are_exact():
    slider = LogSlider(0.01234567, 9.9999, 31, start=0.1)
    assert (slider.values[0], slider.values[-1]) == (0.01234567, 9.9999)
    assert slider.values[slider.start] == 0.1
    assert len(slider.values) == len(set(slider.values)) == 31


# ── painting ──────────────────────────────────────────────────────────────────────────


def line(axes, beta):
    axes.plot([0, 1], [0, beta])
    return f"A line up to {beta:g}."


def frame(figure):
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 3), title="lines")
    return axes


def shown(plot, kind: str = "text/html") -> str:
    """What a figure gives to a notebook."""
    return plot._repr_mimebundle_()[0][kind]


def payload(plot) -> dict:
    """What the page's script is given; without the names of clips and markers."""
    data = re.search(r'json">(.*?)</script>', shown(plot), re.S)[1]
    return json.loads(re.sub(r"\b[pm][0-9a-f]{10}\b", "", data))


@pytest.fixture
def show(monkeypatch):
    monkeypatch.delenv("COURSE_PLAIN_FIGURES")


@pytest.fixture(scope="module")
def one_plot() -> SliderPlot:
    return slider_plot(line, frame, beta=LinSlider(0, 3, 4, start=1))


@pytest.fixture
def plot(one_plot) -> SliderPlot:
    return one_plot.set(beta=1.0)


def test_each_position_has_its_layer_and_its_words(plot, show):
    data = payload(plot)
    assert data["words"] == [f"A line up to {n}." for n in range(4)]
    assert len(set(data["layers"])) == 4
    assert data["controls"][0]["texts"] == ["0", "1", "2", "3"]
    assert data["controls"][0]["start"] == 1


def square(figure):
    axes = frame(figure)
    axes.set_aspect("equal")
    return axes


@pytest.mark.parametrize("setup", [frame, square])
def test_the_layer_draws_the_very_points_that_matplotlib_was_given(setup, show):
    plot = slider_plot(line, setup, beta=LinSlider(0, 3, 4))
    to_page, height = plot.painter.axes.transData, 72 * 3.2
    for beta, layer in enumerate(payload(plot)["layers"]):
        numbers = re.findall(r"-?\d+\.?\d*", re.search(r' d="(.*?)"', layer)[1])
        drawn = np.array([float(number) for number in numbers]).reshape(2, 2)
        wanted = to_page.transform([(0, 0), (1, beta)])
        assert drawn == pytest.approx(np.abs((0, height) - wanted), abs=0.11)


def test_the_matplotlib_figure_is_there_for_every_value(plot):
    for beta in (0.0, 3.0, 2.0):
        (drawn,) = plot.set(beta=beta).figure.axes[0].lines
        assert list(drawn.get_ydata()) == [0, beta]
        assert plot.words == repr(plot) == f"A line up to {beta:g}."


def test_the_still_picture_is_the_whole_figure():
    def both(figure):
        axes = frame(figure)
        axes.plot([0, 1], [0, 2.0])
        return axes

    moving = slider_plot(line, frame, beta=LinSlider(0, 3, 4, start=2))
    whole = slider_plot(lambda axes, beta: None, both, beta=LinSlider(0, 3, 4))
    assert shown(moving, "image/png") == shown(whole, "image/png")


def test_where_there_is_no_page_it_is_a_picture_with_words(plot):
    stored, _ = plot._repr_mimebundle_()
    assert set(stored) == {"image/png", "text/plain"}
    assert stored["text/plain"] == "A line up to 1."


def test_without_a_script_the_page_shows_picture_and_words(plot, show):
    html = shown(plot)
    assert 'alt="A line up to 1." src="data:image/png' in html
    assert 'role="status">A line up to 1.</p>' in html
    assert "widget" not in html
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")


def test_the_same_figure_gives_the_same_bytes_but_for_its_number(show):
    made = [slider_plot(*choice_curve(), difference=LinSlider(-6, 6, 3)) for _ in "ab"]
    one, two = map(payload, made)
    assert one == two


def test_no_two_figures_of_a_page_share_the_names_of_their_clips(plot, show):
    made = plot, slider_plot(line, frame, beta=LinSlider(0, 3, 2))
    names = [set(re.findall(r"clipPath id=..(\w+)", shown(each))) for each in made]
    assert all(names)
    assert not names[0] & names[1]


def test_several_sliders_are_one_picture_for_each_pair(show):
    def draw(axes, beta, tau):
        axes.plot([0, 1], [tau, beta])
        return f"{beta:g} {tau:g}"

    two = slider_plot(draw, frame, beta=LinSlider(0, 3, 4), tau=LinSlider(0, 2, 3))
    assert payload(two)["words"] == [f"{b} {t}" for b in range(4) for t in range(3)]
    assert two.set(tau=2.0, beta=1.0).words == "1 2"
    assert [control["start"] for control in payload(two)["controls"]] == [1, 2]


def test_a_choice_is_a_list():
    kind = Choice(["a", "<b>"], label="which")
    plot = slider_plot(lambda axes, kind: f"{kind} it is", frame, kind=kind)
    assert plot.set(kind="<b>").words == "<b> it is"


def test_words_that_look_like_html_are_words(show):
    plot = slider_plot(lambda axes, x: "a </script><b> & c", frame, x=LinSlider(0, 1))
    html = shown(plot)
    assert "</script><b>" not in html
    assert payload(plot)["words"][0] == "a </script><b> & c"


def test_without_a_sentence_the_values_are_said():
    sliders = {"beta": LogSlider(0.1, 10, 3, label="β", unit="nats"), "n": Choice([1])}
    plot = slider_plot(lambda axes, beta, n: None, frame, alt="Two lines", **sliders)
    assert plot.words == "Two lines: β = 1 nats, n = 1"


def test_without_a_setup_the_limits_hold_every_value():
    plot = slider_plot(line, beta=LinSlider(0, 9, 4))
    low, high = plot.figure.axes[0].get_ylim()
    assert low <= 0
    assert 9 <= high < 10
    assert plot.set(beta=3.0).figure.axes[0].get_ylim() == (low, high)


def test_nothing_piles_up_from_value_to_value():
    def draw(axes, beta):
        axes.bar([0, 1], [beta, 1])
        axes.errorbar([0.5], [1], yerr=[beta])
        axes.fill_between([0, 1], [0, beta])
        axes.text(0.5, 0.5, f"{beta}")
        axes.annotate("here", (0.5, 1))

    plot = slider_plot(draw, frame, beta=LinSlider(0, 3, 10))
    axes = plot.figure.axes[0]
    before = len(axes.get_children()), len(axes.containers)
    plot.set(beta=3.0)
    assert (len(axes.get_children()), len(axes.containers)) == before
    assert before[1] == 2


def test_every_value_begins_with_the_first_colour(plot):
    figures = (plot.set(beta=beta).figure for beta in (0.0, 1.0, 2.0, 3.0))
    assert len({figure.axes[0].lines[0].get_color() for figure in figures}) == 1


def test_the_course_s_style_is_not_left_behind():
    before = dict(matplotlib.rcParams)
    slider_plot(line, frame, beta=LinSlider(0, 3, 4))
    assert dict(matplotlib.rcParams) == before


# ── what a learner gets wrong ─────────────────────────────────────────────────────────


def one_over(axes, x):
    axes.plot([0, 1], [0, 1.0 / x])
    return f"1/x is {1 / x:.3g}"


def test_an_error_stands_at_the_value_that_caused_it(show):
    plot = slider_plot(one_over, frame, x=LinSlider(-1, 1, 5))  # starts at 0
    data = payload(plot)
    assert data["errors"] == [2]
    said = "At x = 0: ZeroDivisionError: float division by zero, in the line"
    assert data["words"][2].startswith(said)
    assert "axes.plot([0, 1], [0, 1.0 / x])" in data["words"][2]
    assert data["layers"][2] == ""
    assert data["words"][3] == "1/x is 2"
    assert shown(plot, "text/plain").startswith(said)
    assert json.dumps(data).count("ZeroDivisionError") == 1


def test_moved_from_python_an_error_is_raised_and_the_next_value_works():
    plot = slider_plot(one_over, frame, x=LinSlider(-1, 1, 5, start=1))
    with pytest.raises(ZeroDivisionError):
        plot.set(x=0.0)
    assert plot.set(x=0.5).words == "1/x is 2"


REFUSED = {
    "xlim": lambda axes, beta: axes.set(xlim=(0, 2)),
    "ylim": lambda axes, beta: axes.set_ylim(0, 9 * beta),
    "title": lambda axes, beta: axes.set_title(f"β = {beta}"),
    "xlabel": lambda axes, beta: axes.set(xlabel="x"),
    "yscale": lambda axes, beta: axes.set(yscale="log"),
    "legend": lambda axes, beta: axes.legend(["a"]),
    "added axes": lambda axes, beta: axes.figure.add_axes([0, 0, 0.1, 0.1]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", REFUSED)
def test_what_stands_still_cannot_be_moved(what):
    with pytest.raises(ValueError, match=f"{what}.*set it in setup"):
        slider_plot(REFUSED[what], frame, beta=LinSlider(1, 3, 3))


@pytest.mark.parametrize("what", ["ylim", "added axes"])
def test_a_refusal_at_one_value_spoils_no_other(what, plot, show):
    def draw(axes, beta):
        if beta == 2:
            axes.set_title("two")
            REFUSED[what](axes, beta)
        return line(axes, beta)

    refused = slider_plot(draw, frame, beta=LinSlider(0, 3, 4, start=1))
    one, other = payload(refused), payload(plot)
    assert (one["errors"], other["errors"]) == ([2], [])
    for beta in (0, 1, 3):
        assert one["layers"][beta] == other["layers"][beta]
    assert shown(refused, "image/png") == shown(plot, "image/png")


BETA = LogSlider(1, 2, 17)
SIX = LinSlider(0, 5, 6)
TWO = {"beta": BETA, "tau": BETA}


def long(axes, beta):
    return 40_000 * "long "


strip = partial(slider_plot, line)
WRONG = {  # what it says: how it is made
    "range from low 2 to high 1 is empty": lambda: LinSlider(2, 1),
    "range from low 1 to high 1 is empty": lambda: LogSlider(1, 1),
    "low must be above 0": lambda: LogSlider(0, 1),
    "high must be a finite number, got inf": lambda: LinSlider(0, math.inf),
    "low must be a finite number, got 'a'": lambda: LogSlider("a", 1),
    "start must be from 0.01 to 1.0, got 20": lambda: LogSlider(0.01, 1, start=20),
    "from 0.0 to 1.0, got nan": lambda: LinSlider(0, 1, start=math.nan),
    "count must be a whole number": lambda: LinSlider(0, 1, 1),
    "of values, at least 2, got 2.5": lambda: LogSlider(1, 2, 2.5),
    "step must be above 0, got -1": lambda: LinSlider(0, 1, step=-1),
    "steps of 0.3 from low 0 do not reach high 1": lambda: LinSlider(0, 1, step=0.3),
    "options must be some": lambda: Choice([]),
    "all different": lambda: Choice(["a", "a"]),
    "start must be one of": lambda: Choice(["a", "b"], start="c"),
    "play must name a slider": lambda: strip(play="tau", beta=BETA),
    "289 positions.*live=True": lambda: slider_plot(lambda axes, beta, tau: 0, **TWO),
    r"would store [\d,]+ bytes.*live=True": lambda: slider_plot(long, beta=SIX),
    "beta = 1.2 is not on its slider: 0, 1, 2": lambda: strip(beta=SIX).set(beta=1.2),
    "drag must name a slider, one of beta: got 'gap'": lambda: strip(
        drag="gap", beta=SIX
    ),
    "drag must name a slider, one of : got": lambda: strip(
        live=True, drag="beta", beta=FloatSlider(1)
    ),
    "drag='beta' finds nothing to take": lambda: strip(drag="beta", beta=SIX),
    "'beta' finds nothing.*gid 'beta'": lambda: strip(live=True, drag="beta", beta=SIX),
}
WRONG_TYPES = {
    "draw must be a function": lambda: slider_plot(3, beta=BETA),
    "needs a slider": lambda: strip(),
    r"as draw\(axes, tau=...\)": lambda: strip(tau=BETA),
    r"as draw\(axes, beta=..., tau=...\)": lambda: strip(**TWO),
    "beta must be a LogSlider, LinSlider or Choice": lambda: strip(beta=(0, 1)),
    "or live=True must be set; got FloatSlider": lambda: strip(beta=FloatSlider(1)),
    "got HBox": lambda: strip(live=True, beta=HBox()),
    "there is no slider 'tau'": lambda: strip(beta=SIX).set(tau=1),
    "no slider 'tau': beta": lambda: strip(live=True, beta=BETA).set(tau=1),
}


@pytest.mark.parametrize("says", WRONG)
def test_a_wrong_value_is_refused_when_the_cell_runs(says):
    with pytest.raises(ValueError, match=says):
        WRONG[says]()


@pytest.mark.parametrize("says", WRONG_TYPES)
def test_a_wrong_type_is_refused_when_the_cell_runs(says):
    with pytest.raises(TypeError, match=says):
        WRONG_TYPES[says]()


def test_an_error_at_every_value_is_the_cell_s_error():
    with pytest.raises(NameError, match="betta"):
        slider_plot(lambda axes, beta: axes.plot(betta), frame, beta=SIX)  # noqa: F821


def test_a_still_line_that_is_moved_is_refused():
    def setup(figure):
        axes = frame(figure)
        axes.plot([0, 1], [0, 1])
        return axes

    def draw(axes, beta):
        axes.lines[0].set_ydata([0, beta])

    with pytest.raises(ValueError, match="Line2D that setup made"):
        slider_plot(draw, setup, beta=LinSlider(1, 3, 3))


# ── live: ipywidgets, and Python draws ────────────────────────────────────────────────


@pytest.fixture(scope="module")
def one_live() -> LivePlot:
    return slider_plot(line, frame, live=True, beta=LinSlider(0, 3, 4, start=1))


@pytest.fixture
def live(one_live) -> LivePlot:
    return one_live.set(beta=1.0)


def page(live) -> str:
    """What the widgets show: the layer and the words."""
    *_, stage, says = live.children
    return stage.children[1].value + says.value


def test_a_live_figure_draws_the_same_as_the_painted_one(live, plot, show):
    for beta, layer in enumerate(payload(plot)["layers"]):
        live.controls["beta"].value = float(beta)
        shown = re.sub(r"\b[pm][0-9a-f]{10}\b", "", page(live))
        assert f"</defs><g>{layer}</g></svg>" in shown
        assert f"A line up to {beta}.</p>" in shown
        assert f'aria-label="A line up to {beta}."' in shown
    assert sent(live) == []  # outside a kernel every value is drawn at once


def test_its_values_are_read_and_observed_in_python(live):
    seen = []

    def look(change):
        seen.append((change["new"], live.words, live.error))

    live.controls["beta"].observe(look, "value")
    live.set(beta=3.0)
    live.controls["beta"].unobserve(look, "value")
    assert live.values == {"beta": 3.0}
    assert seen == [(3.0, "A line up to 3.", None)]
    assert live.words == repr(live) == "A line up to 3."


def test_set_moves_all_controls_and_draws_once():
    calls, seen = [], []

    def draw(axes, beta, tau):
        calls.append((beta, tau))
        axes.plot([0, 1], [tau, 1 / beta])
        return f"From {tau:g} to 1/{beta:g}."

    both = {"beta": LinSlider(0, 3, 4), "tau": LinSlider(0, 2, 3)}
    live = slider_plot(draw, frame, live=True, **both)
    calls.clear()
    live.set(beta=3.0, tau=2.0)
    assert calls == [(3.0, 2.0)]
    assert live.words == "From 2 to 1/3."
    assert live.words in page(live)
    assert list(live.figure.axes[0].lines[0].get_ydata()) == [2, 1 / 3]
    live.set(beta=3.0, tau=2.0)  # nothing moves
    assert len(calls) == 1
    live.controls["tau"].observe(lambda change: seen.append(live.words), "value")
    live.set(beta=1.0, tau=0.0)
    assert seen == [live.words] == ["From 0 to 1/1."]
    with pytest.raises(ZeroDivisionError):
        live.set(tau=1.0, beta=0.0)
    assert live.set(beta=2.0).words == "From 1 to 1/2."
    with pytest.raises(Exception, match="Invalid selection"):
        live.set(tau=2.0, beta=9.0)  # not on its slider
    assert live.values == {"beta": 2.0, "tau": 2.0}
    assert "From 2 to 1/2." in page(live)
    live.children[2].click()  # reset
    assert live.values == {"beta": 2.0, "tau": 1.0}
    assert calls[-1] == (2.0, 1.0)
    assert "From 1 to 1/2." in page(live)


def test_it_goes_into_boxes_and_links_and_takes_controls_as_they_are():
    number = BoundedIntText(2, min=0, max=9)
    live = slider_plot(line, frame, live=True, beta=number)
    other = FloatSlider(0, min=0, max=9)
    link((number, "value"), (other, "value"))
    HBox([live, other])
    other.value = 5
    assert live.words == "A line up to 5."
    assert number.description == "beta"


def test_a_long_name_is_not_cut_off():
    sliders = {"beta": LinSlider(0, 3, 4, label="strength of the leash")}
    control = slider_plot(line, frame, live=True, **sliders).controls["beta"]
    assert control.style.description_width == "22ch"


def test_a_live_error_is_told_and_the_slider_goes_on():
    live = slider_plot(one_over, frame, live=True, x=LinSlider(-1, 1, 5))  # starts at 0
    assert "ZeroDivisionError: float division by zero" in page(live)
    assert "course-error" in page(live)
    live.controls["x"].value = 0.5
    assert "1/x is 2" in page(live)
    assert "course-error" not in page(live)
    with pytest.raises(ZeroDivisionError):
        live.set(x=0.0)


def test_stored_and_opened_again_it_is_a_picture_with_words(live, show, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "course_lib.sliders.live.display", lambda data, **_: shown.append(data)
    )
    live._ipython_display_()
    still, widget = shown
    assert 'alt="A line up to 1." src="data:image/png' in still["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in widget
    monkeypatch.setenv("COURSE_PLAIN_FIGURES", "1")
    shown.clear()
    live._ipython_display_()
    (stored,) = shown
    assert stored == live._repr_mimebundle_()[0]
    assert stored["text/plain"] == "A line up to 1."
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(stored)


def test_a_live_figure_of_choices_and_limits_from_its_ends():
    def draw(axes, beta, kind):
        axes.plot([0, 1], [0, beta if kind == "up" else -beta])

    live = slider_plot(
        draw, live=True, beta=LinSlider(0, 3, 4), kind=Choice(["up", "down"])
    )
    low, high = live.figure.axes[0].get_ylim()
    assert low <= -3
    assert high >= 3
    assert live.set(kind="down", beta=2.0).figure.axes[0].lines[0].get_ydata()[1] == -2


# ── live: painted ahead of the hand ───────────────────────────────────────────────────


def sent(live) -> list[tuple[str, int, str]]:
    """What the page was sent to keep last: state, age and picture."""
    *_, stage, _ = live.children
    found = re.findall(
        r'<script type="text/plain" data-state="(.*?)" data-age="(\d+)">(.*?)</script>',
        stage.children[2].value,
        re.S,
    )
    return [(state, int(age), picture) for state, age, picture in found]


def touch(live, seconds=0.5, until=None, **values) -> list[tuple[str, int, str]]:
    """Move controls as the kernel does, in its loop; all that was sent meanwhile."""
    heard = []
    *_, stage, _ = live.children

    async def kernel():
        stage.children[2].observe(lambda _: heard.extend(sent(live)), "value")
        for name, value in values.items():
            live.controls[name].value = value
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(heard) < (until or math.inf):
            await asyncio.sleep(0.01)

    asyncio.run(kernel())
    stage.children[2].unobserve_all("value")
    live._ahead._timer = live._timer = None  # they went with their loop
    return heard


def test_after_a_touch_the_other_positions_are_painted_where_it_goes_first():
    live = slider_plot(line, frame, live=True, beta=LinSlider(0, 3, 7, start=1))
    heard = touch(live, 20, until=5, beta=1.5)
    assert [state for state, _, _ in heard] == ["4", "5", "6", "1", "0"]
    for state, age, picture in heard:
        assert age == live._ahead.age
        assert f'aria-label="A line up to {int(state) / 2:g}."' in picture
    assert live.words == "A line up to 1.5."
    assert list(live.figure.axes[0].lines[0].get_ydata()) == [0, 1.5]


def test_what_was_painted_ahead_is_not_drawn_again_but_confirmed():
    calls = []

    def draw(axes, beta):
        calls.append(beta)
        return line(axes, beta)

    live = slider_plot(draw, frame, live=True, beta=LinSlider(0, 3, 4, start=1))
    touch(live, 20, until=2, beta=2.0)
    drawn = len(calls)
    touch(live, 0.3, beta=3.0)
    assert len(calls) == drawn
    assert "A line up to 3.</p>" in page(live)


def test_after_a_cell_nothing_old_is_known():
    shape = [1]

    def draw(axes, beta):
        return f"{shape[0]} times {beta:g}"

    live = slider_plot(draw, frame, live=True, beta=LinSlider(0, 3, 4, start=1))
    old = touch(live, 20, until=2, beta=2.0)
    shape[0] = 5
    ahead._forget_all()  # as IPython does before and after every cell
    stage = live.children[-2]
    assert stage.children[2].value == f'<i data-age="{live._ahead.age}"></i>'
    new = touch(live, 20, until=3, beta=1.0)
    assert {age for _, age, _ in old} < {age for _, age, _ in new} | {0}
    assert all("5 times" in picture for _, _, picture in new)
    assert "5 times 1" in page(live)


def test_a_control_of_one_s_own_makes_all_that_was_painted_old():
    def draw(axes, beta, n):
        return f"{beta:g} of {n}"

    both = {"beta": LinSlider(0, 3, 4, start=1), "n": BoundedIntText(2, max=9)}
    live = slider_plot(draw, frame, live=True, **both)
    old = touch(live, 20, until=2, beta=2.0)
    live.controls["n"].value = 7
    assert f'data-age="{old[0][1] + 1}"' in page(live)
    assert "2 of 7" in page(live)
    new = touch(live, 20, until=2, beta=1.0)
    assert all("of 7" in picture for _, _, picture in new)


def test_what_is_slow_to_draw_is_not_drawn_ahead(monkeypatch):
    monkeypatch.setattr(ahead, "SLOW", 1e-6)
    live = slider_plot(line, frame, live=True, beta=LinSlider(0, 3, 4, start=1))
    assert touch(live, 0.3, beta=2.0) == []
    assert live.words == "A line up to 2."


@pytest.mark.slow
def test_memory_has_an_end(monkeypatch):
    monkeypatch.setattr(ahead, "PICTURES", 10)
    live = slider_plot(line, frame, live=True, beta=LinSlider(0, 3, 61, start=1))
    assert len(touch(live, 1, beta=2.0)) <= 10
    for beta in live.controls["beta"].options:
        live.set(beta=beta[1])
        assert len(live._ahead._known) <= 10


def test_a_closed_figure_hears_no_more_of_cells():
    live = slider_plot(line, frame, live=True, beta=LinSlider(0, 3, 4))
    assert live._ahead in ahead.FIGURES
    live.close()
    assert live._ahead not in ahead.FIGURES


# ── the point is dragged ──────────────────────────────────────────────────────────────


def pointed(axes, gap, beta):
    axes.plot([0, 1], [0, beta])
    axes.plot(gap, gap * beta, "o", gid="gap")
    return f"{gap:g} {beta:g}"


POINTED = {"gap": LinSlider(0, 1, 3), "beta": LinSlider(1, 3, 3, start=3)}


def test_the_page_knows_where_the_point_is_at_every_position(show):
    plot = slider_plot(pointed, frame, drag="gap", **POINTED)
    drag, to_page = payload(plot)["drag"], plot.painter.axes.transData
    assert drag["slider"] == 0
    for (gap, beta), points in zip(
        itertools.product(*(s.values for s in POINTED.values())),
        drag["points"],
        strict=True,
    ):
        x, y = to_page.transform((gap, gap * beta))
        assert points == [pytest.approx([x, 72 * 3.2 - y], abs=0.06)]
    assert drag["ghost"]
    assert drag["ghost"] in payload(plot)["layers"][5]  # the point alone
    assert len(drag["ghost"]) < len(payload(plot)["layers"][5])


def test_without_drag_the_page_is_not_told_of_it(plot, show):
    assert payload(plot)["drag"] is None
    assert "courseHand = " not in shown(plot)


def test_a_point_that_is_nowhere_cannot_be_taken_there(show):
    def draw(axes, gap):
        axes.plot(gap, math.nan if gap == 1 else gap, "o", gid="gap")
        return str(1 / gap)

    plot = slider_plot(draw, frame, drag="gap", gap=LinSlider(0, 2, 3, start=2))
    nothing, nowhere, somewhere = payload(plot)["drag"]["points"]
    assert (nothing, nowhere) == ([], [None])
    assert somewhere[0]


def test_a_live_point_tells_where_it_is():
    live = slider_plot(pointed, frame, live=True, drag="gap", **POINTED)
    stage = live.children[-2]
    data = json.loads(re.search(r"json\">(.*)</script>", stage.children[0].value)[1])
    assert (data["drag"]["slider"], data["drag"]["count"]) == (0, 3)
    assert set(data["drag"]["path"]) == {"0", "1", "2"}
    live.set(gap=1.0)
    (point,) = data["drag"]["path"]["2"]
    assert f'data-points="[{point}]"' in page(live)
    stage.children[3].value = 0  # the hand of the page
    assert stage.children[3].value == 0


# ── figures to keep ───────────────────────────────────────────────────────────────────


def test_a_figure_of_three_panels_and_61_values_stays_small(show):
    def setup(figure):
        figure.set_size_inches(9, 3)
        left, middle, right = axes = figure.subplots(1, 3)
        left.set(xlim=(-6, 6), ylim=(0, 4))
        middle.set(xlim=(-6, 6), ylim=(0, 1))
        right.set(xlim=(-1, 10), ylim=(0, 1))
        return axes

    gap = np.linspace(-6, 6, 241)

    def draw(axes, beta):
        left, middle, right = axes
        left.plot(gap, np.logaddexp(0, -beta * gap))
        middle.plot(gap, beta / (1 + np.exp(np.minimum(beta * gap, 700))))
        weights = np.exp(np.arange(10) / (10 * beta) - 1 / beta)
        right.bar(range(10), weights / weights.sum())

    began = time.process_time()
    plot = slider_plot(draw, setup, beta=LogSlider(0.01, 10, 61))
    stored, _ = plot._repr_mimebundle_()
    spent = time.process_time() - began
    assert sum(map(len, stored.values())) < 350_000
    assert spent < 15  # ten times what is wanted: the benchmark measures, this guards


def test_the_frame_is_painted_once():
    calls = []

    def setup(figure):
        calls.append(figure)
        return frame(figure)

    slider_plot(line, setup, beta=LinSlider(0, 3, 5))
    assert len(calls) == 1
