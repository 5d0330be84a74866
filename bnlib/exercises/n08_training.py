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
    """What a layer does in a network, as a function of arrays: training and tests by turns.

    One layer shows its first output, with its own gamma and beta. Another gets a forward alone,
    then two training steps, a test, the training step of x and dy, and the test again, on the
    first examples of x. What a layer keeps too long, or stops doing after the first time, shows in
    the last step. The last test is made again by a third layer, with the second one's state.
    """

    @functools.wraps(layer_class, updated=())
    def steps(x, dy, gamma, beta, momentum, eps):
        if does_nothing(layer_class.forward):
            return ...
        y_start = np.copy(Sequential([_made(layer_class, x.shape[1], eps, momentum)])(x))
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
    layer = layer_class(num_features, eps, momentum)
    if not isinstance(layer, Layer):
        raise TypeError(
            "a network takes layers: does your class start with `class BatchNormLayer(Layer)`?"
        )
    if not hasattr(layer, "training"):
        raise AttributeError(
            "after __init__ the layer has no self.training, which a network sets and a forward "
            "reads. Layer.__init__ makes it: does your __init__ start with `super().__init__()`?"
        )
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
        "In the first training step the output{at} is {got}, expected {want}. That is xhat, as "
        "gamma starts at 1 and beta at 0: which mean and which variance does it take?",
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
            f"After the last backward the optimizer finds self.grads[{name!r}]{{at}} = {{got}}, "
            "expected {want}. Is it written into the array that is there, once for each backward?",
        )
        if said:
            return said
    return None


def _statistics_are_kept(case: Case) -> str | None:
    for name, of in (("running_mean", "mean"), ("running_var", "variance (over N - 1)")):
        said = case.wrong_entry(
            name,
            f"After four forwards in training, and tests, {name}{{at}} is {{got}}, expected "
            f"{{want}}. Each of the four gives the {of} of its batch the weight momentum: does "
            "each, and no other call?",
        )
        if said:
            return said
    return None


def _gives_its_gradient(case: Case) -> str | None:
    return case.wrong_entry(
        "dx",
        "After other batches, dx{at} of the last one is {got}, expected {want}. Does backward use "
        "what the forward just before it has kept, and all three paths from x to y?",
    )


def _tests_with_them(case: Case) -> str | None:
    return case.wrong_entry(
        "y_test",
        "At test time the output{at} is {got}, expected {want}. Which statistics belong there?",
    )


def _can_be_loaded(case: Case) -> str | None:
    return case.wrong_entry(
        "y_loaded",
        "A second layer that has loaded the state of the first gives at test time the output{at} "
        "{got}, expected {want}. What does your layer remember outside of params and buffers?",
    )


BatchNormLayer = Exercise(
    BatchNormLayer,
    reference=BatchNorm,
    adapt=in_a_network,
    returns=[
        *("y_start", "y", "dx", "dgamma", "dbeta", "running_mean", "running_var"),
        *("y_test", "y_loaded"),
    ],
    probes=lambda: dense_probes(_arguments(), one="left out"),
    properties=(
        _starts_normalised,
        _uses_its_parameters,
        _gives_its_gradient,
        _gradients_arrive,
        _statistics_are_kept,
        _tests_with_them,
        _can_be_loaded,
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
