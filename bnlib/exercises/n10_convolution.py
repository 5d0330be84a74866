"""Notebook 10: batch normalization of feature maps (Ioffe & Szegedy 2015, section 3.2)."""

from __future__ import annotations

import numpy as np

from . import n03_forward, n04_backward
from .engine import Exercise, properties
from .engine.probes import arguments, conv_probes, with_integers
from .engine.properties import in_layout_of, rows

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


# Every position of every image is an example, for which the dense layers' functions are right.


def _forward(x, gamma, beta, eps):
    return in_layout_of(x, n03_forward.bn_forward.answer(rows(x), gamma, beta, eps))


def _backward(dy, x, gamma, eps):
    dx, dgamma, dbeta = n04_backward.bn_backward.answer(rows(dy), rows(x), gamma, eps)
    return in_layout_of(x, dx), dgamma, dbeta


# ---------------------------------------------------------------- the exercises

bn_conv_forward = Exercise(
    bn_conv_forward,
    reference=_forward,
    returns=["y"],
    feature="channel",
    probes=lambda: with_integers(conv_probes(arguments("x gamma beta eps"))),
    properties=(properties.positions_share_statistics, *properties.FORWARD),
)

bn_conv_backward = Exercise(
    bn_conv_backward,
    reference=_backward,
    returns=["dx", "dgamma", "dbeta"],
    feature="channel",
    probes=lambda: conv_probes(arguments("dy x gamma eps")),
    properties=properties.BACKWARD,
)
