"""The learner's copies: made once, never overwritten, restored with a backup."""

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


def test_copies_are_made_once_and_never_overwritten(course):
    made = workspace.copy_missing()
    assert [copy.name for copy in made] == names(course / "my_work")
    assert names(course / "my_work") == ["02_optimal_policy.ipynb", "04_dpo_loss.ipynb"]
    made[0].write_text("mine")
    made[1].unlink()
    assert workspace.copy_missing() == [made[1]]
    assert made[0].read_text() == "mine"


def test_an_update_of_the_starter_leaves_the_copy_alone(course):
    copy = workspace.copy_missing()[1]
    (course / "exercises" / copy.name).write_text("a better starter")
    assert workspace.copy_missing() == []
    assert copy.read_text() == "starter 04_dpo_loss"


def test_course_work_moves_the_copies(course, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "else" / "where"))
    workspace.copy_missing()
    assert names(tmp_path / "else" / "where")[0] == "02_optimal_policy.ipynb"
    assert not (course / "my_work").exists()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_WORK", "relative")
    assert workspace.work_folder() == tmp_path / "relative"


@pytest.mark.parametrize("wanted", ["4", "04", "04_dpo", "04_dpo_loss.ipynb"])
def test_reset_keeps_every_backup(course, wanted):
    workspace.copy_missing()
    copy = course / "my_work" / "04_dpo_loss.ipynb"
    for number in (1, 2, 3):
        copy.write_text(f"attempt {number}")
        said = workspace.reset(wanted)
        assert f"04_dpo_loss.backup-{number}.ipynb" in said
        assert copy.read_text() == "starter 04_dpo_loss"
    for number in (1, 2, 3):
        backup = copy.with_name(f"04_dpo_loss.backup-{number}.ipynb")
        assert backup.read_text() == f"attempt {number}"
    assert len(names(copy.parent)) == 5  # two copies, three backups, nothing else


def test_reset_of_a_missing_or_untouched_copy_makes_no_backup(course):
    assert "is new" in workspace.reset("4")
    assert "nothing to do" in workspace.reset("4")
    assert names(course / "my_work") == ["04_dpo_loss.ipynb"]


@pytest.mark.parametrize("wanted", ["7", "dpo", ""])
def test_an_unknown_chapter_is_told_what_there_is(course, wanted):
    with pytest.raises(CourseError, match="02_optimal_policy, 04_dpo_loss") as caught:
        workspace.reset(wanted)
    assert caught.value.code == 2
    assert not (course / "my_work").exists()


def test_two_notebooks_of_one_number_are_not_guessed_between(course):
    (course / "exercises" / "04_gradient.ipynb").write_text("")
    with pytest.raises(CourseError, match="Several"):
        workspace.find("exercises", "4")
    assert workspace.find("exercises", "04_g").name == "04_gradient.ipynb"
    (course / "exercises" / "04_gradient_two.ipynb").write_text("")
    assert workspace.find("exercises", "04_gradient").name == "04_gradient.ipynb"


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

    monkeypatch.setattr(workspace, "open", open_full, raising=False)
    with pytest.raises(OSError, match="No space"):
        workspace.copy_missing()
    assert names(course / "my_work") == []


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
