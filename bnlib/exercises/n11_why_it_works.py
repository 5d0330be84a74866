"""Notebook 11: batch normalization with noise behind it, which makes its outputs unstable."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from bnlib.norms import BatchNorm

from .engine import Case, Exercise, Probe
from .engine.layers import copied, is_empty, made
from .engine.probes import arguments, dense_probes


class NoisyBatchNorm(BatchNorm):
    """Batch normalization with noise behind it in training: y = scale * BN(x) + shift.

    Every unit has one scale and one shift, the same for all images of a batch. Each forward in
    training draws all of them anew from self.rng, a np.random.Generator: first the scales, uniform
    between 0.5 and 1.5, then the shifts, normal with mean 0.5 and standard deviation 0.5. At test
    time forward and backward are those of BN, and nothing is drawn.

    super().backward(dy), with dy = dL/dBN(x), returns dL/dx, and keeps dgamma and dbeta.
    """

    def __init__(self, num_features, rng):
        super().__init__(num_features)
        self.rng = rng

    def forward(self, x):
        y = super().forward(x)
        if not self.training:
            return y
        self.scale = self.rng.uniform(0.5, 1.5, self.num_features)
        shift = self.rng.normal(0.5, 0.5, self.num_features)
        return self.scale * y + shift

    def backward(self, dy):
        if not self.training:
            return super().backward(dy)
        return super().backward(self.scale * dy)


def _reference(num_features, rng):
    """The layer that the claim `noisy_bn` is measured with."""
    from bnlib.claims.engine import altered  # the ledger: not before it is needed

    layer = altered.NoisyBatchNorm(num_features)
    layer.rng = rng
    return layer


def in_training(layer_class):
    """What the layer does, as a function of arrays: two training steps, a test, a third one.

    The first forward has no backward, the second has, and both see the same x. Between the second
    forward and its backward another layer works, as in a network: what two layers share shows. The
    test takes the first half of x and dy. Whoever draws from NumPy's global generator gets numbers
    that depend on ``seed`` too, so that this mistake has a name; its state is put back.
    """

    @functools.wraps(layer_class, updated=())
    def steps(x, dy, gamma, beta, seed):
        if is_empty(layer_class):
            return ...
        before = np.random.get_state()  # noqa: NPY002 - the generator that a mistake draws from
        np.random.seed(seed)  # noqa: NPY002
        try:
            rngs = [np.random.default_rng(seed + k) for k in (0, 1)]
            layers = [made(layer_class, BatchNorm, "num_features", x.shape[1], rng) for rng in rngs]
            return _steps(*layers, x, dy, gamma, beta)
        finally:
            np.random.set_state(before)  # noqa: NPY002

    return steps


def _steps(layer, other, x, dy, gamma, beta):
    layer.gamma, layer.beta = gamma, beta
    half = (len(x) + 1) // 2
    y_first = copied(layer.forward(x), "forward in training")
    y = copied(layer.forward(x), "forward in training")
    other.forward(y)
    dx = copied(layer.backward(dy), "backward in training")
    dgamma, dbeta = layer.grads["gamma"].copy(), layer.grads["beta"].copy()
    layer.eval()
    y_test = copied(layer.forward(x[:half]), "forward at test time")
    dx_test = copied(layer.backward(dy[:half]), "backward at test time")
    layer.train()
    y_later = copied(layer.forward(x), "forward in training")
    running = layer.running_mean.copy(), layer.running_var.copy()
    return y_first, y, dx, dgamma, dbeta, y_test, dx_test, y_later, *running


def _probes() -> list[Probe]:
    """In float64 only: what noise in float64 makes of a float32 network is not the question."""
    seeds = itertools.count(1)
    probes = dense_probes(
        lambda rng, x, eps: arguments("x dy gamma beta")(rng, x, eps) | {"seed": next(seeds)},
        one="left out",
    )
    return [p for p in probes if not p.single]


def _is_drawn_anew(case: Case) -> str | None:
    """The same x in two steps gives two outputs."""
    if not np.allclose(case.got.y, case.got.y_first, rtol=1e-9, atol=0):
        return None
    return case.wrong_entry(
        "y",
        "The same images give the same output in two training steps: y{at} is {got} both times, "
        "expected {want} in the second. When is the noise drawn?",
    )


NoisyBatchNorm = Exercise(
    NoisyBatchNorm,
    reference=_reference,
    adapt=in_training,
    returns=[
        *("y_first", "y", "dx", "dgamma", "dbeta", "y_test", "dx_test", "y_later"),
        *("running_mean", "running_var"),
    ],
    probes=_probes,
    properties=(_is_drawn_anew,),
)
