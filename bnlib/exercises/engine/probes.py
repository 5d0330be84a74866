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
    one-pass variance fails; "rather large mean": it does not, but other faults may). There may be
    several, with commas between them.
    may_raise: a ValueError is a sensible answer here too (a batch of one).
    """

    name: str
    args: dict
    tol: float = 1e-10
    tag: str = ""
    may_raise: bool = False

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arguments that are arrays."""
        return {name: v for name, v in self.args.items() if isinstance(v, np.ndarray)}

    @property
    def tags(self) -> list[str]:
        """The parts of tag."""
        return self.tag.split(", ")

    @property
    def integers(self) -> bool:
        """True when an array holds integers."""
        return any(v.dtype.kind == "i" for v in self.arrays.values())

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
    "random": "9x5 12x8 4x7 33x2 3x11 17x6 64x10 5x40 40x1 2x12 3x30 16x16 2x2 "
    "7x3 8x2 10x4 13x5 15x2 20x6 24x24 25x3 32x7 50x4 6x6 7x7 10x10 3x41 4x64 2x150 101x2 "
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
    "3x8x2x2 12x2x6x1 9x3x1x5 6x1x5x4 1x3x9x8 "
    "7x3x2x3 16x3x3x2 5x5x5x5 8x8x3x3 1x2x12x12 2x41x2x1 10x4x5x7 3x6x6x6 2x50x1x1 "
    "101x2x1x1 1x7x7x7 6x3x10x2 24x24x1x1 2x3x20x5 4x4x2x2 5x2x1x30 20x1x4x2 13x2x2x2 1x64x2x2",
    "huge": "4x1x10x10",
}


def _relu(a):
    return np.maximum(a, 0)


def other_middle(x: np.ndarray) -> np.ndarray:
    """Two rows in the middle differ; the others, and the sums of the columns, stay as they are."""
    rows = np.moveaxis(x, 1, -1).copy()
    middle = rows.reshape(-1, x.shape[1])
    middle[len(middle) // 2 - 1] += 1.5
    middle[len(middle) // 2] -= 1.5
    return np.ascontiguousarray(np.moveaxis(rows, -1, 1))


def _constant_feature(x):
    x[:, -1] = 3.0
    return x


def _outlier(x):
    x[0] += 500.0
    return x


F32 = {"dtype": np.float32, "tol": 1e-4}
FAR, FAR32 = ({"tag": "large mean", "tol": tol} for tol in (1e-5, 0.1))
LESS_FAR = {"tag": "rather large mean", "tol": 1e-5}
# Name, which of the shapes, eps, and what else: mean and scale of x, a change of x, dtype, Probe's
# tol and tag. Those named after eps are left out where there is no eps.
TABLE = (
    ("the designed {batch}", "main", 0.1, {}),
    ("a {batch} with {equal}", "square", 0.1, {}),
    ("eps = 1e-5", "small", 1e-5, {}),
    ("features whose variance is near eps", "small", 1e-3, {"scale": 0.02}),
    ("a large eps", "small", 5.0, {}),
    ("a {batch} of two", "two", 0.1, {}),
    ("a {batch} of two, small eps", "two", 1e-5, {}),
    ("a {batch} of three", "three", 0.02, {}),
    ("a single feature", "single feature", 0.1, {}),
    ("a feature that is constant", "small", 1e-5, {"change": _constant_feature}),
    ("features of tiny variance", "small", 1e-5, {"scale": 1e-4}),
    ("features of hardly any variance", "small", 1e-14, {"scale": 1e-7}),
    ("features of large variance", "small", 1e-3, {"scale": 300.0}),
    ("one outlier in a large {batch}", "large", 1e-3, {"change": _outlier}),
    ("only negative inputs", "small", 1e-3, {"mean": -50.0}),
    ("a {batch} of one", "one", 0.1, {}),
    ("float32", "main", 1e-3, F32),
    ("float32, a large {batch}", "large", 1e-5, F32 | {"tol": 5e-4}),
    ("float32, features of tiny variance", "main", 1e-10, {"scale": 1e-5, **F32}),
    ("means near 10,000", "main", 1e-3, {"mean": 1e4, "scale": 0.3, **LESS_FAR}),
    ("float32 with means near 10,000", "main", 1e-3, {"mean": 1e4, **F32, **FAR32}),
    ("means near 100,000,000", "main", 1e-3, {"mean": 1e8, **FAR}),
    ("eps = 1e-7, as small as the variances", "small", 1e-7, {"scale": 3e-4}),
    ("eps = 1e-8, as small as the variances", "small", 1e-8, {"scale": 1e-4}),
    ("eps = 1e-10, as small as the variances", "small", 1e-10, {"scale": 1e-5}),
    ("eps = 1e-8, variances near 1", "small", 1e-8, {}),
    ("an eps of 40", "small", 40.0, {"scale": 5.0}),
    ("an eps of 1000", "small", 1000.0, {"scale": 30.0}),
    ("one outlier in a huge {batch}", "huge", 1e-3, {"change": _outlier}),
    ("inputs with many zeros, as behind a ReLU", "small", 1e-3, {"change": _relu}),
)

# The same batch with other arguments, all of which must exist: what is there in place of the old
# number or numbers, a list of factors, one for each of the designed batch's four features, or a
# function. tol: where the outputs are small.
VARIANTS = {
    "another eps": {"eps": 0.7},
    "a gamma of zero (gamma[1] = 0)": {"gamma": [1, 0, 1, 1]},
    "a beta of zero (beta[1] = 0)": {"beta": [1, 0, 1, 1]},
    "gamma = 1": {"gamma": 1},
    "gamma = 1 and beta = 0, where training starts": {"gamma": 1, "beta": 0},
    "gamma = -1": {"gamma": -1},
    "small gamma": {"gamma": [2e-6, 1e-4, 3e-3, 0.05], "tol": 1e-12},
    "large gamma": {"gamma": [4, 30, 2e3, 1e5]},
    "small beta": {"beta": [1e-6, 1e-4, 3e-3, 0.05]},
    "large beta": {"beta": [12, 60, 1e3, 1e5]},
    "large gradients": {"dy": [1e6]},
    "small gradients": {"dy": [1e-6], "tol": 1e-15},
    "gradients that are zero in places, as behind a ReLU": {"dy": _relu},
    "running_mean = 0 and running_var = 1, where training starts": {
        "running_mean": 0,
        "running_var": 1,
    },
    "a running variance of zero": {"running_var": [1, 0, 1, 1]},
    "a running mean far away": {"running_mean": lambda m: np.add(m, [10, -100, 1e3, 1e5])},
    "a momentum of 0": {"momentum": 0.0},
    "a momentum of 1e-6": {"momentum": 1e-6},
    "a momentum of 1": {"momentum": 1.0},
    "large running statistics": {
        "running_mean": [10, 300, 1e4, 1e5],
        "running_var": [10, 1e3, 1e4, 1e6],
    },
    "a tiny x and tiny running statistics": {
        **{"running_mean": [1e-7], "running_var": [1e-14], "x": [1e-7], "momentum": 0.3},
        "tol": 1e-21,
    },
    "mean = 0 and var = 1, where training starts": {"gamma": 1, "beta": 0, "mean": 0, "var": 1},
    "a variance of zero": {"var": [1, 0, 1, 1]},
    "b = 0": {"b": 0},
    "large b and mean": {"b": [12], "mean": [-20, 1e3, 1e4, 1]},
    "W = 0": {"W": 0},
    "large weights": {"W": lambda W: W * np.resize([20, 1e3, 1e4, 1], W.shape[1])},
    "other numbers in the middle of W": {"W": other_middle},
    "other numbers in the middle of x": {"x": other_middle},
}


def _changed(old, change):
    """What VARIANTS says of an argument."""
    if callable(change):
        return change(old)
    if isinstance(change, list):
        return old * np.array(change)
    return np.full_like(old, change) if isinstance(old, np.ndarray) else change


def arguments(names: str) -> Callable:
    """A `complete` for dense_probes and conv_probes that makes these arguments, in this order."""
    made = {
        "x": lambda rng, x, eps: x,
        "dy": lambda rng, x, eps: gradients(rng, x),
        "gamma": lambda rng, x, eps: gammas(rng, x.shape[1]),
        "beta": lambda rng, x, eps: betas(rng, x.shape[1]),
        "eps": lambda rng, x, eps: eps,
    }
    return lambda rng, x, eps: {name: made[name](rng, x, eps) for name in names.split()}


def dense_probes(
    complete: Callable,
    *,
    called: tuple[str, str, str] = ("batch", "x", "N = D"),
    one: str = "may raise",
) -> list[Probe]:
    """Probes for exercises on a batch x (N, D).

    complete(rng, x, eps) -> dict of all arguments in calling order. The first is the designed
    probe, on which most messages show their numbers: N = 6, unequal means and scales, eps = 0.1.
    called: what the first array is, its name, and when it is square.  one: whether a batch of one
    "may raise" a ValueError, is "right" as any other, or is "left out".
    """
    return _probes(complete, DENSE, called, one)


def conv_probes(complete: Callable) -> list[Probe]:
    """The same for feature maps x (N, C, H, W)."""
    return _probes(complete, CONV, ("batch", "x", "N = C = H = W"), "may raise")


def _probes(complete, shapes, called, one):
    shapes = {
        name: [tuple(map(int, shape.split("x"))) for shape in text.split()]
        for name, text in shapes.items()
    }
    rng = np.random.default_rng(1502_03167)
    found = []

    def add(name, shape, eps, *, mean=0.0, scale=1.0, dtype=np.float64, change=None, **more):
        x = batch(rng, shape, mean, scale)
        if change is not None:
            x = change(x)
        args = complete(rng, x.astype(dtype), eps)
        args = {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in args.items()}
        single = x.size == x.shape[1]  # of each feature
        if ("eps" in name and "eps" not in args) or (single and one == "left out"):
            return
        last, value = list(args.items())[-1]
        number = "" if isinstance(value, np.ndarray) else f", {last} = {value:g}"
        name = name.format(batch=called[0], equal=called[2])
        name += f" ({called[1]} of shape {args[called[1]].shape}{number})"
        found.append(Probe(name, args, may_raise=single and one == "may raise", **more))

    for name, shape, eps, more in TABLE:
        add(name, shapes[shape][0], eps, **more)
    for i, shape in enumerate(shapes["random"]):
        eps = (1e-5, 1e-3, 0.1, 0.5, 1e-7, 2.0)[i % 6]
        add(f"random {called[0]} {i + 1}", shape, eps, scale=float(rng.uniform(0.3, 4.0)))
    args, designed = found[0].args, f"the designed {called[0]}"
    columns = {k: np.asfortranarray(v) if isinstance(v, np.ndarray) else v for k, v in args.items()}
    found.insert(2, Probe(f"{designed} in column-major memory", columns))
    for name, changes in VARIANTS.items():
        tol, names = changes.get("tol", 1e-10), changes.keys() - {"tol"}
        if names <= args.keys():
            new = {k: _changed(args[k], changes[k]) for k in names}
            found.append(Probe(f"{designed} with {name}", args | new, tol))
    return found


def with_integers(probes: list[Probe]) -> list[Probe]:
    """And the designed x in whole numbers, as an array of integers: an array like x is one too.

    NumPy refuses to write other numbers into it by `x -= mean`, which is a sensible answer.
    """
    args = probes[0].args
    whole = np.round(3 * args["x"]).astype(np.int64)
    name = f"x of whole numbers, an array of integers (x of shape {whole.shape})"
    return [*probes, Probe(name, args | {"x": whole})]


def batch(
    rng: np.random.Generator, shape: tuple[int, ...], mean: float = 0.0, scale: float = 1.0
) -> np.ndarray:
    """Random x (N, D) or (N, C, H, W) whose features have unequal means and standard deviations."""
    features = (1, shape[1]) + (1,) * (len(shape) - 2)
    means = mean + scale * rng.uniform(-4, 4, features)
    scales = scale * np.exp(rng.uniform(-1.2, 1.2, features))
    return means + scales * rng.standard_normal(shape)


def gradients(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Upstream gradients dy: not constant, their mean unequal between features."""
    features = (1, x.shape[1]) + (1,) * (x.ndim - 2)
    return rng.uniform(0.5, 4.0) * (rng.standard_normal(x.shape) + rng.uniform(-1, 1, features))


def gammas(rng: np.random.Generator, count: int) -> np.ndarray:
    """Scales of unequal size and both signs, none near 0."""
    signs = np.where(np.arange(count) % 3 == 1, -1.0, 1.0)
    return signs * rng.permutation(np.linspace(0.5, 2.6, count))


def betas(rng: np.random.Generator, count: int) -> np.ndarray:
    """Shifts between -3 and 3, none zero."""
    return rng.choice([-1.0, 1.0], count) * rng.uniform(0.5, 3.0, count)
