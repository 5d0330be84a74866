"""Notebook 05: the gradient of batch normalization in closed form."""

from __future__ import annotations

import numpy as np

from .engine import Exercise
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


# ---------------------------------------------------------------- what is true of every dx


def columns_are_independent(case):
    """dx in a column depends on that column of dy alone."""
    if case.given.dy.shape[1] < 2:
        return None
    other = case.given.dy.copy()
    other[0, 0] += 1.0 + abs(other[0, 0])
    return case.differ(
        case.call(dy=other).dx[:, 1:],
        case.got.dx[:, 1:],
        "Changing dy[0, 0], which is in column 0, changes another column of dx, from {want} to "
        "{got} in one entry, expected no change. Is there a sum or a mean without its axis?",
    )


def columns_sum_to_zero(case):
    """Adding a constant to a feature changes no y."""
    largest = float(np.abs(case.want.dx).max(initial=1.0))
    return case.differ(
        case.got.dx.sum(0),
        np.zeros(case.got.dx.shape[1]),
        "Column {i} of dx sums to {got}, expected 0: adding a constant to a feature changes no y. "
        "Which part of dy has to go so that the sum is 0?",
        10.0 * largest,
    )


def nothing_along_xhat(case):
    """Stretching a feature hardly changes y."""
    dy, xhat, scale = case.given.dy, case.given.xhat, case.given.gamma * case.given.inv_std
    return case.differ(
        (case.got.dx * xhat).sum(0),
        scale * (dy * xhat).sum(0) * (1 - (xhat**2).mean(0)),
        "The sum of dx * xhat over column {i} is {got}, expected {want}, which is 0 but for eps: "
        "stretching a feature hardly changes y. Is the part of dy along xhat taken out, once and "
        "not more?",
    )


def right_factor(case):
    """Each column is that of (dy minus two parts), times gamma * inv_std."""
    got, want = case.got.dx, case.want.dx
    largest, columns = np.abs(want).argmax(0), np.arange(want.shape[1])
    top = want[largest, columns]
    factors = np.where(top == 0, 1.0, got[largest, columns] / np.where(top == 0, 1.0, top))
    if len(want) < 3 or not np.allclose(got, factors * want, rtol=1e-8, atol=1e-8):
        return None
    return case.differ(
        factors,
        np.ones_like(factors),
        "Column {i} of dx is {got} times what is expected; gamma is {gamma} there and inv_std "
        "{inv_std}. With which factor does dy reach dx?",
        gamma=case.given.gamma,
        inv_std=case.given.inv_std,
    )


bn_backward_closed = Exercise(
    bn_backward_closed,
    reference=_staged,
    returns=["dx"],
    probes=lambda: dense_probes(_kept, called=("batch", "dy", "N = D")),
    properties=(columns_are_independent, right_factor, columns_sum_to_zero, nothing_along_xhat),
)
