"""Notebook 05: the gradient of batch normalization in closed form."""

from __future__ import annotations

import numpy as np

from .engine import Exercise, properties
from .engine.probes import dense_probes, gammas, gradients


def bn_backward_closed(dy, xhat, gamma, inv_std):
    """dx of batch normalization in training, from what the forward pass has kept.

    dy: array (N, D), the gradient of the loss with respect to y = gamma * xhat + beta.
    xhat: array (N, D), the normalised input.  gamma: array (D,).
    inv_std: array (D,), 1 / sqrt(var + eps) of the forward pass.
    Returns dx, array (N, D), the gradient of the loss with respect to the input.
    """
    along_one = dy.mean(axis=0)
    along_xhat = (dy * xhat).mean(axis=0)
    return gamma * inv_std * (dy - along_one - xhat * along_xhat)


def _staged(dy, xhat, gamma, inv_std):
    """Node by node, as in notebook 04; x - mean is xhat / inv_std."""
    n, deviations = len(dy), xhat / inv_std
    dxhat = np.einsum("nd,d->nd", dy, gamma)
    dvar = np.einsum("nd,nd->d", dxhat, deviations) * -0.5 * inv_std**3
    dmean = -np.einsum("nd,d->d", dxhat, inv_std)
    return dxhat * inv_std + 2 / n * deviations * dvar + dmean / n


def _kept(rng, x, eps):
    """The arguments, as a forward pass of x would have kept them."""
    inv_std = 1 / np.sqrt(np.float64(x).var(axis=0) + eps)
    xhat = (x - np.float64(x).mean(axis=0)) * inv_std
    return {
        "dy": gradients(rng, x),
        "xhat": xhat,
        "gamma": gammas(rng, x.shape[1]),
        "inv_std": inv_std,
    }


bn_backward_closed = Exercise(
    bn_backward_closed,
    reference=_staged,
    returns=["dx"],
    probes=lambda: dense_probes(_kept, called=("batch", "dy", "N = D")),
    properties=properties.OF_DX,
)
