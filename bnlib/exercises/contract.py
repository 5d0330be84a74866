"""Call a student's function safely and read what it returns.

Nothing the function does gets out of `attempt`: not its exception, not what it prints, not its
warnings, and not its changes to the arguments, which are copies. An endless loop cannot be caught
from inside the same process: interrupting the kernel ends it, and the card says so.
"""

from __future__ import annotations

import contextlib
import dis
import inspect
import io
import linecache
import re
import traceback
import warnings
from dataclasses import dataclass, field

import numpy as np

from .student import plain_function


@dataclass(frozen=True)
class Problem:
    """Something wrong with the form of a function or of what it returns."""

    id: str
    message: str


@dataclass
class Attempt:
    """What one call of the student's function did."""

    value: object = None
    error: BaseException | None = None
    printed: str = ""
    warned: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def attempt(function, args: dict) -> Attempt:
    """Call function with copies of args, by position, and record all that happens."""
    given = {
        name: np.copy(v, order="K") if isinstance(v, np.ndarray) else v for name, v in args.items()
    }
    done, out = Attempt(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        warnings.catch_warnings(record=True) as caught,
        np.errstate(all="warn", under="ignore"),
    ):
        warnings.simplefilter("always")
        try:
            done.value = function(*given.values())
        except BaseException as error:  # SystemExit and an interrupted endless loop as well
            done.error = error
    done.printed = out.getvalue()
    done.warned = sorted({text_of(w.message) for w in caught})
    done.changed = [n for n, v in args.items() if not _identical(given[n], v)]
    return done


def _identical(a, b) -> bool:
    if not isinstance(b, np.ndarray):
        return True
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def text_of(thing, limit: int = 600) -> str:
    """str(thing) in a form that is safe to show: no memory addresses, not endless, no exception."""
    try:
        text = str(thing)
    except Exception:
        text = f"({type(thing).__name__}, which cannot be shown as text)"
    text = re.sub(r"0x[0-9a-fA-F]{6,}", "0x...", text).encode("utf-8", "replace").decode()
    return (text if len(text) <= limit else text[:limit] + " ...").strip()


# ---------------------------------------------------------------- before the first call


def check_function(function, name: str, parameters: tuple[str, ...]) -> Problem | None:
    """Is it a function that can be called with these parameters, by position?"""
    call = f"{name}({', '.join(parameters)})"
    if not callable(function):
        hint = ""
        if isinstance(function, np.ndarray | list | tuple | float):
            hint = f" Pass the function, not its result: check({name}), not check({call})."
        kind = type(function).__name__
        return Problem("not-callable", f"check expected a function, but was given a {kind}.{hint}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in callables have none: the call itself will tell
        return None
    try:
        signature.bind(*parameters)
    except TypeError:
        theirs = list(signature.parameters)
        hint = ""
        if theirs[:1] == ["self"]:
            hint = " It has a parameter self: pass the method of an object, as in check(Norm().f)."
        return Problem(
            "wrong-parameters",
            f"check calls {call}, by position: {len(parameters)} arguments. "
            f"Your function has the parameters ({', '.join(theirs)}), which do not fit.{hint}",
        )
    return None


def argument_order(function, parameters: tuple[str, ...]) -> Problem | None:
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


def does_nothing(function) -> bool:
    """True for a function whose body is only a docstring, `...` or `pass`."""
    function = plain_function(function)
    if not inspect.isfunction(function):
        return False
    idle = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    return all(step.opname in idle for step in dis.get_instructions(function))


def is_untouched(done: Attempt, function) -> bool:
    """True when the stub has not been filled in."""
    if done.error is not None:
        return isinstance(done.error, NotImplementedError)
    if done.value is None:
        return does_nothing(function)
    values = done.value if isinstance(done.value, tuple | list) else [done.value]
    return len(values) > 0 and all(v is None or v is Ellipsis for v in values)


# ---------------------------------------------------------------- after a call


def read_outputs(value, returns: tuple[str, ...], expected: dict):
    """Split a returned value into named arrays; (outputs, None) or (outputs so far, Problem)."""
    parts, problem = _split(value, returns)
    if problem:
        return {}, problem
    outputs, first = {}, None
    for name, part in zip(returns, parts, strict=True):
        array, problem = _read_array(part, name, expected[name])
        first = first or problem
        if array is not None:
            outputs[name] = array
    return outputs, first


def _split(value, returns):
    wanted = ", ".join(returns)
    if value is None:
        return None, Problem(
            "forgot-return",
            f"Your function returns None. Does it end with `return {wanted}`?",
        )
    if len(returns) == 1:
        if isinstance(value, tuple):
            why = "a comma after the value makes a tuple" if len(value) == 1 else "extra values"
            return None, Problem(
                "wrong-count",
                f"Your function returns a tuple of {len(value)}, expected one array {wanted} "
                f"({why}?).",
            )
        return [value], None
    if isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim == 2):
        if len(value) == len(returns):
            return list(value), None
    if isinstance(value, np.ndarray):
        got = "one array"
    elif isinstance(value, tuple | list):
        got = f"{len(value)} value" + "s" * (len(value) != 1)
    else:
        got = f"one {type(value).__name__}"
    shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
    return None, Problem(
        "wrong-count",
        f"Your function returns {got}{shape}, expected {len(returns)} arrays: return {wanted}.",
    )


def _read_array(part, name, expected):
    """One output as a float array of the expected shape; (array or None, Problem or None)."""
    if part is None or part is Ellipsis:
        word = "None" if part is None else "..."
        return None, Problem("missing-output", f"{name} is still {word}: what should it be?")
    try:
        array = np.array(part)
    except Exception:
        array = np.array(None)
    if array.dtype.kind not in "fiub":
        kind = f"an array of {array.dtype}" if isinstance(part, np.ndarray) else type(part).__name__
        return None, Problem("wrong-type", f"{name} should be an array of floats, but is {kind}.")
    if array.shape != expected.shape:
        return array, Problem(
            "wrong-shape",
            f"{name} has the shape {array.shape}, expected {expected.shape}."
            + _shape_hint(array.shape, expected.shape),
        )
    if array.dtype.kind == "b" or (array.dtype.kind in "iu" and array.shape != ()):
        return array.astype(np.float64), Problem(
            "integer-output",
            f"{name} is an array of {array.dtype}, expected floats: integers cut off everything "
            "behind the point. Where did they come from?",
        )
    if array.dtype == np.float16:
        return array, Problem(
            "half-precision", f"{name} is float16, which has 3 digits: where are the others lost?"
        )
    return array, None


def _shape_hint(got, want) -> str:
    if len(got) == len(want) + 1 and got[0] == 1:
        return " There is an axis of length 1 in front: is keepdims or an extra bracket left over?"
    if len(got) > 1 and got == want[::-1]:
        return " That is the transpose."
    if np.prod(got, dtype=int) == np.prod(want, dtype=int):
        return " The number of entries is right, the arrangement is not."
    if len(got) > len(want):
        return " Over which axis should be summed, and which should remain?"
    if len(got) < len(want):
        return " An axis is gone: what was summed or averaged, or picked out, that should stay?"
    axes = [i for i, (g, w) in enumerate(zip(got, want, strict=True)) if g != w]
    said = [
        f" Axis {i} has {got[i]} entr{'y' if got[i] == 1 else 'ies'} and should have {want[i]}:"
        f" {'where are the others lost?' if got[i] < want[i] else 'where do more come from?'}"
        for i in axes
    ]
    return said[0]


# ---------------------------------------------------------------- the student's exception


def describe_error(error: BaseException, call: str) -> str:
    """The student's exception with the call and the line that caused it, without our traceback."""
    lines = [f"{call} raised {type(error).__name__}: {text_of(error)}"]
    where = _student_line(error)
    if where:
        lines.append(where)
    message = text_of(error)
    if isinstance(error, KeyboardInterrupt):
        lines.append("The call was interrupted before it ended. Is there a loop that never stops?")
    elif isinstance(error, SystemExit):
        lines.append("exit() and quit() end the program: use return to leave a function.")
    elif isinstance(error, RecursionError):
        lines.append("The function calls itself and never stops.")
    elif "ellipsis" in message.lower():
        lines.append("There is a `...` left in your code that is to be replaced.")
    elif "broadcast" in message:
        lines.append(
            "Two shapes do not fit. Which axes has each of the arrays, and which should match?"
        )
    return "\n".join(lines)


def _student_line(error) -> str:
    """The deepest line of the student's own code (not of NumPy's) in the traceback."""
    frames = list(traceback.walk_tb(error.__traceback__))[1:]  # the first frame is attempt()
    if not frames:
        return ""
    theirs = frames[0][0].f_code.co_filename
    frame, number = [f for f in frames if f[0].f_code.co_filename == theirs][-1]
    line = linecache.getline(theirs, number, frame.f_globals).strip()
    return f"in line {number}:  {line}" if line else ""
