"""Is it a calculation in float32, and how exact must one be?

A float32 has about 7 digits, so a correct float32 solution cannot pass a float64 test. Whether it
*is* one is read from what it does, not from how wrong it is: an output that is rounded to some
decimals, or scaled by 1.0001, has few right digits as well.
"""

from __future__ import annotations

import numpy as np

from .contract import attempt

EPS = float(np.finfo(np.float32).eps)


def single_outputs(function, reference, trials) -> tuple[set[str], set[str]]:
    """What is calculated in float32 although the input is float64: (outputs, arguments), by name.

    Outputs: those that have the dtype float32 or whose numbers are all float32 numbers; and all of
    them, if the function converts one of its arguments to float32. Arguments: those it converts.
    """
    trials = [t for t in trials if not t.probe.single and t.outputs and not t.probe.tag]
    if not trials:
        return set(), set()
    found = {n: [t.outputs[n] for t in trials if n in t.outputs] for n in trials[0].outputs}
    converted = _converted_arguments(function, reference, [t.probe.args for t in trials[:5]])
    outputs = {
        name
        for name, values in found.items()
        if all(v.dtype == np.float32 for v in values)
        or _all_in_single(_numbers(values))
        or (converted and not _has_few_decimals(_numbers(values)))
    }
    return outputs, converted


def _numbers(arrays) -> np.ndarray:
    """All finite numbers in the arrays, but for those that are short in any format, like 0.25."""
    numbers = np.concatenate([np.ravel(a).astype(np.float64) for a in arrays])
    numbers = numbers[np.isfinite(numbers)]
    return numbers[numbers * 1024 != np.round(numbers * 1024)]


def _all_in_single(numbers) -> bool:
    return len(numbers) > 0 and bool(np.all(numbers.astype(np.float32) == numbers))


def _has_few_decimals(numbers) -> bool:
    return len(numbers) > 0 and bool(np.all(np.round(numbers, 10) == numbers))


def _converted_arguments(function, reference, inputs) -> set[str]:
    """The arrays of which the function does not see the digits behind the seventh.

    A change that is lost when the array is converted to float32 must change nothing at all in any
    of the inputs, and a larger one something. An array or output that is rounded to decimals does
    not stand this test: in numbers a million times as large the change crosses the limit between
    two decimals.
    """
    names = [k for k, v in inputs[0].items() if isinstance(v, np.ndarray)]
    return {n for n in names if all(_is_converted(function, reference, a, n) for a in inputs)}


def _is_converted(function, reference, args, name) -> bool:
    return _loses_digits(function, reference, args, name, 1.0) and _loses_digits(
        function, reference, args, name, 2.0**20
    )


def _loses_digits(function, reference, args, name, scale) -> bool:
    array = scale * args[name].astype(np.float32).astype(np.float64)
    pattern = np.cos(np.arange(array.size)).reshape(array.shape)

    def answers(of, size):
        return of(*{**args, name: array * (1 + size * pattern)}.values())

    def student(*values):
        return attempt(function, dict(zip(args, values, strict=True))).value

    tiny = 2.5e-8  # less than half the distance of two float32 numbers, relative to their size
    if _identical(answers(reference, 0.0), answers(reference, tiny)):
        return False
    before = answers(student, 0.0)
    return _identical(before, answers(student, tiny)) and not _identical(
        before, answers(student, 1e-3)
    )


def _identical(a, b) -> bool:
    a, b = (v if isinstance(v, tuple | list) else [v] for v in (a, b))
    return len(a) == len(b) and all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


def single_tolerances(answer, reference, args: dict, returns) -> dict[str, float]:
    """How exact each output must be in float32, relative to its largest entry (at least 1).

    Measured: the solution runs in float32, on these arguments and on slightly changed ones, since
    rounding errors are a matter of luck. Ten times its largest error is allowed, and 4 units in the
    last place of the largest entry. So the limit is wide only where the problem asks for it. Over
    more than 25 rows it grows like their root: in which order a sum is formed starts to count.
    """
    allowed = dict.fromkeys(returns, 0.0)
    rows = [v.size / v.shape[1] for v in args.values() if np.ndim(v) > 1]
    slack = max(1.0, np.sqrt(max(rows, default=1.0)) / 5)
    for k in range(5):
        changed = {
            n: v * (1 + 1e-5 * k * np.cos(np.arange(v.size) * (k + 0.7)).reshape(v.shape))
            if isinstance(v, np.ndarray)
            else v
            for n, v in args.items()
        }
        right = _outputs(reference, changed, returns, np.float64)
        single = _outputs(answer, changed, returns, np.float32)
        for name in returns:
            want, got = right[name], single[name]
            error = np.abs(got - want)[np.isfinite(got) & np.isfinite(want)]
            largest = float(np.abs(want[np.isfinite(want)]).max(initial=0.0))
            limit = slack * (10 * float(error.max(initial=0.0)) + 4 * EPS * largest)
            allowed[name] = max(allowed[name], limit / max(largest, 1.0))
    return allowed


def _outputs(function, args, returns, dtype) -> dict[str, np.ndarray]:
    given = {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in args.items()}
    values = function(*given.values())
    values = values if len(returns) > 1 else [values]
    return {n: np.asarray(v, np.float64) for n, v in zip(returns, values, strict=True)}
