"""The one palette and style of the whole suite, and `show`, which gives a figure its alt text.

One meaning a colour everywhere, and never by colour alone: the line style says the same. The
colours are Okabe and Ito's, which people with the common colour vision deficiencies can tell apart
(two that are close have different line styles). On white a line needs a contrast of 3 to 1 and text
4.5 to 1 (WCAG 2.2, criteria 1.4.11 and 1.4.3): so their sky blue, #56B4E9, is darkened here, and
letters have a palette of their own, `INK`.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import numpy as np

from bnlib.folded import BLANK

COLORS = {
    "without BN": "#D55E00",
    "with BN": "#0072B2",
    "LN": "#009E73",
    "GN": "#CC79A7",
    "IN": "#4B9DCC",
    "theory": "#000000",
    "data": "#7F7F7F",
}
INK = COLORS | {  # for text: the same hues, darkened where letters would be hard to read
    "without BN": "#C35600",
    "LN": "#008763",
    "GN": "#A46186",
    "IN": "#3C7DA2",
    "data": "#767676",
}
STYLES = {
    "without BN": "--",
    "with BN": "-",
    "LN": "-.",
    "GN": ":",
    "IN": (0, (5, 1, 1, 1)),
    "theory": (0, (1, 1)),
    "data": "-",
}
RC = {
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "figure.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2,
}


@contextmanager
def style() -> Iterator[None]:
    """A context in which new figures look like the suite's: `with style(): plt.subplots()`.

    Like `matplotlib.rc_context(RC)`, which saves all 300 settings and takes 10 times as long:
    widgets enter it for every frame.
    """
    from matplotlib import rcParams

    before = {name: rcParams[name] for name in RC}
    rcParams.update(RC)
    try:
        yield
    finally:
        rcParams.update(before)


class Picture:
    """What `show` returns: the PNG of a figure and the sentence that says what it shows."""

    def __init__(self, png: bytes, size: tuple[int, int], sentence: str) -> None:
        self.png, self.size, self.sentence = png, size, sentence

    def _repr_mimebundle_(self, **_) -> dict[str, str]:
        data = base64.b64encode(self.png).decode("ascii")
        alt, (width, height) = html.escape(self.sentence), self.size
        return {
            "text/plain": self.sentence,
            "text/html": f'{BLANK}<img alt="{alt}" width="{width}" height="{height}" '
            'style="max-width:100%; height:auto; background:white" '
            f'src="data:image/png;base64,{data}">',
            "image/png": data,
        }

    def __repr__(self) -> str:
        return self.sentence


def show(fig, sentence: str) -> Picture:
    """The last line of a notebook's cell: the figure ``fig``, with ``sentence`` as its alt text.

    JupyterLab and nbconvert give no alt text to a picture that pyplot shows. They prefer HTML to
    it, so this is HTML too, `<img alt="…">`. The sentence, which says what to see, is also the
    cell's text/plain output, which strict nbval compares: no number in it may depend on the
    processor. The figure is closed. Raises ValueError without a sentence.
    """
    from matplotlib import pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from bnlib.figures.png import encode_png

    if not isinstance(sentence, str) or not sentence.strip():
        raise ValueError(
            f"show expected a sentence for people who cannot see the picture, got {sentence!r}"
        )
    canvas = FigureCanvasAgg(fig)
    fig.set_dpi(96)  # 12 pt on the screen
    with style():
        canvas.draw()
    pixels = np.array(canvas.buffer_rgba())
    plt.close(fig)
    return Picture(encode_png(pixels, "adaptive"), pixels.shape[1::-1], sentence)


def look(name: str) -> dict:
    """Colour and line style of a kind of network, as keyword arguments of `ax.plot`."""
    return {"color": COLORS.get(name, COLORS["data"]), "linestyle": STYLES.get(name, "-")}


def styled(function: Callable) -> Callable:
    """Every artist made inside has the suite's fonts, whatever the user's settings are."""

    @wraps(function)
    def styled(*args, **kwargs):
        with style():
            return function(*args, **kwargs)

    return styled


def subplots(rows: int, columns: int, size: tuple[float, float], **kwargs):
    """pyplot's, with an array of axes always."""
    from matplotlib import pyplot as plt

    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **kwargs)
