"""Small pictures: pixels -> PNG with a palette; frames -> animated GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from bnlib.figures.style import COLORS, INK


def encode_png(rgba: np.ndarray, palette: str = "suite") -> bytes:
    """A PNG with a palette of at most 256 colours: a tenth of the bytes, a third of the time.

    rgba : (height, width, 4) bytes, opaque. palette : "suite", the colours of `COLORS` and `INK`
    and their mixtures, or "adaptive", the picture's own (heat maps). Raises ValueError for another.
    """
    from PIL import Image

    height, width = rgba.shape[:2]
    image = Image.frombytes("RGB", (width, height), rgba, "raw", "RGBX")
    if palette == "suite":
        image = image.quantize(palette=_suite_palette(), dither=Image.Dither.NONE)
    elif palette == "adaptive":
        image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    else:
        raise ValueError(f'palette expected "suite" or "adaptive", got {palette!r}')
    out = io.BytesIO()
    image.save(out, "png", compress_level=4)
    return out.getvalue()


def encode_gif(pngs: Sequence[bytes], seconds: float = 0.15, last: float = 2.0) -> bytes:
    """The pictures as a GIF that repeats; each stands for ``seconds``, the last for ``last``."""
    from PIL import Image

    images = [Image.open(io.BytesIO(png)) for png in pngs]
    durations = [round(1000 * seconds)] * (len(images) - 1) + [round(1000 * last)]
    out = io.BytesIO()
    images[0].save(out, "gif", save_all=True, append_images=images[1:], duration=durations, loop=0)
    return out.getvalue()


@lru_cache(maxsize=1)
def _suite_palette():
    """Greys, and each colour of the suite mixed with white, with black and with each other."""
    from matplotlib.colors import to_rgb
    from PIL import Image

    hues = [np.array(to_rgb(c)) for c in dict.fromkeys(COLORS.values())]
    hues = [h for h in hues if np.ptp(h) > 0.1]  # the greys come separately
    white, black = np.ones(3), np.zeros(3)
    mixed = [np.full(3, g) for g in np.linspace(0, 1, 26)]
    mixed += [h + t * (white - h) for h in hues for t in np.linspace(0, 1, 16)[:-1]]
    mixed += [h + t * (black - h) for h in hues for t in (0.25, 0.5, 0.75)]
    inks = [np.array(to_rgb(INK[name])) for name in COLORS if INK[name] != COLORS[name]]
    mixed += [h + t * (white - h) for h in inks for t in np.linspace(0, 1, 8)[:-1]]
    pairs = [(a + b) / 2 for i, a in enumerate(hues) for b in hues[:i]]
    mixed += [h + t * (white - h) for h in pairs for t in (0, 0.3, 0.6)]
    entries = np.unique(np.rint(255 * np.array(mixed)).astype(np.uint8), axis=0)[:256]
    image = Image.new("P", (1, 1))
    image.putpalette(entries.tobytes())
    return image
