"""Inputs for the numerical tests, and slow references that are plainly right.

The references loop over channels and follow the formulas of the paper step by step. They share no
code with bnlib, and the backward one applies the chain rule in stages instead of the closed form.
"""

from dataclasses import dataclass

import hypothesis
import numpy as np
from hypothesis import Phase
from hypothesis import strategies as st

# Distinct N, C, H, W, so that swapped axes show; then shapes on which swapped axes do not raise.
DISTINCT = [(5, 3), (3, 5), (4, 2, 6), (3, 4, 5, 2), (2, 3, 2, 4, 5), (70, 3), (33, 3, 4, 5)]
SQUARE = [(4, 4), (3, 3, 3), (4, 4, 4, 4)]
SHAPES = DISTINCT + SQUARE


def given(**strategies):
    """hypothesis.given, with a second version ``quick`` for test_mutants.py.

    That one stops at the first failure: looking for the smallest example takes seconds a mutant.
    """

    def decorate(test):
        full = hypothesis.settings(max_examples=60)(hypothesis.given(**strategies)(test))
        full.quick = hypothesis.settings(
            max_examples=30, phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
        )(hypothesis.given(**strategies)(test))
        return full

    return decorate


@dataclass
class Case:
    """One call of batch normalization with everything random."""

    x: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    dy: np.ndarray
    eps: float

    @property
    def count(self):
        """m, the number of values per channel."""
        return self.x.size // self.x.shape[1]

    def __repr__(self):
        strides = tuple(s // self.x.itemsize for s in self.x.strides)
        return f"Case({self.x.shape}, strides {strides}, {self.x.dtype}, eps={self.eps})"


def make_case(shape, seed=0, dtype=np.float64, loc=0.0, scale=1.0, eps=1e-5, layout="C"):
    """A `Case` with values from ``seed``; the same numbers whatever the layout in memory."""
    rng = np.random.default_rng(seed)
    c = shape[1]
    spread = rng.uniform(0.5, 2.0, (1, c) + (1,) * (len(shape) - 2))  # channels differ
    x = loc + scale * spread * (rng.standard_normal(shape) + spread)
    gamma = rng.uniform(0.3, 2.0, c) * rng.choice([-1, 1], c)
    beta = rng.normal(0, 3, c)
    dy = rng.standard_normal(shape) + rng.normal(0, 2, c).reshape(spread.shape)
    x, gamma, beta, dy = (a.astype(dtype) for a in (x, gamma, beta, dy))
    return Case(lay_out(x, layout), gamma, beta, lay_out(dy, layout), eps)


LAYOUTS = ("C", "channels last", "batch last", "strided", "Fortran")


def lay_out(x, layout):
    """The same array with another order in memory."""
    if layout == "channels last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    if layout == "batch last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)
    if layout == "strided":
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "Fortran":
        return np.asfortranarray(x)
    return np.ascontiguousarray(x)


@st.composite
def cases(
    draw, dtype=np.float64, eps=(1e-5, 0.1), min_batch=1, distinct_scales=True, layouts=LAYOUTS
):
    """Random `Case`s: 0 to 3 spatial axes, small and large batches, every layout in memory."""
    n = draw(st.integers(min_batch, 5) | st.sampled_from([max(min_batch, k) for k in (16, 33)]))
    c = draw(st.integers(1, 5))
    spatial = draw(st.lists(st.integers(1, 4), max_size=3))
    if n == 1 and np.prod(spatial, dtype=int) < 2:
        spatial = [*spatial[:2], draw(st.integers(2, 5))]
    return make_case(
        (n, c, *spatial),
        seed=draw(st.integers(0, 10_000)),
        dtype=dtype,
        loc=draw(st.sampled_from([0.0, 3.0, -50.0])) if distinct_scales else 0.0,
        scale=draw(st.sampled_from([1.0, 0.05, 20.0])) if distinct_scales else 1.0,
        eps=draw(st.sampled_from(list(eps))),
        layout=draw(st.sampled_from(list(layouts))),
    )


def per_channel(v, x):
    """``v`` (C,) shaped to broadcast over x (N, C, *spatial)."""
    return np.asarray(v).reshape((1, -1) + (1,) * (x.ndim - 2))


def reference_forward(x, gamma, beta, eps):
    """y, xhat, mean and biased variance, channel by channel."""
    y, xhat = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    mean, var = np.empty(x.shape[1]), np.empty(x.shape[1])
    for c in range(x.shape[1]):
        values = x[:, c].astype(np.longdouble)
        m = values.size
        mean[c] = mu = values.sum() / m
        var[c] = sigma2 = ((values - mu) ** 2).sum() / m
        normalised = (values - mu) / np.sqrt(sigma2 + np.longdouble(eps))
        xhat[:, c] = normalised
        y[:, c] = gamma[c] * normalised + beta[c]
    return y, xhat, mean, var


def reference_backward(dy, x, gamma, eps):
    """dx, dgamma, dbeta by the six equations of section 3 of Ioffe & Szegedy 2015."""
    dx = np.empty(x.shape)
    dgamma, dbeta = np.empty(x.shape[1]), np.empty(x.shape[1])
    for c in range(x.shape[1]):
        values, upstream = x[:, c].astype(np.longdouble), dy[:, c].astype(np.longdouble)
        m = values.size
        mu = values.mean()
        root = np.sqrt(((values - mu) ** 2).mean() + np.longdouble(eps))
        dxhat = upstream * gamma[c]
        dvar = (dxhat * (values - mu)).sum() * (-0.5) / root**3
        dmu = (-dxhat / root).sum() + dvar * (-2 * (values - mu)).mean()
        dx[:, c] = dxhat / root + dvar * 2 * (values - mu) / m + dmu / m
        dgamma[c] = (upstream * (values - mu) / root).sum()
        dbeta[c] = upstream.sum()
    return dx, dgamma, dbeta


def close(actual, expected, rel, scale=None):
    """Assert that the largest difference is at most ``rel`` of the largest expected value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    if scale is None:
        scale = np.abs(expected).max() if expected.size else 0.0
    worst = np.abs(actual.astype(np.longdouble) - expected).max() if expected.size else 0.0
    assert worst <= rel * scale, f"off by {worst:.3g}, allowed {rel * scale:.3g}"
