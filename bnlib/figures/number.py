"""Number: a short number that is drawn quickly."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

SIZE = 16  # px, which is 12 pt on the screen


class Number(PathPatch):
    """A number centred at a fixed place of a figure.

    Matplotlib lays out a Text anew each time it is drawn, 1 ms for four digits: half a frame, if
    there are six of them. Here the outline of each character is made once, and a number is the
    outlines in a row. x, y : px from the lower left corner of the figure.
    """

    def __init__(self, x: float, y: float) -> None:
        place = Affine2D().translate(round(x), round(y - 0.36 * SIZE))
        super().__init__(_outline(""), transform=place, color="black", lw=0, clip_on=False)
        self.text = ""

    def set_text(self, text: str) -> None:
        """Show `text`, of digits and any of ". + - e %" ("" for nothing)."""
        if text != self.text:
            self.text = text
            self.set_path(_outline(text))


def _outline(text: str) -> Path:
    """The characters' outlines in a row, x = 0 in their middle."""
    x, vertices, codes = 0.0, [np.empty((0, 2))], [np.empty(0, Path.code_type)]
    for character in text:
        path, advance = _glyph(character)
        vertices.append(path.vertices + np.array([x, 0]))
        codes.append(path.codes)
        x += advance
    return Path(np.concatenate(vertices) - np.array([x / 2, 0]), np.concatenate(codes))


@lru_cache(maxsize=64)
def _glyph(character: str) -> tuple[Path, float]:
    """Outline and advance; the advance is how far a following 0 is moved."""
    if character == " ":  # of which Matplotlib makes no path
        path = Path(np.empty((0, 2)), np.empty(0, Path.code_type))
    else:
        path = TextPath((0, 0), character, size=SIZE)
    zero, pair = (TextPath((0, 0), text, size=SIZE).vertices for text in ("0", character + "0"))
    return path, pair[:, 0].max() - zero[:, 0].max()
