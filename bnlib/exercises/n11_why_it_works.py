"""Notebook 11: batch normalization with noise behind it, which makes its outputs unstable."""

from __future__ import annotations

import functools

import numpy as np

from bnlib.norms import BatchNorm

from .engine import Case, Exercise, Probe
from .engine.function import does_nothing
from .engine.probes import betas, dense_probes, gammas, gradients


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
        if does_nothing(getattr(layer_class, "forward", layer_class)):
            return ...
        before = np.random.get_state()  # noqa: NPY002 - the generator that a mistake draws from
        np.random.seed(seed)  # noqa: NPY002
        try:
            layers = [_made(layer_class, x.shape[1], seed + k) for k in (0, 1)]
            return _steps(*layers, x, dy, gamma, beta)
        finally:
            np.random.set_state(before)  # noqa: NPY002

    return steps


def _steps(layer, other, x, dy, gamma, beta):
    layer.gamma, layer.beta = gamma, beta
    half = (len(x) + 1) // 2
    y_first = _array(layer.forward(x), "forward in training")
    y = _array(layer.forward(x), "forward in training")
    other.forward(y)
    dx = _array(layer.backward(dy), "backward in training")
    dgamma, dbeta = layer.grads["gamma"].copy(), layer.grads["beta"].copy()
    layer.eval()
    y_test = _array(layer.forward(x[:half]), "forward at test time")
    dx_test = _array(layer.backward(dy[:half]), "backward at test time")
    layer.train()
    y_later = _array(layer.forward(x), "forward in training")
    running = layer.running_mean.copy(), layer.running_var.copy()
    return y_first, y, dx, dgamma, dbeta, y_test, dx_test, y_later, *running


def _made(layer_class, num_features, seed):
    """A layer, or an error that says what it lacks."""
    layer = layer_class(num_features, np.random.default_rng(seed))
    if not isinstance(layer, BatchNorm):
        raise TypeError(
            "expected a layer built on BN: does your class start with "
            "`class NoisyBatchNorm(BatchNorm)`?"
        )
    if not hasattr(layer, "training"):
        raise AttributeError(
            "after __init__ the layer is no BatchNorm yet, which super().__init__(num_features) "
            "makes of it: does your __init__ start with that?"
        )
    return layer


def _array(value, call):
    if value is None:
        raise TypeError(f"{call} returned None: does each way through it end with a return?")
    return value.copy() if isinstance(value, np.ndarray) else value


def _arguments():
    calls = iter(range(10_000))

    def complete(rng, x, eps) -> dict:
        return {
            "x": x,
            "dy": gradients(rng, x),
            "gamma": gammas(rng, x.shape[1]),
            "beta": betas(rng, x.shape[1]),
            "seed": next(calls) + 1,
        }

    return complete


def _probes() -> list[Probe]:
    """In float64 only: what noise in float64 makes of a float32 network is not the question."""
    return [p for p in dense_probes(_arguments(), one="left out") if not p.single]


def _is_drawn_anew(case: Case) -> str | None:
    """The same x in two steps gives two outputs."""
    if not np.allclose(case.got.y, case.got.y_first, rtol=1e-9, atol=0):
        return None
    return case.wrong_entry(
        "y",
        "The same images give the same output in two training steps: y{at} is {got} both times, "
        "expected {want} in the second. When is the noise drawn?",
    )


def _noise_of_a_unit(case: Case) -> str | None:
    return case.wrong_entry(
        "y_first",
        "In the first training step the output{at} is {got}, expected {want}. Is it scale * BN(x) "
        "+ shift, with one scale and one shift for each unit, the scales drawn first?",
    )


def _noise_of_the_next_step(case: Case) -> str | None:
    return case.wrong_entry(
        "y",
        "The first step is right, but in the second the output{at} is {got}, expected {want}. What "
        "does your layer keep of the noise, or draw in between?",
    )


def _gradients_of_the_parameters(case: Case) -> str | None:
    for name in ("gamma", "beta"):
        said = case.wrong_entry(
            f"d{name}",
            f"The optimizer finds the gradient of {name}{{at}} = {{got}}, expected {{want}}. "
            "Between y and BN(x) stands the noise: what does BN's backward have to be given?",
        )
        if said:
            return said
    return None


def _gradient(case: Case) -> str | None:
    return case.wrong_entry(
        "dx",
        "In training dx{at} is {got}, expected {want}. When BN(x) grows by a little, by how much "
        "does y = scale * BN(x) + shift grow, with the noise of this step?",
    )


def _test_time(case: Case) -> str | None:
    return case.wrong_entry(
        "y_test",
        "At test time the output{at} is {got}, expected {want}, which is BN's own. Which mode is "
        "noisy?",
    ) or case.wrong_entry(
        "dx_test",
        "At test time dx{at} is {got}, expected {want}, which is BN's own: what is between y and "
        "BN(x) then?",
    )


def _goes_on_after_the_test(case: Case) -> str | None:
    return case.wrong_entry(
        "y_later",
        "In the training step after a test the output{at} is {got}, expected {want}. Has the test, "
        "or backward, drawn random numbers, or changed what is kept?",
    )


def _statistics(case: Case) -> str | None:
    for name in ("running_mean", "running_var"):
        said = case.wrong_entry(
            name,
            f"After three forwards in training {name}{{at}} is {{got}}, expected {{want}}. BN "
            "keeps the statistics of x: does it get x, once in each forward?",
        )
        if said:
            return said
    return None


NoisyBatchNorm = Exercise(
    NoisyBatchNorm,
    reference=_reference,
    adapt=in_training,
    returns=[
        *("y_first", "y", "dx", "dgamma", "dbeta", "y_test", "dx_test", "y_later"),
        *("running_mean", "running_var"),
    ],
    probes=_probes,
    properties=(
        _is_drawn_anew,
        _noise_of_a_unit,
        _noise_of_the_next_step,
        _gradient,
        _gradients_of_the_parameters,
        _test_time,
        _goes_on_after_the_test,
        _statistics,
    ),
    hints=(
        "BN does its work and keeps its own books. You add one line of formula behind it: what of "
        "that line does the way back have to know?",
        "1. forward: BN first; at test time that is all. 2. In training draw the scales, then the "
        "shifts, one of each for a unit, and keep what backward needs.  3. backward: dL/dBN(x) "
        "from dy by the chain rule, then BN's own backward.",
        "self.rng.uniform(0.5, 1.5, self.num_features) are the scales, and self.rng.normal the "
        "shifts. y grows scale times as fast as BN(x), so dy * self.scale is what BN's backward "
        "is to be given; shift is a constant.",
    ),
    why="Put it in the place of BN and train: what is left of BN's benefit does not need outputs "
    "whose mean and variance stay the same from step to step.",
)
