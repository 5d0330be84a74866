"""LandscapeFilm: the loss that a training step meets along the gradient, without and with BN."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FixedLocator, NullFormatter

from bnlib.data import NUM_CLASSES, Data, load_mnist
from bnlib.figures.format import number, setting
from bnlib.figures.marks import EdgeMarks, Progress
from bnlib.figures.style import COLORS, INK, look
from bnlib.landscape import DISTANCES, follow
from bnlib.network import mlp
from bnlib.views import check_int, check_real
from bnlib.widgets.controls import menu
from bnlib.widgets.film import MAX_FRAMES, Film

RATES = (0.03, 0.1, 0.3)
NORMS = {"without BN": None, "with BN": "batch"}
MEASURES = {"loss varies by": "ranges", "gradient changes by": "turns"}
TICKS = [m * 10.0**k for k in range(-4, 4) for m in (1, 3)]


class LandscapeFilm(Film):
    """The loss on a straight line along the negative gradient, as training goes on.

    A panel a network: to the right the distance moved from the weights of that moment, where 1 is
    the training step itself; upwards the loss there minus the loss here, for one fixed batch in
    training mode. Thin lines are the earlier looks. Triangles at the edge: the line goes on beyond
    it. At the right two numbers of every look: the largest minus the smallest loss on the line, and
    the largest change of the gradient, as a multiple of its length. The last frame has their
    medians over the run.

    Another learning rate trains both networks anew, from the same weights and on the same batches.

    Parameters
    ----------
    data : a `bnlib.data.Data`; default: MNIST pooled to 14x14
    lr : where the menu starts; its values are 0.03, 0.1, 0.3 and this one
    steps, every : length of a run, and how many steps lie between two looks, which are the frames
    hidden, activation, batch_size : of both networks and their training; the defaults are those of
        the claim `landscape`
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
        self._sizes = [self.data.num_features, *hidden, NUM_CLASSES]
        self._activation = activation
        self._run = {"batch_size": batch_size, "steps": steps, "every": every, "sample": sample}
        self.seed, self._known, self.looks, self._lr = seed, {}, {}, None
        labels = [f"step {step:,}" for step in range(0, steps + 1, every)]
        super().__init__(labels, {"lr": menu("learning rate", RATES, lr, width=180)})

    def train(self, lr: float) -> dict:
        """name -> `bnlib.landscape.Looks` of the network without and of the one with BN.

        Trained once for each rate, then remembered.
        """
        if lr not in self._known:
            looks = {}
            for name, norm in NORMS.items():
                net = mlp(self._sizes, norm, self._activation, seed=self.seed, dtype=np.float64)
                looks[name] = follow(net, self.data, lr, seed=self.seed, **self._run)
            self._known[lr] = looks
        return self._known[lr]

    def build(self, fig):
        fig.set_layout_engine("none")  # fixed places: another rate must not move the axes
        self._panels, self._past, self._now, self._marks, self._text = {}, {}, {}, {}, {}
        for i, name in enumerate(NORMS):
            self._panels[name] = ax = fig.add_axes((0.09 + 0.305 * i, 0.16, 0.28, 0.74))
            ax.set(xlim=DISTANCES[[0, -1]], xticks=[0, 1, 2], xlabel="distance, in training steps")
            ax.set_title(name, color=INK[name], weight="bold")
            ax.axhline(0, color="0.8", lw=1, zorder=0)
            ax.axvline(1, color="0.8", lw=1, zorder=0)
            ax.tick_params(labelleft=not i)
            # One line of all earlier looks, with gaps: one artist, however many there are.
            self._past[name] = ax.plot([], [], color=COLORS[name], lw=0.7)[0]
            self._now[name] = ax.plot([], [], **look(name) | {"lw": 3.5})[0]
            self._marks[name] = EdgeMarks(ax, COLORS[name])
            self._text[name] = ax.text(
                0.04, 0.97, "", transform=ax.transAxes, va="top", linespacing=1.4, zorder=6,
                bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 2},
            )  # fmt: skip
        self._panels["without BN"].set_ylabel("loss there − loss here")
        self._measured = {}
        last = self._run["steps"]
        for i, measure in enumerate(MEASURES):
            ax = fig.add_axes((0.77, 0.6 - 0.44 * i, 0.21, 0.3), yscale="log")
            ax.yaxis.set_major_locator(FixedLocator(TICKS))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter(NullFormatter())
            self._measured[measure] = Progress(ax, measure, NORMS, last, f"{last:,} steps" * i)
        self._lr = None
        marks = [mark.artists for mark in self._marks.values()]
        measured = [progress.artists for progress in self._measured.values()]
        return [self._past.values(), self._now.values(), marks, self._text.values(), measured]

    def draw(self, frame, lr):
        if lr != self._lr:
            self.looks, self._lr = self.train(lr), lr
            self._fit_axes()
        last = frame == len(self.labels) - 1
        clauses = [self._draw_network(name, frame, last) for name in NORMS]
        what = "medians of the whole run" if last else "along the gradient"
        step = f"Step {frame * self._run['every']:,} of {self._run['steps']:,}"
        return f"{step}, rate {setting(lr)}, {what}. " + " ".join(clauses)

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
        values = self._values(looks)
        for measure, of_run in values.items():
            step = frame * self._run["every"]
            self._measured[measure].show(step, name, np.asarray(looks.steps), of_run)
        if not there:
            self._text[name].set_text(f"diverged at step {looks.diverged_at}")
            return f"{title}: diverged at step {looks.diverged_at}."
        shown = {m: np.median(v) if last else v[frame] for m, v in values.items()}
        says = [f"{measure} {number(value)}" for measure, value in shown.items()]
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
        for measure, progress in self._measured.items():
            values = np.concatenate([self._values(looks)[measure] for looks in self.looks.values()])
            progress.cursor.axes.set_ylim(0.8 * values.min(), 1.25 * values.max())

    def summary(self) -> str:
        """What holds on every processor: which median is clearly smaller with BN."""
        diverged = [name for name, looks in self.looks.items() if looks.diverged_at is not None]
        found = f"{' and '.join(diverged)} diverged"
        if not diverged:
            before, after = (self._values(looks) for looks in self.looks.values())
            parts = []
            for measure in MEASURES:
                a, b = np.median(after[measure]), np.median(before[measure])
                how = "less" if a < 0.8 * b else "more" if a > 1.25 * b else "about as much"
                parts.append(f"{measure.removesuffix(' by')} {how} with BN")
            found = f"along the gradient, in the median, the {' and the '.join(parts)}"
        run = f"{self._run['steps']:,} training steps at rate {setting(self._lr)}"
        return f"LandscapeFilm, {run}: {found}."
