"""The picture that a link to the website shows: its title, and chapter 00's figure."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from course_lib.plots import palette
from course_lib.workspace import write_whole
from course_tools.regenerate.leash import BETA, painted
from course_tools.site import THEME

__all__ = ["card", "make"]

SIZE = 1200, 630  # what previews of links are cut to
EDGE, GAP, SHARP = 40, 60, 200
TITLE = "DPO\nfrom first\nprinciples"
WORDS = "Direct Preference Optimization\nin worlds small enough\nto be exact"
SHIPPED = THEME / "card.png"
FONTS = Path(palette.__file__).with_name("fonts")


def make(path: Path = SHIPPED) -> str:
    """Draw the picture and write it; say what was written."""
    few = card().quantize(96, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    write_whole(path, lambda part: few.save(part, format="PNG", optimize=True))
    return f"{path.name}: {path.stat().st_size:,} bytes"


def card() -> Image.Image:
    """The figure near β = 0.3 on the right, in full height; words on the left."""
    sheet = Image.new("RGB", SIZE, "white")
    beta = min(BETA.values, key=lambda value: abs(value - 0.3))
    (figure,) = painted([beta], SHARP)
    height = SIZE[1] - 2 * EDGE
    width = round(figure.width * height / figure.height)
    sheet.paste(figure.resize((width, height)), (SIZE[0] - width - EDGE, EDGE))
    pen = ImageDraw.Draw(sheet)
    bold, plain = (FONTS / f"CourseSans-{face}.otf" for face in ("Bold", "Regular"))
    large, small = ImageFont.truetype(bold, 76), ImageFont.truetype(plain, 31)
    pen.multiline_text((GAP, 130), TITLE, palette.INK, large, spacing=14)
    pen.multiline_text((GAP, 420), WORDS, palette.QUIET, small, spacing=12)
    pen.rectangle((0, 0, 14, SIZE[1]), palette.CHOSEN)
    return sheet
