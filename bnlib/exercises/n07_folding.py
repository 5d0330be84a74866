"""Notebook 04: folding the normalization into the layer before it."""

from __future__ import annotations

import numpy as np

from .engine import Case, Exercise
from .engine.probes import betas, dense_probes, gammas

# ---------------------------------------------------------------- solution, reference


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


def _fold_arguments(rng, W, eps) -> dict:
    d, size = W.shape[1], np.sqrt(np.mean(W**2))
    return {
        "W": W,
        "b": size * betas(rng, d),
        "gamma": gammas(rng, d),
        "beta": betas(rng, d),
        "mean": size * betas(rng, d),
        "var": size**2 * np.exp(rng.uniform(-2, 2, d)),
        "eps": eps,
    }


def folded_output_at_zero(case: Case) -> str | None:
    """For x = 0 both layers give b2."""
    return case.differ(
        case.got.b2,
        case.want.b2,
        "For x = 0 the layer gives b, and normalising b gives {want} for output {i}; yours gives "
        "b2[{i}] = {got}.",
    )


def folded_output_at_a_unit(case: Case) -> str | None:
    """From x = 0 to a unit vector, the normalised output changes by that row of W2."""
    return case.differ(
        case.got.W2[0],
        case.want.W2[0],
        "When x[0] grows by 1, output {i} of the normalised layer changes by {want}; in yours by "
        "W2[0, {i}] = {got}.",
    )


fold_bn = Exercise(
    fold_bn,
    reference=_fold,
    returns=["W2", "b2"],
    probes=lambda: dense_probes(_fold_arguments, called=("layer", "W", "n_in = D"), one="right"),
    properties=(folded_output_at_a_unit, folded_output_at_zero),
    hints=(
        "At test time the normalization is a fixed straight line for each output: y = s * z + t. "
        "Put z = x @ W + b into it and collect what multiplies x.",
        "1. s: what multiplies z in gamma * (z - mean) / sqrt(var + eps) + beta.  2. W2: each "
        "output has one column of W.  3. b2: the normalised output for x = 0.",
        "s = gamma / np.sqrt(var + eps) has the shape (D,). W * s multiplies column j of W by "
        "s[j]. For b2, put b through the test-time formula with the given mean and var.",
    ),
    why="The network predicts the same without its normalization, which then costs nothing at all.",
)
