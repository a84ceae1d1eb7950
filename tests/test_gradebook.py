"""From marks to a gradebook of learners, and what a teacher does after grading."""

import csv
import io
import json
import os
import random
import zipfile
from fractions import Fraction
from types import SimpleNamespace

import pytest

from course_lib.workspace import CourseError
from course_tools.grading import report
from course_tools.grading.batch import Terms
from course_tools.grading.gradebook import main
from course_tools.grading.learners import Upload
from course_tools.grading.marking import Mark, Marked
from course_tools.grading.merging import by_learner
from course_tools.grading.points import book
from course_tools.grading.rules import Rules, days_late
from course_tools.grading.tables import cell, number, read, table

LOSS, SLOPE, BETA = "dpo_loss", "dpo_slope", "steepest_beta"  # 4.1, 5.1, 5.2
HEAD = {LOSS: "4.1 dpo_loss", SLOPE: "5.1 dpo_slope", BETA: "5.2 steepest_beta"}
HOW = SimpleNamespace(level="none", means="nothing", enforced=(), missing=())
TERMS = Terms("a secret", (), 10.0, 1024)


def mark(exercise, score, status=""):
    """Out of 8 properties; a text instead of a score is the status."""
    if isinstance(score, str):
        score, status = 0, score
    return Mark(
        exercise,
        status or ("passed" if score == 8 else "failed"),
        score,
        8,
        "",
        holding=score,
    )


def handed_in(upload, submission="", /, **scores):
    """A submission with its marks, by exercise; without any: nothing to mark."""
    marks = [mark(name, score) for name, score in scores.items()]
    marks = marks or [Mark("", "missing", 0, 0, "defines no function")]
    return Marked(
        submission or f"{upload.learner} {upload.id} {random.random()}",
        upload,
        "",
        tuple(marks),
    )


def made(folder, *submissions):
    folder.mkdir(parents=True, exist_ok=True)
    report.write(folder, submissions, TERMS, HOW)
    return folder


def table_of(path, bom=True):
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") == bom
    text = content.decode("utf-8-sig")
    assert all(line.startswith('"') for line in text.splitlines())
    return list(csv.DictReader(io.StringIO(text, newline="")))


def page(out, name="*"):
    """The only learner's page of this name, or the only one that there is."""
    (path,) = (out / "feedback").glob(name)
    return " ".join(path.read_text(encoding="utf-8").split())


def sent(out, platform):
    """The feedback for a platform: pages by their names in the zip."""
    with zipfile.ZipFile(out / f"feedback{platform}.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def lines(out):
    return {(r["learner"], r["id"]): r for r in table_of(out / "gradebook.csv")}


def one_line(out):
    (line,) = lines(out).values()
    return line


ADA = Upload("ada")


# ── merging ───────────────────────────────────────────────────────────────────────────


def test_chapters_that_were_handed_in_apart_are_one_line(tmp_path):
    """Each file is asked for everything; what is missing in one is in the other."""
    out = made(
        tmp_path,
        handed_in(ADA, dpo_loss=8, dpo_slope="missing"),
        handed_in(ADA, dpo_loss="missing", dpo_slope=5),
        handed_in(ADA),
    )
    line = one_line(out)
    assert (line[HEAD[LOSS]], line[HEAD[SLOPE]]) == ("8", "5")
    assert (line["chapter 04"], line["chapter 05"]) == ("8", "5")
    assert (line["total"], line["max"], line["attempts"]) == ("13", "16", "1")
    with open(out / "grades.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 5  # all of them are kept


@pytest.mark.parametrize(
    "untried", ["missing", "not_attempted", "refused", "load_error", "grader_error"]
)
@pytest.mark.parametrize("take", ["best", "latest"])
def test_what_was_not_tried_never_lowers_what_was(untried, take):
    early, late = Upload("ada", attempt=1), Upload("ada", attempt=2)
    for first, second in ((2, untried), (untried, 2)):
        both = handed_in(early, dpo_loss=first), handed_in(late, dpo_loss=second)
        (ada,) = by_learner(both, take)
        assert ada.taken[LOSS].mark.score == 2


@pytest.mark.parametrize(("take", "score"), [("best", 7), ("latest", 3)])
def test_best_or_latest_by_time_then_attempt_then_order(take, score):
    groups = [
        [Upload("ada", handed_in=f"2026-11-0{day}") for day in (1, 2, 3)],
        [Upload("ada", attempt=n) for n in (1, 2, 3)],
        [Upload("ada")] * 3,
    ]
    for group in groups:
        submissions = [
            handed_in(upload, dpo_loss=s)
            for upload, s in zip(group, (5, 7, 3), strict=True)
        ]
        orders = [submissions] if len(set(group)) == 1 else [submissions[::-1]]
        for order in [submissions, *orders]:
            (ada,) = by_learner(order, take)
            assert ada.taken[LOSS].mark.score == score
            assert ada.taken[LOSS].tries == ada.attempts == 3


def test_the_earlier_of_equals_counts_and_is_not_late(tmp_path):
    on_time = Upload("ada", handed_in="2026-11-01T10:00")
    again = Upload("ada", handed_in="2026-11-05T10:00", late=True)
    out = made(tmp_path, handed_in(again, dpo_loss=8), handed_in(on_time, dpo_loss=8))
    assert one_line(out)["late"] == ""


def test_names_and_numbers_together_are_the_learner(tmp_path):
    """Two of one name share no line; names and numbers that run together no page."""
    totals = {("ada", "1"): "8", ("ada", "2"): "2"}
    totals |= {("ada", "1 2"): "8", ("ada 1", "2"): "1", ("ada 1 2", ""): "1"}
    best = [handed_in(Upload(*who), dpo_loss=int(totals[who])) for who in totals]
    out = made(tmp_path, *best, handed_in(Upload("ada", "2"), dpo_loss=1))
    assert {who: line["total"] for who, line in lines(out).items()} == totals
    assert len(list((out / "feedback").iterdir())) == len(totals)


# ── points ────────────────────────────────────────────────────────────────────────────


def test_weights_say_what_an_exercise_is_worth(tmp_path):
    out = made(tmp_path / "r", handed_in(ADA, dpo_loss=6, dpo_slope=8, steepest_beta=3))
    (tmp_path / "w.csv").write_text("exercise,weight\n05,10\n4.1,4\nsteepest_beta,0\n")
    assert main([str(out), "--weights", str(tmp_path / "w.csv")]) == 0
    line = one_line(out)
    assert line[HEAD[LOSS]] == number(4 * Fraction(6, 8))
    assert line[HEAD[SLOPE]] == "10"
    assert line[HEAD[BETA]] == "0"
    assert (line["total"], line["max"]) == ("13", "14")


def test_all_or_nothing(tmp_path):
    out = made(tmp_path, handed_in(ADA, dpo_loss=7, dpo_slope=8))
    main([str(out), "--all-or-nothing"])
    assert (one_line(out)["total"], one_line(out)["max"]) == ("8", "16")


def test_the_options_stay_with_the_report_and_a_regrade_heeds_them(tmp_path):
    submissions = handed_in(ADA, dpo_loss=7), handed_in(ADA, dpo_loss=8)
    out = made(tmp_path, *submissions)
    main([str(out), "--take", "latest", "--all-or-nothing"])
    main([str(out), "--take", "best"])
    made(out, *submissions[:1])
    assert one_line(out)["total"] == "0"
    main([str(out), "--plain"])
    assert one_line(out)["total"] == "7"


def test_our_own_fault_costs_no_point_and_reaches_no_platform(tmp_path, capsys):
    upload = Upload("ada", "7", "moodle")
    out = made(tmp_path, handed_in(upload, dpo_loss=8, dpo_slope="grader_error"))
    line = one_line(out)
    assert (line[HEAD[SLOPE]], line["total"], line["max"]) == ("", "8", "8")
    assert table_of(out / "gradebook_moodle.csv")[0]["Grade"] == ""
    main([str(out)])
    assert "1 have a mark that the grader owes" in capsys.readouterr().out


def test_what_few_were_asked_is_no_part_of_the_total(tmp_path, capsys):
    class_of_four = [handed_in(Upload(name), dpo_loss=8) for name in "abc"]
    out = made(tmp_path, *class_of_four, handed_in(Upload("d"), steepest_beta=8))
    assert {line["max"] for line in lines(out).values()} == {"8"}
    assert lines(out)["d", ""]["total"] == "0"
    assert lines(out)["d", ""][HEAD[BETA]] == "8"
    main([str(out)])
    assert "Not in the total: steepest_beta" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("handed_in", "due", "days"),
    [
        ("2026-11-01T23:59:00", "2026-11-01", 0),
        ("2026-11-02T00:01:00", "2026-11-01", 1),
        ("2026-11-03T00:01:00", "2026-11-01", 2),
        ("2026-11-01T18:00:01", "2026-11-01T18:00", 1),
        ("2026-11-01T18:30:00+01:00", "2026-11-01T18:00+00:00", 0),
        ("2026-11-01T18:30:00+01:00", "2026-11-01T18:00", 1),
        ("", "2026-11-01", None),
        ("2026-11-01", "", None),
        ("yesterday", "2026-11-01", None),
    ],
)
def test_days_begun_after_the_date(handed_in, due, days):
    assert days_late(handed_in, due) == days


def test_a_date_outranks_the_platform_where_the_time_is_known(tmp_path):
    known = Upload("ada", handed_in="2026-11-02T10:00:00", late=True)
    unknown = Upload("ben", late=True)
    out = made(tmp_path, handed_in(known, dpo_loss=8), handed_in(unknown, dpo_loss=8))
    assert [r["late"] for r in lines(out).values()] == ["yes", "yes"]
    main([str(out), "--due", "2026-11-03"])
    told = [(r["late"], r["days_late"]) for r in lines(out).values()]
    assert told == [("", "0"), ("yes", "")]


# ── by hand ───────────────────────────────────────────────────────────────────────────


def by_hand(out, *rows, separator=",", encoding="utf-8"):
    head = separator.join(("learner", "id", "exercise", "points", "comment"))
    (out / "manual.csv").write_text("\n".join([head, *rows]), encoding=encoding)


def test_an_empty_file_waits_for_points_by_hand(tmp_path):
    out = made(tmp_path, handed_in(ADA, dpo_loss=3))
    assert table_of(out / "manual.csv") == []
    assert read(out / "manual.csv") == []


def test_points_and_comments_by_hand_survive_every_regrade(tmp_path):
    submission = handed_in(ADA, dpo_loss=3, dpo_slope=1)
    out = made(tmp_path, submission)
    by_hand(
        out,
        "ada,,4.1,7.5,<b>right</b> on paper",
        "ADA,,5.1 dpo_slope,,look at the sign",
        "ada,,,2,a good talk",
        "ada,,,-0.5,",
    )
    before = (out / "manual.csv").read_bytes()
    for _ in range(2):
        main([str(out)])
        line = one_line(out)
        assert line[HEAD[LOSS]] == "7.5"
        assert line[HEAD[SLOPE]] == "1"
        assert (line["bonus"], line["total"], line["max"]) == ("1.5", "10", "16")
        made(out, submission)
    assert (out / "manual.csv").read_bytes() == before
    for told in (
        "&lt;b&gt;right&lt;/b&gt; on paper",
        "7.5 of 8 points, given by your teacher",
        "look at the sign",
        "a good talk",
    ):
        assert told in page(out)


def test_points_by_hand_for_what_was_handed_in_on_paper(tmp_path):
    out = made(
        tmp_path,
        handed_in(ADA),
        *(handed_in(Upload(name), dpo_loss=8) for name in ("ben", "cy")),
    )
    by_hand(out, "ada,,4.1,5,on paper")
    main([str(out)])
    assert lines(out)["ada", ""]["total"] == "5"
    assert "5 of 8 points, given by your teacher" in page(out, "ada*")
    assert "on paper" in page(out, "ada*")


def test_one_learner_may_have_more_time(tmp_path, capsys):
    came = {"handed_in": "2026-11-03T09:00:00"}
    out = made(
        tmp_path,
        *(handed_in(Upload(name, **came), dpo_loss=8) for name in ("ada", "ben", "cy")),
    )
    head = "learner,due\n"
    told = head + "ada,2026-11-05\nben,2026-11-02T12:00\ncy,next week\n"
    (out / "manual.csv").write_text(told)
    assert main([str(out), "--due", "2026-11-01"]) == 0
    assert 'line 4: "next week" is no date' in capsys.readouterr().err
    rows = {name: row for (name, _), row in lines(out).items()}
    assert {name: row["days_late"] for name, row in rows.items()} == {
        **{"ada": "0", "ben": "1", "cy": "2"}
    }
    assert [rows[name]["late"] for name in ("ada", "ben", "cy")] == ["", "yes", "yes"]


def test_the_gradebook_is_in_the_order_of_names(tmp_path):
    names = ("zoe", "Ada", "ben", "ada")
    out = made(tmp_path, *(handed_in(Upload(name), dpo_loss=8) for name in names))
    found = [row["learner"] for row in table_of(out / "gradebook.csv")]
    assert found == ["Ada", "ada", "ben", "zoe"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_what_excel_saves_in_a_land_of_commas_is_read(tmp_path, encoding):
    out = made(tmp_path, handed_in(Upload("Zoë"), dpo_loss=3))
    by_hand(out, "Zoë;;4.1;2,5;", separator=";", encoding=encoding)
    main([str(out)])
    assert one_line(out)["total"] == "2.5"


def test_a_line_that_cannot_be_understood_is_told_and_the_rest_counts(tmp_path, capsys):
    out = made(
        tmp_path,
        handed_in(Upload("ada", "1"), dpo_loss=3),
        handed_in(Upload("ada", "2"), dpo_loss=3),
        handed_in(Upload("=ben"), dpo_loss=3),
    )
    by_hand(
        out,
        "nobody,,4.1,1,",
        "ada,,4.1,1,",
        "ada,2,7.9,1,",
        "ada,2,05,1,",
        "",
        "ada,2,4.1,9,",
        "ada,2,4.1,-1,",
        "ada,2,4.1,many,",
        "ada,2,4.1,nan,",
        "ada,2,4.1,,",
        ",,4.1,1,",
        ",2,4.1,4,",
        "'=ben,,4.1,5,",
    )
    capsys.readouterr()
    main([str(out)])
    told = capsys.readouterr().err
    for line, words in {
        2: 'no learner is "nobody"',
        3: '2 learners are "ada"; give the id',
        4: '"7.9" is no exercise',
        5: '"05" is no exercise',
        7: "worth 0 to 8",
        8: "worth 0 to 8",
        9: '"many" is no number',
        10: '"nan" is no number',
        11: "neither points nor a comment",
        12: "names no learner",
    }.items():
        assert any(
            f"line {line}: " in said and words in said for said in told.splitlines()
        )
    assert len(told.splitlines()) == 10
    assert lines(out)["ada", "1"]["total"] == "3"
    assert lines(out)["ada", "2"]["total"] == "4"
    assert lines(out)["'=ben", ""]["total"] == "5"
    made(out, handed_in(Upload("ada", "2"), dpo_loss=3))
    assert 'no learner is "nobody"' in capsys.readouterr().err  # of a regrade too


# ── tables and what platforms take ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@a", "\t=1", "＝1", "=cmd|' /C'!A"]
)
def test_no_name_becomes_a_formula(tmp_path, name):
    out = made(tmp_path, handed_in(Upload(name), dpo_loss=8))
    for path in out.glob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))):
            assert not any(word.startswith(tuple("=+@\t＝")) for word in row)
            assert "-1" not in row


def test_numbers_stay_numbers():
    assert [cell(v) for v in (7.0, -2.5, 2 / 3, 0, None, "-2")] == [
        *("7", "-2.5", "0.67", "0", "", "'-2")
    ]
    text = table(("a", "b"), [{"a": 'say "x"', "c": 1}])
    assert text == '\ufeff"a","b"\r\n"say ""x""",""\r\n'


def test_canvas_finds_the_learner_by_id_and_gets_the_total(tmp_path):
    canvas = Upload("lovelaceada", "12345", "canvas")
    out = made(
        tmp_path,
        handed_in(canvas, "lovelaceada_LATE_12345_67890_04.ipynb", dpo_loss=6),
        handed_in(Upload("ben", "1", "moodle"), dpo_loss=1),
    )
    main([str(out), "--assignment", "Week 4 (99)"])
    possible, row = table_of(out / "gradebook_canvas.csv", bom=False)
    assert list(row) == [
        *("Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Week 4 (99)")
    ]
    assert (possible["Student"], possible["Week 4 (99)"]) == ("Points Possible", "8")
    assert (row["Student"], row["ID"]) == ("lovelaceada", "12345")
    assert row["Week 4 (99)"] == "6"
    assert list(sent(out, "_canvas")) == ["lovelaceada_LATE_12345_67890_04.html"]


def test_the_name_of_an_export_is_no_part_of_what_canvas_is_given(tmp_path):
    """Canvas takes the first two numbers between underscores: whose, and which file."""
    name = "week_04_2026/lovelaceada_12345_67890_04-1.ipynb"
    out = made(tmp_path, handed_in(Upload("lovelaceada", "12345", "canvas"), name))
    (name,) = sent(out, "_canvas")
    numbers = [part for part in name.split("_") if part.isdigit()]
    assert numbers[:2] == ["12345", "67890"]


def test_brightspace_gets_pages_where_it_had_submissions(tmp_path):
    ada, ben = (Upload(n, i, "brightspace") for n, i in (("Ada", "1"), ("Ben", "2")))
    out = made(
        tmp_path,
        handed_in(ada, "all/1-9 - Ada - Mar 1, 2026 1015 AM", dpo_loss=6),
        handed_in(ben, "2-9 - Ben - Mar 1, 2026 1016 AM - my - work.ipynb", dpo_loss=6),
    )
    assert list(sent(out, "_brightspace")) == [
        "1-9 - Ada - Mar 1, 2026 1015 AM/feedback.html",
        "2-9 - Ben - Mar 1, 2026 1016 AM - feedback.html",
    ]
    assert not (out / "feedback.zip").exists()


def test_moodle_finds_the_participant_and_takes_the_comment_as_html(tmp_path):
    out = made(
        tmp_path,
        handed_in(Upload("Ada_Love/lace", "4711", "moodle"), dpo_loss=6),
        handed_in(Upload("ben", "5", "canvas"), dpo_loss=1),
    )
    by_hand(out, ",4711,4.1,,2 < 3", ",4711,,,see me")
    main([str(out)])
    (row,) = table_of(out / "gradebook_moodle.csv")
    assert row == {
        "Identifier": "Participant 4711",
        "Full name": "Ada_Love/lace",
        "Grade": "6",
        "Maximum Grade": "8",
        "Last modified (grade)": "",
        "Feedback comments": "6 of 8 points. 4.1: 2 &lt; 3 see me",
    }
    ((name, text),) = sent(out, "_moodle").items()
    folder, _, file = name.partition("/")
    assert file == "feedback.html"
    # as Moodle takes it apart: name, number, kind of plugin, plugin, rest
    assert folder.split("_", 4)[1:] == ["4711", "assignsubmission", "file", ""]
    assert b"see me" in text


def test_without_any_platform_both_forms_have_everybody(tmp_path):
    out = made(tmp_path, *(handed_in(Upload(n), dpo_loss=8) for n in ("ada", "ben")))
    assert len(table_of(out / "gradebook_moodle.csv")) == 2
    rows = table_of(out / "gradebook_canvas.csv", bom=False)
    assert [row["SIS Login ID"] for row in rows] == ["", "ada", "ben"]
    other = made(tmp_path / "b", handed_in(Upload("a", "1", "blackboard"), dpo_loss=8))
    assert not list(other.glob("gradebook_*.csv"))


def test_a_form_of_an_earlier_state_does_not_stay(tmp_path):
    made(tmp_path, handed_in(Upload("ada"), dpo_loss=8))
    out = made(tmp_path, handed_in(Upload("ada", "1", "moodle"), dpo_loss=8))
    assert not (out / "gradebook_canvas.csv").exists()
    assert not (out / "feedback.zip").exists()
    assert (out / "feedback_moodle.zip").exists()


def test_mail_merge_names_a_page_that_is_there_and_is_theirs(tmp_path):
    people = [Upload("ada", "1"), Upload("ada", "2"), Upload("Zoë Ångström")]
    out = made(tmp_path, *(handed_in(one, dpo_loss=8) for one in people))
    rows = table_of(out / "mail_merge.csv")
    assert [(row["learner"], row["id"]) for row in rows] == [p.who for p in people]
    assert len({row["file"] for row in rows}) == 3
    pages = sent(out, "")
    for row in rows:
        page = (out / row["file"]).read_bytes()
        assert row["learner"].encode() in page
        assert pages[row["file"].partition("/")[2]] == page
    assert out.joinpath("feedback.zip").stat().st_size < 100_000


def test_one_page_a_learner_with_the_attempt_that_counts(tmp_path):
    out = made(
        tmp_path,
        handed_in(Upload("ada", handed_in="2026-11-01T10:00:00"), dpo_loss=3),
        handed_in(Upload("ada", handed_in="2026-11-02T11:30:00"), dpo_loss=8),
        handed_in(Upload("ada", handed_in="2026-11-03T12:00:00"), dpo_slope=2),
    )
    assert "attempt 2 of 2 counts, handed in 2026-11-02 11:30" in page(out)
    assert page(out).count("<section") == 2
    whole = (out / "report.html").read_text(encoding="utf-8")
    assert "1 learner,\n3 submissions" in whole


def test_marks_of_an_earlier_course_are_shown_by_their_message(tmp_path):
    """The exercise had 40 properties then, and this answer held 30 of them."""
    old = Mark(LOSS, "failed", 30, 40, "a message", finding=(("yours", "1"),))
    right = Mark(SLOPE, "passed", 40, 40, "40 of 40 properties hold")
    out = made(tmp_path, Marked("ada", ADA, "", (old, right)))
    assert main([str(out)]) == 0
    assert "a message" in page(out)
    assert "✗</span> 40 of 40" not in page(out)
    assert (one_line(out)["total"], one_line(out)["max"]) == ("70", "80")


def test_the_class_report_lists_what_nobody_tried_last(tmp_path):
    out = made(
        tmp_path,
        handed_in(Upload("ada"), dpo_loss="not_attempted", dpo_slope=1),
        handed_in(Upload("ben"), dpo_loss="missing", dpo_slope=2),
    )
    text = (out / "report.html").read_text(encoding="utf-8")
    listed = text.partition("hardest first")[2].partition("</table>")[0]
    assert listed.index("How hard a pair is pushed") < listed.index("The DPO loss")
    assert "0 of 0" in listed.partition("The DPO loss")[2]
    assert "0%" not in listed.partition("The DPO loss")[2]


# ── the command ───────────────────────────────────────────────────────────────────────


def test_a_rebuilt_report_is_the_same_byte_for_byte(tmp_path):
    out = made(
        tmp_path, handed_in(Upload("ada", "1", "moodle"), dpo_loss=3), handed_in(ADA)
    )
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    main([str(out)])
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert after.pop(out / "gradebook.json")
    assert after == before


def test_a_file_that_cannot_be_written_is_named_and_the_earlier_stays(
    tmp_path, monkeypatch
):
    def locked(draft, path):
        if path.name == "gradebook.csv":
            raise PermissionError(13, "Permission denied")
        real(draft, path)

    real = os.replace
    out = made(tmp_path, handed_in(ADA, dpo_loss=3))
    monkeypatch.setattr(os, "replace", locked)
    by_hand(out, "ada,,4.1,8,")
    with pytest.raises(CourseError, match=r"gradebook\.csv cannot") as error:
        main([str(out)])
    assert "close it" in error.value.mend
    assert one_line(out)["total"] == "3"
    assert not list(out.glob("*.new"))
    monkeypatch.undo()
    main([str(out)])
    assert one_line(out)["total"] == "8"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "no report in"),
        (["{out}", "nowhere"], "no report in"),
        (["{out}", "--out", "x"], "two or more reports"),
        (["{out}", "--weights", "nowhere.csv"], "cannot be read"),
        (["{out}", "--weights", "{w}"], "w.csv, line 3"),
        (["{broken}"], "cannot be read as a report"),
    ],
)
def test_what_is_asked_wrongly_is_said_and_writes_nothing(tmp_path, words, says):
    out = made(tmp_path / "r", handed_in(ADA, dpo_loss=3))
    made(tmp_path / "broken", handed_in(ADA, dpo_loss=3))
    (tmp_path / "broken" / "report.json").write_text('{"submissions": [3]}')
    (tmp_path / "w.csv").write_text("exercise,weight\n4.1,2\n9.9,1\n")
    names = {"out": out, "broken": tmp_path / "broken", "w": tmp_path / "w.csv"}
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    with pytest.raises(CourseError) as error:
        main([word.format(**names) for word in words])
    assert error.value.code == 2
    assert says in str(error.value)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    "words", [["--due", "soon"], ["--take", "worst"], ["--all-or-nothing=1"], []]
)
def test_a_wrong_word_is_a_matter_of_usage(tmp_path, words):
    with pytest.raises(SystemExit) as leaving:
        main(words and [str(tmp_path), *words])
    assert leaving.value.code == 2


@pytest.mark.parametrize("text", ["{", "[]", '{"take": "worst"}', '{"due": "x"}'])
def test_rules_that_were_tampered_with_are_named(tmp_path, text):
    (tmp_path / "gradebook.json").write_text(text)
    with pytest.raises(CourseError, match=r"gradebook\.json cannot be read"):
        Rules.kept(tmp_path)


# ── progress ──────────────────────────────────────────────────────────────────────────


def test_progress_over_weeks(tmp_path):
    def moodle(name, number):
        return Upload(name, number, "moodle")

    first = made(
        tmp_path / "w1",
        handed_in(moodle("ada", "1"), dpo_loss=2),
        handed_in(moodle("ben", "2"), dpo_loss=8),
        handed_in(moodle("cy", "3"), dpo_loss=4),
        handed_in(moodle("cy", "4"), dpo_loss=8),
    )
    second = made(
        tmp_path / "w2",
        handed_in(moodle("ada", "91"), dpo_slope=6),  # another number, as Moodle does
        handed_in(moodle("cy", "93"), dpo_slope=8),
        handed_in(moodle("di", "94"), dpo_slope=0),
    )
    out = tmp_path / "progress"
    assert main([str(first), str(second), "--out", str(out)]) == 0
    rows = {(r["learner"], r["id"]): r for r in table_of(out / "progress.csv")}
    assert len(rows) == 6  # two are called cy: the third stays apart
    ada = rows["ada", "1"]
    assert (ada["w1 total"], ada["w1 %"], ada["w2 %"]) == ("2", "25", "75")
    assert ada["w2 change"] == "50"
    assert rows["ben", "2"]["w2 total"] == rows["ben", "2"]["w2 change"] == ""
    page = (out / "progress.html").read_text(encoding="utf-8")
    assert "+50" in page
    assert "<script" not in page


def test_a_stable_number_tells_people_of_one_name_apart(tmp_path):
    reports = [
        made(tmp_path / week, handed_in(Upload("ada", number, "canvas"), dpo_loss=8))
        for week, number in (("w1", "1"), ("w2", "2"))
    ]
    main([*map(str, reports), "--out", str(tmp_path / "p")])
    assert len(table_of(tmp_path / "p" / "progress.csv")) == 2


# ── a class ───────────────────────────────────────────────────────────────────────────


def test_a_class_adds_up_by_another_way(tmp_path):
    """46 learners, two chapters, two attempts, against a sum over grades.csv."""
    draw = random.Random(5)
    submissions = []
    for place in range(46):
        upload = Upload("ada" if place < 2 else f"l{place}", str(place), "moodle")
        for scores in ((LOSS,), (SLOPE, BETA)):
            for _ in range(draw.randint(1, 2)):
                given = {
                    name: draw.choice([*range(9), "timeout"])
                    if name in scores
                    else "missing"
                    for name in HEAD
                }
                name = f"ada_{place}_{len(submissions)}"
                submissions.append(handed_in(upload, name, **given))
    out = made(tmp_path, *submissions)
    with open(out / "grades.csv", newline="") as file:
        marks = list(csv.DictReader(file))
    found = lines(out)
    assert len(found) == 46
    for place in range(46):
        mine = [r for r in marks if r["submission"].split("_")[1] == str(place)]
        best = {name: 0 for name in HEAD}
        for row in mine:
            best[row["exercise"]] = max(best[row["exercise"]], int(row["score"]))
        (line,) = (line for (_, who), line in found.items() if who == str(place))
        assert {name: line[head] for name, head in HEAD.items()} == {
            name: str(score) for name, score in best.items()
        }
        assert line["total"] == str(sum(best.values()))
    told = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert told["exercises"][LOSS]["asked"] == 46
    assert book(out, submissions, Rules()).worth == dict.fromkeys(HEAD, 8.0)
