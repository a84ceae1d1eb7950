"""The layers of one figure as SVG; what they share is written once for all of them.

Matplotlib's own renderer draws them. It writes elements instead of a file, so nothing
has to be cut out again: no head, no names of artists, no digits that nobody sees.
"""

import io
import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, tostring

from matplotlib.artist import Artist
from matplotlib.backends.backend_svg import RendererSVG

__all__ = ["Layers"]

NEEDLESS = re.compile(r"(?<=\.\d)\d+| *\n")  # in a path: digits, and ends of lines


class Layers(RendererSVG):
    """Draws one layer after another.

    width, height: of the figure in points; dpi: of images in it
    """

    def __init__(self, width: float, height: float, dpi: float):
        super().__init__(width, height, io.StringIO(), image_dpi=dpi)
        self.writer = _Elements()  # the head of a file stays behind

    def layer(self, artists: Iterable[Artist]) -> str:
        """What these artists draw, the uppermost last."""
        self._path_collection_id = 0  # the same points get the same names
        drawn = self.writer.begin()
        for artist in sorted(artists, key=lambda artist: artist.zorder):
            artist.draw(self)
        return "".join(tostring(item, "unicode") for item in drawn)

    def definitions(self) -> str:
        """What all layers until now refer to: letters, markers, clips and hatches."""
        self._write_clips()
        self._write_hatches()
        named = {item.get("id"): item for item in self.writer.definitions}
        return "".join(tostring(item, "unicode") for item in named.values())

    def open_group(self, s, gid=None):
        """Nothing: a group would do no more than name an artist."""

    def close_group(self, s):
        """Nothing, as no group was opened."""


class _Elements:
    """Takes what the renderer writes, and puts definitions apart."""

    def __init__(self):
        self.definitions = Element("defs")
        self.begin()

    def begin(self) -> Element:
        """Where elements go from now on, also after an artist that failed."""
        self._open = [Element("g")]
        return self._open[0]

    def start(self, tag, attrib=None, **extra):
        given = {name: v for name, v in {**(attrib or {}), **extra}.items() if v}
        if "d" in given:
            given["d"] = NEEDLESS.sub("", given["d"])
        new = tag != "defs"
        self._open.append(
            SubElement(self._open[-1], tag, given) if new else self.definitions
        )

    def end(self, tag=None):
        self._open.pop()

    def element(self, tag, text=None, attrib=None, **extra):
        self.start(tag, attrib, **extra)
        self._open[-1].text = text
        self.end()

    def comment(self, text):
        """Nothing: the words of a text are in its letters."""
