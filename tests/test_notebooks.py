"""What every page promises that can be read without running it: tidy, honest, readable.

What it does when it runs is asked in the same pytest run, by `pages.py`.
"""

import re
from itertools import pairwise, zip_longest

import nbformat
import pytest
from reading import prose, read

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


def code(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


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
        moves = "slider_plot(" in cell.source
        for output, below in zip_longest(cell.outputs, cell.outputs[1:]):
            if "image/png" in output.get("data", {}):
                alt = output.data["text/plain"]
                assert len(alt) > 40
                assert not alt.startswith("<")
                assert output.metadata["image/png"]["alt"] == alt
                told = below.data["text/markdown"]
                assert ("*Run this cell to move it.*" in told) == moves
    for alt in re.findall(r"!\[(.*?)\]\(", prose(path)):
        assert len(alt) > 20


@pages
def test_no_printed_line_is_wider_than_the_page(path):
    for cell in code(path):
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" not in data:
                text = output.get("text", data.get("text/plain", ""))
                wide = [line for line in text.splitlines() if len(line) > 88]
                assert not wide


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
    assert text.count("<details>") == text.count("</details>")
    assert text.partition("## Recap")[2].count("<details>") == 3  # above it, proofs
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


def test_the_first_page_lists_every_chapter():
    first, *others = notebooks("notebooks")
    table = prose(first).partition("| chapter |")[2]
    rows = [row for row in table.splitlines() if re.match(r"\| \[?\d\d", row)]
    assert [path.name[:2] for path in (first, *others)] == [
        re.search(r"\d\d", row)[0] for row in rows
    ]
    assert [link for row in rows for link in links(row)] == [p.name for p in others]


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text)


MARKDOWN = [*ROOT.glob("*.md"), *EVERY]


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = prose(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    for link in links(text):
        if link.startswith(("http", "#")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve()
        assert target.exists(), link
        if anchor and target.suffix == ".ipynb":
            titles = re.findall(r"^#+ (.+)$", prose(target), re.M)
            assert anchor in [title.replace(" ", "-") for title in titles], link
