"""What platforms and learners hand over, and what somebody makes to do harm."""

import os
import sys

import pytest
from submitted import notebook, put, zipped

from course_lib.workspace import CourseError
from course_tools.grading.entries import Allowance
from course_tools.grading.submissions import LARGEST, find

MOST = Allowance.files

CODE = "def dpo_loss():\n    return 1\n"
NOTEBOOK = notebook(CODE)


def found(path):
    return {s.name: [(p.name, p.trouble) for p in s.pages()] for s in find(path)}


def test_a_flat_folder(tmp_path):
    files = {"ada.py": CODE, "bo.ipynb": NOTEBOOK, "grades": "", "export.csv": "id"}
    put(tmp_path, files)
    assert list(found(tmp_path)) == ["ada.py", "bo.ipynb", "grades"]
    assert [s.upload.learner for s in find(tmp_path)] == ["ada", "bo", "grades"]
    assert found(tmp_path)["grades"][0][1] == "is neither a notebook nor a Python file"


def test_a_folder_for_each_learner(tmp_path):
    put(
        tmp_path,
        {
            "ada/a.py": CODE,
            "ada/a.ipynb": NOTEBOOK,
            "ada/deep/b.ipynb": NOTEBOOK,
            "ada/.ipynb_checkpoints/c.ipynb": NOTEBOOK,
            "ada/a.backup-1.ipynb": NOTEBOOK,
            "bo/notes": b"x",
        },
    )
    pages = found(tmp_path)
    assert [name for name, _ in pages["ada"]] == ["a.ipynb", "a.py", "b.ipynb"]
    assert "holds no notebook" in pages["bo"][0][1]


WORKED = ["04_exercises.ipynb", "05_exercises-Copy1.ipynb", "04_mine.ipynb", "own.py"]
READ = ["Start.ipynb", "04_dpo_loss.ipynb", "05_beta-Copy1.ipynb"]


@pytest.mark.parametrize("course", [True, False])
def test_of_a_learner_s_folder_chapters_do_not_count(tmp_path, course):
    inside = f"ada/{'course/my_work/' if course else ''}"
    put(tmp_path, {inside + name: NOTEBOOK for name in (*WORKED, *READ)})
    put(tmp_path, {inside + "copies.json": b"{}", "bo/x.py": CODE})
    if course:
        put(tmp_path, {"ada/course/course_lib/losses.py": CODE})
        put(tmp_path, {"ada/course/exercises/04_dpo_loss.ipynb": NOTEBOOK})
    assert sorted(name for name, _ in found(tmp_path)["ada"]) == sorted(WORKED)


def test_of_an_older_course_a_page_called_like_its_chapter_counts(tmp_path):
    put(tmp_path, {"ada/my_work/04_dpo_loss.ipynb": NOTEBOOK, "bo/x.py": CODE})
    put(tmp_path, {"ada/course_lib/losses.py": CODE})
    assert [name for name, _ in found(tmp_path)["ada"]] == ["04_dpo_loss.ipynb"]


def test_a_zip_of_the_class_and_a_zip_in_it(tmp_path):
    inner = zipped({"work/04.ipynb": NOTEBOOK, "__MACOSX/._04.ipynb": b"x"})
    outer = {
        "Ada_1_assignsubmission_file/mine.py": CODE,
        "Bo_2_assignsubmission_file/mine.zip": inner,
        "cy.py": CODE,
        "di.zip": zipped({"again.zip": inner}),
    }
    put(tmp_path, {"class.zip": zipped(outer)})
    pages = found(tmp_path / "class.zip")
    assert [name for name, _ in pages.pop("di.zip")] == ["04.ipynb"]
    assert {n: p[0][0] for n, p in pages.items()} == {
        "Ada_1_assignsubmission_file": "mine.py",
        "Bo_2_assignsubmission_file": "04.ipynb",
        "cy.py": "cy.py",
    }
    assert not any(trouble for p in pages.values() for _, trouble in p)


def test_an_export_that_wraps_everything_in_one_folder(tmp_path):
    names = ("submission_1/a.py", "submission_2/a.py", "submission_metadata.yml")
    export = zipped({f"assignment_9_export/{name}": CODE for name in names})
    put(tmp_path, {"export.zip": export})
    assert list(found(tmp_path / "export.zip")) == ["submission_1", "submission_2"]


def test_one_file_is_a_class_of_one(tmp_path):
    put(tmp_path, {"ada.py": CODE})
    assert list(found(tmp_path / "ada.py")) == ["ada.py"]


@pytest.mark.skipif(os.name == "nt", reason="links and pipes as POSIX has them")
def test_links_pipes_and_folders_are_refused(tmp_path):
    put(tmp_path, {"target": CODE})
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "link.py").symlink_to(tmp_path / "target")
    (folder / "dir").symlink_to(tmp_path)
    (folder / "away.zip").symlink_to(tmp_path / "target")
    (folder / "folder.py").mkdir()
    os.mkfifo(folder / "pipe.py")
    os.mkfifo(folder / "pipe")
    pages = found(folder)
    assert set(pages) == {"link.py", "dir", "away.zip", "folder.py", "pipe.py", "pipe"}
    assert all(len(p) == 1 and p[0][1].startswith("is ") for p in pages.values())
    assert all(page.refused for s in find(folder) for page in s.pages())


def test_a_zip_that_wants_out_or_is_a_bomb(tmp_path):
    put(
        tmp_path,
        {
            "out.zip": zipped({"../../evil.py": CODE, "good.py": CODE}),
            "link.zip": zipped({}, {"solution.py": "../solutions/04_dpo_loss.ipynb"}),
            "bomb.zip": zipped({"big.py": b"#" * (2 * LARGEST)}),
            "broken.zip": zipped({"a.py": CODE})[:-30],
            "many.zip": zipped({f"{i}.py": CODE for i in range(MOST + 50)}),
            "deep.zip": zipped({"a/b/c/d/e/f.py": CODE}),
            "folders.zip": zipped({f"{i}/x.txt": b"" for i in range(500)}),
        },
    )
    pages = found(tmp_path)
    assert pages["out.zip"] == [("good.py", "")]
    assert "is a link" in pages["link.zip"][0][1]
    assert "unpacks to more than 200 times" in pages["bomb.zip"][0][1]
    assert "cannot be opened" in pages["broken.zip"][0][1]
    assert len(pages["many.zip"]) == MOST + 1
    assert "too many" in pages["deep.zip"][0][1]
    assert len(pages["folders.zip"]) <= MOST + 1
    assert not (tmp_path.parent / "evil.py").exists()


def test_a_damaged_member_is_one_sentence(tmp_path):
    content = bytearray(zipped({"a.py": "x = 1\n" * 1000}))
    content[40] ^= 0xFF
    put(tmp_path, {"a.zip": content})
    ((_, trouble),) = found(tmp_path)["a.zip"]
    assert trouble
    assert len(trouble) < 200


def test_two_names_that_look_alike_stay_two(tmp_path):
    if sys.platform != "linux":
        pytest.skip("a file's name with a control character")
    put(tmp_path, {"a\x01.py": CODE, "a\x02.py": CODE})
    names = list(found(tmp_path))
    assert len(names) == 2
    assert all(name.isprintable() for name in names)


@pytest.mark.parametrize(
    "make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b"x")]
)
def test_nothing_to_grade_is_said(tmp_path, make):
    path = tmp_path / "class.zip"
    make(path)
    with pytest.raises(CourseError) as error:
        find(path)
    assert error.value.code == 2
    assert "class.zip" in str(error.value)
