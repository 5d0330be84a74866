"""Notebook 10: batch normalization of feature maps (Ioffe & Szegedy 2015, section 3.2)."""

from __future__ import annotations

import numpy as np

from .engine import Exercise, properties
from .engine.probes import betas, conv_probes, gammas, gradients, with_integers

# ---------------------------------------------------------------- solutions


def bn_conv_forward(x, gamma, beta, eps):
    """Batch normalization of feature maps in training.

    x: array (N, C, H, W), images, channels, height, width.  gamma, beta: arrays (C,), one number a
    channel.  eps: a small number > 0.
    Returns y, array (N, C, H, W): each channel normalised over all images and positions.
    """
    mean = x.mean(axis=(0, 2, 3), keepdims=True)  # shape (1, C, 1, 1)
    var = ((x - mean) ** 2).mean(axis=(0, 2, 3), keepdims=True)
    xhat = (x - mean) / np.sqrt(var + eps)
    gamma, beta = gamma.reshape(1, -1, 1, 1), beta.reshape(1, -1, 1, 1)  # to lie along axis 1
    return gamma * xhat + beta


def bn_conv_backward(dy, x, gamma, eps):
    """The gradients of bn_conv_forward.

    dy: array (N, C, H, W), the gradient of the loss with respect to y.  x: array (N, C, H, W).
    gamma: array (C,).  eps: a small number > 0.
    Returns dx, array (N, C, H, W), and dgamma, dbeta, arrays (C,).
    """
    axes, n = (0, 2, 3), x.size / x.shape[1]  # N * H * W numbers share one mean
    mean = x.mean(axis=axes, keepdims=True)
    var = ((x - mean) ** 2).mean(axis=axes, keepdims=True)
    std = np.sqrt(var + eps)
    xhat = (x - mean) / std
    dbeta = dy.sum(axis=axes)
    dgamma = (dy * xhat).sum(axis=axes)
    gamma = gamma.reshape(1, -1, 1, 1)
    dxhat = dy * gamma
    dvar = -0.5 * (dxhat * (x - mean)).sum(axis=axes, keepdims=True) * (var + eps) ** -1.5
    dmean = -(dxhat / std).sum(axis=axes, keepdims=True)
    dx = dxhat / std + dvar * 2 * (x - mean) / n + dmean / n
    return dx, dgamma, dbeta


# ---------------------------------------------------------------- references


def _normalise(x, eps):
    std = np.sqrt(x.var((0, 2, 3)) + eps)[:, None, None]
    return (x - x.mean((0, 2, 3))[:, None, None]) / std, std


def _forward(x, gamma, beta, eps):
    return gamma[:, None, None] * _normalise(x, eps)[0] + beta[:, None, None]


def _backward(dy, x, gamma, eps):
    xhat, std = _normalise(x, eps)
    keep = {"axis": (0, 2, 3), "keepdims": True}
    dx = dy - dy.mean(**keep) - xhat * (dy * xhat).mean(**keep)
    return gamma[:, None, None] / std * dx, (dy * xhat).sum((0, 2, 3)), dy.sum((0, 2, 3))


# ---------------------------------------------------------------- the exercises

bn_conv_forward = Exercise(
    bn_conv_forward,
    reference=_forward,
    returns=["y"],
    feature="channel",
    probes=lambda: with_integers(
        conv_probes(
            lambda rng, x, eps: {
                "x": x,
                "gamma": gammas(rng, x.shape[1]),
                "beta": betas(rng, x.shape[1]),
                "eps": eps,
            }
        )
    ),
    properties=(properties.positions_share_statistics, *properties.FORWARD),
    hard={"large mean": properties.variance_loses_digits},
    hints=(
        "The same weights produced a channel at every position of every image. So all N * H * W "
        "numbers of a channel are one batch of one feature.",
        "1. Mean and variance over three of the four axes: C of each.  2. Normalise.  3. gamma and "
        "beta, one of each a channel, must lie along axis 1.",
        "x.mean(axis=(0, 2, 3), keepdims=True) has the shape (1, C, 1, 1), which fits x by "
        "broadcasting. gamma has to be reshaped to the same shape.",
    ),
    why="Every position of a channel now has the same scale, so the weights of the next "
    "convolution mean the same everywhere in the image.",
)

bn_conv_backward = Exercise(
    bn_conv_backward,
    reference=_backward,
    returns=["dx", "dgamma", "dbeta"],
    feature="channel",
    probes=lambda: conv_probes(
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
        "Take your bn_backward. Which axis was the batch there, and which axes are it now?",
        "1. dbeta and dgamma: sums over images and positions.  2. dx: the same three paths, with "
        "means over images and positions.  3. gamma must lie along axis 1.",
        "Write axes = (0, 2, 3) once and use it in every mean and sum, with keepdims=True for "
        "those that are combined with dy or x again, and without for dgamma and dbeta.",
    ),
    why="With it a convolutional network trains: a channel is a feature, and every position of "
    "every image is one more example of it.",
)
