"""The form of a claim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module

import numpy as np

from bnlib.claims.engine.judging import UNDECIDED, Difference, Row, Verdict, filled, overall

SIZES = ("full", "notebook")
FIRST_SEED = 100  # of the ledger
TUNING_SEEDS = (1000, 1001, 1002)  # never among those of the ledger
NOTEBOOK_SEEDS = (0, 1, 2)

RESAMPLES = 400  # enough to tell 95 % from 92 %
REPEATED = 0.95  # the share of resamples that has to give the same verdict


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence about Batch Normalization, and how numbers decide about it.

    The criterion, and with it ``parts`` and ``rule``, is written before the full run; the verdict
    follows from the numbers of all seeds and is never written by hand.

        claim.rerun()        # its small run, as the notebooks do it
    """

    id: str  # the name of its file
    sentence: str
    source: str  # paper, and section or figure
    paper: str  # what the paper reports, in its own setting
    experiment: Callable[..., Row]
    """experiment(seed, size, **tuned) -> {name: finite number}; all arms share the seed's initial
    weights and batches. ``size`` is "full" or "notebook", under the same names."""
    parts: Mapping[str, Callable[[Row], float]]
    """name -> a paired difference of a row, positive where the sentence is right."""
    rule: Callable[[dict[str, Difference]], str] = lambda found: overall(*found.values())
    """The verdict that follows from the parts, each as a `Difference` over the seeds."""
    says: str | Callable[[Sequence[Row], dict[str, Difference]], str]
    """The sentence with names for numbers, in the form of `filled`."""
    criterion: str  # what `parts` and `rule` do, in words
    conclude: str  # what a reader may conclude, and what not
    effect_of: Sequence[str] = ()
    """The parts whose mean is the one number that the sentence is about; the first, if empty."""
    unit: str  # of the effect
    worth: float  # the size of a part that is worth having
    worths: Mapping[str, float] = field(default_factory=dict)  # of parts for which it is another
    seeds: int = 10  # at full size; twenty where the effect is small
    tune: Callable[[int], Row] | None = None
    """tune(seed) -> {name: number}: what the settings are chosen by, on `TUNING_SEEDS`."""
    choose: Callable[[Sequence[Row]], dict[str, float]] | None = None
    """choose(rows of tune) -> the keyword arguments ``tuned`` of the experiment."""

    def __reduce__(self):
        """Other processes look a claim up by its name: its functions cannot be sent."""
        return _named, (self.id,)

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

    def effect(self, row: Row) -> float:
        """The one number of a row that the sentence is about."""
        names = self.effect_of or list(self.parts)[:1]
        return float(np.mean([self.parts[name](row) for name in names]))

    def judge(self, rows: Sequence[Row]) -> Verdict:
        """What the rows say, before the test by resampling."""
        found = self._found(self._values(rows))
        says = self.says if isinstance(self.says, str) else self.says(rows, found)
        return Verdict(self.rule(found), filled(says, rows, found))

    def decide(self, rows: Sequence[Row]) -> Verdict:
        """The verdict on a full run; "undecided" if under 95 % of resamples of the seeds repeat it.

        A resample draws as many seeds as there are, with replacement (bootstrap).
        """
        verdict, values = self.judge(rows), self._values(rows)
        drawn = np.random.default_rng(0).integers(len(rows), size=(RESAMPLES, len(rows)))
        again = [
            self.rule(self._found({name: v[draw] for name, v in values.items()})) for draw in drawn
        ]
        repeated = again.count(verdict.verdict) / RESAMPLES
        if verdict.verdict == UNDECIDED or repeated >= REPEATED:
            return replace(verdict, repeated=repeated)
        why = f'Only {repeated:.0%} of resamples of the seeds give "{verdict.verdict}".'
        return Verdict(UNDECIDED, f"{verdict.sentence} {why}", repeated)

    def contradicts(self, small: Sequence[Row], full: Sequence[Row]) -> str | None:
        """How a small run contradicts the full one, in a sentence; None if it does not.

        Where the full run has an effect worth having, the small one's mean must have its sign;
        where it has none, the small one must not show one beyond two standard errors.
        """
        here, there = (
            Difference.of([self.effect(r) for r in rows], self.worth) for rows in (small, full)
        )
        wrong_sign = (there.better or there.worse) and np.sign(here.mean) != np.sign(there.mean)
        if wrong_sign or (here.better and there.absent):
            return f"{self.id}: {here} {self.unit} in the small run, {there} in the full one"
        return None

    def _values(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        return {name: np.array([part(row) for row in rows]) for name, part in self.parts.items()}

    def _found(self, values: Mapping[str, np.ndarray]) -> dict[str, Difference]:
        return {
            name: Difference.of(v, self.worths.get(name, self.worth)) for name, v in values.items()
        }


def _named(claim_id: str) -> Claim:
    return import_module(f"bnlib.claims.{claim_id}").CLAIM
