"""Notebook 08: a layer of one's own, built from the functions of the earlier notebooks."""

from __future__ import annotations

import functools

import numpy as np

from bnlib.layers import Layer
from bnlib.network import Sequential
from bnlib.norms import BatchNorm

from . import n03_forward, n04_backward, n06_inference
from .engine import Case, Exercise
from .engine.function import does_nothing
from .engine.probes import betas, dense_probes, gammas, gradients

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
    """What a layer does in a network, as a function of arrays: two training steps, then a test.

    The first step has the layer's own gamma and beta. The test is made on the first examples of
    x, in evaluation mode, by a second network that has loaded the first one's state.
    """

    @functools.wraps(layer_class, updated=())
    def steps(x, dy, gamma, beta, momentum, eps):
        if does_nothing(layer_class.forward):
            return ...
        layer = _made(layer_class, x.shape[1], eps, momentum)
        net = Sequential([layer])
        params, grads = net.params, net.grads  # views of what an optimizer sees and changes
        y_start = np.copy(net.train()(x))
        net.backward(dy)
        params["0.gamma"][...], params["0.beta"][...] = gamma, beta
        y = net(x)
        dx = net.backward(dy)
        test = x[: (len(x) + 1) // 2]
        net.eval()(test)
        fresh = Sequential([_made(layer_class, x.shape[1], eps, momentum)])
        fresh.load_state_dict(net.state_dict())
        return (
            *(y_start, y, dx, np.copy(grads["0.gamma"]), np.copy(grads["0.beta"])),
            *(np.copy(net.buffers[f"0.running_{name}"]) for name in ("mean", "var")),
            fresh.eval()(test),
        )

    return steps


def _made(layer_class, num_features, eps, momentum):
    """A layer, or an error that says what it lacks."""
    layer = layer_class(num_features, eps, momentum)
    if not isinstance(layer, Layer):
        raise TypeError(
            "a network takes layers: does your class start with `class BatchNormLayer(Layer)`?"
        )
    for kind, names in (("params", "gamma beta"), ("buffers", "running_mean running_var")):
        if missing := [name for name in names.split() if name not in getattr(layer, kind, {})]:
            raise AttributeError(
                f"after __init__ expected {' and '.join(missing)} in self.{kind}, but they are "
                f"not there. How does a network find what it has to train, and to save?"
            )
    return layer


def _arguments(momenta=(0.3, 0.1, 0.9, 0.05)):
    calls = iter(range(10_000))

    def complete(rng, x, eps) -> dict:
        return {
            "x": x,
            "dy": gradients(rng, x),
            "gamma": gammas(rng, x.shape[1]),
            "beta": betas(rng, x.shape[1]),
            "momentum": momenta[next(calls) % len(momenta)],
            "eps": eps,
        }

    return complete


def _starts_normalised(case: Case) -> str | None:
    return case.wrong_entry(
        "y_start",
        "Before any training the output{at} is {got}, expected {want}, which is xhat: with which "
        "gamma and beta does a layer start?",
    )


def _uses_its_parameters(case: Case) -> str | None:
    return case.wrong_entry(
        "y",
        "After the optimizer has changed gamma and beta, the output{at} is {got}, expected {want}. "
        "Are gamma and beta looked up in self.params in each forward?",
    )


def _gradients_arrive(case: Case) -> str | None:
    for name in ("gamma", "beta"):
        said = case.wrong_entry(
            f"d{name}",
            f"After the second backward the optimizer finds self.grads[{name!r}]{{at}} = {{got}}, "
            "expected {want}. Is it written into the array that is there, once for each backward?",
        )
        if said:
            return said
    return None


def _statistics_are_kept(case: Case) -> str | None:
    for name in ("running_mean", "running_var"):
        said = case.wrong_entry(
            name,
            f"After two training steps and a test, {name}{{at}} is {{got}}, expected {{want}}. "
            "Which calls should change it, and from where does it start?",
        )
        if said:
            return said
    return None


def _tests_with_them(case: Case) -> str | None:
    return case.wrong_entry(
        "y_test",
        "At test time the output{at} is {got}, expected {want}. Which statistics belong there?",
    )


BatchNormLayer = Exercise(
    BatchNormLayer,
    reference=BatchNorm,
    adapt=in_a_network,
    returns=["y_start", "y", "dx", "dgamma", "dbeta", "running_mean", "running_var", "y_test"],
    probes=lambda: dense_probes(_arguments(), one="left out"),
    properties=(
        _starts_normalised,
        _uses_its_parameters,
        _gradients_arrive,
        _statistics_are_kept,
        _tests_with_them,
    ),
    hints=(
        "A layer does no mathematics that your four functions do not do already. What it adds is "
        "memory: what has to be remembered from which call to which?",
        "1. __init__: eps, momentum, two parameters, two buffers.  2. forward, in training: "
        "remember x, update the buffers, bn_forward.  3. forward, at test: bn_inference with the "
        "buffers.  4. backward: bn_backward, then put dgamma and dbeta where an optimizer looks.",
        'self.add_param("gamma", np.ones(num_features)) makes self.params["gamma"] and '
        'self.grads["gamma"]. Write a result into an array that stays the same one: '
        'self.grads["gamma"][...] = dgamma.',
    ),
    why="Any network can be trained with it, saved, loaded and tested: a library's layer does no "
    "more.",
)
