"""Notebook 08: a layer of one's own, built from the functions of the earlier notebooks."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from bnlib.layers import Layer
from bnlib.network import Sequential
from bnlib.norms import BatchNorm

from . import n03_forward, n04_backward, n06_inference
from .engine import Exercise, Probe
from .engine.layers import copied, is_empty, made
from .engine.probes import arguments, dense_probes

bn_forward = n03_forward.bn_forward.answer
bn_backward = n04_backward.bn_backward.answer
bn_inference = n06_inference.bn_inference.answer
update_running = n06_inference.update_running.answer


class BatchNormLayer(Layer):
    """Batch normalization as a layer of a network.

    params: gamma, ones, and beta, zeros (num_features,), made with add_param, which also makes
    grads. buffers: running_mean, zeros, and running_var, ones. momentum: the weight of the new
    batch. A network moves the arrays of params and grads, so look them up in these dictionaries
    each time, and write into them.
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.add_param("gamma", np.ones(num_features))
        self.add_param("beta", np.zeros(num_features))
        self.buffers["running_mean"] = np.zeros(num_features)
        self.buffers["running_var"] = np.ones(num_features)

    def forward(self, x):
        gamma, beta = self.params["gamma"], self.params["beta"]
        mean, var = self.buffers["running_mean"], self.buffers["running_var"]
        if not self.training:
            slope, offset = bn_inference(gamma, beta, mean, var, self.eps)
            return slope * x + offset
        self.x = x  # for the backward pass
        mean[...], var[...] = update_running(mean, var, x, self.momentum)
        return bn_forward(x, gamma, beta, self.eps)

    def backward(self, dy):
        dx, dgamma, dbeta = bn_backward(dy, self.x, self.params["gamma"], self.eps)
        self.grads["gamma"][...] = dgamma
        self.grads["beta"][...] = dbeta
        return dx


def in_a_network(layer_class):
    """What a layer does in a network, as a function of arrays: training and tests by turns.

    One layer shows its first output, with its own gamma and beta. Another gets a forward alone,
    then two training steps, a test, the training step of x and dy, and the test again, on the
    first examples of x. What a layer keeps too long, or stops doing after the first time, shows in
    the last step, and between its forward and its backward the first layer works again: what two
    layers share shows. The last test is made again by a third layer, with the second one's state.
    """

    @functools.wraps(layer_class, updated=())
    def steps(x, dy, gamma, beta, momentum, eps):
        if is_empty(layer_class):
            return ...
        first = Sequential([_made(layer_class, x.shape[1], eps, momentum)])
        y_start = copied(first(x), "forward in training")
        net = Sequential([_made(layer_class, x.shape[1], eps, momentum)])
        params, grads = net.params, net.grads  # views of what an optimizer sees and changes
        params["0.gamma"][...], params["0.beta"][...] = gamma, beta
        test = x[: (len(x) + 1) // 2]
        (forward_only, _), *earlier = _earlier_batches(x, dy)
        net(forward_only)  # before any train() or eval(): a layer starts in training
        for batch, dy_batch in earlier:
            net(batch)
            net.backward(dy_batch)
        net.eval()(test)
        y = net.train()(x)
        first(earlier[0][0])
        dx = net.backward(dy)
        y_test = net.eval()(test)
        fresh = Sequential([_made(layer_class, x.shape[1], eps, momentum)])
        fresh.load_state_dict(net.state_dict())
        return (
            *(y_start, y, dx, np.copy(grads["0.gamma"]), np.copy(grads["0.beta"])),
            *(np.copy(net.buffers[f"0.running_{name}"]) for name in ("mean", "var")),
            *(y_test, fresh.eval()(test)),
        )

    return steps


def _earlier_batches(x, dy):
    """Three other batches with their dy: each feature has another mean and another variance."""
    for shift in (1, 2, 3):
        yield (1 + shift / 4) * np.roll(x, shift, axis=1)[::-1], np.roll(dy, shift, axis=0)


def _made(layer_class, num_features, eps, momentum):
    """A layer, or an error that says what it lacks."""
    layer = made(layer_class, Layer, "", num_features, eps, momentum)
    for kind, names in (
        ("params", "gamma beta"),
        ("grads", "gamma beta"),
        ("buffers", "running_mean running_var"),
    ):
        if missing := [name for name in names.split() if name not in getattr(layer, kind, {})]:
            raise AttributeError(
                f"after __init__ expected {' and '.join(missing)} in self.{kind}, but they are "
                f"not there. How does a network find what it has to train, and to save?"
            )
    return layer


def _probes() -> list[Probe]:
    momenta = itertools.cycle((0.3, 0.1, 0.9, 0.05))
    return dense_probes(
        lambda rng, x, eps: (
            arguments("x dy gamma beta")(rng, x, eps) | {"momentum": next(momenta), "eps": eps}
        ),
        one="left out",
    )


BatchNormLayer = Exercise(
    BatchNormLayer,
    reference=BatchNorm,
    adapt=in_a_network,
    returns=[
        *("y_start", "y", "dx", "dgamma", "dbeta", "running_mean", "running_var"),
        *("y_test", "y_loaded"),
    ],
    probes=_probes,
)
