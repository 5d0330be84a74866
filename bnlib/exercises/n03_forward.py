"""Notebook 03: standardise a batch, then scale and shift it (Ioffe & Szegedy 2015, Algorithm 1)."""

from __future__ import annotations

import numpy as np

from .engine import Exercise, properties
from .engine.compare import close
from .engine.probes import Probe, arguments, dense_probes, with_integers

# ---------------------------------------------------------------- solutions


def standardize(x, eps):
    """Standardise each feature over the batch.

    x: array (N, D), the batch is the first axis.  eps: a small number > 0.
    Returns xhat, array (N, D): each column minus its mean, over sqrt(its variance + eps).
    """
    mean = x.mean(axis=0)
    var = ((x - mean) ** 2).mean(axis=0)  # the mean of the squares: N, not N - 1
    return (x - mean) / np.sqrt(var + eps)


def bn_forward(x, gamma, beta, eps):
    """Batch normalization in training: y = gamma * xhat + beta.

    x: array (N, D).  gamma, beta: arrays (D,), one number a feature.  eps: a small number > 0.
    Returns y, array (N, D).
    """
    mean = x.mean(axis=0)
    var = ((x - mean) ** 2).mean(axis=0)
    xhat = (x - mean) / np.sqrt(var + eps)
    return gamma * xhat + beta


def stable_variance(x):
    """The variance of each feature over the batch, in few digits and far from zero as well.

    x: array (N, D), N >= 2, perhaps float32. The mean of a feature may be 10,000 times its
    standard deviation, and each feature has a mean of its own.
    Returns var, array (D,): the mean of the squared deviations (divided by N).
    """
    d = x - x[0]  # the first example is near the others, and a shift changes no variance
    mean = d.mean(axis=0)
    return (d * d).mean(axis=0) - mean * mean


# ---------------------------------------------------------------- references


def _standardize(x, eps):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


# ---------------------------------------------------------------- variances


def shift_changes_no_variance(case):
    """The variance of x + 1 is that of x."""
    return case.stays(
        "var",
        "With 1 added to every number of x, the variance of feature {i} changes from {want} to "
        "{got}. How far do the numbers lie from *each other*, before and after?",
        x=case.given.x + 1.0,
    )


def scale_is_squared(case):
    """The variance of 2 x is 4 times that of x."""
    return case.differ(
        case.call(x=2.0 * case.given.x).var,
        4.0 * case.got.var,
        "With every number of x doubled, the variance of feature {i} becomes {got}, expected four "
        "times the one before, {want}. What is squared in a variance?",
    )


def digits_for_each_mean(case):
    """Right also where the means of the features are far from each other."""
    means = case.given.x.mean(axis=0)
    if np.ptp(means) < 1e4 * case.given.x.std(axis=0).max():
        return None
    x = case.given.x - means
    if not close(case.call(x=x).var, case.reference(x=x).var, 1e-3):
        return None
    return case.differ(
        case.got.var,
        case.want.var,
        "The variance of feature {i}, whose mean is {mean}, is {got}, expected {want}. Without "
        "their means all features come out right: is what you subtract near the numbers of *each* "
        "feature, or only near those of one?",
        0.1,
        mean=means,
    )


def one_mean_for_all(case) -> bool:
    """Right far from zero, as long as the features are near each other?"""
    x = (case.given.x - case.given.x.mean(axis=0)) / case.given.x.std(axis=0)
    apart = 1e8 * np.arange(x.shape[1])
    together, wide = (np.abs(case.call(x=x + means).var - 1).max() for means in (1e8, apart))
    return together < 1e-3 and wide > 0.1


def _variance_probes():
    probes = dense_probes(arguments("x"), one="left out")
    means = np.array([0.0, 1e5, -1e5, 3e5])
    x = (means + probes[0].args["x"]).astype(np.float32)
    name = "float32 with means of 0, 100,000, -100,000 and 300,000"
    rng = np.random.default_rng(400)
    near = np.array([400.1, 399.2, 401.3, 400.6]) + 0.04 * rng.standard_normal((64, 4))
    return [
        *probes,
        Probe(name, {"x": x}, tol=0.05, tag="large mean, unequal means"),
        # No large mean, but 10,000 times the standard deviation. tol is that of a var of 1.
        Probe(
            "float32 with means near 400 and standard deviations of 0.04",
            {"x": near.astype(np.float32)},
            tol=2e-4,
            tag="large mean",
        ),
    ]


# ---------------------------------------------------------------- the exercises

standardize = Exercise(
    standardize,
    reference=_standardize,
    returns=["xhat"],
    probes=lambda: with_integers(dense_probes(arguments("x eps"))),
    properties=properties.FORWARD,
)

bn_forward = Exercise(
    bn_forward,
    reference=lambda x, gamma, beta, eps: _standardize(x, eps) * gamma + beta,
    returns=["y"],
    probes=lambda: with_integers(dense_probes(arguments("x gamma beta eps"))),
    properties=properties.FORWARD,
)

stable_variance = Exercise(
    stable_variance,
    reference=lambda x: x.var(axis=0),
    returns=["var"],
    probes=_variance_probes,
    properties=(digits_for_each_mean, shift_changes_no_variance, scale_is_squared),
    hard={"unequal means": one_mean_for_all},
)
