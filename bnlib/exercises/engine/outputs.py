"""Read what a student's function returned: named arrays, or what is wrong with their form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIMIT = 1_000_000  # numbers in one output; the largest right one has a few hundred


@dataclass(frozen=True)
class Problem:
    """Something wrong with the form of a function or of what it returns."""

    id: str
    message: str


def read_outputs(
    value: object, returns: tuple[str, ...], expected: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], Problem | None]:
    """Split a returned value into named arrays; (outputs, None) or (outputs so far, Problem)."""
    parts, problem = _split(value, returns)
    if problem:
        return {}, problem
    for name, part in zip(returns, parts, strict=True):
        if _count(part) > LIMIT:
            return {}, Problem(
                "too-large",
                f"{name} has {_count(part):,} entries, expected {expected[name].size}, of the "
                f"shape {expected[name].shape}. Where does it grow: by an outer product, or by an "
                "axis that was to be summed?",
            )
    outputs, first = {}, None
    for name, part in zip(returns, parts, strict=True):
        array, problem = _read_array(part, name, expected)
        first = first or problem
        if array is not None:
            outputs[name] = array
    return outputs, _other_order(outputs, returns, expected) or first


def _count(part) -> int:
    """How many numbers there are, without looking at each."""
    if isinstance(part, list | tuple):
        return len(part) * max(1, _count(part[0])) if len(part) else 0
    return getattr(part, "size", 1) if isinstance(part, np.ndarray) else 1


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
    if isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim in (1, 2)):
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
        array, masked = np.array(None if isinstance(part, str | bytes) else part), _masked(part)
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
