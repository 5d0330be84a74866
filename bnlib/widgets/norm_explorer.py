"""NormExplorer: which numbers of a batch of feature maps share a mean, for each norm."""

from __future__ import annotations

import numpy as np
from matplotlib.patches import Rectangle

from bnlib.figures.format import number
from bnlib.figures.style import COLORS
from bnlib.views import check_array
from bnlib.widgets.controls import menu, slider
from bnlib.widgets.live import LiveFigure

# name -> its colour's name in the style
NORMS = {"BN": "with BN", "LN": "LN", "IN": "IN", "GN": "GN", "RMSNorm": "theory"}
GAP = 0.18  # of a map's side, between two maps


def sharing(norm: str, shape: tuple[int, ...], example: int, channel: int, groups: int) -> tuple:
    """The index of all numbers of x (N, C, H, W) that share statistics with one map.

    norm : "BN", "LN", "IN", "GN" or "RMSNorm"; groups : of GN, divides C. LN and RMSNorm take all
    channels of an example, as Wu & He 2018 do for images. Source: their Figure 2.
    """
    if norm == "BN":
        return slice(None), slice(channel, channel + 1)
    own = slice(example, example + 1)
    each = {"IN": 1, "GN": shape[1] // groups}.get(norm, shape[1])
    first = channel // each * each
    return own, slice(first, first + each)


class NormExplorer(LiveFigure):
    """Choose a norm and a map; the maps that share its mean and variance light up.

    A row is an example, a column a channel, a square the positions of one map. At the right: the
    distribution of the numbers that share the statistics, with mean and standard deviation (for
    RMSNorm the root of the mean square). Dim maps do not matter for the chosen one.

    Parameters
    ----------
    x : (N, C, H, W), 2 to 6 examples and 2 to 8 channels, what enters a norm in a CNN

    Raises ValueError for another shape or x that is not finite, TypeError for another type.
    Source: Wu & He 2018 (arXiv:1803.08494), Figure 2.
    """

    size = (880, 390)
    palette = "adaptive"

    def __init__(self, x: np.ndarray) -> None:
        check_array(x)
        if x.ndim != 4 or not (2 <= x.shape[0] <= 6 and 2 <= x.shape[1] <= 8):
            raise ValueError(
                "NormExplorer expected x of shape (N, C, H, W) with 2 to 6 examples and 2 to 8 "
                f"channels, got {x.shape}: take a few, x[:4, :6]"
            )
        if not np.isfinite(x).all():
            raise ValueError(
                f"NormExplorer expected finite x, got {(~np.isfinite(x)).sum()} numbers that are "
                "not: has the network diverged?"
            )
        self.x = x
        n, c = x.shape[:2]
        divisors = [g for g in range(2, c) if c % g == 0] or [1]
        controls = {
            "norm": menu("norm", list(NORMS), "BN", width=150),
            "groups": menu("groups of GN", divisors, divisors[0], width=170),
            "example": slider("example", 1, 0, n - 1, width=220),
            "channel": slider("channel", min(2, c - 1), 0, c - 1, width=220),
        }
        super().__init__(controls)

    def build(self, fig):
        fig.set_layout_engine("none")
        n, c = self.x.shape[:2]
        maps = fig.add_axes((0.075, 0.11, 0.56, 0.81), xlabel="channel", ylabel="example")
        maps.tick_params(length=0)
        maps.spines[:].set_visible(False)
        top = float(np.abs(self.x).max()) or 1.0
        grey = {"cmap": "gray", "vmin": -top, "vmax": top}
        self._squares = {}
        for i, k in np.ndindex(n, c):
            place = (k, k + 1 - GAP, i + 1 - GAP, i)
            maps.imshow(self.x[i, k], **grey, extent=place, aspect="auto")
            square = Rectangle((k, i), 1 - GAP, 1 - GAP, lw=3, zorder=3)
            self._squares[i, k] = maps.add_patch(square)
        maps.set(xlim=(-GAP, c), ylim=(n, -GAP))
        maps.set_xticks(np.arange(c) + 0.41, range(c))
        maps.set_yticks(np.arange(n) + 0.41, range(n))
        self._chosen = maps.add_patch(
            Rectangle((0, 0), 1 - GAP, 1 - GAP, fill=False, ec="black", lw=3, ls=":", zorder=4)
        )
        hist = fig.add_axes((0.7, 0.2, 0.28, 0.5))
        hist.set(xlim=(-top, top), ylim=(0, 1.05), xlabel="value", yticks=[])
        hist.spines["left"].set_visible(False)
        self._all = hist.stairs(np.zeros(40), np.linspace(-top, top, 41), fill=True)
        self._mean = hist.axvline(0, color="black", lw=2)
        self._bar = hist.plot([], [], color="black", lw=5, solid_capstyle="butt")[0]
        self._text = fig.text(0.7, 0.93, "", va="top", size=13, linespacing=1.5)
        return [*self._squares.values(), self._chosen, self._all, self._mean, self._bar, self._text]

    def draw(self, norm, groups, example, channel):
        color, centres = COLORS[NORMS[norm]], norm != "RMSNorm"
        own = sharing(norm, self.x.shape, example, channel, groups)
        lit = np.zeros(self.x.shape[:2], dtype=bool)
        lit[own] = True
        for at, square in self._squares.items():
            face, edge = ((1, 1, 1, 0.0), color) if lit[at] else ((1, 1, 1, 0.72), "none")
            square.set(facecolor=face, edgecolor=edge)
        self._chosen.set_xy((channel, example))
        values = self.x[own]
        mean = values.mean() if centres else 0.0
        spread = np.sqrt(((values - mean) ** 2).mean())
        counts = np.histogram(values, self._all.get_data().edges)[0]
        self._all.set_data(counts / max(counts.max(), 1))
        self._all.set(facecolor=color, alpha=0.6)
        self._mean.set_xdata([mean, mean])
        self._bar.set_data([mean - spread, mean + spread], [0.02, 0.02])
        images, maps = values.shape[:2]
        what = f"{_count(images * maps, 'map')} of {_count(images, 'example')}"
        by = f"mean {number(mean)}, std {number(spread)}" if centres else f"rms {number(spread)}"
        self._text.set_text(f"{norm}: {what}\n{values.size:,} numbers share\n{by}")
        who = f"GN with {groups} groups" if norm == "GN" else norm
        self._said = (
            f"{who}: example {example}, channel {channel} is normalised by the {values.size:,} "
            f"numbers of {what}"
        )
        return f"{self._said}: {by}."

    def summary(self) -> str:
        return f"{self._said}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"
