"""SignalExplorer: how far a signal gets in an untrained network, forward and backward."""

from __future__ import annotations

import numpy as np

from bnlib.figures.format import number, setting
from bnlib.figures.marks import EdgeMarks
from bnlib.figures.style import COLORS, look
from bnlib.layers import ACTIVATIONS
from bnlib.network import mlp
from bnlib.profile import signal_profile
from bnlib.widgets.controls import checkbox, menu, slider
from bnlib.widgets.live import LiveFigure

DEPTHS = (5, 50)
SCALES = (0.1, 4.0)
NORMS = {"without BN": None, "with BN": "batch"}
UNITS = 64  # of every hidden layer
LOW, HIGH = 1e-15, 1e9  # of both axes; triangles at the edge for what lies beyond
NOISE = 1e-12  # a standard deviation below this is rounding error: activations are of order 1


class SignalExplorer(LiveFigure):
    """Activations and gradients of every layer at initialisation, for any depth and scale.

    Left, for every hidden layer: the standard deviation over all activations, and that of one unit
    over the images (averaged over the units), which is what tells two images apart. Right: the norm
    of the gradient of the loss with respect to the layer's weights. One forward and one backward
    pass in training mode; nothing is trained.

    Parameters
    ----------
    x : (N, D) inputs, N >= 2, best standardised; labels : (N,) integers below 10
    depth, scale, activation : where the controls start, depth from 5 to 50, scale from 0.1 to 4
    seed : of the initial weights, N(0, scale^2 / fan_in)

    Traps: both axes are logarithmic and end at 1e-15 and 1e9; a triangle at the edge stands for
    what lies beyond. Below 1e-12 a unit's standard deviation is rounding error, and the sentence
    says no more than that.
    Source: Glorot & Bengio 2010; He et al. 2015, section 2.2.
    Raises ValueError if x and labels are not such arrays.
    """

    size = (880, 400)

    def __init__(self, x, labels, depth=30, scale=1.0, activation="relu", seed=0) -> None:
        x, labels = np.asarray(x, dtype=float), np.asarray(labels)
        if x.ndim != 2 or len(x) < 2 or labels.shape != x.shape[:1] or not np.isfinite(x).all():
            raise ValueError(
                "expected finite x of shape (N, D) with N >= 2 and labels of shape (N,), got "
                f"{x.shape} and {labels.shape}: images need x.reshape(len(x), -1) first"
            )
        self.x, self.labels, self.seed = x, labels, seed
        controls = {
            "depth": slider("hidden layers", depth, *DEPTHS, width=230),
            "scale": slider("initial scale a", scale, *SCALES, 0.05, width=230),
            "activation": menu("activation", list(ACTIVATIONS), activation, width=200),
            "norm": checkbox("also with BN", False, width=130),
        }
        super().__init__(controls)

    def build(self, fig):
        axes = fig.subplots(1, 2, sharex=True)
        titles = (
            "standard deviation of the activations",
            "norm of the gradient of the layer's weights",
        )
        for ax, title in zip(axes, titles, strict=True):
            ax.set(yscale="log", ylim=(LOW, HIGH), xlim=(0, DEPTHS[1] + 1))
            ax.set(xlabel="hidden layer", title=title, yticks=10.0 ** np.arange(-12, 9, 4))
            ax.minorticks_off()
            ax.axhline(1, color="0.85", lw=1, zorder=0)
        self._all = axes[0].plot([], [], color=COLORS["data"], marker="o", ms=4, lw=1)[0]
        self._units, self._norms = (
            {n: ax.plot([], [], **look(n))[0] for n in NORMS} for ax in axes
        )
        fig.legend(
            [self._all, *self._units.values()],
            ["over all units and images", "one unit, over the images", "the same, with BN"],
            loc="outside upper left", ncols=3, frameon=False,
        )  # fmt: skip
        self._beyond = [EdgeMarks(ax) for ax in axes]
        marks = [m.artists for m in self._beyond]
        return [self._all, self._units.values(), self._norms.values(), marks]

    def draw(self, depth, scale, activation, norm):
        layers, sizes = np.arange(1, depth + 1), [self.x.shape[1], *[UNITS] * depth, 10]
        profiles, says = {}, []
        for name, kind in NORMS.items():
            units, norms = [], []
            if norm or kind is None:
                net = mlp(sizes, kind, activation, scale, self.seed)
                profiles[name] = profile = signal_profile(net, self.x, self.labels)
                units, norms = profile.unit_std, profile.gradient_norm
                says.append(f"{_from_to(units, NOISE)}, gradient {_from_to(norms)}")
            self._units[name].set_data(layers[: len(units)], units)
            self._norms[name].set_data(layers[: len(norms)], norms)
        std = profiles["without BN"].std
        self._all.set_data(layers, std)
        self._beyond[0].show(layers, std, *(p.unit_std for p in profiles.values()))
        self._beyond[1].show(layers, *(p.gradient_norm for p in profiles.values()))
        network = f"{depth} hidden layers of {activation}, scale {setting(scale)}"
        return f"{network}, layer 1 → {depth}: one unit's std {'; with BN '.join(says)}."


def _from_to(values: np.ndarray, floor: float = 1e-20) -> str:
    """The first and the last value; no more than "below ..." where rounding decides."""
    ends = [f"below {setting(floor)}" if v < floor else number(v, 0) for v in values[[0, -1]]]
    return " → ".join(ends)
