"""The learner's pages: made, linked, renewed while unedited, and never lost."""

import json
import re
from itertools import pairwise

import nbformat
import pytest
from nbformat.v4 import new_code_cell as code
from nbformat.v4 import new_markdown_cell as markdown
from nbformat.v4 import new_notebook
from reading import prose, read

from course_lib import workspace
from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError
from course_tools import copies, start_page

LESSON, PAGE = "04_dpo_loss.ipynb", "04_exercises.ipynb"
PAGES = ["02_exercises.ipynb", "02_optimal_policy.ipynb", LESSON, PAGE]


def notebook(*cells):
    cells = [{**cell, "id": f"cell-{number}"} for number, cell in enumerate(cells)]
    return new_notebook(cells=cells)


STUB = "def dpo_loss():\n    raise NotImplementedError"
EXERCISE = code(STUB, metadata={"tags": ["exercise"]})
STARTERS = {
    "02_optimal_policy": notebook(markdown("### Exercise 2.1 · KL"), EXERCISE),
    "04_dpo_loss": notebook(markdown("### Exercise 4.1 · The DPO loss"), EXERCISE),
}
PRINTED = [{"output_type": "stream", "name": "stdout", "text": "0.69\n"}]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A small course with two chapters and their exercises; its folder."""
    monkeypatch.setattr(workspace, "repository", lambda: tmp_path)
    monkeypatch.delenv("COURSE_WORK", raising=False)
    for name, starter in STARTERS.items():
        title = markdown(f"# {name}")
        run = code("print(loss)", execution_count=7, outputs=PRINTED)
        put(tmp_path / "notebooks" / f"{name}.ipynb", notebook(title, run))
        put(tmp_path / "exercises" / f"{name}.ipynb", starter)
    (tmp_path / "exercises" / "README.md").write_text("no notebook")
    return tmp_path


def put(path, page):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(page), encoding="utf-8")


def get(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write_in(path, text="my own thought", at=0):
    """Edit a cell of a page, as a learner does."""
    page = get(path)
    page["cells"][at]["source"] = text
    put(path, page)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def update(course):
    """A new version of the exercises of chapter 04, and of the chapter."""
    for folder in ("exercises", "notebooks"):
        write_in(course / folder / LESSON, "### Exercise 4.1 · Better words")


# ── made, renewed, kept ───────────────────────────────────────────────────────────────


def test_each_chapter_and_its_exercises_have_a_copy_without_outputs(course):
    assert copies.renew() == [f"New in {course / 'my_work'}: {', '.join(PAGES)}"]
    assert names(course / "my_work") == sorted([*PAGES, "copies.json"])
    (cell,) = get(course / "my_work" / LESSON)["cells"][1:]
    assert (cell["outputs"], cell["execution_count"]) == ([], None)
    stored = get(course / "notebooks" / LESSON)["cells"][1]
    assert stored["outputs"] == PRINTED
    assert copies.renew() == []


def test_running_and_saving_a_page_is_no_edit(course):
    copies.renew()
    mine = course / "my_work" / PAGE
    page = get(mine)
    for cell in page["cells"]:
        cell["source"] = copies.source_of(cell)  # it may come in lines, or whole
        cell["metadata"]["trusted"] = True
    page["cells"][1].update(outputs=PRINTED, execution_count=3)
    page["cells"].append(code(""))  # Shift + Enter in the last cell adds an empty one
    put(mine, page)
    before = mine.read_bytes()
    assert copies.renew() == []
    assert mine.read_bytes() == before
    update(course)
    assert copies.renew() == [f"Brought up to date: {LESSON}, {PAGE}"]
    assert get(mine)["cells"][0]["source"] == ["### Exercise 4.1 · Better words"]


def test_an_edited_page_is_kept_and_that_is_said_once(course):
    copies.renew()
    for name in (PAGE, LESSON):
        write_in(course / "my_work" / name)
    assert copies.renew() == []
    update(course)
    (said,) = copies.renew()
    assert said.startswith("The course has a newer page, and yours is kept: ")
    assert said.endswith("reset 04_dpo_loss 04")
    assert copies.renew() == []
    for name in (PAGE, LESSON):
        assert get(course / "my_work" / name)["cells"][0]["source"] == "my own thought"


@pytest.mark.parametrize("lost", ["gone", "broken"])
def test_without_its_notes_it_takes_every_page_that_differs_for_edited(course, lost):
    copies.renew()
    notes = course / "my_work" / copies.NOTES
    notes.unlink() if lost == "gone" else notes.write_text('{"04')
    write_in(course / "my_work" / PAGE)
    assert copies.renew() == []
    assert get(course / "my_work" / PAGE)["cells"][0]["source"] == "my own thought"
    update(course)
    assert len(copies.renew()) == 2  # the chapter is brought up to date, this is kept
    assert get(course / "my_work" / PAGE)["cells"][0]["source"] == "my own thought"


@pytest.mark.parametrize("content", ["", "no notebook", "[1]", "{}"])
def test_what_is_no_notebook_any_more_is_left_alone(course, content):
    copies.renew()
    (course / "my_work" / PAGE).write_text(content)
    update(course)
    copies.renew()
    assert (course / "my_work" / PAGE).read_text() == content


def test_a_broken_page_of_the_course_touches_no_copy(course):
    copies.renew()
    (course / "notebooks" / LESSON).write_text("<<<<<<< HEAD")
    before = (course / "my_work" / LESSON).read_bytes()
    with pytest.raises(CourseError, match="is no notebook") as told:
        copies.renew()
    assert told.value.mend == f"git checkout -- notebooks/{LESSON}"
    assert (course / "my_work" / LESSON).read_bytes() == before


def test_course_work_moves_the_copies(course, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "else" / "where"))
    copies.renew()
    assert names(tmp_path / "else" / "where")[0] == "02_exercises.ipynb"
    assert not (course / "my_work").exists()


def test_a_full_disk_leaves_no_half_copy(course, monkeypatch):
    class FullDisk:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def write(self, _):
            raise OSError(28, "No space left on device")

    def open_full(path, mode):
        open(path, mode).close()
        return FullDisk()

    monkeypatch.setattr(copies, "open", open_full, raising=False)
    with pytest.raises(OSError, match="No space"):
        copies.renew()
    assert names(course / "my_work") == []


# ── from before chapters had copies ───────────────────────────────────────────────────


def test_exercises_get_their_new_name_and_the_chapter_theirs(course):
    mine = course / "my_work" / LESSON
    mine.parent.mkdir()
    put(mine, notebook(markdown("mine"), EXERCISE))
    put(mine.with_name("04_dpo_loss.backup-1.ipynb"), notebook(EXERCISE))
    said = copies.renew()
    renamed = "is now called 04_exercises.ipynb, with your work in it."
    assert said[0] == f"04_dpo_loss.ipynb {renamed}"
    assert get(course / "my_work" / PAGE)["cells"][0]["source"] == "mine"
    assert not copies.has_exercises(get(course / "my_work" / LESSON))
    assert "04_dpo_loss.backup-1.ipynb" in names(course / "my_work")
    assert copies.renew() == []


def test_exercises_of_both_names_are_both_kept(course):
    copies.renew()
    put(course / "my_work" / LESSON, notebook(markdown("old"), EXERCISE))
    write_in(course / "my_work" / PAGE, "new")
    assert "is now called 04_dpo_loss.backup-1.ipynb" in copies.renew()[0]
    kept = course / "my_work" / "04_dpo_loss.backup-1.ipynb"
    assert get(kept)["cells"][0]["source"] == "old"
    assert get(course / "my_work" / PAGE)["cells"][0]["source"] == "new"
    assert not copies.has_exercises(get(course / "my_work" / LESSON))


# ── reset ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        *((words, PAGE) for words in ("4", "04", "04_exercises", PAGE)),
        *((words, LESSON) for words in ("04_dpo", "04_dpo_loss", LESSON)),
    ],
)
def test_reset_keeps_every_backup(course, wanted, name):
    copies.renew()
    mine = course / "my_work" / name
    fresh = mine.read_bytes()
    for number in (1, 2, 3):
        mine.write_text(f"attempt {number}")
        assert f"{mine.stem}.backup-{number}.ipynb" in copies.reset(wanted)
        assert mine.read_bytes() == fresh
    for number in (1, 2, 3):
        backup = mine.with_name(f"{mine.stem}.backup-{number}.ipynb")
        assert backup.read_text() == f"attempt {number}"
    assert len(names(mine.parent)) == 8  # four copies, three backups, the notes
    update(course)
    assert copies.renew() == [f"Brought up to date: {LESSON}, {PAGE}"]


def test_reset_of_a_missing_or_untouched_copy_makes_no_backup(course):
    assert "is new" in copies.reset("4")
    assert "nothing to do" in copies.reset("4")
    assert names(course / "my_work") == [PAGE, "copies.json"]


@pytest.mark.parametrize("wanted", ["7", "dpo", "", "07_exercises"])
def test_an_unknown_chapter_is_told_what_there_is(course, wanted):
    with pytest.raises(CourseError, match="02_optimal_policy, 04_dpo_loss") as caught:
        copies.reset(wanted)
    assert caught.value.code == 2
    assert not (course / "my_work").exists()


# ── links ─────────────────────────────────────────────────────────────────────────────


def test_links_lead_from_copy_to_copy_and_to_the_cell(course):
    target = "../exercises/04_dpo_loss.ipynb#Exercise-4.1-·-The-DPO-loss"
    text = f"[write\nit]({target}), [02](02_optimal_policy.ipynb), [09](09_x.ipynb)"
    put(course / "notebooks" / LESSON, notebook(markdown(text)))
    back = "[b](../notebooks/04_dpo_loss.ipynb), [o](02_optimal_policy.ipynb#no)"
    heading = markdown("### Exercise 4.1 · The DPO loss\n" + back)
    put(course / "exercises" / LESSON, notebook(heading))
    copies.renew()
    (cell,) = get(course / "my_work" / LESSON)["cells"]
    first, second = "04_exercises.ipynb#cell-id=cell-0", "02_optimal_policy.ipynb"
    assert copies.source_of(cell) == f"[write\nit]({first}), [02]({second}), 09"
    (cell,) = get(course / "my_work" / PAGE)["cells"]
    led = "[b](04_dpo_loss.ipynb), [o](02_exercises.ipynb#no)"
    assert copies.source_of(cell).endswith(led)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The course's own copies, by name, and the start page."""
    folder = tmp_path_factory.mktemp("my_work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_WORK", str(folder))
        copies.renew()
        start_page.write_start()
    return {path.name: nbformat.read(path, 4) for path in folder.glob("*.ipynb")}


def links(page):
    for cell in page.cells:
        if cell.cell_type == "markdown":
            yield from re.findall(r"\[([^\[\]]*)\]\(([^)\s]+)\)", cell.source)


def test_every_link_in_the_copies_leads_to_a_page_and_a_cell(pages):
    for page in pages.values():
        nbformat.validate(page)
        for _, link in links(page):
            name, _, at = link.partition("#")
            assert name in pages, link
            if at:
                kind, _, wanted = at.partition("=")
                assert kind == "cell-id", link
                assert wanted in [cell.id for cell in pages[name].cells], link


def test_chapters_and_exercises_are_linked_both_ways(pages):
    starters = workspace.notebooks("exercises")
    for chapter in starters:
        name = copies.copy_name(chapter)
        there = {words.strip("*"): at for words, at in links(pages[chapter.name])}
        heading = "none"
        for cell in pages[name].cells:
            if cell.source.startswith("### "):
                heading, (number,) = cell, re.findall(r"Exercise \S+", cell.source)
                assert there[number] == f"{name}#cell-id={cell.id}"
                back = re.findall(r"Back to \[.*\]\(([^#]*)#", cell.source)
                assert back == [chapter.name]
        assert heading != "none"
    for before, after in pairwise(starters):
        last = [cell for cell in pages[copies.copy_name(before)].cells][-2]
        assert f"]({after.name})" in last.source


def test_deeper_sections_are_folded_and_nothing_is_lost(pages):
    heading = re.compile(r"^##+ Deeper", re.M)
    for chapter in workspace.notebooks("notebooks"):
        cells = pages[chapter.name].cells, read(chapter).cells
        folds = [c for c in cells[0] if c.metadata.get("jp-MarkdownHeadingCollapsed")]
        assert len(folds) == len(heading.findall(prose(chapter)))
        assert all(re.fullmatch(r"##+ Deeper.*", cell.source) for cell in folds)
        texts = ["".join(cell.source for cell in page) for page in cells]
        mine, theirs = (re.sub(r"\]\(\S*\)|\s", "", text) for text in texts)
        assert mine == theirs


# ── the start page ────────────────────────────────────────────────────────────────────


def test_the_start_page_has_the_next_exercise_and_what_was_ever_passed(course):
    copies.renew()
    start_page.write_start()
    start = course / "my_work" / start_page.PAGE
    first = "[Exercise 2.1 · KL](02_exercises.ipynb#cell-id=cell-0)"
    assert f"next exercise:** {first}" in text(start)
    assert "Three ways" not in text(start)
    notes = {"dpo_loss": {"attempts": 2, "state": "not yet", "passed": True}}
    workspace.write(start.with_name("progress.json"), notes)
    start_page.write_start()
    assert "All is passed." in text(start)
    assert "| [exercises](04_exercises.ipynb) |  | 1 of 1 | 1 of 1 |" in text(start)


def test_the_start_page_knows_what_the_short_way_leaves_out(tmp_path, monkeypatch):
    """Of chapter 01 the exercises 1.3 and 1.5, which the page of exercises says too."""
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    start, notes = tmp_path / start_page.PAGE, {}
    for exercise in EXERCISES.values():
        if exercise.number in ("0.1", "1.1", "1.2"):
            notes[exercise.name] = {"state": "passed", "passed": True}
    workspace.write(tmp_path / "progress.json", notes)
    start_page.write_start()
    told = r"next exercise:\*\* \[Exercise 1\.3 .*\(on the short way: \[Exercise 1\.4 "
    assert re.search(told, text(start))
    assert "| 2 of 5 | 2 of 3 |" in text(start)
    assert "It takes 2.2 hours of reading, and 3.2 of exercises." in text(start)
    for lesson in workspace.notebooks("notebooks"):
        page = text(lesson.parent.parent / "exercises" / lesson.name)
        marked = re.findall(
            r"^### Exercise ([\d.]+) [^#]*?not on the short way\.\*", page, re.M
        )
        assert set(marked) == copies.deeper_exercises(get(lesson))


def test_the_start_page_has_the_map_and_the_tracks(pages):
    _, chapters, tracks, _, last = pages[start_page.PAGE].cells
    row = r"^\| \[(\d\d) · .* \d+ minutes to read.* \| 0 of \d \| (?:0 of \d)? \|$"
    numbers = [path.name[:2] for path in workspace.notebooks("notebooks")]
    assert re.findall(row, chapters.source, re.M) == numbers
    assert "[00](00_start_here.ipynb) · [04](04_dpo_loss.ipynb) ·" in tracks.source
    assert last.source == "from course_lib import progress\n\nprogress()"


def text(path):
    return "\n".join(map(copies.source_of, get(path)["cells"]))


def test_the_map_counts_what_check_counts():
    found = []
    for path in workspace.notebooks("exercises"):
        found += [(name, title) for name, title, _ in copies.exercises(get(path))]
    wanted = {e.name: f"Exercise {e.number} · {e.title}" for e in EXERCISES.values()}
    assert dict(found) == wanted
    assert len(found) == len(wanted)
