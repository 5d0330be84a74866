"""RecordingFilm: what the films of finished recordings share, whatever their panels show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnlib.figures.panels import CELLS, PanelGrid, Tracks
from bnlib.figures.style import look
from bnlib.recording import Recording
from bnlib.widgets.film import Film

MAX_FRAMES = 61
CURVES = {"loss": (3.0, [0, 1, 2, 3]), "accuracy": (1.0, [0, 0.5, 1.0])}  # ln(10) = 2.3 is guessing
CURVES_PX = 158  # their width, axis labels included


class RecordingFilm(Film):
    """A film of recordings in a `PanelGrid`: a column a network, training steps to the right.

    A subclass has ``rows`` (labels), ``tracks(recording, row)`` and ``clause(recording, i)``, what
    the sentence says of a network at frame i; and perhaps ``columns`` and ``curves``.
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

    def rows(self) -> list[str]:
        """The labels of the rows."""
        raise NotImplementedError

    def tracks(self, recording: Recording, row: int) -> Tracks:
        """What the panel of a row draws."""
        raise NotImplementedError

    def clause(self, recording: Recording, i: int) -> str:
        """What the sentence says of one network at its frame i."""
        raise NotImplementedError

    def build(self, fig):
        fig.set_layout_engine("none")  # fixed places: another setting must not move the axes
        curves, columns = self.curves, list(self.columns)
        if len(self.recordings) > 2:  # no room for all
            curves, columns = False, columns[:2]
        self.grid = PanelGrid(
            fig, self.size, list(self.recordings), self.rows(), self.steps[-1], columns,
            left=self.left, right=CURVES_PX if curves else 0,
        )  # fmt: skip
        self._curves, self._cursors, self._high = {}, [], {}
        for i, (quantity, (limit, ticks)) in enumerate(CURVES.items() if curves else ()):
            self._build_curve(fig, i, quantity, limit, ticks)
        self._drawn = None
        self.seldom += [self.grid.seldom]
        return [self.grid.often, self._curves.values(), self._cursors, self._high.values()]

    def _build_curve(self, fig, i: int, quantity: str, limit: float, ticks: list[float]) -> None:
        width, height = self.size
        left, each = width - CURVES_PX + 42, (height - 72) / 2
        bottom = height - 28 - (i + 1) * each + 20 * (1 - i)
        ax = fig.add_axes(
            (left / width, bottom / height, (width - left - 14) / width, (each - 22) / height)
        )
        ax.set(xlim=(0, self.steps[-1]), ylim=(0, 1.02 * limit), yticks=ticks)
        ax.set_title(quantity, pad=4)
        ax.set_xticks([0, self.steps[-1]], ["0", f"{self.steps[-1]:,}"] if i else [])
        ax.xaxis.get_majorticklabels()[-1].set_ha("right")
        self._cursors.append(ax.axvline(0, color="black", lw=1.3))
        for name in self.recordings:
            self._curves[name, quantity, "past"] = ax.plot([], [], **look(name))[0]
            self._curves[name, quantity, "future"] = ax.plot([], [], lw=1, **look(name))[0]
            self._high[name, quantity] = ax.plot(
                [], [], "^", color=look(name)["color"], ms=5, clip_on=False
            )[0]

    def draw(self, frame, **view):
        step = self.steps[frame]
        # The lines of the run: anew only if there is more of it, or another view.
        run = (view, *self.recordings.values())
        if self._drawn is None or any(a != b for a, b in zip(run, self._drawn)):
            self._drawn = run
            tracks = {
                (name, row): self.tracks(recording, row)
                for name, recording in self.recordings.items()
                for row in range(len(self.rows()))
            }
            self.grid.show_run(tracks, {n: r.diverged_at for n, r in self.recordings.items()})
        frames = {name: self._index(name, frame) for name in self.recordings}
        notes = {n: f"diverged at\nstep {r.diverged_at}" for n, r in self.recordings.items()}
        self.grid.show_step(step, frames, notes)
        for cursor in self._cursors:
            cursor.set_xdata([step, step])
        for name, quantity in self._high:
            self._draw_curve(name, quantity, step)
        sentences = [self._sentence(name, i) for name, i in frames.items()]
        return f"Step {step:,} of {self.steps[-1]:,}. " + " ".join(sentences)

    def _draw_curve(self, name: str, quantity: str, step: int) -> None:
        """Thick up to the step, thin after it; what lies beyond the axis as marks at its edge."""
        recording, limit = self.recordings[name], CURVES[quantity][0]
        x, y = np.asarray(recording.steps), np.asarray(getattr(recording, quantity), float)
        past, high = x <= step, y > limit
        inside = np.where(high, np.nan, y)
        self._curves[name, quantity, "past"].set_data(x[past], inside[past])
        future = x >= x[past][-1]
        self._curves[name, quantity, "future"].set_data(x[future], inside[future])
        self._high[name, quantity].set_data(x[high & past], np.full((high & past).sum(), limit))

    def _index(self, name: str, frame: int) -> int | None:
        """Where the frame is in the recording, or None if the network had diverged."""
        recording, step = self.recordings[name], self.steps[frame]
        i = recording.frame_at(step)
        return i if recording.steps[i] == step and np.isfinite(recording.loss[i]) else None

    def _sentence(self, name: str, i: int | None) -> str:
        recording = self.recordings[name]
        title = name[:1].upper() + name[1:]
        if i is None:
            return f"{title}: diverged at step {recording.diverged_at}."
        return f"{title}: {self.clause(recording, i)}."

    def summary(self) -> str:
        """What holds on every processor: who learned, who diverged, after how many steps."""
        parts = []
        for name, recording in self.recordings.items():
            if recording.diverged_at is not None:
                parts.append(f"{name} diverged")
            else:
                parts.append(f"{name} {self._robust_accuracy(recording)}")
        return (
            f"{type(self).__name__}, {self.steps[-1]:,} training steps: " + "; ".join(parts) + "."
        )

    @staticmethod
    def _robust_accuracy(recording: Recording) -> str:
        accuracy = recording.accuracy[-1]
        bounds = [b for b in (0.2, 0.5, 0.8) if accuracy >= b]
        return f"at least {100 * bounds[-1]:.0f} % accuracy" if bounds else "below 20 % accuracy"
