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
    outputs, problems = {}, []
    for name, part in zip(returns, parts, strict=True):
        if _count(part) > LIMIT:
            return {}, Problem(
                "too-large",
                f"{name} has {_count(part):,} entries, expected {expected[name].size}, of the "
                f"shape {expected[name].shape}. Where does it grow: by an outer product, or by an "
                "axis that was to be summed?",
            )
        array, problem = _read_array(part, name, expected)
        problems += [problem] if problem else []
        outputs |= {name: array} if array is not None else {}
    got, want = [o.shape for o in outputs.values()], [expected[name].shape for name in returns]
    if got != want and sorted(got) == sorted(want):
        return outputs, Problem(
            "outputs-order",
            f"Your function returns arrays of the shapes {', '.join(map(str, got))}, expected "
            f"{', '.join(map(str, want))}. Are they returned in another order than `return "
            f"{', '.join(returns)}`?",
        )
    return outputs, next(iter(problems), None)


def _count(part) -> int:
    """How many numbers there are, without looking at each."""
    if isinstance(part, list | tuple):
        return len(part) * max(1, _count(part[0])) if len(part) else 0
    return getattr(part, "size", 1) if isinstance(part, np.ndarray) else 1


def _split(value, returns):
    wanted, count = ", ".join(returns), len(returns)
    if value is None:
        said = f"Your function returns None. Does it end with `return {wanted}`?"
        return None, Problem("forgot-return", said)
    several = isinstance(value, tuple if count == 1 else tuple | list)
    if count == 1 and not several:
        return [value], None
    rows = isinstance(value, np.ndarray) and value.ndim in (1, 2)
    if count > 1 and (several or rows) and len(value) == count:
        return list(value), None
    if several and count == 1:
        why = "a comma after the value makes a tuple" if len(value) == 1 else "extra values"
        said = f"a tuple of {len(value)}, expected one array {wanted} ({why}?)."
    else:
        got = f"one {type(value).__name__}"
        if isinstance(value, np.ndarray):
            got = f"one array of shape {value.shape}"
        elif several:
            got = f"{len(value)} value{'s' * (len(value) != 1)}"
        said = f"{got}, expected {count} arrays: return {wanted}."
    return None, Problem("wrong-count", f"Your function returns {said}")


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
        is_array = isinstance(part, np.ndarray)
        dtype = f"an array of {array.dtype}" if is_array else type(part).__name__
        return None, Problem("wrong-type", f"{name} should be an array of floats, but is {dtype}.")
    if masked:
        return None, Problem(
            "masked-output",
            f"{masked} of the {array.size} entries of {name} are masked: they count as missing. "
            "Which line masks them, and which numbers should stand there?",
        )
    problem = None
    if kind == "b":
        problem = Problem("boolean-output", _boolean(array, name, want))
    elif shape != want:
        said = f"{name} has the shape {shape}, expected {want}."
        problem = Problem("wrong-shape", said + _shape_hint(shape, want, expected))
    elif kind in "iu" and shape != ():
        problem = Problem(
            "integer-output",
            f"{name} is an array of {array.dtype}, expected floats: integers cut off everything "
            "behind the point. Where did they come from?",
        )
    elif array.dtype == np.float16:
        said = f"{name} is float16, which has 3 digits: where are the others lost?"
        problem = Problem("half-precision", said)
    return array if kind == "f" else array.astype(np.float64), problem


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
    i = next(i for i, (g, w) in enumerate(zip(got, want, strict=True)) if g != w)
    lost = "where are the others lost?" if got[i] < want[i] else "where do more come from?"
    entries = "entry" if got[i] == 1 else "entries"
    return f" Axis {i} has {got[i]} {entries} and should have {want[i]}: {lost}"
