"""Gradient checking with central differences along random directions."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ArgumentCheck:
    """The worst of the directions tried for one argument."""

    name: str
    analytic: float  # <gradient, direction>, from the backward pass
    numeric: float  # central difference along the same direction
    error: float  # |analytic - numeric| / max(|analytic|, |numeric|, scale)


@dataclass(frozen=True)
class GradcheckReport:
    """Outcome of `gradcheck`: prints as a table, one row an argument."""

    function: str
    checks: tuple[ArgumentCheck, ...]
    tol: float

    @property
    def passed(self):
        """True if every argument's error is below the tolerance."""
        return all(check.error < self.tol for check in self.checks)

    def __str__(self):
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


def gradcheck(forward, backward, inputs, step=1e-5, directions=4, seed=0, tol=1e-6):
    """Compare a backward pass with central differences.

        <dx, v>  ~  (L(x + h v) - L(x - h v)) / 2h,    L = sum(r * forward(x))

    r is a random upstream gradient: with a constant one, wrong batch norm gradients pass, because
    the right dx is then 0 (notebook 03). v is a random direction of unit norm, so an argument
    with a million numbers costs two forward passes a direction.

    Parameters
    ----------
    forward : called as forward(**inputs), returns y
    backward : called as backward(dy) after forward(**inputs); returns a dict name -> gradient,
        with the names of ``inputs`` (those that are left out are not checked)
    inputs : dict of name -> float64 array; float32 has too few digits for differences
    step : h; 1e-5 balances the O(h^2) error of the formula and rounding, about 1e-16 / h
    tol : largest relative error that passes, measured against the larger of the two values and
        against the gradient's typical component, so that a true 0 can pass

    Returns a `GradcheckReport`. Raises TypeError for inputs that are not float64, ValueError for a
    gradient of the wrong shape or name, and for y so small or large that differences mean nothing.
    """
    for name, value in inputs.items():
        if getattr(value, "dtype", None) != np.float64:
            raise TypeError(
                f"gradcheck expected float64 for {name}, got {getattr(value, 'dtype', value)}:"
                " float32 keeps 7 digits and central differences cancel most of them"
            )
    rng = np.random.default_rng(seed)
    y = forward(**inputs)
    upstream = rng.standard_normal(y.shape)
    gradients = backward(upstream)
    if not gradients or not set(gradients) <= set(inputs):
        raise ValueError(
            f"gradcheck expected gradients for some of {sorted(inputs)}, got {sorted(gradients)}"
        )
    checks = []
    for name, gradient in gradients.items():
        x = inputs[name]
        if np.shape(gradient) != x.shape:
            raise ValueError(
                f"gradcheck expected the gradient of {name} to have its shape {x.shape}, "
                f"got {np.shape(gradient)}"
            )
        worst = None
        for _ in range(directions):
            v = rng.standard_normal(x.shape)
            v /= np.linalg.norm(v)
            plus = np.sum(upstream * forward(**inputs | {name: x + step * v}))
            minus = np.sum(upstream * forward(**inputs | {name: x - step * v}))
            numeric = float(plus - minus) / (2 * step)
            analytic = float(np.sum(gradient * v))
            scale = max(float(np.linalg.norm(gradient)) / x.size**0.5, 1e-6)
            error = abs(analytic - numeric) / max(abs(analytic), abs(numeric), scale)
            check = ArgumentCheck(name, analytic, numeric, error)
            if worst is None or not check.error <= worst.error:
                worst = check
        checks.append(worst)
    return GradcheckReport(getattr(forward, "__name__", "function"), tuple(checks), tol)
