"""LandscapeFilm: the loss that a training step meets along the gradient, without and with BN."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FixedLocator, NullFormatter

from bnlib.data import NUM_CLASSES, Data, load_mnist
from bnlib.figures.format import number, setting
from bnlib.figures.marks import EdgeMarks
from bnlib.figures.style import COLORS, look
from bnlib.landscape import DISTANCES, follow
from bnlib.network import mlp
from bnlib.views import check_int, check_real
from bnlib.widgets.controls import menu
from bnlib.widgets.film import Film

RATES = (0.03, 0.1, 0.3)
NORMS = {"without BN": None, "with BN": "batch"}
MEASURES = {"loss varies by": "ranges", "gradient changes by": "turns"}
TICKS = [m * 10.0**k for k in range(-4, 4) for m in (1, 3)]
MAX_FRAMES = 61


class LandscapeFilm(Film):
    """The loss on a straight line along the negative gradient, as training goes on.

    A panel a network: to the right the distance moved from the weights of that moment, where 1 is
    the training step itself; upwards the loss there minus the loss here, for one fixed batch in
    training mode. Faint lines are the earlier looks. Triangles at the edge: the line goes on beyond
    it. At the right two numbers of every look: the largest minus the smallest loss on the line, and
    the largest change of the gradient, as a multiple of its length. The last frame has their
    medians over the run.

    Another learning rate trains both networks anew, from the same weights and on the same batches.

    Parameters
    ----------
    data : a `bnlib.data.Data`; default: MNIST pooled to 14x14
    lr : where the menu starts; its values are 0.03, 0.1, 0.3 and this one
    steps, every : length of a run, and how many steps lie between two looks, which are the frames
    hidden, activation : of both networks; the defaults are those of the claim `landscape`
    batch_size : of a training step
    sample : images of the batch that is looked at
    seed : of the weights and the batches

    What it shows is one run; the ledger's claim `landscape` has ten seeds, and its moves start at
    0.1. Raises as `bnlib.landscape.follow` and `bnlib.mlp` do, and ValueError for more than 61
    frames or a single one. Source: Santurkar et al. 2018 (arXiv:1805.11604), Figure 4 (a) and (b).
    """

    size = (880, 340)

    def __init__(
        self,
        data: Data | None = None,
        *,
        lr: float = 0.1,
        steps: int = 300,
        every: int = 10,
        hidden: tuple[int, ...] = (100,) * 5,
        activation: str = "relu",
        batch_size: int = 64,
        sample: int = 256,
        seed: int = 0,
    ) -> None:
        check_int("LandscapeFilm expected steps", steps)
        check_int("LandscapeFilm expected every", every)
        check_real("LandscapeFilm expected a finite lr > 0", lr)
        if not 1 <= steps / every <= MAX_FRAMES - 1:
            raise ValueError(
                f"expected 2 to {MAX_FRAMES} frames, one before the first step and one after each "
                f"`every`, got {steps} steps and every {every}"
            )
        self.data = load_mnist(pool=True) if data is None else data
        self._net = {"hidden": tuple(hidden), "activation": activation}
        self._run = {"batch_size": batch_size, "steps": steps, "every": every, "sample": sample}
        self.seed, self._known, self.looks, self._lr = seed, {}, {}, None
        labels = [f"step {step:,}" for step in range(0, steps + 1, every)]
        super().__init__(labels, {"lr": menu("learning rate", RATES, lr, width=180)})

    def train(self, lr: float) -> dict:
        """name -> `bnlib.landscape.Looks` of the network without and of the one with BN.

        Trained once for each rate, then remembered.
        """
        if lr not in self._known:
            sizes = [self.data.num_features, *self._net["hidden"], NUM_CLASSES]
            self._known[lr] = {
                name: follow(
                    mlp(
                        sizes, norm, self._net["activation"], seed=self.seed, dtype=np.float64
                    ),
                    self.data, lr, seed=self.seed, **self._run,
                )
                for name, norm in NORMS.items()
            }  # fmt: skip
        return self._known[lr]

    def build(self, fig):
        fig.set_layout_engine("none")  # fixed places: another rate must not move the axes
        self._panels, self._past, self._now, self._marks, self._text = {}, {}, {}, {}, {}
        for i, name in enumerate(NORMS):
            ax = fig.add_axes((0.09 + 0.305 * i, 0.16, 0.28, 0.74))
            ax.set(xlim=DISTANCES[[0, -1]], xticks=[0, 1, 2])
            ax.set_title(name, color=COLORS[name], weight="bold")
            ax.set_xlabel("distance, in training steps")
            ax.axhline(0, color="0.8", lw=1, zorder=0)
            ax.axvline(1, color="0.8", lw=1, zorder=0)
            if i:
                ax.tick_params(labelleft=False)
            else:
                ax.set_ylabel("loss there − loss here")
            self._panels[name] = ax
            # One line of all earlier looks, with gaps: one artist, however many there are.
            self._past[name] = ax.plot([], [], color=COLORS[name], lw=1, alpha=0.35)[0]
            self._now[name] = ax.plot([], [], **look(name) | {"lw": 3.5})[0]
            self._marks[name] = EdgeMarks(ax, COLORS[name])
            self._text[name] = ax.text(
                0.04, 0.97, "", transform=ax.transAxes, va="top", linespacing=1.4, zorder=6,
                bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 2},
            )  # fmt: skip
        self._over, self._measured, self._cursors = {}, {}, []
        last = self._run["steps"]
        for i, measure in enumerate(MEASURES):
            ax = fig.add_axes((0.77, 0.6 - 0.44 * i, 0.21, 0.3))
            ax.set(xlim=(0, last), yscale="log")
            ax.set_title(measure, pad=4)
            ax.yaxis.set_major_locator(FixedLocator(TICKS))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.set_xticks([0, last], ["0", f"{last:,} steps"] if i else [])
            ax.xaxis.get_majorticklabels()[-1].set_ha("right")
            self._over[measure] = ax
            self._cursors.append(ax.axvline(0, color="black", lw=1.3))
            for name in NORMS:
                future = ax.plot([], [], alpha=0.3, **look(name))[0]
                self._measured[name, measure] = ax.plot([], [], **look(name))[0], future
        self._lr = None
        marks = [mark.artists for mark in self._marks.values()]
        return [
            *(self._past.values(), self._now.values(), marks, self._text.values()),
            *(self._measured.values(), self._cursors),
        ]

    def draw(self, frame, lr):
        if lr != self._lr:
            self.looks, self._lr = self.train(lr), lr
            self._fit_axes()
        last = frame == len(self.labels) - 1
        clauses = [self._draw_network(name, frame, last) for name in NORMS]
        step = frame * self._run["every"]
        for cursor in self._cursors:
            cursor.set_xdata([step, step])
        what = "medians of the whole run" if last else "along the gradient"
        return f"Step {step:,} of {self._run['steps']:,}, rate {setting(lr)}, {what}. " + " ".join(
            clauses
        )

    def _draw_network(self, name: str, frame: int, last: bool) -> str:
        looks, title = self.looks[name], name[:1].upper() + name[1:]
        there = frame < len(looks.steps)
        lines = (looks.losses - looks.losses[:, :1])[: frame + 1]
        apart = np.pad(lines, ((0, 0), (0, 1)), constant_values=np.nan)
        x = np.tile(np.append(looks.distances, np.nan), len(lines))
        self._past[name].set_data(x, apart.ravel())
        now = lines[-1] if there else np.full(len(looks.distances), np.nan)
        self._now[name].set_data(looks.distances, now)
        self._marks[name].show(looks.distances, now)
        for measure, values in self._values(looks).items():
            past, future = self._measured[name, measure]
            past.set_data(looks.steps[: frame + 1], values[: frame + 1])
            future.set_data(looks.steps[frame:], values[frame:])
        if not there:
            self._text[name].set_text(f"diverged at step {looks.diverged_at}")
            return f"{title}: diverged at step {looks.diverged_at}."
        shown = {}
        for measure, values in self._values(looks).items():
            shown[measure] = number(np.median(values) if last else values[frame])
        says = [f"{measure} {value}" for measure, value in shown.items()]
        self._text[name].set_text("\n".join(["medians of the run:"] * last + says))
        return f"{title}: {says[0]}, {says[1]} times its length."

    @staticmethod
    def _values(looks) -> dict[str, np.ndarray]:
        return {measure: getattr(looks, name) for measure, name in MEASURES.items()}

    def _fit_axes(self) -> None:
        """The same axes for both networks, from nine tenths of the looks: the rest gets marks."""
        if not any(len(looks.steps) for looks in self.looks.values()):
            return
        lines = [looks.losses - looks.losses[:, :1] for looks in self.looks.values()]
        ends = np.concatenate([[line.min(axis=1), line.max(axis=1)] for line in lines], axis=1)
        low, high = np.percentile(ends[0], 5), np.percentile(ends[1], 95)
        margin = 0.1 * (high - low) or 1.0
        for ax in self._panels.values():
            ax.set_ylim(low - margin, high + 4 * margin)  # room for the text
        for measure, ax in self._over.items():
            values = np.concatenate([self._values(looks)[measure] for looks in self.looks.values()])
            ax.set_ylim(0.8 * values.min(), 1.25 * values.max())

    def summary(self) -> str:
        """What holds on every processor: which median is clearly smaller with BN."""
        if diverged := [
            name for name, looks in self.looks.items() if looks.diverged_at is not None
        ]:
            found = f"{' and '.join(diverged)} diverged"
        else:
            before, after = self.looks.values()
            found = " and the ".join(
                f"{measure.split()[0]} {measure.split()[1]} "
                f"{_compared(np.median(values), np.median(self._values(after)[measure]))} with BN"
                for measure, values in self._values(before).items()
            )
            found = f"along the gradient, in the median, the {found}"
        return (
            f"LandscapeFilm, {self._run['steps']:,} training steps at rate {setting(self._lr)}: "
            f"{found}."
        )


def _compared(before: float, after: float) -> str:
    return "less" if after < 0.8 * before else "more" if after > 1.25 * before else "about as much"
