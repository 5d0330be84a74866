"""Inputs on which a student's function is compared with the reference.

A wrong function can pass only if it equals the reference on every probe. So the probes vary all
that a wrong program may depend on: N and D (also N = D, where a wrong axis goes unnoticed, and
1 and 2), eps, means and scales (unequal between features), constant features, an outlier, memory
layout, float32, and means so large that a one-pass variance loses all its digits; gamma, beta and
dy from tiny to huge and at their starting values; and two batches that agree in all that a lazy
program may remember a batch by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Probe:
    """One input. name completes the sentence "wrong for ..."; args are in calling order.

    tol is the allowed error, relative to the largest expected entry (at least 1).
    tag marks numerically hard probes, which are left out when mistakes are matched ("large mean": a
    one-pass variance fails; "rather large mean": it does not, but other faults may).
    may_raise: a ValueError is a sensible answer here too (a batch of one).
    """

    name: str
    args: dict
    tol: float = 1e-10
    tag: str = ""
    may_raise: bool = False

    def fits_in_single(self, converted) -> bool:
        """False if an array named in converted loses what matters when it becomes a float32."""
        if self.single or not self.tag.endswith("large mean"):
            return True
        return all(np.abs(self.args[name]).max() < 1000 for name in converted)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arguments that are arrays."""
        return {name: v for name, v in self.args.items() if isinstance(v, np.ndarray)}

    @property
    def large(self) -> bool:
        """True where code that loops in Python, or simulates a layer, takes long."""
        return any(v.size > 200 for v in self.arrays.values()) or self.args.get("fan_in", 0) > 1000

    @property
    def single(self) -> bool:
        """True when the arrays are float32."""
        return any(getattr(v, "dtype", None) == np.float32 for v in self.args.values())


# What the probes are called, and the shapes of their x.
DENSE = {
    "main": "6x4",
    "square": "4x4",
    "small": "5x3",
    "two": "2x3",
    "three": "3x2",
    "one": "1x3",
    "single feature": "5x1",
    "large": "100x3",
    "random": "9x5 12x8 4x7 33x2 3x11 17x6 64x10 5x40 40x1 2x12 3x30 16x16 2x2",
    "more": "7x3 8x2 10x4 13x5 15x2 20x6 24x24 25x3 32x7 50x4 6x6 7x7 10x10 3x41 4x64 2x150 101x2 "
    "128x1 150x2 257x1 9x20 14x9 18x1 19x15 22x13 28x25 11x50 2x100 1x41",
    "huge": "400x1",
}
# Among them C = W, C = H, N = C and all equal, where a wrong axis goes unnoticed.
CONV = {
    "main": "3x4x2x5",
    "square": "4x4x4x4",
    "small": "2x3x2x4",
    "two": "2x3x1x1",
    "three": "3x2x1x2",
    "one": "1x3x1x1",
    "single feature": "3x1x2x2",
    "large": "5x3x8x4",
    "random": "2x3x4x3 2x3x3x5 3x3x2x4 3x3x3x3 2x5x1x4 7x2x3x1 1x3x4x2 1x2x3x3 4x6x2x3 2x4x5x6 "
    "3x8x2x2 12x2x6x1 9x3x1x5 6x1x5x4 1x3x9x8",
    "more": "7x3x2x3 16x3x3x2 5x5x5x5 8x8x3x3 1x2x12x12 2x41x2x1 10x4x5x7 3x6x6x6 2x50x1x1 "
    "101x2x1x1 1x7x7x7 6x3x10x2 24x24x1x1 2x3x20x5 4x4x2x2 5x2x1x30 20x1x4x2 13x2x2x2 1x64x2x2",
    "huge": "4x1x10x10",
}


def _one(a):
    return np.ones_like(a)


def _zero(a):
    return np.zeros_like(a)


def _relu(a):
    return np.maximum(a, 0)


def other_middle(x):
    """Two rows in the middle differ; the others, and the sums of the columns, stay as they are."""
    rows = np.moveaxis(x, 1, -1).copy()
    middle = rows.reshape(-1, x.shape[1])
    middle[len(middle) // 2 - 1] += 1.5
    middle[len(middle) // 2] -= 1.5
    return np.ascontiguousarray(np.moveaxis(rows, -1, 1))


# The same batch with other arguments: name, the arguments to replace (all must exist), and by what.
# Four numbers fit the four features of the designed batch. tol: where the outputs are small.
VARIANTS = (
    ("another eps", {"eps": 0.7}, {}),
    ("a beta of zero (beta[1] = 0)", {"beta": lambda beta: beta * [1, 0, 1, 1]}, {}),
    ("gamma = 1 and beta = 0, where training starts", {"gamma": _one, "beta": _zero}, {}),
    ("gamma = -1", {"gamma": lambda gamma: -_one(gamma)}, {}),
    ("small gamma", {"gamma": lambda gamma: gamma * [2e-6, 1e-4, 3e-3, 0.05]}, {"tol": 1e-12}),
    ("large gamma", {"gamma": lambda gamma: gamma * [4, 30, 2e3, 1e5]}, {}),
    ("small beta", {"beta": lambda beta: beta * [1e-6, 1e-4, 3e-3, 0.05]}, {}),
    ("large beta", {"beta": lambda beta: beta * [12, 60, 1e3, 1e5]}, {}),
    ("large gradients", {"dy": lambda dy: 1e6 * dy}, {}),
    ("small gradients", {"dy": lambda dy: 1e-6 * dy}, {"tol": 1e-15}),
    ("gradients that are zero in places, as behind a ReLU", {"dy": _relu}, {}),
    (
        "running_mean = 0 and running_var = 1, where training starts",
        {"running_mean": _zero, "running_var": _one},
        {},
    ),
    (
        "a running variance of zero",
        {"running_mean": lambda m: m, "running_var": lambda v: v * [1, 0, 1, 1], "eps": 0.01},
        {},
    ),
    (
        "a running mean far away",
        {"running_mean": lambda mean: mean + np.array([10, -100, 1e3, 1e4]), "eps": 1e-3},
        {},
    ),
    ("other numbers in the middle of x", {"x": other_middle}, {}),
)


def dense_probes(complete: Callable, one_may_raise: bool = True) -> list[Probe]:
    """Probes for exercises on a batch x (N, D).

    complete(rng, x, eps) -> dict of all arguments in calling order. The first is the designed
    probe, on which most messages show their numbers: N = 6, unequal means and scales, eps = 0.1.
    one_may_raise: whether a ValueError is a sensible answer to a batch of one.
    """
    return _probes(complete, DENSE, "N = D", one_may_raise)


def conv_probes(complete: Callable) -> list[Probe]:
    """The same for feature maps x (N, C, H, W)."""
    return _probes(complete, CONV, "N = C = H = W", one_may_raise=True)


def _probes(complete, named_shapes, equal, one_may_raise):
    shapes = {
        name: [tuple(map(int, shape.split("x"))) for shape in text.split()]
        for name, text in named_shapes.items()
    }
    main, small, large = (shapes[name][0] for name in ("main", "small", "large"))
    rng = np.random.default_rng(1502_03167)

    def probe(
        name, shape, eps, *, mean=0.0, scale=1.0, dtype=np.float64, change=None, rng=rng, **more
    ):
        x = batch(rng, shape, mean, scale)
        if change is not None:
            change(x)
        args = complete(rng, x.astype(dtype), eps)
        args = {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in args.items()}
        return Probe(f"{name} (x of shape {shape}, eps = {eps:g})", args, **more)

    def constant_feature(x):
        x[:, -1] = 3.0

    def outlier(x):
        x[0] += 500.0

    def relu(x):
        x[:] = _relu(x)

    found = [
        probe("the designed batch", main, 0.1),
        probe(f"a batch with {equal}", shapes["square"][0], 0.1),
        probe("eps = 1e-5", small, 1e-5),
        probe("features whose variance is near eps", small, 1e-3, scale=0.02),
        probe("a large eps", small, 5.0),
        probe("a batch of two", shapes["two"][0], 0.1),
        probe("a batch of two, small eps", shapes["two"][0], 1e-5),
        probe("a batch of three", shapes["three"][0], 0.02),
        probe("a single feature", shapes["single feature"][0], 0.1),
        probe("a feature that is constant", small, 1e-5, change=constant_feature),
        probe("features of tiny variance", small, 1e-5, scale=1e-4),
        probe("features of large variance", small, 1e-3, scale=300.0),
        probe("one outlier in a large batch", large, 1e-3, change=outlier),
        probe("only negative inputs", small, 1e-3, mean=-50.0),
        probe("a batch of one", shapes["one"][0], 0.1, may_raise=one_may_raise),
        probe("float32", main, 1e-3, dtype=np.float32, tol=1e-4),
        probe("float32, a large batch", large, 1e-5, dtype=np.float32, tol=5e-4),
        probe(
            "means near 10,000", main, 1e-3, mean=1e4, scale=0.3, tol=1e-5, tag="rather large mean"
        ),
        probe(
            "float32 with means near 10,000",
            main,
            1e-3,
            mean=1e4,
            dtype=np.float32,
            tol=0.1,
            tag="large mean",
        ),
        probe("means near 100,000,000", main, 1e-3, mean=1e8, tol=1e-5, tag="large mean"),
    ]
    for i, shape in enumerate(shapes["random"]):
        eps = (1e-5, 1e-3, 0.1, 0.5)[i % 4]
        scale = float(rng.uniform(0.3, 4.0))
        found.append(probe(f"random batch {i + 1}", shape, eps, scale=scale))
    args = found[0].args
    columns = {k: np.asfortranarray(v) if isinstance(v, np.ndarray) else v for k, v in args.items()}
    found.insert(2, Probe("the designed batch in column-major memory", columns))
    if "gamma" in args:
        zero = np.where(np.arange(len(args["gamma"])) == 1, 0.0, args["gamma"])
        found.append(Probe("a gamma of zero (gamma[1] = 0)", {**args, "gamma": zero}))
        ones = np.ones_like(zero)
        found.append(Probe("gamma = 1", {**args, "gamma": ones}))
    # From here on with numbers of their own, so that those above (and the texts of checks that are
    # stored in notebooks) stay what they are when something is added.
    rng = np.random.default_rng(3)
    found += [
        probe("eps = 1e-7, as small as the variances", small, 1e-7, scale=3e-4, rng=rng),
        probe("eps = 1e-8, as small as the variances", small, 1e-8, scale=1e-4, rng=rng),
        probe("eps = 1e-10, as small as the variances", small, 1e-10, scale=1e-5, rng=rng),
        probe("eps = 1e-8, variances near 1", small, 1e-8, rng=rng),
        probe("an eps of 40", small, 40.0, scale=5.0, rng=rng),
        probe("an eps of 1000", small, 1000.0, scale=30.0, rng=rng),
        probe("one outlier in a huge batch", shapes["huge"][0], 1e-3, change=outlier, rng=rng),
        probe("inputs with many zeros, as behind a ReLU", small, 1e-3, change=relu, rng=rng),
    ]
    for i, shape in enumerate(shapes["more"]):
        eps = (1e-5, 1e-3, 0.1, 0.5, 1e-7, 2.0)[i % 6]
        scale = float(rng.uniform(0.3, 4.0))
        single = np.prod(shape) == shape[1]
        name = f"random batch {len(shapes['random']) + i + 1}"
        may_raise = single and one_may_raise
        found.append(probe(name, shape, eps, scale=scale, rng=rng, may_raise=may_raise))
    for name, changes, more in VARIANTS:
        if changes.keys() <= args.keys():
            new = {k: c(args[k]) if callable(c) else c for k, c in changes.items()}
            found.append(Probe(f"the designed batch with {name}", args | new, **more))
    return found


def batch(rng, shape, mean=0.0, scale=1.0) -> np.ndarray:
    """Random x (N, D) or (N, C, H, W) whose features have unequal means and standard deviations."""
    features = (1, shape[1]) + (1,) * (len(shape) - 2)
    means = mean + scale * rng.uniform(-4, 4, features)
    scales = scale * np.exp(rng.uniform(-1.2, 1.2, features))
    return means + scales * rng.standard_normal(shape)


def gradients(rng, x) -> np.ndarray:
    """Upstream gradients dy: not constant, their mean unequal between features."""
    features = (1, x.shape[1]) + (1,) * (x.ndim - 2)
    return rng.uniform(0.5, 4.0) * (rng.standard_normal(x.shape) + rng.uniform(-1, 1, features))


def gammas(rng, count: int) -> np.ndarray:
    """Scales of unequal size and both signs, none near 0."""
    signs = np.where(np.arange(count) % 3 == 1, -1.0, 1.0)
    return signs * rng.permutation(np.linspace(0.5, 2.6, count))


def betas(rng, count: int) -> np.ndarray:
    """Shifts between -3 and 3, none zero."""
    return rng.choice([-1.0, 1.0], count) * rng.uniform(0.5, 3.0, count)
