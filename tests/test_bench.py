"""What the benchmark reads and says; the measuring itself is run by hand."""

import json

import pytest

from course_lib import bench, browser
from course_lib.bench import alternatives, sliders
from course_lib.workspace import CourseError


def result(median: float) -> dict[str, float]:
    tally = sliders.Tally(steps=[median, None], drags=[median, 2 * median, None])
    tally.last = [True, False]
    return tally.result()


def test_the_numbers_of_a_tally():
    tally = sliders.Tally()
    log = {"chosen": [[3, 0.0], [4, 10.0], [5, 20.0]], "blank": 1, "jumps": 2}
    tally.add(log | {"shown": [[3, 5.0], [5, 60.0]]}, tally.drags)
    tally.steps = [8.0]
    numbers = tally.result()
    assert tally.drags == [5.0, None, 40.0]
    assert (numbers["values"], numbers["shown"], numbers["dropped"]) == (3, 2, 1)
    assert (numbers["late"], numbers["blank"], numbers["jumps"]) == (1, 1, 2)
    assert numbers["median_ms"] == 22.5


def test_the_table_has_the_ratios(capsys, monkeypatch):
    numbers = {
        name: result(10.0 * k) for k, name in enumerate(alternatives.ALTERNATIVES, 1)
    }
    numbers["slider_plot"] |= {"made_cpu_s": 0.5, "stored_bytes": 300_000}
    text = sliders.table(numbers)
    assert "2.0" in text.splitlines()[-2]
    assert "stores 300,000 bytes" in text
    monkeypatch.setattr(sliders, "measure", lambda: numbers)
    monkeypatch.setattr(browser, "trouble", lambda *packages: None)
    assert bench.main(["sliders", "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    for name in ("slider_plot", "interact", "ipympl"):
        assert {"median_ms", "p95_ms", "shown", "values", "bytes_per_update"} <= set(
            last[name]
        )


def test_a_figure_that_never_followed_is_not_given_a_number():
    with pytest.raises(CourseError, match="never followed"):
        sliders.Tally().result()


def test_every_position_has_a_barcode_of_its_own():
    codes = {tuple(alternatives._barcode(beta)) for beta in alternatives.VALUES}
    assert len(codes) == len(alternatives.VALUES) == 61


def test_both_ways_to_draw_the_figure_draw_the_same():
    from matplotlib.figure import Figure

    figure = Figure()
    axes = alternatives.setup(figure)
    alternatives.draw(axes, alternatives.VALUES[3])
    alternatives.move(axes, alternatives.VALUES[40])
    again = Figure()
    fresh = alternatives.setup(again)
    alternatives.draw(fresh, alternatives.VALUES[40])
    for one, other in zip(axes, fresh, strict=True):
        for a, b in zip(one.lines, other.lines, strict=True):
            assert list(a.get_ydata()) == list(b.get_ydata())
        for a, b in zip(one.patches, other.patches, strict=True):
            assert (a.get_height(), a.get_facecolor()) == (
                b.get_height(),
                b.get_facecolor(),
            )


def test_without_a_browser_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(browser, "chromium", lambda: None)
    with pytest.raises(CourseError, match=r"No browser|package"):
        bench.main(["sliders"])


def test_a_bench_that_is_none_is_answered_with_those_that_are():
    with pytest.raises(CourseError, match="sliders"):
        bench.main(["trainers"])
    with pytest.raises(CourseError, match="Name a bench"):
        bench.main([])
