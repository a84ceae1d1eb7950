"""The command: a class in, a report out, and nothing lost whatever happens between."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from sandboxes import best, patience
from submitted import LOSS, STARTER, put

from course_lib.workspace import CourseError, repository
from course_tools.grading import command, folder, gradebook, pages
from course_tools.grading.command import main
from course_tools.grading.marking import STATUSES
from course_tools.grading.rules import Rules
from course_tools.grading.sandbox import isolation
from course_tools.grading.sandbox.launching import Plan
from course_tools.grading.sandbox.sandbox import Sandbox

pytestmark = pytest.mark.slow

SUM = LOSS.replace(".mean()", ".sum()")
SLOPE = """
import torch
def dpo_slope(gap, beta):
    return beta * torch.sigmoid(-beta * gap)
"""


@pytest.fixture(scope="module", autouse=True)
def lent():
    """Every grading in this process is done in the same sandbox."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "choose", lambda *_, **__: best())
        yield


@pytest.fixture
def team(tmp_path):
    """Six submissions: right, right and more, wrong, starter, broken, formula-like."""
    texts = {"ada": LOSS, "bo": LOSS + SLOPE, "cy": SUM, "di": STARTER, "eve": "x ="}
    texts["=fay"] = LOSS
    return put(tmp_path / "class", {f"{name}.py": texts[name] for name in texts})


def grade(folder, *more, out=None):
    out = out or folder.with_name("report")
    code = main(
        [str(folder), "--out", str(out), "--isolation", "auto", *map(str, more)]
    )
    return code, out


def rows(out):
    with open(out / "grades.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grade") / "class"
    page = (repository() / "solutions" / "05_beta.ipynb").read_text(encoding="utf-8")
    right = "return beta * torch.sigmoid(-beta * gap)"
    assert right in page
    for number in range(7):
        text = (
            page if number < 4 else page.replace(right, right.replace("-beta", "beta"))
        )
        if number == 5:
            text = text.replace("### BEGIN SOLUTION", "raise NotImplementedError\\n")
        put(folder, {f"<b>{number}.ipynb": text})
    code, out = grade(folder, "--jobs", 2)
    assert code == 0
    return out


def test_a_row_for_each_submission_and_exercise(graded):
    found = rows(graded)
    assert list(found[0]) == [
        *("submission", "learner", "exercise", "status"),
        *("score", "max_score", "message"),
    ]
    assert len(found) == 7 * 4
    assert {row["status"] for row in found} <= set(STATUSES)
    right = [row for row in found if row["submission"] == "<b>0.ipynb"]
    assert all(r["status"] == "passed" and r["score"] == r["max_score"] for r in right)
    wrong = [row for row in found if row["submission"] == "<b>4.ipynb"]
    assert [row["status"] for row in wrong].count("failed") == 1


def test_the_class_report_says_what_to_talk_about(graded):
    page = (graded / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", " ", page)
    assert "What to talk about next" in text
    assert "Most often stopped at" in text
    assert "5.1" in text
    assert "discrimination" in text
    assert "Misconceptions, slips and symptoms" in text
    assert "Isolation:" in text
    assert "<b>" not in page
    told = json.loads((graded / "report.json").read_text(encoding="utf-8"))
    assert told["exercises"]["dpo_slope"]["attempted"] == 6
    assert told["made"]["seed"] not in page


def test_every_learner_has_a_page_and_a_file_for_gradescope(graded):
    feedback = sorted((graded / "feedback").glob("*.html"))
    results = sorted(graded.glob("gradescope/*/results.json"))
    assert len(feedback) == len(results) == 7
    for path in results:
        told = json.loads(path.read_text(encoding="utf-8"))
        assert told["score"] == sum(test["score"] for test in told["tests"])
        assert all(t["status"] in ("passed", "failed") for t in told["tests"])
    links = re.findall(r'href="([^"]+)"', (graded / "report.html").read_text())
    assert len(links) == 7
    assert all((graded / link).is_file() for link in links)


def test_no_page_shows_how_anything_was_found(graded):
    for path in [*graded.glob("feedback/*.html"), *graded.glob("gradescope/*/*")]:
        text = path.read_text(encoding="utf-8")
        for word in ("Traceback", "course_lib/", "lambda", "seed", str(repository())):
            assert word not in text, path


def test_a_mixed_class(team, capsys):
    code, out = grade(team)
    assert code == 0
    found = {(r["submission"], r["exercise"]): r for r in rows(out)}
    assert found["ada.py", "dpo_loss"]["status"] == "passed"
    assert found["bo.py", "dpo_slope"]["status"] == "passed"
    assert found["cy.py", "dpo_loss"]["status"] == "failed"
    assert "sum over the batch" in found["cy.py", "dpo_loss"]["message"]
    assert found["di.py", "dpo_loss"]["status"] == "not_attempted"
    assert found["eve.py", "dpo_loss"]["status"] == "load_error"
    assert found["'=fay.py", "dpo_loss"]["learner"] == "'=fay"
    assert len(found) == 7
    assert "eve.py: load_error" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_gradebook_byte_for_byte(team, tmp_path):
    (tmp_path / "seed").write_text("a secret\n")
    books = []
    for jobs in (1, 2):
        code, out = grade(team, "--seed-file", tmp_path / "seed", "--jobs", jobs)
        assert code == 0
        books.append((out / "grades.csv").read_bytes())
    assert books[0] == books[1]
    assert len(list(tmp_path.glob("report*"))) == 2  # the earlier one is kept


@pytest.mark.parametrize("wanted", ["dpo_slope", "5.1"])
def test_one_exercise_can_be_asked_for(team, wanted):
    _, out = grade(team, "--exercise", wanted)
    assert {row["exercise"] for row in rows(out)} == {"dpo_slope"}
    assert [r["status"] for r in rows(out)].count("missing") == 4


def test_a_class_without_a_single_exercise_still_gets_its_lines(tmp_path):
    _, out = grade(put(tmp_path / "class", {"a.py": "x = 1", "b.pdf": "x"}))
    told = [(r["submission"], r["status"], r["max_score"]) for r in rows(out)]
    assert told == [("a.py", "missing", "0"), ("b.pdf", "refused", "0")]
    assert (out / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "needs the folder"),
        ([""], "needs the folder"),
        (["/dev/null"], "neither a file nor a folder"),
        (["{team}/../foreign/report"], "is a report"),
        (["no_such_folder"], "no_such_folder"),
        (["{team}", "--exercise", "nonsense"], 'no exercise "nonsense"'),
        (["{team}", "--seed-file", "nowhere"], "--seed-file cannot be read"),
        (["{team}", "--out", "{team}/report"], "among the submissions"),
        (["{team}", "--resume"], "nothing to resume"),
        (["{team}", "--out", "{team}/../foreign"], "no report"),
    ],
)
def test_what_is_asked_wrongly_is_said_and_writes_nothing(team, words, says):
    put(team.parent / "foreign", {"thesis.tex": "mine", "report/report.jsonl": "{}"})
    before = sorted(team.parent.rglob("*"))
    with pytest.raises(CourseError) as error:
        main([word.replace("{team}", str(team)) for word in words])
    assert error.value.code == 2
    assert says in f"{error.value} {error.value.mend}"
    assert sorted(team.parent.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ["--jobs", "0"],
        ["--timeout", "-1"],
        ["--timeout", "1e-9"],
        ["--memory", "x"],
        ["--memory", "99999999999999999"],
        ["--isolation", "no"],
    ],
)
def test_a_wrong_number_is_a_matter_of_usage(team, words, capsys):
    with pytest.raises(SystemExit) as leaving:
        main([str(team), *words])
    assert leaving.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_isolation_that_is_not_to_be_had_ends_with_three(team, monkeypatch):
    monkeypatch.setattr(command, "choose", isolation.choose)
    monkeypatch.setattr(isolation, "_plans", lambda mode: [])
    with pytest.raises(CourseError) as error:
        main([str(team), "--isolation", "strict"])
    assert error.value.code == 3
    assert not team.with_name("class_report").exists()


def test_a_course_that_a_submission_could_read_is_not_graded_beside(
    team, tmp_path, monkeypatch
):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "course_lib").mkdir(parents=True)
    monkeypatch.setattr(command, "choose", isolation.choose)
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    with pytest.raises(CourseError, match="could read its solutions") as error:
        main([str(team)])
    assert error.value.code == 3


def test_a_report_among_submissions_is_no_learner(team):
    put(team / "ada_report", {"report.jsonl": "{}"})
    assert "ada_report" not in {row["submission"] for row in rows(grade(team)[1])}


@pytest.mark.parametrize(
    "body", ["type('', (), {})()", "None if beta > 0.3 else torch.zeros(3, 3)"]
)
def test_whatever_a_function_returns_the_verdict_is_one(tmp_path, body):
    page = f"import torch\ndef dpo_loss(a, b, c, d, beta):\n    return {body}\n"
    folder = put(tmp_path / "class", {"odd.py": page})
    _, out = grade(folder, "--exercise", "dpo_loss")
    assert [row["status"] for row in rows(out)] == ["failed"]


def test_probe_says_what_is_enforced(capsys):
    assert main(["--probe"]) == 0
    assert str(best()[0]) in capsys.readouterr().out


def test_our_own_fault_costs_nobody_a_point(team, monkeypatch, capsys):
    from course_tools.grading import batch

    def fail(submission, exams, box):
        if submission.name == "ada.py":
            raise RuntimeError("a bug of ours")
        return real(submission, exams, box)

    real = batch.mark
    monkeypatch.setattr(batch, "mark", fail)
    code, out = grade(team)
    assert code == 1
    lost = [row for row in rows(out) if row["status"] == "grader_error"]
    assert [row["submission"] for row in lost] == ["ada.py"]
    assert "ada.py: grader_error" in capsys.readouterr().err
    monkeypatch.undo()
    code, out = grade(team, "--resume")
    assert code == 0
    assert "grader_error" not in {row["status"] for row in rows(out)}


def started(words, out, lines, **more):
    """A grading in a process of its own that has marked some submissions."""
    call = [sys.executable, "-m", "course_lib", "grade", *words, "--out", str(out)]
    run = subprocess.Popen(
        call, cwd=repository(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more
    )
    journal = out / "report.jsonl"
    end = time.monotonic() + 60 * patience()
    while not journal.is_file() or journal.read_bytes().count(b"\n") < lines:
        assert time.monotonic() < end
        time.sleep(0.01)
    return run


def test_a_killed_run_is_resumed_and_ends_in_the_same_gradebook(team, tmp_path):
    put(team, {f"more{number:02}.py": LOSS for number in range(30)})
    (tmp_path / "seed").write_text("secret")
    words = [str(team), "--seed-file", str(tmp_path / "seed"), "--jobs", "2"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main([*words, "--out", str(whole)]) == 0
    with started(words, broken, 6) as run:
        run.kill()
    assert not (broken / "grades.csv").exists()
    with open(broken / "report.jsonl", "a") as file:  # the power goes within a line
        file.write('{"submission": "half')
    assert main([*words, "--out", str(broken), "--resume"]) == 0
    assert (broken / "grades.csv").read_bytes() == (whole / "grades.csv").read_bytes()


def test_what_was_handed_in_anew_is_marked_anew(team):
    _, out = grade(team)
    put(team, {"cy.py": LOSS})
    grade(team, "--resume")
    found = {r["submission"]: r["status"] for r in rows(out)}
    assert found["cy.py"] == "passed"


def test_ctrl_c_leaves_a_journal_and_no_process(team, tmp_path):
    put(team, {f"more{number:03}.py": LOSS for number in range(300)})
    # a shell that runs the tests in the background lets them ignore Ctrl-C
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    more = {"start_new_session": True, "preexec_fn": heed}
    with started([str(team)], tmp_path / "report", 3, **more) as run:
        os.kill(run.pid, signal.SIGINT)
        told, _ = run.communicate(timeout=20 * patience())
    assert run.returncode == 130
    assert b"--resume" in told
    assert b"Traceback" not in told


def asked_to_end(number, box):
    with box:
        assert os.path.isdir(box._home)
        os.kill(os.getpid(), number)
        time.sleep(5)


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_whoever_is_asked_to_end_leaves_no_scratch_folder():
    names = ("SIGTERM", "SIGHUP")
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    try:
        for number in (getattr(signal, name) for name in names):
            signal.signal(number, signal.SIG_DFL)
            command._end_cleanly()
            box = Sandbox(Plan())
            with pytest.raises(SystemExit) as end:
                asked_to_end(number, box)
            assert end.value.code == 128 + number
            assert not os.path.exists(box._home)
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def test_one_learner_is_marked_again_and_all_else_is_kept(team, monkeypatch):
    from course_tools.grading import batch

    seen = []
    real = batch.mark
    _, out = grade(team)
    before = rows(out)
    monkeypatch.setattr(
        batch, "mark", lambda s, *a: (seen.append(s.name), real(s, *a))[1]
    )
    assert grade(team, "--again", "cy")[0] == 0
    assert (seen, rows(out)) == (["cy.py"], before)
    (team / "ada.py").unlink()
    assert grade(team, "--again", "5.1")[0] == 0
    assert seen == ["cy.py", "bo.py"]
    assert {r["submission"] for r in rows(out)} == {r["submission"] for r in before}


@pytest.mark.parametrize(
    "words", [["--exercise", "dpo_slope"], ["--timeout", "5"], ["--memory", "512"]]
)
def test_who_goes_on_keeps_to_the_terms(team, words):
    grade(team, "--exercise", "dpo_loss")
    with pytest.raises(CourseError, match=f"begun with another {words[0]}"):
        grade(team, "--resume", *words)
    assert grade(team, "--resume", "--exercise", "dpo_loss", "--timeout", 10)[0] == 0
    if words[0] != "--exercise":  # what is marked anew may have more time
        assert grade(team, "--again", "bo", *words)[0] == 0


def test_two_gradings_into_one_folder_and_a_full_disk(team, monkeypatch):
    _, out = grade(team)
    before = (out / "grades.csv").read_bytes()
    with folder.alone(out):
        for more in ([], ["--resume"]):
            with pytest.raises(CourseError, match="Another grading") as error:
                grade(team, *more)
            assert error.value.code == 2

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command.report, "write", full)
    with pytest.raises(CourseError, match="No space left") as error:
        grade(team, "--resume")
    assert (error.value.code, (out / "grades.csv").read_bytes()) == (1, before)
    assert not (out / "report.lock").exists()


def test_a_teachers_own_files_survive_a_grading_from_the_beginning(team):
    _, out = grade(team, "--exercise", "dpo_loss")
    by_hand = "learner,exercise,points,comment\ncy,4.1,7,right on paper\n"
    (out / "manual.csv").write_text(by_hand)
    assert gradebook.main([str(out), "--take", "latest", "--all-or-nothing"]) == 0
    put(team, {"cy.py": SUM + "# a second try\n"})
    grade(team, "--exercise", "dpo_loss")
    assert (out / "manual.csv").read_text() == by_hand
    assert Rules.kept(out).take == "latest"
    with open(out / "gradebook.csv", encoding="utf-8-sig", newline="") as file:
        points = {row["learner"]: row["total"] for row in csv.DictReader(file)}
    assert (points["cy"], points["di"]) == ("7", "0")
    assert (out.with_name("report.backup-1") / "manual.csv").read_text() == by_hand


def test_every_status_is_explained_and_shown(graded):
    for status in STATUSES:
        assert len(STATUSES[status]) > 10
    assert set(pages.SHORT) <= set(STATUSES)
    assert set(command.TROUBLES) <= set(STATUSES)
