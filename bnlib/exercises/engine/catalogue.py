"""Named mistakes, and how one is recognised: its outputs are those of the student's function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .compare import CannotTell, Case
from .trial import Row, Trial


@dataclass(frozen=True)
class Mistake:
    """A wrong implementation with a name. The message names the mistake and ends with a question.

    only_on: recognise it by where it fails, not by its numbers: right on all probes except those
    with this tag (a loss of digits gives different digits in each program that suffers from it).
    confirm: needed with only_on, since something else may fail there too; a function of the Case
    of the designed probe that says whether the outputs go wrong in the way that this mistake does.
    """

    id: str
    message: str
    function: Callable
    only_on: str = ""
    confirm: Callable[[Case], bool] | None = None


class Catalogue:
    """The mistakes of an exercise; evaluate(function, args) gives their outputs by name."""

    def __init__(self, mistakes: Sequence[Mistake], returns: tuple[str, ...], evaluate: Callable):
        self.mistakes, self.returns, self._evaluate = tuple(mistakes), returns, evaluate
        self._known: dict = {}

    def outputs(self, mistake: Mistake, row: Row) -> tuple[dict[str, np.ndarray] | None, set[str]]:
        """The outputs of a mistake on a probe, and the names of those that it makes wrong.

        None and all names where it raises an exception.
        """
        key = mistake.id, row.probe.name, tuple(row.single)
        if key not in self._known:
            found = self._evaluate(mistake.function, row.probe.args)
            wrong = {name for name in self.returns if not found or not row.right(name, found[name])}
            self._known[key] = found, wrong
        return self._known[key]

    def diagnose(
        self, trials: list[Trial], wrong: list[str], designed: Case
    ) -> tuple[Mistake, list[str]] | None:
        """The mistake that explains the most of the wrong outputs, and these outputs.

        Of two that explain as many it is the first in the catalogue.
        """
        best = None
        for mistake in self.mistakes:
            names = self._explains(mistake, trials, wrong, designed)
            if len(names) > len(best[1] if best else ()):
                best = mistake, names
        return best

    def _explains(self, mistake: Mistake, trials, wrong, designed) -> list[str]:
        """The outputs that the mistake makes wrong, if the student's equal them; else none."""
        if mistake.only_on:  # in float32 it may show on other probes as well
            failed = [t for t in trials if t.failed]
            there = all(t.probe.tag == mistake.only_on or t.row.single for t in failed)
            return wrong if there and _confirmed(mistake, designed) else []
        trials = [t for t in trials if not t.probe.tag and not t.probe.may_raise]
        affected: set[str] = set()
        for trial in trials:  # most mistakes are ruled out by the first probe
            theirs, names = self.outputs(mistake, trial.row)
            affected |= names
            if not trial.equals(theirs, affected):
                return []
        # An output may turn out to be affected on a later probe only: so compare all once more.
        alike = all(t.equals(self.outputs(mistake, t.row)[0], affected) for t in trials)
        return [n for n in wrong if n in affected] if alike else []


def _confirmed(mistake: Mistake, designed: Case) -> bool:
    try:
        return mistake.confirm(designed)
    except CannotTell:
        return False
