"""DistributionFilm: how single units moved while networks trained."""

from __future__ import annotations

from collections.abc import Mapping

from bnlib.figures.format import number
from bnlib.figures.panels import VIEWS, Tracks, layer_tracks
from bnlib.recording import Recording
from bnlib.widgets.controls import menu
from bnlib.widgets.recording_film import RecordingFilm


class DistributionFilm(RecordingFilm):
    """A film of finished recordings: one column a network, one row a hidden layer.

    recordings : name -> Recording of a `Recorder` with ``channels=8`` (and ``before_norm=True`` for
        the view "before BN"), e.g. {"without BN": ..., "with BN": ...}; the same steps and as many
        layers in each. Their colours come from `bnlib.figures.COLORS`
    frames : at most so many frames, evenly chosen (default: all, up to 61)
    steps : the steps of the frames, if some are yet to be recorded
    view : "single units", "before BN" or "all units", where the menu starts

    The probe is a fixed batch of training images; it passes through the network in *training mode*,
    so BN normalises it with the probe's own statistics. What is shown is the *input of each
    nonlinearity*:

    - single units: evenly chosen units, the mean over the probe as a line, one standard deviation
      as a band. Behind a BN there is little movement by construction.
    - before BN: the same units in front of the BN (in a network without BN nothing changes). That
      moves less as well, since the layers below are pinned.
    - all units: the values of all units pooled; median, and a band from 15 to 85 %. It is wide
      already where units differ from each other.

    At the right edge of a panel: the distribution at the film's step; "std" of a unit over the
    probe (the median of the units), all that the next layer can tell images apart by; "moved": how
    far the means of the units are from where they were at step 0, on average, in the units of the
    axis; "dead": the share of units whose nonlinearity is flat on 99 % of the probe. Values beyond
    the axis are marked by triangles at its edge. Hatched: the network has diverged.
    """

    def __init__(
        self,
        recordings: Mapping[str, Recording],
        frames: int | None = None,
        *,
        view: str = VIEWS[0],
        controls: Mapping | None = None,
        **kwargs,
    ) -> None:
        controls = {**(controls or {}), "view": menu("view", VIEWS, view, 200)}
        super().__init__(recordings, frames, controls=controls, **kwargs)

    def rows(self) -> list[str]:
        layers = len(next(iter(self.recordings.values())).layer_names)
        return [f"layer {i + 1}" for i in range(layers)]

    def tracks(self, recording: Recording, row: int) -> Tracks:
        return layer_tracks(recording, row, self.controls["view"].value)

    def clause(self, recording: Recording, i: int) -> str:
        last = len(recording.layer_names)
        numbers = self.tracks(recording, last - 1).numbers
        return (
            f"accuracy {100 * recording.accuracy[i]:.0f} %, loss {number(recording.loss[i])}; "
            f"layer {last}: std of a unit {number(numbers['std'][i])}, "
            f"moved by {number(numbers['moved'][i])}, {100 * numbers['dead'][i]:.0f} % dead"
        )
