"""The README's screens: a check's card after a wrong answer, and a class's report."""

import io
import sys
import tempfile
from pathlib import Path

import torch.nn.functional as F
from PIL import Image

from course_lib import check
from course_lib.workspace import CourseError, repository, write_whole
from course_tools import browser
from course_tools.benchmarks._processes import aside
from course_tools.benchmarks.grading.classes import write_losses

__all__ = ["card", "make", "report", "small"]

DOCS = repository() / "docs"
LEARNERS, COLOURS = 60, 64
SHEET = (
    '<!doctype html><meta charset="utf-8"><body style="margin:0;background:#fff;'
    'color:#16181d;font:15px/1.45 system-ui,sans-serif"><main style="display:'
    'inline-block;padding:12px">{}</main>'
)


def make(folder: Path = DOCS) -> str:
    """Take both screens in a real browser; say what was written.

    raises: CourseError without a Chromium or Playwright
    """
    if missing := browser.trouble():
        raise CourseError(missing, "Or keep the screens that are there.")
    with tempfile.TemporaryDirectory() as scratch:
        pages = {"card.png": card(Path(scratch)), "report.png": report(Path(scratch))}
        told = []
        for name, (page, width, height) in pages.items():
            picture = small(_screen(page, width, height))
            write_whole(folder / name, lambda part, p=picture: part.write_bytes(p))
            told.append(f"{name}: {(folder / name).stat().st_size:,} bytes")
    return "\n".join(told)


def card(room: Path) -> tuple[Path, int, int]:
    """A page with what `check` says to a loss with the two answers exchanged."""

    def dpo_loss(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
        gap = (policy_rejected - ref_rejected) - (policy_chosen - ref_chosen)
        return -F.logsigmoid(beta * gap).mean()

    page = room / "card.html"
    page.write_text(SHEET.format(check(dpo_loss)._repr_html_()), encoding="utf-8")
    return page, 790, 0


def report(room: Path) -> tuple[Path, int, int]:
    """The report on a made-up class, three tenths of which have a bug of the clinic."""
    write_losses(room / "class", LEARNERS)
    command = [sys.executable, "-m", "course_lib", "grade", str(room / "class")]
    command += ["--exercise", "dpo_loss", "--out", str(room / "told")]
    aside(command, cwd=repository())
    return room / "told" / "report.html", 1000, 900


def small(picture: bytes) -> bytes:
    """A PNG of few colours, as screens have them."""
    drawn = Image.open(io.BytesIO(picture)).convert("RGB")
    few = drawn.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    made = io.BytesIO()
    few.save(made, format="PNG", optimize=True)
    return made.getvalue()


def _screen(page: Path, width: int, height: int) -> bytes:
    """A page as a browser shows it at this width; of height 0, all that it holds."""
    with browser.launched() as chromium:
        view = {"width": width, "height": height or 600}
        shown = chromium.new_page(viewport=view, device_scale_factor=1.5)
        shown.goto(page.as_uri())
        taken = shown if height else shown.locator("main")
        return taken.screenshot()
