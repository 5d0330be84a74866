"""TransformExplorer: batch normalization of one feature, the batch on four number lines."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
from matplotlib.collections import LineCollection

from bnlib.figures.format import number, setting
from bnlib.figures.style import COLORS
from bnlib.widgets.controls import menu, slider
from bnlib.widgets.live import LiveFigure

COUNTS = [2, 4, 8, 16]
EPS = [1e-5, 1e-3, 0.1, 1.0, 10.0]
STEP = 0.01  # the two decimals that are written, of the sliders for x, gamma and beta
MOST = 4.0  # of the sliders for gamma and beta
LEVELS = np.array([3, 2, 1, 0])  # x, x - mu_B, xhat, y from top to bottom
LABELS = ["$x$", r"$x - \mu_B$", r"$\hat{x}$", r"$y = \gamma\,\hat{x} + \beta$"]
NAMES = ["without BN", "data", "data", "with BN"]  # the colour of each level


class TransformExplorer(LiveFigure):
    """Follow one feature of a batch through the four steps of BN, and drag what goes into them.

        x  ->  x - mu_B  ->  xhat = (x - mu_B) / sqrt(sigma_B^2 + eps)  ->  y = gamma * xhat + beta

    Each example is a dot on every line, and the thin lines show where it goes. The bar under the
    dots is mean +- standard deviation. "Its x" drags the chosen example: mu_B and sigma_B^2 change,
    and with them every other example. Hollow dots: where the others were before.

    Parameters
    ----------
    x : (N, D) activations, N >= 2, training mode; the first 2, 4, 8 or 16 examples are the batch
    images : (N, 784) or (N, H, W), shown beside the chosen example; labels : (N,) its digit
    units : columns of x to choose from; default: the first four. It opens on the one whose std is
        furthest from 1, where dividing can be seen

    Trap: black triangles at the ends stand for dots beyond them (the figures are the true ones).
    Raises ValueError if x is not such an array or units are not columns of it.
    Source: Ioffe & Szegedy 2015, Algorithm 1.
    """

    size = (880, 376)

    def __init__(self, x, images=None, labels=None, units: Sequence[int] | None = None) -> None:
        x = np.asarray(x, dtype=float)
        if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
            raise ValueError(
                f"expected x of shape (N, D) with N >= 2 and finite numbers, got shape {x.shape}: "
                "the batch is the first axis, the features are the second"
            )
        units = range(min(4, x.shape[1])) if units is None else [int(u) for u in units]
        if not len(units) or not all(0 <= u < x.shape[1] for u in units):
            raise ValueError(
                f"expected units to be columns of x, 0 to {x.shape[1] - 1}, got {list(units)}"
            )
        counts = [n for n in COUNTS if n <= len(x)]
        count = 8 if 8 in counts else counts[-1]
        self.x, self.labels = x, labels
        self.images = None if images is None else _square(np.asarray(images, dtype=float))
        self._limit = float(np.ceil(np.abs(x[: counts[-1], list(units)]).max() + 1))
        spreads = x[:count, list(units)].std(axis=0)
        first = units[int(np.abs(np.log(np.maximum(spreads, 1e-3))).argmax())]
        self._start = {"unit": first, "count": count, "eps": EPS[0], "example": 0}
        self.batch = x[:count, first].copy()  # what the reader drags
        self.gamma, self.beta = 1.0, 0.0
        limit = self._limit
        controls = {
            "unit": menu("unit", units, first, width=120),
            "count": menu("batch size N", counts, count, width=170),
            "eps": menu("ε", EPS, EPS[0], width=110),
            "undo": widgets.Button(description="γ, β that undo it", layout={"width": "150px"}),
            "reset": widgets.Button(description="reset all", layout={"width": "100px"}),
            "example": slider("example", 0, 0, count - 1, width=200),
            "value": slider("its x", float(self.batch[0]), -limit, limit, STEP, width=220),
            "gamma": slider("γ", 1.0, -MOST, MOST, STEP, width=185),
            "beta": slider("β", 0.0, -MOST, MOST, STEP, width=185),
        }
        super().__init__(controls)
        controls["undo"].on_click(self.guard(lambda _: self.undo()))
        controls["reset"].on_click(self.guard(lambda _: self.reset()))

    def undo(self) -> None:
        """Set gamma, beta to sqrt(sigma_B^2 + eps), mu_B, if within the sliders: then y = x."""
        std = np.sqrt(self.batch.var() + self.controls["eps"].value)
        self.gamma, self.beta = (float(v) for v in np.clip([std, self.batch.mean()], -MOST, MOST))
        self._show()

    def reset(self) -> None:
        """Everything as it was at the start."""
        self.gamma, self.beta = 1.0, 0.0
        for name, value in self._start.items():
            self.controls[name].value = value
        self._load()
        self._show()

    def build(self, fig):
        fig.set_layout_engine("none")
        width, height = self.size
        # The lines reach past the data, so that a gamma of 2 still fits.
        self._end = self._limit + 2
        ax = fig.add_axes((140 / width, 44 / height, 540 / width, 1 - 54 / height))
        ax.set(xlim=(-self._end, self._end), ylim=(-0.55, 3.35), xlabel="value", yticks=LEVELS)
        ax.set_yticklabels(LABELS)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.axvline(0, color="0.85", lw=1, zorder=0)
        ax.hlines(LEVELS, -self._end, self._end, color="0.85", lw=1, zorder=0)
        actions = ("centre", "divide", r"times $\gamma$, plus $\beta$")
        for level, step in zip((2.5, 1.5, 0.5), actions, strict=True):
            ax.text(-1.01 * self._end, level, step, ha="right", va="center", color="0.35", size=12)
        place = {"transform": ax.get_yaxis_transform(), "va": "center"}
        ax.text(1.03, -0.75, "black bar: mean ± std", color="0.35", **place)
        self._texts = [ax.text(1.03, level, "", **place) for level in LEVELS]

        def plot(marker="", color="black", **kwargs):
            return ax.plot([], [], marker, color=color, **kwargs)[0]

        grey = COLORS["data"]
        self._lines = LineCollection([], colors=grey, linewidths=1, alpha=0.6, zorder=1)
        ax.add_collection(self._lines)
        self._ghosts = plot("o", mfc="white", mec=grey, ms=8, mew=1.2, zorder=2)
        self._bars = [plot(lw=3, zorder=3) for _ in LEVELS]
        self._means = plot("|", ms=12, mew=2.5, zorder=3)
        self._chosen_line = plot(lw=2, zorder=4)
        self._dots = [plot("o", COLORS[n], mec="white", mew=0.7, ms=9, zorder=5) for n in NAMES]
        self._chosen = plot("o", mfc="none", mec="black", mew=2, ms=13, zorder=6)
        self._beyond = [plot(m, ms=9, clip_on=False, zorder=7) for m in "><"]
        dynamic = [self._lines, self._ghosts, self._bars, self._means, self._chosen_line]
        dynamic += [self._dots, self._chosen, self._texts, self._beyond]
        if self.images is not None:
            square = fig.add_axes((1 - 76 / width, 1 - 92 / height, 68 / width, 68 / height))
            square.set(xticks=[], yticks=[])
            square.spines[:].set_visible(True)
            top = self.images.max()
            self._picture = square.imshow(self.images[0], cmap="gray_r", vmin=0, vmax=top)
            dynamic.append(self._picture)
        return dynamic

    def draw(self, unit, count, eps, example, value, gamma, beta):
        gamma, beta = self.gamma, self.beta  # the sliders show them rounded
        path = _steps(self.batch, gamma, beta, eps)  # (4, N): a row a level
        shown = np.clip(path, -self._end, self._end)
        inside = np.where(path == shown, path, np.nan)
        for marks, beyond in zip(self._beyond, (path > self._end, path < -self._end), strict=True):
            rows, examples = np.nonzero(beyond)
            marks.set_data(shown[rows, examples], LEVELS[rows])
        self._lines.set_segments([np.column_stack([p, LEVELS]) for p in shown.T])
        before = _steps(self.x[:count, unit], gamma, beta, eps)
        others = np.arange(count) != example
        moved = np.abs(path - before)[:, others].max(axis=1)
        edited = np.abs(self.batch - self.x[:count, unit]).max() > 1e-9
        ghosts = np.clip(before, -self._end, self._end)[1:, others] if edited else np.empty((3, 0))
        self._ghosts.set_data(ghosts.ravel(), np.repeat(LEVELS[1:], ghosts.shape[1]))
        means, stds = path.mean(axis=1), path.std(axis=1)
        self._means.set_data(np.clip(means, -self._end, self._end), LEVELS - 0.2)
        rows = zip(LEVELS, inside, means, stds, self._dots, self._bars, self._texts, strict=True)
        for level, values, mean, std, dots, bar, text in rows:
            dots.set_data(values, np.full(count, level))
            ends = np.clip([mean - std, mean + std], -self._end, self._end)
            bar.set_data(ends, [level - 0.2] * 2)
            text.set_text(f"mean {number(mean)}\nstd {number(std)}")
        self._chosen_line.set_data(shown[:, example], LEVELS)
        self._chosen.set_data(shown[:, example], LEVELS)
        if self.images is not None:
            self._picture.set_data(self.images[example])
        digit = "" if self.labels is None else f" (a {self.labels[example]})"
        sentence = (
            f"Unit {unit}, N = {count}, ε = {setting(eps)}: x has mean {number(means[0])} and std "
            f"{number(stds[0])}, x̂ has mean {number(means[2])} and std {number(stds[2])}, y has "
            f"mean {number(means[3])} and std {number(stds[3])}. Example {example}{digit}: "
            f"x = {number(path[0, example])}, y = {number(path[3, example])}."
        )
        if edited:
            sentence += f" Dragging moved the others' x̂ by up to {number(moved[2])}."
        return sentence

    def _on_control(self, change) -> None:
        """Keep what is drawn and the sliders consistent.

        The browser moves a slider to its nearest step and reports that as a change. So a change of
        half a step or less from the number that this class holds is not the reader's.
        """
        name = next(name for name, control in self.controls.items() if control is change.owner)
        held = self._held()
        if name in held and abs(change.new - held[name]) < 0.5 * STEP + 1e-6:
            return
        if name == "value":
            self.batch[self.controls["example"].value] = change.new
        elif name in held:
            setattr(self, name, change.new)
        elif name in ("unit", "count"):
            self._load()
        self._show()

    def _held(self) -> dict[str, float]:
        """The numbers that the sliders show rounded to their steps."""
        dragged = float(self.batch[self.controls["example"].value])
        return {"value": dragged, "gamma": self.gamma, "beta": self.beta}

    def _load(self) -> None:
        self.batch = self.x[: self.controls["count"].value, self.controls["unit"].value].copy()

    def _show(self) -> None:
        """Bring the sliders to what is held, and draw it."""
        self.controls["example"].max = len(self.batch) - 1
        for name, value in self._held().items():
            self.controls[name].value = value
        self.redraw()


def _steps(x, gamma, beta, eps) -> np.ndarray:
    """x, x - mu_B, xhat and y of one feature (N,), as the rows of an array (4, N)."""
    centred = x - x.mean()
    xhat = centred / np.sqrt((centred**2).mean() + eps)
    return np.stack([x, centred, xhat, gamma * xhat + beta])


def _square(images) -> np.ndarray:
    """(N, H * W) or (N, H, W) -> (N, H, W)."""
    if images.ndim == 3:
        return images
    side = round(images.shape[1] ** 0.5)
    return images.reshape(len(images), side, side)
