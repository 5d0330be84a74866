"""ChannelFilm: how the feature maps of single channels were distributed while networks trained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.lines import Line2D

from bnlib.figures import COLORS, STYLES
from bnlib.widgets.distributions import DistributionFilm, figures
from bnlib.widgets.number import Number

MOST = 8  # channels that fit one below the other
MARK = 0.4  # height of a percentile's mark: three whole lines would hide a narrow peak


class ChannelFilm(DistributionFilm):
    """A film of recordings with ``channels``: one column a network, one row a channel of one layer.

    recordings : name -> Recording of a `Recorder` with ``channels=k``; the same steps and layers.
        Their colours come from `bnlib.figures.COLORS`
    layer : which nonlinearity, from 0
    frames : at most so many frames, evenly chosen (default: all, up to 61)

    Each panel is the histogram of one channel's inputs of the nonlinearity: all sampled positions
    of the probe images together, because BN treats them as one batch. A bar's height is the square
    root of its share, scaled to the panel: empty background is one tall bar, and the rest would
    vanish beside it. The first and last bar hold all that lies beyond the axis; three marks stand
    where 15, 50 and 85 % of the values lie below, a grey line at 0; beside them mean and standard
    deviation.

    Raises ValueError for a recording without channels or a layer that is not there.
    """

    size = (840, 470)

    def __init__(
        self, recordings: Mapping, layer: int = 0, frames: int | None = None, **kwargs
    ) -> None:
        for name, recording in recordings.items():
            if recording.channel_histogram is None:
                raise ValueError(
                    f"expected recordings of single channels, got none in {name!r}: record with "
                    "Recorder(data, channels=6)"
                )
            if not 0 <= layer < len(recording.layer_names):
                raise ValueError(
                    f"layer expected from 0 to {len(recording.layer_names) - 1}, got {layer}"
                )
        indices = [r.channel_index[layer].tolist() for r in recordings.values()]
        if any(index != indices[0] for index in indices):
            raise ValueError(f"expected recordings of the same channels, got {indices}")
        self.layer = layer
        super().__init__(recordings, frames, **kwargs)

    def build(self, fig):
        fig.set_layout_engine("none")  # fixed places: another frame must not move the axes
        width, height = self.size
        first = next(iter(self.recordings.values()))
        names, edges = list(self.recordings), first.edges
        channels = first.channel_index[self.layer][:MOST]
        left, right, top, bottom, gap = 108, 116, 46, 58, 132  # px
        panel = (width - left - right - gap * (len(names) - 1)) / len(names)
        panels = fig.add_gridspec(
            len(channels), len(names), left=left / width, right=1 - right / width,
            top=1 - top / height, bottom=bottom / height, hspace=0.16, wspace=gap / panel,
        )  # fmt: skip
        self._panels, self._messages = {}, {}
        for column, name in enumerate(names):
            color, style = COLORS.get(name, COLORS["data"]), STYLES.get(name, "-")
            for row, channel in enumerate(channels):
                ax = fig.add_subplot(panels[row, column])
                ax.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.08), yticks=[])
                ax.spines["left"].set_visible(False)
                ax.axvline(0, color="0.75", lw=1)  # what a ReLU cuts off lies to its left
                ax.tick_params(labelbottom=row == len(channels) - 1)
                if column == 0:
                    ax.set_ylabel(
                        f"channel {channel}", rotation=0, ha="right", va="center", labelpad=6
                    )
                if row == 0:
                    key = Line2D([], [], color=color, linestyle=style)
                    ax.legend(
                        [key], [name], loc="lower center", bbox_to_anchor=(0.5, 0.96),
                        frameon=False, handlelength=3, borderpad=0, fontsize=13,
                    )  # fmt: skip
                    ax.text(1.04, 1.12, "mean", transform=ax.transAxes)
                    ax.text(1.29, 1.12, "std", transform=ax.transAxes)
                bars = ax.stairs(np.zeros(len(edges) - 1), edges, fill=True, color=color, alpha=0.6)
                lines = ax.plot([], [], color="black", lw=1.5)[0]
                mean, std = (
                    fig.add_artist(Number(*ax.transAxes.transform((x, 0.4)))) for x in (1.04, 1.29)
                )
                self._panels[name, row] = bars, lines, mean, std
                if row == len(channels) // 2:
                    self._messages[name] = ax.text(
                        0.5, 0.5, "", transform=ax.transAxes, ha="center", va="center", color=color
                    )
        where = (
            f"input of nonlinearity {self.layer + 1}, all positions of the probe images; "
            "height: root of the share; marks: 15, 50, 85 %"
        )
        fig.text(0.5, 10 / height, where, ha="center", va="bottom")
        return [self._panels.values(), self._messages.values()]

    def draw(self, frame, **_):
        for name, message in self._messages.items():
            stopped = self._index(name, frame) is None
            at = self.recordings[name].diverged_at
            message.set_text(f"diverged at step {at}" if stopped else "")
        for (name, row), (bars, lines, mean, std) in self._panels.items():
            recording, i = self.recordings[name], self._index(name, frame)
            if i is None:
                bars.set_data(np.zeros(len(recording.edges) - 1))
                lines.set_data([], [])
                mean.set_text("")
                std.set_text("")
                continue
            share = recording.channel_histogram[i, self.layer, row]
            bars.set_data(np.sqrt(share / max(share.max(), 1e-12)))
            places = recording.channel_percentiles[i, self.layer, row]
            lines.set_data(np.repeat(places, 3), [0, MARK, np.nan] * len(places))
            mean.set_text(figures(recording.channel_mean[i, self.layer, row]))
            std.set_text(figures(recording.channel_std[i, self.layer, row]))
        sentences = [self._sentence(name, frame) for name in self.recordings]
        return f"Step {self.steps[frame]:,} of {self.steps[-1]:,}. " + " ".join(sentences)

    def _sentence(self, name: str, frame: int) -> str:
        recording, i = self.recordings[name], self._index(name, frame)
        title = name[:1].upper() + name[1:]
        if i is None:
            return f"{title}: diverged at step {recording.diverged_at}."
        mean, std = (
            getattr(recording, f"channel_{what}")[i, self.layer, :MOST] for what in ("mean", "std")
        )
        return (
            f"{title}: channel means {figures(mean.min())} to {figures(mean.max())}, "
            f"stds {figures(std.min())} to {figures(std.max())}."
        )
