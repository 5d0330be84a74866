"""A static figure of `bnlib.Recording`s."""

from __future__ import annotations

from collections.abc import Mapping

from bnlib.figures.style import styled
from bnlib.recording import Recording


@styled
def units_over_time(
    recordings: Mapping[str, Recording], view: str = "single units", step: int = -1, size=(9, 4)
):
    """How single units moved: a column a network, a row a hidden layer, training steps rightwards.

    The picture of `bnlib.widgets.DistributionFilm`, whose docstring says what stands in it, without
    the curves. Needs recordings of a `Recorder` with ``channels=8``.

    view : "single units", "before BN" or "all units"; step : an index into the recorded frames, for
    the cursor, the distributions at the panels' edges and the numbers.
    """
    from matplotlib import pyplot as plt

    from bnlib.figures.panels import PanelGrid, layer_tracks

    fig = plt.figure(figsize=size, dpi=96)
    pixels = fig.canvas.get_width_height()
    first = max(recordings.values(), key=lambda r: len(r.steps))
    rows = range(len(first.layer_names))
    labels = [f"layer {i + 1}" for i in rows]
    grid = PanelGrid(fig, pixels, list(recordings), labels, int(first.steps[-1]))
    tracks = {(n, i): layer_tracks(r, i, view) for n, r in recordings.items() for i in rows}
    grid.show_run(tracks, {n: r.diverged_at for n, r in recordings.items()})
    at = range(len(first.steps))[step]
    frames = {n: at if at < len(r.steps) else None for n, r in recordings.items()}
    grid.show_step(int(first.steps[at]), frames)
    return fig
