"""What the benchmark reads and says; the measuring itself is run by hand."""

import json
import math
import subprocess
import sys
import time
from datetime import date

import nbformat
import pytest
import torch
import torch.nn.functional as F

from course_lib.workspace import CourseError, repository
from course_tools import benchmarks, browser
from course_tools.benchmarks import (
    alternatives,
    classes,
    grading,
    metering,
    rivals,
    sliders,
)


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
    assert benchmarks.main(["sliders", "--json"]) == 0
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
        benchmarks.main(["sliders"])


def test_a_bench_that_is_none_is_answered_with_those_that_are():
    with pytest.raises(CourseError, match="sliders"):
        benchmarks.main(["trainers"])
    with pytest.raises(CourseError, match="Name a bench"):
        benchmarks.main([])


# ── grading ───────────────────────────────────────────────────────────────────────────


def rows(*names: str) -> dict[str, grading.Row]:
    """Figures of these graders: the k-th takes k seconds a submission."""
    costs = {
        name: metering.Cost(10.0 * k, 20.0 * k, 300.0, [("python", 300.0)], 0, "")
        for k, name in enumerate(names, 1)
    }
    return {name: grading.Row(10, cost, cost.cpu / 20) for name, cost in costs.items()}


def test_the_table_of_graders_has_the_ratios(capsys, monkeypatch):
    monkeypatch.setattr(grading, "measure", lambda count: rows("ours", *rivals.RIVALS))
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


def test_without_rivals_it_says_how_to_get_them():
    text = grading.table(rows("ours"))
    assert text.count("not measured") == len(rivals.RIVALS) + 1
    assert "requirements/rivals.txt" in text.splitlines()[-1]
    assert grading.result(rows("ours"))["cpu_ratio_otter"] is None


def test_rivals_are_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RIVALS", str(tmp_path))
    assert rivals.home() is None
    (tmp_path / "bin").mkdir()
    for name in ("otter", "nbgrader"):
        (tmp_path / "bin" / name).touch()
    assert rivals.home() == tmp_path


def test_rivals_get_the_course_s_own_versions_of_what_both_need():
    pins = {}
    for file in ("requirements.txt", "requirements/rivals.txt"):
        lines = (repository() / file).read_text().splitlines()
        pins[file] = {line for line in lines if line.startswith(("torch=", "numpy="))}
    assert pins["requirements.txt"] == pins["requirements/rivals.txt"]


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
        for check in rivals.CHECKS.values():
            try:
                exec(check, dict(world))
            except (AssertionError, RuntimeError):
                holds.append(False)
        assert (not holds) == right, code


def test_what_is_handed_in_is_a_notebook(tmp_path):
    known = classes.write_losses(tmp_path / "class", 10)
    assert list(known.values()).count(True) == 7
    rivals.RIVALS["nbgrader"].prepare(tmp_path, 1)
    found = [*tmp_path.rglob("*.ipynb")]
    assert len(found) == 12
    for path in found:
        nbformat.validate(nbformat.read(path, as_version=4))


def test_otter_s_tests_can_be_read():
    for name, code in rivals.CHECKS.items():
        world = {}
        exec(rivals._otter_test(name, code), world)
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


ORPHAN = r"""
import subprocess, sys
burn = "import time\nwhile time.process_time() < 0.5: pass"
subprocess.Popen([sys.executable, "-S", "-c", burn])
print("gone", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans away")
def test_the_time_of_processes_that_nobody_waited_for_is_counted(tmp_path):
    command = [sys.executable, "-c", ORPHAN]
    cost = metering.metered(command, cwd=tmp_path, env={})
    assert 0.5 <= cost.cpu < 5
    assert cost.code == 0
    assert cost.said.strip() == "gone"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_memory_is_that_of_all_processes(tmp_path):
    hold = "import time; data = b'x' * 50_000_000; time.sleep(1)"
    code = f"""
import subprocess, sys
children = [subprocess.Popen([sys.executable, "-S", "-c", "{hold}"]) for _ in "ab"]
sys.exit(sum(child.wait() for child in children) + 3)
"""
    cost = metering.metered([sys.executable, "-c", code], cwd=tmp_path, env={})
    assert 100 < cost.peak < 200
    assert math.isclose(sum(mib for _, mib in cost.parts), cost.peak)
    assert cost.wall >= 1
    assert cost.code == 3


@pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")
def test_children_of_children_are_found():
    code = "import subprocess; subprocess.run(['sleep', '20'])"
    with subprocess.Popen([sys.executable, "-S", "-c", code]) as process:
        end = time.monotonic() + 10
        while len(metering.processes_of(process.pid)) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        found = metering.processes_of(process.pid)
        subprocess.run(["kill", *map(str, found)], check=True)
    assert found[0] == process.pid
    assert len(found) == 2


def test_graders_that_disagree_get_no_figures():
    (cost,) = (row.cost for row in rows("ours").values())
    grading._demand("ours", {"a": True, "b": False}, {"a": True, "b": False}, cost)
    found = {"a": True, "b": True}
    with pytest.raises(CourseError, match=r"otter .* of b, c \(2 of 3\)"):
        grading._demand("otter", found, {"a": True, "b": False, "c": True}, cost)


def test_what_has_to_be_run_besides_must_succeed(tmp_path):
    command = [sys.executable, "-c", "import sys; sys.exit('alas')"]
    with pytest.raises(CourseError, match="alas"):
        grading._aside(command, tmp_path, {})


@pytest.mark.slow
def test_our_own_grader_is_measured_and_right(tmp_path):
    cost = grading._ours(tmp_path / "few", 10)
    assert cost.cpu > 1
    assert cost.peak > 100 or sys.platform != "linux"


@pytest.mark.slow
@pytest.mark.skipif(rivals.home() is None, reason="no environment with the rivals")
@pytest.mark.parametrize("name", rivals.RIVALS)
def test_rivals_say_the_same_of_a_right_and_a_wrong_one(tmp_path, name):
    cost = grading._rival(tmp_path / name, name, 2, rivals.home())
    assert cost.cpu > 1
