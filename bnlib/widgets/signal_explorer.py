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
        left, right = fig.subplots(1, 2, sharex=True)
        for ax, label in (
            (left, "standard deviation of the activations"),
            (right, "norm of the gradient of the layer's weights"),
        ):
            ax.set(yscale="log", ylim=(LOW, HIGH), xlim=(0, DEPTHS[1] + 1))
            ax.set(xlabel="hidden layer", title=label, yticks=10.0 ** np.arange(-12, 9, 4))
            ax.minorticks_off()
            ax.axhline(1, color="0.85", lw=1, zorder=0)
        self._all = left.plot([], [], color=COLORS["data"], marker="o", ms=4, lw=1)[0]
        self._units = {n: left.plot([], [], **look(n))[0] for n in ("without BN", "with BN")}
        self._norms = {n: right.plot([], [], **look(n))[0] for n in ("without BN", "with BN")}
        fig.legend(
            [self._all, *self._units.values()],
            ["over all units and images", "one unit, over the images", "the same, with BN"],
            loc="outside upper left",
            ncols=3,
            frameon=False,
        )
        self._beyond = [EdgeMarks(left), EdgeMarks(right)]
        marks = [m.artists for m in self._beyond]
        return [self._all, self._units.values(), self._norms.values(), marks]

    def draw(self, depth, scale, activation, norm):
        layers = np.arange(1, depth + 1)
        self.profiles = {"without BN": self._profile(depth, scale, activation, None)}
        if norm:
            self.profiles["with BN"] = self._profile(depth, scale, activation, "batch")
        for name in self._units:
            profile = self.profiles.get(name)
            self._units[name].set_data(*([], []) if profile is None else (layers, profile.unit_std))
            self._norms[name].set_data(
                *([], []) if profile is None else (layers, profile.gradient_norm)
            )
        without = self.profiles["without BN"]
        self._all.set_data(layers, without.std)
        profiles = self.profiles.values()
        self._beyond[0].show(layers, without.std, *(p.unit_std for p in profiles))
        self._beyond[1].show(layers, *(p.gradient_norm for p in profiles))
        sentence = (
            f"{depth} hidden layers of {activation}, scale {setting(scale)}, layer 1 → {depth}: "
        )
        sentence += (
            f"one unit's std {_short(without.unit_std[0], NOISE)} → "
            f"{_short(without.unit_std[-1], NOISE)}, gradient {_short(without.gradient_norm[0])} → "
            f"{_short(without.gradient_norm[-1])}"
        )
        if norm:
            p = self.profiles["with BN"]
            sentence += (
                f"; with BN {_short(p.unit_std[0])} → {_short(p.unit_std[-1])}, "
                f"gradient {_short(p.gradient_norm[0])} → {_short(p.gradient_norm[-1])}"
            )
        return sentence + "."

    def _profile(self, depth, scale, activation, norm):
        sizes = [self.x.shape[1], *[UNITS] * depth, 10]
        net = mlp(sizes, norm=norm, activation=activation, init_scale=scale, seed=self.seed)
        return signal_profile(net, self.x, self.labels)


def _short(value: float, floor: float = 1e-20) -> str:
    """No more than "below ..." where rounding decides."""
    return f"below {setting(floor)}" if value < floor else number(value, smallest=0)
