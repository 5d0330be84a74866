"""Compare a student's outputs with the expected ones, and say in numbers how they differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from .call import unassigned
from .probes import Probe


class CannotTell(Exception):
    """A property cannot be tested, because the student's function fails on the changed input."""


def close(got: np.ndarray, want: np.ndarray, tol: float) -> bool:
    """Same shape, NaN in the same places, each entry within tol times the largest (at least 1)."""
    if got.shape != want.shape:
        return False
    off = ~(np.abs(got - want) <= tol * _size(want))
    return not off.any() or bool(np.all(_error(got[off], want[off]) == 0))


def _error(got, want):
    """Distance entry by entry; 0 where both are the same NaN or infinity."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    distance = np.where(same, 0.0, np.abs(got - want))
    return np.where(np.isnan(distance), np.inf, distance)


def _size(want) -> float:
    size = float(np.abs(want).max(initial=1.0))
    if not np.isfinite(size):
        size = float(np.abs(want[np.isfinite(want)]).max(initial=1.0))
    return size


@dataclass
class Case:
    """A probe with the student's outputs: what a property looks at.

    given.x, given.gamma, ...: the arguments; got.y: the student's output; want.y: the expected one,
    all as float64. call(eps=0.3) is the student's output namespace with one argument changed.
    """

    probe: Probe
    given: SimpleNamespace
    got: SimpleNamespace
    want: SimpleNamespace
    call: Callable = field(repr=False)
    reference: Callable = field(repr=False)
    tol: dict[str, float]  # the error that is allowed, by output

    def wrong_entry(self, name: str, sentence: str) -> str | None:
        """None if this output is right; else sentence about one failing entry."""
        return self.differ(
            getattr(self.got, name), getattr(self.want, name), sentence, self.tol[name]
        )

    def stays(self, names: str, sentence: str, part=..., **changed) -> str | None:
        """None if these outputs, or that part of them, are the same for the changed arguments.

        Else sentence about an entry of {name}, which goes from {want} to {got}.
        """
        later = self.call(**changed)
        for name in names.split():
            before, after = getattr(self.got, name)[part], getattr(later, name)[part]
            if said := self.differ(after, before, sentence, name=name):
                return said
        return None

    def differ(
        self, got: np.ndarray, want: np.ndarray, sentence: str, tol: float | None = None, **words
    ) -> str | None:
        """None if got agrees with want; else sentence with {got} and {want} of one failing entry.

        {at} is the entry's index in brackets, {i} its last number, the column; words fills in more:
        texts, or arrays of which entry i is shown. tol: ten times what is allowed unless given.
        """
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        if close(got, want, max(10 * max(self.tol.values()), 1e-13) if tol is None else tol):
            return None
        at = failing_entry(got, want)
        i = at[-1] if at else 0
        mine, right = numbers(got[at], want[at])
        shown = {k: w if isinstance(w, str) else number(np.asarray(w)[i]) for k, w in words.items()}
        return sentence.format(at=index(at), i=i, got=mine, want=right, **shown)


def said_by(prop: Callable, case: Case) -> object:
    """What a property says of the case; None where it cannot tell."""
    try:
        return prop(case)
    except CannotTell:
        return None


def failing_entry(got: np.ndarray, want: np.ndarray) -> tuple[int, ...]:
    """The first entry that is off by at least half the largest error (stable under rounding)."""
    error = _error(got, want)
    worst = error.max()
    failing = error >= (0.5 * worst if np.isfinite(worst) else np.inf)
    return tuple(int(i) for i in np.argwhere(failing)[0])


def index(at: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, at))}]" if len(at) else ""


def numbers(*values: float, digits: int = 3) -> tuple[str, ...]:
    """The numbers as short text; more digits where the short texts are all the same."""
    for count in range(digits, 17):
        texts = tuple(f"{float(v) + 0.0:.{count}g}" for v in values)
        if len(set(texts)) > 1 or len(set(map(float, values))) == 1:
            break
    return tuple("0" if abs(float(v)) < 1e-12 else t for t, v in zip(texts, values, strict=True))


def number(value: float) -> str:
    return numbers(value)[0]


# ---------------------------------------------------------------- properties of every exercise


def not_finite(case: Case) -> str | None:
    """No output has NaN or infinity."""
    for name, got in vars(case.got).items():
        bad = ~np.isfinite(got)
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            place, want = f"{name}{index(at)}", number(getattr(case.want, name)[at])
            if unassigned(got)[at]:
                return (
                    f"{place} is not a number, expected {want}: was it, or something it is "
                    "computed from, ever assigned? np.empty makes an array, but does not fill it."
                )
            return (
                f"{place} is {got[at]:g}, expected {want}; {int(bad.sum())} of {bad.size} entries "
                "are not finite. Which root or division can go wrong there?"
            )
    return None


def rounded(case: Case) -> str | None:
    """No output is the right one rounded to some decimals."""
    for name, got in vars(case.got).items():
        want = getattr(case.want, name)
        for decimals in range(0 if got.size > 5 else 4, 11):  # one 0.5 is not rounded
            step = 10.0**-decimals
            if np.array_equal(np.round(got, decimals), got):
                said = case.wrong_entry(name, "{at} is {got}, expected {want}")
                if said and np.all(np.abs(got - want) <= 0.51 * step) and np.any(got):
                    return (
                        f"{name} is rounded to {decimals} decimal(s): {name}{said}. Later layers "
                        "calculate with these numbers. Where do the other digits get lost?"
                    )
                break
    return None


def few_digits_lost(case: Case) -> str | None:
    """The outputs are right in all digits, not only in the first five or more."""
    if not all(close(g, getattr(case.want, n), 3e-6) for n, g in vars(case.got).items()):
        return None
    for name in vars(case.got):
        said = case.tol[name] < 1e-6 and case.wrong_entry(name, "{at} is {got}, expected {want}")
        if said:
            gradient = ", or is it a numerical derivative" if hasattr(case.given, "dy") else ""
            return (
                f"{name}{said}: nearly right. Is a part of it calculated in float32 (7 digits), or "
                f"is a small number added that the formula does not have{gradient}?"
            )
    return None


def responds_to_arguments(case: Case) -> str | None:
    """Each output depends on the arguments that it should depend on, and on no others."""
    for name, value in vars(case.given).items():
        other = _changed(value, name)
        got, want = case.call(**{name: other}), case.reference(**{name: other})
        change = f"changes from {value:g} to {other:g}" if np.ndim(value) == 0 else "changes"
        for out, mine in vars(got).items():
            before, right, later = (getattr(of, out) for of in (case.got, case.want, want))
            must, may = not close(right, later, 1e-6), not close(right, later, 1e-14)
            does = not close(before, mine, 1e-9)
            pair = (right, later) if must else (before, mine)
            at = failing_entry(*pair)
            a, b = numbers(*(array[at] for array in pair))
            if must and not does:
                return (
                    f"{out} does not change when {name} {change}: {out}{index(at)} stays "
                    f"{number(mine[at])}, expected to go from {a} to {b}."
                )
            if does and not may:
                return (
                    f"{out} changes when {name} {change}, but here it should not: "
                    f"{out}{index(at)} goes from {a} to {b}, expected {number(right[at])} both "
                    "times."
                )
    return None


def _changed(value, name):
    if name == "num_groups":
        return 1  # divides any number of channels
    if isinstance(value, int):
        return 3 * value + 1
    if np.ndim(value) == 0:
        return 1.0 - 0.5 * value if name == "momentum" else 3.0 * value + 0.05
    pattern = np.cos(np.arange(value.size) * 2.4 + 0.3).reshape(value.shape)
    return value * (1.0 + 0.5 * pattern)


def pattern_of_difference(case: Case) -> str | None:
    """The last word: how the wrong output relates to the expected one, and one failing entry."""
    for name, got in vars(case.got).items():
        want = getattr(case.want, name)
        said = case.wrong_entry(name, "{at} is {got}, expected {want}.")
        if said:
            relation = _relation(got, want, name, case.tol[name])
            return f"{name}{said}" + (f" {relation}" if relation else "")
    return None


def _relation(got, want, name, tol) -> str:
    """Is it a multiple of the expected one, or which columns (channels) and rows are wrong?"""
    if not np.isfinite(got).all():
        return ""
    factor = _factor(got, want, tol)
    if factor is not None:
        return f"Every entry of {name} is {_times(factor)} one."
    if got.ndim < 2:
        return ""
    wrong, said = ~(_error(got, want) <= tol * _size(want)), []
    words = ("row", "column") if got.ndim == 2 else ("image", "channel")
    for axis, word in enumerate(words):
        bad = wrong.any(axis=tuple(a for a in range(got.ndim) if a != axis))
        if not bad.all():
            said.append(f"Only {word}(s) {_some(np.flatnonzero(bad))} of {name} are wrong.")
    column = int(np.flatnonzero(bad)[0])
    factor = _factor(got[:, column], want[:, column], tol) if len(got) > 2 else None
    if factor is not None:
        said.append(f"All of {words[1]} {column} is {_times(factor)}.")
    return " ".join(said)


def _factor(got, want, tol) -> float | None:
    """By what want is multiplied everywhere in got; None if there is no such number."""
    at = np.unravel_index(np.abs(want).argmax(), want.shape)
    factor = float(got[at] / want[at]) if want[at] else 0.0
    return factor if factor and close(got, factor * want, tol) else None


def _times(factor: float) -> str:
    return f"{numbers(factor, 1.0)[0]} times the expected"


def _some(indices) -> str:
    """A list of indices, cut short where it is long."""
    found = indices.tolist()
    return str(found) if len(found) <= 8 else f"[{', '.join(map(str, found[:6]))}, ...]"


OF_NUMBERS = (not_finite, rounded, few_digits_lost, responds_to_arguments)
