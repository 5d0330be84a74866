"""PanelGrid: how units moved while networks trained, the whole run in one picture.

A column a network, a row a layer (or a channel). In each panel training steps go to the right and
values up. A unit is a line, its mean over the probe, with a band of one standard deviation. All
panels have the same axes: a line that climbs twice as far has moved twice as far, wherever it is.
At a panel's right edge stands the distribution of the same units at the step of the cursor, then
numbers: the std of a unit, how far the units' means have moved since step 0, the share of units
that are dead. The bars behind the last two say the same without reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.transforms import IdentityTransform

from bnlib.figures.format import number
from bnlib.figures.marks import EdgeMarks
from bnlib.figures.number import Number
from bnlib.figures.style import COLORS, INK, look
from bnlib.recording import Recording

VIEWS = ("single units", "before BN", "all units")
# Limits of the value axis, each with its tick: a ladder, so that the axis seldom moves.
LIMITS = {0.5: 0.3, 1.0: 0.5, 1.5: 1, 2.0: 1, 2.5: 2, 3.0: 2, 4.0: 2, 5.0: 3, 6.0: 4}
TAIL = 1.7  # the axis holds the lines with so many standard deviations
OFF = 0.05  # share of the values beyond the axis from which on a mark stands at its end
LEAST_FULL = 0.5  # the bar of "moved" is full at this, or at the largest movement of the picture
TOP, BOTTOM, NOW, GAP = 28, 48, 38, 7  # px
CELLS = {"std": 44, "moved": 58, "dead": 48}  # px, the columns of numbers


@dataclass(frozen=True)
class Tracks:
    """What one panel draws: K lines over T frames, their bands, and a number a frame and column."""

    steps: np.ndarray  # (T,)
    middle: np.ndarray  # (T, K)
    low: np.ndarray  # (T, K), the lower edge of each line's band
    high: np.ndarray  # (T, K)
    histogram: np.ndarray  # (T, K, B), shares
    edges: np.ndarray  # (B + 1,)
    numbers: dict[str, np.ndarray]  # "std", "moved" and perhaps "dead": (T,)


def layer_tracks(recording: Recording, layer: int, view: str = "single units") -> Tracks:
    """The tracks of one layer (from 0): of its single units, before BN, or of all units pooled."""
    r = recording
    if view == "all units":
        low, middle, high = np.moveaxis(r.percentiles[:, layer, None], -1, 0)
        histogram, spread = r.histogram[:, layer, None], r.std[:, layer]
        moved = np.abs(middle - middle[0])[:, 0]
    else:
        prefix = "before_" if view == "before BN" and r.before_mean is not None else "channel_"
        middle = getattr(r, f"{prefix}mean")[:, layer]
        deviation = getattr(r, f"{prefix}std")[:, layer]
        histogram = getattr(r, f"{prefix}histogram")[:, layer]
        low, high = middle - deviation, middle + deviation
        prefix = prefix.replace("channel_", "")
        spread = getattr(r, f"{prefix}unit_std")[:, layer]
        moved = getattr(r, f"{prefix}unit_movement")[:, layer]
    numbers = {"std": spread, "moved": moved, "dead": r.dead[:, layer]}
    return Tracks(r.steps, middle, low, high, histogram, r.edges, numbers)


def channel_tracks(recording: Recording, layer: int, row: int) -> Tracks:
    """The tracks of one recorded channel of one layer (both from 0)."""
    r = recording
    mean, std = r.channel_mean[:, layer, row], r.channel_std[:, layer, row]
    histogram = r.channel_histogram[:, layer, row, None]
    columns = [v[:, None] for v in (mean, mean - std, mean + std)]
    numbers = {"std": std, "moved": np.abs(mean - mean[0])}
    return Tracks(r.steps, *columns, histogram, r.edges, numbers)


class PanelGrid:
    """The panels in a figure of ``size`` px; ``right`` px of it are left free for something else.

    labels : of the rows, for which there are ``left`` px; last_step : the end of the time axis;
    columns : of `CELLS`.
    `show_run` draws the lines, `show_step` what belongs to one step. ``seldom`` and ``often`` are
    the artists that these two change.
    """

    def __init__(
        self,
        fig,
        size: tuple[int, int],
        names: Sequence[str],
        labels: Sequence[str],
        last_step: int,
        columns: Sequence[str] = tuple(CELLS),
        left: int = 84,
        right: int = 0,
    ) -> None:
        self.columns, self.last_step = list(columns), last_step
        width, height = size
        share = (width - left - right) / len(names)
        self.run_px = share - (NOW + sum(CELLS[c] for c in columns)) - 12
        row_px = (height - TOP - BOTTOM + GAP) / len(labels)
        wide, high = self.run_px + NOW, row_px - GAP
        self.limit, self.full = None, LEAST_FULL
        self.panels = {}
        inks, pixels = [], IdentityTransform()
        for column, name in enumerate(names):
            color = look(name)["color"]
            x0 = left + column * share
            for row, label in enumerate(labels):
                bottom = height - TOP - (row + 1) * row_px + GAP
                ax = fig.add_axes((x0 / width, bottom / height, wide / width, high / height))
                self._axis(ax, row == len(labels) - 1, label if column == 0 else None)
                panel = _Panel(ax, color)
                self.panels[name, row] = panel
                for cell, x in self._cells(x0).items():
                    panel.numbers[cell] = fig.add_artist(Number(x, bottom + high / 2))
                    if cell != "std":
                        half = CELLS[cell] / 2 - 5
                        panel.bars[cell] = (x - half, x + half, bottom, high)
                        inks.append(COLORS["theory"] if cell == "dead" else color)
                if row == len(labels) // 2:
                    panel.message = ax.text(
                        self.run_px / 2, 0, "", ha="center", va="center",
                        bbox={"fc": "white", "lw": 0, "pad": 2}, zorder=6,
                    )  # fmt: skip
            # The column's title is the key of the curves beside the grid.
            key = Line2D([x0, x0 + 30], [height - 13] * 2, lw=2.5, transform=pixels, **look(name))
            fig.add_artist(key)
            at = {"va": "center", "transform": pixels}
            ink = INK.get(name, INK["data"])
            fig.text(x0 + 37, height - 13, name, color=ink, weight="bold", fontsize=13, **at)
            for cell, x in self._cells(x0).items():
                fig.text(x, height - 13, cell, ha="center", **at)
        self._bars = fig.add_artist(
            PolyCollection([], facecolors=inks, alpha=0.35, lw=0, transform=pixels)
        )
        empty = [p.bar(cell, 1.0) for p in self.panels.values() for cell in p.bars]
        fig.add_artist(
            PolyCollection(empty, facecolors="none", edgecolors="0.8", lw=1, transform=pixels)
        )
        self._cursor = fig.add_artist(Line2D([], [], color="black", lw=1.3, transform=pixels))
        panels = self.panels.values()
        self.seldom = [[p.bands, p.lines, p.gone, p.beyond.artists] for p in panels]
        self.often = [[p.shapes, p.off.artists, *p.numbers.values()] for p in panels]
        self.often += [p.message for p in panels if p.message], self._bars, self._cursor

    def show_run(
        self, tracks: Mapping[tuple[str, int], Tracks], diverged: Mapping[str, int | None]
    ) -> None:
        """Draw the lines of each panel (name, row); diverged : name -> at which step, or None."""
        self.tracks, self.diverged = dict(tracks), diverged
        ends = [t.middle + TAIL * (e - t.middle) for t in tracks.values() for e in (t.low, t.high)]
        reach = np.percentile(np.abs(np.concatenate([e.ravel() for e in ends])), 97)
        self._set_limit(next((x for x in LIMITS if reach <= x), max(LIMITS)))
        largest = max(np.nanmax(t.numbers["moved"]) for t in tracks.values())
        self.full = max(LEAST_FULL, float(min(largest, max(LIMITS))))
        for key, panel in self.panels.items():
            end = diverged[key[0]]
            gone = None if end is None else (float(self._x(end)), self.run_px)
            panel.show_run(tracks[key], self._x(tracks[key].steps), self.limit, gone)

    def show_step(self, step: int, frames: Mapping[str, int | None]) -> None:
        """Move the cursor to ``step``; ``frames`` is name -> index of the tracks, None if the
        network had diverged: that is written across its column.
        """
        marks, bars = [], []
        for (name, row), panel in self.panels.items():
            i = frames[name]
            box = panel.ax.bbox
            x = box.x0 + self._x(step)
            marks += [(x, box.y0), (x, box.y1), (np.nan, np.nan)]
            panel.show_step(self.tracks[name, row], i, self.run_px, self.limit)
            for cell, shown in panel.numbers.items():
                value = np.nan if i is None else float(self.tracks[name, row].numbers[cell][i])
                text = f"{100 * value:.0f} %" if cell == "dead" else number(value, 0.0005)
                shown.set_text(text if np.isfinite(value) else "" if i is None else "off")
                if cell in panel.bars:
                    part = value if cell == "dead" else value / self.full
                    bars.append(panel.bar(cell, min(part, 1) if part == part else 0))
            if panel.message:
                note = f"diverged at\nstep {self.diverged[name]}"
                panel.message.set_text(note if i is None else "")
        self._cursor.set_data(*np.transpose(marks))
        self._bars.set_verts(bars)

    def _axis(self, ax, lowest: bool, label: str | None) -> None:
        ax.set(xlim=(0, self.run_px + NOW))
        ax.spines["bottom"].set_bounds(0, self.run_px)
        ax.axhline(0, color="0.8", lw=1, zorder=0)
        last = self.last_step
        ticks = [0, last] if last % 2 else [0, last // 2, last]
        ax.set_xticks(self._x(ticks), [f"{s:,}" for s in ticks] if lowest else [])
        if lowest:
            ax.annotate(
                "training step", (self.run_px / 2, 0), (0, -19), va="top", ha="center",
                xycoords=("data", "axes fraction"), textcoords="offset points",
            )  # fmt: skip
        if label is None:
            ax.tick_params(labelleft=False)
        else:
            x, y = 4, ax.bbox.y0 + ax.bbox.height / 2
            ax.figure.text(x, y, label, va="center", transform=IdentityTransform())

    def _set_limit(self, limit: float) -> None:
        if limit == self.limit:
            return
        self.limit = limit
        for panel in self.panels.values():  # static: the whole figure is drawn anew
            apart = LIMITS[limit] / limit * panel.ax.bbox.height / 2  # px, from tick to tick
            ticks = LIMITS[limit] * np.array([-1, 0, 1] if apart > 17 else [-1, 1])
            panel.ax.set(ylim=(-limit, limit), yticks=ticks)
            panel.ax.yaxis.set_major_formatter("{x:g}")

    def _cells(self, left: float) -> dict[str, float]:
        """Where the columns of numbers have their middle, in px."""
        widths = [CELLS[c] for c in self.columns]
        start = left + self.run_px + NOW + 2
        return {c: start + sum(widths[:i]) + widths[i] / 2 for i, c in enumerate(self.columns)}

    def _x(self, steps):
        return np.asarray(steps) * (self.run_px / max(self.last_step, 1))


def _box(left, right, bottom, height):
    """The corners of a rectangle, (4, 2)."""
    top = bottom + height
    return np.array([(left, bottom), (right, bottom), (right, top), (left, top)])


class _Panel:
    """The artists of one panel. Its x axis is in px: the run, then the distribution at its edge."""

    def __init__(self, ax, color: str) -> None:
        self.ax, self.numbers, self.bars, self.message = ax, {}, {}, None

        def polygons(**kwargs) -> PolyCollection:
            return ax.add_collection(PolyCollection([], lw=0, **kwargs))

        self.bands = polygons(facecolors=color, alpha=0.16, zorder=2)
        self.lines = ax.add_collection(LineCollection([], colors=color, linewidths=1.6, zorder=3))
        self.gone = polygons(facecolors="white", edgecolors="0.6", hatch="///", zorder=4)
        self.beyond, self.off = EdgeMarks(ax), EdgeMarks(ax, size=8)
        self.shapes = polygons(facecolors=color, alpha=0.45, zorder=3)

    def bar(self, cell: str, part: float) -> np.ndarray:
        """The corners of the bar behind a number, filled up to ``part``."""
        *base, height = self.bars[cell]
        return _box(*base, part * height)

    def show_run(
        self, tracks: Tracks, x: np.ndarray, limit: float, gone: tuple[float, float] | None
    ) -> None:
        """``gone``: from where to where (px) there is no network any more, hatched."""
        there = np.isfinite(tracks.middle).all(axis=1)
        # Far beyond the axis a line is cut off by it; numbers like 1e23 would only cost precision.
        parts = [np.clip(v[there], -20, 20) for v in (tracks.low, tracks.middle, tracks.high)]
        x, (low, middle, high) = x[there], parts
        around = np.concatenate([x, x[::-1]])
        self.bands.set_verts(
            [np.column_stack([around, np.r_[a, b[::-1]]]) for a, b in zip(low.T, high.T)]
        )
        self.lines.set_segments([np.column_stack([x, line]) for line in middle.T])
        self.beyond.show(x, *middle.T)
        self.gone.set_verts([_box(*gone, -limit, 2 * limit)] if gone else [])

    def show_step(self, tracks: Tracks, i: int | None, left: float, limit: float) -> None:
        if i is None:
            self.shapes.set_verts([])
            self.off.show(np.empty(0))
            return
        # The end bins hold all that lies beyond: marked, never drawn as if it were there.
        inside, edges = tracks.histogram[i][:, 1:-1], tracks.edges[1:-1]
        height = inside / np.maximum(inside.max(axis=1, keepdims=True), 1e-12) * (NOW - 8)
        y = np.repeat(edges, 2)
        self.shapes.set_verts(
            [np.column_stack([left + 4 + np.r_[0, np.repeat(h, 2), 0], y]) for h in height]
        )
        centres = (tracks.edges[:-1] + tracks.edges[1:]) / 2
        share = tracks.histogram[i].mean(axis=0)
        reach = min(limit, edges[-1])
        off = [[s * np.inf] for s in (1, -1) if share[s * centres > reach].sum() > OFF]
        self.off.show(np.array([left + 10]), *off)
