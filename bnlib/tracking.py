"""A training run that keeps the statistics of every batch: what any momentum would have made of it.

Training never reads the running statistics, so the run is the same whatever their momentum, and one
run holds the answer for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnlib.data import Data
from bnlib.network import Sequential, check_network
from bnlib.norms import BatchNorm
from bnlib.threads import one_blas_thread
from bnlib.training import Trainer, accuracy
from bnlib.views import NonFiniteError, check_int, check_real


@dataclass(frozen=True, eq=False)
class Tracked:
    """A run of `track`. S steps, T frames, U units: the features of all BatchNorms, one by one."""

    net: Sequential  # as it is after the run
    batch: np.ndarray  # (S, 2, U): mean and unbiased variance of each step's batch
    frames: np.ndarray  # (T,), the steps after which the following were taken
    population: np.ndarray  # (T, 2, U): the same statistics of ``sample`` training images at once
    weights: np.ndarray  # (T, P), all parameters of the network
    diverged_at: int | None  # the step at which the loss, or a frame, stopped being finite

    def running(self, momentum: float | None) -> np.ndarray:
        """(S + 1, 2, U): the running statistics after 0, 1, ... S steps, as BatchNorm keeps them.

            running = (1 - momentum) * running + momentum * batch,  from mean 0 and variance 1

        ``momentum`` (0 to 1) is the weight of the new batch; None for the average of all batches.
        """
        if momentum is not None:
            check_real("expected momentum in [0, 1] or None", momentum, most=1)
        values = np.empty((len(self.batch) + 1, *self.batch.shape[1:]), self.batch.dtype)
        values[0, 0], values[0, 1] = 0, 1
        for step, new in enumerate(self.batch):
            weight = 1 / (step + 1) if momentum is None else momentum
            values[step + 1] = (1 - weight) * values[step] + weight * new
        return values

    def accuracies(
        self, statistics: np.ndarray, images: np.ndarray, labels: np.ndarray
    ) -> np.ndarray:
        """(T,): accuracy of each frame's network in evaluation mode with ``statistics`` (T, 2, U).

        For example ``run.population``, or ``run.running(0.1)[run.frames]``. The network is left as
        it was. Other parameters and errors as in `bnlib.accuracy`.
        """
        expected = (len(self.frames), *self.batch.shape[1:])
        if np.shape(statistics) != expected:
            raise ValueError(
                f"expected statistics (T, 2, U) of shape {expected}, got {np.shape(statistics)}: "
                "one set a frame, as running(momentum)[run.frames]"
            )
        found, trained = [], self.net.flat_params.copy()
        with self.net.as_it_was():
            try:
                for weights, values in zip(self.weights, statistics, strict=True):
                    self.net.flat_params[...] = weights
                    _write(self.net, values)
                    found.append(accuracy(self.net, images, labels))
            finally:
                self.net.flat_params[...] = trained
        return np.array(found)


@one_blas_thread()
def track(
    net: Sequential,
    data: Data,
    steps: int,
    lr: float,
    batch_size: int,
    seed: int = 0,
    *,
    every: int = 10,
    sample: int = 2000,
) -> Tracked:
    """Train ``net`` in place, as `bnlib.train` does, and keep the statistics of every batch.

    After 0, ``every``, 2 * ``every``, ... steps a frame is taken: the weights, and the population
    statistics at that moment, which are those of the first ``sample`` training images as one batch.
    The running statistics of ``net`` and their momenta are left as they were. Other parameters and
    errors as in `bnlib.Trainer`; ValueError for a network without running statistics.
    """
    check_network("track", net)
    check_int("track expected steps", steps)
    check_int("track expected every", every)
    norms = _norms(net)
    if not norms:
        raise ValueError("track expected a network with BatchNorm layers that keep statistics")
    trainer = Trainer(net, data, lr, batch_size, seed)
    images = data.batch(slice(0, check_int("track expected sample", sample, 2)), net.dtype)[0]
    batch, frames, population, weights, diverged_at = [], [], [], [], None
    with net.as_it_was():
        for bn in norms:
            bn.momentum = 1.0  # keep nothing old: the buffers hold the last batch's statistics
        while diverged_at is None:
            if trainer.step_count % every == 0:
                try:
                    net.train()(images)
                except NonFiniteError:
                    diverged_at = trainer.step_count
                    break
                frames.append(trainer.step_count)
                weights.append(net.flat_params.copy())
                population.append(_read(net))
            if trainer.step_count == steps:
                break
            trainer.advance(1)
            diverged_at = trainer.diverged_at
            if diverged_at is None:
                batch.append(_read(net))
    units = (2, sum(bn.num_features for bn in norms))
    return Tracked(
        net,
        np.array(batch, net.dtype).reshape(-1, *units),
        np.array(frames, int),
        np.array(population, net.dtype).reshape(-1, *units),
        np.array(weights, net.dtype).reshape(-1, net.flat_params.size),
        diverged_at,
    )


def _norms(net):
    """The layers that keep running statistics."""
    return [n for _, n in net.leaves() if isinstance(n, BatchNorm) and n.running_mean is not None]


def _read(net):
    """(2, U): the running statistics of all layers, side by side."""
    norms = _norms(net)
    means, variances = [bn.running_mean for bn in norms], [bn.running_var for bn in norms]
    return np.array([np.concatenate(means), np.concatenate(variances)])


def _write(net, values):
    """Set the running statistics of all layers to ``values`` (2, U)."""
    start = 0
    for bn in _norms(net):
        part = slice(start, start := start + bn.num_features)
        bn.running_mean, bn.running_var = values[:, part]
