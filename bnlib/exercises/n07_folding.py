"""Notebook 04: folding the normalization into the layer before it."""

import numpy as np

from .engine import Exercise, Mistake
from .engine.probes import Probe, betas, gammas

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


def _fold_with(W2=None, b2=None, scale=None):
    """Right, but for parts: W2 and b2 functions of a dictionary, scale of (gamma, var, eps)."""

    def wrong(W, b, gamma, beta, mean, var, eps):
        s = scale(gamma, var, eps) if scale else gamma / np.sqrt(var + eps)
        v = {
            "W": W,
            "b": b,
            "gamma": gamma,
            "beta": beta,
            "mean": mean,
            "var": var,
            "eps": eps,
            "s": s,
        }
        return W2(v) if W2 else W * s, b2(v) if b2 else (b - mean) * s + beta

    return wrong


FOLD_MISTAKES = (
    Mistake(
        "rows-scaled",
        "The rows of W are scaled. In y = x @ W + b, does a row or a column of W belong to one "
        "output?",
        _fold_with(W2=lambda v: v["W"] * v["s"][:, None]),
    ),
    Mistake(
        "weights-not-scaled",
        "W is returned as it was. By how much does the normalization stretch the layer's output?",
        _fold_with(W2=lambda v: v["W"]),
    ),
    Mistake(
        "bias-not-folded",
        "b is returned as it was. What is the normalised output for x = 0?",
        _fold_with(b2=lambda v: v["b"]),
    ),
    Mistake(
        "layer-bias-forgotten",
        "The layer's own bias b is missing in b2. The normalization sees x @ W + b: what becomes "
        "of b?",
        _fold_with(b2=lambda v: v["beta"] - v["mean"] * v["s"]),
    ),
    Mistake(
        "layer-bias-not-scaled",
        "b is added to b2 unscaled. The normalization scales the whole of x @ W + b: also b?",
        _fold_with(b2=lambda v: v["b"] - v["mean"] * v["s"] + v["beta"]),
    ),
    Mistake(
        "mean-forgotten",
        "The mean is missing in b2. What does the normalization subtract first?",
        _fold_with(b2=lambda v: v["b"] * v["s"] + v["beta"]),
    ),
    Mistake(
        "mean-not-scaled",
        "The mean is subtracted from b2 unscaled. Is it subtracted before or after the division by "
        "the standard deviation?",
        _fold_with(b2=lambda v: v["b"] * v["s"] - v["mean"] + v["beta"]),
    ),
    Mistake(
        "b-and-mean-not-scaled",
        "b - mean is not scaled in b2. The normalization scales the whole of x @ W + b - mean: "
        "what is that for x = 0?",
        _fold_with(b2=lambda v: v["b"] - v["mean"] + v["beta"]),
    ),
    Mistake(
        "mean-added",
        "The mean is added. What does the normalization do with it?",
        _fold_with(b2=lambda v: (v["b"] + v["mean"]) * v["s"] + v["beta"]),
    ),
    Mistake(
        "bias-sign",
        "b is subtracted from the mean: (mean - b) in place of (b - mean). What does the "
        "normalization subtract from what?",
        _fold_with(b2=lambda v: (v["mean"] - v["b"]) * v["s"] + v["beta"]),
    ),
    Mistake(
        "beta-forgotten",
        "beta is missing in b2. What is the last step of the normalization?",
        _fold_with(b2=lambda v: (v["b"] - v["mean"]) * v["s"]),
    ),
    Mistake(
        "beta-scaled",
        "beta is scaled as well. Is it added before or after the scaling?",
        _fold_with(b2=lambda v: (v["b"] - v["mean"] + v["beta"]) * v["s"]),
    ),
    Mistake(
        "beta-only",
        "b2 is beta alone. What about the mean, and the layer's own bias?",
        _fold_with(b2=lambda v: v["beta"]),
    ),
    Mistake(
        "gamma-missing",
        "gamma is not used. What multiplies xhat in the normalization?",
        _fold_with(scale=lambda gamma, var, eps: 1 / np.sqrt(var + eps)),
    ),
    Mistake(
        "gamma-only",
        "The scale is gamma alone: nothing is divided by the standard deviation. What turns x - "
        "mean into xhat?",
        _fold_with(scale=lambda gamma, var, eps: gamma),
    ),
    Mistake(
        "gamma-missing-in-weights",
        "W is divided by the standard deviation but not multiplied by gamma. Which factor stands "
        "before x in the normalised output?",
        _fold_with(W2=lambda v: v["W"] / np.sqrt(v["var"] + v["eps"])),
    ),
    Mistake(
        "gamma-missing-in-bias",
        "In b2, b - mean is divided by the standard deviation but not multiplied by gamma. What "
        "multiplies xhat?",
        _fold_with(b2=lambda v: (v["b"] - v["mean"]) / np.sqrt(v["var"] + v["eps"]) + v["beta"]),
    ),
    Mistake(
        "variance-not-root",
        "The scale is gamma over the variance. Which function is missing?",
        _fold_with(scale=lambda gamma, var, eps: gamma / (var + eps)),
    ),
    Mistake(
        "eps-missing",
        "eps is not used. The folded layer is to give the same numbers: which divisor did the "
        "normalization have?",
        _fold_with(scale=lambda gamma, var, eps: gamma / np.sqrt(var)),
    ),
    Mistake(
        "eps-outside-root",
        "eps is added after the square root. Which divisor did the normalization have?",
        _fold_with(scale=lambda gamma, var, eps: gamma / (np.sqrt(var) + eps)),
    ),
    Mistake(
        "eps-as-floor",
        "The variance is replaced by eps only where it is smaller. In the normalization eps is "
        "added always: what is the divisor for a variance of 0.5 and an eps of 0.1?",
        _fold_with(scale=lambda gamma, var, eps: gamma / np.sqrt(np.maximum(var, eps))),
    ),
    Mistake(
        "eps-hard-coded",
        "Your code uses eps = 1e-5 whatever eps it is given. Where does the parameter eps go?",
        _fold_with(scale=lambda gamma, var, eps: gamma / np.sqrt(var + 1e-5)),
    ),
    Mistake(
        "multiplied",
        "The weights are multiplied by the standard deviation. What does the normalization do?",
        _fold_with(scale=lambda gamma, var, eps: gamma * np.sqrt(var + eps)),
    ),
    Mistake(
        "gamma-absolute",
        "The sign of gamma is lost. gamma is learned: what if it has become negative?",
        _fold_with(scale=lambda gamma, var, eps: np.abs(gamma) / np.sqrt(var + eps)),
    ),
    Mistake(
        "weights-transposed",
        "W2 is transposed. PyTorch stores weights as (out, in); which shape has W here?",
        _fold_with(W2=lambda v: (v["W"] * v["s"]).T),
    ),
)


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
    mistakes=FOLD_MISTAKES,
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
)
