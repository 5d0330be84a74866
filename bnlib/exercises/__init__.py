"""Exercises with checks: `bnlib.exercises.bn_forward.check(your_function)`.

One file a notebook, with its number: n03_forward.py holds the exercises of notebook 03. Each
`Exercise` in them can be had here under its own name, and `available` lists them all. `report()`
says what has been passed. How a check works is in engine/.
"""

from __future__ import annotations

import importlib
import os
import pkgutil

from .engine import Exercise, Mistake
from .engine.card import Source
from .engine.report import report as table

available: dict[str, Exercise] = {}
for _module in sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg):
    for _value in vars(importlib.import_module(f"{__name__}.{_module}")).values():
        if isinstance(_value, Exercise):
            available[_value.name] = _value
globals().update(available)


def report(file: str | os.PathLike | None = None) -> Source:
    """What was passed since the kernel started, with checks, hints and named mistakes: a table.

    With file it is written there too. Raises OSError if it cannot be.
    """
    return table(available, file)


__all__ = ["Exercise", "Mistake", "available", "report", *available]
