"""`python3 -m course_lib inspect`: its words, its JSON, its page and its exit codes."""

import json
import subprocess
import sys

import preference_files as samples
import pytest
from preference_files import jsonl, standard

import course_lib
from course_lib.inspection import inspect
from course_lib.inspection.command import main
from course_tools import benchmarks


@pytest.fixture
def clean(tmp_path):
    return jsonl(tmp_path / "clean.jsonl", standard())


@pytest.fixture
def spoilt(tmp_path):
    rows = samples.put(standard(), chosen__2="", prompt__5="<s>Is it?")
    return jsonl(tmp_path / "spoilt.jsonl", rows)


def test_the_exit_code_says_how_bad_it_is(clean, spoilt, tmp_path, capsys):
    warned = jsonl(tmp_path / "a.jsonl", samples.put(standard(), chosen__2="TODO"))
    assert main([str(clean)]) == 0
    assert "Nothing found." in capsys.readouterr().out
    assert main([str(warned)]) == 1
    assert main([str(spoilt)]) == 2
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "0 nothing above a note, 1 warnings, 2 errors" in said


def test_json_is_the_last_line_and_keeps_its_contract(spoilt, capsys):
    main([str(spoilt), "--json"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["format"] == "standard explicit"
    assert told["rows"] == 16
    first, second = told["findings"]
    assert set(first) == {"line", "kind", "severity", "says"}
    assert (first["line"], first["kind"]) == (2, "empty_answer")
    assert (second["line"], second["severity"]) == (5, "error")


def test_a_finding_of_the_file_has_no_line(tmp_path, capsys):
    rows = samples.with_all(standard(), "chosen", lambda text: f"Well now: {text}")
    main([str(jsonl(tmp_path / "a.jsonl", rows)), "--json"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [finding["line"] for finding in told["findings"]] == [None]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.jsonl", None, "none.jsonl: No such file"),
        ("a.parquet", b"PAR1", "a.parquet: "),
        ("a.bin", b"\x89PNG\r\n", "a.bin: its kind is not known"),
        ("a.jsonl.gz", b"no gzip", "a.jsonl.gz: Not a gzipped file"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_written(
    tmp_path, capsys, name, content, says
):
    path, out = tmp_path / name, tmp_path / "report.html"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path), "--json", "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert says in said.err
    told = json.loads(said.out.splitlines()[-1])
    assert told["format"] == "unreadable"
    assert told["findings"][0]["kind"] == "unreadable_file"
    assert not list(tmp_path.glob("report*"))


def test_an_empty_file_is_an_error(tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    path.write_text("\n\n")
    assert main([str(path)]) == 2
    assert "empty_file" in capsys.readouterr().out


def test_the_page_escapes_what_the_data_say(tmp_path):
    rows = samples.put(standard(), chosen__2="[INST]<script>alert(1)</script>")
    rows[0]["<img src=x>"] = "&"
    rows.append({"prompt": "a", "chosen": "b", "rejectd<b>": "c"})
    out = tmp_path / "report.html"
    assert main([str(jsonl(tmp_path / "a.jsonl", rows)), "--out", str(out)]) == 2
    page = out.read_text()
    assert "<script>" not in page
    assert "rejectd&lt;b&gt;" in page
    assert "<th scope" in page
    assert page.startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_leaves_nothing(clean, tmp_path, capsys):
    assert main([str(clean), "--out", str(tmp_path / "none" / "a.html")]) == 2
    assert "none" in capsys.readouterr().err


def test_the_report_shows_itself(spoilt):
    report = inspect(spoilt)
    assert "line 2:" in repr(report)
    assert "2 errors" in repr(report)
    assert "<table>" in report._repr_html_()


def test_a_leak_is_found_from_the_command_line(clean, tmp_path, capsys):
    other = jsonl(tmp_path / "train.jsonl", standard()[3:4])
    assert main([str(clean), "--train", str(other)]) == 2
    assert "line 4: its row is in the training file too" in capsys.readouterr().out


def test_the_verb_runs_in_a_fresh_python(spoilt):
    run = [sys.executable, "-m", "course_lib", "inspect", str(spoilt), "--json"]
    answer = subprocess.run(run, capture_output=True, text=True, encoding="utf-8")
    assert answer.returncode == 2, answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1])["findings"]


def test_the_function_is_in_the_library():
    assert course_lib.inspect is inspect


def test_the_bench_measures_both_ways_and_python_s_own_reader(capsys):
    assert benchmarks.main(["inspect", "--rows", "60", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["rows"] == 60
    assert all(value > 0 for value in figures.values())
