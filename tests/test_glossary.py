"""The glossary: one meaning a word, defined where it says, and used nowhere before."""

import re
from functools import cache

import nbformat
import pytest
from reading import prose, read

from course_lib.workspace import notebooks, repository
from course_tools import start_page

PAGE = repository() / "docs" / "glossary.md"
LINK = re.compile(r"\[(\d\d) · (.*?)\]\(\.\./notebooks/(\S+?)#(\S+)\) \|$")
MAIN = {"weight of a pair": "weight", "accuracy ceiling": "ceiling"}  # what pages say
ANNOUNCED = {"nat", "best-of-N", "log-ratio"}  # named before, with where it is defined
# words that a page may use in their everyday sense before
EVERYDAY = {"gap", "look", "margin", "mask", "shift", "support", "weight of a pair"}
SYMBOLS = ("x", "y_w", "y_l", r"\sigma", "r(x, y)", "P", r"\pi_\theta", r"\text{ref}")
SYMBOLS += (r"\pi^*", "β", "KL", "Z(x)", r"\hat r", "u", "v", "h", "m", "ε", "τ", "γ")


def rows(part: str) -> list[tuple[str, str]]:
    """First cell and line of each row below a heading."""
    table = PAGE.read_text(encoding="utf-8").partition(f"## {part}\n")[2]
    lines = table.partition("\n## ")[0].splitlines()
    told = [line for line in lines if line.startswith("| ")][1:]
    return [(line.split(" | ")[0].removeprefix("| "), line) for line in told]


WORDS, ROWS = dict(rows("Words")), rows("Symbols") + rows("Words")


@cache
def sections() -> list[tuple[str, str, str]]:
    """Page, anchor and text of each section, in the order of reading.

    Of a chapter's first cell, which says what is to come, only the title is there
    """
    found = []
    for path in notebooks("notebooks"):
        first = read(path).cells[0].source
        intro = first if path.name[:2] == "00" else first.splitlines()[0]
        told = "\n\n".join([intro, *re.findall(r"^##.*", first, re.M | re.S)])
        text = told + prose(path).removeprefix(first)
        for part in re.split(r"^(?=#+ )", text, flags=re.M)[1:]:
            title = re.match(r"#+ (.*)", part)[1]
            found.append((path.name, title.replace(" ", "-"), part))
    return found


def plain(text: str) -> str:
    """The words in small letters, without title, code, addresses and what is next."""
    text = re.sub(r"^# .*|^(\*\*Sources\.|Next: )(.|\n)*", "", text, flags=re.M)
    text = re.sub(r"\]\(\S+?\)|`.*?`|<.*?>", "", text)
    return " ".join(text.replace("*", "").lower().split())


def uses(word: str, text: str) -> bool:
    word = re.escape(MAIN.get(word, word).lower())
    return bool(re.search(rf"(?<![\w-]){word}(s|ing|ed)?(?![\w-])", plain(text)))


@pytest.mark.parametrize(("name", "line"), ROWS, ids=[name for name, _ in ROWS])
def test_a_row_leads_to_the_section_that_it_names(name, line):
    number, title, page, anchor = LINK.search(line).groups()
    assert page.startswith(number)
    assert anchor == title.replace(" ", "-") or anchor.startswith(f"{number}-·")
    assert (page, anchor) in [section[:2] for section in sections()]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_in_its_section_and_in_none_before(word):
    at = LINK.search(WORDS[word]).groups()[2:]
    using = [section[:2] for section in sections() if uses(word, section[2])]
    assert at in using
    if word not in EVERYDAY | ANNOUNCED:
        assert using[0] == at, f"used before: {using[0]}"


def test_words_are_in_order_and_nothing_is_defined_twice():
    assert list(WORDS) == sorted(WORDS, key=str.lower)
    names = [name for name, _ in ROWS]
    assert len({*names}) == len(names)
    code = [n for _, row in rows("Symbols") for n in re.findall("`(.*?)`", row)]
    assert len({*code}) == len(code)


def test_every_symbol_of_the_course_is_there_and_its_name_is_in_the_code():
    told = " ".join(name for name, _ in rows("Symbols"))
    assert not [symbol for symbol in SYMBOLS if symbol not in told]
    files = (repository() / "course_lib").glob("*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    for _, row in rows("Symbols"):
        for name in re.findall("`(.*?)`", row):
            assert re.search(rf"\b{re.escape(name)}\b", source), name


def test_it_is_linked_where_learners_begin():
    readme = (repository() / "README.md").read_text(encoding="utf-8")
    assert "(docs/glossary.md)" in readme


def test_the_learner_s_copy_leads_to_the_learner_s_pages(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    start_page.write_start()
    (cell,) = nbformat.read(tmp_path / "Glossary.ipynb", 4).cells
    assert "(01_bradley_terry.ipynb#cell-id=bt-000-1)" in cell.source
    assert "../" not in cell.source
    first = nbformat.read(tmp_path / "Start.ipynb", 4).cells[0]
    assert "(Glossary.ipynb)" in first.source
