"""`python3 -m course_lib check [NN | FILE …]`: check exercises without a notebook."""

import argparse
import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

from course_lib import workspace
from course_lib.checking.api import checked
from course_lib.checking.verdict import PASSED
from course_lib.exercises import EXERCISES
from course_lib.submission.loading import cells_of, defined_in, load
from course_tools.copies import has_exercises


def main(argv: Sequence[str]) -> int:
    """Check what the words name, or every exercise; 0 if all that is there passes."""
    parser = argparse.ArgumentParser(
        prog="python3 -m course_lib check", description="check your exercises"
    )
    parser.add_argument("copies", metavar="NN|FILE", nargs="*")
    words = parser.parse_args(argv).copies
    paths = [path for word in words or [""] for path in _copies(word)]
    if not paths:
        asked = f" of {', '.join(words)}" if words else ""
        print(f"There is nothing to check: no exercises{asked} in", end=" ")
        print(f"{workspace.work_folder()}. Name a chapter (4 or 04) or a file.")
        return 1
    passed = True
    for path in paths:
        try:
            cells = cells_of(path.name, path.read_bytes())
        except (OSError, ValueError) as error:
            print(f"{path} {error}.\n")
            passed = False
            continue
        asked = [name for name in EXERCISES if name in defined_in(cells)]
        if not asked:
            print(f"{path} defines no function that an exercise asks for.\n")
            passed = False
        for name in asked:
            with contextlib.redirect_stdout(io.StringIO()):
                loaded = load(cells, name)
            if loaded.function:
                card = checked(EXERCISES[name], loaded.function)
                print(card, end="\n\n")
            else:
                print(f"{name}: {loaded.trouble}\n")
            passed = passed and bool(loaded.function) and card.state == PASSED
    return 0 if passed else 1


def _copies(word: str) -> list[Path]:
    """The pages meant by 4, 04, a chapter's name, a path, or nothing (all of them)."""
    if word.endswith((".ipynb", ".py")):
        return [Path(word)]
    number = word.zfill(2) if word.isdigit() else word[:2]
    found = workspace.work_folder().glob(f"{number}*.ipynb")
    pages = [path for path in sorted(found) if ".backup-" not in path.name]
    return [
        path
        for path in pages
        if path.stem.endswith("_exercises") or has_exercises(workspace.read(path))
    ]
