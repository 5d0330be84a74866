"""Notebook 04: the gradient of batch normalization (Ioffe & Szegedy 2015, section 3)."""

from __future__ import annotations

import numpy as np

from .engine import Exercise, properties
from .engine.probes import dense_probes, gammas, gradients


def bn_backward(dy, x, gamma, eps):
    """The gradients of batch normalization in training, y = gamma * xhat + beta.

    dy: array (N, D), the gradient of the loss with respect to y.  x: array (N, D), the input.
    gamma: array (D,).  eps: a small number > 0.
    Returns dx, array (N, D), and dgamma, dbeta, arrays (D,): the gradients of the loss.
    """
    n = len(x)
    mean = x.mean(axis=0)
    var = ((x - mean) ** 2).mean(axis=0)
    std = np.sqrt(var + eps)
    xhat = (x - mean) / std
    dbeta = dy.sum(axis=0)
    dgamma = (dy * xhat).sum(axis=0)
    dxhat = dy * gamma
    dvar = -0.5 * (dxhat * (x - mean)).sum(axis=0) * (var + eps) ** -1.5
    dmean = -(dxhat / std).sum(axis=0)  # var does not depend on mean: the deviations add up to 0
    dx = dxhat / std + dvar * 2 * (x - mean) / n + dmean / n  # directly, through var, through mean
    return dx, dgamma, dbeta


def _closed(dy, x, gamma, eps):
    deviations = x - np.add.reduce(x, 0) / len(x)
    inv_std = (np.einsum("nd,nd->d", deviations, deviations) / len(x) + eps) ** -0.5
    xhat = deviations * inv_std
    dgamma, dbeta = np.einsum("nd,nd->d", dy, xhat), np.einsum("nd->d", dy)
    # Without what dy has in common with the constant 1 and with xhat:
    return gamma * inv_std * (dy - dbeta / len(x) - xhat * dgamma / len(x)), dgamma, dbeta


bn_backward = Exercise(
    bn_backward,
    reference=_closed,
    returns=["dx", "dgamma", "dbeta"],
    probes=lambda: dense_probes(
        lambda rng, x, eps: {
            "dy": gradients(rng, x),
            "x": x,
            "gamma": gammas(rng, x.shape[1]),
            "eps": eps,
        }
    ),
    properties=properties.BACKWARD,
    hard={"large mean": properties.variance_loses_digits},
    hints=(
        "Start with dbeta and dgamma: they need one line each. For dx, x reaches y on three paths: "
        "directly, through the mean and through the variance. Compute xhat and the standard "
        "deviation again, as in the forward pass.",
        "1. dbeta: each row of y contains beta once.  2. dgamma: each row contains gamma times "
        "xhat.  3. dxhat = gamma * dy.  4. The gradient of the variance collects dxhat * (x - "
        "mean) with the derivative of (var + eps) ** -0.5.  5. The gradient of the mean collects "
        "-dxhat / std.  6. dx adds the three paths; the last two are shared by N examples.",
        "The last line of that plan is dx = dxhat / std + dvar * 2 * (x - mean) / len(x) + dmean "
        "/ len(x): the direct path, that through the variance and that through the mean.",
    ),
    why="With this and bn_forward a network with batch normalization can be trained: no library "
    "does anything else in its backward pass.",
)
