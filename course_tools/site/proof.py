"""The page "What this course proves", from the tables that its tests read."""

import csv
import json
import tomllib
from collections import Counter

import nbformat

from course_lib.datasets import DATA
from course_lib.exercises import EXERCISES
from course_lib.workspace import notebooks, repository
from course_tools.benchmarks import pages
from course_tools.start_page import title_of

__all__ = ["texts"]

SIDES = ("left", "right", "broken")  # of an equation
PAGE = """# What this course proves

Each table below is a file that the course's tests read. Nothing on this page was typed
for it: a claim that stops being true fails a test, and leaves this page with the next
build.

- **{claims} numbers and statements** of the prose, each with the expression that gives
  it.
- **{equations} displayed equations**, each computed on random worlds on both sides, and
  each with a *broken twin*, a plausible mistake that the same test must catch.
- **{exercises} exercises** with **{faults} mistakes** that a check knows by name. Small
  mutations of every model answer must fail as well; {equivalent} of them are listed
  with the reason why they are right, beside those that cut off a gradient which no
  check asks for.
- **{topics} topics** that a course on DPO should cover, each with its passage.

## By chapter

| chapter | claims | equations | exercises | topics |
|:--|--:|--:|--:|--:|
{chapters}

## The equations

What stands on the left and on the right agrees on twenty random worlds to the precision
of the machine; the broken twin does not.

| | left | right | broken twin |
|:--|:--|:--|:--|
{steps}

## The exercises

| | asks for | mistakes with a diagnosis of their own | properties checked |
|:--|:--|--:|--:|
{asked}

## Speed

{speed}

## What a chapter costs to run

In a fresh kernel on {date}, on one core of a computer that had other work: seconds of
that core, and the memory of all processes at its highest.

| chapter | CPU seconds | MiB |
|:--|--:|--:|
{costs}

## The topics

| | topic | chapter | where |
|--:|:--|:--|:--|
{places}
"""


def texts() -> dict[str, str]:
    """The page, by file name."""
    books = {p.name[:2]: p for p in notebooks("notebooks")}
    names = {n: title_of(nbformat.read(p, as_version=4)) for n, p in books.items()}
    ledgers = {n: _ledger(n) for n in books}
    claims = {n: len(ledger.get("claim", [])) for n, ledger in ledgers.items()}
    steps = [step for ledger in ledgers.values() for step in ledger.get("equation", [])]
    asked = list(EXERCISES.values())
    covered = repository() / "notebooks" / "coverage.csv"
    with open(covered, encoding="utf-8", newline="") as file:
        topics = list(csv.DictReader(file))
    by_chapter = Counter(topic["chapter"] for topic in topics)
    count = Counter(exercise.number.partition(".")[0].zfill(2) for exercise in asked)
    links = {n: f"[{names[n]}](notebooks/{path.name})" for n, path in books.items()}
    equations = {n: len(ledger.get("equation", [])) for n, ledger in ledgers.items()}
    counts = claims, equations, count, by_chapter
    chapters = [(links[n], *(counted[n] for counted in counts)) for n in books]
    page = PAGE.format(
        claims=sum(claims.values()),
        equations=len(steps),
        exercises=len(asked),
        faults=sum(len(exercise.faults) for exercise in asked),
        equivalent=_equivalent(),
        topics=len(topics),
        chapters=_rows(chapters),
        steps=_rows((s["tag"], *(_code(s[n]) for n in SIDES)) for s in steps),
        asked=_rows(
            (e.number, f"`{e.name}`: {e.title}", len(e.faults), len(e.checks))
            for e in asked
        ),
        speed=_speed(),
        date=max(row["date"] for row in pages.stored()),
        costs=_rows(
            (links[row["chapter"]], row["cpu_seconds"], row["peak_mib"])
            for row in pages.stored()
        ),
        places=_rows(
            (t["topic"], t["what"], t["chapter"], _cell(t["passage"])) for t in topics
        ),
    )
    return {"proof.md": page}


def _ledger(number: str) -> dict:
    path = repository() / "notebooks" / "ledger" / f"{number}.toml"
    return tomllib.loads(path.read_text("utf-8")) if path.exists() else {}


def _equivalent() -> int:
    path = repository() / "tests" / "equivalent_mutants.toml"
    tables = tomllib.loads(path.read_text("utf-8")).values()
    return sum(len(whats) for table in tables for whats in table.values())


def _speed() -> str:
    """What `bench trainer` measured, in a sentence."""
    known = json.loads((DATA / "trainer.json").read_text("utf-8"))
    return (
        f"The trainer takes {known['ratio_to_trl']:.1f} times as many tokens per CPU "
        "second as TRL on the same model and pairs, and its losses differ from TRL's "
        f"by at most {known['trajectory_max_diff']:.0e}. `python3 -m course_lib bench` "
        "measures this and the rest again."
    )


def _rows(rows) -> str:
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def _cell(text: str) -> str:
    """Text in a table: a bar in it would end the cell."""
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    """An expression in a table."""
    return f"`{' '.join(text.split())}`".replace("|", "\\|")
