"""What the experiments share: the images, and a training run as one number."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from bnlib.data import NUM_CLASSES, Data, load_mnist
from bnlib.network import Sequential, mlp
from bnlib.norms import BatchNorm
from bnlib.optim import SGD
from bnlib.training import Trainer, accuracy

POOLED = 14 * 14
THREE = [POOLED, 100, 100, 100, 10]  # three hidden layers
FIVE = [POOLED, 100, 100, 100, 100, 100, 10]
GUESSING = 100 / NUM_CLASSES  # percent
ARMS = {"without": None, "with": "batch"}  # BN; the names of the numbers -> mlp's norm

mlp32 = partial(mlp, dtype=np.float32)  # the networks of most experiments


@lru_cache(maxsize=4)
def mnist(**choice) -> Data:
    """`bnlib.load_mnist`, loaded once a process."""
    return load_mnist(**choice)


def few_images(seed: int, count: int) -> Data:
    """``count`` of the pooled training images, drawn by the seed; the test images as they are."""
    data = mnist(pool=True)
    drawn = np.random.default_rng(seed).choice(len(data.x_train), count, replace=False)
    return replace(data, x_train=data.x_train[drawn], y_train=data.y_train[drawn])


@lru_cache(maxsize=4)
def test_images(data: Data, count: int, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """The first ``count`` test images as floats, and their labels."""
    return data.test_batch(count, np.dtype(dtype))


def batch_norms(net: Sequential) -> list[BatchNorm]:
    """The BN layers of ``net``."""
    return [layer for layer in net.layers if isinstance(layer, BatchNorm)]


def percent_right(net: Sequential, data: Data, count: int = 2000) -> float:
    """Accuracy on the first ``count`` test images, in percent."""
    return 100 * accuracy(net, *test_images(data, count, str(net.dtype)))


def percent_of(trainer: Trainer, count: int = 2000) -> float:
    """`percent_right` of what it has trained. A network that diverged counts as guessing, 10 %."""
    if trainer.diverged_at is not None:
        return GUESSING
    return percent_right(trainer.net, trainer.data, count)


def trained_percent(
    net: Sequential,
    data: Data,
    steps: int,
    lr: float,
    seed: int,
    batch_size: int = 60,
    count: int = 2000,
    optimizer: SGD | None = None,
) -> float:
    """Train ``net``; its test accuracy in percent, as `percent_of` has it.

    ``optimizer`` takes the place of plain SGD, and its own rate that of ``lr``.
    """
    trainer = Trainer(net, data, lr, batch_size, seed)
    trainer.optimizer = optimizer or trainer.optimizer
    trainer.advance(steps)
    return percent_of(trainer, count)
