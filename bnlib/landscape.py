"""What a training step meets on its way: the loss, and its gradient, along the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bnlib.data import Data
from bnlib.losses import softmax_cross_entropy
from bnlib.network import Sequential, check_network
from bnlib.threads import one_blas_thread
from bnlib.training import Trainer
from bnlib.views import NonFiniteError, as_array, check_int

DISTANCES = np.linspace(0.0, 2.0, 7)  # in steps of the learning rate


class Along(NamedTuple):
    """What `loss_along_gradient` finds, an entry for each distance."""

    losses: np.ndarray  # at w - distance * gradient
    turned: np.ndarray  # length of the gradient's change, over the length of the gradient
    smoothness: np.ndarray  # the same change over the distance moved; NaN at distance 0


@one_blas_thread()
def loss_along_gradient(
    net: Sequential, x: np.ndarray, labels: np.ndarray, distances: np.ndarray
) -> Along:
    """The loss, and the change of its gradient, at w - distance * gradient for each distance.

    ``x`` and ``labels`` are one batch, in training mode; ``distances`` (k,) are learning rates. The
    network is left as it was. Source: Santurkar et al. 2018 (arXiv:1805.11604), section 3.1.
    Raises as the network's forward pass does.
    """
    check_network("loss_along_gradient", net)
    distances = as_array("distances", distances)
    if distances.ndim != 1 or not distances.size:
        raise ValueError(f"expected distances (k,) with k >= 1, got shape {distances.shape}")
    start, found = net.flat_params.copy(), []
    with net.as_it_was():
        net.train()

        def look() -> tuple[float, np.ndarray]:
            loss, dlogits = softmax_cross_entropy(net(x), labels)
            net.backward(dlogits, input_gradient=False)
            return loss, net.flat_grads.copy()

        try:
            here, gradient = look()
            length = np.linalg.norm(gradient)
            for distance in distances:
                if distance == 0:
                    found.append((here, 0.0, np.nan))
                    continue
                net.flat_params[...] = start - distance * gradient
                loss, there = look()
                change = np.linalg.norm(there - gradient)
                found.append((loss, change / length, change / (distance * length)))
        finally:
            net.flat_params[...] = start
    return Along(*np.array(found).T)


@dataclass(frozen=True, eq=False)
class Looks:
    """`loss_along_gradient` again and again while a network trains: L looks, k distances."""

    steps: np.ndarray  # (L,), training steps made before each look
    distances: np.ndarray  # (k,), in steps of the learning rate: 1 is where the step ends
    losses: np.ndarray  # (L, k)
    turned: np.ndarray  # (L, k), 0 at distance 0
    diverged_at: int | None  # the training step, if the run ended early

    @property
    def ranges(self) -> np.ndarray:
        """(L,), largest minus smallest loss of a look."""
        return np.ptp(self.losses, axis=1)

    @property
    def turns(self) -> np.ndarray:
        """(L,), the largest change of the gradient in a look, in lengths of the gradient."""
        return self.turned.max(axis=1)


def follow(
    net: Sequential,
    data: Data,
    lr: float,
    batch_size: int = 64,
    seed: int = 0,
    *,
    steps: int = 300,
    every: int = 10,
    distances: np.ndarray = DISTANCES,
    sample: int = 256,
) -> Looks:
    """Train ``net`` in place; before the first step, and after every ``every``, look around.

    Each look is at the same batch, the first ``sample`` training images, in training mode, and
    along the gradient of that batch. ``distances`` (k,), from 0 up, are in steps of ``lr``. A run
    whose loss stops being finite, at a look too, ends there. The rest as in `Trainer`, errors
    included; ValueError also for ``steps`` that are no multiple of ``every``, and for distances
    that are none. Source: Santurkar et al. 2018 (arXiv:1805.11604), section 3.1 and Figure 4.
    """
    check_int("follow expected steps", steps)
    check_int("follow expected every", every)
    check_int("follow expected sample", sample)
    distances = as_array("distances", distances).astype(float)
    if steps % every:
        raise ValueError(
            f"follow expected steps that are a multiple of every, got {steps} and {every}: "
            "the last look is after the last step"
        )
    rises = distances.ndim == 1 and (np.diff(distances) > 0).all()
    if not rises or not distances.any() or distances[0] < 0:
        raise ValueError(
            f"follow expected distances that rise from 0 or more, got {distances}: they count "
            "steps of the learning rate, as 0, 0.5, 1, 1.5, 2"
        )
    trainer = Trainer(net, data, lr, batch_size, seed)
    batch, looks = data.batch(slice(0, sample), net.dtype), []
    while trainer.diverged_at is None:
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                along = loss_along_gradient(net, *batch, lr * distances)
        except NonFiniteError:
            break
        if not np.isfinite([along.losses, along.turned]).all():
            break
        looks.append(along)
        if trainer.step_count == steps:
            break
        trainer.advance(every)
    done = len(looks)
    return Looks(
        steps=every * np.arange(done),
        distances=distances,
        losses=np.reshape([look.losses for look in looks], (done, len(distances))),
        turned=np.reshape([look.turned for look in looks], (done, len(distances))),
        diverged_at=trainer.step_count if every * (done - 1) < steps else None,
    )
