"""SignalExplorer: how far a signal gets in an untrained network, forward and backward."""

from __future__ import annotations

import numpy as np

from bnlib.figures import COLORS, look
from bnlib.layers import ACTIVATIONS
from bnlib.network import mlp
from bnlib.profile import signal_profile
from bnlib.widgets.live import LiveFigure, checkbox, menu, slider

DEPTHS = (5, 50)
SCALES = (0.1, 4.0)
UNITS = 64  # of every hidden layer
LOW, HIGH = 1e-14, 1e8  # of both axes; what lies beyond is drawn at the edge
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

    Traps: both axes are logarithmic and end at 1e-14 and 1e8, and what lies beyond is drawn at the
    edge. Below 1e-12 a unit's standard deviation is rounding error, and the sentence says no more
    than that.
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
            "depth": slider("hidden layers", depth, *DEPTHS, width=300),
            "scale": slider("initial scale s", scale, *SCALES, 0.05, width=300),
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
            # A little beyond the limits, so that what is drawn at the edge can be seen.
            ax.set(yscale="log", ylim=(LOW / 10, HIGH * 10), xlim=(0, DEPTHS[1] + 1))
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
        return [self._all, self._units.values(), self._norms.values()]

    def draw(self, depth, scale, activation, norm):
        layers = np.arange(1, depth + 1)
        self.profiles = {"without BN": self._profile(depth, scale, activation, None)}
        if norm:
            self.profiles["with BN"] = self._profile(depth, scale, activation, "batch")
        for name in self._units:
            profile = self.profiles.get(name)
            shown = [[], [], []] if profile is None else [
                layers,
                np.clip(profile.unit_std, LOW, HIGH),
                np.clip(profile.gradient_norm, LOW, HIGH),
            ]  # fmt: skip
            self._units[name].set_data(shown[0], shown[1])
            self._norms[name].set_data(shown[0], shown[2])
        without = self.profiles["without BN"]
        self._all.set_data(layers, np.clip(without.std, LOW, HIGH))
        sentence = f"{depth} hidden layers of {activation}, scale {scale:g}, layer 1 → {depth}: "
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
    """One or two digits; no more than "below ..." where rounding decides."""
    if value < floor:
        return f"below {floor:.0e}"
    return f"{value:.2g}" if 0.01 <= value < 100 else f"{value:.0e}"
