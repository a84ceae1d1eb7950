"""Exercises come from solutions, byte for byte, and nothing of an answer leaks."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_lib.workspace import repository
from course_tools import build as authoring
from course_tools.build import AuthoringError, build, clean, main, starter

REGION = "def f(x):\n    ### BEGIN SOLUTION\n    return x + 12345\n    ### END SOLUTION"


def page(*cells):
    return new_notebook(cells=list(cells))


def exercise(source=REGION, **extra):
    return new_code_cell(source, metadata={"tags": ["exercise"]}, **extra)


SOLUTIONS = sorted((repository() / "solutions").glob("*.ipynb"))


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.name)
def test_committed_exercises_are_what_the_solutions_give(path):
    notebook = nbformat.read(path, as_version=4)
    text = nbformat.writes(starter(notebook, path.name)) + "\n"
    assert (repository() / "exercises" / path.name).read_text("utf-8") == text


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.name)
def test_no_line_of_a_solution_and_no_output_leaks(path):
    solution = nbformat.read(path, as_version=4)
    text = (repository() / "exercises" / path.name).read_text("utf-8")
    given = nbformat.reads(text, as_version=4)
    lines = set()
    for cell in solution.cells:
        if "exercise" in cell.metadata.get("tags", []):
            region = cell.source.split("### BEGIN SOLUTION")[1].split("### END")[0]
            lines |= {line.strip() for line in region.splitlines()}
    assert len(lines) > 1
    assert not [line for line in lines if len(line) > 8 and line in text]
    for cell in solution.cells:
        if "solution" in cell.metadata.get("tags", []):
            assert cell.source not in text
            assert cell.id not in text
    assert all(not cell.get("outputs") for cell in given.cells)
    assert "attachments" not in text
    assert "BEGIN SOLUTION" not in text


def test_both_folders_hold_the_same_names():
    names = {path.name for path in (repository() / "exercises").glob("*.ipynb")}
    assert names == {path.name for path in SOLUTIONS}


def test_the_stub_keeps_signature_docstring_and_indent():
    head = 'def f(x):\n    """Say."""\n    '
    source = head + "### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    result = starter(page(exercise(source)), "n")
    stub = "# YOUR CODE HERE\n    raise NotImplementedError"
    assert result.cells[0].source == head + stub


def test_cells_tagged_solution_are_left_out_and_outputs_go():
    because = new_markdown_cell("because", metadata={"tags": ["solution"]})
    output = new_output("stream", name="stdout", text="12346")
    result = starter(page(exercise(outputs=[output], execution_count=3), because), "n")
    assert len(result.cells) == 1
    assert result.cells[0].outputs == []
    assert result.cells[0].execution_count is None


def test_the_solution_itself_is_not_touched():
    notebook = page(exercise())
    before = nbformat.writes(notebook)
    starter(notebook, "n")
    assert nbformat.writes(notebook) == before


PICTURE = new_markdown_cell("![a](attachment:a)", attachments={"a": {}})
BROKEN = {
    "no region": [exercise("def f(x):\n    return x")],
    "two regions": [exercise(REGION + "\n" + REGION)],
    "no end": [exercise(REGION.replace("    ### END SOLUTION", ""))],
    "no begin": [exercise(REGION.replace("    ### BEGIN SOLUTION\n", ""))],
    "turned round": [exercise("### END SOLUTION\nx = 1\n### BEGIN SOLUTION")],
    "empty region": [exercise("### BEGIN SOLUTION\n\n### END SOLUTION")],
    "region without the tag": [exercise(), new_code_cell(REGION)],
    "marker in a text": [exercise(), new_markdown_cell("### BEGIN SOLUTION")],
    "no exercise at all": [new_code_cell("x = 1")],
    "answer repeated in a text": [exercise(), new_markdown_cell("return x + 12345")],
    "answer repeated in code": [exercise(), new_code_cell("def g(): return x + 12345")],
    "attachment": [exercise(), PICTURE],
}


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_is_not_exactly_so_is_an_error(name):
    with pytest.raises(AuthoringError, match="broken"):
        starter(page(*BROKEN[name]), "broken.ipynb")


def write(folder, name, *cells):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(nbformat.writes(page(*cells)), encoding="utf-8")


def test_build_writes_all_or_nothing(tmp_path):
    write(tmp_path / "solutions", "00_a.ipynb", exercise())
    assert [path.name for path in build(tmp_path)] == ["00_a.ipynb"]
    assert build(tmp_path) == []
    first = (tmp_path / "exercises" / "00_a.ipynb").read_bytes()
    changed = exercise(REGION.replace("f(x)", "g(x)"))
    write(tmp_path / "solutions", "00_a.ipynb", changed)
    write(tmp_path / "solutions", "01_b.ipynb", *BROKEN["two regions"])
    with pytest.raises(AuthoringError):
        build(tmp_path)
    assert (tmp_path / "exercises" / "00_a.ipynb").read_bytes() == first


def test_an_exercise_without_a_solution_is_an_error(tmp_path):
    write(tmp_path / "solutions", "00_a.ipynb", exercise())
    write(tmp_path / "exercises", "07_orphan.ipynb", new_code_cell("x"))
    with pytest.raises(AuthoringError, match="07_orphan"):
        build(tmp_path)
    assert not (tmp_path / "exercises" / "00_a.ipynb").exists()


def test_cleaning_drops_what_changes_and_keeps_the_picture():
    picture = new_output("display_data", data={"image/png": "x", "text/html": "<img>"})
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "w"}
    half = [new_output("stream", name="stdout", text=text) for text in ("a", "b")]
    cell = new_code_cell(
        "1",
        outputs=[picture, new_output("display_data", data=widget), *half],
        metadata={"collapsed": True, "tags": ["exercise"]},
    )
    notebook = page(cell)
    notebook.metadata.widgets = {"state": {}}
    result = clean(notebook)
    assert "widgets" not in result.metadata
    assert result.cells[0].metadata == {"tags": ["exercise"]}
    first, second, third = result.cells[0].outputs
    assert set(first.data) == {"image/png"}
    assert set(second.data) == {"text/plain"}
    assert third.text == "ab"


@pytest.mark.parametrize("words", [["04"], ["--run", "99"], ["--hlep"]])
def test_a_slip_in_the_command_runs_nothing(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "build: error" in capsys.readouterr().err


def test_the_command_says_what_is_wrong(monkeypatch, capsys):
    def refuse():
        raise AuthoringError("00_a.ipynb, cell 3 needs one region")

    monkeypatch.setattr(authoring, "build", refuse)
    assert main([]) == 1
    assert "cell 3" in capsys.readouterr().err
