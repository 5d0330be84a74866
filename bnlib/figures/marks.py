"""EdgeMarks: triangles where values lie beyond an axis, which would otherwise pass for data."""

from __future__ import annotations

import numpy as np


class EdgeMarks:
    """Triangles at the upper and lower edge of `ax`, at each x where a value is beyond it.

    ``artists`` are the two that `show` changes.
    """

    def __init__(self, ax, color: str = "black", size: float = 5) -> None:
        look = {"color": color, "ls": "", "ms": size, "clip_on": False, "zorder": 5}
        self.ax, place = ax, ax.get_xaxis_transform()
        self.artists = [ax.plot([], [], mark, transform=place, **look)[0] for mark in "^v"]
        for artist in self.artists:
            artist.set_in_layout(False)

    def show(self, x: np.ndarray, *lines: np.ndarray) -> None:
        """x : (T,); lines : (T,) each, in the units of the y axis; NaN is nowhere."""
        low, high = self.ax.get_ylim()
        values = np.reshape(lines, (len(lines), len(x)))
        for artist, there, edge in zip(
            self.artists, ((values > high).any(axis=0), (values < low).any(axis=0)), (0.97, 0.03)
        ):
            at = np.asarray(x)[there]
            artist.set_data(at, np.full(len(at), edge))
