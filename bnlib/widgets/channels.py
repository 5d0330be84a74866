"""ChannelFilm: how the feature maps of single channels moved while networks trained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnlib.figures.format import number
from bnlib.figures.panels import Tracks, channel_tracks
from bnlib.recording import Recording
from bnlib.widgets.recording_film import RecordingFilm

MOST = 8  # channels that fit one below the other


class ChannelFilm(RecordingFilm):
    """A film of recordings with ``channels``: one column a network, one row a channel of one layer.

    recordings : name -> Recording of a `Recorder` with ``channels=k``; the same steps and layers.
        Their colours come from `bnlib.figures.COLORS`
    layer : which nonlinearity, from 0
    frames : at most so many frames, evenly chosen (default: all, up to 61)

    Each panel follows one channel's inputs of the nonlinearity, all sampled positions of the probe
    images together, because BN treats them as one batch: mean, and a band of one standard
    deviation. The rest as in `DistributionFilm`.

    Raises ValueError for a recording without channels or a layer that is not there.
    """

    size = (880, 400)
    left = 124
    columns = ("std", "moved")
    curves = False

    def __init__(
        self,
        recordings: Mapping[str, Recording],
        layer: int = 0,
        frames: int | None = None,
        **kwargs,
    ) -> None:
        self._check(recordings)
        layers = len(next(iter(recordings.values())).layer_names)
        if not 0 <= layer < layers:
            raise ValueError(f"layer expected from 0 to {layers - 1}, got {layer}")
        indices = [r.channel_index[layer].tolist() for r in recordings.values()]
        if any(index != indices[0] for index in indices):
            raise ValueError(f"expected recordings of the same channels, got {indices}")
        self.layer, self.channels = layer, indices[0][:MOST]
        super().__init__(recordings, frames, **kwargs)

    def rows(self) -> list[str]:
        return [f"channel {c}" for c in self.channels]

    def tracks(self, recording: Recording, row: int) -> Tracks:
        return channel_tracks(recording, self.layer, row)

    def clause(self, recording: Recording, i: int) -> str:
        rows = range(len(self.channels))
        numbers = [self.tracks(recording, row).numbers for row in rows]
        std, moved = (np.array([n[what][i] for n in numbers]) for what in ("std", "moved"))
        mean = recording.channel_mean[i, self.layer, : len(rows)]
        return (
            f"channel means {number(mean.min())} to {number(mean.max())}, stds "
            f"{number(std.min())} to {number(std.max())}, moved by up to {number(moved.max())}"
        )
