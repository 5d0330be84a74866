"""DistributionFilm: how the inputs of every nonlinearity moved while networks trained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.transforms import IdentityTransform

from bnlib.figures import COLORS, STYLES
from bnlib.widgets.film import Film
from bnlib.widgets.number import Number

MAX_FRAMES = 61
LOSS_LIMIT = 3.0  # ln(10) = 2.3 is guessing


class DistributionFilm(Film):
    """A film of finished recordings: one column a network, one row a hidden layer.

    recordings : name -> Recording, e.g. {"without BN": ..., "with BN": ...}; the same steps and as
        many layers in each. Their colours come from `bnlib.figures.COLORS`.
    frames : at most so many frames, evenly chosen (default: all, up to 61)
    steps : the steps of the frames, if some are yet to be recorded

    Each panel is the histogram of the inputs of one nonlinearity, over the same probe batch in
    every frame; its height is scaled to the panel, its first and last bar hold all that lies
    beyond the axis. The lines stand where 15, 50 and 85 % of the values lie below. The histogram
    holds all units, so it is wide already where the units differ from each other; the number beside
    it is the standard deviation of a single unit over the images (the median of the units), which
    is all that the next layer can tell images apart by. At the bottom loss and accuracy, faint
    after the frame's step.
    """

    size = (840, 424)

    def __init__(
        self, recordings: Mapping, frames: int | None = None, *, steps=None, **kwargs
    ) -> None:
        self.recordings = dict(recordings)
        recorded = self._check(self.recordings)
        if steps is None:
            count = min(frames or MAX_FRAMES, MAX_FRAMES, len(recorded))
            steps = recorded[np.linspace(0, len(recorded) - 1, count).round().astype(int)]
        self.steps = [int(step) for step in steps]
        super().__init__([f"step {step:,}" for step in self.steps], **kwargs)

    @staticmethod
    def _check(recordings: Mapping) -> np.ndarray:
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
            if not np.array_equal(r.steps, longest[: len(r.steps)]):
                raise ValueError(
                    f"expected recordings of the same steps, got other ones for {name!r}: "
                    "were they recorded with different `every`?"
                )
        return np.asarray(longest)

    def build(self, fig):
        fig.set_layout_engine("none")  # fixed places: another setting must not move the axes
        width, height = self.size
        first = next(iter(self.recordings.values()))
        names, labels, edges = list(self.recordings), first.layer_names, first.edges
        rows = len(labels)
        left, right, top, gap, lower, bottom = 96, 52, 32, 62, 92, 48  # px
        box = {"left": left / width, "right": 1 - right / width}
        between = 62 * len(names) / (width - left - right - 62 * (len(names) - 1))
        panels = fig.add_gridspec(
            rows, len(names), **box, top=1 - top / height, bottom=(bottom + lower + gap) / height,
            hspace=0.12, wspace=between,
        )  # fmt: skip
        curves = fig.add_gridspec(
            1, 2, **box, top=(bottom + lower) / height, bottom=bottom / height, wspace=0.22
        )
        self._panels, self._messages = {}, {}
        for column, name in enumerate(names):
            color, style = COLORS.get(name, COLORS["data"]), STYLES.get(name, "-")
            for row in range(rows):
                ax = fig.add_subplot(panels[row, column])
                ax.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.08), yticks=[])
                ax.spines["left"].set_visible(False)
                ax.tick_params(labelbottom=row == rows - 1)
                if column == 0:
                    ax.set_ylabel(labels[row], rotation=0, ha="right", va="center", labelpad=6)
                if row == 0:  # the title is also the key of the curves below
                    key = Line2D([], [], color=color, linestyle=style)
                    ax.legend(
                        [key], [name], loc="lower center", bbox_to_anchor=(0.5, 0.96),
                        frameon=False, handlelength=3, borderpad=0, fontsize=13,
                    )  # fmt: skip
                bars = ax.stairs(np.zeros(len(edges) - 1), edges, fill=True, color=color, alpha=0.6)
                x, y = ax.transAxes.transform((1, 0.5))
                spread = fig.add_artist(Number(x + 7, y))
                self._panels[name, row] = bars, spread
                if row == 0:
                    ax.text(1.02, 1.04, "unit\nstd", transform=ax.transAxes, linespacing=1)
                if row == rows // 2:
                    self._messages[name] = ax.text(
                        0.5, 0.5, "", transform=ax.transAxes, ha="center", va="center", color=color
                    )
        where = "input of the nonlinearity, all units; "
        where += "lines: 15, 50, 85 % of the values lie to the left"
        fig.text(
            0.5 + (left - right) / width / 2, (bottom + lower + 18) / height, where, ha="center"
        )
        # The marks of all panels are one line, in px: six lines would take six times as long.
        self._marks = fig.add_artist(
            Line2D([], [], color="black", lw=1.5, transform=IdentityTransform())
        )
        self._curves, self._cursors = [], []
        for position, (quantity, limit) in enumerate((("loss", LOSS_LIMIT), ("accuracy", 1.0))):
            ax = fig.add_subplot(curves[0, position])
            ax.set(xlim=(0, self.steps[-1]), ylim=(0, limit * 1.02), xlabel="training step")
            ax.set_ylabel(quantity)
            ax.set_yticks([0, 0.5, 1.0] if quantity == "accuracy" else [0, 1, 2, 3])
            self._cursors.append(ax.axvline(0, color="black", lw=1.3))
            for name in names:
                look = {"color": COLORS.get(name, COLORS["data"]), "ls": STYLES.get(name, "-")}
                faint = ax.plot([], [], alpha=0.3, **look)[0]
                full = ax.plot([], [], **look)[0]
                self._curves.append((name, quantity, full, faint))
        lines = [line for _, _, *pair in self._curves for line in pair]
        return [self._panels.values(), self._marks, self._messages.values(), self._cursors, lines]

    def draw(self, frame, **_):
        step = self.steps[frame]
        for name, message in self._messages.items():
            diverged = self._index(name, frame) is None
            at = self.recordings[name].diverged_at
            message.set_text(f"diverged at step {at}" if diverged else "")
        marks = [(np.nan, np.nan)]
        for (name, row), (bars, spread) in self._panels.items():
            recording, i = self.recordings[name], self._index(name, frame)
            if i is None:
                bars.set_data(np.zeros(len(recording.edges) - 1))
                spread.set_text("")
                continue
            share = recording.histogram[i, row]
            bars.set_data(share / max(share.max(), 1e-12))
            x = self._pixels(bars.axes, recording.percentiles[i, row])
            bottom, top = bars.axes.bbox.intervaly
            marks += [(place, y) for place in x for y in (bottom, top, np.nan)]
            spread.set_text(figures(recording.unit_std[i, row]))
        self._marks.set_data(*np.transpose(marks))
        for cursor in self._cursors:
            cursor.set_xdata([step, step])
        for name, quantity, full, faint in self._curves:
            recording = self.recordings[name]
            x, y = np.asarray(recording.steps), np.asarray(getattr(recording, quantity))
            past = x <= step
            full.set_data(x[past], y[past])
            future = x >= x[past][-1]
            faint.set_data(x[future], y[future])
        sentences = [self._sentence(name, frame) for name in self.recordings]
        return f"Step {step:,} of {self.steps[-1]:,}. " + " ".join(sentences)

    @staticmethod
    def _pixels(ax, values: np.ndarray) -> np.ndarray:
        """Where values on the x axis are in the figure; those beyond the axis are left out."""
        low, high = ax.get_xlim()
        left, right = ax.bbox.intervalx
        inside = values[(low <= values) & (values <= high)]
        return left + (inside - low) * ((right - left) / (high - low))

    def _index(self, name: str, frame: int) -> int | None:
        """Where the frame is in the recording, or None if the network had diverged."""
        recording, step = self.recordings[name], self.steps[frame]
        i = recording.frame_at(step)
        return i if recording.steps[i] == step and np.isfinite(recording.loss[i]) else None

    def _sentence(self, name: str, frame: int) -> str:
        recording, i = self.recordings[name], self._index(name, frame)
        name = name[:1].upper() + name[1:]
        if i is None:
            return f"{name}: diverged at step {recording.diverged_at}."
        last = len(recording.layer_names)
        share = 100 * recording.saturated[i, -1]
        kind = "switched off" if recording.layer_names[-1].endswith("relu") else "saturated"
        loss, spread = figures(recording.loss[i]), figures(recording.unit_std[i, -1])
        return (
            f"{name}: accuracy {100 * recording.accuracy[i]:.0f} %, loss {loss}; "
            f"layer {last}: std of a unit {spread}, {share:.0f} % {kind}."
        )

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
    def _robust_accuracy(recording) -> str:
        accuracy = recording.accuracy[-1]
        bounds = [b for b in (0.2, 0.5, 0.8) if accuracy >= b]
        return f"at least {100 * bounds[-1]:.0f} % accuracy" if bounds else "below 20 % accuracy"


def figures(value: float) -> str:
    """A number of a few characters: 0.03, 1.00, 12, 4e+60."""
    if not np.isfinite(value):
        return "not finite"
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:.0f}" if abs(value) < 1000 else f"{value:.0e}"
