"""Numbers and arrays as lines of JSON, between the judge and a student's process.

Nothing is unpickled, and a line has a largest length: whoever wrote it, to read it runs no code.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

import numpy as np

LONGEST = 8_000_000  # bytes of a line; the largest right answer has a few thousand
DTYPE = re.compile(r"[<>|=]?[biuf]\d{1,2}")


def encode(value: object, functions: list[Callable] | None = None) -> object:
    """What json can write: plain values as they are, arrays with dtype and shape, lists of these.

    functions: a list to which a function is added, to be called from the other side by its number.
    Without it a function, like everything else that is no number, goes over as its type's name.
    """
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind in "biuf" and array.nbytes < LONGEST / 2:
            data = base64.b64encode(array.tobytes()).decode("ascii")
            kind = "array" if isinstance(value, np.ndarray) else "scalar"
            return {kind: data, "dtype": array.dtype.str, "shape": array.shape}
    elif value is None or isinstance(value, bool | int | float | str):
        return value
    elif isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [encode(part, functions) for part in value]}
    elif callable(value) and functions is not None:
        functions.append(value)
        return {"function": len(functions) - 1}
    return {"other": type(value).__name__}


def decode(coded: object, function: Callable | None = None) -> object:
    """The value again. function(number) makes what stands for a function.

    Raises ValueError, KeyError or TypeError for what `encode` does not write.
    """
    if not isinstance(coded, dict):
        return coded
    if "function" in coded and function is not None:
        return function(coded["function"])
    if "other" in coded:
        return f"<{coded['other']}>"
    for kind, make in (("tuple", tuple), ("list", list)):
        if kind in coded:
            return make(decode(part, function) for part in coded[kind])
    kind = "array" if "array" in coded else "scalar"
    if not DTYPE.fullmatch(coded["dtype"]):
        raise ValueError(f"expected a dtype of numbers, got {coded['dtype']!r}")
    data = base64.b64decode(coded[kind], validate=True)
    array = np.frombuffer(data, coded["dtype"]).reshape(coded["shape"]).copy()
    return array if kind == "array" else array[()]


def write(stream, message: dict) -> None:
    """One line. Raises OSError if nobody reads any more."""
    stream.write(json.dumps(message).encode("ascii") + b"\n")
    stream.flush()


def read(stream) -> dict:
    """The next line. Raises EOFError at the end, ValueError for what is no line of ours."""
    line = stream.readline(LONGEST)
    if not line:
        raise EOFError
    message = json.loads(line) if line.endswith(b"\n") else None
    if not isinstance(message, dict):
        raise ValueError(f"expected a line with a JSON object, got {line[:80]!r}")
    return message
