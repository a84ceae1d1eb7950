"""The README's moving picture: the first figure of chapter 00, its β let out."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

from course_lib.plots import leash
from course_lib.plots.style import WIDTH, png
from course_lib.sliders import LogSlider, slider_plot
from course_lib.transformer import load
from course_lib.workspace import repository, write_whole
from course_lib.worlds import world_s

__all__ = ["frames", "make", "painted"]

BETA = LogSlider(0.05, 5, 41, start=5, label="β")
FIRST, NEXT, LAST = 1200, 110, 1800  # milliseconds that a frame stays


def painted(betas: Iterable[float], dpi: float) -> Iterator[Image.Image]:
    """The figure at each of some β, with so many pixels an inch."""
    figure = slider_plot(*leash(world_s().exact(load("S"))), beta=BETA)
    for beta in betas:
        figure.set(beta=beta)
        yield Image.open(io.BytesIO(png(figure.figure, dpi))).convert("RGB")


def frames() -> Iterator[Image.Image]:
    """The figure at every β of the chapter's slider, from the tightest leash on."""
    for drawn in painted(sorted(BETA.values, reverse=True), WIDTH):
        method = Image.Quantize.MAXCOVERAGE
        yield drawn.quantize(48, method, dither=Image.Dither.NONE)


SHIPPED = repository() / "docs" / "leash.gif"


def make(path: Path = SHIPPED) -> str:
    """Draw the frames and write them as one picture; say what was written."""
    first, *more = frames()
    stay = [FIRST, *[NEXT] * (len(more) - 1), LAST]
    moving = {"save_all": True, "append_images": more, "duration": stay, "loop": 0}
    moving |= {"format": "GIF", "optimize": True}
    write_whole(path, lambda part: first.save(part, **moving))
    return f"{path.name}: {1 + len(more)} frames, {path.stat().st_size:,} bytes"
