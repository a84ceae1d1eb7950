"""What the benchmark reads and says; the measuring itself is run by hand."""

import json
import math
import sys
from datetime import date

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from course_lib.workspace import CourseError, repository
from course_tools import benchmarks, browser
from course_tools.benchmarks import _processes, grading, site, sliders
from course_tools.benchmarks.grading import classes, graders
from course_tools.benchmarks.sliders import alternatives

OTHERS = list(graders.GRADERS)[1:]


LOG = {"chosen": [[3, 0.0], [4, 10.0], [5, 20.0]], "blank": 1, "jumps": 2}
LOG |= {"shown": [[3, 5.0], [5, 60.0]]}


def result(median: float) -> dict[str, float]:
    """A step and two drags, each shown after so long or not at all."""
    log = {"chosen": [[3, 0.0], [4, 0.0]], "shown": [[3, median]]}
    log |= {"blank": 0, "jumps": 0}
    return sliders.figures(sliders.Watched([log], [log, log], [4, 3]), 70.0)


def test_the_numbers_of_what_was_watched():
    assert sliders.times([LOG]) == [5.0, None, 40.0]
    numbers = sliders.figures(sliders.Watched([LOG], [LOG], [5]), 70.0)
    assert (numbers["values"], numbers["shown"], numbers["dropped"]) == (3, 2, 1)
    assert (numbers["late"], numbers["blank"], numbers["jumps"]) == (1, 2, 4)
    assert (numbers["median_ms"], numbers["step_median_ms"]) == (22.5, 22.5)
    assert (numbers["drags"], numbers["last_right"], numbers["steps"]) == (1, 1, 3)
    assert result(8.0)["last_right"] == 1


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
    assert benchmarks.main(["sliders", "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    keys = {"median_ms", "p95_ms", "shown", "values", "bytes_per_update"}
    for name in ("slider_plot", "interact", "ipympl"):
        assert keys <= set(last[name])


def test_a_figure_that_never_followed_is_not_given_a_number():
    with pytest.raises(CourseError, match="never followed"):
        sliders.figures(sliders.Watched([], [], []), 70.0)


def test_every_position_has_a_colour_of_its_own():
    colors = np.array([alternatives.color(beta) for beta in alternatives.VALUES])
    said = [alternatives.position(np.round(255 * rgb) / 255) for rgb in colors]
    assert said == list(range(61))
    for other in ([1, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5], [0, 0.45, 0.7]):
        assert alternatives.position(np.array(other)) is None


def test_both_ways_to_draw_the_figure_draw_the_same():
    """By `draw` alone, and by `move` from the figure of another value."""
    axes, fresh = (alternatives.setup(Figure()) for _ in range(2))
    alternatives.draw(axes, alternatives.VALUES[3])
    alternatives.move(axes, alternatives.VALUES[40])
    alternatives.draw(fresh, alternatives.VALUES[40])
    for one, other in zip(axes, fresh, strict=True):
        for a, b in zip(one.lines, other.lines, strict=True):
            assert list(a.get_ydata()) == list(b.get_ydata())
        for a, b in zip(one.patches, other.patches, strict=True):
            assert a.get_height() == b.get_height()
            assert a.get_facecolor() == b.get_facecolor()


def test_without_a_browser_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(browser, "chromium", lambda: None)
    with pytest.raises(CourseError, match=r"No browser|package"):
        benchmarks.main(["sliders"])


@pytest.mark.parametrize("argv", [["trainers"], []])
def test_a_bench_that_is_none_is_answered_with_those_that_are(argv, capsys):
    with pytest.raises(SystemExit) as refused:
        benchmarks.main(argv)
    assert refused.value.code == 2
    names = "diagnose,grading,inspect,instruct,pages,site,sliders,trainer"
    assert f"{{{names}}}" in capsys.readouterr().err


def test_help_lists_the_benches_by_what_they_say_of_themselves(capsys):
    with pytest.raises(SystemExit, match="0"):
        benchmarks.main(["--help"])
    said = capsys.readouterr().out
    for bench in (grading, sliders):
        assert bench.__doc__.partition("\n")[0] in said
    with pytest.raises(SystemExit, match="0"):
        benchmarks.main(["grading", "--help"])
    said = capsys.readouterr().out
    assert all(flag in said for flag in ("--json", *grading.OPTIONS))


# ── grading ───────────────────────────────────────────────────────────────────────────


def rows(*names: str) -> dict[str, dict[str, float]]:
    """Figures of these graders: the k-th takes k seconds a submission."""
    return {
        name: {
            "cpu_per_submission": 1.0 * k,
            "cpu_of_one_more": k / 2,
            "wall_per_submission": 2.0 * k,
            "peak_mib": 300.0,
            "submissions": 10,
        }
        for k, name in enumerate(names, 1)
    }


def test_the_table_of_graders_has_the_ratios(capsys, monkeypatch):
    told = grading.result(rows(*graders.GRADERS))
    monkeypatch.setattr(grading, "measure", lambda submissions, learners: told)
    assert benchmarks.main(["grading", "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]][:2] == ["ours", "otter"]
    assert " ".join(lines[2].split()) == "otter 10 2.000 2.0 1.000 2.0 4.000 300"
    assert str(date.today()) in lines[-1]
    told = json.loads(last)
    assert (told["cpu_ratio_otter"], told["cpu_ratio_nbgrader"]) == (2.0, 4.0)
    assert told["cpu_per_submission"]["ours"] == 1.0
    assert told["wall_per_submission"]["nbgrader"] == 8.0
    assert told["peak_mib"]["otter run"] == 300.0


def test_without_the_others_it_says_how_to_get_them():
    text = grading.table(grading.result(rows("ours")))
    assert text.count("not measured") == len(OTHERS) + 1
    assert "requirements/rivals.txt" in text.splitlines()[-1]
    assert grading.result(rows("ours"))["cpu_ratio_otter"] is None


def test_rivals_are_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RIVALS", str(tmp_path))
    assert graders.home() is None
    (tmp_path / "bin").mkdir()
    for name in ("otter", "nbgrader"):
        (tmp_path / "bin" / name).touch()
    assert graders.home() == tmp_path


@pytest.mark.parametrize(
    ("whose", "both"),
    [("rivals", ("torch=", "numpy=")), ("trl", ("torch=", "numpy=", "tqdm="))],
)
def test_others_get_the_course_s_own_versions_of_what_both_need(whose, both):
    pins = []
    for file in ("requirements.txt", f"requirements/{whose}.txt"):
        lines = (repository() / file).read_text().splitlines()
        pins.append({line for line in lines if line.startswith(both)})
    assert pins[0] == pins[1]


def test_the_rivals_checks_know_right_from_wrong():
    """Each of the functions that are handed in, by what is a test for the rivals."""
    made = classes.losses(100)
    assert sum(right for _, right in made.values()) == 70
    seen = {}
    for code, right in made.values():
        seen[code.partition("# page")[0]] = right
    assert [list(seen.values()).count(right) for right in (True, False)] == [4, 10]
    for code, right in seen.items():
        world = {"torch": torch, "F": F}
        exec(code, world)
        holds = []
        for check in graders.CHECKS.values():
            try:
                exec(check, dict(world))
            except (AssertionError, RuntimeError):
                holds.append(False)
        assert (not holds) == right, code


def test_what_is_handed_in_is_a_notebook(tmp_path):
    known = classes.write_losses(tmp_path / "class", 10)
    assert list(known.values()).count(True) == 7
    graders.GRADERS["nbgrader"].prepare(tmp_path, 1)
    found = [*tmp_path.rglob("*.ipynb")]
    assert len(found) == 12
    for path in found:
        nbformat.validate(nbformat.read(path, as_version=4))


def test_otter_s_tests_can_be_read():
    for name, code in graders.CHECKS.items():
        world = {}
        exec(graders._otter_test(name, code), world)
        (case,) = world["test"]["suites"][0]["cases"]
        assert case["code"].count(">>>") == len(code.strip().splitlines())


def test_no_two_pages_of_a_class_are_alike(tmp_path):
    classes.write_chapter(tmp_path / "class", 20, "04")
    texts = [path.read_text() for path in sorted((tmp_path / "class").iterdir())]
    assert len(set(texts)) == 20
    assert not any("BEGIN SOLUTION" in text for text in texts)
    stubs = sum(text.count("raise NotImplementedError") for text in texts)
    assert stubs == 14  # a tenth of seven exercises in each page
    turned = "policy_chosen_logps + ref_chosen_logps"
    assert 0 < sum(turned in text for text in texts) < 20
    for text in texts:
        for cell in json.loads(text)["cells"]:
            if "exercise" in cell["metadata"].get("tags", ()):
                compile("".join(cell["source"]), "cell", "exec")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans away")
def test_all_processes_are_metered(tmp_path):
    """Two children of the command hold memory; one that it leaves behind takes time."""
    burn = "import time; time.sleep(1.5)\nwhile time.process_time() < 0.5: pass"
    hold = "import time; data = b'x' * 50_000_000; time.sleep(1)"
    code = f"""
import subprocess, sys
start = lambda code: subprocess.Popen([sys.executable, "-S", "-c", code])
start({burn!r})
children = [start({hold!r}) for _ in "ab"]
print("gone", flush=True)
sys.exit(sum(child.wait() for child in children) + 3)
"""
    told = {"cwd": tmp_path, "env": {}}
    cost = _processes.metered([sys.executable, "-c", code], **told)
    assert 0.5 <= cost.cpu < 5
    assert 100 < cost.peak < 200
    assert math.isclose(sum(mib for _, mib in cost.parts), cost.peak)
    assert cost.wall >= 1
    assert (cost.code, cost.said.strip()) == (3, "gone")


def test_graders_that_disagree_get_no_figures():
    cost = _processes.Cost(1.0, 1.0, 1.0, [], 0, "")
    grading.demand("ours", {"a": True, "b": False}, {"a": True, "b": False}, cost)
    found = {"a": True, "b": True}
    with pytest.raises(CourseError, match=r"otter .* of b, c \(2 of 3\)"):
        grading.demand("otter", found, {"a": True, "b": False, "c": True}, cost)


def test_what_has_to_be_run_besides_must_succeed(tmp_path):
    command = [sys.executable, "-S", "-c", "import sys; sys.exit('alas')"]
    with pytest.raises(CourseError, match="alas"):
        _processes.aside(command, cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.thorough
def test_our_own_grader_is_measured_and_right(tmp_path):
    cost = grading.graded(tmp_path / "few", "ours", 10)
    assert cost.cpu > 1
    assert cost.peak > 100 or sys.platform != "linux"


@pytest.mark.slow
@pytest.mark.skipif(graders.home() is None, reason="no environment with the others")
@pytest.mark.parametrize("name", OTHERS)
def test_the_others_say_the_same_of_a_right_and_a_wrong_one(tmp_path, name):
    assert grading.graded(tmp_path / name, name, 2).cpu > 1


def test_what_is_wrong_with_a_site_is_listed_below_its_figures(tmp_path):
    told = {"pages": 2, "drag_p95_ms": 17.25, "serious": ["a.html: light, label"]}
    assert site.table(told).splitlines() == [
        "pages           2",
        "drag p95 ms    17",
        "serious         1",
        "serious: a.html: light, label",
    ]
    with pytest.raises(CourseError, match="No figure of this site moves"):
        site._times("step", [])
    if not browser.trouble("axe_playwright_python"):
        with pytest.raises(CourseError, match="holds no website"):
            site.measure(str(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="times are read as on Linux")
def test_a_site_that_cannot_be_built_says_why(tmp_path, monkeypatch):
    (tmp_path / "course_lib").mkdir()
    (tmp_path / "course_lib" / "__init__.py").write_text("raise SystemExit('alas')")
    monkeypatch.setattr(site, "repository", lambda: tmp_path)
    with pytest.raises(CourseError, match="alas"):
        site._built(tmp_path / "out")
