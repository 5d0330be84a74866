"""Layers, networks and a SGD that differ from bnlib's in one thing, to ask what it does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnlib.data import Data
from bnlib.layers import Layer
from bnlib.network import Sequential
from bnlib.norms import BatchNorm
from bnlib.optim import SGD


class Standardised(Layer):
    """Every pixel minus its mean, over its standard deviation: the first layer of a network."""

    def __init__(self, data: Data, dtype=np.float32) -> None:
        super().__init__()
        images, _ = data.batch(slice(0, 5000), dtype)
        self.mean = images.mean(axis=0)
        self.std = np.maximum(images.std(axis=0), 0.1)  # pixels at the border are always 0

    def forward(self, x: np.ndarray) -> np.ndarray:
        return (x - self.mean) / self.std

    def backward_params(self, dy: np.ndarray) -> None:
        """It has none."""


class Scaled(Layer):
    """Multiplies by a fixed number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = float(factor)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * self.factor

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self.factor


class ConstantVariance(BatchNorm):
    """A wrong backward: dx without the path through the variance. dgamma and dbeta are right."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._slope = self.gamma / np.sqrt(x.var(axis=0) + self.eps)
        return super().forward(x)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        wrong = self._slope * (dy - dy.mean(axis=0))
        super().backward(dy)  # for dgamma and dbeta
        return wrong


class ConstantStatistics(ConstantVariance):
    """A wrong backward: the direct path only, as if mean and variance were constants."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        wrong = self._slope * dy
        super().backward(dy)
        return wrong


class NoisyBatchNorm(BatchNorm):
    """In training every unit is stretched by 0.5 to 1.5 and moved by 0.5 + 0.5 z, in each step."""

    def __init__(self, num_features: int, dtype: type = np.float64) -> None:
        super().__init__(num_features, dtype=dtype)
        self.rng = np.random.default_rng(0)

    def forward(self, x: np.ndarray) -> np.ndarray:
        y = super().forward(x)
        if not self.training:
            return y
        self.scale = self.rng.uniform(0.5, 1.5, self.num_features).astype(x.dtype)
        shift = 0.5 + 0.5 * self.rng.standard_normal(self.num_features)
        return y * self.scale + shift.astype(x.dtype)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return super().backward(dy * self.scale if self.training else dy)


def with_norm(net: Sequential, norm: type[BatchNorm]) -> Sequential:
    """The layers of ``net`` with another class in the place of each BatchNorm."""
    return Sequential(
        norm(layer.num_features, dtype=layer.gamma.dtype) if isinstance(layer, BatchNorm) else layer
        for layer in net.layers
    )


class PartialSGD(SGD):
    """SGD that trains some of the parameters, and decays some of them.

    ``trained`` and ``decay`` are a number for all, or an array of one number for each of
    ``net.flat_params``, as `for_each` makes it: 0 or 1, and the weight decay.
    """

    def __init__(
        self,
        net: Sequential,
        lr: float,
        trained: float | np.ndarray = 1.0,
        decay: float | np.ndarray = 0.0,
    ) -> None:
        super().__init__(net, lr)
        self.trained, self.decay = trained, decay

    def step(self) -> None:
        gradients = self.net.flat_grads
        gradients += self.decay * self.net.flat_params
        gradients *= self.trained
        super().step()


def for_each(net: Sequential, value: Callable[[str, np.ndarray], float | np.ndarray]) -> np.ndarray:
    """``value(name, array)`` of every parameter, in the order of ``net.flat_params``.

    A number stands for all of an array, named as in ``net.params``: "1.gamma".
    """
    parts = [np.broadcast_to(value(n, p), p.shape).ravel() for n, p in net.params.items()]
    return np.concatenate(parts).astype(net.dtype)
