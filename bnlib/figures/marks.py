"""What several pictures draw: marks at the edge of an axis, curves over training."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bnlib.figures.style import look


class EdgeMarks:
    """Triangles at the upper and lower edge of `ax`, at each x where a value is beyond it.

    What is cut off would pass for data without them.
    ``artists`` are the two that `show` changes.
    """

    def __init__(self, ax, color: str = "black", size: float = 5) -> None:
        kind = {"color": color, "ls": "", "ms": size, "clip_on": False, "zorder": 5}
        self.ax, place = ax, ax.get_xaxis_transform()
        self.artists = [ax.plot([], [], mark, transform=place, **kind)[0] for mark in "^v"]
        for artist in self.artists:
            artist.set_in_layout(False)

    def show(self, x: np.ndarray, *lines: np.ndarray) -> None:
        """x : (T,); lines : (T,) each, in the units of the y axis; NaN is nowhere."""
        low, high = self.ax.get_ylim()
        values = np.reshape(lines, (len(lines), len(x)))
        beyond = (values > high).any(axis=0), (values < low).any(axis=0)
        for artist, there, edge in zip(self.artists, beyond, (0.97, 0.03)):
            at = np.asarray(x)[there]
            artist.set_data(at, np.full(len(at), edge))


class Progress:
    """Curves over training, one a network: thick up to a cursor at the film's step, thin after it.

    last : the end of the time axis; end : how it is written there, "" for no labels. ``artists``
    are those that `show` changes.
    """

    def __init__(self, ax, title: str, names: Iterable[str], last: int, end: str) -> None:
        ax.set(xlim=(0, last))
        ax.set_title(title, pad=4)
        ax.set_xticks([0, last], ["0", end] if end else [])
        ax.xaxis.get_majorticklabels()[-1].set_ha("right")
        self.cursor = ax.axvline(0, color="black", lw=1.3)
        self.curves = {
            name: [ax.plot([], [], **look(name) | {"lw": lw})[0] for lw in (2, 1)] for name in names
        }
        self.artists = [*self.curves.values(), self.cursor]

    def show(self, step: int, name: str, x: np.ndarray, y: np.ndarray) -> None:
        """x : the steps (T,) of a network, of which that one may be missing; y : (T,)."""
        self.cursor.set_xdata([step, step])
        for curve, there in zip(self.curves[name], (x <= step, x >= step)):
            curve.set_data(x[there], y[there])
