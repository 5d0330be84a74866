"""The form of a claim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bnlib.claims.engine.judging import Row, Verdict, decide, difference

SIZES = ("full", "notebook")
FIRST_SEED = 100  # of the ledger
TUNING_SEEDS = (1000, 1001, 1002)  # never among those of the ledger
NOTEBOOK_SEEDS = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence about Batch Normalization, and how numbers decide about it.

    The criterion, and with it ``judge``, is written before the full run; the verdict follows from
    the numbers of all seeds and is never written by hand.

        claim.rerun()        # its small run, as the notebooks do it
    """

    id: str  # the name of its file
    sentence: str
    source: str  # paper, and section or figure
    paper: str  # what the paper reports, in its own setting
    experiment: Callable[..., Row]
    """experiment(seed, size, **tuned) -> {name: finite number}; all arms share the seed's initial
    weights and batches. ``size`` is "full" or "notebook", under the same names."""
    judge: Callable[[Sequence[Row]], Verdict]
    criterion: str  # what `judge` does, in words
    conclude: str  # what a reader may conclude, and what not
    effect: Callable[[Row], float]
    """The one number of a row that the sentence is about: a paired difference, positive where the
    sentence is right."""
    unit: str  # of the effect
    worth: float  # the size of the effect that is worth having
    seeds: int = 10  # at full size; twenty where the effect is small
    tune: Callable[[int], Row] | None = None
    """tune(seed) -> {name: number}: what the settings are chosen by, on `TUNING_SEEDS`."""
    choose: Callable[[Sequence[Row]], dict[str, float]] | None = None
    """choose(rows of tune) -> the keyword arguments ``tuned`` of the experiment."""
    exact: bool = True  # False for times, which no second run repeats

    def rerun(
        self, seeds: Iterable[int] = NOTEBOOK_SEEDS, size: str = "notebook", tuned=None
    ) -> list[Row]:
        """Measure again: one dict of numbers a seed. Takes seconds at size "notebook".

        ``tuned`` are the settings to use, by default those that the ledger's tuning chose.
        """
        from bnlib.claims.engine.measuring import measure
        from bnlib.claims.engine.results import Results

        if tuned is None:
            tuned = Results().tuned(self)
        return [measure(self, "experiment", seed, size, tuned) for seed in seeds]

    def decide(self, rows: Sequence[Row]) -> Verdict:
        """The verdict on the rows of a full run, after the test by resampling."""
        return decide(self.judge, rows)

    def contradicts(self, small: Sequence[Row], full: Sequence[Row]) -> str | None:
        """How a small run contradicts the full one, in a sentence; None if it does not.

        Where the full run has an effect worth having, the small one's mean must have its sign;
        where it has none, the small one must not show one beyond two standard errors.
        """
        here, there = (
            difference([self.effect(r) for r in rows], self.worth) for rows in (small, full)
        )
        wrong_sign = (there.better or there.worse) and np.sign(here.mean) != np.sign(there.mean)
        if wrong_sign or (here.better and there.absent):
            return f"{self.id}: {here} {self.unit} in the small run, {there} in the full one"
        return None
