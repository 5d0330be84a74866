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
from .engine.my_bn import Library
from .engine.my_bn import library as read_library
from .engine.report import Report
from .engine.report import report as table

available: dict[str, Exercise] = {}
for _module in sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg):
    for _value in vars(importlib.import_module(f"{__name__}.{_module}")).values():
        if isinstance(_value, Exercise):
            available[_value.name] = _value
globals().update(available)


def report(folder: str | os.PathLike = ".") -> Report:
    """What was passed since the kernel started, with which mistakes and hints on the way: a table.

        report()
        report().save("report.csv")  # or .html, .txt

    It also says what folder's my_bn.py holds. A check that was made before a restart is not in it.
    """
    return table(available, folder)


def library(*names: str, folder: str | os.PathLike = ".") -> Library:
    """The learner's own functions from my_bn.py, and bnlib's for those that are not in it.

        mine = library("bn_forward", "bn_backward")
        bn_forward, bn_backward = mine.functions
        mine  # a card: which are whose

    Only what passes its check is taken. Raises KeyError for a name that is no exercise's.
    """
    if unknown := [name for name in names if name not in available]:
        raise KeyError(f"expected names of exercises, {', '.join(available)}; got {unknown}")
    return read_library(names, available, folder)


__all__ = ["Exercise", "Mistake", "available", "library", "report", *available]
