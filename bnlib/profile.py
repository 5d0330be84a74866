"""How a signal gets through a network: forward from the images, and backward from the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnlib.layers import Activation
from bnlib.losses import softmax_cross_entropy
from bnlib.network import Sequential, check_network
from bnlib.threads import one_blas_thread


@dataclass(frozen=True, eq=False)
class SignalProfile:
    """One number a hidden layer, for one batch: L layers, N images, D units a layer."""

    std: np.ndarray  # (L,), standard deviation over all N * D activations
    unit_std: np.ndarray  # (L,), that of one unit over the N images, averaged over the units
    mean_square: np.ndarray  # (L,), over all N * D activations
    gradient_norm: np.ndarray  # (L,), as `Sequential.gradient_norms`


@one_blas_thread()
def signal_profile(net: Sequential, x: np.ndarray, labels: np.ndarray) -> SignalProfile:
    """Send the batch x (N, ...) with ``labels`` (N,) forward and back once; a `SignalProfile`.

    ``unit_std`` is what tells two images apart: a layer whose units have the same value for every
    image can have a large ``std`` and still pass nothing on. An activation is the output of a
    nonlinearity. The network works in training mode, so BatchNorm uses the statistics of x; its
    running statistics and the mode are left as they were. Raises ValueError or TypeError for images
    or labels that do not fit the network.
    """
    check_network("signal_profile", net)
    outputs = []
    with net.as_it_was():
        net.train()
        for _, layer, _, y in net.trace(x):
            if isinstance(layer, Activation):
                outputs.append(y)
        net.backward(softmax_cross_entropy(y, labels)[1], input_gradient=False)
    return SignalProfile(
        std=np.array([h.std() for h in outputs]),
        unit_std=np.array([h.std(axis=0).mean() for h in outputs]),
        mean_square=np.array([np.mean(h * h) for h in outputs]),
        gradient_norm=np.array(net.gradient_norms()),
    )
