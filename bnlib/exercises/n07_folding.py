"""Notebook 04: folding the normalization into the layer before it."""

from __future__ import annotations

import numpy as np

from .engine import Exercise, Probe
from .engine.probes import betas, gammas

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


def _fold_probes() -> list[Probe]:
    rng = np.random.default_rng(4)

    def probe(name, shape, eps, *, scale=1.0, dtype=np.float64, tol=1e-10, gamma=None):
        d = shape[1]
        arrays = {
            "W": scale * rng.standard_normal(shape),
            "b": scale * betas(rng, d),
            "gamma": gammas(rng, d),
            "beta": betas(rng, d),
            "mean": scale * betas(rng, d),
            "var": scale**2 * np.exp(rng.uniform(-2, 2, d)),
        }
        if gamma is not None:
            arrays["gamma"] = np.full(d, gamma)
        args = {k: v.astype(dtype) for k, v in arrays.items()} | {"eps": eps}
        return Probe(f"{name} (W of shape {shape}, eps = {eps:g})", args, tol)

    found = [
        probe("the designed layer", (5, 3), 0.1),
        probe("a layer with as many inputs as outputs", (4, 4), 0.1),
        probe("eps = 1e-5", (3, 6), 1e-5),
        probe("variances near eps", (4, 3), 1e-3, scale=0.03),
        probe("a large eps", (4, 3), 5.0),
        probe("a single output", (4, 1), 0.1),
        probe("a single input", (1, 4), 0.1),
        probe("one input, one output", (1, 1), 0.1),
        probe("a wide layer", (30, 20), 1e-3),
        probe("large variances", (4, 3), 1e-3, scale=100.0),
        probe("gamma = 1", (3, 2), 1e-3, gamma=1.0),
        probe("gamma = 0", (3, 2), 1e-3, gamma=0.0),
        probe("float32", (5, 3), 1e-3, dtype=np.float32, tol=1e-4),
        *(
            probe(f"random layer {i + 1}", shape, eps)
            for i, (shape, eps) in enumerate(
                [((2, 7), 1e-5), ((6, 2), 0.5), ((3, 3), 1e-3), ((8, 5), 0.02), ((2, 2), 1e-4)]
            )
        ),
        probe("eps = 1e-8, as small as the variances", (4, 3), 1e-8, scale=1e-4),
        probe("eps = 1e-7, as small as the variances", (4, 3), 1e-7, scale=3e-4),
        probe("eps = 1e-8, variances near 1", (4, 3), 1e-8),
        probe("an eps of 1000", (4, 3), 1000.0, scale=30.0),
    ]
    for i, shape in enumerate(MORE_SHAPES.split()):
        n_in, d = map(int, shape.split("x"))
        eps = (1e-5, 1e-3, 0.1, 0.5, 1e-7, 2.0)[i % 6]
        found.append(probe(f"random layer {i + 6}", (n_in, d), eps))
    args = found[0].args
    for name, changes in VARIANTS:
        new = {k: c(args[k]) if callable(c) else c for k, c in changes.items()}
        found.append(Probe(f"the designed layer with {name}", args | new))
    return found


MORE_SHAPES = (
    "7x3 3x7 10x10 24x24 6x6 7x7 5x5 13x4 20x3 50x6 101x2 128x3 300x2 3x41 4x64 2x150 1x300 16x1 "
    "9x25 32x11"
)
# The same layer with other arguments: what to replace, and by what.
VARIANTS = (
    ("another eps", {"eps": 0.7}),
    (
        "gamma = 1, beta = 0, mean = 0 and var = 1, where training starts",
        {"gamma": np.ones_like, "beta": np.zeros_like, "mean": np.zeros_like, "var": np.ones_like},
    ),
    ("b = 0", {"b": np.zeros_like}),
    ("W = 0", {"W": np.zeros_like}),
    ("gamma = -1", {"gamma": lambda gamma: -np.ones_like(gamma)}),
    ("small gamma", {"gamma": lambda gamma: gamma * np.array([1e-5, 1e-3, 0.03])}),
    ("large gamma", {"gamma": lambda gamma: gamma * np.array([5, 60, 1e4])}),
    ("small beta", {"beta": lambda beta: beta * np.array([1e-5, 1e-3, 0.03])}),
    ("large beta", {"beta": lambda beta: beta * np.array([12, 60, 1e5])}),
    (
        "large b and mean",
        {
            "b": lambda b: b * np.array([12, 300, 1e4]),
            "mean": lambda m: m * np.array([-20, 1e3, 1e4]),
        },
    ),
    ("large weights", {"W": lambda W: W * np.array([20, 1e3, 1e4])}),
    ("a variance of zero", {"var": lambda v: v * np.array([1, 0, 1])}),
    ("another row of weights", {"W": lambda W: W + 1.5 * (np.arange(len(W)) == 2)[:, None]}),
)


def folded_output_at_zero(case):
    """For x = 0 both layers give b2."""
    return case.differ(
        case.got.b2,
        case.want.b2,
        "For x = 0 the layer gives b, and normalising b gives {want} for output {i}; yours gives "
        "b2[{i}] = {got}.",
    )


def folded_output_at_a_unit(case):
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
    probes=_fold_probes,
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
