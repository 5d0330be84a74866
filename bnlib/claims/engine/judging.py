"""From numbers to verdicts: paired differences, standard errors, and sentences with both."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

REPRODUCES, PARTLY = "reproduces", "partly"
NOT_HERE, UNDECIDED = "not at this scale", "undecided"
VERDICTS = (REPRODUCES, PARTLY, NOT_HERE, UNDECIDED)

Row = dict[str, float]  # what one seed gave: name -> number


@dataclass(frozen=True)
class Verdict:
    """What a claim says about the rows: one of `VERDICTS`, and a sentence with the numbers."""

    verdict: str
    sentence: str
    repeated: float | None = None  # the share of resamples of the seeds with the same verdict


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, its standard error, and the size that is worth having."""

    mean: float
    error: float
    worth: float

    @classmethod
    def of(cls, values: Sequence[float], worth: float) -> Difference:
        """That of the paired differences ``values``, one a seed."""
        return cls(*mean_error(values), worth)

    @property
    def better(self) -> bool:
        """Beyond two standard errors, and beyond the size worth having."""
        return self.mean > 2 * self.error and self.mean > self.worth

    @property
    def worse(self) -> bool:
        """The same in the other direction."""
        return -self.mean > 2 * self.error and -self.mean > self.worth

    @property
    def absent(self) -> bool:
        """Even two standard errors above the mean there is nothing worth having."""
        return self.mean + 2 * self.error < self.worth

    @property
    def same(self) -> bool:
        """Two standard errors around the mean stay inside the size worth having, either way."""
        return abs(self.mean) + 2 * self.error < self.worth

    def __str__(self) -> str:
        return plus_minus(self.mean, self.error, signed=True)


def overall(*parts: Difference, also: bool = True) -> str:
    """The verdict of a claim in parts: "reproduces" if all are better, "partly" if some are.

    Otherwise "not at this scale" if the gain is absent in all, and "undecided" if it may be there.
    Where what is ``also`` asked for does not hold, "partly" is the most.
    """
    better = [part.better for part in parts]
    if any(better):
        return REPRODUCES if all(better) and also else PARTLY
    return NOT_HERE if all(part.absent for part in parts) else UNDECIDED


def minus(more: str, less: str) -> Callable[[Row], float]:
    """The part of a claim that is the number ``more`` minus the number ``less``."""
    return lambda row: row[more] - row[less]


def doublings(many: str, few: str) -> Callable[[Row], float]:
    """The part that says how many times ``few`` has to be doubled to make ``many``."""
    return lambda row: math.log2(row[many] / row[few])


def gains(more: str, less: str, places: Iterable[str], part=minus) -> dict:
    """A part for each place: of the numbers "MORE, PLACE" and "LESS, PLACE"."""
    return {place: part(f"{more}, {place}", f"{less}, {place}") for place in places}


def side_by_side(left: str, right: str, places: Mapping[str, str]) -> str:
    """Two arms at several places, in the form of `filled`: place -> its words in the sentence."""
    return "; ".join(
        f"{words} [{left}, {place}] | [{right}, {place}] % ([{place}] points)"
        for place, words in places.items()
    )


def filled(says: str, rows: Sequence[Row], found: Mapping[str, Difference]) -> str:
    """``says`` with numbers in the place of the names in brackets.

    "[a part]" becomes "+1.5 ± 0.2", "[a number of the rows]" "93.1 ± 0.4", and "[either:.1f]" the
    mean alone, in that format.
    """

    def number(match: re.Match) -> str:
        name, form = match.groups()
        if name in found:
            return format(found[name].mean, form) if form else str(found[name])
        mean, error = mean_error(column(rows, name))
        return format(mean, form) if form else plus_minus(mean, error)

    return re.sub(r"\[([^:\]]+):?([^\]]*)\]", number, says)


def mean_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error, std (with n - 1) / sqrt(n). Needs at least two values."""
    if len(values) < 2:
        raise ValueError(f"expected the values of at least two seeds, got {len(values)}")
    return float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))


def plus_minus(mean: float, error: float, signed: bool = False) -> str:
    """ "93.1 ± 0.4": as many digits as the error makes sense of."""
    sign = "+" if signed else ""
    if error == 0:
        return f"{mean:{sign}.3g} ± 0"
    first = int(f"{error:.0e}"[0])  # significant digit
    digits = max(0, 1 - math.floor(math.log10(error)) - (first > 2))
    return f"{mean:{sign}.{digits}f} ± {error:.{digits}f}"


def column(rows: Sequence[Row], name: str) -> np.ndarray:
    """The numbers ``name`` of all rows, (seeds,)."""
    return np.array([row[name] for row in rows])
