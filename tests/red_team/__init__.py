"""A red team: the submissions that the grader has to survive, and what each deserves.

All of it is text here, run by nothing but the grader. What a bomb takes is bounded by
the bomb itself, and what is to be destroyed was planted by the test.
"""

from red_team import (
    disguises,
    endings,
    files,
    floods,
    forging,
    givens,
    honest,
    neighbours,
    spying,
)
from red_team.submission import LEVELS, Item, Places

__all__ = ["FILES", "ITEMS", "LEVELS", "Item", "Places"]

KINDS = (honest, files, endings, floods, forging, disguises, spying, neighbours)
KINDS += (givens,)
FILES = files.ITEMS  # what is wrong with them shows before any process is there
ITEMS = [item for kind in KINDS for item in kind.ITEMS]
