"""Look at a student's function before and after its call, without calling it."""

from __future__ import annotations

import dis
import functools
import inspect
from types import CodeType

import numpy as np

from .call import Attempt, text_of
from .outputs import Problem

DATA = (int, float, list, np.ndarray, np.generic)


def plain_function(function: object) -> object:
    """The Python function behind a partial, a method or a decorated function."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(getattr(function, "__func__", function))


def reads_globals(function: object) -> str:
    """A sentence about the global numbers and arrays that the function reads; "" if none.

    In a notebook N, eps, mean or std of an earlier cell are there, so nothing fails, and the result
    is right as long as they happen to fit the arguments.
    """
    function = plain_function(function)
    if not inspect.isfunction(function):
        return ""
    space = function.__globals__
    loaded = {n: space.get(n) for n in loaded_globals(function.__code__)}
    names = sorted(n for n, v in loaded.items() if isinstance(v, DATA) and not isinstance(v, bool))
    if not names:
        return ""
    several = len(names) > 1
    return (
        f"Your function reads {', '.join(names)}: {'variables' if several else 'a variable'} of "
        f"the notebook, not {'arguments' if several else 'an argument'}. Which arguments "
        f"{'do they' if several else 'does it'} have to be computed from?"
    )


def loaded_globals(code: CodeType) -> set[str]:
    """Names that the code, or a function or comprehension in it, looks up as globals."""
    found = {
        s.argval for s in dis.get_instructions(code) if s.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return found.union(*(loaded_globals(c) for c in code.co_consts if isinstance(c, CodeType)))


def check_function(function: object, name: str, parameters: tuple[str, ...]) -> Problem | None:
    """Is it a function that can be called with these parameters, by position?"""
    call = f"{name}({', '.join(parameters)})"
    if not callable(function):
        hint = ""
        if isinstance(function, np.ndarray | list | tuple | float):
            hint = f" Pass the function, not its result: check({name}), not check({call})."
        kind = _with_article(type(function).__name__)
        return Problem("not-callable", f"check expected a function, but was given {kind}.{hint}")
    kind, instead = _no_plain_function(function)
    if kind:
        return Problem(
            "no-plain-function",
            f"Your function {kind}: a call does not give the result itself. {instead}",
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in callables have none: the call itself will tell
        return None
    try:
        signature.bind(*parameters)
    except TypeError:
        hint = ""
        if list(signature.parameters)[:1] == ["self"]:
            hint = " It has a parameter self: pass the method of an object, as in check(Norm().f)."
        count = f"{len(parameters)} argument{'s' * (len(parameters) > 1)}"
        return Problem(
            "wrong-parameters",
            f"check calls {call}, by position: {count}. "
            f"Your function has the parameters {text_of(signature)}, which do not fit.{hint}",
        )
    return None


def _with_article(name: str) -> str:
    return f"{'an' if name[:1] in 'aeiou' or name == 'ndarray' else 'a'} {name}"


def _no_plain_function(function) -> tuple[str, str]:
    """What an `async def` and a function with yield are, and what to write in their place."""
    function = plain_function(function)
    if inspect.iscoroutinefunction(function):
        return "is an `async def`", "Does it start with `def` alone?"
    if inspect.isgeneratorfunction(function):
        return "contains `yield`", "Should it be `return`?"
    return "", ""


def argument_order(function: object, parameters: tuple[str, ...]) -> Problem | None:
    """The right names in another order."""
    try:
        theirs = list(inspect.signature(function).parameters)[: len(parameters)]
    except (TypeError, ValueError):
        return None
    if theirs != list(parameters) and sorted(theirs) == sorted(parameters):
        return Problem(
            "argument-order",
            f"The parameters are in another order: yours are ({', '.join(theirs)}), the exercise "
            f"has ({', '.join(parameters)}). Arguments are passed by position: which of your "
            f"variables then holds {parameters[_first_difference(theirs, parameters)]}?",
        )
    return None


def _first_difference(a, b) -> int:
    return next(i for i, (p, q) in enumerate(zip(a, b, strict=True)) if p != q)


def does_nothing(function: object) -> bool:
    """True for a function whose body is only a docstring, `...` or `pass`."""
    function = plain_function(function)
    if not inspect.isfunction(function):
        return False
    idle = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    return all(step.opname in idle for step in dis.get_instructions(function))


def is_untouched(done: Attempt, function: object) -> bool:
    """True when the stub has not been filled in."""
    if done.error is not None:
        return isinstance(done.error, NotImplementedError)
    if done.value is None:
        return does_nothing(function)
    values = done.value if isinstance(done.value, tuple | list) else [done.value]
    return len(values) > 0 and all(v is None or v is Ellipsis for v in values)
