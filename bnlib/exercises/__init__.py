"""Exercises with checks: `bnlib.exercises.bn_forward.check(your_function)`.

Each module of this package that defines an `Exercise` adds it here under the exercise's own name,
so a new exercise is one new file. `available` lists them all.
"""

import importlib
import pkgutil

from .catalogue import Mistake
from .engine import Exercise

available: dict[str, Exercise] = {}
for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    for _value in vars(importlib.import_module(f"{__name__}.{_module}")).values():
        if isinstance(_value, Exercise):
            available[_value.name] = _value
globals().update(available)

__all__ = ["Exercise", "Mistake", "available", *available]
