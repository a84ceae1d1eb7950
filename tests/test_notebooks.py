"""What every page promises: tidy, honest, readable, offline, and gone without a trace.

nbval, in the same pytest run, compares every stored output with a fresh one; here is
the rest.
"""

import contextlib
import io
import re
import shutil
import subprocess
import sys
from itertools import pairwise, product

import nbformat
import pytest
from nbclient import NotebookClient

from course_lib.sliders import LivePlot, SliderPlot
from course_lib.workspace import notebooks, repository
from course_tools.build import clean

ROOT = repository()
PAGES = [path for part in ("notebooks", "solutions") for path in notebooks(part)]
STARTERS = notebooks("exercises")
EVERY = PAGES + STARTERS


def ids(path):
    return f"{path.parent.name}/{path.stem}"


pages = pytest.mark.parametrize("path", PAGES, ids=ids)
every = pytest.mark.parametrize("path", EVERY, ids=ids)
lessons = pytest.mark.parametrize("path", notebooks("notebooks"), ids=ids)


def read(path):
    return nbformat.read(path, as_version=4)


def code(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def prose(path) -> str:
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    return "\n\n".join(cells)


@every
def test_it_is_valid_and_stored_as_it_would_be_written(path):
    notebook = read(path)
    nbformat.validate(notebook)
    text = path.read_text(encoding="utf-8")
    assert text == nbformat.writes(clean(notebook)) + "\n"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


@every
def test_code_cells_are_short_and_narrow(path):
    lengths = []
    for cell in code(path):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        lengths.append(len(lines))
        assert len(lines) <= 20, cell.source
        assert max(map(len, lines)) <= 88, cell.source
    assert sorted(lengths)[len(lengths) // 2] <= 8


@lessons
def test_code_is_introduced_by_words(path):
    cells = read(path).cells
    run = 0
    for cell in cells:
        run = run + 1 if cell.cell_type == "code" else 0
        assert run <= 2, f"three code cells in a row before: {cell.source[:60]}"


@pages
def test_cells_were_run_from_top_to_bottom_without_an_error(path):
    counts = [cell.execution_count for cell in code(path)]
    assert counts == list(range(1, len(counts) + 1))
    kinds = {output.output_type for cell in code(path) for output in cell.outputs}
    assert "error" not in kinds


@pages
def test_pictures_have_words(path):
    for cell in code(path):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.data["text/plain"]
                assert len(alt) > 40
                assert not alt.startswith("<")
    for alt in re.findall(r"!\[(.*?)\]\(", prose(path)):
        assert len(alt) > 20


@pages
def test_no_widget_state_and_modest_size(path):
    text = path.read_text(encoding="utf-8")
    assert "widget-view" not in text
    assert "application/vnd.jupyter" not in text
    assert len(text) < 600_000


@every
def test_no_install_no_shell_and_no_foreign_address(path):
    for cell in code(path):
        assert not re.search(r"^\s*[!%]", cell.source, re.M)
    assert "http" not in path.read_text(encoding="utf-8")


@lessons
def test_the_frame_of_a_lesson(path):
    text = prose(path)
    number = path.name[:2]
    assert text.startswith(f"# {number} · ")
    head = text[:900]
    assert re.search(r"\d+ minutes to read, \d+ s to run", head)
    assert "Needs" in head
    assert "By the end" in text
    assert re.search(r"[Ww]rite down (a|two) prediction", text)
    assert "## Recap" in text
    assert text.count("<details>") == text.count("</details>") == 3
    assert "slider_plot(" in "\n".join(cell.source for cell in code(path))


FORBIDDEN = r"\b(simply|obviously|just)\b|!(?!\[)(?=\s|$)|[\U0001F300-\U0001FAFF]"


@every
def test_the_tone_of_the_prose(path):
    text = re.sub(r"\$.*?\$|`.*?`|\|.*\|", "", prose(path), flags=re.S)
    text = text.replace("k!", "")
    found = re.findall(rf".{{0,30}}(?:{FORBIDDEN}).{{0,10}}", text)
    assert not found


@every
def test_headings_go_down_one_level_at_a_time(path):
    levels = [len(m) for m in re.findall(r"^(#+) ", prose(path), re.M)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    for before, after in pairwise(levels):
        assert after <= before + 1 or path.parent.name != "notebooks"


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text)


MARKDOWN = [path for path in ROOT.glob("*.md")] + EVERY


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = prose(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    for link in links(text):
        if link.startswith(("http", "#")):
            continue
        target = (path.parent / link.split("#")[0]).resolve()
        if target.parent.name == "my_work":  # the learner's copy of a starter
            target = ROOT / "exercises" / target.name
        assert target.exists(), link


def run_all(path, folder):
    """Run a notebook in a fresh kernel inside `folder`; return its cells."""
    notebook = read(path)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=120, resources=resources).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("path", STARTERS, ids=ids)
def test_run_all_on_a_starter_reaches_the_end(path, tmp_path):
    cells = run_all(path, tmp_path)
    texts = ["".join(str(output) for output in cell.outputs) for cell in cells]
    checks = [
        t for c, t in zip(cells, texts, strict=True) if c.source.startswith("check(")
    ]
    assert checks
    assert all("not attempted" in text for text in checks)
    assert cells[-1].outputs
    assert not list(tmp_path.iterdir())


def corners(plot) -> list[dict]:
    """Every combination of the ends and the start of a figure's sliders."""
    if isinstance(plot, SliderPlot):
        ends = {n: {s.values[0], s.values[-1]} for n, s in plot.sliders.items()}
    else:
        ends = {name: control_ends(c) for name, c in plot.controls.items()}
    ends = {name: ends[name] | {plot.values[name]} for name in ends}
    return [dict(zip(ends, values, strict=True)) for values in product(*ends.values())]


def control_ends(control) -> set:
    if hasattr(control, "options"):
        return {control.options[0][1], control.options[-1][1]}
    return {control.min, control.max}


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_every_slider_draws_at_every_corner_and_no_file_is_left(
    path, monkeypatch, tmp_path
):
    made = []
    for kind in (SliderPlot, LivePlot):
        begin = kind.__init__

        def watched(self, *args, begin=begin):
            begin(self, *args)
            made.append(self)

        monkeypatch.setattr(kind, "__init__", watched)
    copy = tmp_path / path.parent.name
    copy.mkdir()
    shutil.copy(path, copy)
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "work"))
    monkeypatch.chdir(copy)
    names = {"__name__": "page"}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in code(path):
            exec(compile(cell.source, path.name, "exec"), names)
    kinds = {type(plot) for plot in made}
    assert path.parent.name == "solutions" or kinds == {SliderPlot, LivePlot}
    assert made
    for plot in made:
        assert not (plot.errors if isinstance(plot, SliderPlot) else plot.error)
        for values in corners(plot):
            words = plot.set(**values).words
            assert 40 < len(words) < 400
            assert "nan" not in words
    left = {found.relative_to(tmp_path).as_posix() for found in tmp_path.rglob("*")}
    assert left == {path.parent.name, f"{path.parent.name}/{path.name}"}


def test_the_wall_stands_in_processes_that_tests_start():
    code = (
        "import socket\n"
        "for attempt in (lambda: socket.create_connection(('192.0.2.1', 80), 1),\n"
        "                lambda: socket.getaddrinfo('example.org', 80)):\n"
        "    try:\n        attempt()\n"
        "    except OSError as error:\n        print(error)\n"
    )
    run = [sys.executable, "-c", code]
    answer = subprocess.run(run, capture_output=True, text=True, check=True)
    assert answer.stdout.count("the course needs no network") == 2
