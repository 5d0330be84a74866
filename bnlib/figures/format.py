"""How every number of a widget or figure is written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def number(value: float, smallest: float = 0.005) -> str:
    """A measured number in a few characters: 0.03, 1.00, 12, 850, 4e60; -0.00 is 0.00.

    Magnitudes below ``smallest`` count as 0; with ``smallest=0`` the small are 3e-6 instead.
    """
    if not np.isfinite(value):
        return "not finite"
    if abs(value) < max(smallest, 1e-300):
        return "0.00"
    if abs(value) < 0.005:
        return setting(float(f"{value:.0e}"))
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:.0f}" if abs(value) < 1000 else _plain_exponent(f"{value:.0e}")


def setting(value: float) -> str:
    """A number that somebody chose, as it was chosen: 0.1, 3, 64, 1e-5."""
    return _plain_exponent(f"{value:.0e}" if 0 < abs(value) < 1e-3 else f"{value:g}")


def at_least(share: float, bounds: Sequence[float] = (0.2, 0.5, 0.8)) -> str:
    """What holds of a measured accuracy on every processor: the largest bound that it passes."""
    passed = [bound for bound in bounds if share >= bound]
    return f"at least {100 * passed[-1]:.0f} %" if passed else f"below {100 * bounds[0]:.0f} %"


def _plain_exponent(text: str) -> str:
    mantissa, e, exponent = text.partition("e")
    return mantissa + (f"e{int(exponent)}" if e else "")
