"""From numbers to verdicts: paired differences, standard errors, resampled seeds, grid edges."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

REPRODUCES, PARTLY = "reproduces", "partly"
NOT_HERE, UNDECIDED = "not at this scale", "undecided"
VERDICTS = (REPRODUCES, PARTLY, NOT_HERE, UNDECIDED)

RESAMPLES = 400  # enough to tell 95 % from 92 %
REPEATED = 0.95  # the share of resamples that has to give the same verdict

Row = dict[str, float]  # what one seed gave: name -> number


@dataclass(frozen=True)
class Verdict:
    """What `judge` says about the rows: one of `VERDICTS`, and a sentence with the numbers."""

    verdict: str
    sentence: str
    repeated: float | None = None  # the share of resamples of the seeds with the same verdict

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"expected a verdict out of {VERDICTS}, got {self.verdict!r}")


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, its standard error, and the size that is worth having."""

    mean: float
    error: float
    worth: float

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


def difference(values: Sequence[float], worth: float) -> Difference:
    """A `Difference` of the paired differences ``values``, one a seed."""
    return Difference(*mean_error(values), worth)


def overall(gains: Iterable[Difference]) -> str:
    """The verdict of a claim in parts: "reproduces" if all are better, "partly" if some are.

    Otherwise "not at this scale" if the gain is absent in all, and "undecided" if it may be there.
    """
    gains = list(gains)
    better = [gain.better for gain in gains]
    if any(better):
        return REPRODUCES if all(better) else PARTLY
    return NOT_HERE if all(gain.absent for gain in gains) else UNDECIDED


def side_by_side(
    rows: Sequence[Row],
    arms: tuple[str, str],
    places: Mapping[float, str],
    gain: Callable[[Row, float], float],
    worth: float,
) -> tuple[str, str]:
    """Two arms at several places: the verdict `overall`, and the numbers as text.

    The numbers are named "ARM, PLACE"; ``places`` gives each place's words, ``gain(row, place)``
    the difference that should be worth having.
    """
    gains = {place: difference([gain(row, place) for row in rows], worth) for place in places}
    parts = [
        f"{places[place]} {shown(rows, f'{arms[0]}, {place:g}')} | "
        f"{shown(rows, f'{arms[1]}, {place:g}')} % ({d} points)"
        for place, d in gains.items()
    ]
    return overall(gains.values()), "; ".join(parts) + "."


def mean_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error, std (with n - 1) / sqrt(n). Needs at least two values."""
    if len(values) < 2:
        raise ValueError(f"expected the values of at least two seeds, got {len(values)}")
    return float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))


def plus_minus(mean: float, error: float, signed: bool = False) -> str:
    """ "93.1 ± 0.4": as many digits as the error makes sense of."""
    if error == 0:
        return f"{mean:{'+' if signed else ''}.3g} ± 0"
    digits = max(0, 1 - math.floor(math.log10(error)) - (_first(error) > 2))
    return f"{mean:{'+' if signed else ''}.{digits}f} ± {error:.{digits}f}"


def _first(value: float) -> int:
    """The first significant digit."""
    return int(f"{value:.0e}"[0])


def column(rows: Sequence[Row], name: str) -> np.ndarray:
    """The numbers ``name`` of all rows, (seeds,)."""
    return np.array([row[name] for row in rows])


def shown(rows: Sequence[Row], name: str, scale: float = 1.0) -> str:
    """Mean and standard error of ``scale`` times the numbers ``name``, as text."""
    return plus_minus(*mean_error(scale * column(rows, name)))


def decide(judge: Callable[[Sequence[Row]], Verdict], rows: Sequence[Row]) -> Verdict:
    """The verdict on all rows; "undecided" if fewer than 95 % of resamples of the seeds repeat it.

    A resample draws as many seeds as there are, with replacement (bootstrap).
    """
    verdict = judge(rows)
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(rows), size=(RESAMPLES, len(rows)))
    same = [judge([rows[i] for i in draw]).verdict == verdict.verdict for draw in drawn]
    repeated = float(np.mean(same))
    if verdict.verdict == UNDECIDED or repeated >= REPEATED:
        return replace(verdict, repeated=repeated)
    why = f'Only {repeated:.0%} of resamples of the seeds give "{verdict.verdict}".'
    return Verdict(UNDECIDED, f"{verdict.sentence} {why}", repeated)


class EdgeOfGrid(ValueError):
    """The best value lies at the edge of its grid: the grid has to be extended."""


def best_inside(grid: dict[str, Sequence[float]], scores: np.ndarray) -> dict[str, float]:
    """The point of the grid with the highest score, which must not lie at an edge.

    ``grid`` name -> rising values, ``scores`` one axis a name. An axis of one value has no edge.
    Raises EdgeOfGrid: what is better beyond the grid is not known.
    """
    if (expected := tuple(len(values) for values in grid.values())) != np.shape(scores):
        raise ValueError(f"expected scores of shape {expected}, got {np.shape(scores)}")
    at = np.unravel_index(np.argmax(scores), expected)
    for (name, values), i in zip(grid.items(), at):
        if len(values) > 1 and i in (0, len(values) - 1):
            raise EdgeOfGrid(
                f"the best {name}, {values[i]:g}, is at the edge of its grid "
                f"{values[0]:g} ... {values[-1]:g}: extend the grid"
            )
    return {name: values[i] for (name, values), i in zip(grid.items(), at)}


def best_rates(
    rows: Sequence[Row], arms: Iterable[str], rates: Sequence[float]
) -> dict[str, float]:
    """The best rate of each arm, under `rate_of`, from the tuning's numbers named "ARM RATE".

    Raises EdgeOfGrid as `best_inside` does.
    """

    def best(arm: str) -> float:
        scores = [column(rows, f"{arm} {lr:g}").mean() for lr in rates]
        return best_inside({f"rate, {arm}": rates}, np.array(scores))[f"rate, {arm}"]

    return {rate_of(arm): best(arm) for arm in arms}


def rate_of(arm: str) -> str:
    """The name of an arm's tuned rate: "lr_relu_before" for "relu before"."""
    return f"lr_{arm.replace(' ', '_')}"


def last_that_works(values: Sequence[float], works: Sequence[bool]) -> float:
    """The largest of the rising ``values`` up to which, from the first that works, all work.

    Raises EdgeOfGrid if none or the last one works: then the limit is not inside the grid.
    """
    works = list(works)
    if not any(works):
        raise EdgeOfGrid(f"none of {values[0]:g} ... {values[-1]:g} works: extend the grid")
    first = works.index(True)
    if all(works[first:]):
        raise EdgeOfGrid(f"the largest value, {values[-1]:g}, works too: extend the grid")
    return values[works.index(False, first) - 1]
