"""Static figures of a `bnlib.Recording`, one function each.

Functions take `recordings`, a dict name -> Recording (or a single Recording), and return the
matplotlib Figure.
"""

from __future__ import annotations

from bnlib.figures.style import as_dict, look, styled, subplots


@styled
def percentiles(recordings, layer: int = -1, unit: bool = False, size=(9, 3.4)):
    """The 15th, 50th and 85th percentile of a layer's inputs over training, a panel a network.

    unit : of one typical unit, as in Ioffe & Szegedy 2015, Fig. 1 (b, c), instead of all units.
    """
    recordings = as_dict(recordings)
    fig, axes = subplots(1, len(recordings), size, sharex=True, sharey=True)
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


@styled
def curves(recordings, quantities=("loss", "accuracy"), size=(9, 3.2)):
    """Loss and accuracy over training, all networks in one panel a quantity.

    quantities : names of a Recording's arrays of shape (T,).
    """
    recordings = as_dict(recordings)
    fig, axes = subplots(1, len(quantities), size, sharex=True)
    for ax, quantity in zip(axes[0], quantities, strict=True):
        for name, recording in recordings.items():
            ax.plot(recording.steps, getattr(recording, quantity), label=name, **look(name))
        ax.set(xlabel="training step", ylabel=quantity.replace("_", " "))
        if quantity == "accuracy":
            ax.set_ylim(0, 1.02)
    axes[0, -1].legend(frameon=False)
    return fig


@styled
def units_over_time(recordings, view: str = "single units", step: int = -1, size=(9, 4)):
    """How single units moved: a column a network, a row a hidden layer, training steps rightwards.

    The picture of `bnlib.widgets.DistributionFilm`, whose docstring says what stands in it, without
    the curves. Needs recordings of a `Recorder` with ``channels=8``.

    view : "single units", "before BN" or "all units"; step : an index into the recorded frames, for
    the cursor, the distributions at the panels' edges and the numbers.
    """
    from matplotlib import pyplot as plt

    from bnlib.figures.panels import PanelGrid, layer_tracks

    recordings = as_dict(recordings)
    fig = plt.figure(figsize=size, dpi=96)
    first = max(recordings.values(), key=lambda r: len(r.steps))
    rows = range(len(first.layer_names))
    grid = PanelGrid(
        fig,
        fig.canvas.get_width_height(),
        list(recordings),
        [f"layer {i + 1}" for i in rows],
        int(first.steps[-1]),
    )
    grid.show_run(
        {(n, i): layer_tracks(r, i, view) for n, r in recordings.items() for i in rows},
        {n: r.diverged_at for n, r in recordings.items()},
    )
    at = range(len(first.steps))[step]
    grid.show_step(
        int(first.steps[at]),
        {n: at if at < len(r.steps) else None for n, r in recordings.items()},
        {n: f"diverged at\nstep {r.diverged_at}" for n, r in recordings.items()},
    )
    return fig
