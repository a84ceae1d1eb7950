"""Whose a file is, by the names that platforms give, and what is asked of whom."""

import base64
import json
import os
import random

import pytest
from submitted import notebook, put, zipped

from course_lib.workspace import CourseError
from course_tools.grading.asking import planned, wanted
from course_tools.grading.batch import Journal, Terms
from course_tools.grading.folder import alone, sweep
from course_tools.grading.learners import Upload, roster, upload_of
from course_tools.grading.marking import Mark, Marked, glance
from course_tools.grading.slim import slim
from course_tools.grading.submissions import find

LOSS = "def dpo_loss():\n    return 1\n"
CHANCE = "def preference_probability():\n    return 1\n"
NAMES = {
    "Ada Lovelace_4711_assignsubmission_file_": ("Ada Lovelace", "4711", "moodle"),
    "ada_LATE_4711_99_04-1.ipynb": ("ada", "4711", "canvas", "", True, 2),
    "ada_LATE_4711_99_04_dpo_loss-2.ipynb": ("ada", "4711", "canvas", "", True, 3),
    "ada_4711_99_04_exercises-1.ipynb": ("ada", "4711", "canvas", "", False, 2),
    "ada_4711_99_04_dpo_loss.ipynb": ("ada", "4711", "canvas"),
    "Week 4_ada_attempt_2026-03-01-10-15-30_04.ipynb": (
        *("ada", "ada", "blackboard", "2026-03-01T10:15:30"),
    ),
    "4711-99 - Ada Lovelace - Mar 1, 2026 1015 AM - 04.ipynb": (
        *("Ada Lovelace", "4711", "brightspace", "2026-03-01T10:15:00"),
    ),
    "4711-99 - Ada Lovelace - Mar 1, 2026 1015 PM": (
        *("Ada Lovelace", "4711", "brightspace", "2026-03-01T22:15:00"),
    ),
    "submission_4711": ("submission_4711", "4711", "gradescope"),
    "Kopie von ada (1).ipynb.txt": ("ada",),
    "exercise-04.py": ("exercise-04",),
    "ada_04_exercises.ipynb": ("ada",),
    "Ada Lovelace - 04_exercises (1).ipynb.txt": ("Ada Lovelace",),
    "04_exercises.ipynb": ("04_exercises",),
    "Zoë.py": ("Zoë",),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_tells_whose_it_is(name):
    assert upload_of(name) == Upload(*NAMES[name])


def test_parts_are_one_and_namesakes_are_two(tmp_path):
    put(
        tmp_path,
        {
            "Ada_1_assignsubmission_file_/04.py": LOSS,
            "Ada_1_assignsubmission_onlinetext_/onlinetext.html": "hello",
            "Ada_2_assignsubmission_file_/04.ipynb.txt": notebook(LOSS),
            "ada_03_exercises.ipynb": notebook(LOSS),
            "ada_04_exercises.ipynb": notebook(LOSS),
            "work.py": LOSS,
            "work (1).py": LOSS,
        },
    )
    found = find(tmp_path)
    assert [one.upload.who for one in found] == [
        *(("Ada", "1"), ("Ada", "2"), ("ada", ""), ("ada", "")),
        *(("work (1)", ""), ("work", "")),
    ]
    assert [[p.name for p in one.pages()] for one in found[:2]] == [
        ["04.py"],
        ["04.ipynb"],
    ]


def test_a_folder_of_exports_is_one_class(tmp_path):
    for chapter, first in (("04", 10), ("05", 70)):
        folders = [
            f"{name}_{number}_assignsubmission_file_"
            for number, name in enumerate(("Ada", "Ben", "Cy", "Cy"), first)
        ]
        export = zipped({f"{folder}/{chapter}.py": LOSS for folder in folders})
        put(tmp_path, {f"{chapter}.zip": export})
    whose = [one.upload.who for one in find(tmp_path)]
    assert whose.count(("Ada", "10")) == whose.count(("Ben", "11")) == 2
    assert len({who for who in whose if who[0] == "Cy"}) == 4  # not to be told apart


def test_nbgraders_and_gradescopes_own_files_are_read(tmp_path):
    put(
        tmp_path / "submitted",
        {
            "ada/04/04.py": LOSS,
            "ada/04/timestamp.txt": "2026-03-01 10:15:30.12 UTC",
            "ada/05/05.py": LOSS,
        },
    )
    found = find(tmp_path / "submitted")
    assert [one.name for one in found] == ["ada/04", "ada/05"]
    assert found[0].upload == Upload("ada", "", "nbgrader", "2026-03-01T10:15:30")
    told = roster(
        "---\nsubmission_7:\n  :submitters:\n  - :name: \"Zo\\u00eb\"\n    :sid: '12'\n"
        "  - :name: Ben\n    :sid: 13\n  :created_at: 2026-03-01 10:15:30.0 Z\n"
        "  :history:\n  - :name: Eve\n"
    )
    whose = Upload("Zoë, Ben", "12+13", "gradescope", "2026-03-01T10:15:30")
    assert told == {"submission_7": whose}


def test_each_exercise_is_asked_of_a_learner_once(tmp_path):
    put(
        tmp_path,
        {
            "ada_1_10_a.py": LOSS,
            "ada_1_11_b-1.py": CHANCE,
            "ben_2_12_a.py": LOSS,
            "ben_2_13_b-1.zip": "broken",
            "cy_3_14_a.py": LOSS,
            "cy_3_15_b-1.py": LOSS + CHANCE,
        },
    )
    found = find(tmp_path)
    held = {one.name: glance(one)[0] for one in found}
    both = ("preference_probability", "dpo_loss")
    for named in ((), both):
        asked = wanted(found, held, named)
        assert list(asked.values()) == [
            ["dpo_loss"],
            ["preference_probability"],
            ["dpo_loss"],
            ["preference_probability"],  # the one that may say why
            ["dpo_loss"],
            [*both],
        ]


def made(submission, *marks):
    digest = glance(submission)[1]
    marks = tuple(Mark(name, "failed", 1, 5, "no") for name in marks)
    return Marked(submission.name, submission.upload, digest, marks)


@pytest.mark.parametrize(
    ("word", "todo"),
    [
        ("dpo_loss", [["dpo_loss"], ["dpo_loss"]]),
        ("04", [["dpo_loss"], ["dpo_loss"]]),
        ("Ada", [["preference_probability", "dpo_loss"], []]),
        ("2", [[], ["dpo_loss"]]),
        ("ben_2_3_b.py", [[], ["dpo_loss"]]),
    ],
)
def test_what_is_marked_again_and_nothing_else(tmp_path, word, todo):
    put(tmp_path, {"ada_1_2_a.py": LOSS + CHANCE, "ben_2_3_b.py": LOSS})
    ada, ben = find(tmp_path)
    known = [made(ada, "preference_probability", "dpo_loss"), made(ben, "dpo_loss")]
    gone = Marked("cy.py", Upload("cy"), "x", known[1].marks)
    plan = planned([ada, ben], [*known, gone], (), [word])
    assert list(plan.todo.values()) == todo
    assert plan.others == [gone]
    with pytest.raises(CourseError, match="no such mark"):
        planned([ada, ben], known, (), ["nobody"])


def test_a_notebooks_outputs_do_not_count(tmp_path):
    picture = base64.b64encode(random.Random(1).randbytes(20 << 20)).decode()
    put(tmp_path, {"ada.ipynb": notebook(LOSS, outputs=[{"data": [picture, "]"]}])})
    ((found,),) = [one.pages() for one in find(tmp_path)]
    assert (found.cells, found.trouble) == ((LOSS,), "")


def test_slim_agrees_with_json_wherever_the_pieces_end():
    told = {"a": ['"outputs": [', "\\"], "outputs": [{"x": ["}", 'é\\"']}], "b": {}}
    told["metadata"] = {"deep": [[{}], "]"]}
    want = {**told, "outputs": [], "metadata": {}}
    for indent in (None, 1):
        text = json.dumps(told, indent=indent, ensure_ascii=False).encode()
        for size in range(1, len(text)):
            parts = [text[at : at + size] for at in range(0, len(text), size)]
            assert json.loads(slim(parts, 1 << 20)) == want
    with pytest.raises(ValueError, match="beside its outputs"):
        slim([b'{"source": "', b"x" * 99], 50)


@pytest.fixture
def journal(tmp_path):
    kept = Journal(tmp_path / "report.jsonl")
    kept.begin(Terms("seed", ("dpo_loss",), 10.0, 1024))
    mark = Mark("dpo_loss", "passed", 5, 5, "all")
    kept.add(Marked("ada.py", Upload("ada"), "x", (mark,)))
    kept.add(Marked("ben.py", Upload("ben"), "x", (mark,)))
    return kept


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"passed"', '"perfect"'),
        ('"score": 5', '"score": "5"'),
        ('"dpo_loss", "status"', '"no_loss", "status"'),
        ('"marks": [', '"marks": [7, '),
        ('{"submission": "ada.py"', "[" * 100_000),
        ('"timeout": 10.0', '"timeout": "long"'),
        ('{"terms"', '{"words"'),
        ('{"terms"', "\x00"),
    ],
)
def test_a_tampered_journal_is_a_sentence_and_stays(journal, old, new):
    text = journal.path.read_text()
    assert old in text
    journal.path.write_text(text.replace(old, new, 1))
    before = journal.path.read_bytes()
    with pytest.raises(CourseError) as error:
        journal.read()
    assert error.value.code == 2
    assert str(journal.path) in str(error.value)
    assert journal.path.read_bytes() == before


def test_a_report_is_for_one_grading_at_a_time(tmp_path):
    with alone(tmp_path), pytest.raises(CourseError, match="Another grading"):
        alone(tmp_path).__enter__()
    with alone(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="processes as POSIX has them")
def test_what_a_killed_grader_left_is_swept(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = os.fork()
    if not gone:
        os._exit(0)
    os.waitpid(gone, 0)
    names = [f"course-grading-{gone}-x", f"course-grading-{os.getpid()}-x"]
    names += ["course-grading-abc", f"thesis-{gone}-x"]
    for name in names:
        (tmp_path / name / "scratch").mkdir(parents=True)
    (tmp_path / f"course-grading-{gone}-link").symlink_to(tmp_path / names[3])
    sweep()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[1:], f"course-grading-{gone}-link"}
