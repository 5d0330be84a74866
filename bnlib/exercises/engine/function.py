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
    loaded = {n: function.__globals__.get(n) for n in loaded_globals(function.__code__)}
    names = sorted(n for n, v in loaded.items() if isinstance(v, DATA) and not isinstance(v, bool))
    if not names:
        return ""
    many, word = ("variables", "arguments") if len(names) > 1 else ("a variable", "an argument")
    return (
        f"Your function reads {', '.join(names)}: {many} of the notebook, not {word}. Which "
        f"arguments {'do they' if len(names) > 1 else 'does it'} have to be computed from?"
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
        kind, hint = type(function).__name__, ""
        if isinstance(function, np.ndarray | list | tuple | float):
            hint = f" Pass the function, not its result: check({name}), not check({call})."
        article = "an" if kind[:1] in "aeiou" or kind == "ndarray" else "a"
        said = f"check expected a function, but was given {article} {kind}.{hint}"
        return Problem("not-callable", said)
    for is_odd, kind, instead in (
        (inspect.iscoroutinefunction, "is an `async def`", "Does it start with `def` alone?"),
        (inspect.isgeneratorfunction, "contains `yield`", "Should it be `return`?"),
    ):
        if is_odd(plain_function(function)):
            said = f"Your function {kind}: a call does not give the result itself. {instead}"
            return Problem("no-plain-function", said)
    theirs = _signature(function)
    try:
        if theirs:
            theirs.bind(*parameters)
    except TypeError:
        hint = ""
        if list(theirs.parameters)[:1] == ["self"]:
            hint = " It has a parameter self: pass the method of an object, as in check(Norm().f)."
        return Problem(
            "wrong-parameters",
            f"check calls {call}, by position: {len(parameters)} "
            f"argument{'s' * (len(parameters) > 1)}. Your function has the parameters "
            f"{text_of(theirs)}, which do not fit.{hint}",
        )
    return None


def _signature(function) -> inspect.Signature | None:
    """None for some built-in callables: the call itself will tell."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def argument_order(function: object, parameters: tuple[str, ...]) -> Problem | None:
    """The right names in another order."""
    signature = _signature(function)
    theirs = list(signature.parameters)[: len(parameters)] if signature else []
    if theirs == list(parameters) or sorted(theirs) != sorted(parameters):
        return None
    moved = next(right for mine, right in zip(theirs, parameters) if mine != right)
    return Problem(
        "argument-order",
        f"The parameters are in another order: yours are ({', '.join(theirs)}), the exercise has "
        f"({', '.join(parameters)}). Arguments are passed by position: which of your variables "
        f"then holds {moved}?",
    )


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
