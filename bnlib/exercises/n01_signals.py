"""Notebook 01: two short tasks about signals in deep networks.

The initial scale is that of He et al. 2015 (arXiv:1502.01852, section 2.2).
"""

from __future__ import annotations

import numpy as np

from .engine import Case, Exercise, Probe

# ================================================================ init_std


def init_std(fan_in):
    """The standard deviation of the initial weights that keeps a ReLU network's signal alive.

    fan_in: the number of inputs of each unit. Weights and biases: mean 0, biases 0.
    Returns std, a number: with it the mean square of the activations is the same in every layer.
    """
    # A ReLU lets half of the mean square through: fan_in * std**2 / 2 = 1.
    return np.sqrt(2 / fan_in)


def mean_square_is_kept(case: Case) -> str | None:
    """A ReLU layer multiplies the mean square of its input by fan_in * std^2 / 2."""
    fan_in = case.given.fan_in
    return case.differ(
        fan_in * case.got.std**2 / 2,
        1.0,
        f"With fan_in = {fan_in:g} each layer multiplies the mean square of the signal by fan_in * "
        "std^2 / 2 = {got}, expected {want}: it grows or dies out with depth.",
    )


FAN_INS = (
    *(50, 8, 1, 2, 3, 7, 100, 784, 1000),
    *(4, 5, 6, 9, 10, 11, 12, 13, 15, 16, 17, 20, 25, 27, 32, 64, 75, 128, 196, 256, 300, 512),
    *(576, 2048, 3072, 4096, 25_000),
)

init_std = Exercise(
    init_std,
    reference=lambda fan_in: (2 / fan_in) ** 0.5,
    returns=["std"],
    probes=lambda: [
        # std shrinks like the root: the error counts relative to a number below 1
        Probe(f"fan_in = {n}", {"fan_in": n}, tol=1e-12)
        for n in FAN_INS
    ],
    properties=(mean_square_is_kept,),
)


# ================================================================ saturated_fraction


def saturated_fraction(z):
    """The share of saturated sigmoid units.

    z: array (N, D), the inputs of the sigmoids. A unit is saturated for an input if the sigmoid's
    derivative there is below 5 % of the largest value that the derivative can have.
    Returns fraction, a number between 0 and 1.
    """
    s = 1 / (1 + np.exp(-np.clip(z, -50, 50)))
    derivative = s * (1 - s)  # at most 1/4, for z = 0
    return np.mean(derivative < 0.05 * 0.25)


def _saturated(z):
    # s * (1 - s) = 1 / (4 * cosh(z / 2)**2), so the limit is where cosh(z / 2)**2 = 20.
    return np.count_nonzero(np.abs(z) > 2 * np.arccosh(np.sqrt(20.0))) / z.size


def _exp_overflows(case) -> bool:
    """Is one sign right as far as exp(z) is finite, up to 709.78, and wrong behind that?"""

    def found(z):
        return float(case.call(z=np.full_like(case.given.z, z)).fraction) == 1.0

    return any(
        found(sign * 709) and not found(sign * 711) and found(-sign * 1000) for sign in (1, -1)
    )


RANDOM = (
    *((7, 3), (24, 24), (101, 2), (150, 4), (3, 41), (2, 130), (8, 8), (13, 5), (50, 10), (1, 1)),
    *((300, 1), (6, 4), (3, 7)),
)


def _saturated_probes() -> list[Probe]:
    rng = np.random.default_rng(5)
    grid = np.linspace(-8, 8, 800).reshape(32, 25)
    near = np.linspace(4.3, 4.4, 200).reshape(20, 10)
    return [
        Probe("z from -8 to 8 in equal steps", {"z": grid}),
        Probe("a batch with N = D", {"z": rng.normal(1.0, 5.0, (6, 6))}),
        Probe("mostly positive z", {"z": rng.normal(4.0, 2.0, (10, 7))}),
        Probe("mostly negative z", {"z": rng.normal(-4.0, 2.0, (9, 4))}),
        Probe("z near the limit", {"z": near}),
        Probe("z near the limit, negative", {"z": -near.T}),
        Probe("only small z", {"z": rng.normal(0.0, 0.5, (5, 3))}),
        Probe("only saturated units", {"z": np.full((3, 4), 6.0)}),
        Probe("one unit, one input", {"z": np.array([[-5.0]])}),
        Probe("a wide layer", {"z": rng.normal(0.0, 4.0, (3, 60))}),
        Probe("two inputs", {"z": rng.normal(0.0, 6.0, (2, 30))}),
        Probe("one input", {"z": rng.normal(0.0, 6.0, (1, 20))}),
        Probe("one unit", {"z": rng.normal(0.0, 6.0, (30, 1))}),
        Probe("float32", {"z": rng.normal(0.0, 4.0, (12, 8)).astype(np.float32)}),
        Probe("z up to 1000", {"z": rng.uniform(-1000, 1000, (6, 5))}, tag="large z"),
        Probe(
            "float32, z up to 200",
            {"z": rng.uniform(-200, 200, (6, 5)).astype(np.float32)},
            tag="large z",
        ),
        Probe("only zeros", {"z": np.zeros((4, 5))}),
        Probe("outputs of a ReLU", {"z": np.maximum(rng.normal(0.0, 5.0, (14, 9)), 0)}),
        # the limit is 4.35654; no closer, since a float32 has 7 digits
        Probe("z at the limit", {"z": np.array([[-4.3566, -4.3565], [4.3565, 4.3566]])}),
        *(
            Probe(f"random z {i + 1} of shape {shape}", {"z": rng.normal(0.0, 5.0, shape)})
            for i, shape in enumerate(RANDOM)
        ),
    ]


def both_sides_count(case: Case) -> str | None:
    """The derivative of the sigmoid is even, and so is the fraction."""
    left, right = (float(case.call(z=np.full_like(case.given.z, z)).fraction) for z in (-6.0, 6.0))
    if left == right:
        return None
    return (
        f"If every z is -6, the fraction is {left:.3g}, and if every z is 6 it is {right:.3g}, "
        f"expected 1 both times: the derivative is {_slope(6.0):.3g} there. On how many sides does "
        "a sigmoid become flat?"
    )


def one_entry_counts(case: Case) -> str | None:
    """If all z are the same, the fraction is 0 or 1."""
    for value in np.arange(0.0, 7.0, 0.25):
        for z in (value, -value):
            if said := case.differ(
                case.call(z=np.full_like(case.given.z, z)).fraction,
                float(_saturated(np.array(z))),
                f"If every z is {z:g}, where the derivative is {_slope(z):.3g}, the fraction is "
                "{got}, expected {want}.",
            ):
                return said
    return None


def _slope(z) -> float:
    s = 1 / (1 + np.exp(-z))
    return float(s * (1 - s))


saturated_fraction = Exercise(
    saturated_fraction,
    reference=_saturated,
    returns=["fraction"],
    probes=_saturated_probes,
    properties=(both_sides_count, one_entry_counts),
    hard={"large z": _exp_overflows},
)
