"""Made-up classes: notebooks that graders are measured with."""

import inspect
import json
import re
from pathlib import Path

from course_lib.bugs import BUGGY, SOUND
from course_lib.workspace import find
from course_tools.benchmarks._pages import page
from course_tools.build import BEGIN, END, STUB

__all__ = ["IMPORTS", "losses", "write_chapter", "write_losses"]

IMPORTS = "import torch\nimport torch.nn.functional as F"
WRONG = (1, 4, 8)  # of each ten
REGION = re.compile(f" *{BEGIN}\n(.*?) *{END}", re.DOTALL)


def losses(count: int) -> dict[str, tuple[str, bool]]:
    """The code of so many `dpo_loss`, by learner, and whether it is right.

    Seven of ten are sound, three buggy, all in turns.
    """
    right = [f for f in SOUND["loss"] if f.__module__ == "course_lib.bugs"]
    wrong = [p.function for p in BUGGY.values() if p.concerns == "loss"]
    found = {}
    for number in range(count):
        ill = number % 10 in WRONG
        of = wrong if ill else right
        code = inspect.getsource(of[(number // 10 * 3 + number) % len(of)])
        code = re.sub(r"\A.*?^def \w+", "def dpo_loss", code, flags=re.S | re.M)
        found[f"learner{number:04}"] = (f"{code}# page {number}", not ill)
    return found


def write_losses(folder: Path, count: int) -> dict[str, bool]:
    """A notebook with `dpo_loss` for each learner; return who has it right."""
    folder.mkdir(parents=True)
    made = losses(count)
    for name, (code, _) in made.items():
        text = page([IMPORTS, code])
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
    return {name: right for name, (_, right) in made.items()}


def write_chapter(folder: Path, count: int, chapter: str):
    """So many copies of a chapter's page as learners hand it in, pictures and all.

    Every tenth exercise is as it was handed out; in two of ten the first minus sign of
    the solution, if it has one, is flipped. Which these are differs from page to page.
    """
    folder.mkdir(parents=True)
    model = find("solutions", chapter).read_text(encoding="utf-8")
    for number in range(count):
        sheet = json.loads(model)
        cells = sheet["cells"]
        tagged = [c for c in cells if "exercise" in c["metadata"].get("tags", ())]
        for place, cell in enumerate(tagged):
            fate = (7 * number + 3 * place + number // 10) % 10
            cell["source"] = _handed_in("".join(cell["source"]), fate, number)
        path = folder / f"learner{number:04}.ipynb"
        path.write_text(json.dumps(sheet), encoding="utf-8")


def _handed_in(source: str, fate: int, number: int) -> str:
    """A solution as a learner has it; fate: 0 nothing done, 1 and 2 with a mistake."""

    def written(region: re.Match) -> str:
        body = region[1] if fate else "".join(f"    {line}\n" for line in STUB)
        if fate in (1, 2):
            body = re.sub(r" - ", " + ", body, count=1)
        return body + f"    # page {number}"

    return REGION.sub(written, source)
