"""The Jacobian of batch normalization: what a batch lets through to its gradient.

For one feature, x and y are vectors of N numbers, and the backward pass is a matrix times a vector:

    dx = gamma / sqrt(sigma_B^2 + eps) * P dy,      P = I - 1 1^T / N - xhat xhat^T / N

`JacobianExplorer` shows P as a heat map for any N; `ProjectionExplorer` shows what it does to dy in
space, for N = 3 (notebook 05).
"""

from __future__ import annotations

import numpy as np

from bnlib.figures.format import number, setting
from bnlib.figures.style import COLORS, INK, look
from bnlib.views import check_int
from bnlib.widgets.controls import menu, slider
from bnlib.widgets.live import LiveFigure

SEED = 24  # no outlier among the first eight values
SIZES = [2, 3, 4, 6, 8, 16, 32]
SCALES = [("x 0.01", 0.01), ("x 0.1", 0.1), ("x 1", 1.0), ("x 10", 10.0)]
EPS = [0.0, 1e-5, 1e-3, 0.1, 1.0, 10.0]
NUMBERS = 8  # larger matrices have no room for a number in each cell
DIRECTIONS = ["a general dy", "all equal", "along x̂", "at right angles to both"]
UP = np.ones(3) / np.sqrt(3)  # the direction 1; the other two have the sum 0
SUM_0 = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
ACROSS = np.cross(UP, SUM_0)


def bn_jacobian(x: np.ndarray, eps: float) -> tuple[float, np.ndarray, float]:
    """The Jacobian dy/dx of one normalised feature, gamma = 1, as ``factor`` times ``P``.

    x : (N,), one feature of a batch; eps >= 0. Returns factor = 1 / sqrt(var + eps), P (N, N),
    which is symmetric, and the share of the component along xhat that passes P, which is
    eps / (var + eps): 0 for eps = 0, when P is a projection. Nothing along 1 ever passes.

    Raises ValueError for x that is not a vector, or when var + eps is 0 (no derivative there).
    """
    x = np.asarray(x, float)
    if x.ndim != 1:
        raise ValueError(f"bn_jacobian expected one feature, x of shape (N,), got {x.shape}")
    deviations = x - x.mean()
    var = np.mean(deviations**2)
    if not var + eps > 0:
        raise ValueError(
            f"bn_jacobian expected var + eps > 0, got var {var:.3g} and eps {eps:.3g}: "
            "a feature that is constant over the batch has no Jacobian without eps"
        )
    factor = 1 / np.sqrt(var + eps)
    xhat = deviations * factor
    P = np.eye(len(x)) - 1 / len(x) - np.outer(xhat, xhat) / len(x)
    return factor, P, eps / (var + eps)


class JacobianExplorer(LiveFigure):
    """The N x N Jacobian of one feature as a heat map, as the batch and eps change.

    Left the batch, a row an example; in the middle P, where row j holds the change of y_j for each
    x_i, in units of 1 / sqrt(var + eps); right how much of a gradient passes P in each direction.
    Without BN the matrix would be the identity.

    Things to see: two directions are lost, of N; an outlier takes its own row and column with it;
    once eps is large compared with the variance, the direction of xhat comes back.

    N, first, eps : where the controls start: 2 to 32 examples, the value of the first one, eps
    """

    size = (880, 390)
    palette = "adaptive"

    def __init__(self, N: int = 6, first: float = 1.0, eps: float = 1e-5) -> None:
        if check_int("JacobianExplorer expected N", N, 2) > max(SIZES):
            raise ValueError(f"JacobianExplorer expected N <= {max(SIZES)}, got {N}")
        self.values_of_batch = np.random.default_rng(SEED).standard_normal(max(SIZES))
        controls = {
            "N": menu("batch size N", SIZES, N, width=180),
            "first": slider("example 1", first, -6.0, 6.0, 0.25, width=290),
            "scale": menu("all x", SCALES, 1.0, width=150),
            "eps": menu("eps", EPS, eps, width=130),
        }
        super().__init__(controls)

    def batch(self, N: int, first: float, scale: float) -> np.ndarray:
        """The feature's values x (N,): fixed ones, but for the first."""
        return scale * np.r_[first, self.values_of_batch[1:N]]

    def build(self, fig):
        left, middle, right = fig.subplots(1, 3, width_ratios=(1, 2, 1.15))

        left.set(xlim=(-6.5, 6.5), ylim=(1, 0), yticks=[], title="the batch", xlabel="x / scale")
        left.axvline(0, color=COLORS["data"], lw=1)
        (self.points,) = left.plot([], [], "o", color=COLORS["data"], ms=7)
        (self.moved,) = left.plot([], [], "s", color=COLORS["theory"], ms=8)
        self.name = left.text(0, 0, "example 1", va="center")

        self.heat = middle.imshow(
            np.zeros((2, 2)), "PuOr", vmin=-1, vmax=1, extent=(0, 1, 1, 0), aspect="equal"
        )
        middle.set(xticks=[], yticks=[], title="P = Jacobian × √(σ² + ε)")
        middle.set(xlabel="nudged input $x_i$", ylabel="output $y_j$")
        self.numbers = [middle.text(0, 0, "", ha="center", va="center") for _ in range(NUMBERS**2)]
        fig.colorbar(self.heat, ax=middle, shrink=0.85, ticks=[-1, 0, 1])

        names = ("along 1", "along x̂", "all others")
        self.bars = right.barh(names, [0, 0, 1], color=COLORS["with BN"], height=0.5)
        right.set(xlim=(0, 1.45), xticks=[0, 1], title="part of dy that passes")
        right.invert_yaxis()
        self.shares = [right.text(0, i, "", va="center") for i in range(3)]
        for text in (self.name, *self.shares, *self.numbers):
            text.set_in_layout(False)  # it moves: the axes should not
        return [self.points, self.moved, self.name, self.heat, self.numbers, self.bars, self.shares]

    def draw(self, N, first, scale, eps):
        x = self.batch(N, first, scale)
        factor, P, share = bn_jacobian(x, eps)
        rows = (np.arange(N) + 0.5) / N
        self.points.set_data(x[1:] / scale, rows[1:])
        self.moved.set_data(x[:1] / scale, rows[:1])
        beside = first - np.copysign(0.8, first)
        self.name.set(x=beside, ha="right" if first > 0 else "left")
        self.name.set_y(max(rows[0], 0.045))  # in a large batch the first row is under the title
        self.heat.set_data(P)
        for k, text in enumerate(self.numbers):
            i, j = divmod(k, N)
            text.set_visible(N <= NUMBERS and i < N)
            if text.get_visible():
                text.set(position=(rows[j], rows[i]), text=_in_cell(P[i, j]))
                text.set_color("white" if abs(P[i, j]) > 0.6 else "black")
        labels = ["0", _share(share), f"1  (N − 2 = {N - 2})" if N > 2 else "there are none"]
        for bar, text, value, label in zip(self.bars, self.shares, (0, share, N > 2), labels):
            bar.set_width(value)
            inside = value > 0.5
            text.set(x=0.04 if inside else value + 0.04, text=label)
            text.set_color("white" if inside else "black")
        others = f"all in the other {N - 2}" if N > 2 else "and there is no other direction"
        return (
            f"N = {N}, eps = {setting(eps)}: the Jacobian is {number(factor)} times P. Of a "
            f"gradient dy, nothing passes along 1, the share {_share(share)} along x̂, {others}. "
            f"Example 1 keeps {number(P[0, 0])} of its own gradient."
        )


class ProjectionExplorer(LiveFigure):
    """A batch of three: dy, dx and the two directions that are removed, in space.

    With N = 3, dy is an arrow in space, one axis an example. The direction 1 points up; the disc is
    the plane of all vectors whose sum is zero, and xhat lies in it. P drops dy onto the plane, then
    along xhat onto the one line that is left. The batch is (-1, 1, x3).

    third, eps : where the controls of x3 and eps start
    """

    size = (880, 410)

    def __init__(self, third: float = 2.0, eps: float = 0.0) -> None:
        controls = {
            "third": slider("x3", third, -6.0, 6.0, 0.25, width=210),
            "eps": menu("eps", EPS, eps, width=120),
            "dy": menu("dy", DIRECTIONS, DIRECTIONS[0], width=210),
            "turn": slider("turn the view", 30, -180, 180, 5, width=240),
        }
        super().__init__(controls)

    def build(self, fig):
        space, parts = fig.subplots(1, 2, width_ratios=(1.9, 1))
        space.set(xlim=(-3.2, 3.2), ylim=(-1.5, 2.4), aspect="equal")
        space.set_axis_off()
        grey, with_bn, without = COLORS["data"], look("with BN"), look("without BN")
        (self.disc,) = space.fill([0], [0], color=grey, alpha=0.15, lw=0)
        (self.circle,) = space.plot([], [], color=grey, lw=1, ls=":")
        (self.left,) = space.plot([], [], color=COLORS["theory"], lw=1.2, ls="--")
        (self.drop,) = space.plot([], [], color=grey, lw=1.5, ls=":")
        direction = {"color": grey, "lw": 2}
        self.arrows, self.labels = {}, {}
        for name, kind, ink in (
            ("1", direction, "0.35"),
            ("x̂", direction, "0.35"),
            ("dy", without | {"lw": 2.5}, INK["without BN"]),
            ("P dy", with_bn | {"lw": 3.5}, INK["with BN"]),
        ):
            shaft = space.plot([], [], **kind)[0]
            tip = space.plot([], [], "o", color=kind["color"], ms=6)[0]
            self.arrows[name] = (shaft, tip)
            label = space.text(0, 0, name, color=ink, ha="center", va="center")
            label.set_in_layout(False)  # it moves: the axes should not
            label.set_bbox({"fc": "white", "alpha": 0.7, "lw": 0, "pad": 1})
            self.labels[name] = label
        self.labels["P dy"].set_weight("bold")

        place = np.arange(3)
        parts.set(ylim=(-0.1, 2.4), title="lengths of the parts", ylabel="length")
        parts.set_xticks(place, ("along 1", "along x̂", "the rest"))
        hatched = {"color": "white", "edgecolor": without["color"], "hatch": "//"}
        self.before = parts.bar(place - 0.2, [1] * 3, 0.36, label="of dy", **hatched)
        self.after = parts.bar(place + 0.2, [1] * 3, 0.36, color=with_bn["color"], label="of P dy")
        parts.legend(frameon=False, loc="upper right")
        lines = [self.disc, self.circle, self.left, self.drop]
        return [lines, self.before, self.after, self.arrows.values(), self.labels.values()]

    def draw(self, third, eps, dy, turn):
        x = np.array([-1.0, 1.0, third])
        _, P, share = bn_jacobian(x, eps)
        along = (x - x.mean()) / np.linalg.norm(x - x.mean())
        rest = np.cross(UP, along)  # the only direction left
        choices = [np.array([1.7, 0.9, -0.5]), np.full(3, 1.2), 2.2 * along, 1.6 * rest]
        given = choices[DIRECTIONS.index(dy)]
        passed = P @ given
        see = self.camera(turn)
        ring = np.linspace(0, 2 * np.pi, 73)
        ring = np.outer(np.cos(ring), SUM_0) + np.outer(np.sin(ring), ACROSS)
        self.disc.set_xy(see(2.3 * ring))
        self.circle.set_data(*see(np.sqrt(3) * ring).T)
        self.left.set_data(*see(np.outer([-2.3, 2.3], rest)).T)
        flat = given - UP * (UP @ given)
        self.drop.set_data(*see(np.array([given, flat, passed])).T)
        xhat = along * np.sqrt(3 * (1 - share))
        for name, v in {"1": np.ones(3), "x̂": xhat, "dy": given, "P dy": passed}.items():
            (shaft, tip), end = self.arrows[name], see(v)
            shaft.set_data(*np.array([[0, 0], end]).T)
            tip.set_data(*end[:, None])
            length = np.linalg.norm(end)
            beyond = end / length if length > 0.1 else np.array([0.3, -1.0])
            if name == "1":
                beyond = np.array([-0.8, 0.3])  # not where dy's is, when dy is along 1
            self.labels[name].set_position(end + beyond * (0.33 if name == "P dy" else 0.22))
        for bars, vector in ((self.before, given), (self.after, passed)):
            for bar, direction in zip(bars, (UP, along, rest), strict=True):
                bar.set_height(abs(direction @ vector))
        lengths = [float(np.linalg.norm(v)) for v in (given, passed)]
        gone = f" is gone, along x̂ the share {_share(share)} is left" if share else " and x̂ is gone"
        return (
            f"Batch (-1, 1, {setting(third)}), eps = {setting(eps)}: dy has length "
            f"{number(lengths[0])}, P dy {number(lengths[1])}. What dy has along 1{gone}; "
            "on the dashed line all of it passes."
        )

    @staticmethod
    def camera(turn: float, lift: float = 22.0):
        """A map from space (..., 3) to the screen (..., 2); the direction 1 is up."""
        t, e = np.radians([turn, lift])
        right = np.cos(t) * SUM_0 + np.sin(t) * ACROSS
        back = np.cos(t) * ACROSS - np.sin(t) * SUM_0
        screen = np.stack([right, np.cos(e) * UP + np.sin(e) * back])
        return lambda v: np.asarray(v) @ screen.T


def _in_cell(value: float) -> str:
    """.83 for 0.83, so that it fits a cell."""
    return number(value).replace("0.00", "0").replace("0.", ".", 1)


def _share(share: float) -> str:
    return "0" if share == 0 else number(share, smallest=0)
