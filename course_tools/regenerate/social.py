"""The picture that a link to the website shows: its title, and chapter 00's figure."""

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from course_lib.plots import leash, style
from course_lib.sliders import LogSlider, slider_plot
from course_lib.transformer import load
from course_lib.workspace import write_whole
from course_lib.worlds import world_s
from course_tools.site import THEME

__all__ = ["card", "make"]

SIZE = 1200, 630  # what previews of links are cut to
EDGE, GAP, SHARP = 40, 60, 200
TITLE = "DPO\nfrom first\nprinciples"
WORDS = "Direct Preference Optimization\nin worlds small enough\nto be exact"
SHIPPED = THEME / "card.png"
FONTS = Path(style.__file__).with_name("fonts")


def make(path: Path = SHIPPED) -> str:
    """Draw the picture and write it; say what was written."""
    few = card().quantize(96, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    write_whole(path, lambda part: few.save(part, format="PNG", optimize=True))
    return f"{path.name}: {path.stat().st_size:,} bytes"


def card() -> Image.Image:
    """The figure near β = 0.3 on the right, in full height; words on the left."""
    sheet = Image.new("RGB", SIZE, "white")
    figure = _figure()
    height = SIZE[1] - 2 * EDGE
    width = round(figure.width * height / figure.height)
    sheet.paste(figure.resize((width, height)), (SIZE[0] - width - EDGE, EDGE))
    pen = ImageDraw.Draw(sheet)
    bold, plain = (FONTS / f"CourseSans-{face}.otf" for face in ("Bold", "Regular"))
    large, small = ImageFont.truetype(bold, 76), ImageFont.truetype(plain, 31)
    pen.multiline_text((GAP, 130), TITLE, style.INK, large, spacing=14)
    pen.multiline_text((GAP, 420), WORDS, style.QUIET, small, spacing=12)
    pen.rectangle((0, 0, 14, SIZE[1]), style.CHOSEN)
    return sheet


def _figure() -> Image.Image:
    beta = LogSlider(0.05, 5, 41, start=5, label="β")
    figure = slider_plot(*leash(world_s().exact(load("S"))), beta=beta)
    figure.set(beta=min(beta.values, key=lambda value: abs(value - 0.3)))
    return Image.open(io.BytesIO(style.png(figure.figure, SHARP))).convert("RGB")
