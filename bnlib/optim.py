"""Stochastic gradient descent."""

from __future__ import annotations

import numpy as np

from bnlib.network import Sequential, check_network
from bnlib.views import check_real


class SGD:
    """Stochastic gradient descent with momentum and weight decay, as PyTorch defines them.

        g = gradient + weight_decay * w;    v = momentum * v + g;    w = w - lr * v

    Works on the flat parameter buffer of a `bnlib.Sequential`, so a step is a few array
    operations however many layers there are. Weight decay also acts on biases, gamma and beta,
    as PyTorch's does by default. ``lr`` may be changed between steps.
    Raises ValueError for a setting out of range.
    """

    def __init__(
        self, net: Sequential, lr: float, momentum: float = 0.0, weight_decay: float = 0.0
    ):
        check_network("SGD", net)
        if not check_real("SGD expected a finite lr > 0", lr) > 0:
            raise ValueError(f"SGD expected a finite lr > 0, got {lr!r}")
        if check_real("SGD expected momentum in [0, 1)", momentum) >= 1:
            raise ValueError(f"SGD expected momentum in [0, 1), got {momentum!r}")
        check_real("SGD expected a finite weight_decay >= 0", weight_decay)
        self.net, self.lr, self.momentum, self.weight_decay = net, lr, momentum, weight_decay
        self.velocity = np.zeros_like(net.flat_params)

    def step(self) -> None:
        """Update the network's parameters from its gradients."""
        w, g = self.net.flat_params, self.net.flat_grads
        if self.weight_decay:
            g = g + self.weight_decay * w
        if self.momentum:
            self.velocity *= self.momentum
            self.velocity += g
            g = self.velocity
        w -= self.lr * g
