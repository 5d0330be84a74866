"""Gradient checking with central differences along random directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnlib.views import as_array, check_has, check_int, check_real


@dataclass(frozen=True)
class ArgumentCheck:
    """The worst of the directions tried for one argument."""

    name: str
    analytic: float  # <gradient, direction>, from the backward pass
    numeric: float  # central difference along the same direction
    error: float  # |analytic - numeric| / max(|analytic|, |numeric|, scale), see `gradcheck`


@dataclass(frozen=True)
class GradcheckReport:
    """Outcome of `gradcheck`: prints as a table, one row an argument."""

    function: str
    checks: tuple[ArgumentCheck, ...]
    tol: float

    @property
    def passed(self) -> bool:
        """True if every argument's error is below the tolerance."""
        return all(check.error < self.tol for check in self.checks)

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        lines = [f"gradcheck of {self.function}: {verdict} (tolerance {self.tol:.0e})"]
        for c in self.checks:
            mark = "ok" if c.error < self.tol else "WRONG"
            lines.append(
                f"  {c.name:<8} {mark:<6} backward {c.analytic: .6e}   differences {c.numeric: .6e}"
                f"   relative error {c.error:.1e}"
            )
        return "\n".join(lines)

    __repr__ = __str__


def gradcheck(
    forward: Callable[..., np.ndarray],
    backward: Callable[[np.ndarray], dict[str, np.ndarray]],
    inputs: dict[str, np.ndarray],
    step: float = 1e-5,
    directions: int = 4,
    seed: int = 0,
    tol: float = 1e-6,
) -> GradcheckReport:
    """Compare a backward pass with central differences.

        <dx, v>  ~  (L(x + h v) - L(x - h v)) / 2h,    L = sum(r * forward(x))

    r is a random upstream gradient: with a constant one, wrong batch norm gradients pass, because
    the right dx is then 0. v is a random direction of unit norm, so an argument with a million
    numbers costs two forward passes a direction.

    Parameters
    ----------
    forward : called as forward(**inputs), returns y
    backward : called as backward(dy) after forward(**inputs); returns a dict name -> gradient,
        with the names of ``inputs`` (those that are left out are not checked)
    inputs : dict of name -> float64 array; float32 has too few digits for differences
    step : h; 1e-5 balances the O(h^2) error of the formula and rounding, about 1e-16 / h
    directions : so many v for each argument; the worst of them is reported
    seed : of r and v
    tol : largest relative error that passes. It is measured against the larger of the two values,
        the gradient's typical component, and the rounding of L over h, so that a true 0 can pass

    Returns a `GradcheckReport`. Raises TypeError for inputs that are not float64, ValueError for a
    gradient of the wrong shape or name, and where y or x is so large that differences mean nothing.
    """
    check_has("gradcheck expected inputs as a dict of name -> array", inputs, "items")
    check_int("gradcheck expected seed", seed, 0)
    check_int("gradcheck expected directions", directions)
    for name, value in (("step", step), ("tol", tol)):
        if not check_real(f"gradcheck expected a finite {name} > 0", value) > 0:
            raise ValueError(f"gradcheck expected {name} > 0, got {value!r}")
    for name, value in inputs.items():
        if getattr(value, "dtype", None) != np.float64:
            raise TypeError(
                f"gradcheck expected float64 for {name}, got {getattr(value, 'dtype', value)}:"
                " float32 keeps 7 digits and central differences cancel most of them"
            )
        # Beside a large x the step is lost in rounding.
        largest = np.abs(value).max(initial=0) * max(value.size, 1) ** 0.5
        if not np.spacing(largest) < 0.01 * step:
            raise ValueError(
                f"gradcheck expected finite numbers beside which a step of {step:g} counts, got "
                f"{name} up to {np.abs(value).max():.3g}: take smaller ones, or a larger step"
            )
    # Not default_rng(seed): whoever draws x from that would get r proportional to x, the one
    # direction that says nothing about batch norm.
    rng = np.random.default_rng([seed, 1502, 3167])
    y = _forward(forward, inputs)
    upstream = rng.standard_normal(y.shape)
    gradients = backward(upstream.copy())
    if not isinstance(gradients, dict) or not gradients or not set(gradients) <= set(inputs):
        got = sorted(gradients) if isinstance(gradients, dict) else type(gradients).__name__
        raise ValueError(f"gradcheck expected gradients for some of {sorted(inputs)}, got {got}")
    # Each of the two sums is off by a unit or two in its last place, more on some processors.
    rounding = 4 * np.spacing(_norm(upstream * y)) / step
    checks = []
    for name, gradient in gradients.items():
        x, gradient = inputs[name], np.asarray(gradient)
        if gradient.shape != x.shape or gradient.dtype.kind not in "fiu":
            raise ValueError(
                f"gradcheck expected the gradient of {name} to have its shape {x.shape}, "
                f"got {gradient.shape}, {gradient.dtype}"
            )
        scale = max(_norm(gradient) / max(x.size, 1) ** 0.5, rounding / tol, TINY)
        worst = None
        for _ in range(directions):
            v = rng.standard_normal(x.shape)
            v /= np.linalg.norm(v)
            plus = _forward(forward, inputs | {name: x + step * v})
            minus = _forward(forward, inputs | {name: x - step * v})
            numeric = float(np.sum(upstream * plus) - np.sum(upstream * minus)) / (2 * step)
            analytic = float(np.sum(gradient * v))
            error = abs(analytic - numeric) / max(abs(analytic), abs(numeric), scale)
            check = ArgumentCheck(name, analytic, numeric, error)
            if worst is None or not check.error <= worst.error:
                worst = check
        checks.append(worst)
    return GradcheckReport(getattr(forward, "__name__", "function"), tuple(checks), tol)


TINY = np.finfo(np.float64).tiny


def _forward(forward, inputs):
    y = as_array("what forward returns", forward(**inputs))
    if y.dtype != np.float64 or not np.abs(y).max(initial=0) < 1e300:
        raise ValueError(
            "gradcheck expected forward to return finite float64 numbers below 1e300, got "
            f"{y.dtype}" + (f" up to {np.abs(y).max():.3g}" if y.dtype.kind == "f" else "")
        )
    return y


def _norm(a):
    """The Euclidean norm, also where the squares would overflow or vanish."""
    largest = float(np.abs(a).max(initial=0))
    return largest * float(np.linalg.norm(a / largest)) if largest > TINY else 0.0
