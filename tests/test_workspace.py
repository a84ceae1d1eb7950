"""Where things lie, which notebook is meant, and JSON that is never half written."""

import pytest

from course_lib import workspace
from course_lib.workspace import CourseError


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A small course with two exercises; its folder."""
    monkeypatch.setattr(workspace, "repository", lambda: tmp_path)
    monkeypatch.delenv("COURSE_WORK", raising=False)
    (tmp_path / "exercises").mkdir()
    for name in ("02_optimal_policy", "04_dpo_loss"):
        (tmp_path / "exercises" / f"{name}.ipynb").write_text(f"starter {name}")
    (tmp_path / "exercises" / "README.md").write_text("no notebook")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_repository_holds_this_library():
    root = workspace.repository()
    assert (root / "course_lib" / "workspace.py").samefile(workspace.__file__)


def test_course_work_moves_the_learner_s_folder(course, tmp_path, monkeypatch):
    assert workspace.work_folder() == course / "my_work"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_WORK", "relative")
    assert workspace.work_folder() == tmp_path / "relative"


@pytest.mark.parametrize("wanted", ["4", "04", "04_dpo", "04_dpo_loss.ipynb"])
def test_a_notebook_is_found_by_its_number_or_the_start_of_its_name(course, wanted):
    assert workspace.find("exercises", wanted).name == "04_dpo_loss.ipynb"


@pytest.mark.parametrize("wanted", ["7", "dpo", ""])
def test_an_unknown_chapter_is_told_what_there_is(course, wanted):
    with pytest.raises(CourseError, match="02_optimal_policy, 04_dpo_loss") as caught:
        workspace.find("exercises", wanted)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("note", "passed"),
    [
        ({}, False),
        ({"attempts": 1, "state": "not yet"}, False),
        ({"attempts": 1, "state": "passed"}, True),  # from before it was kept
        ({"attempts": 2, "state": "not yet", "passed": True}, True),
        ({"attempts": 2, "state": "not yet", "passed": False}, False),
    ],
)
def test_what_was_passed_once_stays_passed(note, passed):
    assert workspace.ever_passed(note) is passed


def test_two_notebooks_of_one_number_are_not_guessed_between(course):
    (course / "exercises" / "04_gradient.ipynb").write_text("")
    with pytest.raises(CourseError, match="Several"):
        workspace.find("exercises", "4")
    assert workspace.find("exercises", "04_g").name == "04_gradient.ipynb"
    (course / "exercises" / "04_gradient_two.ipynb").write_text("")
    assert workspace.find("exercises", "04_gradient").name == "04_gradient.ipynb"


def test_json_is_written_whole_and_read_without_a_fuss(tmp_path):
    path = tmp_path / "new" / "file.json"
    assert workspace.read(path) is None
    workspace.write(path, {"a": 1})
    assert workspace.read(path) == {"a": 1}
    workspace.write(path, None)
    assert workspace.read(path) is None
    for broken in (b'{"a"', b"\xff\x00", b"[1]", b""):
        path.write_bytes(broken)
        assert workspace.read(path) == {}
    assert names(path.parent) == ["file.json"]
