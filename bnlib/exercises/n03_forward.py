"""Notebook 03: standardise a batch, then scale and shift it (Ioffe & Szegedy 2015, Algorithm 1)."""

from __future__ import annotations

import numpy as np

from .engine import Exercise, properties
from .engine.compare import close
from .engine.probes import Probe, betas, dense_probes, gammas, with_integers

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
    deviations = x - np.add.reduce(x, 0) / len(x)
    return deviations * (np.einsum("nd,nd->d", deviations, deviations) / len(x) + eps) ** -0.5


def _bn_forward(x, gamma, beta, eps):
    return np.einsum("nd,d->nd", _standardize(x, eps), gamma) + beta


def _stable_variance(x):
    deviations = x - np.add.reduce(x, 0) / len(x)
    return np.einsum("nd,nd->d", deviations, deviations) / len(x)


# ---------------------------------------------------------------- variances


def shift_changes_no_variance(case):
    """The variance of x + 1 is that of x."""
    return case.differ(
        case.call(x=case.given.x + 1.0).var,
        case.got.var,
        "With 1 added to every number of x, the variance of feature {i} changes from {want} to "
        "{got}. How far do the numbers lie from *each other*, before and after?",
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
    probes = dense_probes(
        lambda rng, x, eps: {"x": x}, called=("batch", "x", "N = D"), one="left out"
    )
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
    probes=lambda: with_integers(dense_probes(lambda rng, x, eps: {"x": x, "eps": eps})),
    properties=properties.FORWARD,
    hard={"large mean": properties.variance_loses_digits},
    hints=(
        "Think of one column of x: N values of one feature. Move its centre to 0, then make its "
        "spread 1. All D columns can be done at once.",
        "1. The mean of each column: D numbers.  2. The deviations from it: (N, D).  3. The mean "
        "of their squares, again D numbers.  4. Deviations over the square root of (that + eps).",
        "mean = x.mean(axis=0) has the shape (D,) and is subtracted from each row of x by "
        "broadcasting. The same axis serves for the variance. eps goes inside np.sqrt.",
    ),
    why="Whatever the layer before does to the scale of a feature, the next layer now sees mean 0 "
    "and variance 1.",
)

bn_forward = Exercise(
    bn_forward,
    reference=_bn_forward,
    returns=["y"],
    probes=lambda: with_integers(
        dense_probes(
            lambda rng, x, eps: {
                "x": x,
                "gamma": gammas(rng, x.shape[1]),
                "beta": betas(rng, x.shape[1]),
                "eps": eps,
            }
        )
    ),
    properties=properties.FORWARD,
    hard={"large mean": properties.variance_loses_digits},
    hints=(
        "You have xhat from the exercise before. Each feature then gets a scale and a shift of its "
        "own, which the network learns.",
        "1. xhat as in standardize.  2. Multiply column i by gamma[i].  3. Add beta[i] to it.",
        "gamma and beta have the shape (D,), so gamma * xhat multiplies each row of xhat by all of "
        "gamma: column i by gamma[i]. No loop is needed.",
    ),
    why="Mean and scale of y no longer come from the batch; beta and gamma set them.",
)

stable_variance = Exercise(
    stable_variance,
    reference=_stable_variance,
    returns=["var"],
    probes=_variance_probes,
    properties=(digits_for_each_mean, shift_changes_no_variance, scale_is_squared),
    hard={
        "large mean": properties.variance_loses_digits,
        "unequal means": one_mean_for_all,
    },
    hints=(
        "The difference of two numbers near 10^8 has no digits left in float32. Which numbers near "
        "0 have the same variance as the given ones?",
        "1. Shift each feature by one number that lies near all of its values; you need not know "
        "its mean for that.  2. The formula as it stands, of the shifted numbers.",
        "Any example of the batch will do: x[0] has the shape (D,) and lies near the other rows. "
        "Use the shifted numbers in both terms; nothing has to be added back.",
    ),
    why="A BN that reads its input once keeps its digits this way, wherever its features lie.",
)
