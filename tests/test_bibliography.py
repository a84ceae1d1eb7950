"""The bibliography: every citation resolves to an entry, every entry is cited there."""

import re
from collections import defaultdict
from functools import cache

import pytest
from reading import prose

from course_lib.workspace import notebooks, repository

PAGE = repository() / "docs" / "bibliography.md"
NAME, YEAR = r"[A-ZŁ][\w'’-]+", r"((?:19|20)\d\d)"
# "Rafailov et al. (2023)", "(Maas et al., 2011)", "Gao, Schulman and Hilton (2022)",
# "Ford (1957)", "(Agresti 2002, §10.6)": the first surname and the year
CITATION = re.compile(
    rf"\b({NAME})(?: et al\.|(?:, {NAME})* and {NAME}),? \(?{YEAR}\b"
    rf"|\b({NAME})(?: 3)? \({YEAR}\)"
    rf"|\(({NAME})(?: 3)?,? {YEAR}[,)]"
)


def cited_in(text: str) -> set[tuple[str, str]]:
    """First surname and year of each citation in a text."""
    found = CITATION.findall(" ".join(text.replace("# ", "").split()))
    return {tuple(part for part in parts if part) for parts in found}


@cache
def cited() -> dict[tuple[str, str], set[str]]:
    """Where each work is cited: numbers of chapters, files of the library."""
    where = defaultdict(set)
    for path in [*notebooks("notebooks"), *notebooks("solutions")]:
        for work in cited_in(prose(path)):
            where[work].add(path.name[:2])
    for path in (repository() / "course_lib").rglob("*.py"):
        for work in cited_in(path.read_text(encoding="utf-8")):
            where[work].add(path.name)
    return dict(where)


def rows() -> list[str]:
    """The lines of the table, without its head."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("| ")][1:]


def entries() -> list[tuple[str, set[str], set[str]]]:
    """Of each entry its first surname, its years, and where it is said to be cited.

    A paper may be cited by the year in which it was printed or by that of its preprint.
    """
    found = []
    for row in rows():
        key, what, where = (cell.strip() for cell in row.strip("| ").split(" | "))
        name = re.match(NAME, key)[0]
        told = what.partition("`")[0]
        years = set(re.findall(rf"\b{YEAR}\b", key))
        years |= set(re.findall(rf"on arXiv in {YEAR}", told))
        found.append((name, years, set(where.replace("`", "").split(", "))))
    return found


@pytest.mark.parametrize(
    ("text", "works"),
    [
        ("(Maas et al., 2011; Pang and Lee, 2005)", {"Maas 2011", "Pang 2005"}),
        ("Gao, Schulman and Hilton (2022)", {"Gao 2022"}),
        ("oracle (Agresti 2002, §10.6)", {"Agresti 2002"}),
        (
            "by D'Oosterlinck et al.\n(2024), and Ford (1957)",
            {"D'Oosterlinck 2024", "Ford 1957"},
        ),
        ("In 1987, Milwaukee won, 7 to 6. May 2020 was dry; ms-swift 7285", set()),
    ],
)
def test_a_citation_is_found_in_each_of_its_forms(text, works):
    assert {" ".join(work) for work in cited_in(text)} == works


def test_every_citation_has_an_entry():
    known = {(name, year) for name, years, _ in entries() for year in years}
    missing = {work: where for work, where in cited().items() if work not in known}
    assert not missing


def test_every_entry_is_cited_where_it_says_and_nowhere_else():
    """Of the library it names files only if no chapter cites the work."""
    told, found = defaultdict(set), defaultdict(set)
    for name, years, where in entries():
        key = name, min(years)
        told[key] |= where
        for year in years:
            found[key] |= cited().get((name, year), set())
    for key, where in found.items():
        chapters = {place for place in where if place.isdigit()}
        assert told[key] == (chapters or where), key


def test_entries_are_in_order_and_no_paper_is_there_twice():
    plain = str.maketrans("öä", "oa")
    keys = [row.split(" | ")[0].lower().translate(plain) for row in rows()]
    assert keys == sorted(keys)
    numbers = re.findall(r"arXiv:\d{4}\.\d{5}", "".join(rows()))
    assert len(set(numbers)) == len(numbers)
