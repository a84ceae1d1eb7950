"""A page says how long it takes, by its exercises; and asks before it answers."""

import ast
import re

import pytest
from reading import read

from course_lib import workspace
from course_lib.workspace import notebooks
from course_tools.copies import deeper_exercises

CHAPTERS = {path.name[:2]: path for path in notebooks("notebooks")}
SOLUTIONS = {path.name[:2]: path for path in notebooks("solutions")}
# an exercise: the first words or code on its page that give the answer away
ANSWERS = {
    "4.1": "-torch.nn.functional.logsigmoid(beta * gap).mean()",
    "4.2": "(u > v).double().mean()",
    "4.3": r"\tag{4.6}",
    "4.4": "`labels[:, 1:]`",
    "4.5": "`labels[:, 1:]`",
    "4.6": '"one pair costs 0.6209"',
    "4.7": '"2 ln 10"',
    "5.1": r"\tag{5.2}",
    "5.2": r"\tag{5.4}",
    "5.3": "beta_for_kl(",
    "5.4": r"\tag{5.13}",
}
CALLED_ONLY = {"5.3"}  # the library's function is called above, its search not shown


def text(path) -> str:
    return "\n\n".join(cell.source for cell in read(path).cells)


def minutes(number: str) -> dict[str, int]:
    """What each exercise of a chapter says that it takes, by its number."""
    told = r"^#+ Exercise (\d+\.\d+).*?\*[\w-]+, (\d+) minutes"
    found = re.findall(told, text(SOLUTIONS[number]), re.M | re.S)
    return {exercise: int(long) for exercise, long in found}


def head(number: str) -> str:
    """The lines in italics under the title."""
    return " ".join(text(CHAPTERS[number]).split("*\n")[0].split())


def left_out(number: str) -> set[str]:
    """The exercises that the short way leaves out, as the head says."""
    said = re.search(r"with them exercises? (.*?)\. [A-Z]", head(number))
    return {*re.findall(r"\d+\.\d+", said[1])} if said else set()


@pytest.mark.parametrize("number", CHAPTERS)
def test_the_minutes_of_a_chapter_are_those_of_its_exercises(number):
    takes, skipped = minutes(number), left_out(number)
    short, _, full = head(number).rpartition("full way:")
    kept = sum(long for exercise, long in takes.items() if exercise not in skipped)
    for way, long in ((short, kept), (full, sum(takes.values()))):
        said = re.search(r"and (\d+) for (?:the )?exercises?", way)
        assert not said or int(said[1]) == long
    assert re.search(r"for (?:the )?exercises?", head(number))


@pytest.mark.parametrize("number", CHAPTERS)
def test_exercises_are_met_in_the_order_of_their_numbers(number):
    links = re.findall(r"\[\*\*Exercise (\d+)\.(\d+)\*\*\]", text(CHAPTERS[number]))
    order = [int(second) for first, second in links if int(first) == int(number)]
    assert order == [*range(1, 1 + len(minutes(number)))]


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_section_left_out_takes_its_exercises_along(number):
    """What the head says is left out is what stands under a heading with "Deeper"."""
    assert deeper_exercises(workspace.read(CHAPTERS[number])) == left_out(number)


@pytest.mark.parametrize("exercise", sorted(ANSWERS.keys() - CALLED_ONLY))
def test_an_exercise_asks_for_what_is_not_printed_above_it(exercise):
    page = text(CHAPTERS[f"0{exercise[0]}"])
    assert page.count(f"[**Exercise {exercise}**]") == 1
    assert page.index(f"[**Exercise {exercise}**]") < page.index(ANSWERS[exercise])


def cells_by_way(number: str) -> list[tuple[bool, str]]:
    """Each code cell of a chapter: whether it is in a Deeper section, and its text."""
    found, deeper = [], 9  # the level of the heading of the section that we are in
    for cell in read(CHAPTERS[number]).cells:
        if cell.cell_type == "code":
            found.append((deeper < 9, cell.source))
            continue
        for marks, title in re.findall(r"^(#+) (.*)$", cell.source, re.M):
            if len(marks) <= deeper:
                deeper = len(marks) if title.startswith("Deeper") else 9
    return found


def names(code: str, context: type) -> set[str]:
    """The names that a cell reads, or those that it makes."""
    found, makes = set(), context is ast.Store
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, context):
            found.add(node.id)
        elif makes and isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif makes and isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
    return found


@pytest.mark.parametrize("number", CHAPTERS)
def test_the_short_way_needs_no_cell_of_a_deeper_section(number):
    have, deeper_have = set(), set()
    for deeper, code in cells_by_way(number):
        made = names(code, ast.Store)
        if deeper:
            deeper_have |= made
            continue
        borrowed = (names(code, ast.Load) & deeper_have) - have - made
        assert not borrowed, (borrowed, code)
        have |= made
