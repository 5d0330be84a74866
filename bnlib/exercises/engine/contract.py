"""Call a student's function safely and read what it returns.

Nothing the function does gets out of `attempt`: not its exception, not what it prints, not its
warnings, and not its changes to the arguments, which are copies. While it runs, np.empty fills its
arrays with a NaN that can be recognised, so that a forgotten entry is the same in every run. An
endless loop cannot be caught from inside the same process: interrupting the kernel ends it, and
the card says so.
"""

from __future__ import annotations

import contextlib
import dis
import functools
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


class _Output(io.StringIO):
    """What is printed. It stays open, whatever the student's code closes."""

    def close(self):
        pass


def attempt(function, args: dict) -> Attempt:
    """Call function with copies of args, by position, and record all that happens."""
    given = {
        name: np.copy(v, order="K") if isinstance(v, np.ndarray) else v for name, v in args.items()
    }
    done, out = Attempt(), _Output()
    with (
        _empty_is_nan(),
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
        _close_coroutines(done.value)
    done.printed = out.getvalue()
    done.warned = sorted({text_of(w.message) for w in caught})
    done.changed = [n for n, v in args.items() if not _identical(given[n], v)]
    return done


# A quiet NaN with a number of its own. Arithmetic with it gives it back, like any other NaN.
UNASSIGNED = np.array(0x7FC5B000, np.uint32).view(np.float32)


def unassigned(array: np.ndarray) -> np.ndarray:
    """True for entries that come from an entry of np.empty that was never assigned."""
    array = np.ascontiguousarray(array, np.float64)
    return array.view(np.uint64) == np.float64(UNASSIGNED).view(np.uint64)


@contextlib.contextmanager
def _empty_is_nan():
    """np.empty and np.empty_like give arrays of UNASSIGNED, in place of what was in the memory."""
    originals = {name: getattr(np, name) for name in ("empty", "empty_like")}

    def filled(make):
        @functools.wraps(make)
        def wrapper(*args, **kwargs):
            array = make(*args, **kwargs)
            if array.dtype.kind == "f":
                array[...] = UNASSIGNED
            return array

        return wrapper

    try:
        for name, make in originals.items():
            setattr(np, name, filled(make))
        yield
    finally:
        for name, make in originals.items():
            setattr(np, name, make)


def _close_coroutines(value):
    """What an `async def` returns warns when it is thrown away, unless it is closed."""
    for part in value if isinstance(value, tuple | list) else [value]:
        if inspect.iscoroutine(part):
            part.close()


def _identical(a, b) -> bool:
    if not isinstance(b, np.ndarray):
        return True
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def text_of(thing, limit: int = 600) -> str:
    """str(thing) in a form that is safe to show: no memory addresses, not endless, no exception."""
    try:
        text = str(thing)
    except BaseException:  # SystemExit as well: it is the student's code that runs here
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
        array, problem = _read_array(part, name, expected)
        first = first or problem
        if array is not None:
            outputs[name] = array
    return outputs, _other_order(outputs, returns, expected) or first


def _other_order(outputs, returns, expected) -> Problem | None:
    """The right shapes, but in another order."""
    got = [outputs[name].shape for name in returns if name in outputs]
    want = [expected[name].shape for name in returns]
    if got == want or sorted(got) != sorted(want):
        return None
    return Problem(
        "outputs-order",
        f"Your function returns arrays of the shapes {', '.join(map(str, got))}, expected "
        f"{', '.join(map(str, want))}. Are they returned in another order than `return "
        f"{', '.join(returns)}`?",
    )


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


def _read_array(part, name, expected: dict):
    """One output as a float array of the expected shape; (array or None, Problem or None)."""
    if part is None or part is Ellipsis:
        word = "None" if part is None else "..."
        return None, Problem("missing-output", f"{name} is still {word}: what should it be?")
    try:
        array, masked = np.array(part), _masked(part)
    except BaseException:  # SystemExit as well: a student's __array__ may run here
        array, masked = np.array(None), 0
    kind, shape, want = array.dtype.kind, array.shape, expected[name].shape
    if kind not in "fiub":
        dtype = (
            f"an array of {array.dtype}" if isinstance(part, np.ndarray) else type(part).__name__
        )
        return None, Problem("wrong-type", f"{name} should be an array of floats, but is {dtype}.")
    if masked:
        return None, Problem(
            "masked-output",
            f"{masked} of the {array.size} entries of {name} are masked: they count as missing. "
            "Which line masks them, and which numbers should stand there?",
        )
    if kind == "b":
        return array.astype(np.float64), Problem("boolean-output", _boolean(array, name, want))
    if kind in "iu":
        array = array.astype(np.float64)
    if shape != want:
        return array, Problem(
            "wrong-shape",
            f"{name} has the shape {shape}, expected {want}." + _shape_hint(shape, want, expected),
        )
    if kind in "iu" and shape != ():
        return array, Problem(
            "integer-output",
            f"{name} is an array of {np.array(part).dtype}, expected floats: integers cut off "
            "everything behind the point. Where did they come from?",
        )
    if array.dtype == np.float16:
        return array, Problem(
            "half-precision", f"{name} is float16, which has 3 digits: where are the others lost?"
        )
    return array, None


def _masked(part) -> int:
    """The number of masked entries, in an array or in the rows of a list."""
    rows = part if isinstance(part, list | tuple) else [part]
    return sum(int(np.ma.getmaskarray(row).sum()) for row in rows if np.ma.is_masked(row))


def _boolean(array, name, want) -> str:
    if array.shape == ():
        return f"{name} is {array}: a comparison gives True or False. Which number is asked for?"
    said = f"{name} is an array of True and False of shape {array.shape}, expected "
    if want == ():
        return said + "one number: which share is True?"
    return said + f"floats of shape {want}. Which line compares, and what should it compute?"


def _shape_hint(got, want, expected: dict) -> str:
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
    if len(got) == 1 and any(e.shape == (*got, *want) for e in expected.values()):
        return (
            f" {got[0]} is N: the axis of the batch is left, that of the features is gone. Which "
            "of the two should be summed?"
        )
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
        lines.append(
            "There is a `...` left in your code, or in a function it calls: what belongs there?"
        )
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
