"""The diagrams of the notebooks: tables of numbers, the graph of the backward pass."""

from __future__ import annotations

import numpy as np

from bnlib.figures.style import COLORS, look, styled, subplots


def _table(ax, values, left, top, text):
    """Numbers in cells of size 1 from (left, top) down; ``text`` makes one of a value."""
    rows, columns = values.shape
    ax.hlines(np.arange(rows + 1) + top, left, left + columns, color="0.8", lw=1)
    ax.vlines(np.arange(columns + 1) + left, top, top + rows, color="0.8", lw=1)
    for (i, j), value in np.ndenumerate(values):
        ax.text(left + j + 0.5, top + i + 0.5, text(value), ha="center", va="center")


@styled
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
    ax.axis("off")
    right = d + 3
    blocks = [
        (0, 0, x, f"$x$: ({n}, {d})", "without BN"),
        (0, n + 0.9, mean[None], rf"$\mu_\mathcal{{B}}$: ({d},)", "data"),
        (0, n + 2.2, var[None], rf"$\sigma_\mathcal{{B}}^2$: ({d},)", "data"),
        (right, 0, xhat, rf"$\hat{{x}}$: ({n}, {d})", "with BN"),
    ]
    for left, top, table, name, kind in blocks:
        rows = len(table)
        _table(ax, table, left, top, lambda value: f"{value:.2f}".replace("-0.00", "0.00"))
        frame = {"fill": False, "lw": 2.5, "ec": COLORS[kind], "ls": look(kind)["linestyle"]}
        ax.add_patch(plt.Rectangle((left + column, top), 1, rows, zorder=3, **frame))
        if rows > 1:
            ax.text(left + d / 2, -0.25, name, ha="center", va="bottom", fontsize=14)
        else:
            ax.text(d + 0.25, top + 0.5, name, va="center", fontsize=14)
    for i in range(n if images is not None else 0):
        image = np.reshape(images[i], (round(np.size(images[i]) ** 0.5), -1))
        ax.imshow(image, cmap="gray_r", extent=(-0.7, -0.2, i + 0.95, i + 0.05), aspect="auto")
    ax.set(xlim=(-0.9, 2 * d + 3.1), ylim=(n + 3.4, -1.1))  # one unit is one cell; down is down
    arrow = {"arrowstyle": "-|>", "lw": 1.5, "color": "black"}
    ax.annotate("", (right - 0.2, n / 2), (d + 0.2, n / 2), arrowprops=arrow)
    root = r"$\sqrt{\sigma_\mathcal{B}^2 + \varepsilon}$"
    step = f"every row:\nminus $\\mu_\\mathcal{{B}}$, over\n{root}"
    ax.text(d + 1.5, n / 2 - 0.2, step, ha="center", va="bottom")
    ax.annotate("", (d / 2, n + 0.85), (d / 2, n + 0.1), arrowprops=arrow)
    ax.text(d / 2 + 0.2, n + 0.45, "over the batch", va="center")
    return fig


@styled
def backward_graph(size=(9, 4)):
    """The graph of one feature of batch normalization with two examples in it, x_1 and x_2.

    An edge leads from a node to each node that is computed from it. Black: the ways of x_1 to
    the xhat of both examples; grey: the other edges. The boxes say in which order the
    gradients are found, from right to left; that of the variance, the reader's own, has a question
    mark. Dotted: from the mean to the variance, the lemma of notebook 04.
    """
    _, axes = subplots(1, 1, size)
    ax = axes[0, 0]
    ax.set(xlim=(-0.6, 9.3), ylim=(-1.95, 2.3), xticks=[], yticks=[])
    ax.set_axis_off()
    nodes = {
        "x1": ("$x_1$", (0, 1.5)), "x2": ("$x_2$", (0, -1.5)),
        "mean": (r"$\mu_\mathcal{B}$", (1.9, 0)), "var": (r"$\sigma^2_\mathcal{B}$", (3.8, 0)),
        "xhat1": (r"$\hat{x}_1$", (5.8, 1.5)), "xhat2": (r"$\hat{x}_2$", (5.8, -1.5)),
        "parameters": (r"$\gamma,\beta$", (6.5, 0)),
        "y1": ("$y_1$", (7.6, 1.5)), "y2": ("$y_2$", (7.6, -1.5)), "L": ("$L$", (8.9, 0)),
    }  # fmt: skip
    steps = {
        "parameters": (r"1: $d\gamma,\ d\beta$", (1.15, 0)), "xhat1": (r"2: $d\hat{x}$", (0, 0.5)),
        "var": (r"3: $d\sigma^2$ = ?", (1.05, 0)), "mean": (r"4: $d\mu$", (-0.85, 0)),
        "x1": ("5: $dx$", (0, 0.5)),
    }  # fmt: skip
    ends = {
        "x1": ("xhat1", "mean", "var"), "x2": ("xhat2", "mean", "var"),
        "mean": ("xhat1", "xhat2", "var"), "var": ("xhat1", "xhat2"),
        "xhat1": ("y1",), "xhat2": ("y2",), "parameters": ("y1", "y2"), "y1": ("L",), "y2": ("L",),
    }  # fmt: skip
    reached = ("x1", "mean", "var")
    for start, end in ((a, b) for a in ends for b in ends[a]):
        color = COLORS["theory" if start in reached else "data"]
        dotted = (start, end) == ("mean", "var")
        arrow = dict(
            arrowstyle="-|>", shrinkA=17, shrinkB=17, color=color,
            linewidth=1.8 if start in reached else 1.2, linestyle=":" if dotted else "-",
        )  # fmt: skip
        ax.annotate("", nodes[end][1], nodes[start][1], arrowprops=arrow)
    for name, (symbol, (h, v)) in nodes.items():
        box = dict(boxstyle="circle,pad=0.25", fc="white", ec="black")
        ax.text(h, v, symbol, fontsize=15, ha="center", va="center", bbox=box)
        if name in steps:
            text, (right, up) = steps[name]
            blue = COLORS["with BN"]
            fill, ink = (blue, "white") if name == "var" else ("white", blue)
            box = dict(boxstyle="round,pad=0.2", fc=fill, ec=blue)
            ax.text(h + right, v + up, text, color=ink, ha="center", va="center", bbox=box)
    return ax.figure


@styled
def feature_map_table(x, images, column: int, size=(9, 4.3)):
    """Feature maps x (N, C, H, W) as a table: a row an image, a column a channel.

    Takes an array, not a recording. images : (N, 1, H, W), drawn on the left. column : framed, to
    show which numbers share a mean. Below: mean and std of each channel. Grey is 0, in all maps.
    """
    fig, axes = subplots(len(x), x.shape[1] + 1, size)
    limit = np.abs(x).max()
    for row, maps in zip(axes, x, strict=True):
        for ax, values in zip(row[1:], maps, strict=True):
            ax.imshow(values, cmap="gray", vmin=-limit, vmax=limit)
    for ax, image in zip(axes[:, 0], images, strict=True):
        ax.imshow(image[0], cmap="gray_r")
    axes[0, 0].set_title("image")
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for c, (top, bottom) in enumerate(zip(axes[0, 1:], axes[-1, 1:])):
        top.set_title(f"channel {c}")
        bottom.set_xlabel(f"{x[:, c].mean():.2f}\n± {x[:, c].std():.2f}")
    for ax in axes[:, column + 1]:
        ax.spines[:].set(visible=True, color=COLORS["with BN"], linewidth=4)
    return fig


@styled
def im2col_table(image, kernel: int = 3, window: int = 1, size=(9, 4.0)):
    """What im2col does to one small image (H, W): each window becomes a column of a matrix.

    window : the one that is framed, on both sides.
    """
    from matplotlib.patches import Rectangle

    h, w = image.shape
    windows = np.lib.stride_tricks.sliding_window_view(image, (kernel, kernel))
    columns = windows.reshape(-1, kernel * kernel).T
    fig, axes = subplots(1, 2, size, width_ratios=(w, columns.shape[1] + 1))
    for ax, table in zip(axes[0], (image, columns), strict=True):
        ax.imshow(np.ones_like(table), cmap="gray", vmin=0, vmax=1)
        _table(ax, table, -0.5, -0.5, "{:g}".format)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    frame = {"fill": False, "lw": 3, "ec": COLORS["with BN"], "zorder": 3, "clip_on": False}
    top, left = divmod(window, w - kernel + 1)
    axes[0, 0].add_patch(Rectangle((left - 0.5, top - 0.5), kernel, kernel, **frame))
    axes[0, 1].add_patch(Rectangle((window - 0.5, -0.5), 1, kernel * kernel, **frame))
    axes[0, 0].set_title(f"image ({h}, {w})")
    axes[0, 1].set_title(f"columns {columns.shape}")
    axes[0, 1].set_xlabel("one column for each position of the kernel")
    return fig


@styled
def seed_dots(panels, groups, ylabel: str, log: bool = False, size=(9, 3.3)):
    """What several seeds measured, a dot each, and their mean as a line: spread and order at once.

    panels : title -> rows, a row a seed, {name: number}, as of `bnlib.claims`; rows may lack a
        name, and a panel may have no rows
    groups : label on the axis -> names, which begin with "without" or "with": dots of that kind
    log : a logarithmic axis, for errors in percent
    """
    from matplotlib.ticker import NullFormatter

    fig, axes = subplots(1, len(panels), size, sharey=True)
    for ax, (title, rows) in zip(axes[0], panels.items(), strict=True):
        for arm, shift, marker in (("without BN", -0.17, "o"), ("with BN", 0.17, "s")):
            dot = dict(marker=marker, ls="", mfc="none", color=COLORS[arm])
            ax.plot([], [], label=arm, **dot)
            for k, names in enumerate(groups.values()):
                for name in names:
                    values = [row[name] for row in rows if name in row]
                    if values and name.split(",")[0] == arm.removesuffix(" BN"):
                        at = k + shift
                        ax.plot(at + np.linspace(-0.08, 0.08, len(values)), values, **dot)
                        mean = np.mean(values)
                        ax.hlines(mean, at - 0.14, at + 0.14, color=COLORS[arm], linewidth=3)
        ax.set(title=title, xlim=(-0.5, len(groups) - 0.5))
        ax.set_xticks(range(len(groups)), groups)
        if log:
            ax.set_yscale("log")
            ax.set_yticks([1, 2, 3, 5, 10, 20, 50, 100], [1, 2, 3, 5, 10, 20, 50, 100])
            ax.yaxis.set_minor_formatter(NullFormatter())
            drawn = [row[n] for rows in panels.values() for row in rows for n in row
                     if any(n in names for names in groups.values())]  # fmt: skip
            if drawn:
                ax.set_ylim(0.8 * min(drawn), 1.2 * max(drawn))
    axes[0, 0].set_ylabel(ylabel)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return fig
