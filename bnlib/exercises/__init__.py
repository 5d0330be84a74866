"""Exercises with checks: `bnlib.exercises.bn_forward.check(your_function)`.

One file a notebook, with its number: n03_forward.py holds the exercises of notebook 03. Each
`Exercise` in them can be had here under its own name, and `available` lists them all. How a check
works is in engine/.
"""

import importlib
import pkgutil

from .engine import Exercise, Mistake

available: dict[str, Exercise] = {}
for _module in sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg):
    for _value in vars(importlib.import_module(f"{__name__}.{_module}")).values():
        if isinstance(_value, Exercise):
            available[_value.name] = _value
globals().update(available)

__all__ = ["Exercise", "Mistake", "available", *available]
