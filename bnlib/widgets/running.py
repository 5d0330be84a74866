"""RunningStatisticsExplorer: do the running averages keep up with a network that learns?"""

from __future__ import annotations

import numpy as np

from bnlib.data import Data, load_mnist
from bnlib.figures.format import at_least, number, setting
from bnlib.figures.marks import EdgeMarks
from bnlib.figures.style import COLORS, look
from bnlib.network import mlp
from bnlib.tracking import track
from bnlib.widgets.controls import choices, menu, slider
from bnlib.widgets.live import LiveFigure

MOMENTA = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.9, 1.0]
BATCHES = [2, 4, 8, 16, 32, 64, 128, 256]
RATES = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]


class RunningStatisticsExplorer(LiveFigure):
    """How momentum, batch size and learning rate decide what a network does at test time.

    Left: mean and variance of one unit before its normalization, over training: of every batch, of
    the population (the training set at that moment), and the running average of the batches.
    Right: test accuracy with the running and with the population statistics in the same network.

    momentum is the weight of the new batch, as in PyTorch. A changed momentum is computed from the
    statistics of the batches, without training; batch size and learning rate train anew (SGD,
    dense ReLU network, the same initial weights).

    Parameters
    ----------
    data : a `bnlib.data.Data`; default: 20,000 MNIST images pooled to 14x14
    steps, every : length of a run; a frame (population statistics, accuracy) every so many steps
    momentum, batch_size, learning_rate : where the controls start
    hidden : units in each hidden layer
    sample, test_size : images that stand for the population, and images for the accuracy
    seed : of the weights and the batches
    """

    size = (880, 372)

    def __init__(
        self,
        data: Data | None = None,
        *,
        steps: int = 300,
        every: int = 10,
        momentum: float = 0.1,
        batch_size: int = 64,
        learning_rate: float = 0.1,
        hidden: tuple[int, ...] = (64, 64, 64),
        sample: int = 2000,
        test_size: int = 500,
        seed: int = 0,
    ) -> None:
        if steps < 1 or every < 1 or steps % every:
            raise ValueError(
                "expected steps that divide evenly into frames, such as 300 steps and a frame "
                f"every 10, got {steps} and {every}"
            )
        self.data = load_mnist(pool=True, n_train=20_000) if data is None else data
        self.steps, self.every, self.hidden, self.seed = steps, every, tuple(hidden), seed
        self.sample = sample
        self._test = self.data.test_batch(min(test_size, len(self.data.x_test)), np.float32)
        self._trained_with = None
        batches = [n for n in BATCHES if n <= len(self.data.x_train)]
        controls = {
            "momentum": choices("momentum", MOMENTA, momentum, 250),
            "batch_size": menu("batch size", batches, batch_size, 170),
            "learning_rate": menu("learning rate", RATES, learning_rate, 180),
            "layer": menu("hidden layer", range(1, len(hidden) + 1), len(hidden), 170),
            "unit": slider("unit", 0, 0, min(hidden) - 1),
        }
        super().__init__(controls)

    def build(self, fig):
        fig.set_layout_engine("none")  # fixed places: half the time, and nothing jumps
        left, right = fig.add_gridspec(
            1, 2, width_ratios=[1.15, 1], left=0.09, right=0.98, bottom=0.14, top=0.83, wspace=0.21
        )
        upper, lower = left.subgridspec(2, 1).subplots(sharex=True)
        ends = fig.add_subplot(right)
        upper.set(xlim=(0, self.steps), ylabel="mean")
        lower.set(xlabel="training step", ylabel="variance")
        ends.set(xlim=(0, self.steps), ylim=(0, 1.02), xlabel="training step", ylabel="accuracy")
        ends.set_title("test accuracy, in evaluation mode")
        self._axes = [upper, lower]
        dots = {"color": COLORS["data"], "marker": ".", "ls": "", "ms": 4}
        self._batch = [ax.plot([], [], **dots)[0] for ax in self._axes]
        self._running, self._population = (
            [ax.plot([], [], **look(name), lw=2.5)[0] for ax in (upper, lower, ends)]
            for name in ("with BN", "theory")
        )
        self._message = ends.text(0.97, 0.05, "", transform=ends.transAxes, ha="right")
        self._beyond = [EdgeMarks(ax, COLORS["data"]) for ax in self._axes]
        fig.legend(
            [self._batch[0], self._population[0], self._running[0]],
            ["each batch", "population", "running average"],
            loc="upper center", ncols=3, frameon=False, markerscale=2.5,
        )  # fmt: skip
        self._limits = None
        marks = [marks.artists for marks in self._beyond]
        self.seldom += [self._batch, self._population, marks]  # the same for every momentum
        return [self._running, self._message]

    def draw(self, momentum, batch_size, learning_rate, layer, unit):
        self._train(batch_size, learning_rate)
        run, done = self.run, len(self.run.batch)
        self.averages, self.accuracy = self._of[momentum]
        column = sum(self.hidden[: layer - 1]) + unit
        batch, population = run.batch[:, :, column], run.population[:, :, column]
        running = self.averages[:, :, column]
        shown = (self._trained_with, column)
        if shown != self._limits:  # a full draw, so not for a changed momentum
            self._limits = shown
            self._axes[0].set_title(f"unit {unit} of hidden layer {layer}, before normalization")
            self._set_limits(batch, population)
        steps = np.arange(1, done + 1)
        for i in (0, 1):
            self._batch[i].set_data(steps, batch[:, i])
            self._running[i].set_data(np.arange(done + 1), running[:, i])
            self._population[i].set_data(run.frames, population[:, i])
            self._beyond[i].show(steps, batch[:, i], running[1:, i])
        self._running[2].set_data(run.frames, self.accuracy)
        self._population[2].set_data(run.frames, self.population_accuracy)
        diverged = "" if run.diverged_at is None else f"diverged at step {run.diverged_at}"
        self._message.set_text(diverged)
        gap = self.population_accuracy - self.accuracy
        worst = int(gap.argmax())
        # Of the last frame: a network that diverged had more batches.
        (mean, variance), (true_mean, true_variance) = running[run.frames[-1]], population[-1]
        return (
            f"Momentum {setting(momentum)}, batch size {batch_size}, learning rate "
            f"{setting(learning_rate)}{', ' + diverged if diverged else ''}. "
            f"After {run.frames[-1]} steps: running mean {number(mean)} "
            f"(population {number(true_mean)}), variance {number(variance)} "
            f"({number(true_variance)}), accuracy {100 * self.accuracy[-1]:.0f} % "
            f"({100 * self.population_accuracy[-1]:.0f} %). Largest loss of accuracy: "
            f"{max(0, 100 * gap[worst]):.0f} points, after {run.frames[worst]} steps."
        )

    def summary(self) -> str:
        """What holds on every processor."""
        v = self.values()
        return (
            f"RunningStatisticsExplorer: momentum {setting(v['momentum'])}, batch size "
            f"{v['batch_size']}, learning rate {setting(v['learning_rate'])}: "
            f"{at_least(self.accuracy[-1], (0.2, 0.5, 0.8, 0.9))} accuracy "
            f"with the running statistics after {self.run.frames[-1]} steps."
        )

    def _train(self, batch_size: int, lr: float) -> None:
        """Train anew if the settings changed; the result is `self.run`."""
        if self._trained_with == (batch_size, lr):
            return
        sizes = [self.data.num_features, *self.hidden, 10]
        net = mlp(sizes, norm="batch", seed=self.seed, dtype=np.float32)
        self.run = run = track(
            net, self.data, self.steps, lr, batch_size, self.seed,
            every=self.every, sample=self.sample,
        )  # fmt: skip
        self.population_accuracy = run.accuracies(run.population, *self._test)
        # Of every momentum now: then a hand on its slider waits for drawing only.
        averages = {m: run.running(m) for _, m in self.controls["momentum"].options}
        self._of = {m: (a, run.accuracies(a[run.frames], *self._test)) for m, a in averages.items()}
        self._trained_with = (batch_size, lr)

    def _set_limits(self, batch, population):
        """Axes that hold the population, the start and most batches, whatever the momentum."""
        for i, (ax, start) in enumerate(zip(self._axes, (0.0, 1.0), strict=True)):
            most = np.percentile(batch[:, i], [2, 98]) if len(batch) else []
            values = [*most, *population[:, i], start]
            margin = 0.08 * np.ptp(values)
            low = min(values) - margin
            ax.set_ylim(max(low, 0) if i else low, max(values) + margin)
