"""Notebook 07: folding the normalization into the dense layer before it, or behind it."""

from __future__ import annotations

import numpy as np

from .engine import Case, Exercise
from .engine.probes import betas, dense_probes, gammas

# ================================================================ fold_bn


def fold_bn(W, b, gamma, beta, mean, var, eps):
    """Fold batch normalization (at test time) into the dense layer before it.

    W: array (n_in, D) and b: array (D,) of the layer x @ W + b.  gamma, beta, mean, var: arrays
    (D,), of the normalization after it.  eps: a small number > 0.
    Returns W2, b2 with x @ W2 + b2 equal to the normalised x @ W + b, for every x.
    """
    scale = gamma / np.sqrt(var + eps)  # one number an output of the layer: a column of W
    return W * scale, (b - mean) * scale + beta


def _fold(W, b, gamma, beta, mean, var, eps):
    # The folded layer is linear: what it gives for 0 is its bias, and for the unit vectors, minus
    # that, its weights.
    inputs = np.vstack([np.zeros(len(W)), np.eye(len(W))])
    outputs = gamma * (inputs @ W + b - mean) * (var + eps) ** -0.5 + beta
    return outputs[1:] - outputs[0], outputs[0]


def _arguments(rng, W, eps, features, mean=1.0, var=1.0) -> dict:
    return {
        "W": W,
        "b": _size(W) * betas(rng, W.shape[1]),
        "gamma": gammas(rng, features),
        "beta": betas(rng, features),
        "mean": mean * betas(rng, features),
        "var": var * np.exp(rng.uniform(-2, 2, features)),
        "eps": eps,
    }


def _size(W):
    return np.sqrt(np.mean(W**2))


def _fold_arguments(rng, W, eps) -> dict:
    return _arguments(rng, W, eps, W.shape[1], _size(W), _size(W) ** 2)


fold_bn = Exercise(
    fold_bn,
    reference=_fold,
    returns=["W2", "b2"],
    probes=lambda: dense_probes(_fold_arguments, called=("layer", "W", "n_in = D"), one="right"),
)


# ================================================================ fold_bn_before


def fold_bn_before(W, b, gamma, beta, mean, var, eps):
    """Fold batch normalization (at test time) into the dense layer that comes after it.

    gamma, beta, mean, var: arrays (D,), of the normalization of x.  eps: a small number > 0.
    W: array (D, n_out) and b: array (n_out,) of the dense layer after it.
    Returns W2, b2 with x @ W2 + b2 equal to (normalised x) @ W + b, for every x.
    """
    slope = gamma / np.sqrt(var + eps)  # one number an input of the layer: a row of W
    offset = beta - mean * slope
    return slope[:, None] * W, offset @ W + b


def _fold_before(W, b, gamma, beta, mean, var, eps):
    inputs = np.vstack([np.zeros(len(W)), np.eye(len(W))])
    xhat = (inputs - mean) * (var + eps) ** -0.5
    at_zero = (gamma * xhat[0] + beta) @ W + b
    # Row i of W2 is how much the output grows with x[i], by the chain rule.
    return np.einsum("i,i,io->io", gamma, (var + eps) ** -0.5, W), at_zero


def _fold_before_arguments(rng, x, eps) -> dict:
    W = np.ascontiguousarray(x.T)  # the designed layer has four inputs and six outputs
    return _arguments(rng, W, eps, len(W), var=1.0 if eps > 1e-6 else 10 * eps)


def output_at_the_mean(case: Case) -> str | None:
    """For x = mean, the dense layer receives beta."""
    W, b = case.given.W, case.given.b
    return case.differ(
        case.given.mean @ case.got.W2 + case.got.b2,
        case.given.beta @ W + b,
        "For x = mean the layer W receives beta: its output {i} is {want}. Yours is {got} for this "
        "x.",
    )


def output_rises_with_an_input(case: Case) -> str | None:
    """When x[0] grows by its standard deviation, the layer receives gamma[0] more of it."""
    deviation = np.sqrt(case.given.var[0] + case.given.eps)
    return case.differ(
        case.got.W2[0] * deviation,
        case.given.gamma[0] * case.given.W[0],
        "When x[0] grows by sqrt(var[0] + eps), the layer W receives gamma[0] more in its input 0, "
        "and its output {i} grows by {want}. Yours grows by {got}.",
    )


fold_bn_before = Exercise(
    fold_bn_before,
    reference=_fold_before,
    returns=["W2", "b2"],
    probes=lambda: dense_probes(
        _fold_before_arguments, called=("layer", "W", "n_out = D"), one="right"
    ),
    properties=(output_rises_with_an_input, output_at_the_mean),
)
