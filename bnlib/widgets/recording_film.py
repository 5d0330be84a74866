"""RecordingFilm: what the films of finished recordings share, whatever their panels show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnlib.figures.format import at_least
from bnlib.figures.marks import Progress
from bnlib.figures.panels import CELLS, PanelGrid
from bnlib.figures.style import look
from bnlib.recording import Recording
from bnlib.widgets.film import MAX_FRAMES, Film

CURVES = {"loss": (3.0, [0, 1, 2, 3]), "accuracy": (1.0, [0, 0.5, 1.0])}  # ln(10) = 2.3 is guessing
CURVES_PX = 158  # their width, axis labels included


class RecordingFilm(Film):
    """A film of recordings in a `PanelGrid`: a column a network, training steps to the right.

    A subclass has ``rows()``, the labels of the rows; ``tracks(recording, row)``, the `Tracks` of a
    panel; ``clause(recording, i)``, what the sentence says of a network at its frame i; and perhaps
    ``columns`` and ``curves``.
    """

    size = (880, 340)
    left = 84  # px for the labels of the rows
    columns: Sequence[str] = tuple(CELLS)
    curves = True  # loss and accuracy beside the panels

    def __init__(
        self,
        recordings: Mapping[str, Recording],
        frames: int | None = None,
        *,
        steps=None,
        **kwargs,
    ) -> None:
        self.recordings = dict(recordings)
        recorded = self._check(self.recordings)
        if steps is None:
            count = min(frames or MAX_FRAMES, MAX_FRAMES, len(recorded))
            steps = recorded[np.linspace(0, len(recorded) - 1, count).round().astype(int)]
        self.steps = [int(step) for step in steps]
        super().__init__([f"step {step:,}" for step in self.steps], **kwargs)

    @staticmethod
    def _check(recordings: Mapping[str, Recording]) -> np.ndarray:
        """The steps of the longest recording; a network that diverged may have stopped sooner."""
        if not 1 <= len(recordings) <= 3:
            raise ValueError(
                f"expected 1 to 3 recordings side by side, got {len(recordings)}: "
                'as a dict, {"without BN": recording, "with BN": recording}'
            )
        layers = {name: len(r.layer_names) for name, r in recordings.items()}
        if len(set(layers.values())) > 1:
            raise ValueError(f"expected networks with as many hidden layers each, got {layers}")
        longest = max((r.steps for r in recordings.values()), key=len)
        for name, r in recordings.items():
            if r.channel_mean is None:
                raise ValueError(
                    f"expected recordings of single units, got none in {name!r}: record with "
                    "Recorder(data, channels=8)"
                )
            if not np.array_equal(r.steps, longest[: len(r.steps)]):
                raise ValueError(
                    f"expected recordings of the same steps, got other ones for {name!r}: "
                    "were they recorded with different `every`?"
                )
        return np.asarray(longest)

    def build(self, fig):
        fig.set_layout_engine("none")  # fixed places: another setting must not move the axes
        curves, columns = self.curves, list(self.columns)
        if len(self.recordings) > 2:  # no room for all
            curves, columns = False, columns[:2]
        self.grid = PanelGrid(
            fig, self.size, list(self.recordings), self.rows(), self.steps[-1], columns,
            left=self.left, right=CURVES_PX if curves else 0,
        )  # fmt: skip
        self._curves, self._high, self._drawn = {}, {}, None
        for i, quantity in enumerate(CURVES if curves else ()):
            self._build_curve(fig, i, quantity, *CURVES[quantity])
        self.seldom += [self.grid.seldom]
        lines = [curve.artists for curve in self._curves.values()]
        return [self.grid.often, lines, self._high.values()]

    def _build_curve(self, fig, i: int, quantity: str, limit: float, ticks: list[float]) -> None:
        width, height = self.size
        left, each = width - CURVES_PX + 42, (height - 72) / 2
        bottom = height - 28 - (i + 1) * each + 20 * (1 - i)
        ax = fig.add_axes(
            (left / width, bottom / height, (width - left - 14) / width, (each - 22) / height)
        )
        ax.set(ylim=(0, 1.02 * limit), yticks=ticks)
        last = self.steps[-1]
        self._curves[quantity] = Progress(ax, quantity, self.recordings, last, f"{last:,}" * i)
        for name in self.recordings:
            (marks,) = ax.plot([], [], "^", color=look(name)["color"], ms=5, clip_on=False)
            self._high[quantity, name] = marks

    def draw(self, frame, **view):
        step = self.steps[frame]
        # The lines of the run: anew only if there is more of it, or another view.
        run = (view, *self.recordings.values())
        if run != self._drawn:
            self._drawn = run
            tracks = {
                (name, row): self.tracks(recording, row)
                for name, recording in self.recordings.items()
                for row in range(len(self.rows()))
            }
            self.grid.show_run(tracks, {n: r.diverged_at for n, r in self.recordings.items()})
        frames = {name: self._index(name, frame) for name in self.recordings}
        self.grid.show_step(step, frames)
        for quantity, name in self._high:
            self._draw_curve(quantity, name, step)
        sentences = [self._sentence(name, i) for name, i in frames.items()]
        return f"Step {step:,} of {self.steps[-1]:,}. " + " ".join(sentences)

    def _draw_curve(self, quantity: str, name: str, step: int) -> None:
        """What lies beyond the axis, up to the step, is marked at its edge."""
        recording, limit = self.recordings[name], CURVES[quantity][0]
        x, y = np.asarray(recording.steps), np.asarray(getattr(recording, quantity), float)
        self._curves[quantity].show(step, name, x, np.where(y > limit, np.nan, y))
        high = x[(y > limit) & (x <= step)]
        self._high[quantity, name].set_data(high, np.full(len(high), limit))

    def _index(self, name: str, frame: int) -> int | None:
        """Where the frame is in the recording, or None if the network had diverged."""
        recording, step = self.recordings[name], self.steps[frame]
        i = recording.frame_at(step)
        return i if recording.steps[i] == step and np.isfinite(recording.loss[i]) else None

    def _sentence(self, name: str, i: int | None) -> str:
        recording = self.recordings[name]
        diverged = f"diverged at step {recording.diverged_at}"
        says = diverged if i is None else self.clause(recording, i)
        return f"{name[:1].upper()}{name[1:]}: {says}."

    def summary(self) -> str:
        """What holds on every processor: who learned, who diverged, after how many steps."""
        parts = [
            f"{name} {at_least(r.accuracy[-1])} accuracy"
            if r.diverged_at is None
            else f"{name} diverged"
            for name, r in self.recordings.items()
        ]
        return f"{type(self).__name__}, {self.steps[-1]:,} training steps: {'; '.join(parts)}."
