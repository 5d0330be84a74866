"""A picture for the browser: pixels -> PNG with a palette -> HTML of a fixed size."""

from __future__ import annotations

import base64
import html
import io
from functools import lru_cache

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from bnlib.figures import COLORS

CAPTION_HEIGHT = 46  # px, two lines; reserved always, so that the layout never jumps


def picture_html(png: bytes, sentence: str, size: tuple[int, int]) -> str:
    """The picture and its caption, as the value of an HTML widget of fixed size.

    `Image` widgets have no alt text, hence the `img`. The caption is hidden from screen readers,
    which have read the same sentence as the alt text. decoding="sync" avoids a white flash.
    """
    width, height = size
    alt = html.escape(sentence)
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<img alt="{alt}" width="{width}" height="{height}" decoding="sync" '
        f'style="display:block; max-width:100%; height:auto" src="data:image/png;base64,{data}">'
        f'<div aria-hidden="true" style="height:{CAPTION_HEIGHT}px; overflow:auto; '
        f'font-size:16px; line-height:22px; color:var(--jp-content-font-color1, black)">{alt}</div>'
    )


def encode_png(rgba: np.ndarray, palette: str = "suite") -> bytes:
    """A PNG with a palette of at most 256 colours: a tenth of the bytes, a third of the time."""
    height, width = rgba.shape[:2]
    image = Image.frombytes("RGB", (width, height), rgba, "raw", "RGBX")
    if palette == "suite":
        image = image.quantize(palette=_suite_palette(), dither=Image.Dither.NONE)
    elif palette == "adaptive":
        image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    else:
        raise ValueError(f'palette expected "suite" or "adaptive", got {palette!r}')
    out = io.BytesIO()
    image.save(out, "png", compress_level=3)
    return out.getvalue()


@lru_cache(maxsize=1)
def _suite_palette() -> Image.Image:
    """Greys, and each colour of the suite mixed with white, with black and with each other."""
    hues = [np.array(to_rgb(c)) for c in dict.fromkeys(COLORS.values())]
    hues = [h for h in hues if np.ptp(h) > 0.1]  # the greys come separately
    white, black = np.ones(3), np.zeros(3)
    mixed = [np.full(3, g) for g in np.linspace(0, 1, 26)]
    mixed += [h + t * (white - h) for h in hues for t in np.linspace(0, 1, 16)[:-1]]
    mixed += [h + t * (black - h) for h in hues for t in (0.25, 0.5, 0.75)]
    mixed += [
        (a + b) / 2 + t * (white - (a + b) / 2)
        for i, a in enumerate(hues)
        for b in hues[:i]
        for t in (0, 0.3, 0.6)
    ]
    entries = np.rint(255 * np.array(mixed)).astype(np.uint8)
    entries = np.unique(entries, axis=0)[:256]
    image = Image.new("P", (1, 1))
    image.putpalette(entries.tobytes())
    return image
