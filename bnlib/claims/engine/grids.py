"""Settings that are tried on a grid: the best one, and the last that works."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from bnlib.claims.engine.judging import Row, column


class EdgeOfGrid(ValueError):
    """The best value lies at the edge of its grid: the grid has to be extended."""


def best_inside(grid: dict[str, Sequence[float]], scores: np.ndarray) -> dict[str, float]:
    """The point of the grid with the highest score, which must not lie at an edge.

    ``grid`` name -> rising values, ``scores`` one axis a name.
    Raises EdgeOfGrid: what is better beyond the grid is not known.
    """
    at = np.unravel_index(np.argmax(scores), [len(values) for values in grid.values()])
    for (name, values), i in zip(grid.items(), at):
        if i in (0, len(values) - 1):
            raise EdgeOfGrid(
                f"the best {name}, {values[i]:g}, is at the edge of its grid "
                f"{values[0]:g} ... {values[-1]:g}: extend the grid"
            )
    return {name: values[i] for (name, values), i in zip(grid.items(), at)}


def tuned_rates(
    run: Callable[[str, float, int], float], arms: Iterable[str], rates: Sequence[float]
) -> dict[str, Callable]:
    """``tune`` and ``choose`` of a claim whose arms have each their best rate, under `rate_of`.

    run : run(arm, rate, seed) -> a number, the higher the better; stored as "ARM RATE"
    """

    def tune(seed: int) -> Row:
        return {f"{arm} {lr:g}": run(arm, lr, seed) for arm in arms for lr in rates}

    def choose(rows: Sequence[Row]) -> dict[str, float]:
        chosen = {}
        for arm in arms:
            scores = np.array([column(rows, f"{arm} {lr:g}").mean() for lr in rates])
            [chosen[rate_of(arm)]] = best_inside({f"rate, {arm}": rates}, scores).values()
        return chosen

    return {"tune": tune, "choose": choose}


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
