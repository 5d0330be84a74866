"""Call a student's function safely, and say which exception it raised.

Nothing the function does gets out of `attempt`: not its exception, not what it prints, not its
warnings, and not its changes to the arguments, which are copies. While it runs, np.empty fills its
arrays with a NaN that can be recognised, so that a forgotten entry is the same in every run. An
endless loop cannot be caught from inside the same process: interrupting the kernel ends it, and
the card says so.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import linecache
import re
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bnlib.layers import Layer

PRINTED = 10_000  # characters kept of what one call prints
# How NumPy says that the two sides of an @ do not fit: in words for those who wrote it.
GUFUNC = r"Input operand .* gufunc signature .*\(size (\d+) is different from (\d+)\)"


class _Output(io.StringIO):
    """What is printed: the beginning of it. It stays open, whatever the student's code closes."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, PRINTED - self.tell())])
        return len(text)

    def close(self):
        pass


@dataclass
class Attempt:
    """What one call of the student's function did."""

    value: object = None
    error: BaseException | None = None
    printed: str = ""
    warned: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def attempt(function: Callable, args: dict) -> Attempt:
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
        for part in done.value if isinstance(done.value, tuple | list) else [done.value]:
            if inspect.iscoroutine(part):  # which warns when it is thrown away, unless it is closed
                part.close()
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

    def filled(make):
        @functools.wraps(make)
        def wrapper(*args, **kwargs):
            array = make(*args, **kwargs)
            if array.dtype.kind == "f":
                array[...] = UNASSIGNED
            return array

        return wrapper

    empty, empty_like = np.empty, np.empty_like
    np.empty, np.empty_like = filled(empty), filled(empty_like)
    try:
        yield
    finally:
        np.empty, np.empty_like = empty, empty_like


def _identical(a, b) -> bool:
    if not isinstance(b, np.ndarray):
        return True
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def text_of(thing: object, limit: int = 600) -> str:
    """str(thing) in a form that is safe to show: no memory addresses, not endless, no exception."""
    try:
        text = str(thing)[: 20 * limit]
    except BaseException:  # SystemExit as well: it is the student's code that runs here
        text = f"({type(thing).__name__}, which cannot be shown as text)"
    text = re.sub(r"0x[0-9a-fA-F]{6,}", "0x...", text).encode("utf-8", "replace").decode()
    return (text if len(text) <= limit else text[:limit] + " ...").strip()


def describe_error(error: BaseException, call: str, diagnosed: bool = False) -> str:
    """The student's exception with the call and the line that caused it, without our traceback.

    diagnosed: the mistake has been named, so nothing is said of what may be behind the shapes.
    """
    message, why = text_of(error), ""
    said = re.sub(GUFUNC, r"the sizes \1 and \2 do not fit", message)
    if not diagnosed:
        kind_and_message = f"{type(error).__name__} {message}"
        why = next((why for part, why in LIKELY.items() if part in kind_and_message), "")
        if isinstance(error, AttributeError) and isinstance(error.obj, Layer):
            why = _without_attribute(error.name)
    first = f"{call} raised {type(error).__name__}: {said}"
    return "\n".join(filter(None, [first, _student_line(error), why]))


# A part of an error's type and message, and what may be behind it.
LIKELY = {
    "KeyboardInterrupt": "The call was interrupted before it ended. Is there a loop that never "
    "stops?",
    "SystemExit": "exit() and quit() end the program: use return to leave a function.",
    "RecursionError": "The function calls itself and never stops.",
    "llipsis": "There is a `...` left in your code, or in a function it calls: what belongs there?",
    "KeyError": "Nothing is kept under that name. What should have made it, and how is it called?",
    "matmul": "`@` is the matrix product: the columns of the left and the rows of the right have "
    "to be as many. Should it be one, or should entry be multiplied by entry, with `*`?",
    "cannot be interpreted as an integer": "A float stands where a whole number is needed: `/` "
    "always gives a float. Which division should come out whole?",
    "broadcast": "Two shapes do not fit. Which axes has each of the arrays, and which should "
    "match?",
}


def _without_attribute(name: str) -> str:
    """What may be behind an object, a layer mostly, that has no attribute of that name."""
    if name in ("params", "grads", "buffers", "training", "num_features"):
        return (
            f"The class that yours is built on makes self.{name}, in its own __init__. Does your "
            "__init__ start with a call of that, by super()?"
        )
    return (
        f"When this line runs, nothing has set self.{name}. Should __init__ keep it under that "
        "name, or the forward before, in training and at test time?"
    )


def _student_line(error) -> str:
    """The deepest line of the student's own code (not of NumPy's, not ours) in the traceback."""
    ours = __package__.partition(".")[0]  # a layer of theirs is called from our networks
    frames = traceback.walk_tb(error.__traceback__)
    frames = [f for f in frames if not f[0].f_globals.get("__name__", "").startswith(ours)]
    if not frames:
        return ""
    theirs = frames[0][0].f_code.co_filename
    frame, number = [f for f in frames if f[0].f_code.co_filename == theirs][-1]
    line = linecache.getline(theirs, number, frame.f_globals).strip()
    return f"in line {number}:  {line}" if line else ""
