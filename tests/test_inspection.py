"""`inspect`: every fault is found on its line, and clean data raise nothing."""

import json
import random
import re

import preference_files as samples
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preference_files import FORMATS, SPOILT, jsonl, standard, table

from course_lib.inspection import inspect
from course_lib.inspection.across import plain
from course_lib.inspection.bias import Bias, tail
from course_lib.inspection.findings import SEVERITY, Findings
from course_lib.inspection.tokens import Tokens


def found(report) -> list[tuple[int | None, str]]:
    return [(finding.line, finding.kind) for finding in report.findings]


NAMES = [f"{kind}-{at}" for at, (kind, _, _) in enumerate(SPOILT)]


@pytest.mark.parametrize(("kind", "rows", "lines"), SPOILT, ids=NAMES)
def test_a_fault_is_found_on_its_line_and_nothing_else_is(tmp_path, kind, rows, lines):
    report = inspect(jsonl(tmp_path / "spoilt.jsonl", rows))
    assert found(report) == [(line, kind) for line in lines]
    for finding in report.findings:
        assert finding.severity == SEVERITY[kind]
        assert re.search(r"[:;,] (?!.*[:;]$)", finding.says)  # a fault, and its cure
        assert "\n" not in finding.says


def test_every_kind_that_a_file_of_rows_can_have_is_among_the_samples():
    elsewhere = {  # tested below: what needs bytes, a table, tokens or another file
        "unreadable_file",
        "empty_file",
        "invalid_csv",
        "duplicate_column",
        "not_utf8",
        "bom",
        "label_imbalance",
        "identical_after_truncation",
        "leaked_from_train",
    }
    assert {kind for kind, _, _ in SPOILT} | elsewhere == set(SEVERITY)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("ending", ["jsonl", "pretty.json", "json", "csv"])
def test_clean_files_raise_nothing_and_their_format_is_told(tmp_path, name, ending):
    rows, path = FORMATS[name](), tmp_path / f"clean.{ending}"
    if ending == "jsonl":
        jsonl(path, rows)
    elif ending == "csv":
        table(path, rows)
    else:
        path.write_text(json.dumps(rows, indent=2 if "pretty" in ending else None))
    report = inspect(path)
    assert found(report) == []
    assert report.format == name
    assert report.rows == len(rows)
    assert report.exit_code == 0


def test_other_people_s_rankings_are_read(tmp_path):
    report = inspect(jsonl(tmp_path / "a.jsonl", samples.nested_ranking()))
    assert (report.format, found(report)) == ("ranking + scores", [])


@pytest.mark.parametrize("shape", [list, samples.dialogues])
def test_what_looks_like_a_fault_and_is_none_raises_nothing(tmp_path, shape):
    rows = shape(samples.look_alikes())
    assert found(inspect(jsonl(tmp_path / "a.jsonl", rows))) == []


PLAIN = (
    "river stone house walks under bright morning sky nobody path home rain sign wood "
    "market square bread cheese apples moss lantern copper whistle ferry"
)
WORDS = PLAIN.split()
SENTENCE = st.lists(st.sampled_from(WORDS), min_size=6, max_size=20).map(
    lambda words: " ".join(words).capitalize() + "."
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(SENTENCE, SENTENCE, SENTENCE).filter(lambda t: len(set(t)) == 3),
        min_size=1,
        max_size=9,
        unique_by=lambda row: plain(row[0]),
    ),
    st.sampled_from(["standard", "turns", "implicit", "dialogues", "table", "pretty"]),
)
def test_random_clean_rows_raise_nothing_in_any_format(tmp_path_factory, rows, shape):
    folder = tmp_path_factory.mktemp("random")
    rows = [
        dict(zip(("prompt", "chosen", "rejected"), row, strict=True)) for row in rows
    ]
    if shape == "table":
        path = table(folder / "a.csv", rows)
    elif shape == "pretty":
        path = folder / "a.json"
        path.write_text(json.dumps(rows, indent=1))
    else:
        path = jsonl(folder / "a.jsonl", [shaped(row, shape) for row in rows])
    assert found(inspect(path)) == []


def shaped(row: dict, shape: str) -> dict:
    said = samples.said
    if shape == "standard":
        return row
    if shape == "dialogues":
        return samples.dialogues([row])[0]
    sides = {side: [said("assistant", row[side])] for side in ("chosen", "rejected")}
    prompt = [said("user", row["prompt"])]
    if shape == "turns":
        return {"prompt": prompt} | sides
    return {side: prompt + turns for side, turns in sides.items()}


# where a row begins, in every kind of file


def test_lines_are_physical_in_csv_with_line_breaks_in_cells(tmp_path):
    rows = standard()
    rows[2]["chosen"] = 'Three lines:\n- "one"\n- two.'
    rows[5]["rejected"] = ""
    path = table(tmp_path / "a.csv", rows)
    text = path.read_text()
    assert found(inspect(path)) == [(9, "empty_answer")]
    assert text.splitlines()[8].startswith("Translate")


def test_lines_are_physical_in_a_pretty_printed_array(tmp_path):
    rows = samples.put(standard(), rejected__6="")
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": rows}, indent=2))
    [(line, kind)] = found(inspect(path))
    assert kind == "empty_answer"
    lines = path.read_text().splitlines()
    assert lines[line - 1].strip() == "{"
    assert "Translate" in lines[line]


@pytest.mark.parametrize("array", [True, False])
def test_objects_are_read_on_after_a_broken_one(tmp_path, array):
    rows = [json.dumps(row, indent=2) for row in standard()]
    rows[3] = rows[3].replace('"chosen":', '"chosen"')
    rows[8] = json.dumps(standard()[8] | {"chosen": ""}, indent=2)
    path = tmp_path / "a.json"
    path.write_text("[" + ",\n".join(rows) + "]" if array else "\n".join(rows))
    report = inspect(path)
    assert found(report) == [(18, "invalid_json"), (41, "empty_answer")]
    assert report.rows == 15


# what needs bytes


def text_of(rows: list[dict], between: str = "\n", **ways) -> str:
    return between.join(json.dumps(row, **ways) for row in rows)


ONE, TWO = map(json.dumps, standard()[:2])
EMPTY = samples.put(standard(), chosen__2="")
CAFE = text_of(samples.put(standard(), chosen__3="In a café."), ensure_ascii=False)
DEEP = '{"prompt": ' + 100_000 * "[" + 100_000 * "]" + "}"
UTF16 = [(1, "not_utf8"), (2, "empty_answer")]  # told once, and read
HEAD = "prompt,chosen,rejected\n"
PARTED = "prompt;chosen;rejected\nIs it so?;Yes.;No.\nIs it?;Yes, it is.;Never."
FILES = {  # what: the file's ending, its bytes, how many rows are read, what is found
    "a last comma": ("json", f"[{ONE},\n{TWO},\n]\n", 2, [(2, "invalid_json")]),
    "a second list": ("json", f"[{ONE}]\n[{TWO}]", 1, [(2, "invalid_json")]),
    "more beside a list": ("json", f'{{"data": [{ONE}], "seed": 1}}', 1, []),
    "depth in an array": ("json", f"[{ONE},\n{DEEP}]", 1, [(2, "invalid_json")]),
    "depth in a line": ("jsonl", f"{ONE}\n{DEEP}\n", 1, [(2, "invalid_json")]),
    "blank lines, and Windows' line ends": (
        "jsonl",
        text_of(EMPTY, "\r\n\r\n"),
        16,
        [(3, "empty_answer")],
    ),
    "a byte order mark": ("jsonl", f"\ufeff{ONE}\n{TWO}", 2, [(1, "bom")]),
    "a table's byte order mark": ("csv", f"\ufeff{HEAD}Why?,So.,No.", 1, [(1, "bom")]),
    "Windows-1252": ("jsonl", CAFE.encode("cp1252"), 16, [(3, "not_utf8")]),
    "Latin-1": ("jsonl", CAFE.encode("latin-1"), 16, [(3, "not_utf8")]),
    "UTF-16": ("jsonl", text_of(EMPTY).encode("utf-16"), 16, UTF16),
    "UTF-16 LE": ("jsonl", text_of(EMPTY).encode("utf-16-le"), 16, UTF16),
    "UTF-16 BE": ("jsonl", text_of(EMPTY).encode("utf-16-be"), 16, UTF16),
    "semicolons": ("csv", PARTED, 2, []),
    "tabs": ("csv", PARTED.replace(";", "\t"), 2, []),
    "ragged records": (
        "csv",
        f'{HEAD}Why?,So.\nWhy not?,"a","b","c"\nHow?,"So',
        0,
        [(2, "missing_field"), (3, "invalid_csv"), (4, "invalid_csv")],
    ),
    "a column twice": (
        "csv",
        "prompt,chosen,chosen,rejected\nWhy?,So.,Yes.,No.\n",
        1,
        [(1, "duplicate_column")],
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_what_is_wrong_with_the_bytes_is_told_and_the_rest_is_read(tmp_path, what):
    ending, content, rows, faults = FILES[what]
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = inspect(path)
    assert (report.rows, found(report)) == (rows, faults)


def test_lists_that_pandas_wrote_into_cells_are_read(tmp_path):
    rows = samples.put(
        samples.conversational(), chosen__3=[samples.said("user", "So.")]
    )
    report = inspect(table(tmp_path / "a.csv", rows))
    assert (report.format, found(report)) == (
        "conversational explicit",
        [(4, "wrong_role")],
    )


def test_parquet_without_pyarrow_is_refused_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"pip install pyarrow.*JSONL"):
        inspect(path)


def test_parquet_rows_are_counted_from_one(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    rows = samples.put(standard(), chosen__2="")
    pytest.importorskip("pyarrow.parquet").write_table(
        arrow.Table.from_pylist(rows), path
    )
    assert found(inspect(path)) == [(2, "empty_answer")]


# file against file, and statistics


@pytest.mark.parametrize("train", ["standard", "conversational", "ultrafeedback"])
def test_prompts_that_are_in_the_training_file_are_leaks(tmp_path, train):
    rows = getattr(samples, train)()
    other = jsonl(tmp_path / "train.jsonl", rows[:6])
    test = jsonl(tmp_path / "test.jsonl", standard()[4:])
    report = inspect(test, train=other)
    assert found(report) == [(1, "leaked_from_train"), (2, "leaked_from_train")]
    assert "on line 5" in report.findings[0].says
    clean = jsonl(tmp_path / "clean.jsonl", standard()[6:])
    assert found(inspect(clean, train=other)) == []


def test_fair_labels_are_no_bias_however_many(tmp_path):
    chance, bias, findings = random.Random(3), Bias(), Findings()
    for _ in range(4000):
        texts = [" ".join(chance.choices(WORDS, k=chance.randint(3, 30))) for _ in "ab"]
        bias.note(*texts)
    bias.close(findings)
    assert not findings.counts


@pytest.mark.parametrize("side", [1, -1])
def test_a_length_judge_s_accuracy_is_told(side):
    bias, findings = Bias(), Findings()
    for at in range(100):
        texts = (f"{at} river", f"{at} stone house")
        one, other = texts if (at % 10 < 8) == (side < 0) else texts[::-1]
        bias.note(one, other)
    bias.close(findings)
    says = {f.kind: f.says for f in findings.sorted()}["length_bias"]
    assert f"the {'longer' if side > 0 else 'shorter'} answer is chosen in " in says
    assert "only length is right in 80% of" in says


def test_a_mark_and_its_judge_s_accuracy_are_told(tmp_path):
    rows = standard()
    for row in rows[:14]:
        row["chosen"] = f"Great question! {row['chosen']}"
    [finding] = inspect(jsonl(tmp_path / "a.jsonl", rows)).findings
    assert finding.kind == "label_readable_from_surface"
    assert '"great" at the start' in finding.says or '"question"' in finding.says
    assert "94% of 16 pairs" in finding.says


def test_the_tail_of_a_fair_coin_against_counting():
    for trials in range(1, 9):
        ways = [bin(w).count("1") for w in range(2**trials)]
        for wins in range(trials + 1):
            far = max(wins, trials - wins)
            exact = sum(max(w, trials - w) >= far for w in ways) / 2**trials
            assert tail(wins, trials) == pytest.approx(exact)
    assert tail(2100, 4000) == pytest.approx(0.00163, rel=0.02)


def test_many_labels_of_one_kind_are_a_note(tmp_path):
    rows = samples.unpaired()[:2] + [
        {"prompt": f"Number {at}?", "completion": f"It is {at}.", "label": True}
        for at in range(120)
    ]
    report = inspect(jsonl(tmp_path / "a.jsonl", rows))
    assert found(report) == [(None, "label_imbalance")]
    assert report.exit_code == 0


# tokenizers


def pieces(text: str) -> list[str]:
    """Words, each with the space before it; a space at the end is its own token."""
    return re.findall(r" ?\S+| +", text)


def test_tokens_that_change_at_the_boundary(tmp_path):
    tokens = Tokens(pieces, None)
    for prompt, answer, kinds in [
        ("Is it? ", "Yes.", ["inconsistent_boundary_whitespace"]),
        ("Is it?", "Yes.", ["inconsistent_boundary_whitespace"]),
        ("Is it?", " Yes.", []),
    ]:
        noted = {}
        tokens.check(prompt, {"chosen": answer, "rejected": " No."}, noted)
        wanted = kinds or (
            ["inconsistent_boundary_whitespace"] if prompt[-1] == " " else []
        )
        assert list(noted) == wanted


def test_pairs_that_are_equal_after_a_cut(tmp_path):
    rows = [
        {"prompt": f"Word {at}:", "chosen": " a b c d e f", "rejected": " a b c x e f"}
        for at in range(3)
    ]
    path = jsonl(tmp_path / "a.jsonl", rows)
    report = inspect(path, tokenizer=pieces, max_length=5)
    kinds = {"truncated_answer", "identical_after_truncation"}
    assert {kind for _, kind in found(report)} == kinds
    report = inspect(path, tokenizer=pieces, max_length=6)
    assert {kind for _, kind in found(report)} == {"truncated_answer"}
    assert found(inspect(path, tokenizer=pieces, max_length=8)) == []


def test_a_length_without_a_tokenizer_and_other_wrong_arguments_are_refused(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", standard())
    with pytest.raises(ValueError, match="needs a tokenizer"):
        inspect(path, max_length=5)
    with pytest.raises(ValueError, match="at least 1 token, got 0"):
        inspect(path, tokenizer=pieces, max_length=0)
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        inspect(path, limit=0)
    with pytest.raises(ValueError, match="needs encode"):
        inspect(path, tokenizer=3)


# bounds


def test_findings_are_counted_past_the_limit_and_kept_and_listed_up_to_it(tmp_path):
    rows = [
        {"prompt": f"Number {at}?", "chosen": "", "rejected": f"It is {at}."}
        for at in range(50)
    ]
    report = inspect(jsonl(tmp_path / "a.jsonl", rows), limit=7)
    assert len(report.findings) == 7
    assert report.counts == {"empty_answer": 50}
    assert report.left_off == ["50 findings of empty_answer: 7 are listed."]
    assert "and 43 more\n" in f"{report}\n"


def test_a_row_repeated_a_thousand_times_is_no_burden(tmp_path):
    report = inspect(jsonl(tmp_path / "a.jsonl", standard()[:1] * 3000), limit=10)
    assert report.counts["duplicate_row"] == 3000


@pytest.mark.slow
def test_rows_are_read_as_a_stream(tmp_path):
    """With ten times the rows, what is held at once is hardly more."""
    import tracemalloc

    chance, peaks = random.Random(0), []
    for size in (3000, 30000):
        path = tmp_path / f"{size}.jsonl"
        with path.open("w") as file:
            for at in range(size):
                texts = (" ".join(chance.choices(WORDS, k=40)) for _ in range(3))
                row = dict(zip(("prompt", "chosen", "rejected"), texts, strict=True))
                file.write(json.dumps(row | {"id": at}) + "\n")
        tracemalloc.start()
        inspect(path, quick=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 27000 * 100  # a row is 700 bytes as text


def test_quick_finds_what_is_compared_and_counted(tmp_path):
    rows = samples.put(standard(), chosen__2="", rejected__4=samples.of(4, "chosen"))
    rows += [standard()[6], samples.reversed_pair(standard()[8]), "{"]
    report = inspect(jsonl(tmp_path / "a.jsonl", rows), quick=True)
    assert found(report) == [
        (2, "empty_answer"),
        (4, "chosen_equals_rejected"),
        (7, "duplicate_row"),
        (9, "contradicting_pairs"),
        (17, "duplicate_row"),
        (18, "contradicting_pairs"),
        (19, "invalid_json"),
    ]


# whatever the rows hold

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["<s>", "Human: ", "\n\nAssistant:", "{{x}}", "\ud83d", "Ã©"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "text", "from", "score", "x"]), inner
        )
    ),
    max_leaves=6,
)
FIELDS = (
    "prompt chosen rejected completion label responses scores ranks score_chosen "
    "score_rejected winner margin question messages"
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([*FORMATS.values(), samples.nested_ranking]),
    st.lists(
        st.dictionaries(st.sampled_from(FIELDS.split()), ANYTHING),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 3),
)
def test_no_row_makes_it_fail(tmp_path_factory, make, patches, kept):
    rows = make()[:kept]
    rows += [row | patch for row, patch in zip(make()[4:], patches, strict=False)]
    rows += patches
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    for ways in ({}, {"quick": True}, {"train": path}):
        report = inspect(path, **ways)
        assert report.rows <= len(rows)
        json.loads(report.json())
        assert repr(report)
        assert report.page().encode("utf-8", "replace")
    inspect(path, tokenizer=pieces, max_length=4)


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from(["jsonl", "json", "csv"]), st.booleans()
)
def test_no_bytes_make_it_fail(tmp_path_factory, content, ending, inside):
    path = tmp_path_factory.mktemp("any") / f"a.{ending}"
    start = json.dumps(standard()[:2], indent=1).encode()
    path.write_bytes(start[:150] + content + start[150:] if inside else content)
    inspect(path)


def tool_calls() -> list[dict]:
    rows = standard()[:12]
    call = {"function": {"name": "weather", "arguments": "{}"}, "type": "function"}
    for row in rows:
        row["prompt"] = [samples.said("user", row["prompt"])]
        row["chosen"] = [samples.said("assistant", None) | {"tool_calls": [call]}]
        row["rejected"] = [samples.said("assistant", row["rejected"])]
    return rows


TOXIC = {"chosen_toxicity_score": 0.02, "rejected_toxicity_score": 0.9}


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("empty_answer", tool_calls()),
        ("label_contradicts_score", [row | TOXIC for row in standard()]),
        *(
            ("near_identical_pair", samples.put(standard(), chosen__3=a, rejected__3=b))
            for a, b in [  # a sign or a point within a number is no punctuation
                ("The result is -5 degrees.", "The result is 5 degrees."),
                ("It costs about 1.5 euros now.", "It costs about 15 euros now."),
                ("That makes 10² of them all.", "That makes 102 of them all."),
            ]
        ),
    ],
)
def test_what_others_would_take_for_a_fault_and_is_none(tmp_path, kind, rows):
    report = inspect(jsonl(tmp_path / "a.jsonl", rows))
    assert kind not in report.counts
    assert report.exit_code < 2


@pytest.mark.parametrize("text", ['{"name": "Ada %d"}', "[1, 3, %d]"])
def test_an_answer_in_json_is_a_text(tmp_path, text):
    rows = [
        {"prompt": f"Give me number {n}.", "chosen": text % n, "rejected": f"No. {n}!"}
        for n in range(12)
    ]
    report = inspect(table(tmp_path / "json.csv", rows))
    assert "wrong_type" not in {finding.kind for finding in report.findings}


def test_ties_are_not_counted_as_longer():
    bias, findings = Bias(), Findings()
    for at in range(100):
        bias.note(
            f"{at} stone house", f"{at} river" if at < 60 else f"{at} stone house"
        )
    bias.close(findings)
    (says,) = (f.says for f in findings.sorted() if f.kind == "length_bias")
    assert "in 60 of 100 pairs" in says


def test_no_leak_is_seen_where_there_is_no_prompt(tmp_path):
    """Nor where only an instruction is shared, and its input is another."""
    for kind in ("implicit", "input"):
        files = []
        for name, far in (("train", 0), ("test", 100)):
            rows = []
            for n in range(far, far + 20):
                row = {
                    "chosen": f"A river of {n} miles.",
                    "rejected": f"{n} hills only!",
                }
                if kind == "input":
                    row |= {"instruction": "Shorten this.", "input": f"Text {n}."}
                rows.append(row)
            files.append(jsonl(tmp_path / f"{kind} {name}.jsonl", rows))
        report = inspect(files[1], train=files[0])
        assert "leaked_from_train" not in {one.kind for one in report.findings}
