"""Notebook 03: standardise a batch, then scale and shift it (Ioffe & Szegedy 2015, Algorithm 1)."""

from __future__ import annotations

import numpy as np

from .engine import Exercise, properties
from .engine.probes import betas, dense_probes, gammas

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


# ---------------------------------------------------------------- references


def _standardize(x, eps):
    deviations = x - np.add.reduce(x, 0) / len(x)
    return deviations * (np.einsum("nd,nd->d", deviations, deviations) / len(x) + eps) ** -0.5


def _bn_forward(x, gamma, beta, eps):
    return np.einsum("nd,d->nd", _standardize(x, eps), gamma) + beta


# ---------------------------------------------------------------- the exercises

standardize = Exercise(
    standardize,
    reference=_standardize,
    returns=["xhat"],
    probes=lambda: dense_probes(lambda rng, x, eps: {"x": x, "eps": eps}),
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
    probes=lambda: dense_probes(
        lambda rng, x, eps: {
            "x": x,
            "gamma": gammas(rng, x.shape[1]),
            "beta": betas(rng, x.shape[1]),
            "eps": eps,
        }
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
    why="This is the whole of batch normalization in training: the batch sets the scale of nothing "
    "any more, gamma and beta set it, and they are learned.",
)
