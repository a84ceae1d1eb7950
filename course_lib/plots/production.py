"""Chapter 09: what is left of a pair when its rows are cut to a length."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from course_lib.plots.marks import name
from course_lib.plots.palette import DOTS, INK, MARK, QUIET, REFERENCE
from course_lib.plots.style import BARE, Scene, panel

TALL = 0.86  # of a row's height, the box of a token


def truncated_pair(
    prompt: Sequence[str], chosen: Sequence[str], rejected: Sequence[str]
) -> Scene:
    """The tokens of a pair, and which of them a length limit leaves.

    prompt, chosen, rejected: the tokens as they are to be read, the answers with their
        end; all of one row no more than about thirty
    sliders: max_length, in tokens; keep, "keep_start" or "keep_end": which part of a
        row that is too long stays
    """
    rows = [[*prompt, *chosen], [*prompt, *rejected]]
    width = max(map(len, rows))

    def draw(axis: Axes, max_length: int, keep: str) -> str:
        length = int(max_length)
        part = slice(length) if keep == "keep_start" else slice(-length, None)
        kept = [range(len(row))[part] for row in rows]
        for row, tokens in enumerate(rows):
            for place, token in enumerate(tokens):
                _box(axis, row, place, token, place < len(prompt), place in kept[row])
        if keep == "keep_start":
            axis.axvline(length, color=INK, lw=1.2, ls=DOTS)
        return _told(length, len(prompt), rows, kept)

    def still(axis: Axes):
        name(axis, 0, -0.1, "prompt", QUIET, at=(0, 0))
        name(axis, len(prompt), -0.1, "answer", INK, at=(0, 0))

    return Scene.of(
        draw,
        panel("One pair, token by token", ("", 0, width), (2, -0.25), **BARE),
        says="What max_length cuts off is neither read nor scored",
        shows="Each box is a token; above the chosen answer, below the rejected one. "
        "Dotted and empty: cut off.",
        still=still,
        height=3.4,
    )


def _box(axis: Axes, row: int, place: int, token: str, asked: bool, here: bool):
    mark = MARK[("chosen", "rejected")[row]]
    color, edge = mark["color"], {"ec": mark["color"], "ls": mark["ls"]}
    if asked:
        color, edge = QUIET, {"ec": REFERENCE}
    if not here:
        edge = {"ec": REFERENCE, "ls": DOTS}
    box = Rectangle((place + 0.06, row + 0.06), 0.88, TALL, fc="none", lw=1.2, **edge)
    axis.add_patch(box)
    if here:
        look = {"rotation": 90, "ha": "center", "va": "center", "fontsize": 9}
        axis.text(place + 0.5, row + 0.06 + TALL / 2, token, color=color, **look)


def _told(length: int, asked: int, rows: list, kept: list) -> str:
    """What a person sees, and what it means for the pair."""
    pairs = [*zip(rows, kept, strict=True)]
    answers = [[row[p] for p in part if p >= asked] for row, part in pairs]
    whole = [len(row) - asked for row in rows]
    left = sum(p < asked for p in kept[0])
    told = (
        f"max_length = {length}: {left} of {asked} prompt tokens stay beside the "
        f"chosen answer, {len(answers[0])} of its {whole[0]} tokens and "
        f"{len(answers[1])} of the {whole[1]} of the rejected one."
    )
    ends = sum(bool(part) and part[-1] == len(row) - 1 for row, part in pairs)
    if not any(answers):
        return f"{told} Nothing is left to score, and the pair is dropped."
    if answers[0] == answers[1]:
        return f"{told} The two answers are now the same: the pair teaches nothing."
    if left < asked and [*map(len, answers)] != whole:
        return f"{told} The prompt is gone, and the beginning of an answer with it."
    if left < asked:
        return f"{told} The answers are whole, and part of the question is gone."
    if ends < 2:
        return f"{told} The difference is there, and {2 - ends} of 2 ends are cut off."
    return f"{told} Nothing is lost."
