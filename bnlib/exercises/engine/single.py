"""Single precision, by one rule.

Where a function rounds an argument or an output to float32, it may be off by ten times what the
solution is off when the same is rounded.

That it rounds is read from what it does, not from how wrong it is: an output that is rounded to
some decimals, or scaled by 1.0001, has few right digits as well. An argument is rounded if nothing
changes when the caller rounds it, though more would change something; an output, if all its
numbers are float32 numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .trial import Row, Trial

EPS = float(np.finfo(np.float32).eps)


def rounds(call: Callable, reference: Callable, trials: list[Trial]) -> dict[str, set[str]]:
    """Which outputs are calculated in float32: output -> the arguments that are rounded for it.

    call, reference: functions of a dictionary of arguments that give the outputs by name.
    """
    trials = [t for t in trials if not (t.probe.single or t.probe.tag or t.probe.large)]
    trials = [t for t in trials if t.outputs]
    if not trials:
        return {}

    def changed(trial, argument, by, of):
        array = by(trial.probe.args[argument])
        return of(trial.probe.args | {argument: array}) or {}

    def same(a, b):
        return a is not None and np.array_equal(a, b, equal_nan=True)

    blind = {name: set() for name in trials[0].outputs}
    for argument in trials[0].probe.arrays:
        seen = changed(trials[0], argument, _one_per_mille_more, call)
        candidates = {n for n in blind if not same(seen.get(n), trials[0].outputs[n])}
        matters = set()
        for trial in trials:
            if not candidates:  # after one trial, for what is calculated in float64
                break
            mine = changed(trial, argument, _rounded, call)
            right = changed(trial, argument, _rounded, reference)
            candidates = {n for n in candidates if same(mine.get(n), trial.outputs.get(n))}
            matters |= {n for n in blind if not same(right[n], trial.row.expected[n])}
        for name in candidates & matters:
            blind[name].add(argument)
    return {
        name: arguments
        for name, arguments in blind.items()
        if arguments or _all_in_single([t.outputs[name] for t in trials if name in t.outputs])
    }


def _rounded(array):
    return array.astype(np.float32).astype(np.float64)


def _one_per_mille_more(array):
    return array * (1 + 1e-3 * np.cos(np.arange(array.size)).reshape(array.shape))


def _all_in_single(arrays) -> bool:
    """All numbers are float32 numbers, and not only because they are short, like 0.25."""
    numbers = np.concatenate([np.ravel(a).astype(np.float64) for a in arrays])
    numbers = numbers[np.isfinite(numbers)]
    numbers = numbers[numbers * 1024 != np.round(numbers * 1024)]
    dtypes = {np.asarray(a).dtype for a in arrays}
    return dtypes == {np.dtype(np.float32)} or (
        len(numbers) > 0 and bool(np.all(numbers.astype(np.float32) == numbers))
    )


def allowed(solve: Callable, row: Row, rounded: dict[str, set[str]]) -> dict[str, float]:
    """The error that is allowed for each rounded output of a row, relative to its largest entry.

    solve(args) gives the solution's outputs by name. Over many rows the limit grows like their
    root: in which order a sum is formed starts to count.
    """
    found = {}
    for name, arguments in rounded.items():
        args = {k: v.astype(np.float32) if k in arguments else v for k, v in row.probe.args.items()}
        want, got = row.expected[name], (solve(args) or row.expected)[name]
        rows = max((v.size / v.shape[1] for v in args.values() if np.ndim(v) > 1), default=1.0)
        error = np.abs(np.float64(got) - want)
        largest = float(np.abs(want[np.isfinite(want)]).max(initial=0.0))
        worst = 10 * float(error[np.isfinite(error)].max(initial=0.0))
        found[name] = max(1.0, (rows / 25) ** 0.5) * (worst + 8 * EPS * largest) / max(largest, 1.0)
    return found
