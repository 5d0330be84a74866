"""The bug museum: seven bugs of batch normalization that were public, re-created in few lines.

    from bnlib import museum
    museum.exhibits["move"]          # who met it, where, and what was seen
    museum.exhibits["move"].source   # the broken function
    museum.check(move)               # is it mended?

The code is ours, the bugs are those of the issue or pull request that each exhibit names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Inputs = Callable[[np.random.Generator], Iterator[tuple[str, tuple]]]


@dataclass(frozen=True)
class Exhibit:
    """One bug: the broken function, what was seen, and the inputs on which a mend is checked."""

    broken: Callable
    mended: Callable
    inputs: Inputs
    seen: str  # by the people who met it
    where: str
    url: str

    @property
    def name(self) -> str:
        """That of the broken function."""
        return self.broken.__name__

    @property
    def source(self) -> str:
        """The broken function, to be mended."""
        return inspect.getsource(self.broken)

    def __repr__(self) -> str:
        return f"{self.name}: {self.seen} ({self.where}, {self.url})"


@dataclass(frozen=True)
class Visit:
    """What `check` found."""

    passed: bool
    message: str

    def __repr__(self) -> str:
        return self.message


def check(function: Callable) -> Visit:
    """Compare the function with a mended one, on small, large, single and square inputs.

    The exhibit is found by the function's name. Raises KeyError for a name that is no exhibit's.
    """
    name = getattr(function, "__name__", repr(function))
    if name not in exhibits:
        raise KeyError(f"expected a function named as an exhibit, {list(exhibits)}, got {name!r}")
    for case, inputs in exhibits[name].inputs(np.random.default_rng(13)):
        if fault := _fault(function, exhibits[name].mended, inputs):
            return Visit(False, f"{name}, not yet: {case}: {fault}")
    return Visit(True, f"{name} is mended.")


def _fault(function, mended, inputs):
    """How the function differs from the mended one on these inputs, or None."""
    given = [np.array(v) if isinstance(v, np.ndarray) else v for v in inputs]
    want = np.asarray(mended(*map(np.copy, inputs)), float)
    try:
        with np.errstate(all="ignore"):
            got = np.asarray(function(*given), float)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if got.shape != want.shape:
        return f"expected an array of shape {want.shape}, got {got.shape}."
    off = np.abs(got - want) / np.maximum(np.abs(want), 1)
    if not (off <= (1e-3 if inputs[0].dtype == np.float32 else 1e-9)).all():
        at = np.unravel_index(np.argmax(np.nan_to_num(off, nan=np.inf)), off.shape)
        where = f"[{', '.join(map(str, at))}]" if at else ""
        return f"result{where} is {got[at]:.3g}, expected {want[at]:.3g}."
    return None


def _batches(rng, shapes=((6, 3), (4, 4), (50, 2), (2, 5))):
    for shape in shapes:
        spread = rng.uniform(0.3, 3, shape[1])
        yield f"a batch {shape}", spread * rng.standard_normal(shape) + rng.standard_normal()


# ------------------------------------------------------------------------------ the exhibits


def normalize(x, eps):
    """xhat, from x (N, D)."""
    mean, var = x.mean(axis=0), x.var(axis=0)
    return (x - mean) / (var + eps) ** 2


def _normalize(x, eps):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


def _normalize_inputs(rng):
    for case, x in _batches(rng):
        for eps in (1e-5, 0.5):
            yield case, (x, eps)


def gradient(dy, x, gamma, eps):
    """dL/dx of batch normalization in training, from dL/dy (N, D)."""
    std = np.sqrt(x.var(axis=0) + eps)
    return gamma * dy / std


def _gradient(dy, x, gamma, eps):
    std = np.sqrt(x.var(axis=0) + eps)
    xhat = (x - x.mean(axis=0)) / std
    return gamma / std * (dy - dy.mean(axis=0) - xhat * (dy * xhat).mean(axis=0))


def _gradient_inputs(rng):
    for case, x in _batches(rng):
        gamma = rng.uniform(0.5, 2, x.shape[1]) * rng.choice([-1, 1], x.shape[1])
        yield case, (rng.standard_normal(x.shape) + 0.3, x, gamma, 0.1)


def move(running, batch, momentum):
    """The running statistic after a batch. momentum: the weight of the new batch, as in PyTorch."""
    return momentum * running + (1 - momentum) * batch


def _move(running, batch, momentum):
    return running + momentum * (batch - running)


def _move_inputs(rng):
    for momentum in (0.1, 0.5, 0.9, 0.0, 1.0):
        given = rng.standard_normal(3), rng.standard_normal(3)
        yield f"momentum {momentum}", (*given, momentum)


def variance(x):
    """The biased variance of each column of x (N, D), in the precision of x."""
    return (x**2).mean(axis=0) - x.mean(axis=0) ** 2


def _variance(x):
    return x.astype(np.float64).var(axis=0)


def _variance_inputs(rng):
    for case, x in _batches(rng):
        yield case, (x,)
    for mean in (100.0, 1000.0, -2000.0):
        x = (mean + rng.standard_normal((64, 3))).astype(np.float32)
        yield f"a batch in float32 around {mean:g}", (x,)


def scale_maps(xhat, gamma, beta):
    """y, from normalised feature maps xhat (N, C, H, W), gamma and beta (C,)."""
    return gamma * xhat + beta


def _scale_maps(xhat, gamma, beta):
    return np.einsum("nchw,c->nchw", xhat, gamma) + beta[None, :, None, None]


def _scale_maps_inputs(rng):
    for shape in ((2, 3, 4, 5), (2, 3, 3, 3), (3, 1, 2, 2), (4, 4, 2, 4), (4, 4, 4, 1)):
        gamma, beta = rng.standard_normal((2, shape[1]))
        yield f"maps {shape}", (rng.standard_normal(shape), gamma, beta)


def evaluate(x, running_mean, running_var, eps):
    """xhat (N, D) at test time."""
    mean, var = x.mean(axis=0), x.var(axis=0)
    return (x - mean) / np.sqrt(var + eps)


def _evaluate(x, running_mean, running_var, eps):
    return (x - running_mean) / np.sqrt(running_var + eps)


def _evaluate_inputs(rng):
    for case, x in _batches(rng, ((6, 3), (4, 4), (1, 3), (200, 2))):
        d = x.shape[1]
        yield case, (x, rng.standard_normal(d), rng.uniform(0.3, 3, d), 0.1)


def shift_gradient(grad, dy):
    """dL/dbeta (D,) of this step, written into grad, from dL/dy (N, D). grad holds the last one."""
    grad += dy.sum(axis=0)
    return grad


def _shift_gradient(grad, dy):
    return np.einsum("nd->d", dy)


def _shift_gradient_inputs(rng):
    for case, dy in _batches(rng):
        yield "the first step, " + case, (np.zeros(dy.shape[1]), dy)
        yield "the next step, " + case, (rng.standard_normal(dy.shape[1]), dy)


exhibits: dict[str, Exhibit] = {
    exhibit.name: exhibit
    for exhibit in (
        Exhibit(
            normalize,
            _normalize,
            _normalize_inputs,
            "the standard deviations that come out are not 1",
            "JAX, 2019",
            "https://github.com/jax-ml/jax/issues/442",
        ),
        Exhibit(
            gradient,
            _gradient,
            _gradient_inputs,
            "dL/dx differs from cuDNN's, the gradients of gamma and beta do not",
            "Deeplearning4j, 2019",
            "https://github.com/deeplearning4j/deeplearning4j/issues/8335",
        ),
        Exhibit(
            move,
            _move,
            _move_inputs,
            "a textbook's running averages are not PyTorch's, with the same momentum",
            "Dive into Deep Learning, 2022",
            "https://github.com/d2l-ai/d2l-en/pull/2213",
        ),
        Exhibit(
            variance,
            _variance,
            _variance_inputs,
            "NaN, now and then, for images of large numbers",
            "Flax, 2021",
            "https://github.com/google/flax/issues/1491",
        ),
        Exhibit(
            scale_maps,
            _scale_maps,
            _scale_maps_inputs,
            "an error for feature maps with the channels first",
            "JAX, 2019",
            "https://github.com/jax-ml/jax/issues/461",
        ),
        Exhibit(
            evaluate,
            _evaluate,
            _evaluate_inputs,
            "at test time an image's output depends on the others; no warning",
            "JAX, 2018",
            "https://github.com/jax-ml/jax/issues/139",
        ),
        Exhibit(
            shift_gradient,
            _shift_gradient,
            _shift_gradient_inputs,
            "1, 2, 3, ... where each step's gradient is 1",
            "MXNet, 2019",
            "https://github.com/apache/mxnet/issues/16297",
        ),
    )
}
