"""Look into a student's function: which variables of the notebook does it read?"""

from __future__ import annotations

import dis
import functools
import inspect
from types import CodeType

import numpy as np

DATA = (int, float, list, np.ndarray, np.generic)


def plain_function(function):
    """The Python function behind a partial, a method or a decorated function."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(getattr(function, "__func__", function))


def reads_globals(function) -> str:
    """A sentence about the global numbers and arrays that the function reads; "" if none.

    In a notebook N, eps, mean or std of an earlier cell are there, so nothing fails, and the result
    is right as long as they happen to fit the arguments.
    """
    function = plain_function(function)
    if not inspect.isfunction(function):
        return ""
    space = function.__globals__
    loaded = {n: space.get(n) for n in _loaded(function.__code__)}
    names = sorted(n for n, v in loaded.items() if isinstance(v, DATA) and not isinstance(v, bool))
    if not names:
        return ""
    several = len(names) > 1
    return (
        f"Your function reads {', '.join(names)}: {'variables' if several else 'a variable'} of "
        f"the notebook, not {'arguments' if several else 'an argument'}. Which arguments "
        f"{'do they' if several else 'does it'} have to be computed from?"
    )


def _loaded(code: CodeType) -> set[str]:
    """Names that the code, or a function or comprehension in it, looks up as globals."""
    names = {s.argval for s in dis.get_instructions(code) if s.opname == "LOAD_GLOBAL"}
    return names.union(*(_loaded(c) for c in code.co_consts if isinstance(c, CodeType)))
