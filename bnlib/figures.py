"""Static figures of a Recording, one function each, and the one palette of the whole suite.

One meaning a colour everywhere, and never by colour alone: the line style says the same. The
colours are Okabe and Ito's, which people with the common colour vision deficiencies can tell apart.

Functions take `recordings`, a dict name -> Recording (or a single Recording), or an array x (N, D)
where they say so, and return the matplotlib Figure. In a notebook end the cell with `plt.show()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from functools import wraps

import numpy as np

COLORS = {
    "without BN": "#D55E00",
    "with BN": "#0072B2",
    "LN": "#009E73",
    "GN": "#CC79A7",
    "IN": "#56B4E9",
    "theory": "#000000",
    "data": "#7F7F7F",
}
STYLES = {
    "without BN": "--",
    "with BN": "-",
    "LN": "-.",
    "GN": ":",
    "IN": (0, (5, 1, 1, 1)),
    "theory": (0, (1, 1)),
    "data": "-",
}
RC = {
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "figure.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2,
}


@contextmanager
def style():
    """A context in which new figures look like the suite's: `with style(): plt.subplots()`.

    Like `matplotlib.rc_context(RC)`, which saves all 300 settings and takes 10 times as long:
    widgets enter it for every frame.
    """
    from matplotlib import rcParams

    before = {name: rcParams[name] for name in RC}
    rcParams.update(RC)
    try:
        yield
    finally:
        rcParams.update(before)


def look(name: str) -> dict:
    """Colour and line style of a kind of network, as keyword arguments of `ax.plot`."""
    return {"color": COLORS.get(name, COLORS["data"]), "linestyle": STYLES.get(name, "-")}


def _styled(function):
    """Every artist made inside has the suite's fonts, whatever the user's settings are."""

    @wraps(function)
    def styled(*args, **kwargs):
        with style():
            return function(*args, **kwargs)

    return styled


@_styled
def distributions(recordings, step: int = -1, size: tuple[float, float] | None = None):
    """Histograms of the inputs of every nonlinearity: a column a network, a row a hidden layer.

    step : an index into the recorded frames (-1: the last). Each panel's height is scaled to its
        highest bar; the first and last bar hold all that lies beyond the axis. Lines: 15th, 50th
        and 85th percentile.
    """
    recordings = _as_dict(recordings)
    rows = max(len(r.layer_names) for r in recordings.values())
    fig, axes = _subplots(rows, len(recordings), size or (9, 1 + 1.1 * rows), sharex=True)
    for column, (name, recording) in zip(axes.T, recordings.items(), strict=True):
        for row, ax in enumerate(column[: len(recording.layer_names)]):
            share = recording.histogram[step, row]
            color = look(name)["color"]
            ax.stairs(share / share.max(), recording.edges, fill=True, color=color, alpha=0.6)
            for value, line in zip(recording.percentiles[step, row], (":", "-", ":"), strict=True):
                ax.axvline(value, color=COLORS["theory"], linestyle=line, linewidth=1.3)
            ax.set(yticks=[], xlim=recording.edges[[0, -1]])
            ax.set_ylabel(recording.layer_names[row], rotation=0, ha="right", va="center")
        column[0].set_title(f"{name}, step {recording.steps[step]:,}")
        column[-1].set_xlabel("input of the nonlinearity")
    return fig


@_styled
def percentiles(recordings, layer: int = -1, unit: bool = False, size=(9, 3.4)):
    """The 15th, 50th and 85th percentile of a layer's inputs over training, a panel a network.

    unit : of one typical unit, as in Ioffe & Szegedy 2015, Fig. 1 (b, c), instead of all units.
    """
    recordings = _as_dict(recordings)
    fig, axes = _subplots(1, len(recordings), size, sharex=True, sharey=True)
    for ax, (name, recording) in zip(axes[0], recordings.items(), strict=True):
        values = (recording.unit_percentiles if unit else recording.percentiles)[:, layer]
        color = look(name)["color"]
        ax.fill_between(recording.steps, values[:, 0], values[:, 2], color=color, alpha=0.2)
        for value, label, line in zip(values.T, ("15", "50", "85"), (":", "-", ":"), strict=True):
            ax.plot(recording.steps, value, color=color, linestyle=line, label=f"{label} %")
        what = "one unit" if unit else "all units"
        ax.set(title=f"{name}: {recording.layer_names[layer]}, {what}", xlabel="training step")
    axes[0, 0].set_ylabel("input of the nonlinearity")
    lines = axes[0, -1].get_lines()[::-1]  # in the order in which they lie
    fig.legend(handles=lines, loc="outside right center", frameon=False, title="values below")
    return fig


@_styled
def curves(recordings, quantities=("loss", "accuracy"), size=(9, 3.2)):
    """Loss and accuracy over training, all networks in one panel a quantity.

    quantities : names of a Recording's arrays of shape (T,).
    """
    recordings = _as_dict(recordings)
    fig, axes = _subplots(1, len(quantities), size, sharex=True)
    for ax, quantity in zip(axes[0], quantities, strict=True):
        for name, recording in recordings.items():
            ax.plot(recording.steps, getattr(recording, quantity), label=name, **look(name))
        ax.set(xlabel="training step", ylabel=quantity.replace("_", " "))
        if quantity == "accuracy":
            ax.set_ylim(0, 1.02)
    axes[0, -1].legend(frameon=False)
    return fig


@_styled
def batch_table(x, eps: float = 1e-5, images=None, column: int = 1, size=(9.4, 4.3)):
    """The shapes of batch normalization: x (N, D), its statistics (D,), xhat (N, D), as tables.

    Takes an array, not a recording; at most about 8 x 5 numbers can be read. images : (N, 784) or
    (N, H, W), drawn as the names of the rows. column : framed, to show that a feature is a group.
    """
    from matplotlib import pyplot as plt

    n, d = x.shape
    mean, var = x.mean(axis=0), x.var(axis=0)
    xhat = (x - mean) / np.sqrt(var + eps)
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    ax.set(xlim=(-0.9, 2 * d + 3.1), ylim=(n + 3.4, -1.1))  # one unit is one cell; down is down
    ax.axis("off")
    right = d + 3
    blocks = [
        (0, 0, x, f"$x$: ({n}, {d})", "without BN"),
        (0, n + 0.9, mean[None], rf"$\mu_B$: ({d},)", "data"),
        (0, n + 2.2, var[None], rf"$\sigma_B^2$: ({d},)", "data"),
        (right, 0, xhat, rf"$\hat{{x}}$: ({n}, {d})", "with BN"),
    ]
    for left, top, table, name, kind in blocks:
        rows = len(table)
        ax.hlines(np.arange(rows + 1) + top, left, left + d, color="0.8", lw=1)
        ax.vlines(np.arange(d + 1) + left, top, top + rows, color="0.8", lw=1)
        for i, j in np.ndindex(table.shape):
            text = f"{table[i, j] + 0.0:.1f}".replace("-0.0", "0.0")
            ax.text(left + j + 0.5, top + i + 0.5, text, ha="center", va="center")
        frame = {"fill": False, "lw": 2.5, "ec": COLORS[kind], "ls": look(kind)["linestyle"]}
        ax.add_patch(plt.Rectangle((left + column, top), 1, rows, **frame))
        if rows > 1:
            ax.text(left + d / 2, -0.25, name, ha="center", va="bottom", fontsize=14)
        else:
            ax.text(d + 0.25, top + 0.5, name, va="center", fontsize=14)
    for i in range(n if images is not None else 0):
        image = np.reshape(images[i], (round(np.size(images[i]) ** 0.5), -1))
        ax.imshow(image, cmap="gray_r", extent=(-0.7, -0.2, i + 0.95, i + 0.05), aspect="auto")
    ax.set(xlim=(-0.9, 2 * d + 3.1), ylim=(n + 3.4, -1.1))
    arrow = {"arrowstyle": "-|>", "lw": 1.5, "color": "black"}
    ax.annotate("", (right - 0.2, n / 2), (d + 0.2, n / 2), arrowprops=arrow)
    step = "every row:\nminus $\\mu_B$, over\n" + r"$\sqrt{\sigma_B^2 + \varepsilon}$"
    ax.text(d + 1.5, n / 2 - 0.2, step, ha="center", va="bottom")
    ax.annotate("", (d / 2, n + 0.85), (d / 2, n + 0.1), arrowprops=arrow)
    ax.text(d / 2 + 0.2, n + 0.45, "over axis 0", va="center")
    return fig


def _as_dict(recordings) -> dict:
    if isinstance(recordings, Mapping):
        if not recordings:
            raise ValueError("expected at least one recording, got an empty dict")
        return dict(recordings)
    return {"data": recordings}


def _subplots(rows: int, columns: int, size, **kwargs):
    from matplotlib import pyplot as plt

    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **kwargs)


@_styled
def backward_graph(slope: str = "?", size=(9, 3.6)):
    """The graph of one feature of batch normalization: nodes, edges, and the order of the backward.

    An edge leads from a node to each node that is computed from it. The numbers in the boxes of the
    with-BN colour say in which order the gradients are found, from right to left. Dotted: the edge
    from the mean to the variance; slope is what to write on it (the lemma of notebook 03: "0").
    """
    _, axes = _subplots(1, 1, size)
    ax = axes[0, 0]
    ax.set(xlim=(-0.6, 9.3), ylim=(-2.05, 2.05), xticks=[], yticks=[])
    ax.set_axis_off()
    places = {
        "x": (0, 0), "mean": (2, 1.35), "var": (3.6, -1.15), "xhat": (5.7, 0), "y": (7.6, 0),
        "parameters": (7.6, 1.45), "L": (9.0, 0),
    }  # fmt: skip
    symbols = {
        "x": r"$x_i$", "mean": r"$\mu_\mathcal{B}$", "var": r"$\sigma^2_\mathcal{B}$",
        "xhat": r"$\hat{x}_i$", "y": r"$y_i$", "parameters": r"$\gamma,\ \beta$", "L": "$L$",
    }  # fmt: skip
    steps = {
        "parameters": r"1: $d\gamma,\ d\beta$", "xhat": r"2: $d\hat{x}$", "var": r"3: $d\sigma^2$",
        "mean": r"4: $d\mu$", "x": r"5: $dx$",
    }  # fmt: skip
    edges = [
        ("x", "mean"), ("x", "var"), ("x", "xhat"), ("mean", "xhat"), ("var", "xhat"),
        ("xhat", "y"), ("parameters", "y"), ("y", "L"), ("mean", "var"),
    ]  # fmt: skip
    for start, end in edges:
        zero = (start, end) == ("mean", "var")
        arrow = dict(
            arrowstyle="-|>", shrinkA=19, shrinkB=19, color=COLORS["data" if zero else "theory"],
            linewidth=1.5, linestyle=":" if zero else "-",
        )  # fmt: skip
        ax.annotate("", places[end], places[start], arrowprops=arrow)
    ax.annotate(f"derivative {slope}", (2.9, 0.12), (2.95, 0.16), color=COLORS["data"], ha="left")
    for name, (h, v) in places.items():
        box = dict(boxstyle="circle,pad=0.3", fc="white", ec="black")
        ax.text(h, v, symbols[name], fontsize=15, ha="center", va="center", bbox=box)
        if name in steps:
            box = dict(boxstyle="round,pad=0.2", fc="white", ec=look("with BN")["color"])
            above = 1 if name in ("mean", "parameters") else -1
            offset = (h + 1.0, v) if above == 1 else (h, v - 0.78)
            ax.text(*offset, steps[name], color=box["ec"], ha="center", va="center", bbox=box)
    return ax.figure


@_styled
def feature_map_table(x, images=None, column: int | None = None, size=(9, 4.3)):
    """Feature maps x (N, C, H, W) as a table: a row an image, a column a channel.

    Takes an array, not a recording. images : (N, 1, H, W), drawn on the left. column : framed, to
    show which numbers share a mean. Below: mean and std of each channel. Grey is 0, in all maps.
    """
    fig, axes = _subplots(len(x), x.shape[1] + 1, size)
    limit = np.abs(x).max()
    for row, maps in zip(axes, x, strict=True):
        for ax, values in zip(row[1:], maps, strict=True):
            ax.imshow(values, cmap="gray", vmin=-limit, vmax=limit)
    for n, ax in enumerate(axes[:, 0]):
        if images is None:
            ax.set_axis_off()
        else:
            ax.imshow(images[n, 0], cmap="gray_r")
    axes[0, 0].set_title("" if images is None else "image")
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for c, ax in enumerate(axes[0, 1:]):
        ax.set_title(f"channel {c}")
    for c, ax in enumerate(axes[-1, 1:]):
        ax.set_xlabel(f"{x[:, c].mean():.2f}\n± {x[:, c].std():.2f}")
    if column is not None:
        for ax in axes[:, column + 1]:
            ax.spines[:].set(visible=True, color=COLORS["with BN"], linewidth=4)
    return fig


@_styled
def im2col_table(image, kernel: int = 3, window: int = 1, size=(9, 4.0)):
    """What im2col does to one small image (H, W): each window becomes a column of a matrix.

    window : the one that is framed, on both sides.
    """
    from matplotlib.patches import Rectangle

    h, w = image.shape
    cols = w - kernel + 1
    windows = np.lib.stride_tricks.sliding_window_view(image, (kernel, kernel))
    columns = windows.reshape(-1, kernel * kernel).T
    fig, axes = _subplots(1, 2, size, width_ratios=(w, columns.shape[1] + 1))
    for ax, table in zip(axes[0], (image, columns), strict=True):
        ax.imshow(np.ones_like(table), cmap="gray", vmin=0, vmax=1)
        height, width = table.shape
        ax.hlines(np.arange(height + 1) - 0.5, -0.5, width - 0.5, color="0.8", lw=1)
        ax.vlines(np.arange(width + 1) - 0.5, -0.5, height - 0.5, color="0.8", lw=1)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        for (i, j), value in np.ndenumerate(table):
            ax.text(j, i, f"{value:g}", ha="center", va="center")
    frame = {"fill": False, "lw": 3, "ec": COLORS["with BN"], "zorder": 3, "clip_on": False}
    top, left = divmod(window, cols)
    axes[0, 0].add_patch(Rectangle((left - 0.5, top - 0.5), kernel, kernel, **frame))
    axes[0, 1].add_patch(Rectangle((window - 0.5, -0.5), 1, kernel * kernel, **frame))
    axes[0, 0].set_title(f"image ({h}, {w})")
    axes[0, 1].set_title(f"columns {columns.shape}")
    axes[0, 1].set_xlabel("one column for each position of the kernel")
    return fig
