"""RunningStatisticsExplorer: do the running averages keep up with a network that learns?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnlib.data import Data, load_mnist
from bnlib.figures import COLORS, STYLES
from bnlib.functional import NonFiniteError
from bnlib.network import mlp
from bnlib.norms import BatchNorm
from bnlib.training import Trainer, accuracy
from bnlib.widgets.live import LiveFigure, choices, menu, slider

MOMENTA = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.9, 1.0]
BATCHES = [2, 4, 8, 16, 32, 64, 128, 256]
RATES = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]


@dataclass(frozen=True)
class Tracked:
    """A training run with the statistics of every batch kept. S steps, T frames, U units in all.

    Training never reads the running statistics, so one run holds the answer for every momentum.
    """

    batch: np.ndarray  # (S, 2, U): mean and unbiased variance of each step's batch
    frames: np.ndarray  # (T,), the steps after which the following were taken
    population: np.ndarray  # (T, 2, U): the same of `sample` training images at once
    weights: np.ndarray  # (T, P), all parameters of the network
    diverged_at: int | None

    def running(self, momentum):
        """(S + 1, 2, U): the running statistics after 0, 1, ... S steps; they start at 0 and 1."""
        values = np.empty((len(self.batch) + 1, *self.batch.shape[1:]), self.batch.dtype)
        values[0, 0], values[0, 1] = 0, 1
        for step, new in enumerate(self.batch):
            values[step + 1] = (1 - momentum) * values[step] + momentum * new
        return values


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

    size = (880, 430)

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
        test_size: int = 1000,
        seed: int = 0,
    ) -> None:
        if steps < 1 or every < 1 or steps % every:
            raise ValueError(
                "expected steps that divide evenly into frames, such as 300 steps and a frame "
                f"every 10, got {steps} and {every}"
            )
        self.data = load_mnist(pool=True, n_train=20_000) if data is None else data
        self.steps, self.every, self.hidden, self.seed = steps, every, tuple(hidden), seed
        self._sample = self.data.batch(slice(0, sample), np.float32)[0]
        self._test = self.data.test_batch(min(test_size, len(self.data.x_test)), np.float32)
        self._trained_with = self._evaluated = self._limits = None
        super().__init__(
            {
                "momentum": choices("momentum", _with(MOMENTA, momentum), momentum),
                "batch_size": choices(
                    "batch size", _with(BATCHES, batch_size), batch_size, continuous_update=False
                ),
                "learning_rate": choices(
                    "learning rate",
                    _with(RATES, learning_rate),
                    learning_rate,
                    continuous_update=False,
                ),
                "layer": menu(
                    "hidden layer", list(range(1, len(hidden) + 1)), len(hidden), width=280
                ),
                "unit": slider("unit", 0, 0, min(hidden) - 1),
            }
        )

    def build(self, fig):
        left, right = fig.add_gridspec(1, 2, width_ratios=[1.15, 1])
        upper, lower = left.subgridspec(2, 1)
        self._axes = [fig.add_subplot(upper)]
        self._axes.append(fig.add_subplot(lower, sharex=self._axes[0]))
        self._axes[0].tick_params(labelbottom=False)
        ends = fig.add_subplot(right)
        ends.set(xlim=(0, self.steps), ylim=(0, 1.02), xlabel="training step", ylabel="accuracy")
        ends.set_title("test accuracy, in evaluation mode")
        self._axes[0].set(xlim=(0, self.steps), ylabel="mean")
        self._axes[1].set(xlabel="training step", ylabel="variance")
        running = {"color": COLORS["with BN"], "ls": STYLES["with BN"], "lw": 2.5}
        theory = {"color": COLORS["theory"], "ls": STYLES["theory"], "lw": 2.5}
        dots = {"color": COLORS["data"], "marker": ".", "ls": "", "ms": 4, "alpha": 0.7}
        self._batch = [ax.plot([], [], **dots)[0] for ax in self._axes]
        self._running = [ax.plot([], [], **running)[0] for ax in (*self._axes, ends)]
        self._population = [ax.plot([], [], **theory)[0] for ax in (*self._axes, ends)]
        self._message = ends.text(0.97, 0.05, "", transform=ends.transAxes, ha="right")
        self._limits = None
        fig.legend(
            [self._batch[0], self._population[0], self._running[0]],
            ["each batch", "population", "running average"],
            loc="outside upper center", ncols=3, frameon=False, markerscale=2.5,
        )  # fmt: skip
        return [self._batch, self._population, self._running, self._message]

    def draw(self, momentum, batch_size, learning_rate, layer, unit):
        self._train(batch_size, learning_rate)
        self._evaluate(momentum)
        run, done = self.run, len(self.run.batch)
        column = sum(self.hidden[: layer - 1]) + unit
        batch, population = run.batch[:, :, column], run.population[:, :, column]
        running = self.running[:, :, column]
        shown = (self._trained_with, column)
        if shown != self._limits:  # a full draw, so not for a changed momentum
            self._limits = shown
            self._axes[0].set_title(f"unit {unit} of hidden layer {layer}, before normalization")
            self._set_limits(batch, population)
        for i in (0, 1):
            self._batch[i].set_data(np.arange(1, done + 1), batch[:, i])
            self._running[i].set_data(np.arange(done + 1), running[:, i])
            self._population[i].set_data(run.frames, population[:, i])
        self._running[2].set_data(run.frames, self.running_accuracy)
        self._population[2].set_data(run.frames, self.population_accuracy)
        diverged = f"diverged at step {run.diverged_at}" if run.diverged_at is not None else ""
        self._message.set_text(diverged)
        gap = self.population_accuracy - self.running_accuracy
        worst = int(gap.argmax())
        return (
            f"Momentum {momentum:g}, batch size {batch_size}, learning rate {learning_rate:g}"
            f"{', ' + diverged if diverged else ''}. After {run.frames[-1]} steps: running mean "
            f"{running[-1, 0]:.2f} (population {population[-1, 0]:.2f}), variance "
            f"{running[-1, 1]:.2f} ({population[-1, 1]:.2f}), accuracy "
            f"{100 * self.running_accuracy[-1]:.0f} % "
            f"({100 * self.population_accuracy[-1]:.0f} %). Largest loss of accuracy: "
            f"{max(0, 100 * gap[worst]):.0f} points, after {run.frames[worst]} steps."
        )

    def summary(self) -> str:
        """What holds on every processor."""
        v = self.values()
        final = self.running_accuracy[-1]
        bounds = [b for b in (0.2, 0.5, 0.8, 0.9) if final >= b]
        reached = f"at least {100 * bounds[-1]:.0f} %" if bounds else "below 20 %"
        return (
            f"RunningStatisticsExplorer: momentum {v['momentum']:g}, batch size "
            f"{v['batch_size']}, learning rate {v['learning_rate']:g}: {reached} accuracy with the "
            f"running statistics after {self.run.frames[-1]} steps."
        )

    # --- what the picture shows -------------------------------------------------------------------

    def _train(self, batch_size, lr):
        """Train anew if the settings changed; the result is `self.run`."""
        if self._trained_with == (batch_size, lr):
            return
        self._net = self._new_net()
        norms = self._norms()
        for bn in norms:
            bn.momentum = 1.0  # keep nothing old: the buffers then hold the last batch's statistics
        trainer = Trainer(self._net, self.data, lr, batch_size, self.seed)
        batch, frames, population, weights = [], [], [], []
        diverged_at = None
        while diverged_at is None:
            if trainer.step_count % self.every == 0:
                try:
                    self._net.train()(self._sample)  # in training mode: one large batch
                except NonFiniteError:
                    diverged_at = trainer.step_count
                    break
                frames.append(trainer.step_count)
                weights.append(self._net.flat_params.copy())
                population.append(self._read(norms))
            if trainer.step_count == self.steps:
                break
            trainer.advance(1)
            diverged_at = trainer.diverged_at
            if diverged_at is None:
                batch.append(self._read(norms))
        shape = (len(batch), 2, sum(self.hidden))
        self.run = Tracked(
            np.array(batch).reshape(shape), np.array(frames), np.array(population),
            np.array(weights), diverged_at,
        )  # fmt: skip
        self.population_accuracy = self._accuracies(self.run.population)
        self._trained_with, self._evaluated = (batch_size, lr), None

    def _evaluate(self, momentum):
        if self._evaluated == momentum:
            return
        self.running = self.run.running(momentum)
        self.running_accuracy = self._accuracies(self.running[self.run.frames])
        self._evaluated = momentum

    def _accuracies(self, statistics):
        """(T,): test accuracy of every frame's network with the statistics (T, 2, U)."""
        found = []
        for weights, (mean, var) in zip(self.run.weights, statistics, strict=True):
            self._net.flat_params[...] = weights
            start = 0
            for bn in self._norms():
                part = slice(start, start := start + bn.num_features)
                bn.running_mean, bn.running_var = mean[part], var[part]
            found.append(accuracy(self._net, *self._test))
        return np.array(found)

    def _new_net(self):
        sizes = [self.data.num_features, *self.hidden, 10]
        return mlp(sizes, norm="batch", seed=self.seed, dtype=np.float32)

    def _norms(self):
        return [layer for layer in self._net.layers if isinstance(layer, BatchNorm)]

    @staticmethod
    def _read(norms):
        """(2, U): the buffers of all layers."""
        return np.array(
            [
                np.concatenate([bn.running_mean for bn in norms]),
                np.concatenate([bn.running_var for bn in norms]),
            ]
        )

    def _set_limits(self, batch, population):
        """Axes that hold the population, the start and most batches, whatever the momentum."""
        for i, (ax, start) in enumerate(zip(self._axes, (0.0, 1.0), strict=True)):
            most = np.percentile(batch[:, i], [2, 98]) if len(batch) else []
            values = [*most, *population[:, i], start]
            margin = 0.08 * np.ptp(values)
            low = min(values) - margin
            ax.set_ylim(max(low, 0) if i else low, max(values) + margin)


def _with(options, value):
    """The options, with the value put in its place if it is not one of them."""
    return sorted({*options, value})
