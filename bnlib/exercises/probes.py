"""Inputs on which a student's function is compared with the reference.

A wrong function can pass only if it equals the reference on every probe. So the probes vary all
that a wrong program may depend on: N and D (also N = D, where a wrong axis goes unnoticed, and
1 and 2), eps, means and scales (unequal between features), constant features, an outlier, memory
layout, float32, and means so large that a one-pass variance loses all its digits.
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
    tol: float = 1e-8
    tag: str = ""
    may_raise: bool = False

    @property
    def fits_in_single(self) -> bool:
        """False if the arrays lose all that matters when they are converted to float32."""
        return self.single or not self.tag.endswith("large mean")

    @property
    def single(self) -> bool:
        """True when the arrays are float32."""
        return any(getattr(v, "dtype", None) == np.float32 for v in self.args.values())


def dense_probes(complete: Callable, one_may_raise: bool = True) -> list[Probe]:
    """Probes for exercises on a batch x (N, D).

    complete(rng, x, eps) -> dict of all arguments in calling order. The first is the designed
    probe, on which most messages show their numbers: N = 6, unequal means and scales, eps = 0.1.
    one_may_raise: whether a ValueError is a sensible answer to a batch of one.
    """
    shapes = [
        (9, 5),
        (12, 8),
        (4, 7),
        (33, 2),
        (3, 11),
        (17, 6),
        (64, 10),
        (5, 40),
        (16, 16),
        (2, 2),
    ]
    return _probes(
        complete,
        one_may_raise,
        (6, 4),
        (4, 4),
        (5, 3),
        (2, 3),
        (3, 2),
        (1, 3),
        (5, 1),
        (100, 3),
        shapes,
    )


def conv_probes(complete: Callable) -> list[Probe]:
    """The same for feature maps x (N, C, H, W), with C = W, C = H, N = C, and all equal."""
    shapes = [
        (2, 3, 4, 3),
        (2, 3, 3, 5),
        (3, 3, 2, 4),
        (3, 3, 3, 3),
        (2, 5, 1, 4),
        (7, 2, 3, 1),
        (1, 3, 4, 2),
        (1, 2, 3, 3),
        (4, 6, 2, 3),
        (2, 4, 5, 6),
        (3, 8, 2, 2),
    ]
    return _probes(
        complete,
        True,
        (3, 4, 2, 5),
        (4, 4, 4, 4),
        (2, 3, 2, 4),
        (2, 3, 1, 1),
        (3, 2, 1, 2),
        (1, 3, 1, 1),
        (3, 1, 2, 2),
        (5, 3, 8, 4),
        shapes,
    )


def _probes(
    complete, one_may_raise, main, square, small, two, three, one, single_feature, large, shapes
):
    rng = np.random.default_rng(1502_03167)

    def probe(name, shape, eps, *, mean=0.0, scale=1.0, dtype=np.float64, change=None, **more):
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

    equal = "N = D" if len(main) == 2 else "N = C = H = W"
    found = [
        probe("the designed batch", main, 0.1),
        probe(f"a batch with {equal}", square, 0.1),
        probe("eps = 1e-5", small, 1e-5),
        probe("features whose variance is near eps", small, 1e-3, scale=0.02),
        probe("a large eps", small, 5.0),
        probe("a batch of two", two, 0.1),
        probe("a batch of two, small eps", two, 1e-5),
        probe("a batch of three", three, 0.02),
        probe("a single feature", single_feature, 0.1),
        probe("a feature that is constant", small, 1e-5, change=constant_feature),
        probe("features of tiny variance", small, 1e-5, scale=1e-4),
        probe("features of large variance", small, 1e-3, scale=300.0),
        probe("one outlier in a large batch", large, 1e-3, change=outlier),
        probe("only negative inputs", small, 1e-3, mean=-50.0),
        probe("a batch of one", one, 0.1, may_raise=one_may_raise),
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
    for i, shape in enumerate(shapes):
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
    return found


def batch(rng, shape, mean=0.0, scale=1.0) -> np.ndarray:
    """Random x (N, D) or (N, C, H, W) whose features have unequal means and standard deviations."""
    features = (1, shape[1]) + (1,) * (len(shape) - 2)
    means = mean + scale * rng.uniform(-4, 4, features)
    scales = scale * np.exp(rng.uniform(-1.2, 1.2, features))
    return means + scales * rng.standard_normal(shape)


def gammas(rng, count: int) -> np.ndarray:
    """Scales with unequal sizes and both signs, none near 0 or 1."""
    signs = np.where(np.arange(count) % 3 == 1, -1.0, 1.0)
    return signs * rng.permutation(np.linspace(0.5, 2.6, count))


def betas(rng, count: int) -> np.ndarray:
    """Shifts between -3 and 3, none zero."""
    return rng.choice([-1.0, 1.0], count) * rng.uniform(0.5, 3.0, count)
